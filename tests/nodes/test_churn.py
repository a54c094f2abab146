"""Two hundred pods that live two seconds hand few addresses on, on a cluster of its own: the map is what they did.

The longer form is `python bench/soak.py churn`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("churning.py")
ROOT = SCRIPT.parents[2]
PODS = 200
SECONDS = 900  # on a machine that has other things to do; alone it takes three minutes

pytestmark = pytest.mark.timeout(SECONDS + 60)


@pytest.fixture(scope="module")
def churned(programs):
    """What came of it, as the script tells."""
    command = [sys.executable, "-m", "network_mapper.testing.sandbox", "--net", "--", sys.executable, str(SCRIPT)]
    path = os.pathsep.join(str(ROOT / folder) for folder in ("tests/cluster", "tests/support", "tools"))
    done = subprocess.run(
        [*command, "--pods", str(PODS)],
        stdout=subprocess.PIPE,
        check=True,
        timeout=SECONDS,
        env={**os.environ, "PYTHONPATH": path},
    )
    return json.loads(done.stdout)


def test_pods_were_many_addresses_few_and_most_used_again(churned, record_property):
    for name in ("pods", "addresses", "reused", "shortest_gap", "workloads", "connections", "seconds"):
        record_property(name, churned[name])
    assert churned["pods"] >= PODS
    assert churned["addresses"] <= 60
    assert churned["reused"] >= 0.8 * churned["pods"]
    assert churned["workloads"] >= PODS / 4
    assert churned["connections"] >= 10 * PODS


def test_no_edge_is_false(churned):
    assert churned["false"] == []


def test_no_edge_is_missed(churned):
    assert churned["missed"] == []


def test_balance_sheet_balances_and_nothing_is_lost(churned):
    assert churned["unbalanced"] == []
    assert churned["lost"] == {}


def test_what_was_done_is_known_but_for_little(churned):
    # Nobody says who was meant where nobody answered, so those tell nothing of the map.
    assert churned["failed"] + churned["unanswered"] <= 0.02 * churned["connections"]
