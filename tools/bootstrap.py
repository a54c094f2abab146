"""Prepare what the Makefile's targets need: wheels, the virtual environment, the lock files, the tests' Kubernetes.

It runs before anything is installed, so it uses nothing but the standard library. The wheels are kept in a folder
named after the Python version and the lock file's hash; pip checks each wheel against the hash in the lock when it
installs, so a damaged or foreign folder costs time and nothing else.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import cache
import image
import kubernetes
import page_tools

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
RUNTIME_LOCK = ROOT / "requirements.lock"
DEV_LOCK = ROOT / "requirements-dev.lock"
TEST_TOOLS = {
    "chromium": "chromium",
    "curl": "curl",
    "dot": "graphviz",
    "fish": "fish",
    "groff": "groff",
    "jq": "jq",
    "mandoc": "mandoc",
    "node": "nodejs",
    "npm": "npm",
    "openssl": "openssl",
    "pdftotext": "poppler-utils",
    "qemu-system-aarch64": "qemu-system-arm",
    "ruby": "ruby",
    "zsh": "zsh",
}
"""Programs that tests run, and the Debian packages that have them."""
NODE_TOOLS = {
    "busybox": "busybox-static",
    "conntrack": "conntrack",
    "containerd": "containerd",
    "iptables": "iptables",
    "nft": "nftables",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
}
"""Programs that the nodes of a cluster run, and the Debian packages that have them."""
PIP_TOOLS = "pip-tools==7.6.2"
LOCK_HEADER = (
    "# Made by `make lock` from pyproject.toml. Every file is named by its hash, none by where it came from.\n"
)


class BootstrapError(Exception):
    """Something that a person has to do first; the message says what."""


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"==> {text}", file=sys.stderr, flush=True)


def run(*command: str | Path, env: dict[str, str] | None = None) -> None:
    """Run a program; its output goes where ours goes."""
    try:
        subprocess.run([str(part) for part in command], check=True, cwd=ROOT, env=env)
    except subprocess.CalledProcessError as error:
        raise BootstrapError(f"{' '.join(str(part) for part in command)} failed (exit {error.returncode})") from None


def python_of(venv: Path) -> Path:
    """Path of a virtual environment's interpreter."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def apt_install(packages: list[str]) -> None:
    """Install Debian packages.

    Raises:
        BootstrapError: We are not root or there is no apt; the message holds the command to run.
    """
    names = " ".join(packages)
    if os.name != "posix" or os.geteuid() != 0 or not shutil.which("apt-get"):
        raise BootstrapError(f"missing on this machine: {names}. Install it, on Debian with: sudo apt install {names}")
    say(f"installing {names}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", "-qq", env=env)
    run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages, env=env)


def wheels_folder() -> Path:
    """Where the wheels of this lock are kept for this interpreter."""
    version = f"{sys.implementation.name}-{sys.version_info.major}.{sys.version_info.minor}-{sys.platform}"
    return cache.home() / "wheels" / f"{version}-{cache.digest(DEV_LOCK)}"


def _make_venv(venv: Path) -> None:
    if python_of(venv).exists() and subprocess.run([python_of(venv), "-m", "pip", "--version"], check=False,
                                                   capture_output=True).returncode == 0:  # fmt: skip
        return
    if subprocess.run(
        [sys.executable, "-c", "import venv, ensurepip; ensurepip.version()"], check=False, capture_output=True
    ).returncode:
        apt_install(["python3-venv"])
    say(f"making {venv}")
    run(sys.executable, "-m", "venv", "--clear", venv)


def wheels() -> None:
    """Fetch the wheels that the lock names, once, so that later installs need no network."""
    _make_venv(VENV)

    def fetch(folder: Path) -> None:
        say("fetching wheels")
        run(python_of(VENV), "-m", "pip", "download", "--quiet", "--require-hashes", "--only-binary", ":all:",
            "--dest", folder, "-r", DEV_LOCK)  # fmt: skip

    say(f"wheels are in {cache.ensure(wheels_folder(), fetch)}")


def kubernetes_programs() -> None:
    """Build the Kubernetes that tests run against, once; where that cannot be, those tests say what they miss."""
    # Ended by a signal, it still ends its compiler and removes what is half done.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        say(f"Kubernetes {kubernetes.version()} is in {kubernetes.programs()}")
        say(f"the stand-in for its kubelet is {kubernetes.kubelet()}")
        say(f"Helm is {kubernetes.tool('helm')}")
    except kubernetes.KubernetesMissingError as error:
        say(f"tests against a real Kubernetes will be skipped: {error}")


def cluster_programs() -> None:
    """Build what a cluster with nodes needs beyond `kubernetes_programs`, once."""
    kubernetes_programs()
    try:
        say(f"its nodes' programs are in {kubernetes.node_programs()}")
        say(f"CoreDNS is {kubernetes.tool('coredns')}")
    except kubernetes.KubernetesMissingError as error:
        raise BootstrapError(f"a cluster with nodes cannot be made: {error}") from None


def images() -> None:
    """Fetch what images are made of, once; where that cannot be, their tests say what they miss."""
    try:
        image.prefetch()
    except image.ImageMissingError as error:
        say(f"some tests will be skipped: {error}")


def fill_cache() -> None:
    """Fetch and build whatever later targets would have to fetch and build."""
    wheels()
    page()
    images()
    cluster_programs()


def _install_locked(python: Path) -> None:
    install = [python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", DEV_LOCK]
    folder = wheels_folder()
    if folder.is_dir():
        with cache.locked(folder):
            try:
                run(*install, "--no-index", "--find-links", folder)
            except BootstrapError:
                say(f"{folder} is damaged, removing it")
                shutil.rmtree(folder, ignore_errors=True)
            else:
                return
    run(*install)


def venv() -> None:
    """Install the locked packages and this project into `.venv`, unless that is done for this very lock."""
    stamp = VENV / f".installed-{cache.digest(DEV_LOCK, ROOT / 'pyproject.toml', Path(__file__))}"
    if stamp.exists():
        return
    _make_venv(VENV)
    say("installing the locked packages")
    _install_locked(python_of(VENV))
    run(python_of(VENV), "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "-e", ROOT)
    for old in VENV.glob(".installed-*"):
        old.unlink()
    stamp.touch()


def lock() -> None:
    """Resolve anew what pyproject.toml asks for and write both lock files."""
    tools = ROOT / "build" / "lock"
    _make_venv(tools)
    run(python_of(tools), "-m", "pip", "install", "--quiet", PIP_TOOLS)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    runtime = project["project"]["dependencies"] + extras["mapper"]
    for lock_file, wanted in (
        (RUNTIME_LOCK, runtime),
        (DEV_LOCK, ["-c " + str(RUNTIME_LOCK), *runtime, *extras["pictures"], *project["dependency-groups"]["dev"]]),
    ):
        say(f"resolving {lock_file.name}")
        source = tools / "requirements.in"
        source.write_text("\n".join(wanted) + "\n")
        # A local folder of wheels would put its own hashes into the lock instead of the registry's.
        env = {key: value for key, value in os.environ.items() if key != "PIP_FIND_LINKS"}
        run(python_of(tools), "-m", "piptools", "compile", "--quiet", "--upgrade", "--generate-hashes",
            "--allow-unsafe", "--strip-extras", "--no-header", "--no-annotate", "--no-emit-index-url",
            "--no-emit-find-links", "--no-emit-trusted-host", "--no-emit-options",
            "--output-file", tools / lock_file.name, source, env=env)  # fmt: skip
        lock_file.write_text(LOCK_HEADER + (tools / lock_file.name).read_text())


def _missing(tools: dict[str, str]) -> list[str]:
    return [package for program, package in tools.items() if not shutil.which(program)]


def test_tools() -> None:
    """Install the programs that tests run beside ours; where that is not allowed, those tests say what they miss."""
    if missing := _missing(TEST_TOOLS):
        try:
            apt_install(missing)
        except BootstrapError as error:
            say(f"some tests will be skipped: {error}")


def node_tools() -> None:
    """Install what the nodes of a cluster run."""
    if missing := _missing(NODE_TOOLS):
        apt_install(missing)


def page() -> None:
    """Fetch what builds the page of a map, once; where that cannot be, its tests say what they miss."""
    try:
        say(f"the page's tools are in {page_tools.fetch()}")
    except page_tools.MissingError as error:
        say(f"some tests will be skipped: {error}")


STEPS = {
    "cache": fill_cache,
    "cluster-programs": cluster_programs,
    "images": images,
    "kubernetes": kubernetes_programs,
    "lock": lock,
    "node-tools": node_tools,
    "page": page,
    "test-tools": test_tools,
    "venv": venv,
}


def main(names: list[str]) -> int:
    """Run the named steps in their order."""
    try:
        for name in names:
            STEPS[name]()
    except BootstrapError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
