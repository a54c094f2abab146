"""The API group and version of the kinds that own pods, as the model system's answers name them.

A workload knows its kind only. The built-in kinds are known here; others are learned from the references by which
pods and owners name their owners.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from network_mapper.cluster.objects import OwnerReference

BUILT_IN: Final = {
    "CronJob": ("batch", "v1"),
    "DaemonSet": ("apps", "v1"),
    "Deployment": ("apps", "v1"),
    "Job": ("batch", "v1"),
    "Node": ("", "v1"),
    "Pod": ("", "v1"),
    "ReplicaSet": ("apps", "v1"),
    "ReplicationController": ("", "v1"),
    "StatefulSet": ("apps", "v1"),
}

MOST: Final = 1000
"""Kinds that are learned; a cluster with every operator there is has some hundreds."""


class Kinds:
    """Kinds with their group and version.

    Attributes:
        left_out: References to kinds beyond `MOST`.
    """

    def __init__(self) -> None:
        self._learned: dict[str, tuple[str, str]] = {}
        self.left_out = 0

    def learn(self, owner: OwnerReference) -> None:
        """Take in what a reference says.

        Where two groups have a kind of one name, the first in the alphabet stands for both, whichever came first.
        """
        if owner.kind in BUILT_IN:
            return
        group, _, version = owner.api_version.rpartition("/")
        found = (group, version)
        held = self._learned.get(owner.kind)
        if held is None and len(self._learned) >= MOST:
            self.left_out += 1
        elif held is None or found < held:
            self._learned[owner.kind] = found

    def version_of(self, kind: str) -> tuple[str, str] | None:
        """Group (empty for the core) and version of a kind, None when it was never met."""
        return BUILT_IN.get(kind) or self._learned.get(kind)
