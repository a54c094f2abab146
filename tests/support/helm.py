"""Runs the real Helm on the project's chart, with no settings of its own but a folder of a test."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import kubernetes
import yaml

CHART = Path(__file__).parents[2] / "charts" / "network-mapper"
VALUE_SETS = sorted((CHART / "ci").glob("*-values.yaml"))
RELEASE = "network-mapper"
NAMESPACE = "network-mapper"
TIMEOUT = 60


class HelmError(AssertionError):
    """Helm refused; the message is what it said."""


class Helm:
    """Helm on our chart.

    Args:
        program: Path of Helm.
        home: Folder for what it keeps.
        kubeconfig: The cluster to install into, if any.
    """

    def __init__(self, program: Path, home: Path, kubeconfig: Path | None = None) -> None:
        self._program = program
        self._environ = {key: value for key, value in os.environ.items() if not key.startswith(("HELM_", "KUBE"))}
        for part in ("CACHE", "CONFIG", "DATA"):
            self._environ[f"HELM_{part}_HOME"] = str(home / part.lower())
        self._environ["KUBECONFIG"] = str(kubeconfig or home / "none")

    def run(self, *args: str | Path) -> str:
        """What it prints.

        Raises:
            HelmError: It ended with an error.
        """
        done = subprocess.run(
            [self._program, *args], env=self._environ, capture_output=True, text=True, check=False, timeout=TIMEOUT
        )
        if done.returncode:
            raise HelmError(done.stdout + done.stderr)
        return done.stdout

    def lint(self, *args: str | Path) -> str:
        """Check the chart, strictly."""
        return self.run("lint", "--strict", CHART, "--kube-version", kubernetes.version(), *args)

    def template(self, *args: str | Path, release: str = RELEASE, namespace: str = NAMESPACE) -> str:
        """Render the chart without a cluster."""
        where = ("--namespace", namespace, "--kube-version", kubernetes.version())
        return self.run("template", release, CHART, *where, *args)

    def objects(self, *args: str | Path, release: str = RELEASE, namespace: str = NAMESPACE) -> list[dict[str, Any]]:
        """The objects that the chart renders."""
        return objects(self.template(*args, release=release, namespace=namespace))


def objects(rendered: str) -> list[dict[str, Any]]:
    """The objects of a text of several documents."""
    return [found for found in yaml.safe_load_all(rendered) if found]


def one(found: list[dict[str, Any]], kind: str, name: str = "") -> dict[str, Any]:
    """The one object of a kind, or of a kind and name."""
    (only,) = [item for item in found if item["kind"] == kind and name in ("", item["metadata"]["name"])]
    return only


def pod(found: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """The spec of the pods that the one object of a kind makes."""
    spec: dict[str, Any] = one(found, kind)["spec"]["template"]["spec"]
    return spec


def container(found: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Their only container."""
    (only,) = pod(found, kind)["containers"]
    return dict(only)


def environment(found: list[dict[str, Any]], kind: str) -> dict[str, str]:
    """Its variables that have a plain value."""
    return {item["name"]: item["value"] for item in container(found, kind)["env"] if "value" in item}
