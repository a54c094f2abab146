"""When the node's processes are looked at, and what is made of it, over a procfs and folders made of plain files."""

from __future__ import annotations

import logging
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from network_mapper.capture import pods as pods_module
from network_mapper.capture.podprocesses import Processes
from network_mapper.capture.pods import NodePods
from network_mapper.model import PodRef

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pods are watched on Linux")

T = 1_700_000_000_000


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


class Node:
    """A node of plain files whose clocks are set by hand. Namespace 1 is the node's own."""

    def __init__(self, root: Path) -> None:
        self.logs, self.proc = root / "logs", root / "proc"
        self.logs.mkdir()
        self.proc.mkdir()
        self.passed = 0
        self.set_back = 0
        self.folders_made = 0
        self.process(1, "/", namespace=1)

    def wall(self) -> int:
        return T + self.passed - self.set_back

    def steady(self) -> float:
        return self.passed / 1000

    def pod(self, name: str) -> PodRef:
        ref = PodRef("shop", name, f"uid-{name}")
        (self.logs / f"shop_{name}_uid-{name}").mkdir()
        self._touch()
        return ref

    def forget(self, ref: PodRef) -> None:
        """The kubelet takes the folder away."""
        (self.logs / f"shop_{ref.name}_{ref.uid}").rmdir()
        self._touch()

    def _touch(self) -> None:
        import os

        self.folders_made += 1
        os.utime(self.logs, (self.folders_made, self.folders_made))

    def space(self, namespace: int, *addresses: str) -> Path:
        """A namespace with addresses of an `eth0`."""
        shared = self.proc / f"namespace-{namespace}"
        shared.mkdir(exist_ok=True)
        (shared / "tcp").touch()
        fours = [each for each in addresses if ":" not in each]
        (shared / "fib_trie").write_text("".join(f"|-- {each}\n/32 host LOCAL\n" for each in fours))
        (shared / "route").write_text(
            "Iface\neth0 00000000 0101010A 3 0 0 0 00000000\neth0 0000000A 0 1 0 0 0 000000FF\n"
        )
        (shared / "if_inet6").write_text("".join(f"{int(each[6:], 16) + (0xFD78 << 112):032x} 2 40 00 80 eth0\n"
                                                 for each in addresses if ":" in each))  # fmt: skip
        return shared

    def process(self, pid: int, group: str, namespace: int, started: int = 0) -> None:
        made = self.proc / f"making-{pid}"
        made.mkdir()
        (made / "cgroup").write_text(f"0::{group}\n")
        (made / "stat").write_text(f"{pid} (a) b) S {'0 ' * 18}{started or pid} 0\n")
        (made / "net").symlink_to(self.proc / f"namespace-{namespace}")
        if not (self.proc / f"namespace-{namespace}").exists():
            self.space(namespace)
        made.rename(self.proc / str(pid))

    def start(self, pid: int, ref: PodRef, namespace: int, below: str = "c1", started: int = 0) -> None:
        self.process(pid, f"/kubepods/besteffort/pod{ref.uid}/{below}", namespace, started)

    def stop(self, pid: int) -> None:
        shutil.rmtree(self.proc / str(pid))

    def move(self, pid: int, group: str = "", namespace: int = 0) -> None:
        """A runtime puts a process into its group, or namespace."""
        if group:
            (self.proc / str(pid) / "cgroup").write_text(f"0::{group}\n")
        if namespace:
            (self.proc / str(pid) / "net").unlink()
            (self.proc / str(pid) / "net").symlink_to(self.proc / f"namespace-{namespace}")


@pytest.fixture
def node(tmp_path):
    return Node(tmp_path)


@pytest.fixture
def links(monkeypatch):
    made = Links()
    monkeypatch.setattr(pods_module, "LinkEvents", lambda: made)
    return made


@pytest.fixture
def pods(node, links):
    made = NodePods(str(node.logs), str(node.proc), wall=node.wall, steady=node.steady)
    yield made
    made.close()


def turn(pods: NodePods, node: Node, seconds: float) -> None:
    """Let time pass, and what is due be done."""
    for _ in range(round(seconds * 20)):
        node.passed += 50
        pods.work()


def whose(pods: NodePods, node: Node, address: str) -> PodRef | None:
    pods.confirm([address])
    node.passed += 10
    pods.confirm([address])
    return pods.owner(address, node.wall(), node.wall())


def looks(pods: NodePods) -> int:
    return pods.counts().looks


class TestFinding:
    def test_pods_that_are_there_at_the_start_are_known_at_once(self, node, pods):
        ref = node.pod("cart")
        node.space(2, "10.1.1.5", "fd78::5")
        node.start(20, ref, 2)
        pods.work()
        (told,) = pods.take_news()
        assert (told.pod, told.addresses, told.first) == (ref, ("10.1.1.5", "fd78::5"), T)

    def test_a_new_folder_is_looked_for_within_a_fifth_of_a_second(self, node, pods):
        turn(pods, node, 5)
        ref = node.pod("cart")
        node.space(2, "10.1.1.5")
        node.start(20, ref, 2)
        turn(pods, node, 0.25)
        assert whose(pods, node, "10.1.1.5") == ref

    def test_a_process_that_comes_after_its_folder_is_found_within_a_fifth_of_a_second(self, node, pods):
        turn(pods, node, 5)
        ref = node.pod("cart")
        turn(pods, node, 3)
        node.space(2, "10.1.1.5")
        node.start(20, ref, 2)
        turn(pods, node, 0.25)
        assert whose(pods, node, "10.1.1.5") == ref

    def test_an_address_that_comes_after_its_process_is_found_as_soon(self, node, pods):
        ref = node.pod("cart")
        node.space(2)
        node.start(20, ref, 2)
        turn(pods, node, 1)
        node.space(2, "10.1.1.5")
        turn(pods, node, 1.1)
        assert whose(pods, node, "10.1.1.5") == ref

    def test_a_process_that_the_runtime_moves_into_the_pod_is_looked_at_again(self, node, pods):
        ref = node.pod("cart")
        turn(pods, node, 1)
        node.space(2, "10.1.1.5")
        node.process(20, "/system.slice/containerd.service", 1)
        turn(pods, node, 0.4)
        node.move(20, group=f"/kubepods/pod{ref.uid}/c1")
        turn(pods, node, 0.25)
        node.move(20, namespace=2)
        turn(pods, node, 0.25)
        assert whose(pods, node, "10.1.1.5") == ref

    def test_a_process_is_not_looked_at_for_ever(self, node, pods):
        ref = node.pod("cart")
        node.process(20, "/system.slice/containerd.service", 1)
        turn(pods, node, 2)
        node.space(2, "10.1.1.5")
        node.move(20, group=f"/kubepods/pod{ref.uid}/c1", namespace=2)
        turn(pods, node, 2)
        assert whose(pods, node, "10.1.1.5") is None

    def test_whose_folder_is_not_there_is_no_pod_of_this_node(self, node, pods):
        node.pod("other")
        node.space(2, "10.1.1.5")
        node.process(20, "/kubepods/poduid-cart/c1", 2)
        turn(pods, node, 1)
        assert pods.take_news() == []

    def test_of_a_pod_within_a_pod_the_outer_one_counts(self, node, pods):
        outer = node.pod("cluster")
        node.space(2, "10.1.1.5")
        node.process(20, f"/kubepods/pod{outer.uid}/c1/kubepods/poduid-inner/c2", 2)
        pods.work()
        assert whose(pods, node, "10.1.1.5") == outer


class TestNamespaces:
    def test_a_pod_on_the_hosts_network_is_never_an_owner(self, node, pods):
        ref = node.pod("proxy")
        node.space(1, "192.0.2.1")
        node.start(20, ref, 1)
        turn(pods, node, 7)
        assert (pods.take_news(), pods.counts().failures["never_found"]) == ([], 0)

    def test_what_is_below_the_containers_own_group_has_no_say(self, node, pods):
        ref = node.pod("builder")
        node.space(2, "10.1.1.5")
        node.space(3, "10.9.9.9")
        node.start(20, ref, 3, below="c1/docker/x", started=1)
        node.start(21, ref, 2, started=2)
        pods.work()
        assert [each.addresses for each in pods.take_news()] == [("10.1.1.5",)]

    def test_nor_has_it_when_nothing_else_is_left(self, node, pods):
        ref = node.pod("builder")
        node.space(2, "10.1.1.5")
        node.space(3, "10.9.9.9")
        node.start(20, ref, 2)
        node.start(21, ref, 3, below="c1/docker/x")
        pods.work()
        node.stop(20)
        turn(pods, node, 15)
        assert (whose(pods, node, "10.1.1.5"), whose(pods, node, "10.9.9.9")) == (None, None)

    def test_of_two_at_the_same_depth_the_older_counts(self, node, pods):
        ref = node.pod("builder")
        node.space(2, "10.1.1.5")
        node.space(3, "10.9.9.9")
        node.start(20, ref, 3, started=900)
        node.start(21, ref, 2, started=800)
        pods.work()
        assert [each.addresses for each in pods.take_news()] == [("10.1.1.5",)]

    def test_who_entered_a_pods_namespace_from_the_hosts_is_not_that_pod(self, node, pods):
        agent, ref = node.pod("agent"), node.pod("cart")
        node.space(2, "10.1.1.5")
        node.start(20, agent, 1)
        node.start(21, agent, 2)
        node.start(22, ref, 2)
        pods.work()
        assert whose(pods, node, "10.1.1.5") == ref

    def test_a_namespace_is_one_pods(self, node, pods):
        first, second = node.pod("cart"), node.pod("web")
        node.space(2, "10.1.1.5")
        node.start(20, first, 2)
        turn(pods, node, 1)
        node.start(21, second, 2)
        turn(pods, node, 15)
        assert whose(pods, node, "10.1.1.5") == first
        assert pods.counts().failures["namespace_shared"] == 1


class TestLeaving:
    @pytest.fixture
    def cart(self, node, pods):
        ref = node.pod("cart")
        node.space(2, "10.1.1.5")
        node.start(20, ref, 2)
        turn(pods, node, 7)
        pods.confirm(["10.1.1.5"])
        return ref

    def test_it_was_the_pods_until_it_was_found_gone(self, node, pods, cart):
        node.stop(20)
        turn(pods, node, 0.5)
        gone = node.wall()
        pods.confirm(["10.1.1.5"])
        assert pods.owner("10.1.1.5", gone - 500, gone) == cart
        assert pods.owner("10.1.1.5", gone, gone + 1) is None

    @pytest.mark.usefixtures("cart")
    def test_a_link_event_has_it_noticed(self, node, pods, links):
        node.stop(20)
        links.changed = True
        pods.read()
        turn(pods, node, 0.25)
        assert pods.counts().remembered == 1

    @pytest.mark.usefixtures("cart")
    def test_without_one_it_is_noticed_within_ten_seconds(self, node, pods):
        node.stop(20)
        turn(pods, node, 10.5)
        assert pods.counts().remembered == 1

    def test_another_process_of_the_pod_keeps_its_address(self, node, pods, cart):
        node.start(21, cart, 2)
        turn(pods, node, 10.5)
        node.stop(20)
        turn(pods, node, 1)
        assert whose(pods, node, "10.1.1.5") == cart
        assert len(pods.take_news()) == 1

    @pytest.mark.usefixtures("cart")
    def test_a_process_that_nobody_has_waited_for_keeps_nothing(self, node, pods):
        (node.proc / "20" / "net").unlink()
        turn(pods, node, 0.5)
        assert whose(pods, node, "10.1.1.5") is None
        assert pods.counts().present == 0

    @pytest.mark.usefixtures("cart")
    def test_a_process_number_that_is_used_again_in_another_namespace_keeps_nothing(self, node, pods):
        node.space(3, "10.1.1.6")
        node.move(20, namespace=3)
        assert whose(pods, node, "10.1.1.5") is None

    def test_a_container_that_follows_after_a_while_is_found_again(self, node, pods, cart):
        node.stop(20)
        turn(pods, node, 15)
        node.start(21, cart, 2)
        turn(pods, node, 10.5)
        assert whose(pods, node, "10.1.1.5") == cart

    def test_the_folder_may_go_before_the_process(self, node, pods, cart):
        node.forget(cart)
        turn(pods, node, 12)
        assert whose(pods, node, "10.1.1.5") == cart
        node.stop(20)
        turn(pods, node, 22)
        assert (pods.counts().present, pods.counts().remembered, pods.counts().named) == (0, 1, 0)

    def test_the_next_pod_with_the_address_has_it_from_then_on(self, node, pods, cart):
        node.stop(20)
        turn(pods, node, 0.3)
        left = node.wall()
        pods.confirm(["10.1.1.5"])
        turn(pods, node, 1)
        other = node.pod("web")
        node.start(30, other, 2)
        turn(pods, node, 0.3)
        assert whose(pods, node, "10.1.1.5") == other
        assert pods.owner("10.1.1.5", left, left) == cart
        assert pods.owner("10.1.1.5", left, node.wall()) is None

    def test_an_address_that_is_added_later_is_known_within_forty_seconds(self, node, pods, cart):
        pods.take_news()
        node.space(2, "10.1.1.5", "fd78::5")
        turn(pods, node, 40)
        assert whose(pods, node, "fd78::5") == whose(pods, node, "10.1.1.5") == cart
        assert ("10.1.1.5", "fd78::5") in [each.addresses for each in pods.take_news()]

    def test_one_of_several_addresses_that_moves_on_is_missed_at_once(self, node, pods, cart):
        node.space(2, "10.1.1.5", "10.1.1.99")
        turn(pods, node, 40)
        assert whose(pods, node, "10.1.1.99") == cart
        node.space(2, "10.1.1.5")
        assert whose(pods, node, "10.1.1.99") is None

    def test_a_clock_that_is_set_back_makes_the_past_uncertain(self, node, pods, cart):
        before = node.wall()
        node.set_back = 3_600_000
        turn(pods, node, 0.5)
        assert whose(pods, node, "10.1.1.5") == cart
        assert pods.owner("10.1.1.5", before, before) is None


class TestQuiet:
    def test_at_rest_there_is_one_look_in_ten_seconds(self, node, pods):
        ref = node.pod("cart")
        node.space(2, "10.1.1.5")
        node.start(20, ref, 2)
        turn(pods, node, 60)
        before = looks(pods)
        turn(pods, node, 100)
        assert looks(pods) - before == 10

    def test_where_there_are_no_pods_no_process_is_looked_at(self, node, pods):
        turn(pods, node, 60)
        assert looks(pods) == 0

    def test_at_rest_it_is_due_five_times_a_second(self, node, pods):
        node.pod("cart")
        turn(pods, node, 60)
        dues = set()
        for _ in range(200):
            dues.add(round(pods.due(), 3))
            turn(pods, node, 0.05)
        assert len(dues) == pytest.approx(45, abs=6)

    def test_looks_for_a_pod_become_sparse_and_end_after_half_a_minute(self, node, pods):
        turn(pods, node, 1)
        node.pod("cart")
        counted = []
        for _ in range(8):
            before = looks(pods)
            turn(pods, node, 5)
            counted.append(looks(pods) - before)
        assert counted[0] == pytest.approx(24, abs=3)
        assert all(4 <= count <= 6 for count in counted[1:6])
        assert counted[7] <= 1
        assert pods.counts().failures["never_found"] == 1

    def test_a_storm_of_link_events_causes_no_more_than_five_looks_a_second(self, node, pods, links):
        node.pod("cart")
        turn(pods, node, 60)
        before = looks(pods)
        for _ in range(100):
            links.changed = True
            pods.read()
            turn(pods, node, 0.05)
        assert looks(pods) - before <= 26

    def test_a_process_is_looked_at_a_few_times_only(self, node, pods, monkeypatch):
        node.pod("cart")
        reads = []
        real = Processes.read
        monkeypatch.setattr(Processes, "read", lambda self, pid, *rest: reads.append(pid) or real(self, pid, *rest))
        for pid in range(100, 150):
            node.process(pid, "/system.slice/sshd.service", 1)
        turn(pods, node, 600)
        assert len(reads) <= 50 * 9

    def test_looks_go_on_where_more_processes_come_than_one_look_takes(self, node):
        ref = node.pod("cart")
        node.space(2, "10.1.1.5")
        for pid in range(100, 130):
            node.process(pid, "/", 1)
        node.start(500, ref, 2)
        processes = Processes(str(node.proc), most=10)
        done = [processes.look({ref.uid}, second)[1] for second in range(5)]
        assert done == [False, False, False, True, True]
        assert processes.pods[ref.uid].home


class TestTrouble:
    def test_a_folder_that_is_not_there_is_told_once_and_tried_again(self, node, pods, caplog):
        caplog.set_level(logging.INFO)
        shutil.rmtree(node.logs)
        turn(pods, node, 25)
        assert [record.levelname for record in caplog.records] == ["INFO"]
        assert pods.counts().failures["folder_unreadable"] == 3
        node.logs.mkdir()
        ref = node.pod("cart")
        node.space(2, "10.1.1.5")
        node.start(20, ref, 2)
        turn(pods, node, 10)
        assert whose(pods, node, "10.1.1.5") == ref

    def test_a_folder_that_may_not_be_read_is_told_once_as_a_warning(self, node, pods, caplog, monkeypatch):
        def refuse(_path: str) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("network_mapper.capture.podfolders.os.scandir", refuse)
        turn(pods, node, 25)
        (record,) = caplog.records
        assert record.levelname == "WARNING"
        assert "Permission denied" in record.message
        assert pods.counts().failures["folder_unreadable"] == 3

    def test_a_procfs_that_cannot_be_listed_is_told_once_and_tried_again(self, node, pods, caplog):
        ref = node.pod("cart")
        node.space(2, "10.1.1.5")
        node.start(20, ref, 2)
        hidden = node.proc.rename(node.proc.parent / "hidden")
        turn(pods, node, 25)
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert pods.counts().failures["proc_unreadable"] == 3
        hidden.rename(node.proc)
        (node.proc / "20" / "net").unlink()
        (node.proc / "20" / "net").symlink_to(node.proc / "namespace-2")
        turn(pods, node, 10)
        assert whose(pods, node, "10.1.1.5") == ref

    def test_processes_that_may_not_be_read_are_counted(self, node, pods, monkeypatch):
        node.pod("cart")

        def refuse(*_: object) -> int:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("network_mapper.capture.podprocesses.os.open", refuse)
        pods.work()
        assert pods.counts().failures["process_unreadable"] == 1

    def test_broken_files_of_a_process_do_not_matter(self, node, pods):
        ref = node.pod("cart")
        node.space(2, "10.1.1.5")
        node.start(20, ref, 2)
        for name in ("route", "fib_trie", "if_inet6"):
            (node.proc / "namespace-2" / name).write_bytes(b"\xff\x00garbage\n" * 50)
        (node.proc / "20" / "stat").write_bytes(b"\xff")
        turn(pods, node, 2)
        assert (pods.take_news(), pods.counts().present) == ([], 0)

    @pytest.mark.usefixtures("links")
    def test_pods_beyond_the_bound_are_left_out_and_counted(self, node):
        pods = NodePods(str(node.logs), str(node.proc), wall=node.wall, steady=node.steady, most=3)
        for number in range(5):
            node.space(10 + number, f"10.1.1.{number}")
            node.start(100 + number, node.pod(f"cart-{number}"), 10 + number)
        pods.work()
        counts = pods.counts()
        assert (counts.present, counts.failures["pods_left_out"]) == (3, 2)
        assert len(pods.take_news()) == 3
        pods.close()

    def test_without_a_routing_socket_the_folder_still_tells(self, node, monkeypatch):
        def refuse() -> None:
            raise OSError(97, "Address family not supported by protocol")

        monkeypatch.setattr(pods_module, "LinkEvents", refuse)
        pods = NodePods(str(node.logs), str(node.proc), wall=node.wall, steady=node.steady)
        turn(pods, node, 1)
        ref = node.pod("cart")
        node.space(2, "10.1.1.5")
        node.start(20, ref, 2)
        turn(pods, node, 0.25)
        pods.read()
        assert (pods.fileno(), whose(pods, node, "10.1.1.5")) == (-1, ref)
        pods.close()
