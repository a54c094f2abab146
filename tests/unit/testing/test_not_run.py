"""A test that does not run fails the run in CI, and is named everywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[2] / "conftest.py"

SKIPPED = "import pytest\ndef test_one(): pass\ndef test_two(): pytest.skip('no network')\n"
EXPECTED_TO_FAIL = "import pytest\n@pytest.mark.xfail(reason='later')\ndef test_two(): assert False\n"
SKIPPED_FILE = "import pytest\npytest.skip('not here', allow_module_level=True)\n"
ALL_RUN = "def test_one(): pass\n"


def _run(folder: Path, text: str, *arguments: str, ci: str = "true") -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_bytes(CONFTEST.read_bytes())
    (folder / "test_it.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\n")
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(argv, cwd=folder, env={**os.environ, "CI": ci}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("text", "arguments", "reason"),
    [
        (SKIPPED, [], "no network"),
        (EXPECTED_TO_FAIL, [], "expected to fail: later"),
        (SKIPPED + SKIPPED_FILE, [], "not here"),
        (SKIPPED, ["-k", "one"], "test_two: deselected"),
    ],
    ids=["skip", "xfail", "file", "deselect"],
)
def test_it_fails_in_ci_and_the_reason_is_printed(tmp_path, text, arguments, reason):
    done = _run(tmp_path, text, *arguments)
    assert done.returncode != 0
    assert reason in done.stdout


def test_it_passes_elsewhere_and_the_reason_is_printed(tmp_path):
    done = _run(tmp_path, SKIPPED, ci="")
    assert done.returncode == 0
    assert "no network" in done.stdout


def test_a_run_of_everything_passes_in_ci(tmp_path):
    assert _run(tmp_path, ALL_RUN).returncode == 0
