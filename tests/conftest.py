"""What holds for every test.

Tests against the real cluster come last: on a machine that sees this project for the first time, its programs are built
meanwhile. The first of them waits for that.

A test that does not run proves nothing. Where `CI=true`, a skipped, expected-to-fail or deselected test therefore fails
the whole run; elsewhere the reasons are printed at the end.
"""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

# No time limits for examples: what else a machine does is not what is tested, and packets take long to craft. In CI the
# examples are the same each time, so that a failure there belongs to the change; everywhere else they are new ones.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("here"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI", "").lower() in ("true", "1") else "here")

# A job in the background is started with SIGINT ignored, and would hand that on to every process under test.
signal.signal(signal.SIGINT, signal.default_int_handler)

BUILD_SECONDS = 30 * 60

_not_run: list[str] = []


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    cluster = [item for item in items if item.get_closest_marker("cluster")]
    items[:] = [item for item in items if not item.get_closest_marker("cluster")] + cluster
    if cluster:
        cluster[0].add_marker(pytest.mark.timeout(BUILD_SECONDS), append=False)


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2]
    return getattr(report, "wasxfail", "") or "no reason given"


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped:
        word = "expected to fail" if hasattr(report, "wasxfail") else "skipped"
        _not_run.append(f"{report.nodeid}: {word}: {_reason(report)}")


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped:
        _not_run.append(f"{report.nodeid}: skipped: {_reason(report)}")


def pytest_deselected(items: list[pytest.Item]) -> None:
    _not_run.extend(f"{item.nodeid}: deselected" for item in items)


def _must_run_all() -> bool:
    return os.environ.get("CI", "").lower() in ("true", "1")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if _not_run and _must_run_all() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _not_run:
        return
    terminalreporter.section(f"{len(_not_run)} tests did not run")
    for line in _not_run:
        terminalreporter.write_line(line)
    if _must_run_all():
        terminalreporter.write_line("CI=true: a test that does not run fails the run", red=True)
