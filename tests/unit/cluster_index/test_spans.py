"""Spans and tables of numbers against plain lists and dictionaries."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from network_mapper.cluster.serials import Serials
from network_mapper.cluster.spans import ALWAYS, FOREVER, Spans


class Span(NamedTuple):
    number: int
    start: int
    end: int


some_spans = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12)), max_size=25).map(
    lambda every: [Span(number, start, start + length) for number, (start, length) in enumerate(every)]
)


def new_spans(every=()):
    spans = Spans([], lambda span: span.start, lambda span: span.end)
    for span in every:
        spans.add(span)
    return spans


@given(some_spans, st.lists(st.booleans(), max_size=25), st.integers(-2, 60))
def test_what_is_found_near_an_instant_is_what_a_look_at_all_of_them_finds(every, removed, instant):
    spans = new_spans(every)
    gone = {span for span, leaves in zip(every, removed, strict=False) if leaves}
    for span in gone:
        spans.remove(span)
    left = [span for span in every if span not in gone]
    found, start, end = spans.near(instant)
    assert set(found) == {span for span in left if span.start <= instant < span.end}
    edges = [edge for span in left for edge in (span.start, span.end)]
    assert start == max((edge for edge in edges if edge <= instant), default=ALWAYS)
    assert end == min((edge for edge in edges if edge > instant), default=FOREVER)
    assert len(spans) == len(left)


@given(some_spans, st.integers(0, 24))
def test_the_last_end_is_that_of_all_but_one(every, number):
    spans = new_spans(every)
    assert spans.last_end() == max((span.end for span in every), default=ALWAYS)
    others = [span.end for span in every if span.number != number]
    assert spans.last_end(lambda span: span.number == number) == max(others, default=ALWAYS)


@given(some_spans, st.integers(0, 24), st.integers(0, 30), st.integers(-2, 80))
def test_an_item_may_end_later_than_it_did(every, number, longer, instant):
    ends = {span.number: span.end for span in every}
    spans = Spans([], lambda span: span.start, lambda span: ends[span.number])
    for span in every:
        spans.add(span)
    if number < len(every):
        ends[number] += longer
        spans.lengthened(every[number])
    assert set(spans.near(instant)[0]) == {span for span in every if span.start <= instant < ends[span.number]}


def test_hundreds_in_turn_are_not_gone_through():
    looks = []

    def start(span):
        looks.append(span)
        return span.start

    spans = Spans([], start, lambda span: span.end)
    for number in range(4096):
        spans.add(Span(number, number * 2, number * 2 + 3))
    looks.clear()
    assert len(spans.near(5000)[0]) == 2
    assert len(looks) < 40


names = st.sampled_from([f"n{number}" for number in range(60)])


@settings(max_examples=200)
@given(st.lists(st.tuples(names, st.sampled_from([True, True, False]))), st.sampled_from([1, 7, 1 << 40]))
def test_numbers_are_found_as_a_dictionary_finds_them(changes, spread):
    known, model = {}, {}

    def hashed(name):
        return hash(name) // spread

    table = Serials(lambda number: hashed(known[number]))
    for number, (name, comes) in enumerate(changes):
        if comes:
            known[number] = name
            assert table.put(hashed(name), number, lambda other, name=name: known[other] == name) == model.get(name)
            model[name] = number
        elif name in model:
            table.remove(hashed(name), model.pop(name))
        else:
            table.remove(hashed(name), 10_000)
        assert len(table) == len(model)
    for name in {name for name, _ in changes}:
        assert table.get(hashed(name), lambda other, name=name: known[other] == name) == model.get(name)
    table.renumber(lambda number: number + 5)
    known = {number + 5: name for number, name in known.items()}
    for name, number in model.items():
        assert table.get(hashed(name), lambda other, name=name: known[other] == name) == number + 5


def test_a_table_shrinks_again():
    table = Serials(hash)
    for number in range(10_000):
        table.put(hash(number), number, number.__eq__)
    for number in range(10_000):
        table.remove(hash(number), number)
    assert len(table) == 0
    assert len(table._cells) == 64
