"""What holds for every test: where everything is installed that a test may need, nothing may skip."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

# Set by .ci/run. Elsewhere a test whose tool is missing (node, say) skips and tells why.
REQUIRE_ALL = bool(os.environ.get("RIDE_TRIO_REQUIRE_ALL"))


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, where RIDE_TRIO_REQUIRE_ALL allows none: {report.longrepr}"


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
