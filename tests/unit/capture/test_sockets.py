"""When the tables are read, over a procfs made of plain files. Link events are announced by hand."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from network_mapper.capture import sockets
from network_mapper.capture.sockets import SocketTables
from network_mapper.model import Drop, Kind, Observation

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="socket tables are Linux's")

HEADING = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
NOW = 1_700_000_000_000


def word(address: str) -> str:
    return f"{int.from_bytes(bytes(int(part) for part in address.split('.')), sys.byteorder):08X}"


def row(local: str, remote: str, port: int = 80, local_port: int = 40000) -> str:
    return f"   0: {word(local)}:{local_port:04X} {word(remote)}:{port:04X} 01 00000000:00000000 00:0 0 0 0 1 1\n"


class Links:
    """Stands for the routing socket."""

    def __init__(self) -> None:
        self.changed = False

    def happened(self) -> bool:
        changed, self.changed = self.changed, False
        return changed

    def fileno(self) -> int:
        return 0

    def close(self) -> None:
        pass


class Proc:
    """A procfs: processes with a namespace and tables."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def process(self, pid: int, namespace: int, tcp: str | None = "", tcp6: str | None = "") -> None:
        """A process; the first of a namespace brings the tables that all of it show."""
        shared = self.root / f"namespace-{namespace}"
        if not shared.exists():
            shared.mkdir()
            for name, rows in (("tcp", tcp), ("tcp6", tcp6)):
                if rows is not None:
                    (shared / name).write_text(HEADING + rows)
        (self.root / str(pid)).mkdir()
        (self.root / str(pid) / "net").symlink_to(shared)

    def end(self, pid: int) -> None:
        """A process ends, and its namespace with it."""
        shutil.rmtree((self.root / str(pid) / "net").resolve())
        shutil.rmtree(self.root / str(pid))


@pytest.fixture
def proc(tmp_path):
    return Proc(tmp_path)


@pytest.fixture
def links(monkeypatch):
    made = Links()
    monkeypatch.setattr(sockets, "LinkEvents", lambda: made)
    return made


@pytest.fixture
def tables(proc, links):
    with_tables = SocketTables(str(proc.root))
    yield with_tables
    with_tables.close()


def servers(observations: list[Observation]) -> list[str]:
    return sorted(seen.server for seen in observations)


def announce(tables: SocketTables, links: Links, now: int) -> None:
    links.changed = True
    tables.read(now)


def test_a_client_socket_becomes_an_observation(proc, tables):
    proc.process(1, 1, row("10.0.0.1", "10.0.0.2", local_port=40000) + row("10.0.0.1", "10.0.0.2", local_port=40001))
    assert tables.drain(NOW) == [Observation(Kind.SOCKETS, "10.0.0.1", "10.0.0.2", 80, "tcp", 2, NOW, NOW)]


def test_a_namespace_is_read_once_for_all_its_processes(proc, tables):
    for pid in (1, 2, 3):
        proc.process(pid, 7, row("10.0.0.1", "10.0.0.2"))
    assert [seen.count for seen in tables.drain(NOW)] == [1]


def test_every_namespace_is_read(proc, tables):
    proc.process(1, 7, row("10.0.0.1", "10.0.0.2"))
    proc.process(2, 8, row("10.0.0.3", "10.0.0.4"))
    assert servers(tables.drain(NOW)) == ["10.0.0.2", "10.0.0.4"]


def test_nothing_is_read_again_before_the_interval_is_over(proc, tables):
    proc.process(1, 1, row("10.0.0.1", "10.0.0.2"))
    tables.drain(NOW)
    assert tables.drain(NOW + 299_999) == []
    assert servers(tables.drain(NOW + 300_000)) == ["10.0.0.2"]


def test_a_clock_set_back_does_not_postpone_the_next_reading(proc, tables):
    proc.process(1, 1, row("10.0.0.1", "10.0.0.2"))
    tables.drain(NOW)
    assert servers(tables.drain(NOW - 3_600_000)) == ["10.0.0.2"]


def test_without_a_link_event_processes_are_not_looked_for(proc, tables):
    proc.process(1, 1)
    tables.drain(NOW)
    proc.process(2, 2, row("10.0.0.1", "10.0.0.2"))
    assert tables.drain(NOW + 60_000) == []


def test_a_link_event_has_new_namespaces_read_and_known_ones_left_alone(proc, tables, links):
    proc.process(1, 1, row("10.0.0.1", "10.0.0.2"))
    tables.drain(NOW)
    proc.process(2, 2, row("10.0.0.3", "10.0.0.4"))
    announce(tables, links, NOW + 900)
    assert servers(tables.drain(NOW + 1000)) == ["10.0.0.4"]


def test_a_process_that_starts_after_its_interface_is_found_at_the_second_look(proc, tables, links):
    proc.process(1, 1)
    tables.drain(NOW)
    announce(tables, links, NOW + 900)
    assert tables.drain(NOW + 1000) == []
    proc.process(2, 2, row("10.0.0.3", "10.0.0.4"))
    assert servers(tables.drain(NOW + 2000)) == ["10.0.0.4"]


def test_a_connection_made_after_the_first_look_is_found_at_the_second(proc, tables, links):
    proc.process(1, 1)
    tables.drain(NOW)
    proc.process(2, 2)
    announce(tables, links, NOW + 900)
    tables.drain(NOW + 1000)
    proc.end(2)
    proc.process(2, 2, row("10.0.0.3", "10.0.0.4"))
    assert servers(tables.drain(NOW + 2000)) == ["10.0.0.4"]


def test_there_is_no_third_look(proc, tables, links):
    proc.process(1, 1)
    tables.drain(NOW)
    announce(tables, links, NOW + 900)
    tables.drain(NOW + 1000)
    tables.drain(NOW + 2000)
    proc.process(2, 2, row("10.0.0.3", "10.0.0.4"))
    assert tables.drain(NOW + 3000) == []


def test_a_storm_of_link_events_makes_one_walk_a_second(proc, tables, links, monkeypatch):
    proc.process(1, 1)
    walks = []
    namespaces = tables._namespaces
    monkeypatch.setattr(tables, "_namespaces", lambda: walks.append(1) or namespaces())
    for step in range(50):
        announce(tables, links, NOW + 100 * step)
        tables.drain(NOW + 100 * step)
    assert len(walks) <= 6


def test_a_namespace_that_went_and_came_again_is_read_again(proc, tables, links):
    proc.process(1, 1)
    proc.process(2, 2, row("10.0.0.3", "10.0.0.4"))
    tables.drain(NOW)
    proc.end(2)
    announce(tables, links, NOW + 1000)
    tables.drain(NOW + 1000)
    proc.process(2, 2, row("10.0.0.3", "10.0.0.4"))
    announce(tables, links, NOW + 2000)
    assert servers(tables.drain(NOW + 2000)) == ["10.0.0.4"]


def test_rescan_has_everything_read_at_the_next_drain(proc, tables):
    proc.process(1, 1, row("10.0.0.1", "10.0.0.2"))
    tables.drain(NOW)
    tables.rescan(NOW + 10_000)
    assert servers(tables.drain(NOW + 10_000)) == ["10.0.0.2"]
    assert tables.drain(NOW + 20_000) == []


def test_a_drain_that_began_before_a_rescan_was_asked_for_is_none(proc, tables):
    proc.process(1, 1, row("10.0.0.1", "10.0.0.2"))
    tables.drain(NOW)
    tables.rescan(NOW + 10_000)
    assert tables.drain(NOW + 9_999) == []
    assert servers(tables.drain(NOW + 10_001)) == ["10.0.0.2"]


def test_rescans_asked_for_all_the_time_are_three_seconds_apart(proc, tables):
    proc.process(1, 1, row("10.0.0.1", "10.0.0.2"))
    tables.drain(NOW)
    read = []
    for moment in range(100, 10_000, 100):
        tables.rescan(NOW + moment)
        if tables.drain(NOW + moment):
            read.append(moment)
    assert read == [3000, 6000, 9000]


def test_a_rescan_asked_for_too_soon_is_made_up_for(proc, tables):
    proc.process(1, 1, row("10.0.0.1", "10.0.0.2"))
    tables.drain(NOW)
    tables.rescan(NOW + 500)
    assert tables.drain(NOW + 1000) == []
    assert servers(tables.drain(NOW + 3000)) == ["10.0.0.2"]


def test_after_a_clock_was_set_back_a_rescan_is_still_possible(proc, tables):
    proc.process(1, 1, row("10.0.0.1", "10.0.0.2"))
    tables.drain(NOW)
    back = NOW - 3_600_000
    tables.rescan(back + 5000)
    assert servers(tables.drain(back)) == ["10.0.0.2"]
    tables.rescan(back + 8000)
    assert servers(tables.drain(back + 9000)) == ["10.0.0.2"]


def test_a_node_without_ipv6_is_read(proc, tables):
    proc.process(1, 1, row("10.0.0.1", "10.0.0.2"), tcp6=None)
    assert servers(tables.drain(NOW)) == ["10.0.0.2"]
    assert tables.stats().drops == {}


def test_another_process_of_the_namespace_is_read_when_the_first_has_gone(proc, tables, monkeypatch):
    proc.process(1, 1, row("10.0.0.1", "10.0.0.2"))
    proc.process(2, 1)
    look = tables._namespaces

    def first_ends_after_the_look():
        found = look()
        first = found[next(iter(found))][0]
        (proc.root / first / "net").unlink()
        return found

    monkeypatch.setattr(tables, "_namespaces", first_ends_after_the_look)
    assert servers(tables.drain(NOW)) == ["10.0.0.2"]
    assert tables.stats().drops == {}


def test_a_table_that_cannot_be_read_is_counted_and_the_others_are_kept(proc, tables):
    proc.process(1, 1, None, None)
    (proc.root / "1/net/tcp").mkdir()
    proc.process(2, 2, row("10.0.0.1", "10.0.0.2"))
    assert servers(tables.drain(NOW)) == ["10.0.0.2"]
    assert tables.stats().drops == {Drop.SOCKET_TABLE_UNREADABLE: 1}


def test_a_process_whose_tables_are_closed_to_us_is_counted_and_the_others_are_kept(proc, tables):
    (proc.root / "5").mkdir(parents=True)
    (proc.root / "5/net").write_text("?")
    proc.process(2, 2, row("10.0.0.1", "10.0.0.2"))
    assert servers(tables.drain(NOW)) == ["10.0.0.2"]
    assert tables.stats().drops == {Drop.SOCKET_TABLE_UNREADABLE: 1}


SNMP = "Ip: Forwarding DefaultTTL\nIp: 1 64\nTcp: RtoMin CurrEstab InSegs\nTcp: 200 {} 5\n"


def test_a_namespace_without_connections_is_not_read(proc, tables, monkeypatch):
    proc.process(1, 1, row("10.0.0.1", "10.0.0.2"))
    (proc.root / "1/net/snmp").write_text(SNMP.format(0))
    monkeypatch.setattr(tables, "_read_table", lambda *_: pytest.fail("it was read"))
    assert tables.drain(NOW) == []
    assert tables.stats().drops == {}


@pytest.mark.parametrize("snmp", [SNMP.format(1), SNMP.format("x"), "Tcp: CurrEstab\n", "", "\xff"])
def test_a_namespace_that_has_connections_or_does_not_tell_is_read(proc, tables, snmp):
    proc.process(1, 1, row("10.0.0.1", "10.0.0.2"))
    (proc.root / "1/net/snmp").write_text(snmp, encoding="latin-1")
    assert servers(tables.drain(NOW)) == ["10.0.0.2"]


def test_a_family_without_sockets_is_not_read(proc, tables, monkeypatch):
    proc.process(1, 1)
    (proc.root / "1/net/sockstat").write_text("sockets: used 9\nTCP: inuse 3 orphan 0 tw 0 alloc 3 mem 1\n")
    (proc.root / "1/net/sockstat6").write_text("TCP6: inuse 0\nUDP6: inuse 4\n")
    read = []
    monkeypatch.setattr(tables, "_read_table", lambda _finder, _pid, table: read.append(table))
    tables.drain(NOW)
    assert read == ["tcp"]


def test_a_process_that_ended_during_the_walk_is_nothing(proc, tables):
    (proc.root / "5").mkdir()
    proc.process(2, 2, row("10.0.0.1", "10.0.0.2"))
    assert servers(tables.drain(NOW)) == ["10.0.0.2"]
    assert tables.stats().drops == {}


def test_a_procfs_that_vanishes_is_counted(proc, tables):
    shutil.rmtree(proc.root)
    assert tables.drain(NOW) == []
    assert tables.stats().drops == {Drop.SOCKET_TABLE_UNREADABLE: 1}


def test_everything_seen_is_passed_on_or_counted(proc, tables):
    undecided = row("10.0.0.1", "10.0.0.5", 41000, 50051)
    listener = f"   0: {word('0.0.0.0')}:{50051:04X} {word('0.0.0.0')}:0000 0A 0:0 0:0 0 0 0 1 1\n"
    proc.process(1, 1, row("10.0.0.1", "10.0.0.2") + "rubbish\n" + undecided + listener)
    tables.drain(NOW)
    stats = tables.stats()
    assert stats.drops == {Drop.SOCKET_MALFORMED: 1, Drop.SOCKET_SIDE_UNKNOWN: 1}
    assert stats.seen == stats.passed + sum(stats.drops.values()) == 3


def test_a_large_node_is_read_over_several_drains(proc, tables, monkeypatch):
    monkeypatch.setattr(sockets, "_SOCKETS_A_DRAIN", 2)
    for number in range(1, 6):
        proc.process(number, number, row(f"10.0.0.{number}", "10.0.9.9"))
    found = [len(tables.drain(NOW + step)) for step in range(4)]
    assert found == [2, 2, 1, 0]


def test_the_range_of_client_ports_is_read_from_the_host(proc, links):
    folder = proc.root / "sys/net/ipv4"
    folder.mkdir(parents=True)
    (folder / "ip_local_port_range").write_text("10000\t20000\n")
    proc.process(1, 1, row("10.0.0.1", "10.0.0.2", port=30000, local_port=15000))
    proc.process(2, 2, row("10.0.0.3", "10.0.0.4", port=15000, local_port=30000))
    assert servers(SocketTables(str(proc.root)).drain(NOW)) == ["10.0.0.2"]


@pytest.mark.usefixtures("links")
class TestReadingsThatMayTakeAShareOfACore:
    @pytest.fixture
    def spent(self, proc):
        """CPU seconds of the draining thread."""
        proc.process(1, 1, row("10.0.0.1", "10.0.0.2"))
        return [0.0]

    @pytest.fixture
    def open_tables(self, proc, spent):
        def make(cost: float) -> SocketTables:
            tables = SocketTables(str(proc.root), 5.0, 0.003, clock=lambda: spent[0])
            read = tables._read_queue

            def reads_at_a_cost(now: int) -> list[Observation]:
                spent[0] += cost if tables._queue else 0.0
                return read(now)

            tables._read_queue = reads_at_a_cost
            return tables

        return make

    def readings(self, tables: SocketTables, seconds: int) -> list[int]:
        return [second for second in range(seconds) if tables.drain(NOW + 1000 * second)]

    def test_cheap_ones_are_as_far_apart_as_the_interval_says(self, open_tables):
        assert self.readings(open_tables(0.001), 16) == [0, 5, 10, 15]

    def test_dear_ones_are_as_far_apart_as_keeps_them_within_the_share(self, open_tables, spent):
        found = self.readings(open_tables(0.09), 91)
        assert found == [0, 30, 60, 90]
        assert spent[0] / 120 <= 0.003

    def test_the_dearest_are_five_minutes_apart(self, open_tables):
        assert self.readings(open_tables(60.0), 601) == [0, 300, 600]


def test_a_proc_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        SocketTables(str(tmp_path / "none"))
