"""The balance sheet adds up at any moment, whatever is reported, also after a mapper was killed in the middle."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random

import pytest
from cluster_objects import NOW, pod, write
from hand_store import HandWriter
from kube import decoded

from network_mapper.cluster.index import Index
from network_mapper.cluster.snapshot import load
from network_mapper.mapper.completeness import completeness
from network_mapper.mapper.decode import ReportError
from network_mapper.mapper.intake import BusyError, Intake
from network_mapper.mapper.merge import Rules
from network_mapper.mapper.state import State
from network_mapper.model import Drop, Tally
from network_mapper.store import StoreUnavailableError
from network_mapper.store.ranges import read_range
from network_mapper.wire.report import JSON, Client, Flow

NODES = ("node-a", "node-b")
UNKNOWN = "10.0.0.77"
BROKEN_ROW = ["10.0.1.2", "no port", "tcp", 3, 0, 0]

SERVERS = ["10.0.1.2", "10.96.0.5", "10.96.0.1", "8.8.8.8", "10.0.1.88", "127.0.0.1", "nonsense"]
ADDRESSES = ["10.0.0.1", "10.0.0.1", "10.0.1.2", UNKNOWN, "9.9.9.9", "192.168.1.1", "bad"]
TIMES = [-100, -100, -5_000, -70_000, 1_000]


def flow(rng):
    if rng.random() < 0.1:
        return BROKEN_ROW
    first = rng.choice(TIMES)
    last = first + rng.choice([0, 50, 50, 50, -1, 10**9])
    return [rng.choice(SERVERS), rng.choice([80, 5432, 0]), "tcp", rng.randint(1, 5), first, last]


def lookup(rng):
    at = rng.choice(TIMES)
    return [rng.choice(["db.shop", "x.org", ""]), rng.randint(1, 5), at, at]


def request(rng):
    at = rng.choice(TIMES)
    return ["10.0.1.2", "http", rng.choice("abc"), "GET", rng.randint(1, 5), at, at]


def volume(rng):
    at = rng.choice(TIMES)
    return ["10.0.1.2", 100, rng.randint(1, 5), at, at]


def client(rng):
    makers = {"connections": flow, "attempts": flow, "lookups": lookup, "requests": request, "volumes": volume}
    lists = {name: [make(rng) for _ in range(rng.randint(0, 3))] for name, make in makers.items() if rng.random() < 0.5}
    return {"address": rng.choice(ADDRESSES)} | lists


AT = {"connections": 3, "attempts": 3, "lookups": 1, "requests": 4, "volumes": 2}


def said(clients):
    """How many observations rows stand for, also those that cannot be read."""
    return sum(
        row[AT[name]] for client in clients for name, rows in client.items() if name != "address" for row in rows
    )


def step(rng):
    return rng.choice(
        [
            *[("report", rng.choice(NODES), [client(rng) for _ in range(rng.randint(0, 3))])] * 5,
            ("again", rng.choice(NODES)),
            ("malformed",),
            ("graphql", rng.randint(1, 5), rng.randint(0, 2)),
            *[("flush", rng.random() < 0.2)] * 4,
            ("checkpoint",),
            ("checkpoint",),
            ("news",),
            ("later", rng.choice([1_000, 70_000])),
            ("full", rng.random() < 0.3),
            *[("reset",)] * (rng.random() < 0.3),
            *[("kill",)] * (rng.random() < 0.5),
        ]
    )


class World:
    """A mapper, those that report to it, and what they said."""

    def __init__(self, folder):
        self.folder = folder
        self.snapshot = write(self.folder / "cluster")
        self.now = NOW
        self.told = False
        self.sequence = 0
        self.sent = {}
        self.tasks = set()
        self.full = False
        self.seen = 0
        """Observations of reports that were decided on, since the last reset."""
        self.start()

    def start(self):
        self.writer = HandWriter(self.folder / "map.db")
        index = Index("cluster.local")
        load(self.snapshot, take=index.apply)
        self.state = State(index, 7, Rules(frozenset({"default"})))
        self.state.restore(self.writer.database, self.now)
        if self.told:
            self.tell()
        self.state.replay(self.writer.database, self.now)
        self.state.store = "test"
        self.intake = Intake(
            self.state,
            self.writer,
            lambda: self.now,
            2,
            obstacle=lambda: "full" if self.full else "",
            patience=0,
        )

    async def hello(self):
        """Every sniffer says that it is there, as each does every few seconds."""
        for node in NODES:
            self.sequence += 1
            self.begin(self.send({**self.head(node), "base": self.now}, 0))
        await self.done()
        self.begin(self.quietly(self.state.checkpoint(self.writer, self.now)))  # as there is one every few seconds
        await self.done()

    def head(self, node):
        return {"node": node, "boot": f"{node}-1", "sequence": self.sequence, "started": NOW - 80_000}

    def tell(self):
        self.told = True
        self.state.index.apply("Pod", decoded(pod("new", "node-a", UNKNOWN, ("Job", "new"))))

    async def settle(self):
        for _ in range(8):
            await asyncio.sleep(0)

    async def send(self, body, seen):
        try:
            await self.intake.accept(json.dumps(body).encode(), JSON)
        except BusyError:
            return
        self.seen += seen

    async def graphql(self, count, lost):
        client = Client("10.0.0.1", connections=[Flow("10.0.1.2", 5432, "tcp", count, 0, 0)])
        with contextlib.suppress(BusyError):
            await self.intake.take([client], self.now, Tally({Drop.ADDRESS_INVALID: lost} if lost else {}))
        self.seen += count + lost

    def begin(self, work):
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def step(self, what, *given):
        self.now += 10
        match what:
            case "report":
                node, clients = given
                self.sequence += 1
                body = self.head(node) | {"base": self.now, "clients": clients, "drops": {"fold_full": self.sequence}}
                self.sent[node] = (body, said(clients))
                self.begin(self.send(*self.sent[node]))
            case "again":
                if given[0] in self.sent:
                    self.begin(self.send(*self.sent[given[0]]))
            case "malformed":
                with pytest.raises(ReportError):
                    await self.intake.accept(b"{", JSON)
            case "graphql":
                self.begin(self.graphql(*given))
            case "flush":
                self.writer.flush(fail=given[0])
            case "checkpoint":
                self.begin(self.quietly(self.state.checkpoint(self.writer, self.now)))
            case "news":
                # What was given up before would be found after all, by a mapper that starts again with the news.
                await self.done()
                self.begin(self.quietly(self.state.checkpoint(self.writer, self.now)))
                await self.done()
                self.tell()
            case "later":
                self.now += given[0]
                await self.hello()
            case "full":
                self.full = given[0]
            case "reset":
                await self.done()
                self.begin(self.quietly(self.state.reset(self.writer, self.now)))
                self.seen = 0
            case "kill":
                await self.kill()
        await self.settle()
        self.state.look_around(self.now)
        self.state.retry(self.now)
        self.state.give_up(self.now)
        await self.settle()

    async def quietly(self, work):
        with contextlib.suppress(StoreUnavailableError):
            await work

    async def done(self):
        """Wait for all that is under way."""
        while self.tasks:
            self.writer.flush()
            await self.settle()

    async def kill(self):
        """Kill the mapper when all that was sent is answered; what it knew is known again."""
        await self.done()
        if self.state._reset is not None:  # nobody was told that this is on disk
            self.begin(self.state.checkpoint(self.writer, self.now))
            await self.done()
        before = self.lines()
        edges = self.edges()
        self.writer.kill()
        self.start()
        self.state.give_up(self.now)
        assert self.lines() == before
        assert self.edges() == edges
        await self.hello()
        self.seen = self.state.rows  # repeated ones since the last checkpoint are forgotten

    def lines(self):
        """The sheet of observations and details that left a row in the journal."""
        lines = []
        for row in self.state.accounting():
            if row.unit != "reports" and row.hop != "store":
                passing = {name: row.dropped.pop(name, 0) for name in ("repeated", "held_too_long")}
                seen = row.seen - sum(passing.values())
                lines.append((row.hop, row.unit, seen, row.passed, row.held, row.dropped))
        return lines

    def edges(self):
        return [entry.edge for entry in self.state.graph.in_order()]

    def check(self):
        """Every line adds up, each hop has what the one before handed on, and all of it is what was sent."""
        sheet = {(row.hop, row.unit): row for row in self.state.accounting()}
        for row in sheet.values():
            assert row.seen == row.passed + row.held + sum(row.dropped.values()), row
            assert min(row.seen, row.passed, row.held, *row.dropped.values(), 0) == 0, row
        intake, resolve, graph, store = (sheet[hop, "observations"] for hop in ("intake", "resolve", "graph", "store"))
        assert intake.passed == resolve.seen
        assert resolve.passed == graph.seen
        assert graph.passed == store.seen
        in_edges = sum(
            edge.connections + edge.attempts + edge.lookups + edge.sockets + edge.requests + edge.flows
            for edge in self.edges()
        )
        assert graph.passed == in_edges
        assert intake.seen - intake.held == self.seen
        assert resolve.held == self.state.waiting
        told = completeness(self.state, None, 0, 0, self.now + 10**10)
        before_us = self.state.accounts.totals().get("fold_full", 0)
        malformed = sheet["intake", "reports"].dropped.get("report_malformed", 0)
        repeated = intake.dropped.get("repeated", 0)
        assert told.observations == self.seen - repeated + before_us + malformed
        assert told.mapped == graph.passed

    async def check_store(self):
        """What is on disk after a checkpoint is what is in memory."""
        await self.done()
        self.begin(self.state.checkpoint(self.writer, self.now))
        await self.done()
        found = read_range(str(self.folder / "map.db"), 0, 2**45)
        assert found.accounts.get("mapped", 0) == self.state.merged
        totals = self.state.accounts.totals()
        for name, count in found.accounts.items():
            assert totals[name] == count, name
        store = self.state.accounting()[-1]
        stored = self.writer.database.connection.execute(
            "SELECT sum(connections + attempts + lookups + sockets + requests + flows) FROM edges"
        ).fetchone()[0]
        assert (store.passed, store.held) == (stored or 0, 0)


@pytest.mark.parametrize("seed", range(60))
def test_it_adds_up(seed, tmp_path):
    rng = random.Random(seed)

    async def main():
        world = World(tmp_path)
        await world.hello()
        for _ in range(40):
            await world.step(*step(rng))
            world.check()
        await world.check_store()
        await world.kill()
        world.check()
        world.writer.kill()

    asyncio.run(main())
