"""Which part of the map is told, and what is told beside the edges."""

import itertools

import pytest
from cluster_objects import NOW, pod
from kube import apply as apply_objects

from network_mapper.cluster.installation import Installation
from network_mapper.cluster.objects import NODE, Node, ObjectMeta
from network_mapper.mapper import query
from network_mapper.model import Tally, Workload
from network_mapper.wire.api import ClusterStatus
from network_mapper.wire.report import Client, Flow, Report

_sequence = itertools.count(1)

AGENT = Workload("mapper", "shop", "StatefulSet")


def flow(server, port=80):
    return Flow(server, port, "tcp", 1, -100, 0)


@pytest.fixture
def seen(state):
    """Report connections of one client, from its node."""

    def report(client, *flows, node="node-a", **more):
        sent = Report(node, "boot", next(_sequence), NOW, NOW - 60_000, **more)
        sent.clients = [Client(client, connections=list(flows))]
        state.coverage.hear(sent, NOW)
        state.apply(sent, NOW, len(flows), Tally())

    return report


@pytest.fixture
def mapper_pod(index):
    item = pod("mapper-0", "node-a", "10.0.0.20", ("StatefulSet", "mapper"))
    item["metadata"]["labels"] = {"app.kubernetes.io/name": "network-mapper"}
    apply_objects(index, item)
    return item


def ask(state, *parameters):
    return query.map_document(state, query.filter_of(parameters), NOW)


def test_labels_are_told_where_they_are_asked_for_one_row_an_end(state, seen):
    seen("10.0.0.1", flow("10.0.1.2", 5432), flow("10.0.1.2", 5433), flow("198.51.100.1"), flow("192.168.1.2"))
    assert ask(state).workloads == []
    rows = ask(state, ("labels", "true")).workloads
    assert [(row.name, row.namespace, row.kind, row.pods, row.labels) for row in rows] == [
        ("db", "shop", "StatefulSet", 1, {"app": "db"}),
        ("web", "shop", "Deployment", 2, {"app": "web-1"}),
    ]


def test_labels_are_those_of_the_ends_that_are_told(state, seen):
    seen("10.0.0.1", flow("10.0.1.2", 5432))
    seen("10.0.0.9", flow("10.0.1.2", 5432))
    seen("10.0.1.2", flow("10.0.0.20"), node="node-b")
    rows = ask(state, ("labels", "true"), ("client", "web")).workloads
    assert [row.name for row in rows] == ["db", "web"]


def test_labels_of_a_workload_without_pods_are_those_that_are_remembered(state, seen, index):
    seen("10.0.1.2", flow("10.0.0.1"), node="node-b")
    index.delete("Pod", "shop", "db-0", NOW + 1000)
    row = ask(state, ("labels", "true")).workloads[0]
    assert (row.name, row.pods, row.labels) == ("db", 0, {"app": "db"})
    index.forget(NOW + 4_000_000)
    row = ask(state, ("labels", "true")).workloads[0]
    assert (row.name, row.pods, row.labels) == ("db", 0, {})


def test_own_parts_are_told_where_they_are_ends(state, seen, mapper_pod):
    seen("10.0.0.1", flow("10.0.1.2", 5432))
    assert ask(state).own == []
    seen("10.0.0.1", flow("10.0.0.20", 9090))
    assert ask(state).own == [AGENT]
    assert ask(state, ("server", "mapper")).own == [AGENT]
    assert ask(state, ("server", "db")).own == []


def test_what_is_remembered_of_an_own_part_hides_it_still(state, seen, index, mapper_pod):
    seen("10.0.0.1", flow("10.0.0.20", 9090))
    index.delete("Pod", "shop", "mapper-0", NOW)
    assert ask(state).own == [AGENT]


def test_unknown_parameters_are_passed_over_and_named(state, seen):
    seen("10.0.0.1", flow("10.0.1.2", 5432))
    document = ask(state, ("nmaespace", "none"), ("colour", "red"), ("colour", "blue"), ("client", "web"))
    assert (len(document.edges), document.ignored) == (1, ["nmaespace", "colour"])


def test_a_flood_of_unknown_parameters_is_not_repeated_in_the_answer():
    asked = query.filter_of((f"{number}" + "x" * 1000, "") for number in range(1000))
    assert len(asked.ignored) == 16
    assert max(map(len, asked.ignored)) == 64


@pytest.mark.parametrize("value", ["", "1", "True", "yes", "x" * 1000])
def test_labels_takes_true_or_false(value):
    with pytest.raises(query.FilterError, match="labels takes true or false") as error:
        query.filter_of([("labels", value)])
    assert len(str(error.value)) < 120


def test_versions_and_clocks_of_sniffers_are_told(state, seen):
    seen("10.0.0.1", node="node-a", agent="network-mapper-sniffer/1.2.3", ahead=-70)
    seen("10.0.1.1", node="node-b", agent="something")
    status = query.status_document(state, ClusterStatus("files", 0, 0, 0, 0, []), NOW)
    told = [(each.node, each.agent, each.version, each.clock_ahead) for each in status.sniffers]
    assert told == [
        ("node-a", "network-mapper-sniffer/1.2.3", "1.2.3", -70),
        ("node-b", "something", "", 0),
    ]
    assert (status.covered_nodes, status.uncovered_nodes) == (["node-a", "node-b"], [])


def test_how_a_node_is_watched_is_told(state, seen):
    seen("10.0.0.1", node="node-a", capture="sockets", capture_reason="packets need CAP_NET_RAW")
    (sniffer,) = query.status_document(state, ClusterStatus("files", 0, 0, 0, 0, []), NOW).sniffers
    assert (sniffer.capture, sniffer.capture_reason) == ("sockets", "packets need CAP_NET_RAW")


def test_a_node_that_no_sniffer_can_watch_is_not_missing_one_and_others_have_a_reason(state, index):
    installed = Installation(index, "maps")
    windows = Node(ObjectMeta(name="node-b", labels={"kubernetes.io/os": "windows"}))
    installed.apply(NODE, windows)
    status = query.status_document(state, ClusterStatus("api", 0, 0, 0, 0, []), NOW, installed)
    assert (status.covered_nodes, status.uncovered_nodes) == ([], ["node-a"])
    assert status.installation.reasons == {"node-a": "no DaemonSet of sniffers is installed"}
    assert status.installation.namespace == "maps"


def test_of_very_many_nodes_without_a_sniffer_a_hundred_have_a_reason(state, index):
    installed = Installation(index)
    for number in range(150):
        installed.apply(NODE, Node(ObjectMeta(name=f"more-{number:03}")))
    status = query.status_document(state, ClusterStatus("api", 0, 0, 0, 0, []), NOW, installed)
    assert len(status.uncovered_nodes) == 152
    assert list(status.installation.reasons) == status.uncovered_nodes[:100]


def test_rows_that_wait_are_in_the_status(state, seen):
    seen("10.0.0.50", flow("10.0.1.2"))
    status = query.status_document(state, ClusterStatus("api", 0, 0, 0, 0, []), NOW)
    assert (status.waiting, status.rows, status.merged, sum(status.drops.values())) == (1, 1, 0, 0)


def test_a_node_whose_sniffer_speaks_graphql_is_covered_for_some_minutes(state, index):
    state.senders.hear("192.168.1.2", "Go-http-client/1.1", "reportCaptureResults", NOW)
    state.senders.hear("192.168.1.2", "Go-http-client/1.1", "reportCaptureResults", NOW + 1000)
    state.senders.hear("10.0.1.2", "watcher", "reportKafkaMapperResults", NOW)
    state.senders.hear("", "", "reportTCPCaptureResults", NOW)
    cluster = ClusterStatus("files", 0, 0, 0, 0, [])
    status = query.status_document(state, cluster, NOW + 1000)
    assert [(each.address, each.node, each.workload, each.agent, each.watches) for each in status.senders] == [
        ("", "", "", "", True),
        ("10.0.1.2", "node-b", "db", "watcher", False),
        ("192.168.1.2", "node-b", "", "Go-http-client/1.1", True),
    ]
    assert status.senders[2].reports == {"reportCaptureResults": 2}
    assert status.senders[2].last_report == NOW + 1000
    assert (status.covered_nodes, status.uncovered_nodes) == (["node-b"], ["node-a"])
    later = query.status_document(state, cluster, NOW + 302_000)
    assert (later.covered_nodes, later.uncovered_nodes) == ([], ["node-a", "node-b"])


def test_of_too_many_senders_the_quietest_are_forgotten(state):
    for number in range(2500):
        state.senders.hear(f"10.{number // 256}.{number % 256}.1", "a" * 1000, "reportCaptureResults", NOW + number)
    rows = state.senders.status(state.index, NOW)
    assert (len(rows), min(row.last_report for row in rows)) == (2000, NOW + 500)
    assert max(len(row.agent) for row in rows) == 200
