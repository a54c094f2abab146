from network_mapper.export import text
from network_mapper.model import Edge, External, Workload


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
