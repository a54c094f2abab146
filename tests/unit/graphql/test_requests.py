"""Topics, paths and calls of a cloud's API to rows."""

import msgspec
import pytest

from network_mapper.model import Drop
from network_mapper.wire.report import Report

from .conftest import NOW

WHEN = "2025-06-10T08:28:35Z"
SEEN = 1_749_544_115_000 - NOW
KAFKA = "mutation ($r: KafkaMapperResults!) {reportKafkaMapperResults(results: $r)}"
ISTIO = "mutation ($r: IstioConnectionResults!) {reportIstioConnectionResults(results: $r)}"
AWS = "mutation ($o: [AWSOperation!]!) {reportAWSOperation(operation: $o)}"
GCP = "mutation ($o: [GCPOperation!]!) {reportGCPOperation(operation: $o)}"
AZURE = "mutation ($o: [AzureOperation!]!) {reportAzureOperation(operation: $o)}"


def access(**changes):
    return {
        "srcIp": "10.0.0.1",
        "serverPodName": "kafka-0",
        "serverNamespace": "queue",
        "topic": "orders",
        "operation": "Read",
        "lastSeen": WHEN,
    } | changes


def call(**changes):
    return {
        "srcWorkload": "web",
        "srcWorkloadNamespace": "shop",
        "dstWorkload": "cart",
        "dstServiceName": "cart-svc",
        "dstWorkloadNamespace": "store",
        "path": "/items",
        "methods": ["GET", "POST"],
        "lastSeen": WHEN,
    } | changes


def rows(behind, client):
    return [tuple(msgspec.to_builtins(row)) for row in behind.clients[client].requests]


@pytest.fixture
def send(behind):
    def send(document, *items):
        name = "o" if "$o" in document else "r"
        value = list(items) if name == "o" else {"results": list(items)}
        status, content = behind.ask(document, {name: value})
        assert status == 200
        assert list(content["data"].values()) == [True]
        # What was taken can be written and read again, as the journal does.
        for clients, base in behind.taken:
            report = Report("n", "b", 1, base, clients=clients)
            assert msgspec.msgpack.decode(msgspec.msgpack.encode(report), type=Report) == report
        return behind

    return send


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("Read", "CONSUME"),
        ("WRITE", "PRODUCE"),
        ("create", "CREATE"),
        ("Delete", "DELETE"),
        ("Alter", "ALTER"),
        ("Describe", "DESCRIBE"),
        ("ClusterAction", "CLUSTER_ACTION"),
        ("DescribeConfigs", "DESCRIBE_CONFIGS"),
        ("AlterConfigs", "ALTER_CONFIGS"),
        ("IdempotentWrite", "IDEMPOTENT_WRITE"),
    ],
)
def test_kafka_access(send, operation, expected):
    behind = send(KAFKA, access(operation=operation))
    assert rows(behind, "10.0.0.1") == [("pod:queue/kafka-0", "kafka", "orders", expected, 1, SEEN, SEEN, "")]


@pytest.mark.parametrize(
    "changes",
    [
        {"operation": "All"},
        {"operation": ""},
        {"topic": ""},
        {"topic": "x" * 5000},
        {"serverPodName": ""},
        {"serverPodName": "a/b"},
        {"serverNamespace": "x" * 300},
    ],
)
def test_kafka_access_that_makes_no_sense_is_counted_and_its_neighbours_are_kept(send, changes):
    behind = send(KAFKA, access(), access(**changes), access(topic="bills"))
    assert [row[2] for row in rows(behind, "10.0.0.1")] == ["orders", "bills"]
    assert behind.drops == {Drop.ROW_MALFORMED: 1}


def test_kafka_client_that_is_no_address_is_counted(send):
    behind = send(KAFKA, access(srcIp="web"), access())
    assert len(rows(behind, "10.0.0.1")) == 1
    assert behind.drops == {Drop.ADDRESS_INVALID: 1}


def test_equal_accesses_are_folded(send):
    behind = send(KAFKA, access(), access(lastSeen="2025-06-10T08:28:37Z"), access(operation="Write"))
    found = rows(behind, "10.0.0.1")
    assert [(row[3], row[4], row[5], row[6]) for row in found] == [
        ("CONSUME", 2, SEEN, SEEN + 2000),
        ("PRODUCE", 1, SEEN, SEEN),
    ]


def test_istio_connection(send):
    behind = send(ISTIO, call())
    assert rows(behind, "app:shop/web") == [
        ("app:store/cart", "http", "/items", "GET", 1, SEEN, SEEN, "store/cart-svc"),
        ("app:store/cart", "http", "/items", "POST", 1, SEEN, SEEN, "store/cart-svc"),
    ]


@pytest.mark.parametrize("service", ["", "api.example.com:443", "a/b"])
def test_istio_connection_without_a_service(send, service):
    behind = send(ISTIO, call(dstServiceName=service, methods=["GET"]))
    assert rows(behind, "app:shop/web") == [("app:store/cart", "http", "/items", "GET", 1, SEEN, SEEN, "")]


def test_istio_connection_without_a_known_method_keeps_the_path(send):
    assert [row[2:4] for row in rows(send(ISTIO, call(methods=[])), "app:shop/web")] == [("/items", "")]


def test_equal_names_in_other_namespaces_are_other_workloads(send):
    behind = send(ISTIO, call(), call(srcWorkloadNamespace="test", dstWorkloadNamespace="test"))
    assert rows(behind, "app:shop/web")[0][0] == "app:store/cart"
    assert rows(behind, "app:test/web")[0][0] == "app:test/cart"


@pytest.mark.parametrize(
    "changes",
    [{"srcWorkload": ""}, {"dstWorkloadNamespace": ""}, {"dstWorkload": "a/b"}, {"path": ""}, {"path": "x" * 5000}],
)
def test_istio_connection_that_makes_no_sense_is_counted_by_its_methods(send, changes):
    behind = send(ISTIO, call(**changes), call(path="/other"))
    assert {row[2] for row in rows(behind, "app:shop/web")} == {"/other"}
    assert behind.drops == {Drop.ROW_MALFORMED: 2}


def test_aws_operation_by_name(send):
    item = {"resource": "arn:aws:s3:::x", "actions": ["s3:Get", "s3:Put"], "iamRole": "r", "client": named("web")}
    behind = send(AWS, item | {"srcIp": "10.0.0.9"})
    assert [row[:4] for row in rows(behind, "workload:shop/web")] == [
        ("external:arn:aws:s3:::x", "aws", "actions", "s3:Get"),
        ("external:arn:aws:s3:::x", "aws", "actions", "s3:Put"),
        ("external:arn:aws:s3:::x", "aws", "iamRole", "r"),
    ]
    assert behind.taken[0][1] == NOW
    assert {row[5:7] for row in rows(behind, "workload:shop/web")} == {(0, 0)}


def named(name, namespace="shop"):
    return {"name": name, "namespace": namespace}


def test_aws_operation_by_address(send):
    behind = send(AWS, {"resource": "arn", "actions": ["a"], "srcIp": "10.0.0.9"})
    assert [row[:4] for row in rows(behind, "10.0.0.9")] == [("external:arn", "aws", "actions", "a")]


def test_gcp_operation(send):
    behind = send(GCP, {"resource": "projects/x", "permissions": ["p", "q", "p"], "client": named("web")})
    assert [(*row[:4], row[4]) for row in rows(behind, "workload:shop/web")] == [
        ("external:projects/x", "gcp", "permissions", "p", 2),
        ("external:projects/x", "gcp", "permissions", "q", 1),
    ]


def test_azure_operation(send):
    item = {"scope": "/sub/x", "actions": ["a"], "dataActions": ["d"], "clientName": "web", "clientNamespace": "shop"}
    assert [row[:4] for row in rows(send(AZURE, item), "workload:shop/web")] == [
        ("external:/sub/x", "azure", "actions", "a"),
        ("external:/sub/x", "azure", "dataActions", "d"),
    ]


def test_operation_without_actions_keeps_the_resource(send):
    azure = {"scope": "s", "actions": [], "dataActions": [], "clientName": "web", "clientNamespace": "shop"}
    assert [row[2:4] for row in rows(send(AZURE, azure), "workload:shop/web")] == [("actions", "")]
    behind = send(AWS, {"resource": "arn", "actions": [], "client": named("other")})
    assert [row[2:4] for row in rows(behind, "workload:shop/other")] == [("actions", "")]


@pytest.mark.parametrize(
    ("document", "item", "reason"),
    [
        (AWS, {"resource": "arn", "actions": ["a", "b"]}, Drop.ROW_MALFORMED),
        (AWS, {"resource": "arn", "actions": ["a", "b"], "srcIp": ""}, Drop.ROW_MALFORMED),
        (AWS, {"resource": "arn", "actions": ["a", "b"], "srcIp": "x"}, Drop.ADDRESS_INVALID),
        (AWS, {"resource": "", "actions": ["a", "b"], "srcIp": "10.0.0.1"}, Drop.ROW_MALFORMED),
        (AWS, {"resource": "x" * 5000, "actions": ["a", "b"], "srcIp": "10.0.0.1"}, Drop.ROW_MALFORMED),
        (AWS, {"resource": "arn", "actions": ["x" * 2000] * 2, "srcIp": "10.0.0.1"}, Drop.ROW_MALFORMED),
        (GCP, {"resource": "r", "permissions": ["a", "b"], "client": named("")}, Drop.ROW_MALFORMED),
        (GCP, {"resource": "r", "permissions": ["a", "b"], "client": named("w", "a/b")}, Drop.ROW_MALFORMED),
        (
            AZURE,
            {"scope": "s", "actions": ["a"], "dataActions": ["b"], "clientName": "", "clientNamespace": "n"},
            Drop.ROW_MALFORMED,
        ),
    ],
)
def test_operation_without_a_client_or_resource_is_counted_by_its_actions(send, document, item, reason):
    behind = send(document, item)
    assert not behind.clients
    assert behind.drops == {reason: 2}
