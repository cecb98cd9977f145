"""Fixtures of the tests over real sockets."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def node_modules() -> str:
    """The folder with @grpc/grpc-js; without node or it the test skips."""
    modules = os.environ.get("RIDE_TRIO_NODE_MODULES", str(ROOT / ".node/node_modules"))
    if shutil.which("node") is None or not (Path(modules) / "@grpc/grpc-js").exists():
        pytest.skip("node or @grpc/grpc-js is not here: npm install --prefix .node @grpc/grpc-js")
    return modules
