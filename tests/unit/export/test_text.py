import time

import pytest

from network_mapper.export import text
from network_mapper.model import Ambiguous, Edge, External, Node, Service, Workload

CLIENT, SERVER = Workload("client", "shop", "Deployment"), Workload("server", "shop", "Deployment")


def under(edges):
    """The lines below the first server."""
    return [line.strip() for line in text.render(edges).splitlines()[2:]]


def typed(protocol, details, **counters):
    return Edge(CLIENT, SERVER, None, 0, protocol, requests=1, details=details, **counters)


def test_list_of_every_kind_of_peer_and_evidence(edges):
    assert text.render(edges) == (
        "203.0.113.0/24 (external) calls:\n"
        "  - frontend in namespace shop\n"
        "checkout in namespace shop calls:\n"
        "  - api.example.com (external) (DNS lookup only)\n"
        "  - node node-a\n"
        "  - old | postgres in namespace db (ambiguous)\n"
        "frontend in namespace shop calls:\n"
        "  - ads\n"
        "  - cache (service) (attempted, never answered)\n"
        "  - postgres in namespace db\n"
        "node node-a calls:\n"
        "  - frontend in namespace shop\n"
    )


def test_no_edges_are_no_text():
    assert text.render([]) == ""


def test_clients_are_sorted_by_name_then_namespace():
    server = Workload("s", "x", "Pod")
    clients = [Workload("b", "a", "Pod"), Workload("a", "z", "Pod"), Workload("a", "b", "Pod")]
    lines = text.render([Edge(client, server, None, 1, "tcp", 1) for client in clients]).splitlines()
    assert [line for line in lines if line.endswith("calls:")] == [
        "a in namespace b calls:",
        "a in namespace z calls:",
        "b in namespace a calls:",
    ]


def test_two_kinds_of_one_name_carry_their_kind():
    job, deployment = Workload("api", "shop", "CronJob"), Workload("api", "shop", "Deployment")
    rendered = text.render([Edge(job, deployment, None, 80, "tcp", 1)])
    assert rendered == "api (CronJob) in namespace shop calls:\n  - api (Deployment)\n"


def test_a_name_from_outside_cannot_move_the_cursor():
    evil = External("a\x1b[2Jb\nc\u202e")
    rendered = text.render([Edge(Workload("w", "n", "Pod"), evil, None, 0, "dns", lookups=1)])
    assert rendered == "w in namespace n calls:\n  - a\\x1b[2Jb\\nc\\u202e (external) (DNS lookup only)\n"


def test_sockets_alone_are_as_good_as_connections():
    edge = Edge(Workload("w", "n", "Pod"), Workload("s", "n", "Pod"), None, 80, "tcp", sockets=1, attempts=1)
    assert text.render([edge]) == "w in namespace n calls:\n  - s\n"


def test_paths_and_topics_stand_under_their_server():
    edges = [
        typed("kafka", {"mytopic": ["DESCRIBE", "PRODUCE"], "other": []}),
        typed("http", {"/client2-path": ["GET", "POST"], "/": ["ALL"]}),
    ]
    assert text.render(edges) == (
        "client in namespace shop calls:\n"
        "  - server\n"
        "    - path /, methods: []\n"
        "    - path /client2-path, methods: [GET,POST]\n"
        "    - Kafka topic: mytopic, operations: [describe produce]\n"
        "    - Kafka topic: other, operations: []\n"
    )


def test_cloud_actions_stand_under_their_server():
    aws = typed("aws", {"actions": ["s3:GetObject", "s3:PutObject"], "iamRole": ["arn:aws:iam::1:role/r"]})
    assert under([aws]) == [
        "- AWS actions: [s3:GetObject,s3:PutObject]",
        "- AWS iamRole: [arn:aws:iam::1:role/r]",
    ]
    assert under([typed("azure", {"dataActions": ["a"]})]) == ["- Azure dataActions: [a]"]
    assert under([typed("gcp", {"permissions": ["b"]})]) == ["- GCP permissions: [b]"]


def test_details_of_several_doors_are_told_together():
    one, two = typed("http", {"/a": ["GET"]}), typed("http", {"/a": ["PUT"], "/b": ["GET"]})
    assert under([one, two]) == ["- path /a, methods: [GET,PUT]", "- path /b, methods: [GET]"]


def test_a_path_cannot_move_the_cursor_nor_add_a_line():
    assert under([typed("http", {"/a\n  - evil\x1b[2J": ["GET\n"]})]) == [
        "- path /a\\n  - evil\\x1b[2J, methods: [GET\\n]"
    ]


def test_an_edge_without_counters_has_no_mark():
    assert text.render([Edge(CLIENT, SERVER, None, 0, "")]) == "client in namespace shop calls:\n  - server\n"


@pytest.mark.parametrize(
    ("server", "shown"),
    [
        (Workload("", "shop", "Pod"), "(no name)"),
        (Workload("", "db", "Pod"), "(no name) in namespace db"),
        (Workload("a", "", ""), "a"),
        (Service("", "shop"), "(no name) (service)"),
        (External(""), "(no name) (external)"),
        (Node(""), "node (no name)"),
        (Ambiguous((Workload("", "shop", "Pod"), Node("n"))), "(no name) | node n (ambiguous)"),
        (Workload("-x", "shop", "Pod"), "-x"),
        (Workload("a: 'b\"", "shop", "Pod"), "a: 'b\""),
        (Workload("é例", "shop", "Pod"), "é例"),
        (Workload("a\u202eb", "shop", "Pod"), "a\\u202eb"),
        (Workload("\udcff", "shop", "Pod"), "\\udcff"),
    ],
)
def test_odd_names_are_shown(server, shown):
    rendered = text.render([Edge(CLIENT, server, None, 80, "tcp", 1)])
    assert rendered == f"client in namespace shop calls:\n  - {shown}\n"


def test_a_label_follows_the_clients_name_and_no_servers():
    edges = [Edge(CLIENT, SERVER, None, 80, "tcp", 1), Edge(SERVER, CLIENT, None, 80, "tcp", 1)]
    assert text.render(edges, tags={CLIENT: "team=web", SERVER: "team=no_value"}) == (
        "client [team=web] in namespace shop calls:\n  - server\n"
        "server [team=no_value] in namespace shop calls:\n  - client\n"
    )


def test_colours_mark_clients_and_weak_evidence():
    rendered = text.render([Edge(CLIENT, SERVER, None, 80, "dns", lookups=1)], colour=True)
    assert rendered == ("\x1b[1mclient in namespace shop\x1b[0m calls:\n  - server\x1b[2m (DNS lookup only)\x1b[0m\n")


def test_ten_times_the_edges_take_about_ten_times_as_long():
    def cost(count):
        edges = [
            Edge(Workload(f"c{n % 500}", "a", "Pod"), Workload(f"s{n}", "b", "Pod"), None, 80, "tcp", 1)
            for n in range(count)
        ]
        times = []
        for _ in range(3):
            start = time.process_time()
            text.render(edges)
            times.append(time.process_time() - start)
        return min(times)

    assert cost(10_000) < 40 * cost(1_000)  # 100 times, were it quadratic
