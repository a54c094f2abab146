import json

import pytest

from network_mapper.model import Edge, ServiceRef, Workload
from network_mapper.wire.api import MapDocument, WorkloadRow

NOW = 1_800_000_000_000
CART, REDIS = Workload("cart", "shop", "Deployment"), Workload("redis", "shop", "StatefulSet")
STORE, ADS = Workload("store", "db", "StatefulSet"), Workload("ads", "web", "Deployment")


def edge(client, server, service=None, **counters):
    counters = counters or {"connections": 1, "last_seen": NOW}
    return Edge(client, server, service and ServiceRef(*service), 80, "tcp", **counters)


@pytest.fixture
def listed(ask, mapper):
    """Run list on a map of four workloads with labels."""
    mapper.map = mapper.everywhere = MapDocument(
        "map-1",
        1,
        NOW - 300_000,
        NOW,
        0,
        0,
        [
            edge(ADS, CART),
            edge(CART, REDIS, ("cache", "shop")),
            edge(CART, STORE, lookups=1),
            edge(STORE, REDIS, attempts=1),
        ],
        [],
        [
            WorkloadRow("cart", "shop", "Deployment", 1, {"team": "checkout"}),
            WorkloadRow("store", "db", "StatefulSet", 1, {"team": "data", "tier": "db"}),
        ],
    )
    return lambda *args: ask("list", *args)


def test_from(listed):
    assert listed("--from", "ads,store.db") == (
        0,
        (
            "ads in namespace web calls:\n  - cart in namespace shop\n"
            "store in namespace db calls:\n  - redis in namespace shop (attempted, never answered)\n"
        ),
        "",
    )


def test_to(listed):
    assert listed("--to", "shop/redis").out == (
        "cart in namespace shop calls:\n  - redis\n"
        "store in namespace db calls:\n  - redis in namespace shop (attempted, never answered)\n"
    )


@pytest.mark.parametrize(
    "arguments", [["-n", "shop,db"], ["-n", " shop , db "], ["-n", "shop,,db,"], ["-n", "shop,db", "-n", "shop"]]
)
def test_names_are_asked_for_once_and_without_what_surrounds_them(listed, mapper, arguments):
    assert listed(*arguments).code == 0
    assert mapper.requests[0] == "GET /api/v1/map?namespace=shop&namespace=db"


def test_from_and_to_together_are_one_edge(listed):
    assert listed("--from", "cart", "--to", "cache").out == "cart in namespace shop calls:\n  - redis\n"


def test_exclude_services_leaves_out_both_ends(listed):
    assert listed("--exclude-services", "redis,ads").out == (
        "cart in namespace shop calls:\n  - store in namespace db (DNS lookup only)\n"
    )


@pytest.mark.parametrize("name", ["store.db", "db/store", "store"])
def test_exclude_services_takes_full_names(listed, name):
    assert "store" not in listed("--exclude-services", name).out


def test_server_shows_all_that_its_callers_call(listed):
    assert listed("--server", "store.db").out == (
        "cart in namespace shop calls:\n  - redis\n  - store in namespace db (DNS lookup only)\n"
    )


def test_server_refuses_other_forms_and_namespaces(listed):
    for wrong in ("store", "store.db.svc", ".db", "store."):
        result = listed("--server", wrong)
        assert (result.code, result.out) == (2, "")
        assert "invalid server filter. Expected format: <server-name>.<namespace>" in result.err
    result = listed("--server", "store.db", "-n", "db")
    assert (result.code, result.out) == (2, "")
    assert "server filter cannot be used with namespaces filter" in result.err


def test_as_kubernetes_service(listed):
    assert listed("--as-kubernetes-service", "--from", "cart").out == (
        "cart in namespace shop calls:\n  - cache (service)\n  - store in namespace db (DNS lookup only)\n"
    )


def test_exclude_labels_asks_for_labels(listed, mapper):
    out = listed("--exclude-labels", "tier=db").out
    assert out == "ads in namespace web calls:\n  - cart in namespace shop\ncart in namespace shop calls:\n  - redis\n"
    assert "labels=true" in mapper.requests[0]


def test_distinct_by_label(listed):
    assert listed("--distinct-by-label", "team").out == (
        "ads [team=no_value] in namespace web calls:\n  - cart in namespace shop\n"
        "cart [team=checkout] in namespace shop calls:\n  - redis\n  - store in namespace db (DNS lookup only)\n"
        "store [team=data] in namespace db calls:\n  - redis in namespace shop (attempted, never answered)\n"
    )
    assert "shop/cart [team=checkout]  " in listed("--distinct-by-label", "team", "-o", "wide").out


def test_group_by_namespace(listed):
    assert listed("--group-by", "namespace") == (
        0,
        (
            "namespace db calls:\n  - namespace shop: 1 pair (attempted, never answered)\n"
            "namespace shop calls:\n  - namespace db: 1 pair (DNS lookup only)\n  - namespace shop: 1 pair\n"
            "namespace web calls:\n  - namespace shop: 1 pair\n"
        ),
        "",
    )


def test_group_by_label_in_every_format(listed, mapper):
    document = json.loads(listed("--group-by", "label=team", "-o", "json").out)
    assert "labels=true" in mapper.requests[0]
    assert document["group_by"] == "label=team"
    assert [(one["client"]["name"], one["server"]["name"], one["pairs"]) for one in document["groups"]] == [
        ("checkout", "data", 1),
        ("checkout", None, 1),
        ("data", None, 1),
        (None, "checkout", 1),
    ]
    assert listed("--group-by", "label=team", "-o", "yaml").out.endswith("last_seen: '2027-01-15T08:00:00.000Z'\n")
    wide = listed("--group-by", "label=team", "-o", "wide", "--no-headers").out
    assert wide.startswith("team=checkout  team=data ")


@pytest.mark.parametrize("by", ["label", "kind", "label=", "namespaces"])
def test_group_by_something_else_is_wrong_usage(listed, by):
    result = listed("--group-by", by)
    assert (result.code, result.out) == (2, "")
    assert f"{by!r} is nothing to group by; there are namespace and label=KEY" in result.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--from", "crat"), "crat was not seen as a client, so --from shows nothing for it. Did you mean cart?"),
        (("--from", "redis"), "redis was seen as a server only, so --from shows nothing for it."),
        (("--to", "ads"), "ads was seen as a client only, so --to shows nothing for it."),
        (("--to", "redis.shp"), ("redis.shp was not seen as a server, so --to shows nothing for it. "
         "Did you mean redis.shop?")),
        (("--server", "stor.db"), "Nobody was seen to call stor.db (--server). Did you mean store.db?"),
        (("--exclude-services", "redsi"), ("redsi was not seen, so --exclude-services leaves out nothing. "
         "Did you mean redis?")),
        (("--exclude-labels", "teem"), ("No workload here has the label teem, so --exclude-labels leaves out nothing. "
         "Did you mean team?")),
        (("--exclude-labels", "team=dat"), ("No workload here has the label team=dat, so --exclude-labels leaves out "
         "nothing. Did you mean team=data?")),
        (("--distinct-by-label", "tea"), "No workload here has the label tea. Did you mean team?"),
        (("--group-by", "label=tam"), "No workload here has the label tam. Did you mean team?"),
    ],
)  # fmt: skip
def test_a_name_that_nothing_bears_is_told_with_names_that_come_near(listed, arguments, said):
    result = listed(*arguments)
    assert result.code == 0
    assert next(line for line in result.err.splitlines() if line != "No connections found.").rstrip() == said
    assert listed(*arguments, "--quiet").err == ""


def test_a_name_that_matches_is_not_told_of_beside_one_that_does_not(listed):
    result = listed("--from", "cart,zzz")
    assert result.out.startswith("cart in namespace shop calls:")
    assert result.err == "zzz was not seen as a client, so --from shows nothing for it.\n"


def test_of_two_namespaces_the_one_without_clients_is_told(listed, mapper):
    mapper.map = MapDocument("map-1", 1, 0, NOW, 0, 0, [edge(CART, REDIS)])
    result = listed("-n", "shop,zzz")
    assert result.out == "cart in namespace shop calls:\n  - redis\n"
    assert result.err == ("No client in namespace zzz was seen. Namespaces with clients in the map: db, shop, web.\n")


def test_a_namespace_that_was_silent_of_late_is_told_apart(listed, mapper):
    mapper.map = MapDocument("map-1", 1, 0, NOW, 0, 0, [])
    assert listed("-n", "db", "--since", "1m").err == (
        "No connections found.\nIn namespace db no client was seen in that time. Try a longer --since.\n"
    )


def test_filters_that_together_leave_nothing_say_so(listed):
    result = listed("--from", "ads", "--to", "redis")
    assert (result.code, result.out) == (0, "")
    assert result.err == ("No connections found.\nNo edge of those that were seen (4) passes all of these filters.\n")


def test_contradictions_are_wrong_usage(listed):
    result = listed("--from", "cart", "--exclude-services", "cart")
    assert result.code == 2
    assert "--from asks for 'cart', and --exclude-services leaves it out" in result.err


@pytest.mark.parametrize("name", ["-x", "--", 'a"b', "a'b", "a: b", "é例", "%s", "{0}", "a\\b", "$(x)", "*"])
def test_odd_names_are_values_like_others(listed, mapper, name):
    odd = Workload(name, "shop", "Pod")
    mapper.everywhere.edges.append(edge(odd, REDIS))
    expected = (0, f"{name} in namespace shop calls:\n  - redis\n", "")
    assert listed(f"--from={name}") == listed("--from", name) == expected


def test_a_server_without_a_name_is_shown_in_every_format(listed, mapper):
    mapper.everywhere.edges = [edge(CART, Workload("", "shop", ""))]
    assert listed().out == "cart in namespace shop calls:\n  - (no name)\n"
    assert " shop/(no name) " in listed("-o", "wide").out
    assert json.loads(listed("-o", "json").out)["edges"][0]["server"]["name"] == ""


def test_control_characters_reach_no_terminal(listed, mapper):
    mapper.everywhere.edges = [edge(Workload("a\x1b[2J", "b\n", "Pod"), Workload("\x07", "\r", "Pod"))]
    for output in ("text", "wide"):
        assert all(line.isprintable() for line in listed("-o", output, "--from", "a\x1b[2J").out.split("\n"))
    result = listed("--from", "\x1b[2J")
    assert all(line.isprintable() for line in result.err.split("\n"))
