"""Reports rest until the cluster has had time to tell whose their addresses were."""

import itertools

import pytest
from cluster_objects import NOW, pod
from kube import apply as apply_objects

from network_mapper.mapper import resting
from network_mapper.mapper.resting import Rested, Resting
from network_mapper.mapper.state import seen_in
from network_mapper.mapper.waiting import PATIENCE
from network_mapper.model import Drop, PodRef, PodSighting, Tally
from network_mapper.wire.report import LEGACY_NODE, Client, Flow, Report

LATE = 5_000
_sequence = itertools.count(1)
WEB, DB = "Deployment:web", "StatefulSet:db"
CONNECTION = Client("10.0.0.1", connections=[Flow("10.0.1.2", 5432, "tcp", 3, -200, -100)])


def report(*clients, node="node-a", **more):
    return Report(node, "boot", next(_sequence), NOW, started=NOW - 60_000, clients=list(clients), **more)


@pytest.fixture
def take(state):
    """Take in a report and return what was dropped."""
    state.look_around(NOW, late=LATE)

    def run(sent, now=NOW):
        state.coverage.hear(sent, now)
        return state.apply(sent, now, seen_in(sent), Tally()).dropped

    return run


def test_a_report_rests_and_is_merged_when_its_time_is_over(take, state, edges):
    assert take(report(CONNECTION)) == {}
    state.retry(NOW + LATE - 1)
    assert (edges(), state.waiting, state.merged) == ({}, 3, 0)
    state.retry(NOW + LATE)
    state.retry(NOW + 2 * LATE)
    assert edges() == {(WEB, DB, None, 5432, "tcp"): (3, 0, 0, 0)}
    assert (state.waiting, state.merged, state.rows) == (0, 3, 3)


def test_who_is_told_meanwhile_to_have_had_the_address_is_who_it_was(take, state, index, edges):
    take(report(CONNECTION))
    index.delete("Pod", "shop", "db-0", NOW - 4_000)
    late = pod("late-1", "node-b", "10.0.1.2", ("StatefulSet", "late"))
    late["status"]["startTime"] = "2026-09-21T14:13:18Z"  # two seconds before the tests' present
    apply_objects(index, late)
    state.retry(NOW + LATE)
    assert edges() == {(WEB, "StatefulSet:late", None, 5432, "tcp"): (3, 0, 0, 0)}


def test_an_end_that_is_still_unknown_then_is_waited_for(take, state, index, edges):
    take(report(Client("10.0.0.50", connections=[Flow("10.0.1.2", 5432, "tcp", 3, -200, -100)])))
    state.retry(NOW + LATE)
    assert state.waiting == 3
    apply_objects(index, pod("cron-1", "node-a", "10.0.0.50", ("CronJob", "cron")))
    state.retry(NOW + LATE + 1)
    assert edges() == {("CronJob:cron", DB, None, 5432, "tcp"): (3, 0, 0, 0)}


def test_its_patience_began_when_it_came(take, state):
    take(report(Client("10.0.0.50", connections=[Flow("10.0.1.2", 5432, "tcp", 3, -200, -100)])))
    state.retry(NOW + LATE)
    state.give_up(NOW + PATIENCE - 1)
    assert state.drops == {}
    state.give_up(NOW + PATIENCE)
    assert state.drops == {Drop.NEVER_SEEN: 3}


def test_what_a_node_says_of_its_pods_is_taken_in_at_once(take, index, monkeypatch):
    heard = []
    monkeypatch.setattr(index, "sight", lambda *args: heard.append(args))
    sighting = PodSighting(PodRef("shop", "cron-1", "u"), ("10.0.0.50",), NOW - 500, NOW)
    take(report(CONNECTION, pods=[sighting], ahead=7_000))
    assert heard == [("node-a", sighting, 7_000)]


@pytest.mark.parametrize("more", [{"node": LEGACY_NODE}, {"capture": "file"}])
def test_what_is_no_sniffers_word_of_now_does_not_rest(take, edges, more):
    take(report(CONNECTION, **more))
    assert edges() == {(WEB, DB, None, 5432, "tcp"): (3, 0, 0, 0)}


def test_nothing_rests_where_files_tell_of_the_cluster(take, state, edges):
    state.look_around(NOW)
    take(report(CONNECTION))
    assert edges() == {(WEB, DB, None, 5432, "tcp"): (3, 0, 0, 0)}


def test_while_the_api_is_away_reports_rest_on_and_as_long_again_after_it(take, state, edges):
    take(report(CONNECTION))
    for second in range(20):
        state.look_around(NOW + second * 1000, api_away_since=NOW, late=LATE)
        state.retry(NOW + second * 1000)
    assert edges() == {}
    state.look_around(NOW + 20_000, late=LATE)
    state.retry(NOW + 19_000 + LATE - 1)
    assert edges() == {}
    state.retry(NOW + 19_000 + LATE)
    assert edges() == {(WEB, DB, None, 5432, "tcp"): (3, 0, 0, 0)}


def test_while_the_api_is_away_for_long_the_map_goes_on_a_minute_late(take, state, edges):
    take(report(CONNECTION))
    for second in range(61):
        state.look_around(NOW + second * 1000, api_away_since=NOW, late=LATE)
        assert edges() == {}
        state.retry(NOW + second * 1000)
    assert edges() == {(WEB, DB, None, 5432, "tcp"): (3, 0, 0, 0)}


def test_when_too_many_rows_rest_the_oldest_have_rested_enough(monkeypatch):
    monkeypatch.setattr(resting, "MOST", 10)
    room = Resting(PATIENCE)
    for number in range(4):
        room.put(Rested(NOW + number, report(), 4, 40))
    assert [each.since - NOW for each in room.take(NOW + 4, LATE, hold=False)] == [0, 1]
    assert (room.rows, room.observations) == (8, 80)


def test_rows_that_break_the_merge_cost_themselves_alone(take, state, edges, monkeypatch, caplog):
    take(report(Client("10.0.0.1", connections=[Flow("10.0.1.2", 1, "tcp", 2, -200, -100)])))
    take(report(CONNECTION))
    apply = state._merger.apply
    broken = iter((True, False))

    def breaks(*args):
        if next(broken):
            raise ZeroDivisionError
        return apply(*args)

    monkeypatch.setattr(state._merger, "apply", breaks)
    state.retry(NOW + LATE)
    assert edges() == {(WEB, DB, None, 5432, "tcp"): (3, 0, 0, 0)}
    assert (state.drops, state.waiting) == ({Drop.ROW_MALFORMED: 2}, 0)
    assert "could not be merged" in caplog.text
