"""The map as the model's queries show it."""

import pytest

from network_mapper.mapper.graphql.intents import Filter, intents
from network_mapper.model import Ambiguous, Edge, External, Node, Service, ServiceRef, Workload

SEEN = 1_749_544_115_123
FULL = """query Intents($namespaces: [String!], $includedLabels: [String!], $excludeServiceWithLabels: [String!],
    $all: Boolean, $server: ServerFilter) {
  intents(namespaces: $namespaces, includeLabels: $includedLabels, includeAllLabels: $all,
      excludeServiceWithLabels: $excludeServiceWithLabels, server: $server) {
    client {...Who} server {...Who} type resolutionData
    kafkaTopics {name operations} httpResources {path methods} awsActions
  }
}
fragment Who on OtterizeServiceIdentity {
  name namespace labels {key value} nameResolvedUsingAnnotation kubernetesService podOwnerKind {group version kind}
  resolutionData {host podHostname procfsHostname port isService uptime lastSeen extraInfo hasLinkerdSidecar
    tcpDestResolveFixData {isSrcControlPlane resolvedUsingIp}}
}"""
API = Service("kubernetes", "default")


def app(name, namespace="shop", kind="Deployment"):
    return Workload(name, namespace, kind)


WEB, CART, DB = app("web"), app("cart"), app("db", "data", "StatefulSet")


def edge(client, server, service=None, *, port=80, protocol="tcp", seen=SEEN, details=None, **counts):
    ref = ServiceRef(service, getattr(server, "namespace", "shop")) if service else None
    if not counts:
        counts = {"requests" if protocol in ("http", "kafka", "aws") else "connections": 1}
    return Edge(client, server, ref, port, protocol, first_seen=seen, last_seen=seen, details=details or {}, **counts)


@pytest.fixture
def shown(behind):
    """The intents of some edges, in full."""

    def show(*edges, **variables):
        behind.edges = list(edges)
        return behind.data(FULL, variables)["intents"]

    return show


def pairs(found):
    return [
        (
            f"{item['client']['namespace']}/{item['client']['name']}",
            f"{item['server']['namespace']}/{item['server']['name']}",
        )
        for item in found
    ]


def test_connection_through_a_service_in_full(behind, shown):
    behind.cluster.labels = {WEB: {"tier": "front", "app": "web"}}
    (found,) = shown(edge(WEB, CART, "cart-svc"), all=True)
    nothing = dict.fromkeys(("host", "podHostname", "procfsHostname", "uptime", "hasLinkerdSidecar"))
    assert found == {
        "client": {
            "name": "web",
            "namespace": "shop",
            "labels": [{"key": "app", "value": "web"}, {"key": "tier", "value": "front"}],
            "nameResolvedUsingAnnotation": False,
            "kubernetesService": None,
            "podOwnerKind": {"group": "apps", "version": "v1", "kind": "Deployment"},
            "resolutionData": nothing
            | {
                "port": None,
                "isService": False,
                "lastSeen": None,
                "extraInfo": "resolveInClusterIdentity",
                "tcpDestResolveFixData": None,
            },
        },
        "server": {
            "name": "cart",
            "namespace": "shop",
            "labels": [],
            "nameResolvedUsingAnnotation": False,
            "kubernetesService": "cart-svc",
            "podOwnerKind": {"group": "apps", "version": "v1", "kind": "Deployment"},
            "resolutionData": nothing
            | {
                "port": 80,
                "isService": True,
                "lastSeen": "2025-06-10T08:28:35.123Z",
                "extraInfo": "resolveDestIdentityTCP",
                "tcpDestResolveFixData": None,
            },
        },
        "type": None,
        "resolutionData": "handleInternalTrafficTCPResult",
        "kafkaTopics": None,
        "httpResources": None,
        "awsActions": None,
    }


@pytest.mark.parametrize(
    ("edges", "evidence", "extra"),
    [
        ([{"connections": 1}], "handleInternalTrafficTCPResult", "resolveDestIdentityTCP"),
        ([{"attempts": 1}], "handleInternalTrafficTCPResult", "resolveDestIdentityTCP"),
        ([{"sockets": 1}], "addSocketScanPodIntent", "addSocketScanPodIntent"),
        ([{"sockets": 1, "service": "s"}], "addSocketScanServiceIntent", None),
        ([{"lookups": 1, "protocol": "dns", "port": 0}], "handleDNSCaptureResultsAsKubernetesPods", None),
        (
            [{"sockets": 1}, {"lookups": 1, "protocol": "dns", "port": 0}],
            "addSocketScanPodIntent",
            "addSocketScanPodIntent",
        ),
        ([{"sockets": 1, "service": "s"}, {"attempts": 1}], "handleInternalTrafficTCPResult", "resolveDestIdentityTCP"),
    ],
)
def test_intent_says_its_strongest_evidence(shown, edges, evidence, extra):
    (found,) = shown(*(edge(WEB, CART, **each) for each in edges))
    assert found["resolutionData"] == evidence
    assert found["server"]["resolutionData"]["extraInfo"] == extra


def test_lookup_knows_no_port(shown):
    (found,) = shown(edge(WEB, CART, "cart", port=0, protocol="dns", lookups=3))
    assert found["server"]["resolutionData"]["port"] is None


def test_several_edges_of_a_pair_are_one_intent_with_the_latest_port_of_its_service(shown):
    (found,) = shown(
        edge(WEB, CART, port=9000, seen=SEEN + 9),
        edge(WEB, CART, "b-svc", port=81),
        edge(WEB, CART, "a-svc", port=82),
        edge(WEB, CART, "a-svc", port=80, seen=SEEN + 1),
    )
    assert found["server"]["kubernetesService"] == "a-svc"
    assert found["server"]["resolutionData"]["port"] == 80
    assert found["server"]["resolutionData"]["lastSeen"] == "2025-06-10T08:28:35.132Z"


def test_service_that_is_shown_does_not_depend_on_the_order_of_evidence(shown):
    edges = [edge(WEB, CART, port=0, protocol="dns", lookups=1), edge(WEB, CART, "x"), edge(WEB, CART, "y")]
    assert shown(*edges) == shown(*reversed(edges))
    assert shown(*edges)[0]["server"]["kubernetesService"] == "x"


def test_kafka_intent(behind, shown):
    behind.cluster.versions["StatefulSet"] = ("apps", "v1")
    details = {"orders": ["PRODUCE", "CONSUME", "NONSENSE"], "bills": ["DESCRIBE"]}
    (found,) = shown(edge(WEB, DB, port=0, protocol="kafka", details=details))
    assert found["type"] == "KAFKA"
    assert found["resolutionData"] == "handleReportKafkaMapperResults"
    assert found["kafkaTopics"] == [
        {"name": "bills", "operations": ["DESCRIBE"]},
        {"name": "orders", "operations": ["CONSUME", "PRODUCE"]},
    ]
    assert found["httpResources"] is None
    assert found["client"]["podOwnerKind"]["kind"] == "Deployment"
    assert found["server"]["resolutionData"] is None


def test_http_intent_merges_the_paths_of_its_edges(shown):
    (found,) = shown(
        edge(WEB, CART, "a", port=0, protocol="http", details={"/x": ["POST", "GET"], "/y": [""]}),
        edge(WEB, CART, port=0, protocol="http", details={"/x": ["HEAD", "PUT"]}),
    )
    assert found["type"] == "HTTP"
    assert found["resolutionData"] == "handleReportIstioConnectionResults"
    assert found["httpResources"] == [
        {"path": "/x", "methods": ["GET", "POST", "PUT"]},
        {"path": "/y", "methods": []},
    ]
    assert found["server"]["kubernetesService"] == "a"


def test_one_pair_has_an_intent_for_each_type(shown):
    found = shown(
        edge(WEB, CART, port=0, protocol="kafka"),
        edge(WEB, CART),
        edge(WEB, CART, port=0, protocol="http"),
    )
    assert [item["type"] for item in found] == [None, "HTTP", "KAFKA"]


def test_intents_are_sorted_by_client_and_server_with_their_namespaces(shown):
    a, b = app("a", "z"), app("b", "y")
    found = shown(edge(a, WEB), edge(WEB, b), edge(WEB, a), edge(b, WEB), edge(app("z", "a"), a))
    assert pairs(found) == [
        ("a/z", "z/a"),
        ("shop/web", "y/b"),
        ("shop/web", "z/a"),
        ("y/b", "shop/web"),
        ("z/a", "shop/web"),
    ]


@pytest.mark.parametrize(
    "other",
    [Node("n1"), External("1.2.3.0/24"), Ambiguous((WEB, CART)), Service("headless", "shop")],
    ids=lambda peer: type(peer).__name__,
)
def test_ends_that_are_no_workloads_are_not_shown(shown, other):
    assert shown(edge(WEB, other), edge(other, WEB)) == []


@pytest.mark.parametrize(
    "hidden",
    [
        edge(WEB, CART, port=0, protocol="ip", bytes=10, flows=1),
        edge(WEB, CART, bytes=10, flows=1),
        edge(WEB, External("arn:aws:s3:::x"), port=0, protocol="aws"),
        edge(WEB, CART, port=0, protocol="aws"),
    ],
)
def test_volumes_and_calls_of_a_cloud_are_not_shown(shown, hidden):
    assert shown(hidden) == []


def test_self_edges_are_shown(shown):
    assert pairs(shown(edge(WEB, WEB))) == [("shop/web", "shop/web")]


def test_service_stands_for_all_of_its_backends(behind, shown):
    service = Service("split", "shop")
    behind.cluster.backends[service] = (CART, DB)
    found = shown(edge(WEB, service, "split"), edge(WEB, DB, "other", port=81))
    assert pairs(found) == [("shop/web", "data/db"), ("shop/web", "shop/cart")]
    assert [item["server"]["kubernetesService"] for item in found] == ["other", "split"]


def test_api_server_as_server(shown):
    (found,) = shown(edge(WEB, API, port=443))
    server = found["server"]
    assert (server["name"], server["namespace"], server["kubernetesService"]) == ("kubernetes", "default", "kubernetes")
    assert (server["podOwnerKind"], server["labels"], server["nameResolvedUsingAnnotation"]) == (None, None, None)


def test_api_server_behind_its_service_is_the_api_server(shown):
    pod = Workload("kube-apiserver-n1", "kube-system", "Pod")
    one = edge(WEB, pod, port=443)
    one.service = ServiceRef("kubernetes", "default")
    assert pairs(shown(one)) == [("shop/web", "default/kubernetes")]


def test_service_of_that_name_elsewhere_is_an_ordinary_one(shown):
    assert pairs(shown(edge(WEB, CART, "kubernetes"))) == [("shop/web", "shop/cart")]


def test_api_server_as_client(shown):
    (found,) = shown(edge(API, WEB, port=8443))
    client = found["client"]
    assert (client["name"], client["namespace"], client["kubernetesService"]) == ("kubernetes", "default", "kubernetes")
    assert client["podOwnerKind"] is None


def test_name_of_an_annotation_has_no_owner_kind(behind, shown):
    behind.cluster.annotated = {WEB, CART}
    (found,) = shown(edge(WEB, CART, "cart", port=0, protocol="dns", lookups=1))
    for end in ("client", "server"):
        assert found[end]["nameResolvedUsingAnnotation"] is True
        assert found[end]["podOwnerKind"] is None


def test_kind_of_the_core_group_has_no_group(shown):
    (found,) = shown(edge(app("p", kind="Pod"), WEB))
    assert found["client"]["podOwnerKind"] == {"group": None, "version": "v1", "kind": "Pod"}


def test_kind_of_unknown_version_keeps_its_name_and_no_kind_is_null(shown):
    (found,) = shown(edge(app("r", kind="Rollout"), app("x", kind="")))
    assert found["client"]["podOwnerKind"] == {"group": None, "version": "", "kind": "Rollout"}
    assert found["server"]["podOwnerKind"] is None


def test_dots_in_names_become_underscores_but_not_in_namespaces_or_services(shown):
    (found,) = shown(edge(app("a.b.c", "n.s"), app("d.e"), "s.v"))
    assert pairs([found]) == [("n.s/a_b_c", "shop/d_e")]
    assert found["server"]["kubernetesService"] == "s.v"


def test_workloads_of_one_name_and_several_kinds_stay_apart(shown):
    found = shown(edge(app("a"), WEB), edge(app("a", kind="StatefulSet"), WEB))
    assert [item["client"]["podOwnerKind"]["kind"] for item in found] == ["Deployment", "StatefulSet"]


def test_server_found_by_its_address_after_its_name_was_not(behind_with):
    behind = behind_with(by_address=lambda one: one.port == 80)
    behind.edges = [edge(WEB, CART), edge(API, CART), edge(WEB, DB), edge(WEB, DB, port=81)]
    found = behind.data(FULL)["intents"]
    fix = {
        pair: item["server"]["resolutionData"]["tcpDestResolveFixData"]
        for pair, item in zip(pairs(found), found, strict=True)
    }
    assert fix == {
        ("default/kubernetes", "shop/cart"): {"isSrcControlPlane": True, "resolvedUsingIp": True},
        ("shop/web", "shop/cart"): {"isSrcControlPlane": False, "resolvedUsingIp": True},
        ("shop/web", "data/db"): None,
    }


def test_namespaces_are_those_of_the_client(shown):
    edges = [edge(WEB, DB), edge(DB, WEB), edge(app("x", "other"), WEB)]
    assert pairs(shown(*edges, namespaces=["data"])) == [("data/db", "shop/web")]
    assert len(shown(*edges, namespaces=["data", "shop"])) == 2
    assert len(shown(*edges, namespaces=[])) == 3
    assert len(shown(*edges, namespaces=None)) == 3
    assert len(shown(*edges, namespaces="data")) == 1


def test_server_filter_keeps_everything_that_its_callers_call(shown):
    x = app("x")
    edges = [edge(WEB, app("d.b", "data")), edge(WEB, CART), edge(x, CART), edge(CART, WEB)]
    found = shown(*edges, server={"name": "d_b", "namespace": "data"})
    assert pairs(found) == [("shop/web", "data/d_b"), ("shop/web", "shop/cart")]
    assert shown(*edges, server={"name": "d_b", "namespace": "shop"}) == []


def test_server_filter_sees_edges_that_other_filters_hide(behind, shown):
    behind.cluster.labels = {DB: {"app": "db"}}
    edges = [edge(WEB, DB), edge(WEB, CART)]
    found = shown(*edges, server={"name": "db", "namespace": "data"}, excludeServiceWithLabels=["app=db"])
    assert pairs(found) == [("shop/web", "shop/cart")]


def test_only_the_labels_that_are_asked_for_are_shown(behind, shown):
    behind.cluster.labels = {WEB: {"app": "web", "tier": "front"}, CART: {"app": "cart"}}

    def labels(**variables):
        (found,) = shown(edge(WEB, CART), **variables)
        return [{item["key"]: item["value"] for item in found[end]["labels"]} for end in ("client", "server")]

    assert labels() == [{}, {}]
    assert labels(includedLabels=["tier"]) == [{"tier": "front"}, {}]
    assert labels(includedLabels=["tier"], all=False) == [{"tier": "front"}, {}]
    assert labels(includedLabels=["tier"], all=True) == [{"app": "web", "tier": "front"}, {"app": "cart"}]


@pytest.mark.parametrize(
    ("items", "left"),
    [
        (["app=web"], ["cart", "db", "old"]),
        (["app=cart", "app=db"], ["old", "web"]),
        (["app=cart=x"], ["db", "old", "web"]),
        (["app="], ["cart", "db", "web"]),
        (["app"], []),
        (["nope", "app=nope", "=", ""], ["cart", "db", "old", "web"]),
        ([], ["cart", "db", "old", "web"]),
    ],
)
def test_ends_with_one_of_the_labels_are_left_out(behind, shown, items, left):
    old = app("old")
    behind.cluster.labels = {end: {"app": end.name} for end in (WEB, CART, DB)} | {old: {"app": ""}}
    found = shown(*(edge(end, end) for end in (WEB, CART, DB, old)), excludeServiceWithLabels=items)
    assert sorted(item["client"]["name"] for item in found) == left
    # The label counts at either end.
    found = shown(edge(WEB, CART), excludeServiceWithLabels=["app=cart"])
    assert found == []


def test_service_intents_are_grouped_sorted_and_name_each_server_once(behind):
    behind.edges = [
        edge(WEB, CART, port=0, protocol="http"),
        edge(WEB, CART, "svc"),
        edge(WEB, DB),
        edge(CART, WEB),
        edge(DB, app("a", "a")),
    ]
    behind.cluster.labels = {WEB: {"app": "web", "x": "y"}}
    document = """query ($n: [String!], $l: [String!]) {serviceIntents(namespaces: $n, includeLabels: $l) {
        client {name namespace labels {key value}} intents {name namespace kubernetesService}}}"""
    found = behind.data(document, {"l": ["app"]})["serviceIntents"]
    assert [(item["client"]["name"], [server["name"] for server in item["intents"]]) for item in found] == [
        ("db", ["a"]),
        ("cart", ["web"]),
        ("web", ["db", "cart"]),
    ]
    assert found[2]["intents"][1]["kubernetesService"] == "svc"
    assert found[2]["client"]["labels"] == [{"key": "app", "value": "web"}]
    found = behind.data(document, {"n": ["shop"]})["serviceIntents"]
    assert [item["client"]["name"] for item in found] == ["cart", "web"]


def test_empty_map(behind):
    assert behind.data("{intents {type} serviceIntents {client {name}}}") == {"intents": [], "serviceIntents": []}


def test_ends_that_are_equal_are_one_object(behind):
    edges = [edge(app(f"c{n % 3}"), app(f"s{n % 5}"), port=n) for n in range(1000)]
    found = intents(edges, behind.cluster, Filter(), detailed=False)
    assert len(found) == 15
    assert len({id(end) for item in found for end in (item.client, item.server)}) == 8
