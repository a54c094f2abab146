"""One small map in two forms: reports to our mapper, and the intents that a mapper of the model's schema answers.

The intents are written by hand from the description of the model, and not made of our mapper's answers, so that the two
cannot agree by mistake. Namespaces `ns1`, `other-ns` and `kafka` are those of the layouts in that description; `shop`
has HTTP and Kafka side by side; `ns2` a client of the same name, with another label, and a name with a dot.
"""

from __future__ import annotations

import json

import model_reports as reports
from model_server import API_SERVER, End, intent

CREATED = "2026-01-01T00:00:00Z"
CANONICAL = "service.istio.io/canonical-name"
WORKLOADS = {
    ("ns1", "client", "Deployment"): "10.0.0.1",
    ("ns1", "server", "Deployment"): "10.0.0.2",
    ("ns1", "api", "Deployment"): "10.0.0.3",
    ("other-ns", "web", "Deployment"): "10.0.0.4",
    ("kafka", "kafka", "StatefulSet"): "10.0.0.5",
    ("shop", "client-2", "Deployment"): "10.0.0.6",
    ("shop", "nginx", "Deployment"): "10.0.0.7",
    ("ns2", "client", "Deployment"): "10.0.0.8",
    ("ns2", "search.v2", "Deployment"): "10.0.0.9",
    ("kube-system", "coredns", "Deployment"): "10.0.0.10",
}
TEAMS = {("ns1", "client"): "a", ("ns2", "client"): "b", ("shop", "client-2"): "a"}
SERVICES = {
    ("other-ns", "web-svc"): ("10.96.0.4", 80, "web"),
    ("shop", "nginx"): ("10.96.0.7", 80, "nginx"),
    ("kube-system", "kube-dns"): ("10.96.0.10", 53, "coredns"),
}


def _object(api, kind, name, namespace="", **fields):
    meta = {"name": name, "uid": f"{kind}-{namespace}-{name}", "creationTimestamp": CREATED}
    meta |= {"namespace": namespace} if namespace else {}
    meta |= fields.pop("metadata", {})
    return {"apiVersion": api, "kind": kind, "metadata": meta, **fields}


def _owned_by(kind, name):
    return [{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "u", "controller": True}]


def _workload(namespace, name, kind, address):
    pod, owner = f"{name.replace('.', '-')}-0", (kind, name)
    yield _object("apps/v1", kind, name, namespace)
    if kind == "Deployment":
        owner = ("ReplicaSet", f"{name}-1")
        yield _object("apps/v1", "ReplicaSet", owner[1], namespace, metadata={"ownerReferences": _owned_by(kind, name)})
    labels = {"app": name, CANONICAL: name} | ({"team": TEAMS[namespace, name]} if (namespace, name) in TEAMS else {})
    yield _object(
        "v1",
        "Pod",
        pod,
        namespace,
        metadata={"labels": labels, "ownerReferences": _owned_by(*owner)},
        spec={"nodeName": "node-a", "containers": [{"name": "app"}]},
        status={"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "startTime": CREATED},
    )


def _service(namespace, name, address, port, target=""):
    yield _object(
        "v1",
        "Service",
        name,
        namespace,
        spec={
            "type": "ClusterIP",
            "clusterIP": address,
            "clusterIPs": [address],
            "ports": [{"port": port, "protocol": "TCP"}],
        },
    )
    if target:
        endpoint = {"kind": "Pod", "namespace": namespace, "name": f"{target}-0"}
        (pod,) = (ip for (home, workload, _), ip in WORKLOADS.items() if (home, workload) == (namespace, target))
        yield _object(
            "discovery.k8s.io/v1",
            "EndpointSlice",
            f"{name}-1",
            namespace,
            metadata={"labels": {"kubernetes.io/service-name": name}},
            addressType="IPv4",
            ports=[{"port": port}],
            endpoints=[{"addresses": [pod], "targetRef": endpoint}],
        )


def write_cluster(folder):
    """Write the cluster for a mapper's `--snapshot`; returns the folder."""
    addresses = {"addresses": [{"type": "InternalIP", "address": "192.168.1.1"}]}
    objects = [_object("v1", "Node", "node-a", spec={"podCIDRs": ["10.0.0.0/24"]}, status=addresses)]
    for identity, address in WORKLOADS.items():
        objects += _workload(*identity, address)
    for (namespace, name), (address, port, target) in SERVICES.items():
        objects += _service(namespace, name, address, port, target)
    objects += _service("default", "kubernetes", "10.96.0.1", 443)
    folder.mkdir()
    (folder / "all.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    return folder


def _address(name, namespace):
    return next(ip for (home, workload, _), ip in WORKLOADS.items() if (home, workload) == (namespace, name))


def report(mapper):
    """Tell a `ModelMapper` over that cluster the whole map, in the model's words."""
    client, kafka = _address("client", "ns1"), _address("kafka", "kafka")
    shopper, web, other = _address("client-2", "shop"), SERVICES["other-ns", "web-svc"][0], _address("client", "ns2")
    search = _address("search.v2", "ns2")
    mapper.connections(client, _address("server", "ns1"), web, reports.connection("10.96.0.1", 443))
    mapper.connections(client, reports.connection(kafka, 9092), reports.connection("10.96.0.10", 53))
    mapper.connections(_address("api", "ns1"), client)
    mapper.connections(shopper, reports.connection(kafka, 9092))
    mapper.sockets(other, search)
    mapper.connections(search, _address("server", "ns1"))
    mapper.topics(
        reports.topic(client, "kafka", "kafka-0", "mytopic", "Read"),
        reports.topic(client, "kafka", "kafka-0", "mytopic", "Describe"),
        reports.topic(shopper, "kafka", "kafka-0", "mytopic", "Write"),
        reports.topic(shopper, "kafka", "kafka-0", "mytopic", "Describe"),
    )
    mapper.requests(
        reports.http(("ns1", "client"), ("other-ns", "web"), "/a", "GET", "POST", service="web-svc"),
        reports.http(("ns1", "client"), ("other-ns", "web"), "/b", service="web-svc"),
        reports.http(("shop", "client-2"), ("shop", "nginx"), "/client2-path", "GET", "POST", service="nginx"),
    )


def report_lookup(mapper):
    """Tell of an edge that is known from DNS alone."""
    mapper.lookups(_address("api", "ns1"), "nginx.shop.svc.cluster.local")


def ends():
    """The workloads as the model shows them, by `namespace/name`: dots are underscores."""
    found = {}
    for namespace, name, kind in WORKLOADS:
        team = {"team": TEAMS[namespace, name]} if (namespace, name) in TEAMS else {}
        end = End(name.replace(".", "_"), namespace, kind, labels={"app": name, **team})
        found[end.key] = end
    return found


def intents():
    """The same map as a mapper of the model's schema answers it. Edges of Kafka have no kinds there."""
    by = ends()
    client, kafka, web, shopper = by["ns1/client"], by["kafka/kafka"], by["other-ns/web"], by["shop/client-2"]
    nameless = kafka._replace(kind="")
    return [
        intent(client, by["ns1/server"]),
        intent(client, web, service="web-svc"),
        intent(client, web, http={"/a": ["GET", "POST"], "/b": ["ALL"]}, service="web-svc"),
        intent(client, API_SERVER),
        intent(client, kafka),
        intent(client._replace(kind=""), nameless, kafka={"mytopic": ["CONSUME", "DESCRIBE"]}),
        intent(client, by["kube-system/coredns"], service="kube-dns"),
        intent(by["ns1/api"], client),
        intent(shopper, kafka),
        intent(shopper._replace(kind=""), nameless, kafka={"mytopic": ["PRODUCE", "DESCRIBE"]}),
        intent(shopper, by["shop/nginx"], http={"/client2-path": ["GET", "POST"]}, service="nginx"),
        intent(by["ns2/client"], by["ns2/search_v2"]),
        intent(by["ns2/search_v2"], by["ns1/server"]),
    ]


def lookup_intent():
    """The edge of `report_lookup`; nothing tells it from the others."""
    by = ends()
    return intent(by["ns1/api"], by["shop/nginx"], service="nginx")
