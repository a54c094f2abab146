import json

import pytest
import yaml

from network_mapper.model import Edge, Workload
from network_mapper.wire.api import MapDocument

SHOP = "cart in namespace shop calls:\n  - redis\n"


def test_routine_edges_are_hidden_and_stderr_stays_clean(ask):
    assert ask("list") == (0, SHOP, "")


def test_all_shows_routine_edges(ask):
    assert ask("list", "--all").out == (
        "cart in namespace shop calls:\n"
        "  - coredns in namespace kube-system\n"
        "  - redis\n"
        "node node-a calls:\n"
        "  - cart in namespace shop\n"
    )


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_a_document_of_everything_holds_labels_for_whoever_keeps_it(output, ask, mapper):
    assert ask("list", "--all", "-o", output).code == 0
    assert mapper.requests == ["GET /api/v1/map?labels=true"]


@pytest.mark.parametrize("arguments", [["--all"], ["-o", "json"], ["--all", "-o", "wide"]])
def test_labels_that_nobody_sees_are_not_asked_for(arguments, ask, mapper):
    assert ask("list", *arguments).code == 0
    assert mapper.requests[0] == "GET /api/v1/map"


def test_wide_says_what_is_hidden(ask):
    result = ask("list", "-o", "wide")
    assert [" ".join(line.split()) for line in result.out.splitlines()[1:]] == [
        "shop/cart shop/redis shop/redis 6379 tcp 4 0 0 0 0 answered 9s ago 1s ago connections"
    ]
    assert result.err == (
        "2 edges are hidden (cluster DNS, our own traffic, clients that are nodes or outside); --all shows them.\n"
    )


def test_a_filter_hides_nothing_that_counts_as_hidden(ask):
    assert json.loads(ask("list", "-o", "json", "--from", "cart").out)["hidden"] == 1
    assert ask("list", "-o", "wide", "--from", "cart").err.startswith("1 edge is hidden")
    assert json.loads(ask("list", "-o", "json", "--all").out)["hidden"] == 0


def test_wide_without_headings(ask):
    assert ask("list", "-o", "wide", "--no-headers").out.startswith("shop/cart")


def test_quiet_leaves_out_remarks(ask, mapper):
    assert ask("list", "-o", "wide", "-q").err == ""
    mapper.no_edges()
    assert ask("list", "-q") == (0, "", "")


def test_our_own_traffic_is_hidden(ask, mapper):
    mapper.everywhere.own = [Workload("redis", "shop", "StatefulSet")]
    assert ask("list").out == ""
    assert "redis" in ask("list", "--all").out


def test_json_and_yaml_hold_the_same_edges(ask):
    as_json, as_yaml = json.loads(ask("list", "-o", "json").out), yaml.safe_load(ask("list", "-o", "yaml").out)
    assert as_json == as_yaml
    assert [(edge["client"]["name"], edge["connections"]) for edge in as_json["edges"]] == [("cart", 4)]
    assert as_json["hidden"] == 2


def test_namespaces_may_be_repeated_or_listed(ask, mapper):
    ask("list", "-n", "shop,db", "-n", "shop", "--namespace", "a b")
    assert mapper.requests[0] == "GET /api/v1/map?namespace=shop&namespace=db&namespace=a+b"


def test_namespace_comes_from_the_environment(ask, mapper, monkeypatch):
    monkeypatch.setenv("NETWORK_MAPPER_NAMESPACE", "shop,db")
    ask("list")
    assert mapper.requests[0] == "GET /api/v1/map?namespace=shop&namespace=db"


def test_since_is_sent_as_a_moment(ask, mapper, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1_800_000_000.0)
    ask("list", "--since", "1h30m")
    assert mapper.requests == [f"GET /api/v1/map?since={1_800_000_000_000 - 5_400_000}"]


@pytest.mark.parametrize("span", ["", "5", "h", "-1h", "1h 2m", "1y", "0s", "yesterday", "1h2"])
def test_since_that_is_no_span_is_a_usage_error(ask, span):
    result = ask("list", "--since", span)
    assert result.code == 2
    assert f"{span!r} is no span of time such as 90s, 15m, 1h30m or 2d" in result.err


def test_weak_evidence_is_marked(ask, mapper):
    client = Workload("cart", "shop", "Deployment")
    mapper.everywhere.edges = [
        Edge(client, Workload("asked", "shop", "Pod"), None, 0, "dns", lookups=1),
        Edge(client, Workload("down", "shop", "Pod"), None, 80, "tcp", attempts=1, lookups=1),
    ]
    assert ask("list").out == (
        "cart in namespace shop calls:\n  - asked (DNS lookup only)\n  - down (attempted, never answered)\n"
    )


def test_empty_because_no_sniffer_reported(ask, mapper):
    mapper.no_edges()
    mapper.status.sniffers, mapper.status.drops, mapper.status.cluster.problems = [], {}, []
    result = ask("list")
    assert (result.code, result.out) == (0, "")
    assert result.err == (
        "No connections found.\nNo sniffer has reported to this mapper. "
        f"Start one on each node: network-mapper sniffer --mapper-url {mapper.url}\n"
    )
    assert ask("list", "--exclude-labels", "team=web").err == result.err  # no label is to blame


def test_empty_because_no_sniffer_of_the_cluster_reported(ask, mapper):
    mapper.no_edges()
    mapper.status.sniffers, mapper.status.drops, mapper.status.cluster.problems = [], {}, []
    mapper.status.installation.namespace = "network-mapper"
    assert ask("list").err == (
        "No connections found.\nNo sniffer has reported to this mapper. "
        "'network-mapper status' says what is known of each node.\n"
    )


def test_empty_because_nothing_was_seen_yet(ask, mapper):
    mapper.no_edges()
    mapper.status.drops = {}
    mapper.status.sniffers = mapper.status.sniffers[:1]
    assert ask("list").err.splitlines() == [
        "No connections found.",
        "Sniffers connected: node-a (last report 2s ago).",
        "They have seen no connection and no lookup yet.",
        "Cluster: 2 pods share 10.0.0.9",
    ]


def test_empty_since_a_reset_says_so(ask, mapper):
    mapper.no_edges()
    mapper.status.drops, mapper.status.reset_at = {}, mapper.status.now - 4_000
    mapper.status.sniffers = mapper.status.sniffers[:1]
    assert "They have seen no connection and no lookup since the map was emptied 4s ago." in ask("list").err


def test_empty_because_every_sniffer_is_silent(ask, mapper):
    mapper.no_edges()
    mapper.status.sniffers = mapper.status.sniffers[1:]
    assert "No sniffer is connected; the last report came 1m ago from node-b." in ask("list").err


def test_empty_because_rows_did_not_resolve(ask, mapper):
    mapper.no_edges()
    mapper.status.drops = {"client_unknown": 12, "seen_elsewhere": 5, "newer_reason": 1}
    assert ask("list").err.splitlines()[2:5] == [
        "What was reported made no edge:",
        "  12 rows client_unknown: no pod or node had the client's address at that time",
        "  1 newer_reason",
    ]


def test_empty_because_the_node_lost_what_it_saw(ask, mapper):
    mapper.no_edges()
    mapper.status.drops = {}
    assert "  node-b: 12 packets ring_overflow: the packet ring was full: raise --ring-size" in ask("list").err


def test_empty_since_a_reset_is_not_explained_by_what_was_lost_before(ask, mapper):
    mapper.no_edges()
    mapper.status.drops, mapper.status.reset_at = {}, mapper.status.now - 4_000
    assert all(sniffer.started < mapper.status.reset_at for sniffer in mapper.status.sniffers)
    told = ask("list").err
    assert "ring_overflow" not in told
    assert "since the map was emptied 4s ago." in told


def test_empty_is_not_explained_by_dns_answers_that_lead_nowhere(ask, mapper):
    mapper.no_edges()
    mapper.status.drops = {}
    mapper.status.sniffers = mapper.status.sniffers[:1]
    mapper.status.sniffers[0].drops = {"dns_no_address": 112, "dns_nxdomain": 4}
    assert "They have seen no connection and no lookup yet." in ask("list").err


def test_empty_because_of_the_namespace_names_those_that_exist(ask, mapper):
    mapper.map = MapDocument("map-1", 1, 0, 0, 0, 0, [])
    result = ask("list", "-n", "shpo")
    assert (result.code, result.out) == (0, "")
    assert result.err == (
        "No connections found.\n"
        "No client in namespace shpo was seen. Did you mean shop? Namespaces with clients in the map: shop.\n"
    )


def test_empty_because_all_is_routine(ask, mapper):
    mapper.everywhere.edges = mapper.everywhere.edges[1:]
    result = ask("list")
    assert result.out == ""
    assert result.err.startswith("No connections found.\n2 edges are hidden")


def test_empty_because_of_since(ask, mapper):
    mapper.everywhere.edges = []
    assert "what the map holds is older (3 edges). Try a longer --since." in ask("list", "--since", "1s").err


def test_empty_json_is_a_document_with_no_edges(ask, mapper):
    mapper.no_edges()
    result = ask("list", "-o", "json")
    assert result.code == 0
    assert json.loads(result.out)["edges"] == []
    assert result.err
