"""The product as its users have it: installed by Helm from the chart, with the image on the nodes, asked by its CLI.

with Release(cluster, "network-mapper") as release:
    release.wait_ready()
    release.map()
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import kubernetes

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping

    from harness.cluster import Cluster

CHART = Path(__file__).resolve().parents[3] / "charts" / "network-mapper"
NAME = "network-mapper"
READY = 60.0


class Release:
    """One release of the chart, removed with its namespace at the end of the `with` block.

    The image must be on the nodes (`cluster.load_image`). A second release in one cluster needs another
    `sniffer.healthPort`, as all sniffers of a node share its ports.

    Args:
        cluster: Where.
        namespace: Its namespace, which Helm makes.
        values: Values that differ from the chart's, as in a values file.

    Attributes:
        notes: What Helm printed when it installed it.
    """

    def __init__(self, cluster: Cluster, namespace: str = NAME, values: Mapping[str, Any] | None = None) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.values = dict(values or {})
        self.notes = ""

    def __enter__(self) -> Self:
        try:
            self.notes = self.helm("install", "--create-namespace", values=self.values)
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def helm(self, verb: str, *options: str, values: Mapping[str, Any] | None = None) -> str:
        """Run `helm install` or `helm upgrade` with our chart; returns what it prints, NOTES among it."""
        command = [str(kubernetes.tool("helm")), verb, NAME, str(CHART), "--namespace", self.namespace, *options]
        return self.cluster.run([*command, "--values", "-"], input=json.dumps(values or {})).stdout

    def remove(self) -> None:
        """Uninstall the release and remove its namespace."""
        command = [str(kubernetes.tool("helm")), "uninstall", NAME, "--namespace", self.namespace, "--ignore-not-found"]
        self.cluster.run(command, check=False)
        self.cluster.plane.remove_namespace(self.namespace, wait=True)

    def wait_ready(self, seconds: float = READY) -> None:
        """Wait until the mapper is ready and a sniffer is connected from every node."""
        self.cluster.wait_available(self.namespace, NAME, seconds)
        self.cluster.admin.wait("sniffers", lambda: self.connected() >= set(self.cluster.nodes), seconds)

    def connected(self) -> set[str]:
        """Names of the nodes whose sniffers report."""
        return {item["node"] for item in self.status()["sniffers"] if item["connected"]}

    def cli(self, *arguments: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run the command line against this release, as the admin unless `options` have another environment."""
        where = ["--mapper-namespace", self.namespace]
        command = [sys.executable, "-m", "network_mapper", *arguments, *where]
        return self.cluster.run(command, check=check, **options)

    def status(self) -> dict[str, Any]:
        """The document of `status -o json`."""
        return dict(json.loads(self.cli("status", "-o", "json").stdout))

    def map(self, *options: str) -> dict[str, Any]:
        """The document of `list --all -o json`."""
        return dict(json.loads(self.cli("list", "--all", "-o", "json", *options).stdout))

    def rollback(self) -> str:
        """Run `helm rollback` to the revision before; returns what it prints."""
        command = [str(kubernetes.tool("helm")), "rollback", NAME, "--namespace", self.namespace]
        return self.cluster.run(command).stdout
