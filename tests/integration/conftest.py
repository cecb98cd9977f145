"""Fixtures of the tests over real sockets."""

from __future__ import annotations

import os
import shutil

import pytest


@pytest.fixture
def node_modules() -> str:
    """The folder with @grpc/grpc-js and @grpc/proto-loader; without node or it the test skips."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    folder = os.environ.get("RIDE_TRIO_NODE_MODULES")
    if not folder:
        pytest.skip("RIDE_TRIO_NODE_MODULES names no folder with @grpc/grpc-js and @grpc/proto-loader")
    return folder
