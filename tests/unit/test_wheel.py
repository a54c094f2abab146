"""The wheel that people install, built from this tree."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, ROOT],
        check=True,
    )
    (built,) = folder.glob("*.whl")
    return built


def test_wheel_holds_every_file_of_the_package(wheel):
    files = subprocess.run(["git", "ls-files", "src"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    names = {name.removeprefix("src/") for name in files.splitlines() if (ROOT / name).exists()}
    packed = set(zipfile.ZipFile(wheel).namelist())
    assert names <= packed
    assert "network_mapper/py.typed" in packed


@pytest.mark.parametrize("folder", ["topologies", "recordings"])
def test_wheel_holds_what_the_demo_plays(wheel, folder):
    prefix = f"network_mapper/testing/{folder}/"
    assert any(name.startswith(prefix) for name in zipfile.ZipFile(wheel).namelist())


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder with the wheel in it; --target leaves what is installed in this environment alone."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", folder, wheel], check=True
    )
    return folder


@pytest.mark.parametrize(
    ("program", "name"),
    [("network-mapper", "network-mapper"), ("kubectl-network_mapper", "kubectl network-mapper")],
)
def test_wheel_installs_the_program(installed, program, name):
    environ = {**os.environ, "PYTHONPATH": str(installed)}
    command = [installed / "bin" / program, "reset", "-h"]
    process = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert f"Usage: {name} reset" in process.stdout
