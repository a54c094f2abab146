"""After a reset the map shows what is still going on, and only that."""

from __future__ import annotations

import pytest

from network_mapper.model import Workload
from network_mapper.testing import topology
from network_mapper.testing.lab import wait_for

pytestmark = pytest.mark.lab


def _pairs(lab) -> set[tuple[str, str]]:
    return {
        (edge.client.name, edge.server.name)
        for edge in lab.mapper.map().edges
        if isinstance(edge.client, Workload) and isinstance(edge.server, Workload) and edge.connections
    }


def test_a_client_that_stopped_is_gone_after_a_reset_and_the_others_stay(build):
    shop = topology.load(topology.BOUTIQUE)
    expected = {(call.client, call.server) for call in shop.calls}
    with build(shop) as lab:
        lab.traffic.start(rate=2)
        wait_for("all edges", 20, lambda: _pairs(lab) == expected or None)

        lab.traffic.stop("checkoutservice")
        lab.mapper.settle(quiet=0.5, seconds=2.5)
        done = lab.mapper.run("reset", "--yes")
        assert done.returncode == 0, done.stderr

        remaining = {pair for pair in expected if pair[0] != "checkoutservice"}
        wait_for("the other edges to come back", 8, lambda: _pairs(lab) >= remaining or None)
        # Two more reports of everybody: what would come back late had its time.
        lab.mapper.settle(quiet=60, seconds=2.5)
        assert _pairs(lab) == remaining
