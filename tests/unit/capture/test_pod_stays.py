"""Whose an address was, against who really had it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from network_mapper.capture.podstays import Stays
from network_mapper.model import PodRef, PodSighting

T = 1_700_000_000_000
ADDRESS = "10.1.2.5"


def pod(number: int = 1) -> PodRef:
    return PodRef("shop", f"cart-{number}", f"uid-{number}")


@pytest.fixture
def stays():
    return Stays()


def test_between_two_sightings_an_address_is_the_pods(stays):
    stays.begin(pod(), (ADDRESS,), 0, T).last = T + 5000
    assert stays.owner(ADDRESS, T, T + 5000) == pod()


def test_before_the_first_look_nothing_is_certain(stays):
    stays.begin(pod(), (ADDRESS,), 0, T)
    assert stays.owner(ADDRESS, T - 1, T) is None


def test_after_the_last_sighting_nothing_is_certain_yet(stays):
    stays.begin(pod(), (ADDRESS,), 0, T)
    assert stays.owner(ADDRESS, T, T + 1) is None


def test_an_address_nobody_was_seen_at_is_nobodys(stays):
    stays.begin(pod(), (ADDRESS,), 0, T)
    assert stays.owner("10.1.2.6", T, T) is None


def test_it_was_the_pods_since_the_look_that_did_not_find_anybody_there(stays):
    stays.begin(pod(), (ADDRESS,), T - 300, T)
    assert stays.owner(ADDRESS, T - 300, T) == pod()
    assert stays.owner(ADDRESS, T - 301, T) is None


def test_it_was_the_pods_until_the_look_that_did_not_find_it_any_more(stays):
    stays.end(stays.begin(pod(), (ADDRESS,), 0, T), T + 300)
    assert stays.owner(ADDRESS, T, T + 300) == pod()
    assert stays.owner(ADDRESS, T, T + 301) is None


@pytest.mark.parametrize(("first", "last"), [(T - 1001, T), (T, T + 1001)])
def test_no_more_than_a_second_beyond_a_sighting_is_trusted(stays, first, last):
    stays.end(stays.begin(pod(), (ADDRESS,), T - 9000, T), T + 9000)
    assert stays.owner(ADDRESS, first, last) is None
    assert stays.owner(ADDRESS, T - 1000, T + 1000) == pod()


def test_two_pods_with_one_address_at_once_make_it_nobodys(stays):
    for number in (1, 2):
        stays.begin(pod(number), (ADDRESS,), 0, T).last = T + 10
    assert stays.owner(ADDRESS, T, T) is None


def test_where_one_may_have_gone_when_the_next_had_come_it_is_nobodys(stays):
    stays.end(stays.begin(pod(1), (ADDRESS,), 0, T), T + 400)
    stays.begin(pod(2), (ADDRESS,), T + 200, T + 400)
    assert stays.owner(ADDRESS, T + 100, T + 199) == pod(1)
    assert stays.owner(ADDRESS, T + 200, T + 200) is None
    assert stays.owner(ADDRESS, T + 401, T + 401) is None
    assert stays.owner(ADDRESS, T + 100, T + 400) is None


STATIC = PodRef("kube-system", "dns-node1", "6576683a93d91d8e2119df2c2755f2f1")


def test_a_pod_that_the_api_knows_by_another_uid_is_not_told_of(stays):
    stays.begin(STATIC, (ADDRESS,), 0, T)
    assert (stays.owner(ADDRESS, T, T), stays.take_news(T)) == (None, [])


def test_but_where_it_is_nobody_else_owns_its_address(stays):
    stays.begin(STATIC, (ADDRESS,), 0, T)
    stays.begin(pod(), (ADDRESS,), 0, T)
    assert stays.owner(ADDRESS, T, T) is None


LOOKS = st.lists(st.integers(20, 200), min_size=5, max_size=60)
TENURES = st.lists(st.tuples(st.integers(0, 600), st.integers(201, 3000)), min_size=1, max_size=12)


@given(LOOKS, TENURES, st.data())
def test_what_is_said_is_true_and_what_was_seen_on_both_sides_is_said(steps, tenures, data):
    truth: list[tuple[int, int, PodRef]] = []
    at = T
    for number, (gap, length) in enumerate(tenures):
        truth.append((at + gap, at + gap + length, pod(number)))
        at += gap + length
    looks = [T + sum(steps[:place]) for place in range(len(steps) + 1)]
    while looks[-1] < at:
        looks.append(looks[-1] + steps[len(looks) % len(steps)])
    stays = Stays()
    seen: dict[PodRef, list[int]] = {}
    present = None
    for before, look in pairwise([0, *looks]):
        here = next((who for start, end, who in truth if start <= look <= end), None)
        if present is not None and present.pod != here:
            stays.end(present, look)
            present = None
        if here is not None:
            present = present or stays.begin(here, (ADDRESS,), before, look)
            present.last = look
            seen.setdefault(here, []).append(look)
    for _ in range(20):
        first = data.draw(st.integers(T - 100, looks[-1]))
        last = data.draw(st.integers(first, min(first + 700, looks[-1])))
        who = stays.owner(ADDRESS, first, last)
        others = {each for start, end, each in truth if start <= last and end >= first} - {who}
        assert who is None or not others
        for each, times in seen.items():
            if times[0] < first and last < times[-1]:  # at a look itself, the one before or after may be there
                assert who == each


class TestNews:
    def test_a_stay_is_news_once(self, stays):
        stays.begin(pod(), (ADDRESS, "fd78::5"), 0, T)
        assert stays.take_news(T) == [PodSighting(pod(), (ADDRESS, "fd78::5"), T, T)]
        assert stays.take_news(T) == []

    def test_its_end_is_news_with_the_last_sighting(self, stays):
        stay = stays.begin(pod(), (ADDRESS,), 0, T)
        stays.take_news(T)
        stay.last = T + 2000
        stays.end(stay, T + 2200)
        assert stays.take_news(T + 2200) == [PodSighting(pod(), (ADDRESS,), T, T + 2000)]

    def test_a_pod_that_came_and_went_between_two_reports_is_told_once(self, stays):
        stays.end(stays.begin(pod(), (ADDRESS,), 0, T), T + 100)
        assert len(stays.take_news(T + 1000)) == 1

    def test_one_that_goes_on_is_told_after_ten_seconds_and_then_ever_more_seldom(self, stays):
        stay = stays.begin(pod(), (ADDRESS,), 0, T)
        told = []
        for second in range(1800):
            stay.last = T + 1000 * second
            told += [second for _ in stays.take_news(T + 1000 * second)]
        assert told == [0, 10, 20, 40, 80, 160, 320, 620, 920, 1220, 1520]

    def test_one_that_was_not_seen_again_is_not_told_again(self, stays):
        stays.begin(pod(), (ADDRESS,), 0, T)
        stays.take_news(T)
        assert stays.take_news(T + 60_000) == []

    def test_a_new_mapper_is_told_all_that_is_known_of_the_dead_too(self, stays):
        stays.end(stays.begin(pod(1), (ADDRESS,), 0, T), T + 100)
        stays.begin(pod(2), ("10.1.2.6",), 0, T)
        stays.take_news(T)
        stays.tell_again()
        assert [each.pod for each in stays.take_news(T + 200)] == [pod(1), pod(2)]
        assert stays.take_news(T + 300) == []


class TestBounds:
    def test_a_stay_that_ended_is_remembered_for_ten_minutes(self, stays):
        stays.end(stays.begin(pod(), (ADDRESS,), 0, T), T + 100)
        stays.forget(T + 600_100)
        assert (stays.owner(ADDRESS, T, T), stays.remembered) == (pod(), 1)
        stays.forget(T + 600_101)
        assert (stays.owner(ADDRESS, T, T), stays.remembered) == (None, 0)

    def test_those_that_ended_first_make_room(self):
        stays = Stays(most=2)
        for number in (1, 2):
            stays.end(stays.begin(pod(number), (f"10.1.2.{number}",), 0, T), T + number)
        stays.begin(pod(3), ("10.1.2.3",), 0, T)
        assert [stays.owner(f"10.1.2.{number}", T, T) for number in (1, 2, 3)] == [None, pod(2), pod(3)]
        assert (stays.present, stays.remembered, stays.crowded) == (1, 1, 0)

    def test_where_all_are_present_a_further_one_is_left_out_and_counted(self):
        stays = Stays(most=1)
        stays.begin(pod(1), (ADDRESS,), 0, T)
        assert stays.begin(pod(2), ("10.1.2.6",), 0, T) is None
        assert (stays.crowded, stays.owner("10.1.2.6", T, T)) == (1, None)

    def test_nothing_is_left_of_what_was_forgotten(self, stays):
        for number in range(50):
            stays.end(stays.begin(pod(number), (ADDRESS, f"10.1.3.{number}"), 0, T + number), T + number)
        stays.forget(T + 10_000_000)
        assert (stays._at, stays.take_news(T)) == ({}, [])


def test_a_clock_that_was_set_back_makes_what_was_seen_before_uncertain(stays):
    stays.end(stays.begin(pod(1), (ADDRESS,), 0, T), T + 100)
    stays.begin(pod(2), ("10.1.2.6",), 0, T).last = T + 5000
    stays.forget_times(T - 3_600_000)
    assert stays.owner(ADDRESS, T, T) is None
    assert stays.owner("10.1.2.6", T, T + 5000) is None
    assert stays.owner("10.1.2.6", T - 3_600_000, T - 3_600_000) == pod(2)
