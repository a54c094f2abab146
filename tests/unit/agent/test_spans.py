"""Spans that become coarser: nothing counted is lost, the ends stay, and no more is joined than must be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from network_mapper.agent.spans import MINUTE, Spans

T = 1_700_000_040_000 // (24 * 60 * MINUTE) * 24 * 60 * MINUTE
"""Begins a day."""
HOUR = 60 * MINUTE


def spans_of(*events: tuple[int, int]) -> Spans:
    made = Spans()
    for count, moment in events:
        made.add(count, moment, moment)
    return made


moments = st.lists(st.tuples(st.integers(1, 9), st.integers(T, T + 5 * 24 * HOUR)), min_size=1, max_size=80)


@given(moments, st.integers(1, 30))
def test_counts_and_ends_stay_whatever_is_joined(events, most):
    made = spans_of(*events)
    before = list(made)
    made.coarsen(most)
    after = list(made)
    assert len(after) == min(most, len(before))
    assert sum(count for count, _, _ in after) == sum(count for count, _ in events)
    assert (after[0][1], after[-1][2]) == (min(t for _, t in events), max(t for _, t in events))
    assert [first for _, first, _ in after] == sorted(first for _, first, _ in after)
    edges = {first for _, first, _ in before} | {last for _, _, last in before}
    assert all(first in edges and last in edges for _, first, last in after)


@given(moments, st.integers(1, 30))
def test_what_is_joined_is_a_prefix_of_what_could_be(events, most):
    """A span that is still alone in the minute's part that was joined is newer than every one that was joined."""
    made = spans_of(*events)
    before = set(made)
    made.coarsen(most)
    untouched = [span for span in made if span in before]
    joined = [span for span in made if span not in before]
    if joined and all(first // MINUTE == last // MINUTE for _, first, last in joined):
        newest = max(first for _, first, _ in joined)
        minutes = [first // MINUTE for _, first, _ in untouched if first < newest]
        assert len(minutes) == len(set(minutes)), "older ones are alone in their minutes"


def test_minutes_are_joined_before_hours_and_the_oldest_first():
    made = spans_of((1, T), (1, T + 5000), (1, T + MINUTE), (1, T + HOUR), (1, T + HOUR + 5000))
    made.coarsen(4)
    assert list(made) == [
        (2, T, T + 5000),
        (1, T + MINUTE, T + MINUTE),
        (1, T + HOUR, T + HOUR),
        (1, T + HOUR + 5000, T + HOUR + 5000),
    ]
    made.coarsen(3)
    assert list(made)[1:] == [(1, T + MINUTE, T + MINUTE), (2, T + HOUR, T + HOUR + 5000)]
    made.coarsen(2)
    assert list(made) == [(3, T, T + MINUTE), (2, T + HOUR, T + HOUR + 5000)]
    made.coarsen(1)
    assert list(made) == [(5, T, T + HOUR + 5000)]


def test_what_comes_late_goes_into_the_coarse_span_that_holds_its_time():
    made = spans_of((1, T), (1, T + 30 * MINUTE), (1, T + HOUR))
    made.coarsen(2)
    made.add(4, T + 10 * MINUTE, T + 10 * MINUTE)
    assert list(made) == [(6, T, T + 30 * MINUTE), (1, T + HOUR, T + HOUR)]
