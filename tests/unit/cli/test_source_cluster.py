"""A mapper inside a cluster: which one is meant, the way to it, and what is said when there is none."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest
from fake_cluster import LABELS, FakeCluster, pod, refusal, service
from forwarding import closing, message, opened, switched
from https_server import ok

from network_mapper.cli.sources import cluster as source_cluster
from network_mapper.cli.sources.base import Connection
from network_mapper.cli.sources.cluster import open_mapper
from network_mapper.cli.sources.open import open_source
from network_mapper.kube.access import Access


@pytest.fixture
def cluster(mapper, monkeypatch, tmp_path):
    """A cluster with one mapper, which is the stub; the environment names no other."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    made = FakeCluster()
    made.services = [service("shop", labels=LABELS)]
    made.pods = [pod("shop", "mapper-1")]
    made.target = int(mapper.url.rpartition(":")[2])
    with made.serving():
        made.config = made.kubeconfig(tmp_path / "kubeconfig")
        yield made


@pytest.fixture
def ask_there(run, cluster):
    return lambda *args: run(*args, "--kubeconfig", cluster.config)


def complaint(result):
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("Error: ")
    assert result.err.count("\n") == 1, result.err
    return result.err.removeprefix("Error: ").strip()


# The way


def test_the_map_is_the_same_by_every_way(ask_there, ask, cluster):
    assert ask_there("list", "-o", "wide") == ask("list", "-o", "wide")
    assert cluster.forwards == [("mapper-1", 9090)]


def test_a_mapper_that_runs_and_is_not_ready_is_asked_where_none_is_ready(ask_there, cluster):
    cluster.pods = [pod("shop", "waits", ready=False), pod("shop", "runs", ready=False, runs=True)]
    assert ask_there("status").code == 0
    assert cluster.forwards == [("runs", 9090)]


def test_a_mapper_that_runs_and_is_about_to_end_is_not_asked(ask_there, cluster):
    going = {"deletionTimestamp": "2027-01-01T00:00:00Z", "creationTimestamp": "2027-01-01T00:00:00Z"}
    stays = {"creationTimestamp": "2026-01-01T00:00:00Z"}
    cluster.pods = [
        pod("shop", "goes", ready=False, runs=True, **going),
        pod("shop", "stays", ready=False, runs=True, **stays),
    ]
    assert ask_there("status").code == 0
    assert cluster.forwards == [("stays", 9090)]


def test_a_mapper_that_is_ready_is_preferred_to_one_that_only_runs(ask_there, cluster):
    cluster.pods = [pod("shop", "z-runs", ready=False, runs=True), pod("shop", "ready")]
    assert ask_there("status").code == 0
    assert cluster.forwards == [("ready", 9090)]


def test_a_large_map_comes_whole(ask_there, ask, mapper):
    edges = [msgspec.structs.replace(mapper.map.edges[0], port=port) for port in range(1, 5_000)]
    mapper.map = mapper.everywhere = msgspec.structs.replace(mapper.map, edges=edges)
    assert ask_there("list", "-o", "json").out == ask("list", "-o", "json").out


def test_one_forward_serves_many_requests(cluster):
    with source_of(cluster) as source:
        for _ in range(5):
            source.map()
        source.reset()
        source.status()
    assert len(cluster.forwards) == 1


def test_a_forward_that_ended_meanwhile_is_opened_anew_to_the_pod_that_is_ready_now(cluster, mapper):
    async def once(request, writer):
        await one_answer(request, writer, msgspec.json.encode(mapper.map))
        cluster.on_forward = None

    cluster.on_forward = once
    with source_of(cluster) as source:
        source.map()
        cluster.pods = [pod("shop", "mapper-2")]
        assert len(source.map().edges) == 3
    assert [name for name, _ in cluster.forwards] == ["mapper-1", "mapper-2"]


async def one_answer(request, writer, body):
    writer.write(switched(request.headers["sec-websocket-key"]) + opened(9090))
    writer.write(message(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body) + closing())
    await writer.drain()
    writer.close()


def test_a_forward_that_was_not_used_for_long_is_not_trusted(cluster, monkeypatch):
    monkeypatch.setattr(source_cluster, "LONGEST_IDLE", -1.0)
    with source_of(cluster) as source:
        source.map()
        source.map()
    assert len(cluster.forwards) >= 2


def test_where_forwards_are_forbidden_the_service_proxy_is_asked(ask_there, ask, cluster, mapper):
    by_proxy(cluster, mapper)
    cluster.forbidden = {"/api/v1/namespaces/shop/pods/mapper-1/portforward"}
    assert ask_there("list") == ask("list")
    assert "/api/v1/namespaces/shop/services/http:network-mapper:9090/proxy/api/v1/map" in cluster.requests


def by_proxy(cluster, mapper):
    async def answer(request, writer):
        _, proxied, path = request.target.partition("/proxy/")
        if proxied:
            status, body = mapper.answer(f"{request.method} /{path}")
            writer.write(ok(body, status=f"{status} said"))
        return bool(proxied)

    cluster.on_request = answer


def test_the_mappers_own_refusal_is_told_from_the_api_servers(ask_there, cluster, mapper):
    by_proxy(cluster, mapper)
    cluster.forbidden = {"/api/v1/namespaces/shop/pods/mapper-1/portforward"}
    mapper.broken = (503, b'{"title":"not ready","status":503}')
    assert complaint(ask_there("list")) == (
        "the mapper at service shop/network-mapper of context kind answered 503 not ready. Try again in a while."
    )


def test_both_ways_that_failed_are_told_with_the_right_that_is_needed(ask_there, cluster):
    cluster.forbidden = {
        "/api/v1/namespaces/shop/pods/mapper-1/portforward",
        "/api/v1/namespaces/shop/services/http:network-mapper:9090/proxy/api/v1/map",
    }
    assert complaint(ask_there("list")) == (
        "service shop/network-mapper of context kind cannot be reached: no port-forward "
        "(/api/v1/namespaces/shop/pods/mapper-1/portforward is forbidden), no service proxy "
        "(/api/v1/namespaces/shop/services/http:network-mapper:9090/proxy/api/v1/map is forbidden). It takes a role "
        "with 'get' and 'create' on pods/portforward in namespace shop; or name a mapper that can be reached from here "
        "with --mapper-url."
    )


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
            "the connection to pod shop/mapper-1 ended in the middle of the answer (4 of 100 bytes came)",
        ),
        (
            b"",
            "pod shop/mapper-1 closed the connection without an answer",
        ),
    ],
)
def test_an_answer_that_is_cut_is_one_line(ask_there, cluster, answer, said):
    async def cut(request, writer):
        writer.write(switched(request.headers["sec-websocket-key"]) + opened(9090))
        writer.write(message(answer) + closing())
        await writer.drain()
        writer.close()

    cluster.on_forward = cut
    assert complaint(ask_there("list")) == (
        f"service shop/network-mapper of context kind: {said}. Try again; 'kubectl -n shop get pods' shows its state."
    )


def test_a_pod_that_speaks_no_http_is_no_mapper(ask_there, cluster):
    async def shout(request, writer):
        writer.write(switched(request.headers["sec-websocket-key"]) + opened(9090))
        writer.write(message(b"220 smtp.example.com ESMTP\r\n"))
        await request.reader.read()

    cluster.on_forward = shout
    assert "no mapper" in complaint(ask_there("list"))


def test_expired_credentials_say_whose_they_are(run, cluster, tmp_path):
    async def refuse(_, writer):
        writer.write(refusal(401, "Unauthorized", "Unauthorized"))
        return True

    cluster.on_request = refuse
    said = complaint(run("list", "--kubeconfig", cluster.config))
    assert said == (
        f"the API server of context kind ({cluster.url}) does not accept the credentials of context 'kind' of "
        f"{cluster.config} (Unauthorized); they may have expired. Log in to the cluster again, or name a mapper that "
        "can be reached from here with --mapper-url."
    )


def test_a_plugin_that_fails_is_told(run, cluster, tmp_path):
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-plugin", "interactiveMode": "Never"}
    config = cluster.kubeconfig(tmp_path / "plugin", exec=plugin)
    said = complaint(run("list", "--kubeconfig", config))
    assert said.startswith("no credentials for the API server of context kind: ")
    assert "no-such-plugin is not installed" in said


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"items":[{"metadata":7}]}', b"\xff"])
def test_an_api_server_that_talks_nonsense_is_one_line(ask_there, cluster, body):
    async def nonsense(_, writer):
        writer.write(ok(body))
        return True

    cluster.on_request = nonsense
    assert "its answer for /api/v1/services is none of Kubernetes" in complaint(ask_there("list"))


def source_of(cluster):
    return open_source(Connection(kubeconfig=cluster.config))


# Which mapper


def test_a_labelled_service_is_found_with_one_list(ask_there, cluster):
    ask_there("list")
    assert cluster.requests[0] == (
        "/api/v1/services?labelSelector=app.kubernetes.io%2Fname%3Dnetwork-mapper"
        "%2Capp.kubernetes.io%2Fcomponent%3Dmapper&limit=50"
    )
    assert len(cluster.requests) == 3


def test_both_names_given_are_one_plain_get(ask_there, cluster):
    ask_there("list", "--mapper-namespace", "shop", "--mapper-service-name", "network-mapper")
    assert cluster.requests[0] == "/api/v1/namespaces/shop/services/network-mapper"


@pytest.mark.parametrize(
    ("services", "options", "chosen"),
    [
        ([service("a", labels=LABELS), service("b")], (), "a/network-mapper"),
        ([service("a", "x", labels=LABELS), service("b")], (), "a/x"),
        ([service("a", "otterize-network-mapper"), service("b")], (), "b/network-mapper"),
        ([service("a", "otterize-network-mapper")], (), "a/otterize-network-mapper"),
        ([service("a", "mine"), service("b", labels=LABELS)], ("--mapper-service-name", "mine"), "a/mine"),
        ([service("a", labels=LABELS), service("b", labels=LABELS)], ("--mapper-namespace", "b"), "b/network-mapper"),
    ],
)
def test_the_mapper_that_is_meant_is_chosen(run, cluster, services, options, chosen):
    cluster.services = services
    cluster.pods = [
        pod(item["metadata"]["namespace"], "p", app=item["metadata"]["name"]) for item in services
    ]  # each has a pod that answers
    out = run("status", "--kubeconfig", cluster.config, *options).out
    assert f" at service {chosen} of context kind\n" in out


@pytest.mark.parametrize("place", ["mine", "network-mapper", "otterize-system"])
def test_without_lists_the_usual_namespaces_are_asked_by_name(run, cluster, tmp_path, place):
    cluster.services, cluster.pods = [service(place)], [pod(place, "p")]
    cluster.forbidden = {"/api/v1/services"} | {
        f"/api/v1/namespaces/{name}/services" for name in ("mine", "network-mapper", "otterize-system")
    }
    config = cluster.kubeconfig(tmp_path / "config", namespace="mine")
    assert f" at service {place}/network-mapper of context kind\n" in run("status", "--kubeconfig", config).out


def test_two_mappers_are_never_guessed_between(ask_there, cluster):
    cluster.services = [service(name, labels=LABELS) for name in ("b", "a")]
    assert complaint(ask_there("list")) == (
        "there are 2 mappers in context kind: a/network-mapper, b/network-mapper. "
        "Choose one with --mapper-namespace and --mapper-service-name."
    )


def test_a_namespace_that_does_not_exist_is_told_from_one_without_a_mapper(ask_there, cluster):
    assert complaint(ask_there("list", "--mapper-namespace", "nowhere")) == (
        "there is no namespace nowhere in context kind. Check --mapper-namespace."
    )
    cluster.services.append(service("elsewhere", "other"))
    assert complaint(ask_there("list", "--mapper-namespace", "elsewhere")).startswith("no mapper was found")


def test_names_that_no_url_takes_are_asked_for_as_they_are(ask_there, cluster):
    said = complaint(ask_there("list", "--mapper-namespace", "a/../b?c", "--mapper-service-name", "-ü\n"))
    assert "there is no service -ü in namespace a/../b?c of context kind" in said
    assert cluster.requests == ["/api/v1/namespaces/a%2F..%2Fb%3Fc/services/-%C3%BC%0A"]


# Which pod and port


@pytest.mark.parametrize(
    ("pods", "chosen"),
    [
        (
            [
                pod("shop", "old", creationTimestamp="2026-01-01T00:00:00Z"),
                pod("shop", "new", creationTimestamp="2026-01-02T00:00:00Z"),
            ],
            "new",
        ),
        (
            [
                pod("shop", "good", creationTimestamp="2026-01-01T00:00:00Z"),
                pod("shop", "starting", ready=False, creationTimestamp="2026-01-02T00:00:00Z"),
            ],
            "good",
        ),
        (
            [
                pod("shop", "good", creationTimestamp="2026-01-01T00:00:00Z"),
                pod(
                    "shop",
                    "leaving",
                    creationTimestamp="2026-01-02T00:00:00Z",
                    deletionTimestamp="2026-01-02T00:00:00Z",
                ),
            ],
            "good",
        ),
    ],
)
def test_the_newest_pod_that_is_ready_is_asked(ask_there, cluster, pods, chosen):
    cluster.pods = pods
    ask_there("list")
    assert cluster.forwards[0][0] == chosen


def test_two_pods_that_are_ready_have_a_part_of_the_map_each(ask_there, cluster):
    cluster.pods = [pod("shop", "one"), pod("shop", "two"), pod("shop", "three", ready=False)]
    result = ask_there("list")
    assert result.code == 0
    assert "Warning: 2 pods are behind the service shop/network-mapper. Each has a map of its own" in result.err


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"state": {"waiting": {"reason": "CrashLoopBackOff"}}}, "Running (CrashLoopBackOff)"),
        (
            {
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting"}},
                "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
            },
            "Running (CrashLoopBackOff: OOMKilled)",
        ),
        (
            {
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting"}},
                "lastState": {"terminated": {"reason": "Error", "message": "begins\nError: the folder is missing\n"}},
            },
            "Running (CrashLoopBackOff: Error: the folder is missing)",
        ),
        (
            {"state": {"waiting": {"reason": "ErrImagePull", "message": "no such image."}}, "lastState": {}},
            "Running (ErrImagePull: no such image)",
        ),
    ],
)
def test_why_the_pod_does_not_run_is_told(ask_there, cluster, status, said):
    cluster.pods = [pod("shop", "mapper-1", ready=False)]
    cluster.pods[0]["status"]["containerStatuses"] = [status]
    assert f"is ready: mapper-1 is {said}. 'kubectl -n shop describe pod mapper-1'" in complaint(ask_there("list"))


def test_why_no_node_takes_the_pod_is_told(ask_there, cluster):
    cluster.pods = [pod("shop", "mapper-1", ready=False)]
    said = "0/2 nodes are available: 2 node(s) were unschedulable."
    condition = {"type": "PodScheduled", "status": "False", "message": said}
    cluster.pods[0]["status"] = {"phase": "Pending", "conditions": [condition]}
    assert "mapper-1 is Pending (0/2 nodes are available: 2 node(s) were unschedulable). " in complaint(
        ask_there("list")
    )


ADMIN = {"name": "admin", "port": 1, "targetPort": 1}


@pytest.mark.parametrize(
    ("ports", "options", "port"),
    [
        ([{"port": 80, "targetPort": 8000}], (), 8000),
        ([{"port": 80}], (), 80),
        ([{"port": 80, "targetPort": "web"}], (), 8080),
        ([{"port": 80, "targetPort": "8000"}], (), 8000),
        ([ADMIN, {"name": "http", "port": 80, "targetPort": 8000}], (), 8000),
        ([ADMIN, {"name": "http-api", "port": 80, "targetPort": 8000}], (), 8000),
        ([ADMIN, {"name": "x", "port": 9090, "targetPort": 8000}], (), 8000),
        ([ADMIN, {"port": 80, "targetPort": 8000, "protocol": "UDP"}], (), 1),
        ([{"port": 80, "targetPort": 8000}], ("--mapper-service-port", "80"), 8000),
        ([{"port": 80, "targetPort": 8000}], ("--mapper-service-port", "9090"), 9090),
    ],
)
def test_the_port_is_the_services_or_else_the_pods(ask_there, cluster, ports, options, port):
    cluster.services = [service("shop", labels=LABELS, ports=ports)]
    ask_there("list", *options)
    assert cluster.forwards[0][1] == port


@pytest.mark.parametrize("kind", ["containers", "initContainers"])
def test_a_port_of_the_pod_is_found_by_its_name_among_all_of_its_containers(ask_there, cluster, kind):
    spec = cluster.pods[0]["spec"]
    spec["containers"] = [{}, {"ports": [{"containerPort": 1, "name": "admin"}, {"containerPort": 2}]}]
    spec.setdefault(kind, []).append({"ports": [{"containerPort": 8081, "name": "web"}]})
    cluster.services = [service("shop", labels=LABELS, ports=[{"port": 80, "targetPort": "web"}])]
    ask_there("list")
    assert cluster.forwards == [("mapper-1", 8081)]


def test_ports_that_could_all_be_meant_are_listed(ask_there, cluster):
    ports = [ADMIN, {"name": "other", "port": 2}]
    cluster.services = [service("shop", labels=LABELS, ports=ports)]
    assert complaint(ask_there("list")) == (
        "the mapper's service shop/network-mapper has these ports: 1 (admin), 2 (other). "
        "Choose one with --mapper-service-port."
    )


@pytest.mark.parametrize(
    ("address", "url"), [("10.96.0.9", "http://10.96.0.9:9090"), ("fd00::9", "http://[fd00::9]:9090")]
)
def test_in_the_cluster_the_services_address_is_dialled(cluster, address, url):
    cluster.services = [service("shop", labels=LABELS, clusterIP=address)]
    client, where = open_mapper(Access(cluster.url, inside=True), Connection())
    assert (client.url, where, cluster.forwards) == (url, "service shop/network-mapper of this cluster", [])


def test_in_the_cluster_a_service_without_an_address_is_forwarded_to(cluster):
    cluster.services = [service("shop", labels=LABELS, clusterIP="None")]
    client, _ = open_mapper(Access(cluster.url, inside=True), Connection())
    assert client.request("GET", "/api/v1/status").status == 200
    client.close()
    assert len(cluster.forwards) == 1


def test_asking_a_cluster_loads_no_server_and_no_second_http_client(cluster):
    program = (
        "import sys; from network_mapper.cli.main import main; sys.argv[0] = 'network-mapper'; main(sys.argv[1:]);"
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    command = [sys.executable, "-c", program, "list", "--kubeconfig", cluster.config]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    heavy = {"http.client", "starlette", "uvicorn", "uvloop", "prometheus_client", "graphql", "network_mapper.cluster"}
    assert done.stdout
    assert not set(done.stderr.split()) & (heavy | {"network_mapper.mapper", "network_mapper.store"})
