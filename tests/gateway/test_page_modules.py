"""The page's modules that need no browser: their tests, run by node."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import ride_trio.gateway

MODULES = Path(ride_trio.gateway.__file__).parent / "page/js"
TESTS = Path(__file__).parent / "page"
MAX_MODULE_LINES = 300  # as for Python: past this a module is no longer one idea


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not here: apt-get install nodejs")
def test_the_modules_do_what_their_tests_say(tmp_path: Path) -> None:
    shutil.copytree(TESTS, tmp_path, dirs_exist_ok=True)
    shutil.copytree(MODULES, tmp_path / "page")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    tests = sorted(str(file) for file in tmp_path.glob("*.test.js"))
    command = ["node", "--test", "--test-reporter=tap", *tests]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    assert f"# pass {count_tests()}" in done.stdout


def count_tests() -> int:
    """How many tests the files hold: that node found them all is a part of the test."""
    return sum(file.read_text().count('\ntest("') for file in TESTS.glob("*.test.js"))


def test_no_module_is_too_long() -> None:
    lines = {file.name: len(file.read_text().splitlines()) for file in MODULES.glob("*.js")}
    assert len(lines) > 20
    assert {name: count for name, count in lines.items() if count > MAX_MODULE_LINES} == {}
