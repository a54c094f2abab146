"""The balance sheet and completeness, one behaviour at a time. That all of it adds up: `test_accounting_properties`."""

from __future__ import annotations

import asyncio
import json

import pytest
from cluster_objects import NOW, pod, write
from hand_store import HandWriter
from kube import decoded

from network_mapper.cluster.index import Index
from network_mapper.cluster.snapshot import load
from network_mapper.mapper.completeness import completeness, watched_share
from network_mapper.mapper.decode import ReportError
from network_mapper.mapper.graph import DETAILS_PER_EDGE
from network_mapper.mapper.intake import BusyError, Intake
from network_mapper.mapper.state import State
from network_mapper.model import Drop, Edge, Service, Tally, Workload
from network_mapper.store import Database, StoreUnavailableError
from network_mapper.store.database import Sequence
from network_mapper.store.ranges import read_range
from network_mapper.store.writer import Checkpoint
from network_mapper.wire.api import BlindWindow, HopRow
from network_mapper.wire.report import JSON, Client, Flow

MINUTE = 60_000
HOUR = 60 * MINUTE


class Mapper:
    """A mapper over a store that is written by hand."""

    def __init__(self, folder, *pods):
        self.path = folder / "map.db"
        snapshot = folder / "cluster"
        snapshot = snapshot if snapshot.exists() else write(snapshot)
        self.now = NOW
        self.delivered = []
        self.writer = HandWriter(self.path)
        index = Index("cluster.local")
        load(snapshot, take=index.apply)
        for item in pods:
            index.apply("Pod", decoded(item))
        self.state = State(index, 1000)
        self.state.restore(self.writer.database, NOW)
        self.state.replay(self.writer.database, NOW)
        self.intake = Intake(self.state, self.writer, lambda: self.now, 8, patience=0)

    async def accept(self, sequence, *clients, node="node-a", boot="boot", **more):
        """Send a report; returns the task that waits for its answer."""
        body = {"node": node, "boot": boot, "sequence": sequence, "base": self.now, "started": NOW - HOUR}
        content = json.dumps(body | {"clients": clients} | more).encode()
        task = asyncio.create_task(self.intake.accept(content, JSON))
        await turn()
        return task

    async def report(self, sequence, *clients, **more):
        """Send a report and take its answer."""
        task = await self.accept(sequence, *clients, **more)
        self.writer.flush()
        return await task

    async def checkpoint(self):
        task = asyncio.create_task(self.state.checkpoint(self.writer, self.now))
        await turn()
        self.writer.flush()
        await task

    def line(self, hop, unit="observations"):
        """Seen, passed, held and what was dropped."""
        (row,) = [row for row in self.state.accounting() if (row.hop, row.unit) == (hop, unit)]
        return row.seen, row.passed, row.held, row.dropped

    def told(self, since=0, until=0):
        """Completeness, of the whole map or of a range that is on disk."""
        if not since and not until:
            return completeness(self.state, None, 0, 0, self.now)
        found = read_range(str(self.path), since, until)
        return completeness(self.state, found.accounts, found.since, found.until, self.now)

    def again(self, folder, *pods):
        self.writer.kill()
        return Mapper(folder, *pods)


async def turn():
    for _ in range(6):
        await asyncio.sleep(0)


def client(address="10.0.0.1", server="10.0.1.2", count=3, at=-100, **more):
    return {"address": address, "connections": [[server, 5432, "tcp", count, at, at]]} | more


@pytest.fixture
def mapper(tmp_path):
    return Mapper(tmp_path)


def test_what_goes_through_is_counted_at_every_hop(mapper):
    asyncio.run(mapper.report(1, client()))
    assert mapper.line("intake", "reports") == (1, 1, 0, {})
    assert [mapper.line(hop) for hop in ("intake", "resolve", "graph")] == [(3, 3, 0, {})] * 3
    assert mapper.line("store") == (3, 0, 3, {})
    asyncio.run(mapper.checkpoint())
    assert mapper.line("store") == (3, 3, 0, {})


def test_what_is_on_its_way_to_the_disk_is_held(mapper):
    async def run():
        first = await mapper.accept(1, client())
        again = await mapper.accept(1, client())
        assert mapper.line("intake", "reports") == (2, 0, 2, {})
        assert mapper.line("intake") == (6, 0, 6, {})
        mapper.writer.flush()
        await asyncio.gather(first, again)
        await turn()
        assert mapper.line("intake", "reports") == (2, 1, 0, {"report_repeated": 1})
        assert mapper.line("intake") == (6, 3, 0, {"repeated": 3})

    asyncio.run(run())


def test_what_the_disk_does_not_take_stays_with_the_sender_and_so_does_what_came_again_meanwhile(mapper):
    async def run():
        first = await mapper.accept(1, client())
        again = await mapper.accept(1, client())
        mapper.writer.flush(fail=True)
        assert all(isinstance(e, BusyError) for e in await asyncio.gather(first, again, return_exceptions=True))
        await turn()
        assert mapper.line("intake", "reports") == (2, 0, 0, {"report_asked_again": 2})
        assert mapper.line("intake") == (0, 0, 0, {})

    asyncio.run(run())


def test_a_report_that_cannot_be_read_is_a_loss_of_the_minute_in_which_it_came(mapper):
    async def run():
        with pytest.raises(ReportError):
            await mapper.intake.accept(b"{", JSON)
        await mapper.checkpoint()

    asyncio.run(run())
    assert mapper.line("intake", "reports") == (1, 0, 0, {"report_malformed": 1})
    assert mapper.told().lost == mapper.told(NOW - MINUTE, NOW + MINUTE).lost == {"report_malformed": 1}


def test_nobody_is_of_the_node_of_those_who_say_none(mapper):
    with pytest.raises(ReportError, match="no node can be called"):
        asyncio.run(mapper.report(1, client(), node="~legacy"))


def test_a_row_that_cannot_be_read_counts_for_as_many_as_it_says(mapper):
    rows = [["10.0.1.2", "no port", "tcp", 5, 0, 0], ["10.0.1.2", 1, "tcp", "many", 0, 0], [], None]
    asyncio.run(
        mapper.report(1, {"address": 5, "lookups": [["x", 4, 0, 0]]}, {"address": "10.0.0.1", "attempts": rows})
    )
    assert mapper.line("intake") == (12, 0, 0, {"row_malformed": 12})


def test_what_could_not_be_read_is_counted_again_from_the_journal(mapper, tmp_path):
    broken = {"address": "10.0.0.1", "attempts": [["10.0.1.2", "no port", "tcp", 5, 0, 0]]}
    asyncio.run(mapper.report(1, broken, client()))
    again = mapper.again(tmp_path)
    assert again.line("intake") == mapper.line("intake") == (8, 3, 0, {"row_malformed": 5})


def test_what_a_sender_without_a_report_of_its_own_lost_is_counted_again_too(mapper, tmp_path):
    async def run():
        rows = [Client("10.0.0.1", connections=[Flow("10.0.1.2", 5432, "tcp", 2, 0, 0)])]
        task = asyncio.create_task(mapper.intake.take(rows, NOW, Tally({Drop.ADDRESS_INVALID: 4})))
        await turn()
        mapper.writer.flush()
        await task

    asyncio.run(run())
    again = mapper.again(tmp_path)
    assert again.line("intake") == mapper.line("intake") == (6, 2, 0, {"address_invalid": 4})


def test_names_of_requests_have_a_line_of_their_own(mapper):
    rows = [["10.0.1.2", "http", f"/{number}", "GET", 2, 0, 0] for number in range(DETAILS_PER_EDGE + 5)]
    asyncio.run(mapper.report(1, {"address": "10.0.0.1", "requests": rows}))
    seen = DETAILS_PER_EDGE + 5
    assert mapper.line("graph", "details") == (seen, DETAILS_PER_EDGE, 0, {"details_full": 5})
    assert mapper.line("graph") == (2 * seen, 2 * seen, 0, {})
    assert mapper.told().lost == {}


def test_every_answer_names_the_process(mapper, tmp_path):
    receipt = asyncio.run(mapper.report(1, client()))
    assert receipt.instance == mapper.state.instance
    assert mapper.again(tmp_path).state.instance != receipt.instance


class TestRestarts:
    def test_the_sheet_goes_on_where_it_was(self, mapper, tmp_path):
        async def run():
            await mapper.report(1, client(), client(server="10.0.1.2", at=10 * HOUR))
            await mapper.checkpoint()
            await mapper.report(2, client(count=4))

        asyncio.run(run())
        before = mapper.state.accounting()
        again = mapper.again(tmp_path).state.accounting()
        assert again[:-1] == before[:-1]
        assert before[0].seen == 2
        assert (again[-1].seen, again[-1].passed, again[-1].held) == (7, 3, 4)

    def test_a_checkpoint_that_fails_loses_nothing(self, mapper):
        async def run():
            await mapper.report(1, client())
            task = asyncio.create_task(mapper.state.checkpoint(mapper.writer, NOW))
            await turn()
            assert mapper.line("store") == (3, 0, 3, {})
            mapper.writer.flush(fail=True)
            with pytest.raises(StoreUnavailableError):
                await task
            assert mapper.line("store") == (3, 0, 3, {})
            await mapper.checkpoint()

        asyncio.run(run())
        assert mapper.line("store") == (3, 3, 0, {})
        assert mapper.told(NOW - HOUR, NOW + HOUR).mapped == 3

    def test_who_asks_for_a_checkpoint_and_goes_leaves_nothing_half_done(self, mapper):
        async def run():
            await mapper.report(1, client())
            task = asyncio.create_task(mapper.state.checkpoint(mapper.writer, NOW))
            await turn()
            task.cancel()
            await turn()
            mapper.writer.flush(fail=True)
            await turn()
            await mapper.checkpoint()

        asyncio.run(run())
        assert mapper.line("store") == (3, 3, 0, {})

    def test_a_report_that_gets_a_number_of_before_stays_in_the_journal(self, mapper, tmp_path):
        """SQLite numbers the rows of an empty table from 1 again."""

        async def run():
            for number in (1, 2, 3):
                await mapper.report(number, client())
            await mapper.checkpoint()
            late = []
            mapper.writer._deliver = lambda call, *given: late.append((call, given))
            task = await mapper.accept(4, client(count=4))
            mapper.writer.flush()  # it is in the journal, and nobody knows yet
            assert len(late) == 1
            writing = asyncio.create_task(mapper.state.checkpoint(mapper.writer, NOW))
            await turn()
            mapper.writer.flush()
            for call, given in late:
                call(*given)
            await asyncio.gather(task, writing)

        asyncio.run(run())
        again = mapper.again(tmp_path)
        assert again.state.merged == 13
        assert [entry.edge.connections for entry in again.state.graph.in_order()] == [13]

    def test_what_waited_and_finds_its_pod_at_the_start_counts_once(self, mapper, tmp_path):
        async def run(one):
            await one.report(1, client("10.0.0.77"))
            await one.checkpoint()

        asyncio.run(run(mapper))
        assert mapper.line("resolve") == (3, 0, 3, {})
        told = pod("late", "node-a", "10.0.0.77", ("Job", "late"))
        again = mapper.again(tmp_path, told)
        assert again.line("resolve") == (3, 3, 0, {})
        asyncio.run(again.checkpoint())
        last = again.again(tmp_path, told)
        assert last.line("resolve") == (3, 3, 0, {})
        assert [entry.edge.connections for entry in last.state.graph.in_order()] == [3]

    def test_the_first_word_of_a_sniffer_is_durable(self, mapper, tmp_path):
        asyncio.run(mapper.report(1))
        assert mapper.line("intake", "reports") == (1, 1, 0, {})
        again = mapper.again(tmp_path)
        assert again.state.coverage.covers("node-a", NOW - 1000, NOW)

    def test_a_map_without_a_sheet_begins_with_what_is_in_its_edges(self, tmp_path):
        writer = HandWriter(tmp_path / "map.db")
        edge = Edge(Workload("a", "s", "Deployment"), Service("b", "s"), None, 80, "tcp")
        point = Checkpoint(NOW, edges=[(1, edge)], buckets=[(NOW - NOW % MINUTE, 1, 5, 2, 0, 0, NOW, NOW, 0, 0, 0)])
        writer.write(point, lambda _: None)
        writer.flush()
        writer.kill()
        assert [Mapper(tmp_path).line(hop) for hop in ("intake", "store")] == [(7, 7, 0, {})] * 2


class TestReset:
    async def reset(self, mapper):
        task = asyncio.create_task(mapper.state.reset(mapper.writer, mapper.now))
        await turn()
        mapper.writer.flush()
        await task

    def test_it_begins_a_new_sheet_also_on_disk(self, mapper, tmp_path):
        async def run():
            await mapper.report(1, client(), client(at=10 * HOUR))
            await mapper.checkpoint()
            await self.reset(mapper)

        asyncio.run(run())
        for one in (mapper, mapper.again(tmp_path)):
            assert one.line("intake") == one.line("store") == (0, 0, 0, {})
            assert one.told().observations == 0

    def test_what_waits_goes_with_the_map(self, mapper):
        async def run():
            await mapper.report(1, client("10.0.0.77"))
            assert mapper.state.waiting == 3
            await self.reset(mapper)

        asyncio.run(run())
        assert mapper.line("resolve") == (0, 0, 0, {})

    def test_a_report_that_is_on_its_way_to_the_disk_is_of_before(self, mapper, tmp_path):
        async def run():
            task = await mapper.accept(1, client())
            reset = asyncio.create_task(mapper.state.reset(mapper.writer, NOW))
            await turn()
            mapper.writer.flush()
            await asyncio.gather(task, reset)

        asyncio.run(run())
        for one in (mapper, mapper.again(tmp_path)):
            assert len(one.state.graph) == 0
            assert one.line("intake") == (3, 0, 0, {"before_reset": 3})

    def test_a_checkpoint_that_was_under_way_does_not_count_in_the_new_one(self, mapper):
        async def run():
            await mapper.report(1, client())
            writing = asyncio.create_task(mapper.state.checkpoint(mapper.writer, NOW))
            await turn()
            reset = asyncio.create_task(mapper.state.reset(mapper.writer, NOW))
            await turn()
            while not reset.done():
                mapper.writer.flush()
                await turn()
            await asyncio.gather(writing, reset)

        asyncio.run(run())
        assert mapper.line("store") == (0, 0, 0, {})

    def test_windows_of_before_are_forgotten(self, mapper, tmp_path):
        async def run():
            mapper.state.blind.record("node-a", NOW - 9000, NOW - 5000, "sniffer_away")
            await mapper.checkpoint()
            await self.reset(mapper)

        asyncio.run(run())
        assert list(mapper.again(tmp_path).state.blind.windows()) == []


class TestCompleteness:
    def test_of_the_whole_map(self, mapper):
        mapper.now = NOW + 1000
        asyncio.run(mapper.report(1, client(), client("10.0.0.77", count=2), client(at=10 * HOUR), client("127.0.0.1")))
        told = mapper.told()
        assert (told.observations, told.mapped, told.waiting) == (11, 3, 2)
        assert (told.lost, told.left_out) == ({"time_in_future": 3}, {"loopback": 3})
        assert (told.since, told.until) == (NOW - HOUR, NOW + 1000)

    def test_of_a_range_it_is_that_of_its_minutes(self, mapper):
        async def run():
            await mapper.report(1, client(), client(at=-10 * MINUTE, count=5), client("127.0.0.1", at=-10 * MINUTE))
            await mapper.checkpoint()

        asyncio.run(run())
        early, late = mapper.told(NOW - 15 * MINUTE, NOW - 5 * MINUTE), mapper.told(NOW - 5 * MINUTE, NOW + MINUTE)
        assert (early.observations, early.mapped, early.left_out) == (8, 5, {"loopback": 3})
        assert (late.observations, late.mapped, late.left_out) == (3, 3, {})

    def test_what_sniffers_lost_counts_once_in_the_minute_in_which_they_told(self, mapper, tmp_path):
        async def run():
            await mapper.report(1, drops={"ring_overflow": 5, "dns_nxdomain": 9})
            await mapper.report(2, client(), drops={"ring_overflow": 7})
            await mapper.checkpoint()

        asyncio.run(run())
        again = mapper.again(tmp_path)
        asyncio.run(again.report(3, drops={"ring_overflow": 8}))
        asyncio.run(again.checkpoint())
        assert again.told().lost == {"ring_overflow": 8}
        assert again.told(NOW - HOUR, NOW + MINUTE).lost == {"ring_overflow": 8}
        assert again.told().observations == 11

    def test_what_waits_counts_in_its_own_minute(self, mapper):
        asyncio.run(mapper.report(1, client("10.0.0.77"), client("10.0.0.77", at=-10 * MINUTE, count=4)))
        assert mapper.told(NOW - 15 * MINUTE, NOW - 5 * MINUTE).waiting == 4

    def test_windows_are_cut_to_the_range_and_the_newest_are_told(self, mapper):
        asyncio.run(mapper.report(1))
        asyncio.run(mapper.report(1, node="node-b", boot="other"))
        began = NOW - NOW % MINUTE - HOUR
        for number in range(150):
            start = began + number * 20_000
            mapper.state.blind.record("node-a", start, start + 1000, "sniffer_away")
        told = mapper.told(NOW - 2 * HOUR, NOW)
        assert (told.blind_windows, len(told.blind)) == (150, 100)
        assert told.blind[0].start == began + 149 * 20_000
        cut = mapper.told(began + MINUTE, began + 2 * MINUTE)
        assert [one.start for one in cut.blind] == [began + 20_000 * number for number in (5, 4, 3)]
        mapper.state.blind.record("node-b", began - HOUR, NOW, "sniffer_away")
        (whole,) = [one for one in mapper.told(began, began + MINUTE).blind if one.node == "node-b"]
        assert (whole.start, whole.end) == (began, 0)

    def test_of_the_nodes_time_the_share_that_was_watched(self):
        nodes = {"a": 0, "b": 0, "c": 500, "never": 5000}
        windows = [
            BlindWindow("a", 100, 300, "sniffer_away"),
            BlindWindow("a", 200, 400, "sniffer_away"),
            BlindWindow("c", 0, 0, "never_watched"),
            BlindWindow("gone", 0, 0, "sniffer_silent"),
            BlindWindow("", 0, 0, "api_away"),
        ]
        assert watched_share(nodes, windows, 0, 1000) == 1 - (300 + 500) / 2500
        assert watched_share({}, windows, 0, 1000) == watched_share(nodes, windows, 7, 7) == 1.0

    def test_a_node_without_a_sniffer_is_no_part_of_what_is_covered(self, mapper):
        asyncio.run(mapper.report(1, client()))
        told = mapper.told()
        assert [(one.node, one.reason) for one in told.blind] == [("node-b", "never_watched")]
        assert told.watched_share == 0.5


def test_the_sniffers_side_of_the_sheet_is_told_with_its_drops(mapper):
    hops = [["capture", "packets", 10, 7, 0], ["fold", "observations", 7, 4, 2], ["odd", "things", 1, 1, 0]]
    drops = {"packet_malformed": 3, "fold_full": 1, "ring_overflow": 9, "no_such": 5}
    asyncio.run(mapper.report(1, hops=hops, drops=drops))
    (status,) = mapper.state.coverage.status(NOW)
    assert status.hops == [
        HopRow("capture", "packets", 10, 7, 0, {"packet_malformed": 3}, "node-a"),
        HopRow("fold", "observations", 7, 4, 2, {"fold_full": 1}, "node-a"),
        HopRow("odd", "things", 1, 1, 0, {}, "node-a"),
    ]


def test_reasons_of_the_store_that_this_version_does_not_know_are_passed_over(mapper, tmp_path):
    asyncio.run(mapper.report(1, client()))
    asyncio.run(mapper.checkpoint())
    with mapper.writer.database.connection as connection:
        connection.execute(
            "INSERT INTO ledger VALUES ('resolve', 'observations', 'of_tomorrow', 5), ('x', 'y', 'z', 5)"
        )
    assert mapper.again(tmp_path).line("resolve") == (3, 3, 0, {})


def test_the_store_keeps_what_the_sheet_needs(mapper):
    asyncio.run(mapper.report(1, client(), drops={"fold_full": 2}))
    asyncio.run(mapper.checkpoint())
    database = Database(str(mapper.path))
    assert database.sequences() == [Sequence("node-a", "boot", 1, NOW, NOW - HOUR, NOW)]
    assert database.losses() == [("node-a", "boot", "fold_full", 2)]
    assert ("store", "observations", "passed", 3) in database.ledger()
    database.close()
