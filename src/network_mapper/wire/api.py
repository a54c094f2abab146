"""The documents of the REST interface `/api/v1`, as the mapper writes and the command line reads them.

Times are milliseconds since the epoch (UTC). Fields are only ever added.
"""

from __future__ import annotations

import msgspec

from network_mapper.model import Edge, Workload  # noqa: TC001  msgspec reads the annotations at run time


class Problem(msgspec.Struct):
    """An error as RFC 9457 (`application/problem+json`) describes it."""

    title: str
    status: int
    detail: str = ""


class WorkloadRow(msgspec.Struct):
    """One workload of the cluster."""

    name: str
    namespace: str
    kind: str
    pods: int
    labels: dict[str, str]


class MapDocument(msgspec.Struct):
    """The map, or the part of it that was asked for.

    Attributes:
        store: Identity of the map.
        epoch: Counts its resets.
        watching_since: When the first sniffer of this epoch began to watch; 0 when none has reported.
        generated_at: When this document was made.
        since: Start of the time range that was asked for, else 0.
        until: End of the time range that was asked for, else 0.
        edges: Sorted by client, then server, then service, port and protocol.
        own: Workloads among the edges' ends that are parts of this program, which lists leave out unless asked.
        workloads: The edges' ends that are workloads of the cluster, with their labels, where they were asked for.
    """

    store: str
    epoch: int
    watching_since: int
    generated_at: int
    since: int
    until: int
    edges: list[Edge]
    own: list[Workload] = []
    workloads: list[WorkloadRow] = []


class WorkloadsDocument(msgspec.Struct):
    """Every workload the mapper knows, whether or not it was seen to speak."""

    workloads: list[WorkloadRow]


class SnifferStatus(msgspec.Struct):
    """One node's sniffer as the mapper last heard of it."""

    node: str
    agent: str
    boot: str
    started: int
    last_report: int
    reports: int
    connected: bool
    sources: dict[str, int]
    drops: dict[str, int]


class ResourceStatus(msgspec.Struct):
    """One resource of the Kubernetes API that the mapper reads, or should.

    Attributes:
        resource: Its name, such as `deployments.apps`.
        kind: As in objects, such as `Deployment.apps`.
        state: `waiting`, `listing`, `watching`, or why not: `forbidden`, `absent`.
        objects: Held at present.
        last_event: When it was last heard of; 0 when never.
        lists: Lists begun since the start; each but the first was made necessary by a loss.
        events: Events since the start.
        errors: Failures since the start.
        last_error: What the present failure is; empty when all is well.
        malformed: Objects that could not be read, since the start.
        grant: The rule of a ClusterRole that would allow to read it, where it is forbidden.
    """

    resource: str
    kind: str
    state: str
    objects: int
    last_event: int
    lists: int
    events: int
    errors: int
    last_error: str
    malformed: int
    grant: str


class ClusterStatus(msgspec.Struct):
    """What the mapper knows of the cluster, and where from.

    Attributes:
        source: Where from: files, or the URL of the API.
        pods: Known pods.
        services: Known services.
        nodes: Known nodes.
        workloads: Known workloads that have pods.
        problems: What is wrong at present, a line each.
        domain: The cluster domain.
        namespaces: Known namespaces.
        ready: Whether addresses can be resolved.
        resources: What is read through the API.
    """

    source: str
    pods: int
    services: int
    nodes: int
    workloads: int
    problems: list[str]
    domain: str = ""
    namespaces: int = 0
    ready: bool = True
    resources: list[ResourceStatus] = []


class Status(msgspec.Struct):
    """The state of the mapper and of everything that reports to it.

    Attributes:
        version: Of the mapper.
        store: Identity of the map.
        epoch: Counts its resets.
        reset_at: When the map was last emptied; 0 when never.
        watching_since: As in `MapDocument`.
        now: The mapper's clock.
        edges: Number of edges in the map.
        rows: Rows received since the mapper started.
        merged: Rows that went into the map.
        drops: The other rows, by `model.Drop`.
        sniffers: By node name.
        uncovered_nodes: Nodes of the cluster that no connected sniffer watches.
        cluster: The Kubernetes side.
    """

    version: str
    store: str
    epoch: int
    reset_at: int
    watching_since: int
    now: int
    edges: int
    rows: int
    merged: int
    drops: dict[str, int]
    sniffers: list[SnifferStatus]
    uncovered_nodes: list[str]
    cluster: ClusterStatus


class ResetDocument(msgspec.Struct):
    """The answer to a reset."""

    epoch: int
    removed_edges: int
