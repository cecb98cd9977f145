"""Live sessions for riders and drivers over gRPC, matched, on a trio-native gRPC engine."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("ride-trio")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"
