"""Pods that a node knows: whose rows are whose, and that the mapper is told of each until it has answered."""

from __future__ import annotations

import random

import msgspec
import pytest

from network_mapper.agent.fold import Fold
from network_mapper.agent.reporter import Reporter
from network_mapper.model import Drop, Kind, Observation, PodRef, PodSighting
from network_mapper.wire.report import Receipt, Report

T = 1_700_000_040_000
A, B = PodRef("shop", "a", "uid-a"), PodRef("shop", "b", "uid-b")
MSGPACK = {"content-type": "application/msgpack"}


def seen(first: int = T, client: str = "10.0.0.1", port: int = 80, tap: int = 3) -> Observation:
    return Observation(Kind.CONNECTIONS, client, "10.0.0.2", port, "tcp", 1, first, first, tap)


def sighting(pod: PodRef = A, address: str = "10.0.0.1", first: int = T, last: int = T) -> PodSighting:
    return PodSighting(pod, (address,), first, last)


class Owners:
    """Says whose an address was, and keeps the questions."""

    def __init__(self, *owned: tuple[str, PodRef, int, int]) -> None:
        self.owned = owned
        self.asked: list[tuple[str, int, int]] = []

    def __call__(self, address: str, first: int, last: int) -> PodRef | None:
        self.asked.append((address, first, last))
        for owned, pod, start, end in self.owned:
            if owned == address and start <= first and last <= end:
                return pod
        return None


class Rig:
    def __init__(self, fold: Fold | None = None, **options) -> None:
        self.met = 0
        self.reporter = Reporter(
            fold or Fold(),
            node="n",
            agent="a",
            started=T,
            wall=lambda: T,
            spread=random.Random(1),
            on_new_mapper=self._meet,
            **options,
        )

    def _meet(self) -> None:
        self.met += 1

    def ask(self, now: int) -> Report | None:
        request = self.reporter.next_request(now)
        return None if request is None else msgspec.msgpack.decode(request.body, type=Report)

    def accept(self, now: int, instance: str = "i", store: str = "s", epoch: int = 1) -> None:
        receipt = Receipt(store, epoch, instance=instance)
        self.reporter.answered(200, MSGPACK, msgspec.msgpack.encode(receipt), now)

    def hello(self, instance: str = "i") -> Rig:
        assert self.ask(0).clients == []
        self.accept(0, instance)
        return self


def test_rows_of_a_pod_that_is_certain_carry_it():
    fold = Fold(owner=Owners(("10.0.0.1", A, T - 1000, T + 1000)))
    fold.add([seen(), seen(client="10.0.0.9")])
    assert [(client.address, client.pod, client.rows()) for client in fold.take(0).clients] == [
        ("10.0.0.1", A, 1),
        ("10.0.0.9", None, 1),
    ]


def test_an_address_that_two_pods_had_is_two_clients():
    fold = Fold(owner=Owners(("10.0.0.1", A, T, T + 1000), ("10.0.0.1", B, T + 5000, T + 9000)))
    fold.add([seen(T), seen(T + 5000), seen(T + 3000), seen(T + 6500, port=81)])
    found = {(client.pod, row.first + T) for client in fold.take(0).clients for row in client.connections}
    assert found == {(A, T), (None, T + 3000), (B, T + 5000), (B, T + 6500)}


def test_a_span_that_reaches_beyond_an_owner_is_nobodys():
    fold = Fold(owner=Owners(("10.0.0.1", A, T, T + 500)))
    fold.add([seen(T), seen(T + 900)])
    assert [client.pod for client in fold.take(0).clients] == [None]


def test_whose_an_address_is_is_asked_once_where_it_was_one_pod_throughout():
    owners = Owners(("10.0.0.1", A, T, T + 60_000))
    fold = Fold(owner=owners)
    fold.add(seen(T + 2000 * step, port=port) for step in range(5) for port in range(7))
    fold.take(0)
    assert owners.asked == [("10.0.0.1", T, T + 8000)]


def test_pods_go_with_the_next_report_and_are_due_at_once():
    rig = Rig().hello()
    assert rig.ask(1) is None
    rig.reporter.set_pods([sighting()])
    assert rig.reporter.wait(1) == 0
    assert rig.ask(1).pods == [sighting()]
    rig.accept(1)
    assert rig.ask(2) is None


def test_pods_are_kept_until_they_are_answered():
    rig = Rig().hello()
    rig.reporter.set_pods([sighting()])
    body = rig.reporter.next_request(1).body
    rig.reporter.failed(ConnectionError(), 1)
    rig.reporter.set_pods([sighting(B)])
    assert rig.reporter.next_request(10_000).body == body
    rig.accept(10_000)
    assert rig.ask(10_000).pods == [sighting(B)]


def test_sightings_that_wait_become_one():
    rig = Rig().hello()
    rig.ask(4000)
    rig.reporter.set_pods([sighting(first=T + 5, last=T + 6), sighting(first=T, last=T + 1), sighting(last=T + 9)])
    rig.accept(4000)
    assert rig.ask(4001).pods == [sighting(first=T, last=T + 9)]


def test_a_report_tells_of_four_thousand_pods_at_most():
    rig = Rig().hello()
    rig.reporter.set_pods(sighting(address=f"10.{n // 65536}.{n // 256 % 256}.{n % 256}") for n in range(9000))
    told = []
    for now in range(1, 4):
        told.append(len(rig.ask(now).pods))
        rig.accept(now)
    assert told == [4000, 4000, 1000]
    assert rig.ask(4) is None


def test_pods_beyond_the_bound_are_counted():
    rig = Rig().hello()
    rig.reporter.set_pods(sighting(PodRef("shop", "p", str(n))) for n in range(16_384 + 3))
    assert rig.reporter.drops == {Drop.PODS_FULL: 3}
    assert rig.ask(1).pods[0].pod.uid == "3"


def test_pods_of_a_refused_report_are_counted():
    rig = Rig().hello()
    rig.reporter.set_pods([sighting(), sighting(B)])
    rig.ask(1)
    rig.reporter.answered(400, {}, b"", 1)
    assert rig.reporter.drops == {Drop.PODS_REFUSED: 2}


@pytest.mark.parametrize(
    ("later", "times"),
    [
        ({"instance": "i"}, 0),
        ({"instance": "j"}, 1),
        ({"instance": "i", "store": "t"}, 1),
        ({"instance": "i", "epoch": 2}, 0),
        ({"instance": ""}, 1),
    ],
)
def test_another_process_or_another_map_has_pods_told_again_and_a_reset_has_not(later, times):
    rig = Rig().hello()
    assert rig.met == 0
    rig.ask(5000)
    rig.accept(5000, **later)
    assert rig.met == times
    rig.ask(10_000)
    rig.accept(10_000, **later)
    assert rig.met == times


def test_pods_that_a_first_mapper_may_have_had_are_told_again_to_the_one_that_answers():
    rig = Rig()
    rig.reporter.set_pods([sighting()])
    assert rig.ask(0).pods == [sighting()]
    rig.reporter.failed(ConnectionResetError(), 0)
    rig.ask(5000)
    rig.accept(5000)
    assert rig.met == 1


def test_the_other_wire_has_no_words_for_pods_so_they_wait_for_a_report_door():
    rig = Rig(wire="auto")
    rig.reporter.set_pods([sighting()])
    rig.ask(0)
    rig.reporter.answered(404, {}, b"", 0)
    rig.reporter.next_request(0)
    rig.reporter.answered(200, {}, b'{"data":{"health":true}}', 0)
    assert rig.reporter.wire == "graphql"
    assert rig.reporter.idle
    rig.ask(300_000)
    rig.accept(300_000)
    assert rig.reporter.wire == "native"
    assert rig.ask(300_001).pods == [sighting()]


def test_pods_are_on_the_balance_sheet():
    rig = Rig().hello()
    rig.reporter.set_pods([sighting(), sighting(B), sighting()])
    state = next(hop for hop in rig.ask(1).hops if hop.unit == "pods")
    assert (state.hop, state.seen, state.passed, state.held) == ("transport", 2, 0, 2)
    rig.accept(1)
    state = next(hop for hop in rig.reporter.hops if hop.unit == "pods")
    assert (state.seen, state.passed, state.held) == (2, 2, 0)
