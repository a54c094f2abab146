"""DNS answers, connections, sockets and volumes to rows."""

import msgspec
import pytest

from network_mapper.model import Drop
from network_mapper.wire.report import Client

from .conftest import NOW

SECONDS = 1_749_544_115_000 - NOW
DNS = "mutation ($r: CaptureResults!) {reportCaptureResults(results: $r)}"
TCP = "mutation ($r: CaptureTCPResults!) {reportTCPCaptureResults(results: $r)}"
SCAN = "mutation ($r: SocketScanResults!) {reportSocketScanResults(results: $r)}"
LEVELS = "mutation ($r: TrafficLevelResults!) {reportTrafficLevelResults(results: $r)}"


def item(destination, address=None, port=None, ports=(), millis=0):
    return {
        "destination": destination,
        "destinationIP": address,
        "destinationPort": port,
        "TTL": None,
        "lastSeen": f"2025-06-10T08:28:35.{millis:03}999Z",
        "srcPorts": list(ports),
    }


def report(*destinations, source="10.0.0.1", hostname=""):
    return {"r": {"results": [{"srcIp": source, "srcHostname": hostname, "destinations": list(destinations)}]}}


def joined(*reports):
    return {"r": {"results": [source for each in reports for source in each["r"]["results"]]}}


@pytest.fixture
def flows(behind):
    """What a report of flows becomes: server and port -> count, first and last after the second."""

    def send(document, variables, address="10.0.0.1"):
        assert behind.ask(document, variables)[0] == 200
        client = behind.clients.get(address, Client(address))
        found = client.connections + client.sockets
        assert all(flow.protocol == "tcp" for flow in found)
        times = {(flow.server, flow.port): (flow.count, flow.first - SECONDS, flow.last - SECONDS) for flow in found}
        assert len(times) == len(found)
        return times

    return send


@pytest.fixture
def lookups(behind):
    def send(variables, address="10.0.0.1"):
        assert behind.ask(DNS, variables)[0] == 200
        client = behind.clients.get(address, Client(address))
        return {row.name: (row.count, row.first - SECONDS, row.last - SECONDS, row.addresses) for row in client.lookups}

    return send


def test_dns_name_is_in_lower_case_without_its_final_dot(lookups):
    found = lookups(report(item("Web.Shop.SVC.cluster.local.", "10.0.0.9")))
    assert found == {"web.shop.svc.cluster.local": (1, 0, 0, ("10.0.0.9",))}


def test_equal_names_are_folded_and_their_addresses_united(lookups):
    found = lookups(
        report(
            item("a.b", "10.0.0.9", millis=5),
            item("A.b.", "10.0.0.8", millis=3),
            item("a.b", "10.0.0.9", millis=7),
            item("c.d", None),
        )
    )
    assert found == {"a.b": (3, 3, 7, ("10.0.0.9", "10.0.0.8")), "c.d": (1, 0, 0, ())}


@pytest.mark.parametrize(("document", "rows"), [(DNS, "lookups"), (TCP, "connections"), (SCAN, "sockets")])
def test_equal_rows_of_other_times_are_not_folded(behind, document, rows):
    here = item("10.0.0.2", port=80)
    assert behind.ask(document, report(here, here | {"lastSeen": "2099-01-01T00:00:00Z"}, here))[0] == 200
    found = getattr(behind.clients["10.0.0.1"], rows)
    assert [(row.count, row.first == row.last) for row in found] == [(2, True), (1, True)]


def test_addresses_of_a_name_are_bounded(lookups):
    found = lookups(report(*(item("a.b", f"10.0.1.{n}") for n in range(100))))
    assert found["a.b"][0] == 100
    assert len(found["a.b"][3]) == 32


@pytest.mark.parametrize("name", ["", ".", "x" * 254, "İ" * 200])
def test_name_that_is_none_is_counted_and_its_neighbours_are_kept(behind, lookups, name):
    found = lookups(report(item("good.one"), item(name), item("good.two")))
    assert list(found) == ["good.one", "good.two"]
    assert behind.drops == {Drop.ROW_MALFORMED: 1}


def test_sources_with_one_address_are_one_client(lookups):
    found = lookups(joined(report(item("a.b")), report(item("c.d")), report(item("a.b"), source="::ffff:10.0.0.1")))
    assert {name: row[0] for name, row in found.items()} == {"a.b": 2, "c.d": 1}


def test_host_name_of_the_source_belongs_to_the_client(behind):
    behind.ask(DNS, report(item("a.b"), hostname="web-0"))
    behind.ask(TCP, report(item("10.0.0.2", port=80), source="2001:DB8::1", hostname="web-1"))
    assert behind.clients.keys() == {"web-0@10.0.0.1", "web-1@2001:db8::1"}


@pytest.mark.parametrize("document", [DNS, TCP, SCAN])
@pytest.mark.parametrize("source", ["", "nonsense", "pod:shop/web", "external:x", "fe80::1%eth0", "10.0.0.1 "])
def test_source_that_is_no_address_is_counted_by_its_rows(behind, document, source):
    bad = report(item("10.0.0.2", port=80), item("10.0.0.3", port=80), source=source)
    assert behind.ask(document, joined(bad, report(item("10.0.0.2", port=80))))[0] == 200
    assert behind.clients.keys() == {"10.0.0.1"}
    assert behind.drops == {Drop.ADDRESS_INVALID: 2}


@pytest.mark.parametrize("document", [DNS, TCP, SCAN])
@pytest.mark.parametrize("hostname", ["workload:shop/web", "a@b", "a/b", "-a", "x" * 300, "a b"])
def test_host_name_that_can_be_no_pods_is_counted_by_its_rows(behind, document, hostname):
    assert behind.ask(document, report(item("10.0.0.2", port=80), hostname=hostname))[0] == 200
    assert not behind.clients
    assert behind.drops == {Drop.ROW_MALFORMED: 1}


def test_bad_time_of_a_source_that_is_none_still_refuses_the_report(behind):
    bad = item("10.0.0.2") | {"lastSeen": "never"}
    for document in (DNS, TCP, SCAN):
        status, content = behind.ask(document, joined(report(item("10.0.0.3")), report(bad, source="nonsense")))
        assert (status, content["data"]) == (200, None)
    assert not behind.taken


@pytest.mark.parametrize(
    ("destination", "address", "server"),
    [
        ("10.0.0.2", "10.0.0.2", "10.0.0.2"),
        ("10.0.0.2", None, "10.0.0.2"),
        ("10.0.0.2", "10.0.0.3", "10.0.0.2"),
        ("2001:DB8::2", "", "2001:db8::2"),
        ("web-0", "10.0.0.2", "web-0@10.0.0.2"),
        ("", "10.0.0.2", "10.0.0.2"),
        ("", None, None),
        ("", "nonsense", None),
        ("web-0", None, None),
        ("web-0", "nonsense", None),
        ("pod:shop/web", "10.0.0.2", None),
        ("a@b", "10.0.0.2", None),
    ],
)
def test_server_is_the_address_or_the_pod_at_the_address(behind, destination, address, server):
    for number, document in enumerate((TCP, SCAN)):
        rows = [item(destination, address, 80), item("10.9.9.9", port=81)]
        assert behind.ask(document, report(*rows, source=f"10.0.1.{number}"))[0] == 200
        client = behind.clients[f"10.0.1.{number}"]
        found = {(flow.server, flow.port) for flow in client.connections + client.sockets}
        assert found == {(name, port) for name, port in [(server, 80), ("10.9.9.9", 81)] if name}
    assert behind.drops == ({} if server else {Drop.ADDRESS_INVALID: 2})


def test_connections_are_as_many_as_there_are_source_ports(flows):
    found = flows(
        TCP,
        report(
            item("10.0.0.2", port=80, ports=[40000, 40001, 40001], millis=4),
            item("10.0.0.2", port=81),
            item("10.0.0.2", port=80, ports=[40002], millis=2),
        ),
    )
    assert found == {("10.0.0.2", 80): (3, 2, 4), ("10.0.0.2", 81): (1, 0, 0)}


@pytest.mark.parametrize("port", [-1, 65536, 2**40])
def test_port_that_is_none_is_counted(behind, flows, port):
    assert flows(TCP, report(item("10.0.0.2", port=port), item("10.0.0.2", port=80))).keys() == {("10.0.0.2", 80)}
    assert behind.drops == {Drop.ROW_MALFORMED: 1}


def test_connection_to_an_unknown_port_is_kept(flows):
    assert flows(TCP, report(item("10.0.0.2"))) == {("10.0.0.2", 0): (1, 0, 0)}


def test_tcp_source_without_destinations_is_nothing(behind):
    assert behind.ask(TCP, report()) == (200, {"data": {"reportTCPCaptureResults": True}})
    assert not behind.taken


def scanned(*rows):
    """A socket scan as the model's sniffer sends it: (server, its port, the client's port)."""
    return report(*(item(server, server, own, [port]) for server, port, own in rows))


def test_socket_scan_of_the_models_sniffer_names_the_servers_port(flows):
    found = flows(SCAN, scanned(("10.0.0.2", 5432, 40001), ("10.0.0.2", 5432, 40002), ("10.0.0.3", 80, 60999)))
    assert found == {("10.0.0.2", 5432): (2, 0, 0), ("10.0.0.3", 80): (1, 0, 0)}


def test_socket_scan_with_ports_in_the_right_order(flows):
    found = flows(SCAN, report(item("10.0.0.2", port=5432, ports=[40001, 40002, 40002]), item("10.0.0.3", port=80)))
    assert found == {("10.0.0.2", 5432): (2, 0, 0), ("10.0.0.3", 80): (1, 0, 0)}


def test_servers_with_high_ports_are_told_by_the_other_rows_of_the_models_scan(flows):
    found = flows(SCAN, scanned(("10.0.0.2", 50051, 40001), ("10.0.0.3", 80, 40002), ("10.0.0.2", 50051, 1023)))
    assert found == {("10.0.0.2", 50051): (2, 0, 0), ("10.0.0.3", 80): (1, 0, 0)}


def test_servers_with_high_ports_are_told_by_the_other_rows_of_a_right_scan(flows):
    found = flows(SCAN, report(item("10.0.0.2", port=50051, ports=[40001]), item("10.0.0.3", port=80, ports=[40002])))
    assert found.keys() == {("10.0.0.2", 50051), ("10.0.0.3", 80)}


def test_scan_of_high_ports_alone_is_the_models_unless_a_row_has_several_source_ports(flows, behind_with):
    assert flows(SCAN, scanned(("10.0.0.2", 50051, 40001), ("10.0.0.2", 50051, 40002))).keys() == {("10.0.0.2", 50051)}
    other = behind_with()
    other.ask(SCAN, report(item("10.0.0.2", port=50051, ports=[40001, 40002])))
    assert [flow.port for flow in other.clients["10.0.0.1"].sockets] == [50051]


def test_scan_of_low_ports_alone_has_the_server_at_the_lower_one(flows, behind_with):
    assert flows(SCAN, scanned(("10.0.0.2", 80, 12000))).keys() == {("10.0.0.2", 80)}
    other = behind_with()
    other.ask(SCAN, report(item("10.0.0.2", port=80, ports=[12000])))
    assert [flow.port for flow in other.clients["10.0.0.1"].sockets] == [80]


def test_one_client_port_connected_to_two_ports_of_a_server_is_two_rows(flows):
    found = flows(SCAN, report(item("10.0.0.2", port=40001, ports=[80, 443])))
    assert found == {("10.0.0.2", 80): (1, 0, 0), ("10.0.0.2", 443): (1, 0, 0)}


def test_server_port_of_a_scan_that_is_none_is_counted(behind, flows):
    assert flows(SCAN, report(item("10.0.0.2", port=40001, ports=[-5]))) == {}
    assert behind.drops == {Drop.ROW_MALFORMED: 1}


@pytest.mark.parametrize(
    ("document", "switches"),
    [(DNS, {"dns": False}), (TCP, {"tcp": False}), (SCAN, {"sockets": False})],
)
def test_evidence_that_is_switched_off_is_counted_and_answered_true(behind_with, document, switches):
    from network_mapper.mapper.graphql import Switches

    behind = behind_with(Switches(**switches))
    status, content = behind.ask(document, report(item("10.0.0.2", port=80), item("10.0.0.3", port=80)))
    assert (status, list(content["data"].values())) == (200, [True])
    assert not behind.clients
    assert behind.drops == {Drop.REPORT_SWITCHED_OFF: 2}
    for number, other in enumerate({DNS, TCP, SCAN} - {document}):
        behind.ask(other, report(item("10.0.0.2", port=80), source=f"10.1.0.{number}"))
    assert len(behind.clients) == 2


def test_switched_off_evidence_with_a_bad_time_is_still_refused(behind_with):
    from network_mapper.mapper.graphql import Switches

    behind = behind_with(Switches(tcp=False))
    assert behind.ask(TCP, report(item("10.0.0.2") | {"lastSeen": "never"}))[1]["data"] is None


def level(source, server, size, flows):
    return {"srcIP": source, "dstIP": server, "bytesSent": size, "flows": flows}


def test_volumes_are_summed_as_of_now(behind):
    rows = [level("10.0.0.1", "10.0.0.2", 100, 2), level("10.0.0.1", "10.0.0.2", 5, 1), level("10.0.0.3", "::1", 0, 0)]
    assert behind.ask(LEVELS, {"r": {"results": rows}}) == (200, {"data": {"reportTrafficLevelResults": True}})
    assert [msgspec.to_builtins(row) for row in behind.clients["10.0.0.1"].volumes] == [["10.0.0.2", 105, 3, 0, 0]]
    assert [msgspec.to_builtins(row) for row in behind.clients["10.0.0.3"].volumes] == [["::1", 0, 0, 0, 0]]
    assert behind.taken[0][1] == NOW


def test_volumes_that_cannot_be_are_counted_and_their_neighbours_are_kept(behind):
    rows = [
        level("10.0.0.1", "10.0.0.2", -1, 1),
        level("10.0.0.1", "10.0.0.2", 1, -1),
        level("10.0.0.1", "10.0.0.2", 2**53 + 1, 1),
        level("10.0.0.1", "10.0.0.2", 1, 2**40 + 1),
        level("web", "10.0.0.2", 1, 1),
        level("10.0.0.1", "web", 1, 1),
        level("10.0.0.1", "10.0.0.2", 7, 1),
    ]
    assert behind.ask(LEVELS, {"r": {"results": rows}})[0] == 200
    assert [row.bytes for row in behind.clients["10.0.0.1"].volumes] == [7]
    assert behind.drops == {Drop.ROW_MALFORMED: 4, Drop.ADDRESS_INVALID: 2}
