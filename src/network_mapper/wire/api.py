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
        workloads: The edges' ends that are workloads of the cluster, with the labels of the newest pod, or of the last
            that is remembered, where they were asked for; sorted.
        ignored: Parameters of the query that this mapper does not know, so that more is told than was asked for.
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
    ignored: list[str] = []


class WorkloadsDocument(msgspec.Struct):
    """Every workload the mapper knows, whether or not it was seen to speak; `ignored` as in `MapDocument`."""

    workloads: list[WorkloadRow]
    ignored: list[str] = []


class SnifferStatus(msgspec.Struct):
    """One node's sniffer as the mapper last heard of it, through the report door.

    Attributes:
        node: Its name.
        agent: Program and version, as the sniffer says them.
        boot: Chosen anew at each of its starts.
        started: When it began to watch.
        last_report: When it was last heard.
        reports: Heard since the mapper started.
        connected: Whether it was heard lately.
        sources: How much each of its ways of watching has seen since its start.
        drops: What it has dropped since its start, by `model.Drop`.
        version: Of the program, where `agent` tells it.
        clock_ahead: By how many milliseconds at least the node's clock is ahead of the mapper's, negative when behind.
        capture: The way in which it watches, as it says: `packets`, `sockets` (tables alone), `file`.
        capture_reason: Why no better one.
    """

    node: str
    agent: str
    boot: str
    started: int
    last_report: int
    reports: int
    connected: bool
    sources: dict[str, int]
    drops: dict[str, int]
    version: str = ""
    clock_ahead: int = 0
    capture: str = ""
    capture_reason: str = ""


class SenderStatus(msgspec.Struct):
    """Somebody who reports in the GraphQL of the Otterize network mapper, which names no node and no program.

    Attributes:
        address: Where the requests come from; empty over a Unix socket.
        node: Whose address that is, or on which its pod runs; empty where it is not known.
        workload: Of the pod that has the address; empty where it is no pod's.
        agent: The program as it calls itself to HTTP servers, which may be no more than its library.
        reports: Heard since the mapper started, by operation, such as `reportCaptureResults`.
        last_report: When it was last heard.
        watches: Whether it was heard lately with what sniffers report.
    """

    address: str
    node: str
    workload: str
    agent: str
    reports: dict[str, int]
    last_report: int
    watches: bool


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


class SnifferSetStatus(msgspec.Struct):
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


class InstallationStatus(msgspec.Struct):
    """How this program is installed in the cluster it follows.

    Attributes:
        namespace: Of the mapper's own pod; empty where it runs outside.
        pod_security: The level of the Pod Security Standards that this namespace enforces by its label, or empty.
        sniffer_sets: The DaemonSets of its sniffers.
        other_mappers: Services of other mappers in this cluster, as `namespace/name`.
        problems: What stands in the way at present, a line each.
        reasons: Of nodes that are not watched: why, as far as the cluster's objects tell.
    """

    namespace: str = ""
    pod_security: str = ""
    sniffer_sets: list[SnifferSetStatus] = []
    other_mappers: list[str] = []
    problems: list[str] = []
    reasons: dict[str, str] = {}


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
        drops: The other rows, by `model.Drop`, without those that are `waiting`.
        sniffers: By node name.
        uncovered_nodes: Nodes of the cluster that no connected sniffer watches, and no sender that `watches`; without
            those that no sniffer can watch, as it is made for Linux.
        cluster: The Kubernetes side.
        covered_nodes: The others.
        senders: Who reports in GraphQL, by address.
        installation: How all this is installed in the cluster.
        waiting: Rows whose client is not known yet; they go into the map as soon as it is.
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
    covered_nodes: list[str] = []
    senders: list[SenderStatus] = []
    installation: InstallationStatus = msgspec.field(default_factory=InstallationStatus)
    waiting: int = 0


class ResetDocument(msgspec.Struct):
    """The answer to a reset.

    Attributes:
        epoch: Of the map that begins.
        removed_edges: How many edges the former one had.
        removed_since: Since when that had been watching, as its `MapDocument.watching_since`.
        store: Identity of the map; the same before and after.
        reset_at: When it was emptied, on the mapper's clock: what was seen before does not count.
    """

    epoch: int
    removed_edges: int
    removed_since: int = 0
    store: str = ""
    reset_at: int = 0
