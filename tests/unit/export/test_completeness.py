"""How complete a map is, in words and as a document."""

import json

import pytest
from synthetic_map import shop_map

from network_mapper.export import completeness, document
from network_mapper.export.picture import dot, graph, mermaid
from network_mapper.wire.api import BlindWindow, Completeness

NOW = 1_800_000_000_000
AWAY = BlindWindow("node-b", NOW - 60_000, NOW - 48_000, "sniffer_away")
PART = Completeness(
    since=NOW - 600_000,
    until=NOW,
    observations=110,
    mapped=90,
    waiting=4,
    lost={"never_seen": 4, "ring_overflow": 2},
    left_out={"seen_elsewhere": 10},
    blind=[AWAY],
    blind_windows=1,
    watched_share=0.98,
)
WHOLE = Completeness(since=NOW - 600_000, until=NOW, observations=12, mapped=10, left_out={"loopback": 2})


def test_a_whole_map_says_the_same_at_all_times():
    later = Completeness(since=NOW, until=NOW + 1, observations=99, mapped=99)
    assert completeness.sentence(WHOLE) == completeness.sentence(later)
    assert completeness.sentence(WHOLE).startswith("Complete: ")


def test_what_is_missing_is_told_with_reasons_and_times():
    assert completeness.sentence(PART) == (
        "Not complete: 90.00 % of what was seen is in the map (lost: never_seen 4, ring_overflow 2); 4 observations "
        "wait until their pods are known; nodes were watched 98.00 % of the time (node-b had no sniffer for 12s from "
        "2027-01-15T07:59:00.000Z)."
    )


def test_what_is_no_part_of_the_map_is_not_missing():
    assert completeness.share(WHOLE) == 1
    assert completeness.is_complete(WHOLE)


@pytest.mark.parametrize(
    "change",
    [
        {"waiting": 1},
        {"lost": {"never_seen": 1}},
        {"blind": [AWAY], "blind_windows": 1},
        {"watched_share": 0.5},
    ],
)
def test_anything_missing_makes_it_not_complete(change):
    known = Completeness(since=1, until=2, mapped=1, **change)
    assert not completeness.is_complete(known)
    assert completeness.sentence(known).startswith("Not complete: ")


@pytest.mark.parametrize(
    ("part", "text"), [(0.0, "0 %"), (1.0, "100 %"), (0.999999, "99.99 %"), (0.0000001, "0.01 %"), (0.5, "50.00 %")]
)
def test_a_share_is_never_rounded_to_all_or_nothing(part, text):
    assert completeness.percent(part) == text


def test_a_window_that_lasts_and_one_of_the_cluster_have_their_words():
    lasts = BlindWindow("node-b", NOW, 0, "sniffer_silent")
    api = BlindWindow("", NOW, NOW + 5_000, "api_away")
    assert completeness.window(lasts) == "node-b is not heard from 2027-01-15T08:00:00.000Z until now"
    assert completeness.window(api) == ("the API server could not be followed for 5s from 2027-01-15T08:00:00.000Z")


def test_many_windows_are_counted_and_the_newest_are_named():
    known = Completeness(since=1, until=2, blind=[AWAY] * 100, blind_windows=1_000, watched_share=0.9)
    assert "995 more times" in completeness.sentence(known)


def test_a_document_keeps_all_of_it():
    answer = shop_map()
    answer.completeness = PART
    answer.gone = [peer for peer in (edge.client for edge in answer.edges) if hasattr(peer, "kind")][:1]
    kept = document.restore(document.build(answer, answer.edges))
    assert kept.completeness == PART
    assert kept.gone == answer.gone


def test_no_word_in_a_picture_where_nothing_is_known():
    assert completeness.brief(None) == ""
    assert completeness.brief(WHOLE) == "complete"
    assert completeness.brief(PART) == "90.00 % of what was seen, nodes watched 98.00 % of the time"


def test_texts_that_others_draw_have_it_as_a_comment():
    drawn = graph.build(shop_map().edges)
    told = completeness.sentence(PART)
    assert f"\n// {told}\n" in "\n" + dot.render(drawn, "", told)
    assert f"\n  %% {told}\n" in mermaid.render(drawn, "", told)


def test_the_mapper_and_a_document_tell_the_same_numbers():
    shown = json.loads(json.dumps(completeness.to_document(PART).__class__.__struct_fields__))
    assert set(Completeness.__struct_fields__) <= set(shown)
