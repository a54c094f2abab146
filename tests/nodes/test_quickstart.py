"""`docs/quickstart.md`, done by a newcomer on a real cluster: every command of it, and what it prints."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import kubernetes
import pytest
import tutorial

from network_mapper import __version__

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "quickstart.md"
PICTURE = ROOT / "docs" / "pictures" / "quickstart.svg"
GET = "Get the command line"
OURS, TUTORIAL = "network-mapper", "mapper-tutorial"

pytestmark = pytest.mark.timeout(300)


class Newcomer:
    """Types lines into one shell, in a checkout."""

    def __init__(self, cluster, home):
        self.cluster, self.checkout, self.kept = cluster, home / "checkout", home / "environment"
        for name in ("charts", "docs", "src"):
            shutil.copytree(ROOT / name, self.checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, self.checkout)
        path = os.pathsep.join([str(kubernetes.tool("helm").parent), cluster.environment()["PATH"]])
        self.environ = {"HOME": str(home), "PATH": path}

    def type(self, lines):
        script = f"[ ! -e {self.kept} ] || . {self.kept}\nset -e\n{lines}\nexport -p > {self.kept}\n"
        command = ["bash", "-c", f"exec 2>&1\n{script}"]
        return self.cluster.run(command, cwd=self.checkout, env=self.environ, stdin=subprocess.DEVNULL).stdout


@pytest.fixture
def newcomer(cluster, product, tmp_path):
    yield Newcomer(cluster, tmp_path)
    for name in (TUTORIAL, OURS):
        cluster.kubectl("delete", "namespace", name, "--ignore-not-found")
    for kind in ("clusterrole", "clusterrolebinding", "priorityclass"):
        cluster.kubectl("delete", kind, "-l", "app.kubernetes.io/part-of=network-mapper", "--ignore-not-found")


def follow(newcomer, steps):
    for step in steps:
        tutorial.follow(step, newcomer.type)


def left(cluster):
    """What of the tutorial is in the cluster."""
    names = cluster.kubectl("get", "namespaces,clusterroles,clusterrolebindings,priorityclasses", "-o", "name")
    return [name for name in names.splitlines() if re.search(rf"/({OURS}|{TUTORIAL})", name)]


def test_tutorial_with_helm(newcomer, cluster):
    newcomer.environ |= without_network()
    began = time.monotonic()
    follow(newcomer, tutorial.steps(PAGE.read_text()))
    took = time.monotonic() - began
    assert drawn((newcomer.checkout / "tutorial.svg").read_text()) == drawn(PICTURE.read_text())
    assert left(cluster) == []
    assert took < 5 * 60


def test_tutorial_without_helm(newcomer, cluster):
    newcomer.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{newcomer.environ['PATH']}"
    steps = tutorial.steps(PAGE.read_text())
    chosen = [step.other or step for step in steps if step.section != GET]
    assert not any("helm" in step.commands for step in chosen)
    follow(newcomer, chosen)
    assert left(cluster) == []


def without_network():
    """Variables with which `pip install .` takes what it needs from the tests' own packages."""
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    return {"PYTHONPATH": packages, "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}


def drawn(svg):
    """A picture without the time that it was made and the counts, which are another's."""
    svg = re.sub(r"as seen at [\d :-]+ UTC", "as seen at TIME", svg)
    return re.sub(r"\b[1-9]\d* (lookup|connection)s?\b", r"N \1s", svg)


def test_page_is_of_this_version():
    assert f"network-mapper {__version__} (Python …)" in PAGE.read_text()
