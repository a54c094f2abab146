"""The same traffic over both wires to the same kind of mapper: what is equal, what is not and why, and the change from
one wire to the other in the middle."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from capture_writer import pcap
from mapper_process import MapperProcess
from model_reports import INTENTS
from packet_craft import Handshake
from query_door import Between

from network_mapper.testing.demo import RECORDING
from network_mapper.testing.lab import command_line, environment
from network_mapper.testing.plan import make_plan
from network_mapper.testing.topology import BOUTIQUE, load
from network_mapper.wire.report import Report

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Unix sockets")

PLAN = make_plan(load(BOUTIQUE))
REPORTS, QUERY = "/api/v1/reports", "/query"
SUMMARY = re.compile(r"(\d+) packets, (\d+) observations, (\d+) reports with (\d+) rows; drops: none\n$")
RAW, _FILE_HEADER = 101, 24


class Installation:
    """A mapper of the recording's cluster behind something that shows only its GraphQL door."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="wires-"))  # short, as a Unix socket's path must be
        self.mapper = MapperProcess(self.folder, RECORDING / "cluster.json").start().wait_ready()
        self.between = Between(self.mapper.url)

    def close(self):
        self.between.stop()
        self.mapper.stop()
        shutil.rmtree(self.folder)

    def announce(self):
        """Say that every node is watched, as in `testing.lab`."""
        for node in PLAN.nodes:
            status, _ = self.mapper.report(Report(node, "announcement", 1, int(time.time() * 1000)))
            assert status == 200

    def play(self, wire, nodes=tuple(PLAN.nodes), *, url=""):
        """Play what was recorded on these nodes; returns the numbers of each summary."""
        return [self._play(node, wire, url or self.between.url) for node in nodes]

    def _play(self, node, wire, url):
        arguments = ["--mapper-url", url, "--wire", wire, "--node", node]
        argv = command_line("sniffer", *arguments, "--pcap", str(RECORDING / f"{node}.pcap"))
        done = subprocess.run(argv, capture_output=True, text=True, env=environment(), timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        found = SUMMARY.search(done.stderr)
        assert found, done.stderr
        return [int(number) for number in found.groups()]

    def edges(self):
        """Numbers (connections, attempts, sockets, lookups) by client, server, service, port and protocol."""
        return {
            (_peer(edge["client"]), _peer(edge["server"]), _service(edge), edge["port"], edge["protocol"]): tuple(
                edge.get(number, 0) for number in ("connections", "attempts", "sockets", "lookups")
            )
            for edge in self.mapper.get("/api/v1/map")["edges"]
        }

    def intents(self):
        """Names of client and server, and the service, as the model's command line is told them."""
        status, content = self.mapper.ask(INTENTS, {}, operationName="Intents")
        assert status == 200, content
        return {
            (intent["client"]["name"], intent["server"]["name"], intent["server"]["kubernetesService"])
            for intent in content["data"]["intents"]
        }

    def listed(self):
        """What `network-mapper list` prints."""
        argv = command_line("list", "--mapper-url", self.mapper.url)
        return subprocess.run(argv, capture_output=True, text=True, env=environment(), check=True).stdout


def _peer(peer):
    return peer.get("name", json.dumps(peer))


def _service(edge):
    return (edge.get("service") or {}).get("name", "")


def _name(edge):
    return edge[0], edge[1]


@pytest.fixture
def install():
    made = []

    def start():
        made.append(Installation())
        return made[-1]

    yield start
    for each in made:
        each.close()


@pytest.fixture(scope="module")
def native():
    """The recording of both nodes, over the native door."""
    made = Installation()
    made.announce()
    made.play("native", url=made.mapper.url)
    yield made
    made.close()


@pytest.fixture(scope="module", params=["graphql", "auto"])
def told(request):
    """Likewise, over the model's GraphQL."""
    made = Installation()
    made.summaries = made.play(request.param)
    yield made
    made.close()


# The recording


def test_a_replay_to_a_mapper_that_has_only_graphql_ends_well_and_sums_up(told):
    packets = [summary[0] for summary in told.summaries]
    rows = [summary[3] for summary in told.summaries]
    assert all(packets)
    assert all(rows)
    assert {path for path, _ in told.between.answers} == {QUERY}
    assert {status for _, status in told.between.answers} == {200}
    assert told.mapper.get("/api/v1/status")["drops"] == {}


def test_the_list_and_the_models_answer_name_the_same_clients_and_servers(native, told):
    assert told.listed() == native.listed()
    assert {pair[:2] for pair in told.intents()} == {pair[:2] for pair in native.intents()}


def test_every_edge_of_the_native_door_is_there_with_the_same_evidence(native, told):
    expected, found = native.edges(), told.edges()
    assert expected.keys() <= found.keys()
    for edge, numbers in expected.items():
        assert [number > 0 for number in found[edge]] == [number > 0 for number in numbers], edge


def test_no_edge_has_more_connections_than_were_made(native, told):
    found = told.edges()
    for edge, (connections, attempts, *_) in native.edges().items():
        assert found[edge][0] <= connections
        assert found[edge][1] <= attempts


def test_what_is_more_are_connections_between_nodes_as_the_servers_node_sees_them(native, told):
    """That wire does not say which node reports, so nobody can tell that the client's node has told it already."""
    expected = native.edges()
    more = told.edges().keys() - expected.keys()
    assert more, "the recording has connections between its nodes"
    for client, server, service, port, protocol in more:
        clients, servers = (PLAN.pods_of(PLAN.topology.workload(name)) for name in (client, server))
        assert {pod.node for pod in clients} | {pod.node for pod in servers} == set(PLAN.nodes)
        assert (service, protocol) == ("", "tcp")
        assert port in {each.pod_port for each in servers[0].workload.ports}
        assert (client, server, server) in {edge[:3] for edge in expected}, "the same is there through its service"


@pytest.mark.parametrize("node", list(PLAN.nodes))
@pytest.mark.parametrize("wire", ["graphql", "auto"])
def test_of_one_node_both_doors_give_the_same_edges(node, wire, install):
    over_native, over_graphql = install(), install()
    over_native.play("native", [node], url=over_native.mapper.url)
    over_graphql.play(wire, [node])
    assert over_graphql.edges().keys() == over_native.edges().keys()
    assert over_graphql.listed() == over_native.listed()
    assert over_graphql.intents() == over_native.intents()


# The change in the middle


class Stream:
    """A sniffer that reads a pipe, and packets of now for it."""

    def __init__(self, url, path):
        os.mkfifo(path)
        argv = command_line("sniffer", "--mapper-url", url, "--wire", "auto", "--node", "node-1", "--pcap", str(path))
        self._process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=environment())
        self._pipe = path.open("wb", buffering=0)
        self._pipe.write(pcap([], link=RAW))
        self._port = 40_000

    def connect(self, client, server, count):
        """Let the first pod of a workload open connections to a service, all in one piece of the pipe."""
        (pod, *_) = PLAN.pods_of(PLAN.topology.workload(client))
        workload = PLAN.topology.workload(server)
        dialled = PLAN.service_of(workload).address4, workload.ports[0].port
        now, frames = int(time.time() * 1000), []
        for _ in range(count):
            self._port += 1
            shake = Handshake((pod.address4, self._port), dialled, isn=self._port * 7, stamp=self._port)
            frames += [(now, shake.syn()), (now, shake.syn_ack())]
        self._pipe.write(pcap(frames, link=RAW)[_FILE_HEADER:])

    def end(self):
        self._pipe.close()
        _, log = self._process.communicate(timeout=60)
        return self._process.returncode, log

    def kill(self):
        self._pipe.close()
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


@pytest.fixture
def stream(install, tmp_path):
    made = install()
    made.stream = Stream(made.between.url, made.folder / "pipe")
    yield made
    made.stream.kill()


def wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)


def connections(installation):
    return {_name(edge): numbers[0] for edge, numbers in installation.edges().items()}


def test_the_wire_changes_with_the_mapper_and_back_and_nothing_is_lost_or_counted_twice(stream):
    between = stream.between
    cart, ads, shipping, currency = (
        ("frontend", server) for server in ("cartservice", "adservice", "shippingservice", "currencyservice")
    )
    stream.stream.connect(*cart, 3)
    wait_for(lambda: cart in connections(stream))
    assert {path for path, _ in between.answers} == {QUERY}

    # Another mapper takes the place of the first one, with a report door.
    between.stop()
    stream.stream.connect(*ads, 4)
    time.sleep(1.5)
    between.native = True
    between.start()
    wait_for(lambda: ads in connections(stream))
    assert (REPORTS, 200) in between.answers
    before = connections(stream)
    assert before == {cart: 1, ads: 4}, "natively every connection counts; before, each edge was told as present"
    stream.stream.connect(*cart, 5)
    wait_for(lambda: connections(stream)[cart] > 1)
    queries = between.paths[QUERY]

    # And the other way round.
    between.stop()
    stream.stream.connect(*shipping, 2)
    time.sleep(1.5)
    between.native = False
    between.start()
    wait_for(lambda: shipping in connections(stream))
    assert between.paths[QUERY] > queries
    stream.stream.connect(*currency, 1)
    wait_for(lambda: currency in connections(stream))

    code, log = stream.stream.end()
    assert code == 0, log
    assert SUMMARY.search(log), log
    assert connections(stream) == {cart: 6, ads: 4, shipping: 1, currency: 1}
    assert "speaking that" in log
    assert "reporting there" in log
