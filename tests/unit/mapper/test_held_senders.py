"""Senders that cannot retry: held while nothing can be taken, refused after two seconds, counted either way."""

import asyncio

import pytest
from cluster_objects import NOW

from network_mapper.mapper import intake as intake_module
from network_mapper.mapper.intake import BusyError, Intake
from network_mapper.model import Tally
from network_mapper.store import StoreUnavailableError
from network_mapper.wire.report import LEGACY_NODE, MSGPACK, Client, Flow


class Journal:
    """A writer that makes everything durable at once, unless it is told to fail."""

    def __init__(self):
        self.bodies = []
        self.failing = False

    def append(self, _received, body, done):
        if self.failing:
            raise StoreUnavailableError("the disk does not keep up")
        self.bodies.append(body)
        asyncio.get_running_loop().call_soon(done, len(self.bodies))


@pytest.fixture
def journal():
    return Journal()


@pytest.fixture
def obstacles():
    """Why nothing can be resolved; empty when it can."""
    return []


@pytest.fixture
def intake(state, journal, obstacles):
    return Intake(state, journal, lambda: NOW, 64, obstacle=lambda: "".join(obstacles), patience=0.2)


def rows():
    return [Client("10.0.0.1", connections=[Flow("10.0.1.2", 5432, "tcp", 2, 0, 0)])]


def take(intake, drops=None):
    return asyncio.run(intake.take(rows(), NOW, drops or Tally()))


def test_rows_are_in_the_map_and_the_journal_when_they_are_answered(intake, journal, state):
    take(intake)
    (entry,) = state.graph.in_order()
    assert entry.edge.connections == 2
    assert len(journal.bodies) == 1


def test_the_journal_gives_them_back_with_their_own_numbers(intake, journal):
    from network_mapper.mapper.decode import decode

    take(intake)
    take(intake)
    reports = [decode(body, MSGPACK)[0] for body in journal.bodies]
    assert [report.node for report in reports] == [LEGACY_NODE] * 2
    assert [report.sequence for report in reports] == [1, 2]
    assert reports[0].boot == reports[1].boot
    assert reports[0].clients == rows()


def test_the_same_rows_twice_are_two_sightings(intake, state):
    take(intake)
    take(intake)
    (entry,) = state.graph.in_order()
    assert entry.edge.connections == 4


def test_a_sender_is_held_until_the_cluster_is_known(intake, obstacles, state):
    obstacles.append("the cluster has not been read yet")

    async def run():
        waiting = asyncio.create_task(intake.take(rows(), NOW, Tally()))
        await asyncio.sleep(0.08)
        assert not waiting.done()
        obstacles.clear()
        await waiting

    asyncio.run(run())
    assert len(state.graph) == 1
    assert state.drops == {}


@pytest.mark.parametrize("failing", ["cluster", "disk"])
def test_a_sender_is_refused_after_a_while_and_that_is_counted(intake, obstacles, journal, state, failing):
    obstacles.extend(["not yet"] * (failing == "cluster"))
    journal.failing = failing == "disk"
    with pytest.raises(BusyError):
        take(intake)
    assert state.drops == {"report_held_too_long": 1}
    assert dict(intake.counters.items())["tcp_dropped_connections"] == 1
    assert len(state.graph) == 0


def test_no_more_than_a_bounded_number_is_held(intake, obstacles, state, monkeypatch):
    monkeypatch.setattr(intake_module, "_MOST_HELD", 3)
    obstacles.append("not yet")

    async def run():
        return await asyncio.gather(*(intake.take(rows(), NOW, Tally()) for _ in range(5)), return_exceptions=True)

    errors = asyncio.run(run())
    assert [str(error) for error in errors].count("as many reports as allowed are waiting") == 2
    assert state.drops == {"report_held_too_long": 5}


def test_what_was_lost_in_decoding_is_counted_with_the_rows(intake, state):
    from network_mapper.model import Drop

    take(intake, Tally({Drop.ROW_MALFORMED: 3}))
    assert (state.rows, state.merged) == (4, 1)
    assert state.drops == {"row_malformed": 3}


def test_reported_sightings_have_the_models_names(intake):
    take(intake)
    counters = dict(intake.counters.items())
    assert counters["tcp_reported_connections"] == 1
    assert len(counters) == 16
