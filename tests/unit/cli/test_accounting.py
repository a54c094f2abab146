"""`status --accounting`: the balance sheet."""

import json

from network_mapper.wire.api import BlindWindow, Completeness, HopRow

NOW = 1_800_000_000_000


def test_the_hops_of_all_nodes_are_added_up_and_those_of_the_mapper_follow(ask, mapper):
    for sniffer in mapper.status.sniffers:
        sniffer.hops = [
            HopRow("fold", "observations", 10, 7, 1, {"fold_full": 2}, sniffer.node),
            HopRow("kernel", "packets", 100, 95, 0, {"ring_overflow": 5}, sniffer.node),
        ]
    mapper.status.accounting = [HopRow("resolve", "observations", 14, 10, 1, {"never_seen": 3})]
    assert ask("status", "--accounting").out == (
        "HOP      COUNTED       SEEN  PASSED ON  HELD  DROPPED\n"
        "kernel   packets        200        190     0       10\n"
        "fold     observations    20         14     2        4\n"
        "resolve  observations    14         10     1        3\n"
        "Up to transport: 2 sniffers, since each started. The others: the mapper, since the map began.\n"
        "Dropped:\n"
        "  10 packets ring_overflow: the packet ring was full: raise --ring-size\n"
        "  4 observations fold_full: too many different edges wait to be reported\n"
        "  3 observations never_seen: an address of the cluster's own, and nobody told within a minute whose it was at "
        "that time\n"
    )


def test_a_line_that_does_not_add_up_is_marked(ask, mapper):
    mapper.status.accounting = [HopRow("graph", "observations", 14, 10, 1, {})]
    assert "+3 UNACCOUNTED" in ask("status", "--accounting").out


def test_when_nobody_watched_is_told_with_it(ask, mapper):
    mapper.status.accounting = [HopRow("graph", "observations", 1, 1, 0, {})]
    away = BlindWindow("node-b", NOW - 12_000, NOW, "sniffer_away")
    mapper.status.completeness = Completeness(
        since=1, until=NOW, mapped=1, blind=[away], blind_windows=1, watched_share=0.9
    )
    out = ask("status", "--accounting").out
    assert "  node-b had no sniffer for 12s from 2027-01-15T07:59:48.000Z\n" in out


def test_a_mapper_without_a_balance_sheet_is_told_of(ask, mapper):
    assert (
        ask("status", "--accounting").out
        == f"The mapper, version {mapper.status.version}, keeps no balance sheet. Upgrade it.\n"
    )


def test_a_program_gets_every_node_by_itself(ask, mapper):
    mapper.status.sniffers[0].hops = [HopRow("fold", "observations", 10, 7, 1, {"fold_full": 2}, "node-a")]
    answer = json.loads(ask("status", "--accounting", "-o", "json").out)
    assert answer["sniffers"][0]["hops"][0]["dropped"] == {"fold_full": 2}
