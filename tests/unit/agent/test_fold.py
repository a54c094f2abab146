"""The fold, beside a slow and obvious model of it."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from network_mapper.agent.fold import Batch, Fold
from network_mapper.model import Drop, Kind, Observation
from network_mapper.wire.report import Client, Flow, Lookup

T = 1_700_000_040_000
"""Begins a minute."""
MINUTE = 60_000


def seen(count: int = 1, first: int = T, last: int | None = None, **fields) -> Observation:
    values = {"kind": Kind.CONNECTIONS, "client": "10.0.0.1", "server": "10.0.0.2", "port": 80, "protocol": "tcp"}
    return Observation(**(values | fields), count=count, first=first, last=first if last is None else last)


def rows(batch: Batch | None) -> list[tuple]:
    """All rows of a batch as (client, tap, kind, row), with times since the epoch."""
    found = []
    for client in batch.clients if batch else []:
        for kind in Kind:
            found += [
                (client.address, client.tap, kind, row, batch.base + row.first, batch.base + row.last)
                for row in getattr(client, kind.value)
            ]
    return found


def spans(batch: Batch | None) -> list[tuple[int, int, int]]:
    return [(row.count, first, last) for _, _, _, row, first, last in rows(batch)]


def components(events: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Spans of one key, the slow way: join any two that touch within a minute, until none do."""
    open_spans = list(events)
    while True:
        for a in open_spans:
            for b in open_spans:
                apart = max(a[1], b[1]) - min(a[2], b[2])
                if a is not b and apart <= 1000 and a[1] // MINUTE == b[1] // MINUTE:
                    open_spans.remove(a)
                    open_spans.remove(b)
                    open_spans.append((a[0] + b[0], min(a[1], b[1]), max(a[2], b[2])))
                    break
            else:
                continue
            break
        else:
            return sorted(open_spans, key=lambda span: span[1])


within_a_minute = st.tuples(st.integers(1, 9), st.integers(0, 119_000), st.integers(0, 900)).map(
    lambda drawn: (drawn[0], T + drawn[1], min(T + drawn[1] + drawn[2], (T + drawn[1]) // MINUTE * MINUTE + 59_999))
)


@given(st.lists(within_a_minute, max_size=25))
def test_the_spans_of_a_key_are_those_of_the_model(events):
    fold = Fold()
    fold.add(seen(count, first, last) for count, first, last in events)
    assert spans(fold.take(0)) == components(events)


observations = st.builds(
    Observation,
    kind=st.sampled_from(Kind),
    client=st.sampled_from(["10.0.0.1", "10.0.0.2"]),
    server=st.sampled_from(["10.0.0.3", "name"]),
    port=st.sampled_from([80, 443]),
    protocol=st.sampled_from(["tcp", "udp"]),
    count=st.integers(1, 50),
    first=st.integers(T, T + 180_000),
    last=st.integers(T, T + 180_000),
    tap=st.integers(0, 1),
    answered_by=st.sampled_from(["", "10.0.0.9"]),
)


@given(st.lists(st.tuples(st.lists(observations, max_size=8), st.integers(0, 40_000), st.integers(1, 6))), st.data())
def test_nothing_is_lost_and_nothing_doubled(rounds, data):
    fold = Fold(most_keys=data.draw(st.integers(1, 12)), most_spans=data.draw(st.integers(1, 30)))
    given_events, taken = 0, 0
    now = 0
    for several, pause, limit in rounds:
        now += pause
        fold.add(several)
        given_events += sum(one.count for one in several)
        batch = fold.take(now, limit)
        assert len(rows(batch)) <= limit
        taken += sum(row.count for _, _, _, row, _, _ in rows(batch))
    fold.flush()
    while (batch := fold.take(now, 3)) is not None:
        assert batch.rows == len(rows(batch))
        assert batch.events == sum(row.count for _, _, _, row, _, _ in rows(batch))
        taken += batch.events
    assert taken + fold.drops.get(Drop.FOLD_FULL, 0) == given_events
    assert (fold.keys, fold.spans) == (0, 0)


@given(st.lists(observations, max_size=40))
def test_each_key_keeps_its_own_count(several):
    fold = Fold()
    fold.add(several)
    found: Counter[tuple] = Counter()
    for client, tap, kind, row, _, _ in rows(fold.take(0)):
        if kind is not Kind.LOOKUPS:
            found[client, tap, kind, row.server, row.port, row.protocol, row.answered_by] += row.count
    expected: Counter[tuple] = Counter()
    for one in several:
        if one.kind is not Kind.LOOKUPS:
            key = (one.client, one.tap, one.kind, one.server, one.port, one.protocol, one.answered_by)
            expected[key] += one.count
    assert found == expected


@given(st.lists(observations, max_size=40))
def test_no_span_crosses_a_minute_or_leaves_what_was_seen(several):
    fold = Fold()
    fold.add(several)
    for _, _, _, _, first, last in rows(fold.take(0)):
        assert first <= last
        assert first // MINUTE == last // MINUTE
        assert min(one.first for one in several) <= first
        assert last <= max(max(one.first, one.last) for one in several)


def test_a_second_of_silence_does_not_end_a_span():
    fold = Fold()
    fold.add([seen(first=T), seen(first=T + 1000)])
    assert spans(fold.take(0)) == [(2, T, T + 1000)]


def test_more_than_a_second_of_silence_ends_it():
    fold = Fold()
    fold.add([seen(first=T), seen(first=T + 1001)])
    assert spans(fold.take(0)) == [(1, T, T), (1, T + 1001, T + 1001)]


def test_a_minute_of_the_clock_ends_it():
    fold = Fold()
    fold.add([seen(first=T + MINUTE - 1), seen(first=T + MINUTE)])
    assert len(spans(fold.take(0))) == 2


def test_an_observation_across_a_minute_is_shared_out_by_time():
    fold = Fold()
    fold.add([seen(count=10, first=T - 200, last=T + 800)])
    assert spans(fold.take(0)) == [(2, T - 200, T - 1), (8, T, T + 800)]


def test_a_late_observation_closes_the_gap_it_falls_into():
    fold = Fold()
    fold.add([seen(first=T), seen(first=T + 1800), seen(first=T + 900)])
    assert spans(fold.take(0)) == [(3, T, T + 1800)]
    assert fold.spans == 0


def test_rows_are_grouped_by_client_and_tap():
    fold = Fold()
    fold.add([seen(tap=1), seen(tap=1, port=443), seen(tap=2), seen(client="10.0.0.7", tap=1)])
    batch = fold.take(0)
    assert [(client.address, client.tap, client.rows()) for client in batch.clients] == [
        ("10.0.0.1", 1, 2),
        ("10.0.0.1", 2, 1),
        ("10.0.0.7", 1, 1),
    ]


def test_each_kind_has_its_own_list():
    fold = Fold()
    fold.add(
        [
            seen(answered_by="10.1.0.9", answered_port=8080),
            seen(kind=Kind.ATTEMPTS),
            seen(kind=Kind.SOCKETS),
            seen(kind=Kind.LOOKUPS, server="cart.shop", port=0, protocol="udp", addresses=("10.96.0.1",)),
        ]
    )
    assert fold.take(0).clients == [
        Client(
            "10.0.0.1",
            connections=[Flow("10.0.0.2", 80, "tcp", 1, 0, 0, "10.1.0.9", 8080)],
            attempts=[Flow("10.0.0.2", 80, "tcp", 1, 0, 0)],
            sockets=[Flow("10.0.0.2", 80, "tcp", 1, 0, 0)],
            lookups=[Lookup("cart.shop", 1, 0, 0, ("10.96.0.1",))],
        )
    ]


def test_times_are_relative_to_the_earliest():
    fold = Fold()
    fold.add([seen(first=T + 500), seen(first=T + 100, port=443)])
    batch = fold.take(0)
    assert batch.base == T + 100
    assert [row.first for row in batch.clients[0].connections] == [400, 0]


def test_addresses_of_a_name_are_united_up_to_eight():
    fold = Fold()
    lookups = [seen(kind=Kind.LOOKUPS, server="n", addresses=(f"10.0.0.{n}", "10.0.0.0")) for n in range(20)]
    fold.add(lookups)
    addresses = fold.take(0).clients[0].lookups[0].addresses
    assert addresses == ("10.0.0.0", *(f"10.0.0.{n}" for n in range(1, 8)))


def test_what_is_new_is_due_at_once():
    fold = Fold()
    fold.add([seen()])
    assert fold.has_due(0)
    assert fold.take(0).rows == 1
    assert not fold.has_due(0)


def test_what_repeats_is_due_half_a_minute_after_it_was_reported():
    fold = Fold(repeat_interval=30)
    fold.add([seen()])
    fold.take(5000)
    fold.add([seen(first=T + 500)])
    assert fold.take(34_999) is None
    assert fold.take(35_000).events == 1


def test_a_quiet_key_that_comes_back_is_due_at_once():
    fold = Fold(repeat_interval=30)
    fold.add([seen()])
    fold.take(5000)
    fold.add([seen(first=T + 90_000)])
    assert fold.take(90_000).events == 1


def test_a_key_with_many_spans_is_due_early():
    fold = Fold()
    fold.add([seen()])
    fold.take(0)
    fold.add([seen(first=T + 1500 * step) for step in range(31)])
    assert fold.take(1) is None
    fold.add([seen(first=T + 1500 * 31)])
    assert fold.take(1).rows == 32


def test_an_early_report_starts_the_half_minute_anew():
    fold = Fold(repeat_interval=30)
    fold.add([seen()])
    fold.take(0)
    fold.add([seen(first=T + 1500 * step) for step in range(32)])
    fold.take(20_000)
    fold.add([seen(first=T + 50_000)])
    assert fold.take(49_999) is None
    assert fold.take(50_000).rows == 1


def test_forgetting_makes_everything_new_again():
    fold = Fold()
    fold.add([seen()])
    fold.take(0)
    fold.add([seen(first=T + 10)])
    fold.forget()
    assert fold.take(1).rows == 1
    fold.forget()
    fold.add([seen(first=T + 20)])
    assert fold.take(2).rows == 1


def test_what_waited_when_the_map_was_forgotten_does_not_make_a_key_known():
    fold = Fold()
    fold.add([seen()])  # the mapper will drop this one: it was seen before the reset
    fold.forget()
    assert fold.take(1).rows == 1
    fold.add([seen(first=T + 5000)])
    assert fold.take(2).rows == 1
    fold.add([seen(first=T + 10_000)])
    assert fold.take(3) is None


def test_beyond_the_limit_rows_wait_for_the_next_report():
    fold = Fold()
    fold.add([seen(port=port) for port in range(7)])
    assert [fold.take(0, 3).rows for _ in range(3)] == [3, 3, 1]


def test_a_key_with_more_spans_than_the_limit_is_cut():
    fold = Fold()
    fold.add([seen(first=T + 1500 * step) for step in range(5)])
    assert [spans(fold.take(0, 2)) for _ in range(3)] == [
        [(1, T, T), (1, T + 1500, T + 1500)],
        [(1, T + 3000, T + 3000), (1, T + 4500, T + 4500)],
        [(1, T + 6000, T + 6000)],
    ]


def test_keys_beyond_the_bound_are_counted_by_their_events():
    fold = Fold(most_keys=2)
    fold.add([seen(port=1), seen(port=2), seen(port=3, count=5), seen(port=1, count=2)])
    assert fold.drops == {Drop.FOLD_FULL: 5}
    assert fold.take(0).events == 4


def test_spans_beyond_the_bound_are_counted_while_open_ones_still_grow():
    fold = Fold(most_spans=1)
    fold.add([seen(), seen(count=3, first=T + 5000), seen(count=2, first=T + 10)])
    assert fold.drops == {Drop.FOLD_FULL: 3}
    assert fold.take(0).events == 3


def test_beyond_the_bound_the_keys_told_longest_ago_are_forgotten_and_count_as_new_again():
    fold = Fold(most_told=8)
    for port in range(9):
        fold.add([seen(port=port)])
        fold.take(port)
    assert fold.told == 8
    fold.add([seen(port=0, first=T + 1), seen(port=8, first=T + 1)])
    assert [row.port for row in fold.take(9).clients[0].connections] == [0]


def test_what_was_seen_of_a_forgotten_key_is_due_and_not_lost():
    fold = Fold(most_told=1)
    fold.add([seen(port=1)])
    fold.take(0)
    fold.add([seen(port=1, count=4, first=T + 1), seen(port=2)])
    fold.take(1)
    assert fold.take(2).events == 4


def test_keys_told_longer_ago_than_the_interval_take_no_room():
    fold = Fold(repeat_interval=30)
    fold.add([seen(port=port) for port in range(100)])
    fold.take(0)
    assert not fold.has_due(30_000)
    assert fold.told == 0


def test_the_fold_says_when_half_of_its_room_is_taken():
    fold = Fold(most_keys=4)
    fold.add([seen(port=1), seen(port=2)])
    assert not fold.crowded()
    fold.add([seen(port=3)])
    assert fold.crowded()


@pytest.mark.parametrize("first", [-(2**70), 2**70])
def test_times_beyond_any_clock_are_survived(first):
    fold = Fold()
    fold.add([seen(first=first, last=first)])
    assert fold.take(0).rows == 1


def test_an_observation_of_nothing_is_nothing():
    fold = Fold()
    fold.add([seen(count=0)])
    assert fold.take(0) is None
