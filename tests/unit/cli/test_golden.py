"""What the commands print of one map, byte by byte: a change of any format is seen in the diff of a golden file.

`UPDATE_GOLDEN=1` writes the files anew; the diff is then for reading.
"""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from synthetic_map import shop_map

GOLDEN = Path(__file__).parents[2] / "fixtures" / "shop"

FILES = {
    "list.txt": ["list"],
    "list-all.txt": ["list", "--all"],
    "list-services.txt": ["list", "--as-kubernetes-service"],
    "list-wide.txt": ["list", "--all", "-o", "wide"],
    "list.json": ["list", "--all", "-o", "json"],
    "list.yaml": ["list", "--all", "-o", "yaml"],
    "groups.txt": ["list", "--group-by", "namespace"],
    "groups-wide.txt": ["list", "--group-by", "namespace", "-o", "wide"],
    "groups.json": ["list", "--group-by", "namespace", "-o", "json"],
    "intents.yaml": ["export", "--include-internet"],
    "intents.json": ["export", "--format", "json"],
    "map.csv": ["export", "--format", "csv"],
    "map.graph.json": ["export", "--format", "json-graph"],
    "picture.dot": ["visualize", "--format", "dot", "-o", "-"],
    "picture.mmd": ["visualize", "--format", "mermaid", "-o", "-"],
    "picture.svg": ["visualize", "--format", "svg", "-o", "-", "--engine", "builtin"],
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("golden") / "map.json"
    path.write_bytes(msgspec.json.encode(shop_map()))
    return path


@pytest.mark.parametrize("name", FILES)
def test_a_command_prints_its_golden_file(name, saved):
    command = [sys.executable, "-m", "network_mapper", *FILES[name], "--map-file", str(saved)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60, env={**os.environ, "COLUMNS": "250"})
    assert done.returncode == 0, done.stderr
    if os.environ.get("UPDATE_GOLDEN"):
        (GOLDEN / name).write_bytes(done.stdout)
    assert done.stdout == (GOLDEN / name).read_bytes()


def test_no_golden_file_is_left_over():
    assert {path.name for path in GOLDEN.iterdir()} == set(FILES)
