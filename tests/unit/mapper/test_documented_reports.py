"""Every command of docs/reports.md is run as it stands, by a shell and curl, against a real mapper."""

import json
import pathlib
import re
import shutil
import socket
import subprocess

import pytest
from cluster_objects import OBJECTS, pod
from mapper_process import MapperProcess

PAGE = pathlib.Path(__file__).parents[3] / "docs" / "reports.md"


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What each command printed, in order."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed: apt install curl")
    folder = tmp_path_factory.mktemp("documented")
    (folder / "cluster").mkdir()
    named = [
        pod("frontend-1", "node-1", "10.244.1.6", ("StatefulSet", "frontend")),
        pod("redis-cart-1", "node-2", "10.244.2.8", ("StatefulSet", "redis-cart")),
    ]
    (folder / "cluster" / "all.json").write_text(json.dumps({"kind": "List", "items": OBJECTS + named}))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    listen = f"unix:{folder}/m.sock,127.0.0.1:{port}"
    mapper = MapperProcess(folder, folder / "cluster", "--listen", listen).start()
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    commands = [blocks[0], blocks[0], blocks[1], *blocks[2].strip().splitlines()]
    printed = []
    for command in commands:
        here = command.replace("localhost:9090", f"127.0.0.1:{port}")
        done = subprocess.run(["sh", "-ec", here], capture_output=True, text=True, timeout=20, check=True)
        printed.append(json.loads(done.stdout))
    yield printed
    mapper.stop()


def test_the_first_report_is_counted_as_the_page_says(answers):
    told = {"epoch": 1, "repeated": False, "rows": 2, "dropped": {}}
    assert answers[0] == told | {"store": answers[0]["store"], "now": answers[0]["now"]}
    shown = re.search(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL).group(1)
    assert json.loads(shown) == told | {"store": "…", "now": 1793435000000}


def test_sent_again_it_counts_nothing(answers):
    assert answers[1]["repeated"] is True


def test_a_heartbeat_is_taken(answers):
    assert (answers[2]["rows"], answers[2]["repeated"]) == (0, False)


def test_the_map_shows_what_was_reported(answers):
    seen = {(edge["server"]["name"], edge["connections"], edge["lookups"]) for edge in answers[3]["edges"]}
    assert seen == {("redis-cart", 3, 0), ("www.example.com", 0, 1)}


def test_status_and_reset_answer(answers):
    assert [sniffer["node"] for sniffer in answers[4]["sniffers"]] == ["node-1"]
    emptied = answers[5]
    assert (emptied["epoch"], emptied["removed_edges"], emptied["store"]) == (2, 2, answers[0]["store"])
    assert emptied["reset_at"] >= answers[4]["now"]
