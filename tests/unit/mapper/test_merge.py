"""From rows to edges: who is who, which node counts, and why a row was dropped."""

import asyncio
import itertools

import pytest
from cluster_objects import NOW, pod, service
from kube import apply as apply_objects

from network_mapper.mapper import resolve
from network_mapper.mapper.waiting import PATIENCE
from network_mapper.model import Drop, Kind, Tally
from network_mapper.store import StoreUnavailableError
from network_mapper.wire.report import Client, Flow, Lookup, Report

_sequence = itertools.count(1)


def report(*clients, node="node-a", base=NOW):
    return Report(node, "boot", next(_sequence), base, started=NOW - 60_000, clients=list(clients))


def flow(server, port=80, count=1, *, answered_by="", first=-100, last=0):
    return Flow(server, port, "tcp", count, first, last, answered_by, 8080 if answered_by else 0)


@pytest.fixture
def apply(state):
    """Merge a report and return what was dropped."""

    def run(sent, now=NOW):
        state.coverage.hear(sent, now)
        receipt = state.apply(sent, now, sum(client.rows() for client in sent.clients), Tally())
        return receipt.dropped

    return run


WEB, DB = "Deployment:web", "StatefulSet:db"


def test_a_connection_to_a_pod_joins_two_workloads(apply, edges):
    assert apply(report(Client("10.0.0.1", connections=[flow("10.0.1.2", 5432, 3)]))) == {}
    assert edges() == {(WEB, DB, None, 5432, "tcp"): (3, 0, 0, 0)}


def test_each_kind_of_evidence_has_its_own_counter(apply, edges):
    row = flow("10.0.1.2", 5432)
    apply(report(Client("10.0.0.1", connections=[row, row], attempts=[row], sockets=[row] * 4)))
    assert edges() == {(WEB, DB, None, 5432, "tcp"): (2, 1, 0, 4)}


def test_a_service_with_one_workload_leads_to_it_and_is_kept(apply, edges):
    apply(report(Client("10.0.0.1", connections=[flow("10.96.0.5", 5432)])))
    assert edges() == {(WEB, DB, "db", 5432, "tcp"): (1, 0, 0, 0)}


def test_a_service_of_two_workloads_is_not_guessed(apply, edges):
    apply(report(Client("10.0.0.1", connections=[flow("10.96.0.6")])))
    assert edges() == {(WEB, "Service:mixed", "mixed", 80, "tcp"): (1, 0, 0, 0)}


def test_the_address_that_answered_tells_which_of_two_workloads_it_was(apply, edges):
    rows = [flow("10.96.0.6", answered_by="10.0.1.2"), flow("10.96.0.6", answered_by="10.0.0.1")]
    apply(report(Client("10.0.0.1", connections=rows)))
    assert set(edges()) == {(WEB, DB, "mixed", 80, "tcp"), (WEB, WEB, "mixed", 80, "tcp")}


def test_a_service_without_endpoints_is_the_server_itself(apply, edges):
    apply(report(Client("10.0.0.1", attempts=[flow("10.96.0.7")])))
    assert edges() == {(WEB, "Service:empty", "empty", 80, "tcp"): (0, 1, 0, 0)}


def test_the_api_server_is_its_service(apply, edges):
    apply(report(Client("10.0.0.1", connections=[flow("10.96.0.1", 443, answered_by="192.168.1.1")])))
    assert edges() == {(WEB, "Service:kubernetes", "kubernetes", 443, "tcp"): (1, 0, 0, 0)}


def test_a_process_of_a_node_is_that_node(apply, edges):
    apply(report(Client("192.168.1.1", connections=[flow("10.0.0.1")])))
    assert edges() == {("Node:node-a", WEB, None, 80, "tcp"): (1, 0, 0, 0)}


def test_lookups_of_every_form_of_a_name_lead_to_one_edge(apply, edges):
    names = ["db.shop.svc.cluster.local", "db-0.db.shop.svc.cluster.local", "10-0-1-2.shop.pod.cluster.local"]
    apply(report(Client("10.0.0.1", lookups=[Lookup(name, 2, -10, 0) for name in names])))
    # The service's own name is the service; a host beneath it is the pod itself.
    assert edges() == {
        (WEB, DB, "db", 0, "dns"): (0, 0, 2, 0),
        (WEB, DB, None, 0, "dns"): (0, 0, 4, 0),
    }


def test_names_outside_and_behind_external_services_are_external(apply, edges):
    names = ["www.example.com", "partner.shop.svc.cluster.local"]
    apply(report(Client("10.0.0.1", lookups=[Lookup(name, 1, 0, 0) for name in names])))
    assert set(edges()) == {
        (WEB, "External:www.example.com", None, 0, "dns"),
        (WEB, "External:api.example.org", "partner", 0, "dns"),
    }


def alias(name, stands_for):
    return service(name, "", 80, type="ExternalName", clusterIPs=[], externalName=stands_for)


def lookup_of(name):
    return report(Client("10.0.0.1", lookups=[Lookup(f"{name}.shop.svc.cluster.local", 1, 0, 0)]))


def test_an_alias_of_a_service_is_who_is_behind_that(apply, edges, index):
    apply_objects(index, alias("store", "db.shop.svc.cluster.local."), alias("storage", "store.shop.svc.cluster.local"))
    apply(lookup_of("store"))
    apply(lookup_of("storage"))
    assert set(edges()) == {(WEB, DB, "store", 0, "dns"), (WEB, DB, "storage", 0, "dns")}


def test_an_alias_of_nothing_and_aliases_in_a_circle_are_themselves(apply, edges, index):
    apply_objects(index, alias("lost", "no.shop.svc.cluster.local"), alias("round", "round.shop.svc.cluster.local"))
    apply(lookup_of("lost"))
    apply(lookup_of("round"))
    assert set(edges()) == {(WEB, "Service:lost", "lost", 0, "dns"), (WEB, "Service:round", "round", 0, "dns")}


def test_a_chain_of_eight_aliases_is_followed_and_no_longer_one(apply, edges, index):
    apply_objects(index, alias("a1", "db.shop.svc.cluster.local"))
    apply_objects(index, *(alias(f"a{n}", f"a{n - 1}.shop.svc.cluster.local") for n in range(2, 10)))
    apply(lookup_of("a8"))
    apply(lookup_of("a9"))
    assert set(edges()) == {(WEB, DB, "a8", 0, "dns"), (WEB, "Service:a1", "a9", 0, "dns")}


def test_an_alias_holds_from_when_it_was_made(index):
    young = alias("store", "db.shop.svc.cluster.local")
    young["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
    apply_objects(index, young)
    found = resolve.name_at(index, "store.shop.svc.cluster.local", NOW)
    assert found.start == 1_767_312_000_000


def test_an_alias_is_resolved_anew_when_what_it_stands_for_changes(apply, edges, index):
    apply_objects(index, alias("store", "db.shop.svc.cluster.local"))
    apply(lookup_of("store"))
    index.delete("Service", "shop", "db")
    apply(lookup_of("store"))
    assert edges() == {
        (WEB, DB, "store", 0, "dns"): (0, 0, 1, 0),
        (WEB, "Service:store", "store", 0, "dns"): (0, 0, 1, 0),
    }


def test_a_port_that_a_pod_has_of_its_node_is_the_pod_wherever_it_is_dialled(apply, edges, index):
    listed = [{"containerPort": 8080, "hostPort": 9100}]
    exporter = pod("exporter-1", "node-b", "10.0.1.3", ("DaemonSet", "exporter"))
    exporter["spec"]["containers"][0]["ports"] = listed
    apply_objects(index, exporter)
    apply(report(Client("10.0.0.1", connections=[flow("192.168.1.2", 9100), flow("192.168.1.1", 9100)])))
    assert set(edges()) == {
        (WEB, "DaemonSet:exporter", None, 9100, "tcp"),
        (WEB, "Node:node-a", None, 9100, "tcp"),
    }


@pytest.mark.parametrize("name", ["nothing.shop.svc.cluster.local", "cluster.local", "svc.cluster.local"])
def test_unknown_names_of_the_cluster_are_counted(apply, edges, name):
    assert apply(report(Client("10.0.0.1", lookups=[Lookup(name, 1, 0, 0)]))) == {"name_unknown": 1}
    assert edges() == {}


def test_the_outside_is_grouped_by_block(apply, edges):
    servers = [flow(f"198.51.100.{n}", 443) for n in range(1, 50)] + [flow("2001:db8:1:2::3", 443)]
    apply(report(Client("10.0.0.1", connections=servers)))
    assert edges() == {
        (WEB, "External:198.51.100.0/24", None, 443, "tcp"): (49, 0, 0, 0),
        (WEB, "External:2001:db8:1::/48", None, 443, "tcp"): (1, 0, 0, 0),
    }


def test_an_address_of_a_pod_block_without_a_pod_is_not_taken_for_the_outside(apply, state, edges):
    assert apply(report(Client("10.0.0.1", connections=[flow("10.0.0.200")]))) == {"server_unknown": 1}
    assert apply(report(Client("10.0.0.201", connections=[flow("10.0.0.1")]))) == {}
    state.give_up(NOW + PATIENCE)
    assert state.drops[Drop.CLIENT_UNKNOWN] == 1
    assert edges() == {}


def test_an_address_among_the_services_without_a_service_is_not_taken_for_the_outside(apply, edges):
    assert apply(report(Client("10.0.0.1", connections=[flow("10.96.200.9")]))) == {"server_unknown": 1}
    assert edges() == {}


def test_two_owners_of_one_address_are_shown_as_ambiguous(apply, edges):
    apply(report(Client("10.0.0.1", connections=[flow("10.0.0.9")])))
    assert edges() == {(WEB, "Job:one|Job:two", None, 80, "tcp"): (1, 0, 0, 0)}


def test_a_pod_that_has_ended_owned_its_address_only_until_then(apply, state, edges):
    ended = 1_767_226_200_000  # 2026-01-01T00:10:00Z
    client = Client("10.0.0.7", connections=[flow("10.0.1.2", 5432)])
    assert apply(report(client, base=ended - 30_000)) == {}
    assert apply(report(client, base=ended + 60_000)) == {}
    state.give_up(NOW + PATIENCE)
    assert state.drops == {Drop.CLIENT_UNKNOWN: 1}
    assert edges() == {("Job:job", DB, None, 5432, "tcp"): (1, 0, 0, 0)}


def test_rows_older_than_a_pod_are_not_given_to_it(apply, edges):
    client = Client("10.0.0.1", connections=[flow("10.0.1.2")])
    assert apply(report(client)) == {}
    assert apply(report(client, base=1_700_000_000_000)) == {"client_unknown": 1}
    assert edges() == {(WEB, DB, None, 80, "tcp"): (1, 0, 0, 0)}


@pytest.mark.parametrize(
    ("row", "base", "reason"),
    [
        (flow("10.0.1.2", first=10, last=5), NOW, Drop.TIME_INVALID),
        (flow("10.0.1.2"), -5_000, Drop.TIME_INVALID),
        (flow("10.0.1.2"), NOW + 3_600_000, Drop.TIME_IN_FUTURE),
        (flow(""), NOW, Drop.ADDRESS_INVALID),
        (flow("not an address"), NOW, Drop.ADDRESS_INVALID),
        (flow("fe80::1%eth0"), NOW, Drop.ADDRESS_INVALID),
        (flow("127.0.0.1"), NOW, Drop.LOOPBACK),
        (flow("::1"), NOW, Drop.LOOPBACK),
        (flow("224.0.0.1"), NOW, Drop.SERVER_UNKNOWN),
        (flow("10.0.1.2", 0), NOW, Drop.ROW_MALFORMED),
        (Flow("10.0.1.2", 80, "smoke", 1, 0, 0), NOW, Drop.ROW_MALFORMED),
    ],
)
def test_a_bad_row_is_counted_and_its_neighbours_are_kept(apply, edges, row, base, reason):
    good = flow("10.0.1.2", 5432, first=NOW - base, last=NOW - base)
    assert apply(report(Client("10.0.0.1", connections=[good, row, good]), base=base)) == {reason.value: 1}
    assert edges() == {(WEB, DB, None, 5432, "tcp"): (2, 0, 0, 0)}


@pytest.mark.parametrize("address", ["", "10.0.0", "10.0.0.1%eth0", "999.0.0.1", "x" * 900])
def test_a_client_without_an_address_is_counted(apply, address):
    assert apply(report(Client(address, connections=[flow("10.0.1.2")]))) == {"address_invalid": 1}


def test_a_service_is_no_client(apply):
    assert apply(report(Client("10.96.0.5", connections=[flow("10.0.1.2")]))) == {"client_is_service": 1}


def test_two_ends_outside_make_no_edge(apply):
    assert apply(report(Client("198.51.100.1", connections=[flow("203.0.113.1")]))) == {"both_external": 1}


def test_written_differently_an_address_is_the_same(apply, edges):
    apply(report(Client("::ffff:10.0.0.1", connections=[flow("::ffff:10.0.1.2")])))
    apply(report(Client("10.0.0.1", connections=[flow("10.0.1.2")])))
    assert edges() == {(WEB, DB, None, 80, "tcp"): (2, 0, 0, 0)}


class TestWhichNodeCounts:
    """One connection is seen by both nodes and counts once, whatever order the reports come in."""

    CLIENT = Client("10.0.0.1", connections=[flow("10.0.1.2", 5432)])

    def test_the_clients_node_counts_and_the_other_does_not(self, apply, edges):
        apply(report(node="node-a"))
        apply(report(node="node-b"))
        assert apply(report(self.CLIENT, node="node-b")) == {"seen_elsewhere": 1}
        assert apply(report(self.CLIENT, node="node-a")) == {}
        assert edges() == {(WEB, DB, None, 5432, "tcp"): (1, 0, 0, 0)}

    def test_the_servers_node_counts_where_the_clients_has_no_sniffer(self, apply, edges):
        assert apply(report(self.CLIENT, node="node-b")) == {}
        assert edges() == {(WEB, DB, None, 5432, "tcp"): (1, 0, 0, 0)}

    def test_a_third_node_counts_only_where_both_have_none(self, apply):
        assert apply(report(self.CLIENT, node="node-c")) == {}
        apply(report(node="node-b"))
        assert apply(report(self.CLIENT, node="node-c")) == {"seen_elsewhere": 1}

    def test_a_sniffer_that_went_silent_covers_nothing(self, apply):
        apply(report(node="node-a"))
        later = NOW + 60_000
        assert apply(report(self.CLIENT, node="node-b", base=later), now=later) == {}

    def test_what_counts_is_whether_the_clients_node_was_watched_then(self, apply, edges):
        hour = 3_600_000
        played = Report("node-a", "file", 1, NOW, started=NOW - 5 * hour, watched_until=NOW - 4 * hour)
        apply(played)
        assert apply(report(self.CLIENT, node="node-b", base=NOW - 5 * hour + 60_000)) == {"seen_elsewhere": 1}
        assert apply(report(self.CLIENT, node="node-b", base=NOW - 3 * hour)) == {}
        assert edges() == {(WEB, DB, None, 5432, "tcp"): (1, 0, 0, 0)}

    @pytest.mark.parametrize("wrong", [-200_000, 200_000])
    def test_a_clock_that_is_minutes_wrong_does_not_count_twice(self, apply, wrong):
        ours = Report("node-a", "boot-a", 1, NOW, started=NOW - 600_000, watched_until=NOW)
        apply(ours)
        assert apply(report(self.CLIENT, node="node-b", base=NOW + wrong)) == {"seen_elsewhere": 1}

    def test_a_clients_node_whose_clock_is_behind_still_covers_it(self, apply):
        behind = NOW - 200_000
        apply(Report("node-a", "boot-a", 1, behind, started=behind - 600_000, watched_until=behind))
        assert apply(report(self.CLIENT, node="node-b")) == {"seen_elsewhere": 1}

    def test_remembered_rows_do_not_count_twice_either(self, apply, edges):
        apply(report(node="node-b"))
        for _ in range(3):
            apply(report(self.CLIENT, node="node-a"))
            apply(report(self.CLIENT, node="node-b"))
        assert edges() == {(WEB, DB, None, 5432, "tcp"): (3, 0, 0, 0)}

    def test_what_enters_from_outside_counts_where_it_was_dialled(self, apply, edges):
        client = Client("198.51.100.1", connections=[flow("192.168.1.1", 30080, answered_by="10.0.1.2")])
        apply(report(node="node-b"))
        assert apply(report(client, node="node-a")) == {}
        assert edges() == {("External:198.51.100.0/24", DB, None, 30080, "tcp"): (1, 0, 0, 0)}


class TestRemembering:
    """What the fast path remembers is never older than the cluster."""

    def test_fast_and_slow_rows_add_up_the_same(self, apply, state, edges):
        rows = [flow("10.96.0.5", 5432, n + 1, first=-n, last=0) for n in range(20)]
        apply(report(Client("10.0.0.1", connections=rows, attempts=rows, sockets=rows)))
        fast = edges()
        first_seen = state.graph.in_order()[0].edge.first_seen
        state._merger.forget_all()
        state.graph.clear()
        for row in rows:
            for kind in (Kind.CONNECTIONS, Kind.ATTEMPTS, Kind.SOCKETS):
                state._merger.forget_all()
                apply(report(Client("10.0.0.1", **{kind.value: [row]})))
        assert edges() == fast
        assert state.graph.in_order()[0].edge.first_seen == first_seen == NOW - 19

    def test_a_pod_that_leaves_takes_its_remembered_rows_along(self, apply, index, edges):
        client = Client("10.0.0.1", connections=[flow("10.0.1.2", 5432)])
        assert apply(report(client)) == {}
        index.delete("Pod", "shop", "db-0")
        later = NOW + 3_600_000
        assert apply(report(client, base=later), now=later) == {"server_unknown": 1}
        assert edges() == {(WEB, DB, None, 5432, "tcp"): (1, 0, 0, 0)}

    def test_a_client_that_leaves_is_forgotten(self, apply, index, state):
        client = Client("10.0.1.2", connections=[flow("10.0.0.1", 80)])
        assert apply(report(client, node="node-b")) == {}
        index.delete("Pod", "shop", "db-0")
        later = NOW + 3_600_000
        assert apply(report(client, node="node-b", base=later), now=later) == {}
        assert state.waiting == 1

    def test_a_pod_that_takes_the_address_of_a_bridge_has_it(self, apply, index, edges):
        index.delete("Pod", "shop", "web-1-a")
        client = Client("10.0.0.1", connections=[flow("10.0.1.2", 5432)])
        assert apply(report(client)) == {}
        apply_objects(index, pod("web-1-c", "node-a", "10.0.0.1", ("ReplicaSet", "web-1")))
        assert apply(report(client)) == {}
        assert edges() == {
            ("Node:node-a", DB, None, 5432, "tcp"): (1, 0, 0, 0),
            (WEB, DB, None, 5432, "tcp"): (1, 0, 0, 0),
        }

    def test_a_service_that_leaves_takes_its_name_along(self, apply, index):
        client = Client("10.0.0.1", lookups=[Lookup("db.shop.svc.cluster.local", 1, 0, 0)])
        assert apply(report(client)) == {}
        index.delete("Service", "shop", "db")
        assert apply(report(client)) == {"name_unknown": 1}


def test_more_edges_than_allowed_are_counted(apply, state):
    state.graph._max_edges = 5
    dropped = apply(report(Client("10.0.0.1", connections=[flow("10.0.1.2", port) for port in range(1, 9)])))
    assert dropped == {"edges_full": 3}
    assert len(state.graph) == 5


def test_rows_from_before_a_reset_stay_away(apply, state, edges):
    state._merger.reset_at = NOW
    dropped = apply(report(Client("10.0.0.1", connections=[flow("10.0.1.2", first=-50, last=-1)])))
    assert dropped == {"before_reset": 1}
    apply(report(Client("10.0.0.1", connections=[flow("10.0.1.2", first=-50, last=1)])))
    assert state.graph.in_order()[0].edge.first_seen == NOW


@pytest.mark.parametrize("ahead", [-10_000, 10_000])
def test_when_the_map_was_reset_is_reckoned_on_the_nodes_own_clock(apply, state, ahead):
    state._merger.reset_at = NOW
    earlier = report(Client("10.0.0.1", connections=[flow("10.0.1.2", 1, first=ahead - 1, last=ahead - 1)]))
    later = report(Client("10.0.0.1", connections=[flow("10.0.1.2", 2, first=ahead, last=ahead)]))
    for each in (earlier, later, earlier, later):
        each.ahead = ahead
    assert [apply(earlier), apply(later), apply(earlier), apply(later)] == [{"before_reset": 1}, {}] * 2
    assert [(entry.edge.port, entry.edge.connections) for entry in state.graph.in_order()] == [(2, 2)]


def test_a_clock_that_is_wrong_hides_nothing_of_a_map_that_was_never_reset(apply):
    wrong = report(Client("10.0.0.1", connections=[flow("10.0.1.2")]))
    wrong.ahead = 2**53
    assert apply(wrong) == {}


class Disk:
    """A writer of which each write ends when the test says so."""

    def __init__(self) -> None:
        self.writes = []

    def write(self, point, finished):
        self.writes.append((point, finished))


async def turns(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


async def reset(state):
    disk = Disk()
    running = asyncio.create_task(state.reset(disk, NOW))
    await turns()
    disk.writes[0][1](1)
    return await running


def test_what_was_seen_before_a_reset_and_goes_on_is_an_edge_again(apply, state, edges):
    client = Client("10.0.0.1", connections=[flow("10.0.1.2")], lookups=[Lookup("db.shop.svc.cluster.local", 1, 0, 0)])
    apply(report(client))
    before = edges()
    assert asyncio.run(reset(state)).edges == len(before) == 2
    assert edges() == {}
    later = [flow("10.0.1.2", first=0, last=1)]
    assert apply(report(Client("10.0.0.1", connections=later, lookups=client.lookups))) == {}
    assert edges() == before


def test_a_reset_during_a_write_that_fails_leaves_nothing_of_before_for_the_next(apply, state):
    apply(report(Client("10.0.0.1", connections=[flow("10.0.1.2")])))

    async def scenario():
        disk = Disk()
        writing = asyncio.create_task(state.checkpoint(disk, NOW))
        await turns()
        resetting = asyncio.create_task(state.reset(disk, NOW + 1))
        await turns()
        disk.writes[0][1](StoreUnavailableError("no space"))
        with pytest.raises(StoreUnavailableError):
            await writing
        await turns()
        point, finished = disk.writes[1]
        finished(1)
        await resetting
        return point

    point = asyncio.run(scenario())
    assert list(point.edges) == []
    assert list(point.buckets) == []
    assert point.reset == (2, NOW + 1)


def test_a_reset_says_since_when_the_map_had_watched_which_then_begins_anew(apply, state):
    first = report(Client("10.0.0.1", connections=[flow("10.0.1.2")]))
    first.sequence = 1
    apply(first)
    assert state.coverage.since(state.reset_at) == NOW - 60_000
    emptied = asyncio.run(reset(state))
    assert (emptied.since, emptied.at) == (NOW - 60_000, NOW)
    assert state.coverage.since(state.reset_at) == NOW
