"""What holds for every test: where everything is installed that a test may need, nothing may skip."""

from __future__ import annotations

import os
from collections.abc import Generator
from itertools import count

import pytest

# Set by .ci/run. Elsewhere a test whose tool is missing (node, say) skips and tells why.
_numbers = count()
REQUIRE_ALL = bool(os.environ.get("RIDE_TRIO_REQUIRE_ALL"))


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, where RIDE_TRIO_REQUIRE_ALL allows none: {report.longrepr}"


@pytest.fixture(autouse=True)
def _data_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A server that a test starts finds an empty data directory, and leaves the user's alone."""
    monkeypatch.setenv("DATA_DIR", str(tmp_path_factory.getbasetemp() / f"data-{next(_numbers)}"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_skipped(report)
    return report
