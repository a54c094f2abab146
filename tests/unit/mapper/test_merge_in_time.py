"""Who somebody was when it was seen: pods that a node knows, addresses that change hands, clocks that differ."""

import itertools
from datetime import UTC, datetime

import pytest
from cluster_objects import NOW, endpoints, pod, service
from kube import apply as apply_objects
from kube import decoded, delete

from network_mapper.mapper import resolve, views
from network_mapper.mapper.state import State, seen_in
from network_mapper.mapper.waiting import PATIENCE, SHARE, WaitingRoom
from network_mapper.model import Ambiguous, Drop, PodRef, Tally, Workload
from network_mapper.wire.report import LEGACY_NODE, Client, Flow, Lookup, Report, Request

_sequence = itertools.count(1)
WEB, DB = "Deployment:web", "StatefulSet:db"
NEW = "10.0.1.50"
SECOND = 1000


def report(*clients, node="node-a", base=NOW, **more):
    return Report(node, "boot", next(_sequence), base, started=NOW - 600_000, clients=list(clients), **more)


def flow(server, port=80, count=1, *, answered_by="", answered_port=8080, first=-100, last=0):
    return Flow(server, port, "tcp", count, first, last, answered_by, answered_port if answered_by else 0)


def at(moment):
    """A moment as the API writes it; whole seconds."""
    return datetime.fromtimestamp(moment / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def lived(name, node, address, owner, start, end=None):
    """A pod that had an address for some of the last seconds, told as seconds before the tests' present."""
    finished = None if end is None else at(NOW - end * SECOND)
    item = pod(name, node, address, owner, phase="Running" if end is None else "Succeeded", finished=finished)
    item["status"]["startTime"] = at(NOW - start * SECOND)
    return item


@pytest.fixture
def apply(state):
    """Merge a report and return what was dropped."""

    def run(sent, now=NOW):
        state.coverage.hear(sent, now)
        return state.apply(sent, now, seen_in(sent), Tally()).dropped

    return run


@pytest.fixture
def only(state):
    """The only edge."""

    def read():
        (entry,) = state.graph.in_order()
        return entry.edge

    return read


class TestPods:
    """What a node knows for certain goes before the address."""

    CRON = PodRef("shop", "cron-1", "Pod-shop-cron-1")

    def test_the_pod_is_the_client_whoever_has_the_address(self, apply, edges):
        known = PodRef("shop", "web-1-a", "Pod-shop-web-1-a")
        for _ in range(3):
            assert apply(report(Client("10.0.0.9", pod=known, connections=[flow("10.0.1.2")]))) == {}
        assert edges() == {(WEB, DB, None, 80, "tcp"): (3, 0, 0, 0)}

    def test_a_pod_of_the_address_alone_is_another_client(self, apply, edges):
        known = PodRef("shop", "web-1-a", "Pod-shop-web-1-a")
        for pod_of in (known, None):
            apply(report(Client("10.0.0.7", pod=pod_of, connections=[flow("10.0.1.2")]), base=1_767_226_000_000))
        assert set(edges()) == {(WEB, DB, None, 80, "tcp"), ("Job:job", DB, None, 80, "tcp")}

    def test_a_pod_that_is_not_told_of_waits_and_is_who_it_is_as_soon_as_it_is(self, apply, state, index, edges):
        client = Client("10.0.0.1", pod=self.CRON, connections=[flow("10.0.1.2", count=2)])
        assert apply(report(client)) == {}
        assert (edges(), state.waiting) == ({}, 2)
        apply_objects(index, lived("cron-1", "node-a", "10.0.0.1", ("CronJob", "cron"), 1))
        state.retry(NOW)
        assert edges() == {("CronJob:cron", DB, None, 80, "tcp"): (2, 0, 0, 0)}

    def test_a_pod_of_which_nobody_tells_is_named_without_its_owner(self, apply, state, only):
        apply(report(Client("10.0.0.60", pod=self.CRON, connections=[flow("10.0.1.2", count=2)])))
        state.give_up(NOW + PATIENCE)
        assert only().client == Workload("cron-1", "shop", "")
        assert (state.drops, state.merged) == ({}, 2)

    def test_where_there_is_no_room_it_is_named_at_once(self, apply, state, only):
        state._merger.room = WaitingRoom(most=0)
        apply(report(Client("10.0.0.60", pod=self.CRON, connections=[flow("10.0.1.2", count=2)])))
        assert only().client == Workload("cron-1", "shop", "")

    def test_without_an_address_that_can_be_read_it_waits_as_well(self, apply, state):
        apply(report(Client("fe80::1%eth0", pod=self.CRON, connections=[flow("10.0.1.2")])))
        assert state.waiting == 1

    def test_a_pod_that_is_gone_is_who_it_was(self, apply, index, edges):
        apply_objects(index, lived("cron-1", "node-a", "10.0.0.60", ("CronJob", "cron"), 10))
        client = Client("10.0.0.60", pod=self.CRON, connections=[flow("10.0.1.2")])
        apply(report(client))
        index.delete("Pod", "shop", "cron-1", NOW - 5_000)
        apply(report(client))
        assert edges() == {("CronJob:cron", DB, None, 80, "tcp"): (2, 0, 0, 0)}

    def test_a_pod_that_is_called_otherwise_later_takes_its_known_rows_along(self, apply, index, edges):
        known = PodRef("shop", "web-1-a", "Pod-shop-web-1-a")
        client = Client("10.0.0.1", pod=known, connections=[flow("10.0.1.2")])
        apply(report(client))
        renamed = pod("web-1-a", "node-a", "10.0.0.1", ("Job", "other"))
        apply_objects(index, renamed)
        apply(report(client))
        assert edges() == {(WEB, DB, None, 80, "tcp"): (1, 0, 0, 0), ("Job:other", DB, None, 80, "tcp"): (1, 0, 0, 0)}

    def test_another_nodes_sighting_of_a_known_pod_counts_elsewhere(self, apply, edges):
        apply(report(node="node-a"))
        known = PodRef("shop", "web-1-a", "Pod-shop-web-1-a")
        client = Client("10.0.0.1", pod=known, connections=[flow("10.0.1.2")])
        assert apply(report(client, node="node-b")) == {"seen_elsewhere": 1}
        assert edges() == {}

    def test_what_a_watcher_says_of_a_known_pod_is_that_pods(self, apply, only):
        request = Request("10.0.1.2", "http", "/", "GET", 1, -100, -100)
        apply(report(Client("10.0.0.60", pod=self.CRON, requests=[request])))
        assert only().client == Workload("cron-1", "shop", "")


class TestServers:
    """An address of the cluster's own that nobody is told to have had yet is waited for, dialled or answering."""

    def test_a_server_that_is_told_later_is_merged_then(self, apply, state, index, edges):
        assert apply(report(Client("10.0.0.1", connections=[flow(NEW, count=4)]))) == {}
        assert (edges(), state.waiting) == ({}, 4)
        apply_objects(index, lived("cron-1", "node-b", NEW, ("CronJob", "cron"), 5))
        state.retry(NOW)
        assert edges() == {(WEB, "CronJob:cron", None, 80, "tcp"): (4, 0, 0, 0)}
        assert (state.waiting, state.drops) == (0, {})

    def test_a_service_that_is_told_later_is_merged_then(self, apply, state, index, edges):
        apply(report(Client("10.0.0.1", connections=[flow("10.96.0.50")])))
        apply_objects(index, service("late", "10.96.0.50", 80))
        state.retry(NOW)
        assert edges() == {(WEB, "Service:late", "late", 80, "tcp"): (1, 0, 0, 0)}

    def test_whoever_answered_is_waited_for_too(self, apply, state, index, edges):
        apply(report(Client("10.0.0.1", connections=[flow("10.96.0.6", answered_by=NEW, count=2)])))
        assert state.waiting == 2
        apply_objects(index, lived("cron-1", "node-b", NEW, ("CronJob", "cron"), 5))
        state.retry(NOW)
        assert edges() == {(WEB, "CronJob:cron", "mixed", 80, "tcp"): (2, 0, 0, 0)}

    def test_an_answer_of_nobody_known_is_not_given_to_the_one_workload_that_is(self, apply, state, edges):
        apply(report(Client("10.0.0.1", connections=[flow("10.96.0.5", 5432, answered_by=NEW)])))
        state.give_up(NOW + PATIENCE)
        assert edges() == {(WEB, "Service:db", "db", 5432, "tcp"): (1, 0, 0, 0)}

    def test_two_possible_answerers_are_shown(self, apply, only):
        apply(report(Client("10.0.0.1", connections=[flow("10.96.0.5", 5432, answered_by="10.0.0.9")])))
        assert only().server == Ambiguous((Workload("one", "shop", "Job"), Workload("two", "shop", "Job")))
        assert only().service.name == "db"

    def test_a_pod_on_its_nodes_network_is_who_answered_by_its_port(self, apply, index, edges):
        listening = pod("gate-1", "node-b", "192.168.1.2", ("DaemonSet", "gate"), host=True)
        listening["spec"]["containers"][0]["ports"] = [{"containerPort": 8080}]
        apply_objects(index, listening)
        rows = [
            flow("10.96.0.6", answered_by="192.168.1.2"),
            flow("10.96.0.6", answered_by="192.168.1.2", answered_port=1),
        ]
        apply(report(Client("10.0.0.1", connections=rows)))
        assert edges() == {
            (WEB, "DaemonSet:gate", "mixed", 80, "tcp"): (1, 0, 0, 0),
            (WEB, "Service:mixed", "mixed", 80, "tcp"): (1, 0, 0, 0),
        }

    def test_a_server_of_which_nobody_tells_is_counted_as_never_seen(self, apply, state, edges):
        apply(report(Client("10.0.0.1", attempts=[flow(NEW, count=4)])))
        state.give_up(NOW + PATIENCE - 1)
        assert state.drops == {}
        state.give_up(NOW + PATIENCE)
        assert (state.drops, edges()) == ({Drop.NEVER_SEEN: 4}, {})

    def test_first_the_client_is_waited_for_and_then_the_server(self, apply, state, index, edges):
        apply(report(Client("10.0.0.50", connections=[flow(NEW)])))
        apply_objects(index, lived("cron-1", "node-a", "10.0.0.50", ("CronJob", "cron"), 5))
        state.retry(NOW)
        assert (edges(), state.waiting) == ({}, 1)
        apply_objects(index, lived("late-0", "node-b", NEW, ("StatefulSet", "late"), 5))
        state.retry(NOW)
        assert edges() == {("CronJob:cron", "StatefulSet:late", None, 80, "tcp"): (1, 0, 0, 0)}

    def test_what_does_not_count_here_does_not_wait(self, apply, state):
        apply(report(node="node-b"))
        assert apply(report(Client("10.0.1.1", connections=[flow(NEW)]))) == {"seen_elsewhere": 1}
        assert state.waiting == 0

    def test_what_is_older_than_patience_waits_only_where_somebody_may_yet_be_told_of(self, apply, state, index):
        apply_objects(index, lived("cron-1", "node-b", NEW, ("CronJob", "cron"), 5))
        old = [flow(NEW, first=-PATIENCE, last=-PATIENCE)]
        assert apply(report(Client("10.0.0.1", connections=old))) == {"never_seen": 1}
        assert apply(report(Client("10.0.0.1", connections=[flow(NEW, first=-30_000, last=-30_000)]))) == {}
        assert state.waiting == 1

    def test_who_had_it_before_may_be_told_of_after_who_has_it_now(self, apply, state, index, edges):
        apply_objects(index, lived("cron-1", "node-b", NEW, ("CronJob", "cron"), 5))
        apply(report(Client("10.0.0.1", connections=[flow(NEW, first=-30_000, last=-30_000)])))
        apply_objects(index, lived("late-0", "node-b", NEW, ("StatefulSet", "late"), 40, 10))
        state.retry(NOW)
        assert edges() == {(WEB, "StatefulSet:late", None, 80, "tcp"): (1, 0, 0, 0)}

    @pytest.mark.parametrize("server", ["169.254.1.1", "224.0.0.1", "fe80::1"])
    def test_who_can_never_be_told_of_is_no_server(self, apply, server):
        assert apply(report(Client("10.0.0.1", connections=[flow(server)]))) == {"server_unknown": 1}

    def test_one_client_that_scans_leaves_room_for_the_others(self, apply, state):
        state._merger.room = WaitingRoom(most=10 * SHARE)
        scan = [flow(f"10.0.1.{number}") for number in range(100, 200)]
        assert apply(report(Client("10.0.0.1", attempts=scan))) == {"never_seen": 90}
        assert apply(report(Client("10.0.0.8", attempts=scan[:5]))) == {}
        assert state.waiting == 15


class TestHold:
    """While the cluster cannot be followed nobody can tell, so nothing is given up."""

    @pytest.fixture
    def told(self, apply, state):
        apply(report(Client("10.0.0.1", connections=[flow(NEW)])))
        state.look_around(NOW, api_away_since=NOW)
        state.give_up(NOW + 3 * PATIENCE)
        return state

    def test_it_waits_on_and_is_merged_when_a_list_tells(self, told, index, edges):
        assert (told.waiting, told.drops) == (1, {})
        apply_objects(index, lived("cron-1", "node-b", NEW, ("CronJob", "cron"), 5))
        told.retry(NOW + 3 * PATIENCE)
        assert edges() == {(WEB, "CronJob:cron", None, 80, "tcp"): (1, 0, 0, 0)}

    def test_afterwards_it_has_all_its_patience_again(self, told):
        told.look_around(NOW + 3 * PATIENCE)
        told.give_up(NOW + 4 * PATIENCE - 1)
        assert (told.waiting, told.drops) == (1, {})
        told.give_up(NOW + 4 * PATIENCE)
        assert (told.waiting, told.drops) == (0, {Drop.NEVER_SEEN: 1})

    @pytest.mark.usefixtures("told")
    def test_old_rows_wait_too(self, index, apply):
        apply_objects(index, lived("cron-1", "node-b", NEW, ("CronJob", "cron"), 5))
        assert apply(report(Client("10.0.0.1", connections=[flow(NEW, first=-PATIENCE, last=-PATIENCE)]))) == {}


class TestSpans:
    """What was seen while an address changed hands may be of either. `x` had it until 10 s ago, `y` since 5 s."""

    X, Y = Workload("x", "shop", "Job"), Workload("y", "shop", "Job")

    @pytest.fixture
    def index(self, index):
        apply_objects(
            index, lived("x-1", "node-b", NEW, ("Job", "x"), 60, 10), lived("y-1", "node-b", NEW, ("Job", "y"), 5)
        )
        return index

    ROWS = (
        ((-20_000, -15_000), X),
        ((-20_000, -1_000), Ambiguous((X, Y))),
        ((-4_000, -1_000), Y),
    )

    @pytest.mark.parametrize(("times", "peer"), ROWS)
    def test_a_server_of_a_span(self, apply, only, times, peer):
        for _ in range(2):
            apply(report(Client("10.0.0.1", connections=[flow(NEW, first=times[0], last=times[1])])))
        assert (only().server, only().connections) == (peer, 2)

    @pytest.mark.parametrize(("times", "peer"), ROWS)
    def test_a_client_of_a_span(self, apply, only, times, peer):
        for _ in range(2):
            apply(report(Client(NEW, connections=[flow("10.0.0.1", first=times[0], last=times[1])]), node="node-b"))
        assert (only().client, only().connections) == (peer, 2)

    @pytest.mark.parametrize(("times", "peer"), ROWS)
    def test_whose_name_was_looked_up_during_a_span(self, apply, only, times, peer):
        name = "10-0-1-50.shop.pod.cluster.local"
        apply(report(Client("10.0.0.1", lookups=[Lookup(name, 1, *times)])))
        assert only().server == peer

    @pytest.mark.parametrize(("times", "peer"), ROWS)
    def test_who_answered_during_a_span(self, apply, only, times, peer):
        apply(
            report(Client("10.0.0.1", connections=[flow("10.96.0.6", answered_by=NEW, first=times[0], last=times[1])]))
        )
        assert (only().server, only().service.name) == (peer, "mixed")

    def test_two_pods_of_one_workload_are_that_workload(self, apply, index, only):
        apply_objects(index, lived("y-1", "node-b", NEW, ("Job", "x"), 5))
        apply(report(Client("10.0.0.1", connections=[flow(NEW, first=-20_000, last=-1_000)])))
        assert only().server == self.X

    def test_both_owners_lived_on_one_node_so_its_sighting_alone_counts(self, apply, only):
        client = Client(NEW, connections=[flow("10.0.0.1", first=-20_000, last=-1_000)])
        assert apply(report(client, node="node-b")) == {}
        assert apply(report(client, node="node-a")) == {"seen_elsewhere": 1}
        assert (only().client, only().connections) == (Ambiguous((self.X, self.Y)), 1)

    def test_a_span_that_ends_when_nobody_had_it_may_get_a_second_owner(self, apply, state, index, only):
        delete(index, lived("y-1", "node-b", NEW, ("Job", "y"), 5))
        apply(report(Client("10.0.0.1", connections=[flow(NEW, first=-20_000, last=-1_000)])))
        assert state.waiting == 1
        apply_objects(index, lived("z-1", "node-b", NEW, ("Job", "z"), 3))
        state.retry(NOW)
        assert only().server == Ambiguous((self.X, Workload("z", "shop", "Job")))

    def test_and_else_is_its_first_owners(self, apply, state, index, only):
        delete(index, lived("y-1", "node-b", NEW, ("Job", "y"), 5))
        apply(report(Client("10.0.0.1", connections=[flow(NEW, first=-20_000, last=-1_000)])))
        state.give_up(NOW + PATIENCE)
        assert (only().server, state.drops) == (self.X, {})

    def test_a_span_that_begins_when_nobody_had_it_is_its_last_owners(self, apply, state, only):
        apply(report(Client("10.0.0.1", connections=[flow(NEW, first=-8_000, last=-1_000)])))
        state.give_up(NOW + PATIENCE)
        assert only().server == self.Y


class TestForwarding:
    """One connection counts once; what a node sends on under its own address is no edge of the node."""

    @staticmethod
    def of_node(tap, address="192.168.1.1"):
        return Client(address, tap, connections=[flow("10.0.1.2", 5432, 3)])

    @pytest.mark.parametrize("tap", [-3, 0])
    def test_what_a_process_of_the_node_opened_is_its_edge(self, apply, edges, tap):
        for _ in range(2):
            assert apply(report(self.of_node(tap))) == {}
        assert edges() == {("Node:node-a", DB, None, 5432, "tcp"): (6, 0, 0, 0)}

    def test_what_came_in_from_its_own_address_is_not(self, apply, edges):
        for _ in range(2):
            assert apply(report(self.of_node(3))) == {"seen_elsewhere": 3}
        assert edges() == {}

    def test_also_not_where_it_came_in_from_the_address_of_its_bridge(self, apply, index, edges):
        index.delete("Pod", "shop", "web-1-a")
        assert apply(report(self.of_node(3, "10.0.0.1"))) == {"seen_elsewhere": 3}
        assert edges() == {}

    def test_also_not_at_a_time_before_what_is_known_of_it_holds(self, apply, edges):
        early = 1_767_225_599_000  # the node was registered a second later
        assert apply(report(self.of_node(3), base=early))
        assert edges() == {}

    def test_a_recording_does_not_always_tell_the_direction(self, apply, edges):
        assert apply(report(self.of_node(3), capture="file")) == {}
        assert edges() == {("Node:node-a", DB, None, 5432, "tcp"): (3, 0, 0, 0)}

    def test_through_another_node_and_masqueraded_it_counts_where_it_was_dialled(self, apply, index, edges):
        door = service("door", "10.96.0.40", 80, type="NodePort")
        door["spec"]["ports"][0]["nodePort"] = 30080
        apply_objects(index, door)
        for node in ("node-a", "node-b"):
            apply(report(node=node))
        entered = Client("198.51.100.1", 2, connections=[flow("192.168.1.1", 30080, answered_by="10.0.1.2")])
        sent_on = Client("192.168.1.1", 2, connections=[flow("10.0.1.2", 8080)])
        assert apply(report(entered, node="node-a")) == {}
        assert apply(report(sent_on, node="node-b")) == {"seen_elsewhere": 1}
        assert edges() == {("External:198.51.100.0/24", DB, "door", 30080, "tcp"): (1, 0, 0, 0)}

    def test_a_pods_connection_through_another_node_counts_on_its_own(self, apply, index, edges):
        door = service("door", "10.96.0.40", 80, type="NodePort")
        door["spec"]["ports"][0]["nodePort"] = 30080
        apply_objects(index, door)
        for node in ("node-a", "node-b"):
            apply(report(node=node))
        dialled = Client("10.0.0.1", 7, connections=[flow("192.168.1.2", 30080)])
        passing = Client("10.0.0.1", 2, connections=[flow("192.168.1.2", 30080, answered_by="10.0.1.2")])
        assert apply(report(dialled, node="node-a")) == {}
        assert apply(report(passing, node="node-b")) == {"seen_elsewhere": 1}
        assert edges() == {(WEB, "Service:door", "door", 30080, "tcp"): (1, 0, 0, 0)}

    def test_an_unwatched_nodes_connection_counts_where_it_arrives(self, apply, edges):
        apply(report(node="node-b"))
        assert apply(report(self.of_node(2), node="node-b")) == {}
        assert edges() == {("Node:node-a", DB, None, 5432, "tcp"): (3, 0, 0, 0)}


class TestClocks:
    """Times are kept on the mapper's clock; pods are looked up on their own node's."""

    @pytest.mark.parametrize("ahead", [-90_000, 90_000])
    def test_when_an_edge_was_seen_is_told_on_the_mappers_clock(self, apply, state, only, ahead):
        for _ in range(2):
            row = flow("10.0.1.2", first=ahead - 70_000, last=ahead)
            apply(report(Client("10.0.0.1", connections=[row]), ahead=ahead))
        assert (only().first_seen, only().last_seen) == (NOW - 70_000, NOW)
        (bucket,) = state.graph.take_changes().buckets
        assert bucket[0] == NOW - NOW % 60_000

    @pytest.mark.parametrize("ahead", [-90_000, 90_000])
    def test_a_client_had_its_address_by_its_own_nodes_clock(self, apply, index, edges, ahead):
        apply_objects(
            index, lived("cron-1", "node-a", "10.0.0.50", ("CronJob", "cron"), 10 - ahead // 1000, 5 - ahead // 1000)
        )
        row = flow("10.0.1.2", first=ahead - 8_000, last=ahead - 7_000)
        apply(report(Client("10.0.0.50", connections=[row]), ahead=ahead))
        assert edges() == {("CronJob:cron", DB, None, 80, "tcp"): (1, 0, 0, 0)}

    @pytest.mark.parametrize(("ours", "theirs"), [(90_000, 0), (0, 90_000), (-90_000, 60_000)])
    def test_a_server_had_its_address_by_the_clock_of_its_node(self, apply, index, edges, ours, theirs):
        by = theirs // 1000
        apply_objects(
            index,
            lived("x-1", "node-b", NEW, ("Job", "x"), 60 - by, 20 - by),
            lived("y-1", "node-b", NEW, ("Job", "y"), 15 - by),
        )
        apply(report(node="node-b", ahead=theirs))
        rows = [flow(NEW, first=ours - moment, last=ours - moment) for moment in (30_000, 10_000)]
        apply(report(Client("10.0.0.1", connections=rows), ahead=ours))
        assert set(edges()) == {(WEB, "Job:x", None, 80, "tcp"), (WEB, "Job:y", None, 80, "tcp")}

    def test_where_clocks_agree_nothing_is_corrected(self, apply, monkeypatch, edges):
        monkeypatch.delattr(views, "corrected")
        apply(report(Client("10.0.0.1", connections=[flow("10.0.1.2")]), ahead=50))
        assert edges() == {(WEB, DB, None, 80, "tcp"): (1, 0, 0, 0)}

    def test_what_is_known_is_resolved_anew_when_a_clock_is_believed_otherwise(self, apply, index, edges):
        apply_objects(
            index, lived("x-1", "node-b", NEW, ("Job", "x"), 60, 20), lived("y-1", "node-b", NEW, ("Job", "y"), 15)
        )
        client = Client("10.0.0.1", connections=[flow(NEW, first=-10_000, last=-10_000)])
        apply(report(client))
        apply(report(node="node-b", ahead=-20_000))
        apply(report(client))
        assert edges() == {(WEB, "Job:y", None, 80, "tcp"): (1, 0, 0, 0), (WEB, "Job:x", None, 80, "tcp"): (1, 0, 0, 0)}

    def test_a_recordings_times_are_not_corrected(self, apply, only):
        apply(report(Client("10.0.0.1", connections=[flow("10.0.1.2")]), ahead=90_000, capture="file"))
        assert only().last_seen == NOW

    def test_rows_that_waited_are_on_the_same_clock(self, apply, state, index, only):
        apply(report(Client("10.0.0.1", connections=[flow(NEW, first=90_000, last=90_000)]), ahead=90_000))
        apply_objects(index, lived("cron-1", "node-b", NEW, ("CronJob", "cron"), 5))
        state.retry(NOW)
        assert only().last_seen == NOW


def test_an_outside_client_is_resolved_once_for_all_its_rows(apply, monkeypatch, only):
    calls = []
    found = resolve.client_at
    monkeypatch.setattr(resolve, "client_at", lambda *args: calls.append(args) or found(*args))
    apply(report(Client("198.51.100.7", connections=[flow("10.0.0.1", count=n + 1) for n in range(20)])))
    assert (only().connections, len(calls)) == (210, 1)


def test_the_outcome_is_told_by_the_minute_and_adds_up(index):
    merger = State(index, 1000)._merger
    rows = [
        flow("10.0.1.2", count=2, last=0),
        flow("10.0.1.2", count=3, first=-70_000, last=-60_000),
        flow("127.0.0.1"),
    ]
    waits = [flow(NEW, count=7)]
    bad = flow("10.0.1.2", first=9, last=3, count=11)
    outcome = merger.apply(report(Client("10.0.0.1", connections=[*rows, *rows, *waits, bad])), NOW)
    minute = NOW - NOW % 60_000
    assert (outcome.seen, outcome.merged, outcome.held, outcome.dropped) == (30, 10, 7, 13)
    assert outcome.minutes == {
        minute: {"mapped": 4, "loopback": 2, "time_invalid": 11},
        minute - 60_000: {"mapped": 6},
    }


def test_reports_that_name_no_node_neither_wait_nor_tell_of_clocks(apply, state):
    sent = report(Client("10.0.0.1", connections=[flow(NEW)]), node=LEGACY_NODE, ahead=90_000)
    assert apply(sent) == {"never_seen": 1}
    assert not state._merger.clocks.differ


class TestEndpoints:
    """The service `db` had `db-0` behind it until 60 s ago, and since then a pod of `web`."""

    @pytest.fixture
    def index(self, index):
        moved = endpoints("db", ("web-1-a", "10.0.0.1"))
        index.apply("EndpointSlice.discovery.k8s.io", decoded(moved), NOW - 60_000)
        return index

    @pytest.mark.parametrize(
        ("times", "server"),
        [((-120_000, -110_000), DB), ((-20_000, -10_000), WEB), ((-120_000, -10_000), "Service:db")],
    )
    def test_the_workload_of_that_time_is_behind_it(self, apply, edges, times, server):
        for _ in range(2):
            apply(
                report(
                    Client("10.0.1.1", connections=[flow("10.96.0.5", 5432, first=times[0], last=times[1])]),
                    node="node-b",
                )
            )
        assert edges() == {(WEB, server, "db", 5432, "tcp"): (2, 0, 0, 0)}

    @pytest.mark.parametrize(("time", "server"), [(-120_000, DB), (-10_000, WEB)])
    def test_so_it_is_for_its_name(self, apply, edges, time, server):
        lookup = Lookup("db.shop.svc.cluster.local", 1, time, time)
        for _ in range(2):
            apply(report(Client("10.0.1.1", lookups=[lookup]), node="node-b"))
        assert edges() == {(WEB, server, "db", 0, "dns"): (0, 0, 2, 0)}

    def test_what_is_known_of_now_is_not_believed_of_then(self, apply, edges):
        for time in (-10_000, -120_000, -10_000, -120_000):
            apply(
                report(Client("10.0.1.1", connections=[flow("10.96.0.5", 5432, first=time, last=time)]), node="node-b")
            )
        assert edges() == {(WEB, server, "db", 5432, "tcp"): (2, 0, 0, 0) for server in (WEB, DB)}

    def test_who_answered_goes_before_it(self, apply, edges):
        apply(report(Client("10.0.1.1", connections=[flow("10.96.0.5", 5432, answered_by="10.0.1.2")]), node="node-b"))
        assert edges() == {(WEB, DB, "db", 5432, "tcp"): (1, 0, 0, 0)}

    def test_the_name_of_a_service_that_is_gone_is_its_for_its_time_alone(self, apply, index, edges):
        index.delete("Service", "shop", "db", NOW - 5_000)
        for time in (-30_000, -1_000, -30_000, -1_000):
            apply(
                report(Client("10.0.1.1", lookups=[Lookup("db.shop.svc.cluster.local", 1, time, time)]), node="node-b")
            )
        assert edges() == {(WEB, WEB, "db", 0, "dns"): (0, 0, 2, 0)}
