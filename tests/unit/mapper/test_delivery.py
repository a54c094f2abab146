"""Exactly once in effect, edge by edge: through kills at any moment, answers that are cut, and a full disk."""

from __future__ import annotations

import collections
import contextlib
import random
import signal
import threading
import time

import msgspec
import pytest
from cluster_objects import write
from mapper_process import MapperProcess

from network_mapper.http_client import HttpClient
from network_mapper.wire.report import MSGPACK, PATH, Client, Flow, Report

HEADERS = {"Content-Type": MSGPACK}
KILLS = 24


def now():
    return time.time_ns() // 1_000_000


class Sniffer(threading.Thread):
    """Sends reports one after the other, each until it is answered, as a sniffer does."""

    def __init__(self, url, node, client, seed, cut=0.0):
        super().__init__(daemon=True)
        self.url, self.node, self.client, self.cut = url, node, client, cut
        self.rng = random.Random(seed)
        self.ending = threading.Event()
        self.counts = collections.Counter()
        """What was answered for, by port: each port is an edge."""
        self.answered = self.cuts = self.refused = 0
        self.started = now() - 1000
        self.sequence = 0
        self.http = None
        self.body = b""
        self.rows = {}

    def run(self):
        while not (self.ending.is_set() and not self.rows):
            if not self.rows:
                self._freeze()
            self._try()

    def _freeze(self):
        self.sequence += 1
        self.rows = {port: self.rng.randint(1, 9) for port in self.rng.sample(range(1000, 1040), 12)}
        flows = [Flow("10.0.1.2", port, "tcp", count, -200, -100) for port, count in self.rows.items()]
        report = Report(self.node, f"boot-{self.client}", self.sequence, now(), self.started)
        report.clients = [Client(self.client, connections=flows)]
        self.body = msgspec.msgpack.encode(report)

    def _try(self):
        try:
            if self.http is None:
                self.http = HttpClient(self.url, timeout=10)
            if self.rng.random() < self.cut:
                self._cut()
                return
            answer = self.http.request("POST", PATH, self.body, HEADERS)
        except OSError:
            self._hang_up()
            time.sleep(0.005)
            return
        if answer.status == 200:
            self.counts.update(self.rows)
            self.answered += 1
            self.rows = {}
        else:
            assert answer.status == 503, answer
            self.refused += 1
            time.sleep(0.02)

    def _cut(self):
        """Send it, and be gone before the answer comes."""
        self._hang_up()
        with contextlib.suppress(OSError), HttpClient(self.url, timeout=0.001) as http:
            http.request("POST", PATH, self.body, HEADERS)
        self.cuts += 1

    def _hang_up(self):
        if self.http is not None:
            self.http.close()
        self.http = None

    def end(self):
        """Be done when the last report is answered."""
        self.ending.set()
        self.join(30)
        assert not self.is_alive(), "a report was never answered"
        self._hang_up()


@pytest.fixture
def mapper(tmp_path):
    mapper = MapperProcess(tmp_path, write(tmp_path / "cluster"), "--checkpoint-interval", "0.1", "--group-after", "99")
    yield mapper.start()
    if mapper.process.poll() is None:
        mapper.stop(signal.SIGKILL)


@pytest.fixture
def sniffers(mapper):
    return [
        Sniffer(mapper.url, "node-a", "10.0.0.1", 1, cut=0.3),
        Sniffer(mapper.url, "node-b", "10.0.1.1", 2, cut=0.3),
        Sniffer(mapper.url, "node-b", "10.0.1.2", 3),
    ]


def edges(mapper):
    found = collections.Counter()
    for edge in mapper.get("/api/v1/map")["edges"]:
        found[edge["client"]["name"], edge["port"]] += edge["connections"]
    return found


def expected(sniffers):
    total = collections.Counter()
    for sniffer in sniffers:
        name = "db" if sniffer.client == "10.0.1.2" else "web"
        for port, count in sniffer.counts.items():
            total[name, port] += count
    return total


def balanced(mapper):
    for row in mapper.get("/api/v1/status")["accounting"]:
        assert row["seen"] == row["passed"] + row["held"] + sum(row["dropped"].values()), row


def test_killed_again_and_again_while_it_is_busy_and_answers_are_lost(mapper, sniffers):
    rng = random.Random(7)
    for sniffer in sniffers:
        sniffer.start()
    for _ in range(KILLS):
        time.sleep(rng.uniform(0.0, 0.25))
        mapper.stop(signal.SIGKILL)
        mapper.start()
    time.sleep(0.5)
    for sniffer in sniffers:
        sniffer.end()
    assert min(sniffer.answered for sniffer in sniffers) > KILLS
    assert sum(sniffer.cuts for sniffer in sniffers) > KILLS
    assert edges(mapper) == expected(sniffers)
    balanced(mapper)
    mapper.stop(signal.SIGKILL)
    mapper.start()
    assert edges(mapper) == expected(sniffers)
    balanced(mapper)


def test_a_full_disk_that_is_emptied(mapper, sniffers):
    mapper.stop()
    command = list(mapper._command)
    mapper._command = [*command, "--store-max-bytes", "200000", "--checkpoint-interval", "3600"]
    mapper.start()
    for sniffer in sniffers:
        sniffer.start()
    deadline = time.monotonic() + 30
    while min(sniffer.refused for sniffer in sniffers) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    mapper.stop(signal.SIGKILL)
    mapper._command = command
    mapper.start()
    time.sleep(0.3)
    for sniffer in sniffers:
        sniffer.end()
    assert edges(mapper) == expected(sniffers)
    balanced(mapper)
