"""Time ranges and ages of a mapper as it is run: over its socket, with its file, whatever becomes of that."""

import json
import signal
import sqlite3
import time

import pytest
from cluster_objects import write
from mapper_process import MapperProcess

from network_mapper.wire.report import Client, Flow, Report


@pytest.fixture
def make(tmp_path):
    made = []

    def start(*options):
        mapper = MapperProcess(tmp_path, write(tmp_path / "cluster"), *options)
        made.append(mapper)
        return mapper.start()

    yield start
    for mapper in made:
        if mapper.process.poll() is None:
            mapper.stop(signal.SIGKILL)


def now():
    return time.time_ns() // 1_000_000


def see(mapper, sequence, port, age=0, count=1):
    flow = Flow("10.0.1.2", port, "tcp", count, -age, -age)
    base = now()
    report = Report(
        "node-a", "boot", sequence, base, started=base - 900_000, clients=[Client("10.0.0.1", connections=[flow])]
    )
    status, receipt = mapper.report(report)
    assert (status, receipt["rows"]) == (200, count)


def edges(mapper, query=""):
    answer = mapper.client.request("GET", f"/api/v1/map{query}")
    assert answer.status == 200, answer.body
    document = json.loads(answer.body)
    return {edge["port"]: edge["connections"] for edge in document["edges"]}, document["completeness"]


def test_a_busy_client_is_in_the_last_half_minute_before_anything_was_written(make):
    mapper = make("--checkpoint-interval", "3600")
    see(mapper, 1, 80, age=5_000, count=3)
    see(mapper, 2, 443, age=400_000)
    found, told = edges(mapper, f"?since={now() - 30_000}")
    assert found == {80: 3}
    assert (told["mapped"], told["observations"]) == (3, 3)
    assert edges(mapper)[0] == {80: 3, 443: 1}


def test_a_file_that_cannot_be_written_is_no_reason_not_to_answer_and_nothing_counts_twice(make):
    mapper = make("--checkpoint-interval", "3600")
    see(mapper, 1, 80)
    assert edges(mapper, f"?since={now() - 30_000}")[0] == {80: 1}
    see(mapper, 2, 80, count=4)
    other = sqlite3.connect(mapper.store, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    found, told = edges(mapper, f"?since={now() - 60_000}")
    assert (found, told["mapped"]) == ({80: 5}, 5)
    other.close()
    mapper.stop(signal.SIGKILL)
    mapper.start()
    found, told = edges(mapper, f"?since={now() - 120_000}")
    assert (found, told["mapped"]) == ({80: 5}, 5)


def test_an_edge_that_was_not_seen_for_the_retention_leaves_and_stays_away(make):
    mapper = make("--retention", "90s", "--checkpoint-interval", "0.2")
    see(mapper, 1, 443, age=500_000)
    assert edges(mapper)[0] == {443: 1}
    see(mapper, 2, 80)
    deadline = time.monotonic() + 20
    while edges(mapper)[0] != {80: 1}:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    mapper.stop(signal.SIGKILL)
    mapper.start()
    found, told = edges(mapper)
    assert found == {80: 1}
    assert now() - 90_000 - 2 * 3_600_000 < told["kept_since"] < now() - 90_000
