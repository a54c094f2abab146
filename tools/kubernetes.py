"""Build the programs of a Kubernetes cluster from their Go modules, once per machine.

The tests run against the real thing: kube-apiserver, kube-controller-manager and etcd for the control plane (Debian
12's etcd would do but for the progress notices without which the API server offers no streaming lists), and kubelet,
kube-proxy, kube-scheduler, kubectl, CoreDNS and Helm where there are nodes. Their modules and checksums are locked in
`tests/cluster/{kubernetes,coredns,helm}/`; the programs are kept in the cache with a list of their hashes, which is
compared before each use. `KUBEBUILDER_ASSETS`, the variable of the field for a folder with a control plane, goes first.

What is used apart is kept apart: a control plane can run while the rest is still built. A stand-in for the kubelet, our
own few lines around its port-forward handler, is built from the same locked modules and kept in a folder of its own, so
a change of it rebuilds nothing else.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import cache

MODULES = Path(__file__).resolve().parent.parent / "tests" / "cluster"
MODULE = MODULES / "kubernetes"
PROGRAMS = {
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "etcd": "go.etcd.io/etcd/server/v3",
}
"""The programs, and the Go packages that they are."""
NODE_PROGRAMS = {
    "kubelet": "k8s.io/kubernetes/cmd/kubelet",
    "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
}
"""What a cluster with nodes needs beyond them."""
TOOLS = {"coredns": "github.com/coredns/coredns", "helm": "helm.sh/helm/v3/cmd/helm"}
"""Programs with modules of their own, each in the folder of its name."""
KUBELET = {"kubelet": "./kubelet"}
"""The stand-in for the kubelet."""
SUMS = "SHA256SUMS"
PROGRESS_SECONDS = 30


class KubernetesMissingError(Exception):
    """The programs are not here and cannot be built; the message says what to do."""


def version(program: str = "kubernetes") -> str:
    """Version that the lock names of Kubernetes, CoreDNS or Helm, as 1.34.4."""
    lock = MODULES / program / "go.mod"
    module = {"kubernetes": "k8s.io/kubernetes", "coredns": "github.com/coredns/coredns", "helm": "helm.sh/helm/v3"}
    found = re.search(rf"{re.escape(module[program])} v(\S+)", lock.read_text())
    if not found:
        raise KubernetesMissingError(f"{lock} names no {module[program]}")
    return found[1]


def programs() -> Path:
    """Folder with all `PROGRAMS`, built now if need be (some ten minutes).

    Raises:
        KubernetesMissingError: There is no Go toolchain, or the build failed.
    """
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets:
        missing = [name for name in PROGRAMS if not (Path(assets) / name).exists()]
        if missing:
            raise KubernetesMissingError(f"KUBEBUILDER_ASSETS={assets} has no {' and no '.join(missing)}")
        return Path(assets)
    go = _go("let KUBEBUILDER_ASSETS name a folder with kube-apiserver, kube-controller-manager and etcd")
    return _built(go, PROGRAMS, f"{version()}-{_toolchain(go)}-{_locks()}")


def node_programs() -> Path:
    """Folder with all `NODE_PROGRAMS`, built now if need be (some five minutes).

    Raises:
        KubernetesMissingError: There is no Go toolchain, or the build failed.
    """
    go = _go("the tests with nodes need it")
    return _built(go, NODE_PROGRAMS, f"nodes-{version()}-{_toolchain(go)}-{_locks()}")


def tool(name: str) -> Path:
    """One of `TOOLS`, built now if need be (some minutes).

    Raises:
        KubernetesMissingError: There is no Go toolchain, or the build failed.
    """
    go = _go("the tests of the chart and those with nodes need it")
    folder = f"{name}-{version(name)}-{_toolchain(go)}-{_locks(MODULES / name)}"
    return _built(go, {name: TOOLS[name]}, folder, MODULES / name) / name


def kubelet() -> Path:
    """The stand-in for the kubelet, built now if need be (a minute where nothing was built before, else seconds).

    Raises:
        KubernetesMissingError: There is no Go toolchain, or the build failed.
    """
    go = _go("the tests of port-forwards need it")
    sources = cache.digest(*sorted((MODULE / "kubelet").glob("*.go")))
    return _built(go, KUBELET, f"kubelet-{version()}-{_toolchain(go)}-{_locks()}-{sources}") / "kubelet"


def _go(otherwise: str) -> str:
    go = shutil.which("go")
    if not go:
        raise KubernetesMissingError(
            "the Kubernetes of the tests is built with Go, which is not installed: install Go 1.24 or newer, or "
            + otherwise
        )
    return go


def _toolchain(go: str) -> str:
    found = subprocess.run([go, "env", "GOVERSION"], check=True, capture_output=True, text=True, cwd=MODULE)
    return found.stdout.strip()


def _locks(module: Path = MODULE) -> str:
    return cache.digest(module / "go.mod", module / "go.sum")


def _built(go: str, programs: dict[str, str], name: str, module: Path = MODULE) -> Path:
    folder = cache.home() / "kubernetes" / name
    return cache.ensure(
        folder, lambda aside: _build(go, aside, programs, module), lambda found: _verified(found, programs)
    )


def _build(go: str, folder: Path, programs: dict[str, str], module: Path) -> None:
    release = version()
    major, minor, _ = release.split(".", 2)
    package = "k8s.io/component-base/version"
    stamp = f"-X {package}.gitVersion=v{release} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}"
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    for program, source in programs.items():
        with _Progress(f"building {program}"):
            done = subprocess.run([go, "build", "-trimpath", "-ldflags", f"-s -w {stamp}", "-o", folder / program,
                                   source], check=False, cwd=module, env=environment, capture_output=True,
                                  text=True)  # fmt: skip
        if done.returncode:
            raise KubernetesMissingError(f"building {program} failed:\n{done.stderr[-2000:]}")
    sums = [f"{_sha256(folder / program)}  {program}\n" for program in programs]
    (folder / SUMS).write_text("".join(sums))


def _verified(folder: Path, programs: dict[str, str]) -> bool:
    try:
        lines = (folder / SUMS).read_text().splitlines()
        return len(lines) == len(programs) and all(
            _sha256(folder / name) == wanted for wanted, name in (line.split("  ", 1) for line in lines)
        )
    except (OSError, ValueError):
        return False


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


class _Progress:
    """A line at the beginning, one every half minute, one at the end."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._ended = threading.Event()
        self._started = 0.0

    def _say(self, text: str) -> None:
        print(f"==> {self._what}: {text}", file=sys.stderr, flush=True)

    def _tell(self) -> None:
        while not self._ended.wait(PROGRESS_SECONDS):
            self._say(f"{time.monotonic() - self._started:.0f} s")

    def __enter__(self) -> None:
        self._started = time.monotonic()
        self._say("some minutes, once on this machine")
        threading.Thread(target=self._tell, daemon=True).start()

    def __exit__(self, failure: object, *_: object) -> None:
        self._ended.set()
        self._say(f"{'gave up after' if failure else 'took'} {time.monotonic() - self._started:.0f} s")
