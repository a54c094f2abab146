"""The sniffer as a process, against a mapper that misbehaves."""

from __future__ import annotations

import socket
import sys
import time
import urllib.error
import urllib.request

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="socket tables are Linux's")


def counts(reports) -> dict[int, int]:
    """Sum of sightings by port."""
    found: dict[int, int] = {}
    for report in reports:
        for client in report.clients:
            for flow in client.sockets:
                found[flow.port] = found.get(flow.port, 0) + flow.count
    return found


def rows(mapper) -> int:
    return sum(client.rows() for report in mapper.reports() for client in report.clients)


def test_a_mapper_that_is_busy_and_then_cuts_off_gets_the_same_bytes_and_exact_counts(mapper, node, sniffer):
    node.clients(80, 3)
    node.clients(443, 2)
    mapper.script = ["later", "cut", "accept", "later", "cut", "accept"]
    process = sniffer()
    mapper.wait_for(lambda: rows(mapper) == 2)
    process.terminate()
    code, _ = process.end()
    assert code == 0
    assert counts(mapper.reports()) == {80: 3, 443: 2}
    assert [report.sequence for report in mapper.reports()] == list(range(1, len(mapper.accepted) + 1))
    assert mapper.bodies[0] == mapper.bodies[1] == mapper.bodies[2] == mapper.accepted[0]
    assert mapper.bodies[3] == mapper.bodies[4] == mapper.bodies[5] == mapper.accepted[1]


def test_the_first_report_greets_and_names_the_node(mapper, node, sniffer):
    node.clients(80, 1)
    sniffer()
    mapper.wait_for(lambda: len(mapper.accepted) >= 2)
    first = mapper.reports()[0]
    assert (first.node, first.sequence, first.clients) == ("n1", 1, [])
    assert abs(first.started - time.time() * 1000) < 20_000


def test_reports_say_in_which_way_the_node_is_watched_and_why_in_no_better_one(mapper, sniffer):
    sniffer(capture="sockets", enable_tcp=True)
    mapper.wait_for(lambda: bool(mapper.accepted))
    (report, *_) = mapper.reports()
    assert (report.capture, report.capture_reason) == ("sockets", "set to sockets (--capture)")


@pytest.mark.parametrize("another", [{"epoch": 2}, {"store": "map-2"}])
def test_a_map_that_was_reset_or_replaced_is_told_again_what_is_still_true(mapper, node, sniffer, another):
    node.clients(80, 3)
    sniffer(heartbeat_interval=0.2, report_interval=0.5)
    mapper.wait_for(lambda: rows(mapper) == 1)
    for name, value in another.items():
        setattr(mapper, name, value)
    mapper.wait_for(lambda: rows(mapper) == 2)
    assert counts(mapper.reports()) == {80: 6}


def test_the_end_is_told_with_the_last_totals(mapper, node, sniffer):
    node.clients(80, 3)
    process = sniffer(heartbeat_interval=60)
    mapper.wait_for(lambda: rows(mapper) == 1)
    process.terminate()
    assert process.end()[0] == 0
    (source,) = mapper.reports()[-1].sources
    assert (source.name, source.seen, source.passed) == ("sockets", 3, 3)


def test_a_mapper_that_hangs_does_not_keep_the_process_from_ending(mapper, node, sniffer):
    node.clients(80, 3)
    mapper.script = ["accept", "hang"]
    process = sniffer()
    mapper.wait_for(lambda: len(mapper.bodies) == 2)
    process.terminate()
    code, log = process.end(5)
    assert code == 0
    assert "unsent_rows=1" in log


def test_without_a_mapper_the_process_ends_in_time_and_says_what_was_lost(node, sniffer, tmp_path):
    node.clients(80, 3)
    process = sniffer(mapper_url=f"unix:{tmp_path}/nobody", health_port=str(port := free_port()))
    wait_until_healthy(port)
    process.terminate()
    code, log = process.end(5)
    assert code == 0
    assert "no answer from the mapper" in log
    assert "unsent_rows=1" in log


def test_health_and_metrics_do_not_need_a_mapper(sniffer, tmp_path):
    health, metrics = free_port(), free_port()
    sniffer(mapper_url=f"unix:{tmp_path}/nobody", health_port=f"127.0.0.1:{health}", metrics_port=str(metrics))
    wait_until_healthy(health)
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=5) as page:
        assert b"network_mapper_sniffer_build_info" in page.read()


def test_a_busy_port_does_not_stop_the_watching(mapper, node, sniffer):
    node.clients(80, 1)
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        process = sniffer(health_port=str(port))
        mapper.wait_for(lambda: rows(mapper) == 1)
        process.terminate()
        assert f"port {port} cannot be had" in process.end()[1]


def test_with_nothing_to_watch_the_process_ends_and_says_so(sniffer):
    code, log = sniffer(enable_sockets=False).end()
    assert code == 1
    assert "nothing to watch" in log


def test_an_unreadable_proc_is_named(sniffer, tmp_path):
    code, log = sniffer(proc_dir=str(tmp_path / "none")).end()
    assert code == 1
    assert str(tmp_path / "none") in log


@pytest.mark.parametrize("url", ["mapper:9090", "ftp://mapper", "http://mapper:port"])
def test_a_url_that_is_none_is_explained(sniffer, url):
    code, log = sniffer(mapper_url=url).end()
    assert code == 1
    assert "no URL of a mapper" in log


def free_port() -> int:
    with socket.create_server(("", 0)) as probe:
        return probe.getsockname()[1]


def wait_until_healthy(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).close()
        except urllib.error.URLError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            return
