"""An API server that hangs, talks nonsense, shows another certificate, refuses or is not there.

The mapper lives, is honest about it, takes no report that it cannot resolve, and goes on by itself.
"""

import functools
import json
import re
import subprocess
import sys
import time

import msgspec
import pytest
from capture_writer import ethernet, pcap
from harness.pki import Authority
from mapper_process import MapperProcess
from model_mapper import ModelMapper, eventually
from model_reports import connection, mutation, source
from packet_craft import Handshake

from network_mapper.wire.report import JSON, Client, Flow, Report

pytestmark = pytest.mark.cluster

HEALING = 20
"""Seconds; the mapper's pauses have come to some seconds by then."""


@pytest.fixture(scope="module")
def pair(control_plane, places):
    """Two workloads of one pod each."""
    place = places.new()
    (client,), (server,) = place.deployment("client"), place.deployment("server")
    yield client.ip, server.ip
    control_plane.remove_namespace(place.namespace)


@pytest.fixture
def make(control_plane, proxy, tmp_path):
    """Start a mapper behind the proxy; it is ended with the test, and must end well."""
    made = []

    def start(kind=MapperProcess):
        config = control_plane.kubeconfig(tmp_path / "kubeconfig", server=proxy.url)
        made.append(kind(tmp_path, None, "--kubeconfig", str(config)).start())
        return made[-1]

    yield start
    for mapper in made:
        assert mapper.stop()[0] == 0


def ask(mapper, path="/readyz"):
    answer = mapper.client.request("GET", path)
    return answer.status, json.loads(answer.body or b"{}").get("detail", "")


def status_text(mapper):
    command = [sys.executable, "-m", "network_mapper", "status", "--mapper-url", mapper.url]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout


def report(pair):
    now = time.time_ns() // 1_000_000
    flow = Flow(pair[1], 8080, "tcp", 1, -200, -100)
    return Report("node-a", "boot", 1, now, started=now - 1000, clients=[Client(pair[0], connections=[flow])])


def is_told(mapper, words):
    """Wait until readiness names the cause."""

    def told():
        status, detail = ask(mapper)
        assert status == 503, detail
        return words in detail

    deadline = time.monotonic() + 15
    while not told():
        assert time.monotonic() < deadline, ask(mapper)
        time.sleep(0.05)


def another_authority(proxy, _, folder):
    proxy.show(Authority(folder / "other").issue("server", "kube-apiserver", hosts=["127.0.0.1"]))


def another_name(proxy, plane, _):
    proxy.show(plane.authority.issue("other-name", "kube-apiserver", hosts=["other.example.org"]))


def as_answer(method, *arguments, path="*"):
    return lambda proxy, *_: getattr(proxy.on(path), method)(*arguments)


FAULTS = {
    "hangs": (as_answer("hang"), "has not answered"),
    "cuts": (as_answer("drop"), "does not answer since"),
    "answers HTML": (as_answer("html"), "HTML page"),
    "answers HTML for pods": (as_answer("html", path="/api/v1/pods"), "HTML page"),
    "answers nonsense": (as_answer("answer", 200, b'{"kind":', {"content-type": "application/json"}), "truncated"),
    "has another authority": (another_authority, "was not signed by certificate-authority"),
    "has another name": (another_name, "is for another name than 127.0.0.1"),
    "is down": (lambda proxy, *_: proxy.refuse(), "cannot connect: Connection refused"),
    "knows us not": (as_answer("unauthorized"), "Unauthorized"),
    "is unwell": (as_answer("refuse", 500, "InternalError", "etcd is unwell"), "etcd is unwell"),
    "refuses pods": (as_answer("refuse", 403, "Forbidden", "no", path="/api/v1/pods"), "resources: [pods]"),
    "cannot say what it serves": (as_answer("refuse", 403, "Forbidden", "no", path="/api*"), "may not be read"),
}


def heal(proxy):
    proxy.show()
    proxy.listen()
    proxy.heal()
    proxy.cut_open()


@pytest.mark.parametrize("fault", FAULTS)
def test_it_waits_says_why_and_goes_on_by_itself(fault, make, pair, control_plane, proxy, tmp_path):
    strike, words = FAULTS[fault]
    strike(proxy, control_plane, tmp_path)
    mapper = make()
    is_told(mapper, words)
    assert ask(mapper, "/healthz")[0] == 200
    kept = report(pair)
    body = msgspec.json.encode(kept)
    answer = mapper.client.request("POST", "/api/v1/reports", body, {"Content-Type": JSON})
    assert (answer.status, answer.headers.get("retry-after")) == (503, "1")
    assert words in answer.body.decode().replace('\\"', '"')
    text = status_text(mapper)
    assert "Not read yet: no report is taken until it is" in text
    heal(proxy)
    mapper.wait_ready(HEALING)
    status, receipt = mapper.report(kept)
    assert (status, receipt["rows"], receipt["dropped"]) == (200, 1, {})
    assert mapper.counts() == {("client", "server", 8080): 1}
    assert "Problem" not in status_text(mapper)


def test_a_sender_that_cannot_retry_is_held_and_then_refused(make, pair, proxy):
    proxy.refuse()
    mapper = make(ModelMapper)
    report_ = mutation("reportTCPCaptureResults", {"results": [source(pair[0], connection(pair[1]))]})
    send = functools.partial(mapper.post, json.dumps(report_).encode(), path="/query")
    began = time.monotonic()
    status, _ = send()
    assert status == 503
    assert 1.9 <= time.monotonic() - began < 4
    assert mapper.drops() == {"report_held_too_long": 1}
    proxy.listen()
    eventually(lambda: send()[0] == 200, HEALING)
    assert [edge["server"]["name"] for edge in mapper.get("/api/v1/map")["edges"]] == ["server"]


def test_what_a_sniffer_kept_meanwhile_is_in_the_map(make, pair, proxy, tmp_path):
    now = time.time_ns() // 1_000_000
    one = Handshake((pair[0], 40000), (pair[1], 8080))
    file = tmp_path / "traffic.pcap"
    file.write_bytes(pcap([(now, ethernet(one.syn())), (now + 1, ethernet(one.syn_ack()))]))
    proxy.refuse()
    mapper = make()
    is_told(mapper, "cannot connect")
    sniffer = subprocess.Popen(
        [*(sys.executable, "-m", "network_mapper", "sniffer", "--pcap", str(file), "--node", "node-a"),
         *("--mapper-url", mapper.url, "--replay-patience", "60")],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        eventually(lambda: mapper.get("/api/v1/status")["sniffers"] or refused(mapper))
        assert sniffer.poll() is None
        assert mapper.counts() == {}
        proxy.listen()
        said = sniffer.communicate(timeout=60)[1]
        assert sniffer.returncode == 0, said
    finally:
        sniffer.kill()
        sniffer.communicate()
    assert mapper.counts() == {("client", "server", 8080): 1}


def refused(mapper):
    return mapper.get("/api/v1/status")["drops"]


def test_a_server_that_goes_away_leaves_the_mapper_ready_and_is_told_with_the_time(make, pair, proxy):
    mapper = make().wait_ready()
    before = time.time()
    proxy.refuse()
    # At first it may be that a connection broke; from then on nobody listens.
    told = r"Problem: the API server does not answer since (\S+Z): .*cannot connect: Connection refused$"
    since = eventually(lambda: re.search(told, status_text(mapper), re.MULTILINE))[1]
    assert abs(time.mktime(time.strptime(since, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone - before) < 30
    assert ask(mapper) == (200, "")
    assert mapper.report(report(pair))[0] == 200
    assert mapper.counts() == {("client", "server", 8080): 1}
    proxy.listen()
    eventually(lambda: mapper.get("/api/v1/status")["cluster"]["problems"] == [] or None, HEALING)


def test_a_server_that_shows_another_certificate_later_is_not_followed_there(make, pair, proxy, tmp_path):
    mapper = make().wait_ready()
    another_authority(proxy, None, tmp_path)
    proxy.cut_open()
    eventually(lambda: "was not signed by" in str(mapper.get("/api/v1/status")["cluster"]["problems"]))
    assert ask(mapper) == (200, "")
    assert mapper.report(report(pair))[0] == 200
    heal(proxy)
    eventually(lambda: mapper.get("/api/v1/status")["cluster"]["problems"] == [], HEALING)
