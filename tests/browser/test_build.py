"""The page's own tools on its source: what is committed is what the source builds to."""

import re
import subprocess
from pathlib import Path

import pytest

ASSETS = Path(__file__).parents[2] / "src/network_mapper/export/page/assets"

pytestmark = pytest.mark.timeout(600)


def npm(web, *arguments):
    process = subprocess.run(["npm", *arguments], cwd=web, capture_output=True, text=True, check=False, timeout=300)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def test_the_source_builds_to_the_committed_files(web, tmp_path):
    npm(web, "run", "build", "--", "--outdir", str(tmp_path))
    built = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert built == {path.name: path.read_bytes() for path in ASSETS.iterdir()}


def test_the_source_passes_its_compiler_and_linter(web):
    npm(web, "run", "check")


def test_the_page_s_own_tests_pass(web):
    assert re.search(r"^\S+ pass [1-9]\d+$", npm(web, "test"), re.MULTILINE)


def test_the_lock_file_names_no_address():
    text = (Path(__file__).parents[2] / "web/package-lock.json").read_text()
    assert '"resolved"' not in text
    assert "registry" not in text
