"""The map and its file against a slow and obviously right model, through crashes, resets, ages and time ranges."""

import asyncio
import copy
import functools
import pathlib
import tempfile

import pytest
from cluster_objects import NOW, write
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from network_mapper.cluster.index import Index
from network_mapper.cluster.snapshot import load
from network_mapper.mapper import query
from network_mapper.mapper.decode import encode
from network_mapper.mapper.state import State, seen_in
from network_mapper.model import Tally
from network_mapper.store import Database, StoreUnavailableError
from network_mapper.store.housekeeping import Housekeeping
from network_mapper.store.schema import HOUR, MINUTE
from network_mapper.store.writer import _write
from network_mapper.wire.report import Client, Flow, Report

RETENTION = 6 * HOUR
NODES = {"10.0.0.1": "node-a", "10.0.1.2": "node-b"}
NAMES = {"10.0.0.1": "web", "10.0.1.2": "db", "198.51.100.9": "198.51.100.0/24"}


@functools.cache
def cluster():
    """The cluster, which does not change."""
    index = Index("cluster.local")
    with tempfile.TemporaryDirectory() as folder:
        load(write(pathlib.Path(folder) / "cluster"), take=index.apply)
    return index


class Disk:
    """The writer, in the caller's thread: each call is a commit, or fails as a whole."""

    def __init__(self, path):
        self.database = Database(path, sync="normal")
        self.housekeeping = Housekeeping()
        self.fails = False

    def append(self, received, body):
        cursor = self.database.connection.execute(
            "INSERT INTO journal (received, body) VALUES (?, ?)", (received, body)
        )
        return cursor.lastrowid

    def write(self, point, done):
        if self.fails:
            done(StoreUnavailableError("no room"))
            return
        connection = self.database.connection
        connection.execute("BEGIN IMMEDIATE")
        _write(connection, point)
        connection.execute("COMMIT")
        self.housekeeping.plan(point.now, point.kept_since)
        done(0)


class Lives:
    """The model: every sighting of every edge that is in the map, and nothing worked out in advance."""

    def __init__(self):
        self.sightings = {}
        """By edge: count, first and last of each."""
        self.unsaved = []
        """Edges and times of what no checkpoint has."""
        self.lag = None
        self.reset_at = 0
        self.epoch = 1

    def see(self, edge, count, first, last):
        if last >= self.reset_at:
            self.sightings.setdefault(edge, []).append((count, max(first, self.reset_at), last))
            self.unsaved.append((edge, last))

    def age(self, now, looked):
        """What is too old leaves, once a minute and not before it is saved; returns up to when it was looked."""
        horizon = 0 if self.lag is None else (now - self.lag - RETENTION) // MINUTE * MINUTE
        if horizon <= looked:
            return looked
        fresh = {edge for edge, _ in self.unsaved}
        for edge, seen in list(self.sightings.items()):
            if max(last for *_, last in seen) < horizon and edge not in fresh:
                del self.sightings[edge]
        return horizon

    def learn(self, now):
        if self.unsaved:
            lag = max(0, now - max(last for _, last in self.unsaved))
            self.lag = lag if self.lag is None else min(lag, self.lag)

    def between(self, since, until):
        found = {}
        for edge, seen in self.sightings.items():
            inside = [one for one in seen if since <= one[2] < until]
            if inside:
                counts, firsts, lasts = zip(*inside, strict=True)
                found[edge] = sum(counts), max(since, min(firsts)), max(lasts)
        return found


class MapModel(RuleBasedStateMachine):
    """Random reports, times, checkpoints, crashes and resets, told to both."""

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.path = f"{self.folder.name}/map.db"
        self.index = cluster()
        self.now = NOW
        self.sequence = 0
        self.lives = Lives()
        self.saved = copy.deepcopy(self.lives)
        self.journal = []
        self.looked = 0

    @initialize()
    def start(self):
        self.disk = Disk(self.path)
        self.state = State(self.index, max_edges=1000, retention=RETENTION)
        self.state.restore(self.disk.database, self.now)
        self.state.replay(self.disk.database, self.now)

    def teardown(self):
        self.disk.database.close()
        self.loop.close()
        self.folder.cleanup()

    @rule(
        client=st.sampled_from([*NODES]),
        rows=st.lists(
            st.tuples(
                st.sampled_from([*NAMES]),
                st.sampled_from([80, 443]),
                st.integers(1, 5),
                st.one_of(st.integers(0, 5_000), st.integers(0, 8 * HOUR)),
                st.integers(0, 90_000),
            ),
            min_size=1,
            max_size=5,
        ),
        applied=st.booleans(),
    )
    def report(self, client, rows, applied):
        """A report becomes durable; where it is not applied the process dies at once."""
        self.sequence += 1
        flows = [
            Flow(server, port, "tcp", count, -age - length, -age)
            for server, port, count, age, length in rows
            if server != client
        ]
        report = Report(
            NODES[client], "boot", self.sequence, self.now, clients=[Client(client, connections=flows)], started=NOW
        )
        number = self.disk.append(self.now, encode(report))
        seen = [
            ((NAMES[client], NAMES[flow.server], flow.port), flow.count, self.now + flow.first, self.now + flow.last)
            for flow in flows
        ]
        self.journal.append((self.now, seen))
        if applied:
            self.state.hear(report, self.now)
            self.state.journaled = number
            self.state.apply(report, self.now, seen_in(report), Tally())
            for sighting in seen:
                self.lives.see(*sighting)
        else:
            self.crash()

    @rule(
        milliseconds=st.one_of(st.integers(1, 5_000), st.integers(1, 10 * MINUTE), st.integers(1, 3 * HOUR)),
    )
    def time_passes(self, milliseconds):
        self.now += milliseconds

    @rule(works=st.sampled_from([True, True, True, False]))
    def checkpoint(self, works):
        self.disk.fails = not works
        self.looked = self.lives.age(self.now, self.looked)
        self.lives.learn(self.now)
        try:
            self.loop.run_until_complete(self.state.checkpoint(self.disk, self.now))
        except StoreUnavailableError:
            assert not works
        else:
            self.save()
        self.disk.fails = False

    def save(self):
        self.lives.unsaved = []
        self.saved = copy.deepcopy(self.lives)
        self.journal = []

    @rule(steps=st.integers(1, 5))
    def tidy(self, steps):
        for _ in range(steps):
            self.disk.housekeeping.step(self.disk.database.connection)

    @rule()
    def crash(self):
        """Nothing is closed; what the file holds is all there is."""
        self.disk.database.connection.close()
        self.start()
        self.lives = copy.deepcopy(self.saved)
        self.looked = self.lives.age(self.now, 0)
        for _, seen in self.journal:
            for sighting in seen:
                self.lives.see(*sighting)

    @rule(works=st.sampled_from([True, True, False]))
    def reset(self, works):
        self.disk.fails = not works
        epoch = self.lives.epoch + 1
        self.lives = Lives()
        self.lives.reset_at, self.lives.epoch = self.now, epoch
        try:
            self.loop.run_until_complete(self.state.reset(self.disk, self.now))
        except StoreUnavailableError:
            assert not works
        else:
            self.save()
        self.disk.fails = False

    @rule(
        start=st.one_of(st.integers(0, 10 * MINUTE), st.integers(0, 9 * HOUR)),
        length=st.one_of(st.integers(1, 10 * MINUTE), st.integers(1, 9 * HOUR)),
        writable=st.booleans(),
    )
    def look_at_a_range(self, start, length, writable):
        since = self.now - start
        until = min(self.now, since + length)
        if until <= since:
            return
        if writable:
            self.checkpoint(works=True)
        wanted = query.Filter(since=since, until=until)
        read = query.range_reader(self.state, self.path, wanted, self.now)()
        document = query.range_document(self.state, wanted, self.now, read)
        recent = self.now - 2 * HOUR
        assert since - (MINUTE if since >= recent else HOUR) < read.since <= max(since, read.kept_since)
        assert until <= read.until < until + (MINUTE if until >= recent else HOUR)
        assert read.kept_since <= self.now - RETENTION
        told = document.completeness
        assert (told.since, told.until) == (read.since, min(read.until, self.now))
        self.agree(document, self.lives.between(read.since, read.until))

    def agree(self, document, expected):
        found = {
            (edge.client.name, edge.server.name, edge.port): (edge.connections, edge.first_seen, edge.last_seen)
            for edge in document.edges
        }
        assert found == expected

    @invariant()
    def the_whole_map_is_right(self):
        if not hasattr(self, "state"):
            return
        self.agree(query.map_document(self.state, query.Filter(), self.now), self.lives.between(0, 2**60))
        assert self.state.epoch == self.lives.epoch


TestMapModel = pytest.mark.timeout(600)(MapModel.TestCase)
TestMapModel.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
