"""What watchers, meshes and meters report: requests and volumes, by parties that are more than an address."""

import asyncio
import contextlib
import itertools

import pytest
from cluster_objects import NOW

from network_mapper.mapper.graph import DETAILS_PER_EDGE
from network_mapper.mapper.merge import Rules
from network_mapper.mapper.state import State
from network_mapper.model import External, ServiceRef, Tally, Workload
from network_mapper.store import Database, Writer
from network_mapper.wire import party
from network_mapper.wire.report import LEGACY_NODE, Client, Flow, Lookup, Report, Request, Volume

_sequence = itertools.count(1)
WEB, DB = Workload("web", "shop", "Deployment"), Workload("db", "shop", "StatefulSet")


def report(*clients, node=LEGACY_NODE):
    return Report(node, "boot", next(_sequence), NOW, clients=list(clients))


@pytest.fixture
def apply(state):
    def run(*clients, node=LEGACY_NODE):
        sent = report(*clients, node=node)
        state.coverage.hear(sent, NOW)
        return state.apply(sent, NOW, sum(client.rows() for client in sent.clients), Tally())

    return run


@pytest.fixture
def only(state):
    def read():
        (entry,) = state.graph.in_order()
        return entry.edge

    return read


def kafka(topic, operation, server=None, count=1):
    return Request(server or party.write(party.POD, "shop", "db-0"), "kafka", topic, operation, count, 0, 0)


def test_a_kafka_access_joins_the_clients_address_and_the_brokers_pod(apply, only):
    apply(Client("10.0.0.1", requests=[kafka("orders", "PRODUCE"), kafka("orders", "CONSUME", count=2)]))
    edge = only()
    assert (edge.client, edge.server, edge.port, edge.protocol) == (WEB, DB, 0, "kafka")
    assert edge.requests == 3
    assert edge.details == {"orders": ["CONSUME", "PRODUCE"]}


def test_a_pod_that_does_not_exist_is_counted_and_its_neighbour_kept(apply, only):
    receipt = apply(Client("10.0.0.1", requests=[kafka("a", "READ", "pod:shop/nobody"), kafka("a", "CONSUME")]))
    assert receipt.dropped == {"pod_unknown": 1}
    assert only().requests == 1


def test_a_service_that_a_mesh_names_is_kept(apply, only):
    request = Request("pod:shop/db-0", "http", "/cart/{id}", "GET", 1, 0, 0, "shop/db")
    apply(Client("10.0.0.1", requests=[request]))
    assert only().service == ServiceRef("db", "shop")
    assert only().details == {"/cart/{id}": ["GET"]}


def test_a_cloud_resource_is_external_by_its_name(apply, only):
    arn = "arn:aws:s3:::bucket/with:colons"
    apply(Client(party.write(party.WORKLOAD, "shop", "web"), requests=[
        Request(party.external(arn), "aws", "actions", "s3:GetObject", 1, 0, 0)]))  # fmt: skip
    assert (only().client, only().server) == (WEB, External(arn))
    assert only().details == {"actions": ["s3:GetObject"]}


def test_a_workload_without_pods_is_believed_by_its_name(apply, only):
    apply(Client("workload:shop/gone", requests=[Request("external:x", "azure", "actions", "read", 1, 0, 0)]))
    assert only().client == Workload("gone", "shop", "")


def test_volumes_add_up(apply, only):
    apply(Client("10.0.0.1", volumes=[Volume("10.0.1.2", 1000, 2, 0, 0), Volume("10.0.1.2", 24, 1, -5, 0)]))
    assert (only().bytes, only().flows, only().protocol) == (1024, 3, "ip")
    assert only().first_seen == NOW - 5


def test_requests_count_whichever_node_is_watched(apply, only, state):
    state.coverage.hear(Report("node-a", "b", 1, NOW, started=NOW - 60_000), NOW)
    apply(Client("10.0.0.1", requests=[kafka("orders", "PRODUCE")]))
    assert only().requests == 1


def test_a_watched_node_counts_before_a_sender_that_does_not_say_where_it_is(apply, state):
    state.coverage.hear(Report("node-a", "b", 1, NOW, started=NOW - 60_000), NOW)
    assert apply(Client("10.0.0.1", connections=[flow("10.0.1.2")])).dropped == {"seen_elsewhere": 1}
    assert len(state.graph) == 0


def flow(server, port=5432, count=1):
    return Flow(server, port, "tcp", count, 0, 0)


def test_a_sender_that_does_not_say_where_it_is_covers_no_node(apply, state):
    apply(Client("10.0.0.1", connections=[flow("10.0.1.2")]))
    assert state.coverage.sniffers == {}
    assert len(state.graph) == 1


def test_remembered_rows_of_such_senders_add_up(apply, only):
    for _ in range(3):
        apply(Client("10.0.0.1", connections=[flow("10.0.1.2", count=2)]))
    assert only().connections == 6


def test_a_connection_to_an_unknown_port_is_taken_from_such_senders_alone(apply, only):
    apply(Client("10.0.0.1", connections=[flow("10.0.1.2", 0)]))
    assert only().port == 0
    assert apply(Client("10.0.0.1", connections=[flow("10.0.1.2", 0)]), node="node-a").dropped == {"row_malformed": 1}


def test_a_host_name_that_fits_settles_who_a_client_is(apply, only):
    apply(Client("web-1-a@10.0.0.1", connections=[flow("db-0@10.0.1.2")]))
    assert (only().client, only().server) == (WEB, DB)


@pytest.mark.parametrize(("client", "server"), [("other@10.0.0.1", "10.0.1.2"), ("10.0.0.1", "other@10.0.1.2")])
def test_a_host_name_of_another_pod_makes_no_edge(apply, state, client, server):
    assert apply(Client(client, connections=[flow(server)])).dropped == {"hostname_mismatch": 1}
    assert len(state.graph) == 0


def test_a_nodes_name_beside_its_address_adds_nothing(apply, only):
    apply(Client("10.0.0.1", connections=[flow("worker-7@192.168.1.2", 10250)]))
    assert only().server.name == "node-b"


def test_an_edge_remembers_that_only_the_address_beside_a_name_found_it(apply, state):
    apply(Client("10.0.0.1", connections=[flow("db-0@10.0.1.2")]))
    (entry,) = state.graph.in_order()
    assert entry.by_address
    apply(Client("10.0.0.1", connections=[flow("10.0.1.2")]))
    assert not entry.by_address
    apply(Client("10.0.0.1", connections=[flow("db-0@10.0.1.2")]))
    assert not entry.by_address


@pytest.mark.parametrize(
    "text", ["", "pod:", "pod:shop", "pod:/db-0", "app:shop/", "external:", "@10.0.0.1", "x@y", "::1%lo"]
)
def test_a_party_that_cannot_be_read_is_counted(apply, text):
    assert apply(Client(text, connections=[flow("10.0.1.2")])).dropped == {"address_invalid": 1}
    assert apply(Client("10.0.0.1", connections=[flow(text)])).dropped == {"address_invalid": 1}


def test_details_are_bounded_and_the_requests_still_counted(apply, only):
    rows = [Request("pod:shop/db-0", "http", f"/{n}", "GET", 1, 0, 0) for n in range(DETAILS_PER_EDGE + 5)]
    receipt = apply(Client("10.0.0.1", requests=rows))
    assert receipt.dropped == {"details_full": 5}
    assert receipt.rows == DETAILS_PER_EDGE + 5
    assert (only().requests, len(only().details)) == (DETAILS_PER_EDGE + 5, DETAILS_PER_EDGE)


def test_a_path_without_methods_is_a_path(apply, only):
    for action in ("", "GET", ""):
        apply(Client("10.0.0.1", requests=[Request("pod:shop/db-0", "http", "/cart", action, 1, 0, 0)]))
        assert "" not in only().details["/cart"]
    apply(Client("10.0.0.1", requests=[Request("pod:shop/db-0", "http", "/bare", "", 1, 0, 0)]))
    assert only().details == {"/cart": ["GET"], "/bare": []}


@pytest.mark.parametrize(
    "request_",
    [
        Request("pod:shop/db-0", "gopher", "/", "GET", 1, 0, 0),
        Request("pod:shop/db-0", "http", "/", "GET", 1, 0, 0, "db"),
    ],
)
def test_a_request_that_makes_no_sense_is_counted(apply, request_):
    assert apply(Client("10.0.0.1", requests=[request_])).dropped == {"row_malformed": 1}


class TestLeftOut:
    @pytest.fixture
    def state(self, index):
        return State(index, 1000, Rules(frozenset({"shop"}), external=False))

    def test_an_edge_with_an_end_in_an_excluded_namespace_is_dropped(self, apply, state):
        assert apply(Client("10.0.0.1", connections=[flow("10.0.1.2")])).dropped == {"namespace_excluded": 1}
        assert len(state.graph) == 0

    def test_the_outside_can_be_left_out(self, apply):
        lookup = Lookup("example.com", 1, 0, 0, ("203.0.113.5",))
        assert apply(Client("10.0.0.1", lookups=[lookup])).dropped == {"external_left_out": 1}


def test_details_and_volumes_outlive_a_restart(apply, state, index, tmp_path):
    path = str(tmp_path / "map.db")
    Database(path).close()
    requests = [kafka("orders", "PRODUCE"), kafka("carts", "")]
    apply(Client("10.0.0.1", requests=requests, volumes=[Volume("10.0.1.2", 7, 1, 0, 0)]))

    async def checkpoint():
        deliver = asyncio.get_running_loop().call_soon_threadsafe
        writer = Writer(path, sync="normal", max_bytes=0, deliver=deliver)
        writer.start()
        await state.checkpoint(writer, NOW)
        assert writer.close(5)

    asyncio.run(checkpoint())
    again = State(index, 1000)
    with contextlib.closing(Database(path)) as database:
        again.restore(database, NOW)
    assert [entry.edge for entry in again.graph.in_order()] == [entry.edge for entry in state.graph.in_order()]
    assert [entry.details for entry in again.graph.in_order()] == [0, 2]
