"""A topology of which nobody knows anything gives the map that it must give."""

from __future__ import annotations

import pytest

from network_mapper.testing import topology, truth

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("seed", [11, 12])
def test_a_random_topology_equals_its_truth(build, seed):
    with build(topology.random_topology(seed, 30, nodes=3 - seed % 2)) as lab:
        lab.traffic.start()
        report = lab.traffic.wait()
        assert not report.failures
        edges = lab.mapper.settle().edges
        assert truth.differences(truth.truth(lab.plan), truth.seen(edges)) == []
