"""What can be switched, what a mapper does that cannot take a report in, and the metrics that dashboards know."""

import json
import time
import urllib.request

import model_reports as reports
import pytest
from harness.processes import free_port
from model_mapper import ModelMapper

pytestmark = pytest.mark.cluster

API = "kubernetes.default.svc.cluster.local"
ENVIRON = {
    "OTTERIZE_CLUSTER_DOMAIN": "env.local",
    "OTTERIZE_EXCLUDE_NAMESPACES": "left-out  left-out-too",
    "OTTERIZE_ENABLE_SOCKET_SCANNER": "false",
}
METRICS = {
    *("socketscan_reported_connections", "dns_reported_connections", "tcp_reported_connections"),
    *("kafka_reported_topics", "istio_reported_connections", "aws_reports", "gcp_reports", "azure_reports"),
    *("socketscan_dropped_connections", "dns_dropped_connections", "tcp_dropped_connections"),
    *("kafka_dropped_topics", "istio_dropped_connections", "aws_dropped_reports", "gcp_dropped_reports"),
    "azure_dropped_reports",
}


@pytest.fixture(scope="module")
def deaf(mappers):
    return mappers("--no-enable-dns", "--no-enable-tcp", "--no-enable-sockets")


@pytest.fixture(scope="module")
def of_environment(control_plane, tmp_path_factory):
    """A mapper with the model's variables."""
    folder = tmp_path_factory.mktemp("m")
    config = control_plane.kubeconfig(folder / "kubeconfig")
    process = ModelMapper(folder, None, "--kubeconfig", str(config), environ=ENVIRON).start().wait_ready()
    yield process
    assert process.stop()[0] == 0


@pytest.fixture
def lonely(control_plane, tmp_path):
    """Starts mappers whose API server is not there."""
    started = []

    def start(*options):
        config = control_plane.kubeconfig(tmp_path / "kubeconfig", server=f"https://127.0.0.1:{free_port('127.0.0.1')}")
        started.append(ModelMapper(tmp_path, None, "--kubeconfig", str(config), *options).start())
        return started[-1]

    yield start
    assert [process.stop()[0] for process in started] == [0] * len(started)


@pytest.fixture(scope="module")
def mesh(control_plane, places):
    """One of the namespaces that are left out unless it is said otherwise."""
    yield places.new("istio-system")
    control_plane.remove_namespace("istio-system")


@pytest.fixture
def client(place):
    return place.pod("client")


def scrape(text):
    """Values by name of the metrics without labels."""
    lines = [line.split() for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines if "{" not in name}


def metrics_of(mapper):
    return scrape(mapper.client.request("GET", "/metrics").body.decode())


# Switches


@pytest.mark.parametrize("kind", ["lookups", "connections", "sockets"])
def test_evidence_that_is_switched_off_is_taken_and_counted(kind, place, deaf, client):
    deaf.knows(place)
    with deaf.dropping() as drops:
        getattr(deaf, kind)(client.ip, API if kind == "lookups" else "10.96.0.1")
    assert drops == {"report_switched_off": 1}
    assert deaf.edges(place.namespace) == []


def test_other_evidence_is_taken_where_that_of_sniffers_is_switched_off(place, deaf, client):
    place.pod("broker")
    deaf.knows(place)
    deaf.topics(reports.topic(client.ip, place.namespace, "broker", "orders", "Read"))
    assert deaf.pairs(place.namespace) == [("client", "broker", "KAFKA")]


@pytest.mark.parametrize("which", ["client", "server"])
def test_no_edge_has_an_end_in_a_namespace_that_is_left_out(which, mesh, place, mapper, client):
    gateway = mesh.pod(f"gateway-{which}")
    mapper.knows(place)
    mapper.knows(mesh)
    ends = (client.ip, gateway.ip) if which == "server" else (gateway.ip, client.ip)
    with mapper.dropping() as drops:
        mapper.connections(*ends)
    assert drops == {"namespace_excluded": 1}
    assert mapper.edges(mesh.namespace) == []


def test_calls_of_clouds_and_volumes_are_left_out_likewise(mesh, mapper, client):
    proxy = mesh.pod("proxy")
    mapper.knows(mesh)
    named = {"name": "proxy", "namespace": mesh.namespace}
    with mapper.dropping() as drops:
        mapper.send("reportAWSOperation", [{"resource": "arn:x", "actions": ["a"], "client": named}])
        mapper.send("reportGCPOperation", [{"resource": "x", "permissions": ["p"], "client": named}])
        azure = {"scope": "x", "actions": ["a"], "dataActions": [], "clientName": "proxy"}
        mapper.send("reportAzureOperation", [azure | {"clientNamespace": mesh.namespace}])
        level = {"srcIP": client.ip, "dstIP": proxy.ip, "bytesSent": 1, "flows": 1}
        mapper.send("reportTrafficLevelResults", {"results": [level]})
    assert drops == {"namespace_excluded": 4}
    assert mapper.edges(mesh.namespace) == []


def test_the_models_variables_are_understood(of_environment, place, places, client):
    mapper = of_environment
    api = API.replace("cluster.local", "env.local")
    mapper.intent(place.namespace, lambda: mapper.lookups(client.ip, api))
    with mapper.dropping() as drops:
        mapper.sockets(client.ip, "10.96.0.1")
    assert drops == {"report_switched_off": 1}
    other = places.new("left-out-too")
    pod = other.pod("pod")
    mapper.knows(other)
    with mapper.dropping() as drops:
        mapper.lookups(pod.ip, api)
    assert drops == {"namespace_excluded": 1}
    other.plane.remove_namespace(other.namespace)


# A mapper that cannot take anything in


def test_a_report_that_cannot_be_taken_in_is_held_and_then_refused_and_counted(lonely):
    mapper = lonely()
    began = time.monotonic()
    body = reports.mutation("reportCaptureResults", {"results": [reports.source("10.0.0.1", reports.answer(API))]})
    answer = mapper.client.request("POST", "/query", json.dumps(body).encode(), {"Content-Type": "application/json"})
    held = time.monotonic() - began
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert json.loads(answer.body)["data"] is None
    assert 1.5 < held < 10
    assert mapper.drops() == {"report_held_too_long": 1}
    found = metrics_of(mapper)
    assert (found["dns_dropped_connections"], found["dns_reported_connections"]) == (1, 0)
    assert mapper.client.request("GET", "/readyz").status == 503
    assert mapper.client.request("GET", "/healthz").status == 200
    assert mapper.ask("{health}") == (200, {"data": {"health": True}})


@pytest.mark.parametrize(
    ("field", "value", "metric"),
    [
        ("reportTCPCaptureResults", {"results": [reports.source("10.0.0.1", reports.connection("10.0.0.2"))]}, "tcp_"),
        ("reportSocketScanResults", {"results": [reports.source("10.0.0.1", reports.socket("10.0.0.2"))]}, "sockets"),
        ("reportKafkaMapperResults", {"results": [reports.topic("10.0.0.1", "a", "b", "t", "Read")]}, "kafka_"),
        ("reportIstioConnectionResults", {"results": [reports.http(("a", "b"), ("a", "c"), "/", "GET")]}, "istio_"),
        ("reportAWSOperation", [{"resource": "r", "actions": ["a", "b"], "srcIp": "10.0.0.1"}], "aws_"),
    ],
)
def test_what_is_refused_is_counted_by_the_models_names(field, value, metric, lonely):
    mapper = lonely("--legacy-patience", "0")
    assert mapper.post(json.dumps(reports.mutation(field, value)).encode(), path="/query")[0] == 503
    risen = {name for name, value in metrics_of(mapper).items() if name in METRICS and value}
    assert {name[: len(metric)] for name in risen} == {metric}
    assert all("_dropped_" in name for name in risen)


def test_a_report_that_comes_before_the_cluster_is_read_waits_and_is_taken(control_plane, place, client, tmp_path):
    config = control_plane.kubeconfig(tmp_path / "kubeconfig")
    options = ("--kubeconfig", str(config), "--legacy-patience", "30")
    mapper = ModelMapper(tmp_path, None, *options).start()
    try:
        mapper.lookups(client.ip, API)
        assert mapper.pairs(place.namespace) == [("client", "kubernetes")]
    finally:
        assert mapper.stop()[0] == 0


# Metrics


def test_metrics_have_the_models_names_and_count_each_sighting_once(place, mappers, client):
    port = free_port("127.0.0.1")
    mapper = mappers("--metrics-port", str(port))
    mapper.knows(place)
    before = metrics_of(mapper)
    assert before.keys() >= METRICS
    mapper.lookups(client.ip, API, "api.example.com")
    mapper.connections(client.ip, "10.96.0.1", "203.0.113.1", "203.0.114.1")
    mapper.sockets(client.ip, "10.96.0.1")
    after = metrics_of(mapper)
    risen = {name: after[name] - before[name] for name in METRICS if after[name] != before[name]}
    assert risen == {
        "dns_reported_connections": 2,
        "tcp_reported_connections": 3,
        "socketscan_reported_connections": 1,
    }
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        assert scrape(answer.read().decode()).keys() >= METRICS
