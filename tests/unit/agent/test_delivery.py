"""Fold and reporter against a mapper that does everything wrong: in effect each event is counted exactly once.

The mapper is a few obvious lines. It loses requests and answers, says "later" and "no", restarts with its store and
without, and is reset. What the node saw is kept as a plain count per edge. At every moment, for every edge, what was
seen is in a report that was answered, or on its way, or waits, or is in a counter of drops; and no map has any report
twice.
"""

from __future__ import annotations

import random
from collections import Counter

import msgspec
import pytest
from balance import imbalances
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from network_mapper.agent.fold import Fold
from network_mapper.agent.reporter import Reporter
from network_mapper.model import Drop, Kind, Observation, PodRef, PodSighting
from network_mapper.wire.report import MSGPACK, Receipt, Report

T = 1_700_000_040_000
Edge = tuple[str, Kind, str, int]


def events_of(report: Report) -> Counter[Edge]:
    """What a report says, event by event."""
    found: Counter[Edge] = Counter()
    for client in report.clients:
        for kind in (Kind.CONNECTIONS, Kind.ATTEMPTS, Kind.SOCKETS):
            for row in getattr(client, kind.value):
                found[client.address, kind, row.server, row.port] += row.count
        for row in client.lookups:
            found[client.address, Kind.LOOKUPS, row.name, 0] += row.count
    return found


class Mapper:
    """Takes reports as a mapper does: what it answers for is in its map, and it recognises what it has."""

    def __init__(self) -> None:
        self.store = self.instance = self.epoch = 1
        self.counted: dict[tuple[str, int], Counter[Edge]] = {}
        self.pods: set[PodRef] = set()

    def restart(self, *, with_store: bool) -> None:
        self.instance += 1
        self.pods.clear()
        if not with_store:
            self.store += 1
            self.counted.clear()

    def reset(self) -> None:
        self.epoch += 1

    def take(self, report: Report) -> Receipt:
        key = report.boot, report.sequence
        repeated = key in self.counted
        self.counted.setdefault(key, events_of(report))
        self.pods.update(sighting.pod for sighting in report.pods)
        return Receipt(f"store-{self.store}", self.epoch, repeated=repeated, instance=str(self.instance))


class Delivery(RuleBasedStateMachine):
    """One sniffer, one mapper, and a network that may do anything to each request."""

    @initialize(
        keys=st.sampled_from([4, 16, 1000]), spans=st.sampled_from([8, 1000]), limit=st.sampled_from([1, 3, 50])
    )
    def begin(self, keys: int, spans: int, limit: int) -> None:
        self.now = 0
        self.mapper = Mapper()
        self.fold = Fold(most_keys=keys, most_spans=spans, owner=self.owner)
        self.reporter = Reporter(
            self.fold,
            node="n",
            agent="a",
            started=T,
            wall=lambda: T + self.now,
            spread=random.Random(1),
            limit=limit,
            boot="b",
            on_new_mapper=self.tell_pods_again,
        )
        self.truth: Counter[Edge] = Counter()
        self.answered: Counter[Edge] = Counter()
        self.refused: Counter[Edge] = Counter()
        self.waiting_times: list[int] = []
        self.bodies: dict[int, bytes] = {}
        self.known_pods: list[PodSighting] = []
        self.frozen: Report | None = None
        self.watched = T - 1

    def owner(self, address: str, first: int, last: int) -> PodRef | None:
        return PodRef("shop", address, f"uid-{address}") if (first // 7000) == (last // 7000) else None

    def tell_pods_again(self) -> None:
        self.reporter.set_pods(self.known_pods)

    @rule(
        events=st.lists(
            st.tuples(
                st.sampled_from(Kind), st.integers(0, 4), st.integers(0, 5), st.integers(1, 4), st.integers(0, 900)
            ),
            max_size=6,
        ),
        later=st.sampled_from([0, 100, 1000, 5000, 61_000]),
    )
    def see(self, events: list[tuple[Kind, int, int, int, int]], later: int) -> None:
        """A tick of the sniffer: time passes, and what was seen since the last tick is handed over."""
        before, self.now = self.now, self.now + later
        seen = []
        for kind, client, port, count, ago in events:
            first = T + max(before, self.now - ago)
            edge = f"10.0.0.{client}", kind, "10.0.1.1", 0 if kind is Kind.LOOKUPS else port
            seen.append(Observation(edge[1], edge[0], edge[2], edge[3], "tcp", count, first, first, client))
            self.truth[edge] += count
        self.reporter.feed(seen, self.now, T + self.now - 1)

    @rule(number=st.integers(0, 5))
    def meet_pod(self, number: int) -> None:
        """The node finds a pod."""
        sighting = PodSighting(PodRef("shop", str(number), str(number)), (f"10.0.0.{number}",), T, T + self.now)
        self.known_pods.append(sighting)
        self.reporter.set_pods([sighting])

    def ask(self) -> Report | None:
        """The request that is due, held against what must not change about it."""
        request = self.reporter.next_request(self.now)
        if request is None:
            return None
        report = msgspec.msgpack.decode(request.body, type=Report)
        assert self.bodies.setdefault(report.sequence, request.body) == request.body, "a frozen report changed"
        assert report.sequence == max(self.bodies), "an older report came back"
        if self.frozen is None or self.frozen.sequence != report.sequence:
            self.check_covered(report)
        self.frozen = report
        return report

    def check_covered(self, report: Report) -> None:
        """All that was seen until `watched_until` is in this report or an earlier one."""
        for client in report.clients:
            for kind in Kind:
                for row in getattr(client, kind.value):
                    assert report.base + row.first > self.watched, "an earlier report said that all of this was told"
        oldest = self.fold.oldest()
        assert report.watched_until <= T + self.now
        assert oldest is None or oldest > report.watched_until
        self.watched = report.watched_until

    def give(self, receipt: Receipt) -> None:
        assert self.frozen is not None
        self.answered += events_of(self.frozen)
        self.frozen = None
        body = msgspec.msgpack.encode(receipt)
        self.reporter.answered(200, {"content-type": MSGPACK}, body, self.now)

    @rule()
    def deliver(self) -> None:
        """A request arrives and its answer does."""
        report = self.ask()
        if report is not None:
            self.give(self.mapper.take(report))

    @rule()
    def lose_request(self) -> None:
        """A request is lost."""
        if self.ask() is not None:
            self.reporter.failed(ConnectionResetError(), self.now)

    @rule()
    def lose_answer(self) -> None:
        """A request arrives, and its answer is lost."""
        report = self.ask()
        if report is not None:
            self.mapper.take(report)
            self.reporter.failed(TimeoutError(), self.now)

    @rule(status=st.sampled_from([404, 408, 429, 500, 502, 503]), taken=st.booleans())
    def say_later(self, status: int, taken: bool) -> None:
        """Something says "not now"; it may be a proxy behind which the report was taken."""
        report = self.ask()
        if report is not None:
            if taken:
                self.mapper.take(report)
            self.reporter.answered(status, {}, b"", self.now)

    @rule(status=st.sampled_from([400, 413]))
    def refuse(self, status: int) -> None:
        """The mapper refuses for good."""
        report = self.ask()
        if report is not None:
            if (report.boot, report.sequence) not in self.mapper.counted:
                self.refused += events_of(report)
            else:
                self.answered += events_of(report)
            self.frozen = None
            self.reporter.answered(status, {}, b"no", self.now)

    @rule(body=st.sampled_from([b"", b"<html>", b"\x80", b"\xc1"]))
    def say_something_else(self, body: bytes) -> None:
        """A success that is no receipt is none."""
        if self.ask() is not None:
            self.reporter.answered(200, {"content-type": MSGPACK}, body, self.now)

    @rule(with_store=st.booleans())
    def restart_mapper(self, with_store: bool) -> None:
        """The mapper is killed and comes back."""
        self.mapper.restart(with_store=with_store)

    @rule()
    def reset(self) -> None:
        """The map is emptied."""
        self.mapper.reset()

    @rule(what=st.sampled_from(["flush", "forget"]))
    def nudge(self, what: str) -> None:
        """Everything is made due."""
        getattr(self.fold, what)()

    @invariant()
    def nothing_is_doubled_or_lost(self) -> None:
        """What was seen, and what became of it, sum by sum and edge by edge."""
        if not hasattr(self, "reporter"):
            return
        hops = {hop.hop: hop for hop in self.reporter.hops if hop.unit == "observations"}
        assert imbalances(self.reporter.hops, self.reporter.drops) == []
        fold, transport = hops["fold"], hops["transport"]
        assert fold.seen == self.truth.total()
        assert fold.passed == transport.seen
        assert (
            transport.passed + self.reporter.drops.get(Drop.REPORT_REFUSED, 0) == (self.answered + self.refused).total()
        )
        told = self.answered + self.refused + (events_of(self.frozen) if self.frozen else Counter())
        assert not told - self.truth, "more was told of an edge than was seen"

    def teardown(self) -> None:
        """In the end the network is good, and everything arrives."""
        if not hasattr(self, "reporter"):
            return
        self.reporter.close(self.now)
        for _ in range(10_000):
            if self.reporter.idle:
                break
            self.now += 100
            report = self.ask()
            if report is not None:
                self.give(self.mapper.take(report))
        assert self.reporter.idle
        self.nothing_is_doubled_or_lost()
        drops = self.reporter.drops
        dropped = drops.get(Drop.FOLD_FULL, 0) + drops.get(Drop.FOLD_CLIENT_FULL, 0)
        missing = self.truth - self.answered - self.refused
        assert missing.total() == dropped
        assert self.fold.account.held == self.reporter._account.held == 0
        told = {sighting.pod for sighting in self.known_pods}
        lost = drops.get(Drop.PODS_REFUSED, 0) or drops.get(Drop.PODS_FULL, 0)
        assert lost or self.mapper.pods >= told, "the mapper that is there in the end does not know every pod"


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("seed", range(5))
def test_a_mapper_that_loses_a_third_of_its_answers_has_the_truth_edge_by_edge(seed):
    chance = random.Random(seed)
    mapper, truth, now = Mapper(), Counter(), 0
    reporter = Reporter(Fold(), node="n", agent="a", started=T, wall=lambda: T + now, spread=chance, limit=20)
    for step in range(2000):
        now += 100
        if step < 1500:
            edges = [(f"10.0.0.{chance.randrange(5)}", Kind.CONNECTIONS, "10.0.1.1", chance.randrange(9))]
            truth.update(edges)
            seen = [Observation(edge[1], edge[0], edge[2], edge[3], "tcp", 1, T + now, T + now) for edge in edges]
            reporter.feed(seen, now, T + now)
        else:
            reporter.close(now)
        request = reporter.next_request(now)
        if request is None:
            continue
        receipt = mapper.take(msgspec.msgpack.decode(request.body, type=Report))
        if step % 400 == 399:
            mapper.restart(with_store=True)
        if chance.random() < 0.3:
            reporter.failed(TimeoutError(), now)
        else:
            reporter.answered(200, {"content-type": MSGPACK}, msgspec.msgpack.encode(receipt), now)
    assert reporter.idle
    assert sum(mapper.counted.values(), Counter()) == truth
