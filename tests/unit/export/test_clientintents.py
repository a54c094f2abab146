import json
import re

import pytest
import yaml
from crd_schema import problems, schemas
from export_maps import API, API_REF, HOSTILE, asked, deployment, documented, everything, hostile, looked_up, tcp
from hypothesis import given
from hypothesis import strategies as st

from network_mapper.export.clientintents import names, shape, write
from network_mapper.export.clientintents.convert import Left, Options, convert
from network_mapper.export.clientintents.versions import VERSIONS
from network_mapper.model import Ambiguous, Edge, External, Node, Service, ServiceRef, Workload

ALL = Options(internet=True)
VERSION = "v2beta1"


def targets(*edges, options=ALL, version=VERSION):
    """The targets of the one client, as they are written."""
    (document,) = convert(edges, options).documents
    spec = shape.spec(document, version)
    return spec["calls"] if version == "v1alpha3" else spec["targets"]


def left(*edges, options=ALL):
    return convert(edges, options).left


CART = deployment("cart")


# The layouts


def test_yaml_of_version_2_is_laid_out_as_the_model_does():
    assert write.to_yaml(convert(documented()).documents, VERSION).decode() == (
        "apiVersion: k8s.otterize.com/v2beta1\n"
        "kind: ClientIntents\n"
        "metadata:\n"
        "  name: api\n"
        "  namespace: ns1\n"
        "spec:\n"
        "  workload:\n"
        "    name: api\n"
        "    kind: Deployment\n"
        "  targets:\n"
        "    - kubernetes:\n"
        "        name: client\n"
        "        kind: Deployment\n"
        "---\n"
        "apiVersion: k8s.otterize.com/v2beta1\n"
        "kind: ClientIntents\n"
        "metadata:\n"
        "  name: client\n"
        "  namespace: ns1\n"
        "spec:\n"
        "  workload:\n"
        "    name: client\n"
        "    kind: Deployment\n"
        "  targets:\n"
        "    - kafka:\n"
        "        name: kafka.kafka\n"
        "        topics:\n"
        "          - name: mytopic\n"
        "            operations:\n"
        "              - consume\n"
        "              - describe\n"
        "    - service:\n"
        "        name: kubernetes.default\n"
        "    - kubernetes:\n"
        "        name: server\n"
        "        kind: Deployment\n"
        "    - kubernetes:\n"
        "        name: web.other-ns\n"
        "        kind: Deployment\n"
        "        http:\n"
        "          - path: /a\n"
        "            methods:\n"
        "              - GET\n"
        "              - POST\n"
        "          - path: /b\n"
        "            methods: []"
    )


def test_yaml_of_version_1_is_laid_out_as_the_model_does():
    assert write.to_yaml(convert(documented()).documents[1:], "v1alpha3").decode() == (
        "apiVersion: k8s.otterize.com/v1alpha3\n"
        "kind: ClientIntents\n"
        "metadata:\n"
        "  name: client\n"
        "  namespace: ns1\n"
        "spec:\n"
        "  service:\n"
        "    name: client\n"
        "  calls:\n"
        "    - name: kafka.kafka\n"
        "      type: kafka\n"
        "      kafkaTopics:\n"
        "        - name: mytopic\n"
        "          operations:\n"
        "            - consume\n"
        "            - describe\n"
        "    - name: svc:kubernetes.default\n"
        "    - name: server\n"
        "    - name: web.other-ns\n"
        "      type: http\n"
        "      HTTPResources:\n"
        "        - path: /a\n"
        "          methods:\n"
        "            - GET\n"
        "            - POST\n"
        "        - path: /b\n"
        "          methods: []"
    )


def test_json_is_laid_out_as_go_does():
    client = deployment("client", "otterize-tutorial-mapper")
    converted = convert([tcp(client, deployment("server", "otterize-tutorial-mapper"))])
    assert write.to_json(converted.documents, VERSION).decode() == (
        "[\n"
        "  {\n"
        '    "kind": "ClientIntents",\n'
        '    "apiVersion": "k8s.otterize.com/v2beta1",\n'
        '    "metadata": {\n'
        '      "name": "client",\n'
        '      "namespace": "otterize-tutorial-mapper",\n'
        '      "creationTimestamp": null\n'
        "    },\n"
        '    "spec": {\n'
        '      "workload": {\n'
        '        "name": "client",\n'
        '        "kind": "Deployment"\n'
        "      },\n"
        '      "targets": [\n'
        "        {\n"
        '          "kubernetes": {\n'
        '            "name": "server",\n'
        '            "kind": "Deployment"\n'
        "          }\n"
        "        }\n"
        "      ]\n"
        "    },\n"
        '    "status": {\n'
        '      "upToDate": false,\n'
        '      "observedGeneration": 0\n'
        "    }\n"
        "  }\n"
        "]"
    )


def test_json_escapes_what_go_escapes():
    edge = Edge(CART, deployment("web"), None, 0, "http", details={"/<a>?b&c=\u2028é": ["GET"]})
    text = write.to_json(convert([edge]).documents, VERSION).decode()
    assert r'"path": "/\u003ca\u003e?b\u0026c=\u2028é"' in text


def test_nothing_is_an_empty_text_and_an_empty_array():
    assert write.to_yaml([], VERSION) == b""
    assert write.to_json([], VERSION) == b"[]"


@pytest.mark.parametrize("version", sorted(set(VERSIONS.values())))
def test_yaml_and_json_say_the_same_in_every_version(version):
    documents = convert([*everything(), *hostile()], Options(internet=True, azure_actions=version[1] == "2")).documents
    from_json = json.loads(write.to_json(documents, version))
    for item in from_json:
        assert item.pop("status") == {"upToDate": False, "observedGeneration": 0}
        assert item["metadata"].pop("creationTimestamp") is None
    assert from_json == list(yaml.safe_load_all(write.to_yaml(documents, version)))
    assert {item["apiVersion"] for item in from_json} == {f"k8s.otterize.com/{version}"}


@pytest.mark.parametrize("version", sorted(set(VERSIONS.values())))
def test_everything_is_what_the_definition_of_the_resource_asks_for(version):
    documents = convert([*everything(), *hostile()], Options(internet=True, azure_actions=version[1] == "2")).documents
    schema = schemas()[f"k8s.otterize.com/{version}"]
    exported = [*yaml.safe_load_all(write.to_yaml(documents, version)), *json.loads(write.to_json(documents, version))]
    assert len(exported) > 2 * len(HOSTILE)
    assert [line for item in exported for line in problems(item, schema)] == []


def test_the_check_of_the_schema_finds_faults():
    schema = schemas()["k8s.otterize.com/v2beta1"]
    http = [{"path": "/", "methods": ["HEAD"], "x": 1}, {"path": "/"}, {"path": 1, "methods": []}]
    spec = {"workload": {"name": "a"}, "targets": [{"kubernetes": {"name": "b", "http": http}}, {"other": {}}]}
    found = problems({"kind": "ClientIntents", "spec": spec}, schema)
    assert [line.partition(": ")[0].rpartition(".")[2] for line in found] == [
        "x",
        "methods[0]",
        "methods",
        "path",
        "other",
    ]


# Servers


def test_a_server_of_another_namespace_bears_it_and_one_of_the_same_does_not():
    assert targets(tcp(CART, deployment("a")), tcp(CART, deployment("b", "db"))) == [
        {"kubernetes": {"name": "a", "kind": "Deployment"}},
        {"kubernetes": {"name": "b.db", "kind": "Deployment"}},
    ]


def test_a_workload_without_a_kind_has_no_such_field():
    edge = tcp(Workload("cart", "shop", ""), Workload("web", "shop", ""))
    (document,) = convert([edge]).documents
    assert shape.spec(document, VERSION) == {"workload": {"name": "cart"}, "targets": [{"kubernetes": {"name": "web"}}]}


def test_all_ports_services_and_protocols_of_a_pair_are_one_target():
    web = deployment("web")
    service = ServiceRef("web", "shop")
    edges = [tcp(CART, web, 80, service), tcp(CART, web, 443), looked_up(CART, web, service)]
    assert targets(*edges) == [{"kubernetes": {"name": "web", "kind": "Deployment"}}]


def test_a_service_whose_pods_are_not_known_is_a_service():
    edge = tcp(CART, Service("cache", "db"))
    assert targets(edge) == [{"service": {"name": "cache.db"}}]
    assert targets(edge, version="v1alpha3") == [{"name": "svc:cache.db"}]


@pytest.mark.parametrize("server", [API, Workload("kube-apiserver", "kube-system", "Pod"), Node("node-a")])
def test_the_api_server_is_a_service_whatever_it_runs_on(server):
    assert targets(tcp(CART, server, 443, API_REF)) == [{"service": {"name": "kubernetes.default"}}]
    assert targets(tcp(CART, server, 443, API_REF), version="v1alpha3") == [{"name": "svc:kubernetes.default"}]


def test_the_api_server_as_a_client_has_no_kind():
    (document,) = convert([tcp(API, deployment("webhook", "default"))]).documents
    assert shape.spec(document, VERSION)["workload"] == {"name": "kubernetes"}
    assert (document.name, document.namespace) == ("kubernetes", "default")


# Typed targets


def http(server, **details):
    return Edge(CART, server, None, 0, "http", requests=1, details=details)


def test_requests_take_the_place_of_connections_to_the_same_server():
    web = deployment("web")
    assert targets(tcp(CART, web), http(web, a=["POST", "GET"]), tcp(CART, web, 443)) == [
        {"kubernetes": {"name": "web", "kind": "Deployment", "http": [{"path": "a", "methods": ["GET", "POST"]}]}}
    ]


def test_requests_to_another_kind_of_the_same_name_leave_it_alone():
    web, job = deployment("web"), Workload("web", "shop", "CronJob")
    assert targets(tcp(CART, job), http(web, a=["GET"])) == [
        {"kubernetes": {"name": "web", "kind": "CronJob"}},
        {"kubernetes": {"name": "web", "kind": "Deployment", "http": [{"path": "a", "methods": ["GET"]}]}},
    ]


def test_a_kafka_server_is_one_target_whatever_its_kind():
    kafka = Workload("kafka", "kafka", "StatefulSet")
    topics = asked(CART, Workload("kafka", "kafka", ""), "kafka", t=["CLUSTER_ACTION", "ALL"])
    assert targets(tcp(CART, kafka, 9092), topics) == [
        {"kafka": {"name": "kafka.kafka", "topics": [{"name": "t", "operations": ["all", "ClusterAction"]}]}}
    ]


def test_a_server_of_kafka_that_also_answers_http_is_two_targets():
    kafka = deployment("kafka")
    assert targets(http(kafka, **{"/a": ["GET"]}), asked(CART, kafka, "kafka", t=["PRODUCE"])) == [
        {"kafka": {"name": "kafka", "topics": [{"name": "t", "operations": ["produce"]}]}},
        {"kubernetes": {"name": "kafka", "kind": "Deployment", "http": [{"path": "/a", "methods": ["GET"]}]}},
    ]


@pytest.mark.parametrize("name", ["10.1.2.3/16", "10.1.0.0/16", "10.1.2.3", "2001:db8::1/32"])
def test_an_address_block_is_an_address_whatever_its_last_bits_are(name):
    assert targets(tcp(CART, External(name), 443)) == [{"internet": {"ips": [name], "ports": [443]}}]


def test_a_client_without_a_namespace_has_none_in_its_resource():
    documents = convert([tcp(deployment("api", ""), CART)]).documents
    assert "namespace" not in write.to_yaml(documents, VERSION).decode().partition("spec:")[0]
    assert "namespace" not in json.loads(write.to_json(documents, VERSION))[0]["metadata"]


def test_a_kafka_server_without_a_topic_has_no_list_of_them():
    edge = asked(CART, deployment("kafka"), "kafka")
    assert targets(edge) == [{"kafka": {"name": "kafka"}}]
    assert targets(edge, version="v1alpha3") == [{"name": "kafka", "type": "kafka"}]


@pytest.mark.parametrize(("version", "name"), [("v2beta1", "web"), ("v1alpha3", "svc:web")])
def test_a_server_without_a_namespace_has_no_dot_behind_its_name(version, name):
    (target,) = targets(tcp(CART, Service("web", "")), version=version)
    assert target.get("service", target) == {"name": name}


def test_paths_of_all_edges_of_a_pair_are_united_and_sorted():
    edges = [
        Edge(CART, deployment("web"), service, 0, "http", requests=1, details=details)
        for service, details in ((None, {"/b": ["GET"]}), (ServiceRef("w", "shop"), {"/b": ["PUT"], "/a": []}))
    ]
    (target,) = targets(*edges)
    assert target["kubernetes"]["http"] == [{"path": "/a", "methods": []}, {"path": "/b", "methods": ["GET", "PUT"]}]


def test_methods_that_the_resource_does_not_know_are_left_out_and_counted():
    edge = http(deployment("web"), **{"/a": ["HEAD", "GET", "ALL"], "/b": ["HEAD"]})
    (target,) = targets(edge)
    assert target["kubernetes"]["http"] == [{"path": "/a", "methods": ["GET"]}, {"path": "/b", "methods": []}]
    assert left(edge).methods == {"HEAD": 2}


def test_operations_that_the_resource_does_not_know_are_left_out_and_counted():
    edge = asked(CART, deployment("kafka"), "kafka", t=["PRODUCE", "FETCH"])
    assert targets(edge) == [{"kafka": {"name": "kafka", "topics": [{"name": "t", "operations": ["produce"]}]}}]
    assert left(edge).operations == {"FETCH": 1}


def test_calls_of_clouds_are_targets_of_their_own():
    edges = [
        asked(CART, External("arn:aws:s3:::b"), "aws", actions=["s3:Put", "s3:Get"], iamRole=["arn:role"]),
        asked(CART, External("projects/x"), "gcp", permissions=["storage.get"]),
        asked(CART, External("/subscriptions/1"), "azure", actions=["a/read"], dataActions=["b/read"]),
    ]
    assert targets(*edges) == [
        {"azure": {"scope": "/subscriptions/1", "actions": ["a/read"], "dataActions": ["b/read"]}},
        {"aws": {"arn": "arn:aws:s3:::b", "actions": ["s3:Get", "s3:Put"]}},
        {"gcp": {"resource": "projects/x", "permissions": ["storage.get"]}},
    ]
    old = Options(azure_actions=False)
    assert targets(*edges, options=old, version="v1alpha3") == [
        {"name": "arn:aws:s3:::b", "type": "aws", "awsActions": ["s3:Get", "s3:Put"]},
        {"name": "projects/x", "type": "gcp", "gcpPermissions": ["storage.get"]},
    ]
    assert left(*edges, options=old) == Left(azure=1)


# What lies outside


def test_the_outside_is_left_out_and_counted_unless_it_is_wanted():
    edges = [tcp(CART, External("api.example.com"), 443), tcp(CART, deployment("web"))]
    assert targets(*edges, options=Options()) == [{"kubernetes": {"name": "web", "kind": "Deployment"}}]
    assert left(*edges, options=Options()) == Left(internet=1)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("api.example.com", "domains"),
        ("*.example.com", "domains"),
        ("203.0.113.0/24", "ips"),
        ("203.0.113.7", "ips"),
        ("2001:db8::/56", "ips"),
    ],
)
def test_the_outside_is_a_name_or_addresses_with_the_ports_that_were_dialled(name, field):
    outside = External(name)
    edges = [tcp(CART, outside, 8443), tcp(CART, outside, 443), looked_up(CART, outside)]
    assert targets(*edges) == [{"internet": {field: [name], "ports": [443, 8443]}}]
    assert targets(*edges, version="v1alpha3") == [
        {"type": "internet", "internet": {field: [name], "ports": [443, 8443]}}
    ]


def test_a_name_that_was_only_looked_up_has_no_ports():
    assert targets(looked_up(CART, External("a.example"))) == [{"internet": {"domains": ["a.example"]}}]


# Clients


@pytest.mark.parametrize("client", [Node("n"), External("1.2.3.0/24"), Ambiguous((CART, deployment("b")))])
def test_what_is_no_workload_has_no_intents(client):
    converted = convert([tcp(client, CART)])
    assert converted.documents == []
    assert converted.left == Left(clients=1)


@pytest.mark.parametrize("server", [Node("n"), Ambiguous((CART, deployment("b")))])
def test_a_client_of_nothing_that_can_be_named_has_no_intents(server):
    converted = convert([tcp(CART, server)])
    assert converted.documents == []
    assert converted.left == Left(servers=1)


@pytest.mark.parametrize(
    "edge",
    [
        tcp(deployment(""), CART),
        tcp(CART, deployment("")),
        tcp(CART, Service("", "shop")),
        tcp(CART, External("")),
        tcp(deployment("a", "no namespace"), CART),
        tcp(deployment("a", "../x"), CART),
    ],
)
def test_an_end_that_cannot_be_named_is_left_out_and_counted(edge):
    converted = convert([edge], ALL)
    assert converted.documents == []
    assert converted.left == Left(nameless=1)


def test_dots_in_names_become_underscores_so_that_they_part_no_namespace():
    (document,) = convert([tcp(deployment("a.b"), deployment("c.d", "db"))]).documents
    assert document.workload == "a_b"
    assert shape.spec(document, VERSION)["targets"][0]["kubernetes"]["name"] == "c_d.db"
    assert document.name == "a-b"


def test_workloads_of_one_name_are_two_documents_and_the_usual_kind_keeps_the_name():
    server = deployment("web")
    edges = [tcp(Workload("api", "shop", kind), server) for kind in ("CronJob", "Deployment", "DaemonSet")]
    documents = convert(edges).documents
    assert [(document.name, document.kind) for document in documents] == [
        ("api", "Deployment"),
        ("api-cronjob", "CronJob"),
        ("api-daemonset", "DaemonSet"),
    ]
    assert {document.workload for document in documents} == {"api"}


def test_version_1_tells_kinds_where_the_name_alone_means_several():
    job = Workload("api", "shop", "CronJob")
    documents = convert([tcp(deployment("api"), CART), tcp(job, CART), tcp(CART, job), tcp(CART, deployment("x"))])
    specs = [shape.spec(document, "v1alpha3") for document in documents.documents]
    assert specs[0]["service"] == {"name": "api", "kind": "Deployment"}
    assert specs[1]["service"] == {"name": "api", "kind": "CronJob"}
    assert specs[2] == {"service": {"name": "cart"}, "calls": [{"name": "api", "kind": "CronJob"}, {"name": "x"}]}


def test_documents_and_targets_are_sorted_by_name_and_then_by_namespace():
    clients = [deployment("b", "ns1"), deployment("a", "ns2"), deployment("a", "ns1"), deployment("a-b", "ns1")]
    servers = [deployment("y", "ns2"), deployment("x", "ns3"), Service("x", "ns1"), deployment("y", "ns1")]
    documents = convert([tcp(client, server) for client in clients for server in servers]).documents
    assert [(document.name, document.namespace) for document in documents] == [
        ("a", "ns1"),
        ("a", "ns2"),
        ("a-b", "ns1"),
        ("b", "ns1"),
    ]
    order = [(target.name, target.namespace) for target in documents[0].targets]
    assert order == [("x", "ns1"), ("x", "ns3"), ("y", "ns1"), ("y", "ns2")]


@given(st.randoms(use_true_random=False))
def test_the_order_of_the_edges_does_not_matter(random):
    edges = [*everything(), *hostile()[:60]]
    expected = convert(edges, ALL)
    random.shuffle(edges)
    assert convert(edges, ALL) == expected


def test_a_label_tells_clients_apart_in_place_of_their_namespaces():
    edges = [tcp(deployment("api", namespace), deployment("db", "ns1")) for namespace in ("ns3", "ns2", "ns1", "ns0")]
    labels = {deployment("api", "ns1"): "blue", deployment("api", "ns2"): "blue", deployment("api", "ns3"): "green"}
    documents = convert(edges, Options(labels=labels)).documents
    assert [(document.name, document.namespace) for document in documents] == [
        ("api", "ns0"),
        ("api", "ns1"),
        ("api", "ns3"),
    ]
    assert [shape.spec(document, VERSION)["targets"][0]["kubernetes"]["name"] for document in documents] == [
        "db.ns1",
        "db",
        "db.ns1",
    ]


def test_clients_without_the_label_are_one_client_in_every_namespace():
    servers = deployment("db", "ns1"), deployment("web", "ns2")
    edges = [tcp(deployment("api", server.namespace), server) for server in servers]
    (document,) = convert(edges, Options(labels={})).documents
    assert (document.name, document.namespace) == ("api", "ns1")
    assert [target.name for target in document.targets] == ["db", "web"]


# Names of resources

SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


@given(
    st.lists(
        st.tuples(st.text(max_size=300), st.sampled_from(["Deployment", "", "Cron Job", "ü", "K" * 300])), max_size=8
    )
)
def test_names_of_resources_are_such_as_kubernetes_takes_and_differ(workloads):
    taken = set()
    for workload, kind in workloads:
        name = names.of_resource(workload, kind, taken)
        assert SUBDOMAIN.fullmatch(name)
        assert len(name) <= 253
        assert name not in taken
        taken.add(name)


@pytest.mark.parametrize(
    ("workload", "name"), [("cart", "cart"), ("a_b", "a-b"), ("Reg/App", "reg-app"), ("-x-", "x"), ("名前", "workload")]
)
def test_a_name_that_kubernetes_does_not_take_is_bent(workload, name):
    assert names.of_resource(workload, "Deployment", set()) == name


# Files that are there


@pytest.mark.parametrize("version", sorted(set(VERSIONS.values())))
@pytest.mark.parametrize("text", [write.to_yaml, write.to_json])
def test_an_earlier_export_is_known_by_its_beginning(text, version):
    content = text(convert(documented()).documents, version)
    assert write.is_earlier(content[:4096])
    assert write.is_earlier(content.replace(b"\n", b"\r\n")[:4096])


@pytest.mark.parametrize(
    "content",
    [
        b"#!/bin/sh\n",
        b"apiVersion: v1\nkind: Secret\n",
        b"apiVersion: k8s.otterize.com/v2beta1\nkind: KafkaServerConfig\n",
        b"apiVersion: k8s.otterize.com/v2beta1",
        b'[\n  {\n    "kind": "Secret"',
        b"\xff\xfe\x00",
    ],
)
def test_other_files_are_not_taken_for_an_earlier_export(content):
    assert not write.is_earlier(content)
