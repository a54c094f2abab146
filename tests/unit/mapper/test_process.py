"""The mapper as a process: what it answered is true after kill -9, and it ends when it is told to."""

import contextlib
import http.client
import json
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import time

import msgspec
import pytest
from cluster_objects import write
from mapper_process import MapperProcess
from prometheus_client.parser import text_string_to_metric_families

from network_mapper.http_client import HttpClient
from network_mapper.mapper import run
from network_mapper.mapper.settings import MapperSettings
from network_mapper.wire.report import JSON, Client, Flow, Report


@pytest.fixture
def make(tmp_path):
    """Make mappers that are ended when the test is."""
    made = []

    def start(*options, snapshot=None):
        mapper = MapperProcess(tmp_path, snapshot or write(tmp_path / "cluster"), *options)
        made.append(mapper)
        return mapper.start()

    yield start
    for mapper in made:
        if mapper.process.poll() is None:
            mapper.stop(signal.SIGKILL)


def now():
    return time.time_ns() // 1_000_000


def report(sequence, count=1, *, port=5432, boot="boot", node="node-a"):
    flow = Flow("10.96.0.5", port, "tcp", count, -200, -100, "10.0.1.2", 8080)
    return Report(node, boot, sequence, now(), started=now() - 1000, clients=[Client("10.0.0.1", connections=[flow])])


def test_an_answered_report_survives_kill_and_is_counted_once(make):
    mapper = make("--checkpoint-interval", "3600")
    sent = [report(n) for n in range(1, 21)]
    for one in sent:
        assert mapper.report(one)[0] == 200
    mapper.stop(signal.SIGKILL)
    mapper.start()
    assert mapper.counts() == {("web", "db", 5432): 20}
    for one in sent:  # answers may have been lost: everything comes again
        status, receipt = mapper.report(one)
        assert (status, receipt["repeated"]) == (200, True)
    assert mapper.counts() == {("web", "db", 5432): 20}


def test_killed_at_any_moment_the_map_equals_what_was_answered(make):
    mapper = make("--checkpoint-interval", "0.05")
    answered = 0
    for round_ in range(4):
        for n in range(1, 41):
            status, _ = mapper.report(report(n, boot=f"boot-{round_}"))
            answered += status == 200
        mapper.stop(signal.SIGKILL)
        mapper.start()
        assert mapper.counts() == {("web", "db", 5432): answered}
    mapper.stop()
    buckets = sqlite3.connect(mapper.store).execute("SELECT sum(connections) FROM minutes").fetchone()[0]
    assert buckets == answered == 160


def test_few_edges_are_soon_on_disk_and_stay_with_whom_they_were_though_the_cluster_changed_meanwhile(make):
    mapper = make()
    mapper.report(report(1, 3))
    with contextlib.closing(sqlite3.connect(mapper.store)) as store:
        deadline = time.monotonic() + 8  # of the ten seconds of the interval
        while not store.execute("SELECT 1 FROM edges").fetchall():
            assert time.monotonic() < deadline
            time.sleep(0.05)
    mapper.stop(signal.SIGKILL)
    file = mapper.folder / "cluster" / "all.json"
    cluster = json.loads(file.read_text())
    cluster["items"] = [item for item in cluster["items"] if item["kind"] != "Pod"]
    file.write_text(json.dumps(cluster))
    mapper.start()
    assert mapper.counts() == {("web", "db", 5432): 3}


def test_many_edges_wait_for_the_interval(make):
    mapper = make()
    flows = [Flow("10.96.0.5", port, "tcp", 1, -200, -100, "10.0.1.2", 8080) for port in range(1000, 3100)]
    many = Report("node-a", "boot", 1, now(), started=now() - 1000, clients=[Client("10.0.0.1", connections=flows)])
    assert mapper.report(many)[0] == 200
    time.sleep(2.5)
    with contextlib.closing(sqlite3.connect(mapper.store)) as store:
        assert store.execute("SELECT count(*) FROM edges").fetchone() == (0,)


def test_a_restart_does_not_count_the_other_nodes_sighting(make):
    mapper = make()
    mapper.report(report(1, node="node-a"))
    mapper.report(report(1, node="node-b", boot="b"))
    mapper.stop(signal.SIGKILL)
    mapper.start()
    _, receipt = mapper.report(report(2, node="node-b", boot="b"))  # node-a has not spoken yet
    assert receipt["dropped"] == {"seen_elsewhere": 1}
    assert mapper.counts() == {("web", "db", 5432): 1}


def test_sigterm_ends_it_in_time_with_its_state_written(make):
    mapper = make("--checkpoint-interval", "3600")
    mapper.report(report(1, 7))
    hanging = socket.socket(socket.AF_UNIX)
    hanging.connect(str(mapper.folder / "m.sock"))
    hanging.send(b"POST /api/v1/reports HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n")
    hanging.send(b"Content-Length: 99\r\n\r\n{")
    code, seconds = mapper.stop()
    hanging.close()
    assert code == 0
    assert seconds < 5
    connection = sqlite3.connect(mapper.store)
    assert connection.execute("SELECT connections FROM edges").fetchall() == [(7,)]
    assert connection.execute("SELECT count(*) FROM journal").fetchone() == (0,)
    connection.close()


def test_a_reset_outlives_a_kill(make):
    mapper = make()
    mapper.report(report(1, 7))
    old = report(2)
    status, answer = mapper.post(b"{}", JSON, "/api/v1/reset")
    assert (status, answer["epoch"], answer["removed_edges"]) == (200, 2, 1)
    assert now() - 60_000 < answer["removed_since"] < answer["reset_at"]
    mapper.stop(signal.SIGKILL)
    mapper.start()
    assert mapper.counts() == {}
    assert mapper.report(old)[1]["dropped"] == {"before_reset": 1}
    time.sleep(0.25)
    status, receipt = mapper.report(report(3))
    assert (receipt["epoch"], receipt["rows"]) == (2, 1)
    assert mapper.counts() == {("web", "db", 5432): 1}


def test_a_reset_needs_a_content_type_that_foreign_pages_cannot_send(make):
    mapper = make()
    mapper.report(report(1))
    status, problem = mapper.post(b"", "text/plain", "/api/v1/reset")
    assert status == 415
    assert "application/json" in problem["detail"]
    assert len(mapper.counts()) == 1


def test_a_full_store_refuses_with_503_and_loses_nothing(make):
    mapper = make("--store-max-bytes", "160000", "--checkpoint-interval", "0.2")
    rows = [Flow("10.0.1.2", port, "tcp", 1, -1, 0) for port in range(1, 4000)]
    big = Report("node-a", "boot", 1, now(), clients=[Client("10.0.0.1", connections=rows)])
    for _ in range(50):
        answer = mapper.client.request("POST", "/api/v1/reports", msgspec.json.encode(big), {"Content-Type": JSON})
        if answer.status == 503:
            break
        big.sequence += 1
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert "cannot be written" in json.loads(answer.body)["detail"]
    assert mapper.client.request("GET", "/readyz").status == 503
    assert mapper.client.request("GET", "/healthz").status == 200
    assert mapper.process.poll() is None


def test_a_hundred_thousand_rows_in_one_report_are_taken(make):
    mapper = make()
    rows = [Flow("10.0.1.2", 1 + n % 60_000, "tcp", 1, -1, 0) for n in range(100_000)]
    status, receipt = mapper.report(Report("node-a", "boot", 1, now(), clients=[Client("10.0.0.1", connections=rows)]))
    assert (status, receipt["rows"]) == (200, 100_000)
    assert sum(mapper.counts().values()) == 100_000


def test_bad_rows_are_counted_beside_good_ones(make):
    mapper = make()
    good = ["10.0.1.2", 5432, "tcp", 1, 0, 0]
    bad = [["10.0.1.2", "no port", "tcp", 1, 0, 0], [], None, ["10.0.1.2", 1, "tcp", 0, 0, 0], {"server": "x"}]
    clients = [{"address": "10.0.0.1", "connections": [good, *bad, good]}, "no client", {"address": 5}]
    body = json.dumps({"node": "node-a", "boot": "b", "sequence": 1, "base": now(), "clients": clients}).encode()
    status, receipt = mapper.post(body)
    assert status == 200
    assert receipt["rows"] == 2
    assert receipt["dropped"] == {"row_malformed": 7}
    assert mapper.get("/api/v1/status")["drops"] == {"row_malformed": 7}
    mapper.stop(signal.SIGKILL)
    mapper.start()
    assert mapper.counts() == {("web", "db", 5432): 2}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"[]", "a report is an object"),
        (b"{}", "node"),
        (b'{"node":"","boot":"b","sequence":1,"base":1}', "node"),
        (b'{"node":"n","boot":"b","sequence":0,"base":1}', "sequence"),
        (b'{"node":"n","boot":"b","sequence":1,"base":1e400}', "JSON"),
        (b'{"node":"n","boot":"b","sequence":1,"base":1,"clients":5}', "clients"),
        (b"[" * 100_000, "no JSON"),
        (b'{"node":"\\ud800","boot":"b","sequence":1,"base":1}', "JSON"),
    ],
)
def test_an_unreadable_report_is_refused_for_good_with_its_reason(shared, body, says):
    status, problem = shared.post(body)
    assert status == 400
    assert says in problem["detail"]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mapper")
    mapper = MapperProcess(folder, write(folder / "cluster"), "--max-report-bytes", "1000000").start()
    yield mapper
    assert mapper.stop()[0] == 0


def test_too_large_a_report_is_refused_before_it_is_read(shared):
    status, problem = shared.post(b" " * 1_000_001)
    assert status == 413
    assert "1000000" in problem["detail"]


def test_a_chunked_body_has_the_same_bound(shared):
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(shared.url.removeprefix("unix:"))
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.request(
            "POST", "/api/v1/reports", iter([b" " * 65536] * 32), {"Content-Type": JSON}, encode_chunked=True
        )
    assert connection.getresponse().status == 413
    connection.close()


def test_two_thousand_kept_connections_are_served(shared):
    wanted = 2_000
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert most > wanted + 100, "this test needs descriptors"
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    kept = []
    try:
        for _ in range(wanted):
            client = HttpClient(shared.url, timeout=10)
            assert client.request("GET", "/healthz").status == 200
            kept.append(client)
        assert kept[0].request("GET", "/healthz").status == 200
    finally:
        for client in kept:
            client.close()


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/api/v1/reports", {}, 405),
        ("POST", "/api/v1/reports", {"Content-Type": "text/plain"}, 415),
        ("POST", "/api/v1/reports", {"Content-Type": JSON, "Content-Encoding": "gzip"}, 415),
        ("GET", "/api/v1/nothing", {}, 404),
        ("POST", "/api/v1/map", {}, 405),
        ("GET", "/api/v1/map?since=yesterday", {}, 400),
        ("GET", "/api/v1/map?since=20&until=10", {}, 400),
        ("GET", "/api/v1/map?labels=1", {}, 400),
    ],
)
def test_wrong_requests_get_a_problem_document(shared, method, path, headers, status):
    answer = shared.client.request(method, path, b"{}" if method == "POST" else None, headers)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert json.loads(answer.body)["status"] == status


def test_the_map_can_be_filtered(make):
    mapper = make()
    mapper.report(report(1, 3))
    edges = mapper.get("/api/v1/map?namespace=shop&client=web&server=db")["edges"]
    assert [edge["connections"] for edge in edges] == [3]
    for other in ("namespace=other", "client=db", "server=web"):
        assert mapper.get(f"/api/v1/map?{other}")["edges"] == []


def test_a_time_range_counts_only_what_lies_in_it(make):
    mapper = make()
    minute = now() // 60_000 * 60_000 - 600_000
    for n, (ago, count) in enumerate([(0, 5), (60_000, 7), (120_000, 11)], 1):
        flow = Flow("10.0.1.2", 5432, "tcp", count, 1000, 2000)
        base = minute + ago
        mapper.report(Report("node-a", "boot", n, base, clients=[Client("10.0.0.1", connections=[flow])]))
    assert mapper.counts() == {("web", "db", 5432): 23}

    def between(since, until):
        edges = mapper.get(f"/api/v1/map?since={since}&until={until}")["edges"]
        return [(edge["connections"], edge["first_seen"], edge["last_seen"]) for edge in edges]

    assert between(minute, minute + 180_000) == [(23, minute + 1000, minute + 122_000)]
    assert between(minute + 60_000, minute + 120_000) == [(7, minute + 61_000, minute + 62_000)]
    assert between(minute - 600_000, minute) == []


def test_since_when_the_map_watches_outlasts_a_restart_and_the_sniffers_of_then(make):
    began = now() - 60_000
    mapper = make()
    first = msgspec.structs.replace(report(1), started=began)
    assert mapper.report(first)[0] == 200
    assert mapper.stop()[0] == 0
    mapper.start()
    assert mapper.get("/api/v1/status")["watching_since"] == began
    assert mapper.report(report(1, boot="another"))[0] == 200
    assert mapper.get("/api/v1/map")["watching_since"] == began


def test_a_map_without_the_volume_of_the_last_one_watches_from_when_its_sniffers_came(make):
    mapper = make()
    before = now()
    assert mapper.report(msgspec.structs.replace(report(700), started=before - 60_000))[0] == 200
    assert before <= mapper.get("/api/v1/status")["watching_since"] <= now()


def test_status_names_sniffers_and_uncovered_nodes(make):
    mapper = make()
    mapper.report(Report("node-a", "boot", 1, now(), started=now() - 5000, agent="sniffer/1"))
    status = mapper.get("/api/v1/status")
    rows = [(row["node"], row["connected"], row["agent"]) for row in status["sniffers"]]
    assert rows == [("node-a", True, "sniffer/1")]
    assert status["uncovered_nodes"] == ["node-b"]
    assert status["cluster"]["pods"] == 7
    assert any("10.0.0.9" in line for line in status["cluster"]["problems"])


def test_metrics_are_prometheus_text_and_agree_with_the_status(make):
    mapper = make()
    mapper.report(report(1, 3))
    mapper.report(report(1, 3))
    text = mapper.client.request("GET", "/metrics").body.decode()
    families = text_string_to_metric_families(text)
    values = {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}
    assert values["network_mapper_mapper_rows_total"] == 1
    assert values["network_mapper_mapper_edges"] == 1
    assert values["network_mapper_mapper_rows_waiting"] == 0
    assert 'network_mapper_mapper_dropped_total{hop="intake",reason="report_repeated",unit="reports"} 1.0' in text


@pytest.mark.parametrize(("place", "asked"), [("", "127.0.0.1"), ("127.0.0.1:", "127.0.0.1"), ("[::1]:", "[::1]")])
def test_metrics_have_a_port_of_their_own_where_asked_and_nothing_else_is_there(make, place, asked):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    make("--metrics-port", f"{place}{port}")
    with HttpClient(f"http://{asked}:{port}") as client:
        answer = client.request("GET", "/metrics")
        assert answer.status == 200
        assert b"network_mapper_mapper_edges 0.0" in answer.body
        assert client.request("GET", "/api/v1/status").status == 404


def test_the_openapi_document_describes_what_is_served(shared):
    document = shared.get("/api/v1/openapi.json")
    assert set(document["paths"]) == {f"/api/v1/{name}" for name in ("map", "workloads", "status", "reset", "reports")}
    for path, methods in document["paths"].items():
        if "get" in methods:
            schema = methods["get"]["responses"]["200"]["content"]["application/json"]["schema"]
            required = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]].get("required", [])
            assert set(required) <= set(shared.get(path))


def test_workloads_are_listed_with_labels(shared):
    rows = {row["name"]: row for row in shared.get("/api/v1/workloads?namespace=shop")["workloads"]}
    assert rows["web"]["pods"] == 2
    assert rows["web"]["kind"] == "Deployment"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--snapshot", "/nonexistent"], "/nonexistent"),
        (["--store", "/nonexistent/map.db"], "--store"),
        (["--listen", "nonsense"], "--listen"),
        (["--store-sync", "sometimes"], "--store-sync"),
        (["--max-edges", "many"], "--max-edges"),
        (["--max-edges", "0"], "--max-edges"),
        (["--checkpoint-interval", "0"], "--checkpoint-interval"),
    ],
)
def test_what_it_cannot_start_with_is_one_line(tmp_path, options, says):
    base = [
        "--snapshot",
        str(write(tmp_path / "cluster")),
        "--store",
        str(tmp_path / "m.db"),
        "--listen",
        "127.0.0.1:0",
    ]
    command = [sys.executable, "-m", "network_mapper", "mapper", *base, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode in (1, 2)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert says in last
    assert "Traceback" not in done.stderr


def test_what_does_not_fit_into_memory_is_put_beside_the_map(tmp_path, monkeypatch):
    called = []
    monkeypatch.setattr(run, "load", lambda *_, **__: None)
    monkeypatch.setattr(run, "find_access", lambda *_: None)
    monkeypatch.setattr(run, "keep_temporary_files_beside", called.append)
    store = str(tmp_path / "no-folder" / "map.db")
    with pytest.raises(run.StartError, match="cannot be opened"):
        run.run(MapperSettings(store=store))
    assert called == [store]


def test_two_mappers_do_not_share_a_socket(make, tmp_path):
    make()
    command = [sys.executable, "-m", "network_mapper", "mapper", "--snapshot", str(tmp_path / "cluster")]
    command += ["--store", str(tmp_path / "other.db"), "--listen", f"unix:{tmp_path}/m.sock"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert "another process serves there" in done.stderr


def test_the_socket_of_a_dead_mapper_is_taken_over(make):
    mapper = make()
    mapper.stop(signal.SIGKILL)
    assert (mapper.folder / "m.sock").exists()
    mapper.start()
    assert mapper.counts() == {}
