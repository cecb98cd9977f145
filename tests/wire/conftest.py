"""Hypothesis for this folder: no deadline, since a busy machine is no bug; in CI the same examples each time."""

import os

from hypothesis import settings

settings.register_profile("wire", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("wire")
