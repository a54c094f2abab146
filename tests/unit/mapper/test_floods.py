"""A mapper in a flood: it stays small, the edges of those who behave are exact, and all that came is accounted for."""

import itertools
import json
import os
import pathlib
import signal
import sys

import floods
import pytest
from cluster_objects import write
from mapper_process import MapperProcess

MOST_MIB = 256
SCALE = int(os.environ.get("NETWORK_MAPPER_FLOOD_SCALE", "1"))
"""1 takes seconds; 10 is a million outside clients, and a minute of ten thousand random names a second."""

FLOODS = {
    "port scan": (floods.port_scan, 131_072),
    "outside clients": (floods.outside_clients, 100_000),
    "random names": (floods.random_names, 60_000),
    "new workloads": (floods.new_workloads, 60_000),
}
GROUPED = {"port scan": 0.0, "outside clients": 0.9, "random names": 0.9, "new workloads": 0.7}
"""Of a flood at least so much is in groups; the rest is few enough to be told one by one."""


def peak(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def is_group(name):
    return name.startswith("*") or name.endswith(("/16", "/8", "/0"))


def edges_of(mapper):
    answer = mapper.client.request("GET", "/api/v1/map")
    return [
        (
            (edge["client"]["name"], edge["server"]["name"], edge["port"], edge["protocol"]),
            edge.get("connections", 0) + edge.get("attempts", 0) + edge.get("lookups", 0),
        )
        for edge in json.loads(answer.body)["edges"]
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="it reads Linux's /proc")
@pytest.mark.timeout(60 * max(1, SCALE * 3))
@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_is_grouped_and_counted_and_takes_nothing_from_others(tmp_path, kind):
    make, count = FLOODS[kind]
    snapshot = floods.add_hostile_pods(write(tmp_path / "cluster"))
    mapper = MapperProcess(tmp_path, snapshot).start()
    try:
        well, received = floods.Well(), 0
        for report in floods.told(make(count * SCALE), well, itertools.count(1)):
            status, receipt = mapper.report(report)
            assert status == 200, receipt
            received += receipt["rows"] + sum(receipt["dropped"].values())
        expected = well.expected()
        assert received == count * SCALE + sum(expected.values())
        for restarted in (False, True):
            if restarted:
                mapper.stop(signal.SIGKILL)
                mapper.start()
            edges = edges_of(mapper)
            found = dict(edges)
            assert {key: found.get(key) for key in expected} == expected
            status = json.loads(mapper.client.request("GET", "/api/v1/status").body)
            assert sum(counted for _, counted in edges) == status["merged"]
            assert status["merged"] + sum(status["drops"].values()) + status["waiting"] == received
            assert len(edges) < 15_000
            in_groups = sum(counted for key, counted in edges if any(map(is_group, key[:2])))
            assert in_groups >= count * SCALE * GROUPED[kind]
            assert status["drops"] == {}
            assert peak(mapper.process.pid) < MOST_MIB
    finally:
        mapper.stop(signal.SIGKILL)
