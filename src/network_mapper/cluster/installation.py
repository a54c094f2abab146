"""How this program itself is installed in the cluster, as far as objects tell that pass on their way to the index.

A node without a sniffer is a hole in the map, and why it has none is written in objects that are read anyway: the
namespace that refuses such pods, the DaemonSet that wants more of them than there are, the pod that does not run. Ours
are known by the recommended labels of Kubernetes, as the Helm chart gives them. No more is asked of the API for
this than DaemonSets as a whole, of which there are few, in place of their metadata.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import msgspec

from network_mapper.cluster.objects import NAMESPACE, NODE, POD, SERVICE, Node, Owner, OwnerMeta, Pod, Service

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from network_mapper.cluster.objects import Object

DAEMON_SET: Final = "DaemonSet.apps"

POD_SECURITY: Final = "pod-security.kubernetes.io/enforce"
"""Label of a namespace that says which pods it refuses."""
REFUSING: Final = frozenset({"baseline", "restricted"})
"""Its values with which there is no host network and no folder of the host, so no sniffer (Pod Security Standards)."""

_NAME: Final = "app.kubernetes.io/name"
_COMPONENT: Final = "app.kubernetes.io/component"
_OS: Final = "kubernetes.io/os"
_SHOWN: Final = 8

Name = tuple[str, str]
"""Namespace and name."""


class LabelledMeta(OwnerMeta):
    """`metadata` of an object of which the labels matter too."""

    labels: dict[str, str] | None = None


class Labelled(Owner):
    """An object of which the metadata with its labels is read."""

    metadata: LabelledMeta | None = None


class DaemonSetStatus(msgspec.Struct, rename="camel", gc=False):
    """`status` of a DaemonSet."""

    desired_number_scheduled: int = 0
    current_number_scheduled: int = 0
    number_ready: int = 0


class DaemonSet(Labelled):
    """`apps/v1 DaemonSet`."""

    status: DaemonSetStatus | None = None


DECODED: Final[dict[str, type[Owner]]] = {NAMESPACE: Labelled, DAEMON_SET: DaemonSet}
"""The kinds of owners of which more is read than what makes them owners."""


class SnifferSet(NamedTuple):
    """A DaemonSet of sniffers.

    Attributes:
        namespace: Of the DaemonSet.
        name: Likewise.
        desired: Nodes that should have a pod of it.
        scheduled: Nodes that have one.
        ready: Nodes on which it is ready.
    """

    namespace: str
    name: str
    desired: int
    scheduled: int
    ready: int


class _Sniffer(NamedTuple):
    """A pod: its node, its phase, and what its container waits for, such as `ImagePullBackOff`."""

    node: str
    phase: str
    waits: str


class Sink(Protocol):
    """Where objects go next: the index."""

    def apply(self, kind: str, item: Object, /) -> None:
        """An object is new or has changed."""

    def delete(self, kind: str, namespace: str, name: str, /, *, at: int) -> None:
        """An object is gone."""


class Installation:
    """Takes in objects, passes them on, and keeps what concerns our own parts.

    Args:
        index: Where objects go.
        namespace: Of the mapper's own pod; empty where it is none.
    """

    def __init__(self, index: Sink, namespace: str = "") -> None:
        self.namespace = namespace
        self._index = index
        self._levels: dict[str, str] = {}
        self._sets: dict[Name, SnifferSet] = {}
        self._mappers: dict[Name, None] = {}
        self._sniffers: dict[Name, _Sniffer] = {}
        self._not_linux: set[str] = set()

    def apply(self, kind: str, item: Object, /) -> None:
        """Pass an object on, and note what it says of us."""
        if isinstance(item, Pod):
            self._note_pod(item)
        elif isinstance(item, Service):
            self._note_service(item)
        elif isinstance(item, Node):
            self._note_node(item)
        elif isinstance(item, Labelled) and item.metadata is not None:
            self._note_labelled(item, item.metadata)
        self._index.apply(kind, item)

    def delete(self, kind: str, namespace: str, name: str, /, *, at: int) -> None:
        """Pass a deletion on."""
        if kind == POD:
            self._sniffers.pop((namespace, name), None)
        elif kind == SERVICE:
            self._mappers.pop((namespace, name), None)
        elif kind == NODE:
            self._not_linux.discard(name)
        elif kind == NAMESPACE:
            self._levels.pop(name, None)
        elif kind == DAEMON_SET:
            self._sets.pop((namespace, name), None)
        self._index.delete(kind, namespace, name, at=at)

    def _note_pod(self, pod: Pod) -> None:
        meta = pod.metadata
        if meta is None or not _is_ours(meta.labels, "sniffer"):
            return
        node = (pod.spec and pod.spec.node_name) or ""
        phase = (pod.status and pod.status.phase) or "Pending"
        self._sniffers[meta.namespace or "", meta.name] = _Sniffer(node, phase, _waits(pod))

    def _note_service(self, service: Service) -> None:
        meta = service.metadata
        if meta is not None:
            key = (meta.namespace or "", meta.name)
            if _is_ours(meta.labels, "mapper"):
                self._mappers[key] = None
            else:
                self._mappers.pop(key, None)

    def _note_node(self, node: Node) -> None:
        meta = node.metadata
        if meta is not None:
            if (meta.labels or {}).get(_OS, "linux") == "linux":
                self._not_linux.discard(meta.name)
            else:
                self._not_linux.add(meta.name)

    def _note_labelled(self, item: Labelled, meta: LabelledMeta) -> None:
        labels = meta.labels or {}
        if not isinstance(item, DaemonSet):
            self._levels.pop(meta.name, None)
            if level := labels.get(POD_SECURITY):
                self._levels[meta.name] = level
            return
        key = (meta.namespace or "", meta.name)
        if _is_ours(labels, "sniffer"):
            status = item.status or DaemonSetStatus()
            self._sets[key] = SnifferSet(
                *key, status.desired_number_scheduled, status.current_number_scheduled, status.number_ready
            )
        else:
            self._sets.pop(key, None)

    # For people

    @property
    def pod_security(self) -> str:
        """The level that the mapper's own namespace enforces by its label; empty where it names none."""
        return self._levels.get(self.namespace, "")

    def sniffer_sets(self) -> list[SnifferSet]:
        """The DaemonSets of sniffers in the mapper's own namespace, or where there is none, in all; sorted."""
        found = sorted(self._sets.values())
        return [one for one in found if one.namespace == self.namespace] or found

    def others(self) -> list[str]:
        """Services of mappers in other namespaces, as `namespace/name`; seen from outside all but the first."""
        names = sorted(self._mappers)
        others = [name for name in names if name[0] != self.namespace] if self.namespace else names[1:]
        return ["/".join(name) for name in others]

    def runs_sniffers(self, node: str) -> bool:
        """Whether a sniffer can run on a node at all: they are Linux's."""
        return node not in self._not_linux

    def watched(self, nodes: Iterable[str]) -> list[str]:
        """Of these nodes, those where a sniffer of the mapper's own namespace is or may be about to be."""
        there = {one.node for (namespace, _), one in self._sniffers.items() if namespace == self.namespace}
        desired = sum(one.desired for one in self._sets.values() if one.namespace == self.namespace)
        return [node for node in nodes if node in there or (len(there) < desired and self.runs_sniffers(node))]

    def problems(self) -> list[str]:
        """What stands in the way, a line each."""
        lines = [
            f"namespace {one.namespace} enforces the PodSecurity level {level}, which refuses the sniffers (host "
            "network, /proc of the host): "
            f"kubectl label --overwrite namespace {one.namespace} {POD_SECURITY}=privileged"
            for one in _one_a_namespace(self.sniffer_sets())
            if (level := self._levels.get(one.namespace, "")) in REFUSING
        ]
        others = self.others()
        if others:
            more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
            lines.append(
                f"this cluster has more than one mapper, each with a map of what its own sniffers see: also "
                f"{', '.join(others[:_SHOWN])}{more}"
            )
        return lines

    def reason(self, node: str) -> str:
        """Why a node has no sniffer that is connected, as far as objects tell."""
        sets = self.sniffer_sets()
        if not sets:
            return "no DaemonSet of sniffers is installed"
        there = {one.namespace for one in sets}
        for (namespace, name), sniffer in sorted(self._sniffers.items()):
            if sniffer.node == node and namespace in there:
                if sniffer.phase == "Running" and not sniffer.waits:
                    return f"its pod {namespace}/{name} runs, but does not reach this mapper: see the pod's log"
                return f"its pod {namespace}/{name} is {sniffer.waits or sniffer.phase}: see kubectl describe pod"
        for one in sets:
            level = self._levels.get(one.namespace, "")
            if level in REFUSING:
                return f"namespace {one.namespace} enforces PodSecurity {level}, which refuses sniffers"
        for one in sets:
            if one.scheduled < one.desired:
                return (
                    f"DaemonSet {one.namespace}/{one.name} has {one.scheduled} of {one.desired} pods: see kubectl "
                    f"describe daemonset"
                )
        return f"DaemonSet {sets[0].namespace}/{sets[0].name} leaves it out: see its nodeSelector and tolerations"


def _is_ours(labels: Mapping[str, str] | None, component: str) -> bool:
    return labels is not None and labels.get(_NAME) == "network-mapper" and labels.get(_COMPONENT) == component


def _waits(pod: Pod) -> str:
    status = pod.status
    states = [found.state for found in (status and status.container_statuses) or ()]
    waiting = [state.waiting.reason for state in states if state and state.waiting and state.waiting.reason]
    return waiting[0] if waiting else ""


def _one_a_namespace(sets: Iterable[SnifferSet]) -> Iterable[SnifferSet]:
    return {one.namespace: one for one in sets}.values()
