"""Hypothesis for this folder: no deadline, since a busy machine is no bug."""

from hypothesis import settings

settings.register_profile("wire", deadline=None)
settings.load_profile("wire")
