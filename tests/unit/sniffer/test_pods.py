"""The node's pods in the sniffer: in its reports and metrics, and what an error there costs."""

from __future__ import annotations

import sys
import time

import pytest

from network_mapper.capture import pods as pods_module
from network_mapper.model import PodRef
from network_mapper.sniffer.pods import Pods, open_pods
from network_mapper.sniffer.settings import SnifferSettings

UID = "9f0c2b1e-5d2a-4c7e-9a64-0d3f5b7f2a11"
CART = PodRef("shop", "cart-1", UID)

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="watching is Linux's")


@pytest.fixture
def logs(tmp_path):
    """A pod with the address from which the fake node's process 20 has its connections."""
    (tmp_path / "pods" / f"shop_cart-1_{UID}").mkdir(parents=True)
    return tmp_path / "pods"


def become_a_pod(node, pid: int) -> None:
    folder = node.root / str(pid)
    (folder / "cgroup").write_text(f"0::/../../kubepods-pod{UID.replace('-', '_')}.slice/cri-containerd-5d41.scope\n")
    (folder / "net/fib_trie").write_text("  |-- 10.0.0.1\n     /32 host LOCAL\n")
    (folder / "net/route").write_text("Iface\neth0 00000000 0100000A 3 0 0 0 00000000\n")
    (folder / "net/if_inet6").write_text("fd780000000000000000000000000005 2 40 00 80 eth0\n")


def clients_of(mapper):
    return [client for report in mapper.reports() for client in report.clients]


def told_by(mapper):
    return [told for report in mapper.reports() for told in report.pods]


@needs_linux
def test_a_report_says_which_pod_a_client_is_and_which_pods_there_are(sniffer, mapper, node, logs):
    node.clients(20, 3)
    become_a_pod(node, 20)
    process = sniffer(pods_dir=str(logs))
    mapper.wait_for(lambda: clients_of(mapper) and told_by(mapper))
    process.terminate()
    process.end()
    assert {(client.address, client.pod) for client in clients_of(mapper)} == {("10.0.0.1", CART)}
    (told, *_) = told_by(mapper)
    assert (told.pod, told.addresses) == (CART, ("10.0.0.1", "fd78::5"))
    assert abs(told.first - time.time() * 1000) < 60_000


@needs_linux
def test_another_mapper_is_told_of_all_pods_again(sniffer, mapper, node, logs):
    node.clients(20, 3)
    become_a_pod(node, 20)
    process = sniffer(pods_dir=str(logs), heartbeat_interval=0.2)
    mapper.wait_for(lambda: told_by(mapper))
    before = len(mapper.accepted)
    mapper.store = "map-2"
    mapper.wait_for(lambda: any(report.pods for report in mapper.reports()[before + 1 :]))
    process.terminate()
    process.end()
    assert {told.pod for told in told_by(mapper)} == {CART}


@needs_linux
def test_without_the_folder_clients_are_addresses(sniffer, mapper, node, tmp_path):
    node.clients(20, 3)
    become_a_pod(node, 20)
    process = sniffer(pods_dir=str(tmp_path / "nothing"))
    mapper.wait_for(lambda: clients_of(mapper))
    process.terminate()
    code, log = process.end()
    assert ({client.pod for client in clients_of(mapper)}, told_by(mapper), code) == ({None}, [], 0)
    assert log.count("nothing cannot be read, so pods are known by their addresses alone") == 1


@needs_linux
def test_switched_off_it_looks_for_none(sniffer, mapper, node):
    node.clients(20, 3)
    become_a_pod(node, 20)
    process = sniffer(pods_dir="")
    mapper.wait_for(lambda: clients_of(mapper))
    process.terminate()
    _, log = process.end()
    assert {client.pod for client in clients_of(mapper)} == {None}
    assert "known by their addresses" not in log


@needs_linux
def test_a_pod_that_comes_while_the_sniffer_runs_is_told_of(sniffer, mapper, node, tmp_path):
    logs = tmp_path / "pods"
    logs.mkdir()
    process = sniffer(pods_dir=str(logs))
    mapper.wait_for(mapper.reports)
    (logs / f"shop_cart-1_{UID}").mkdir()
    (node.root / "1" / "net").mkdir(parents=True)
    (node.root / "1" / "net" / "tcp").touch()
    making = node.root / "making"
    making.mkdir()
    (making / "net").mkdir()
    (making / "net" / "tcp").touch()
    making.rename(node.root / "20")
    become_a_pod(node, 20)
    mapper.wait_for(lambda: told_by(mapper))
    process.terminate()
    process.end()
    assert {told.pod for told in told_by(mapper)} == {CART}


class Broken:
    """Raises whatever is asked."""

    closed = 0

    def fileno(self) -> int:
        return 0

    def due(self) -> float:
        return 0.0

    def work(self, *_: object) -> None:
        raise RuntimeError("a surprise")

    read = confirm = take_news = work

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize(
    "ask",
    [Pods.work, Pods.read, lambda pods: pods.confirm(["10.0.0.1"]), lambda pods: pods.take_news()],
    ids=["work", "read", "confirm", "news"],
)
def test_an_error_costs_the_pods_and_nothing_else(ask, caplog):
    node = Broken()
    pods = Pods(node)
    ask(pods)
    ask(pods)
    assert (pods.watching, pods.take_news(), pods.owner("10.0.0.1", 0, 0), node.closed) == (False, [], None, 1)
    assert (pods.due(), pods.fileno()) == (float("inf"), -1)
    assert caplog.text.count("the pods of this node are not known any more") == 1


def samples(pods: Pods) -> dict[str, dict[str, float]]:
    return {
        family.name: {"".join(labels.values()): value for labels, value in family.samples}
        for family in pods.metrics("sniffer")
    }


@needs_linux
def test_metrics_say_what_is_known_and_what_kept_pods_from_being_known(logs, node):
    node.clients(20, 1)
    become_a_pod(node, 20)
    pods = open_pods(SnifferSettings(pods_dir=str(logs), proc_dir=str(node.root)))
    pods.work()
    found = samples(pods)
    pods.close()
    assert found["sniffer_pods_watched"] == {"": 1}
    assert found["sniffer_pods"] == {"named": 1, "present": 1, "remembered": 0}
    assert found["sniffer_pod_looks_total"] == {"": 1}
    assert set(found["sniffer_pod_failures_total"].values()) == {0}
    assert samples(pods)["sniffer_pods_watched"] == {"": 0}


@needs_linux
def test_all_that_is_read_is_in_the_procfs_and_the_folder_itself(logs, node):
    """Not the logs: what workloads say is none of the sniffer's business."""
    node.clients(20, 1)
    become_a_pod(node, 20)
    (logs / f"shop_cart-1_{UID}" / "server").mkdir()
    (logs / f"shop_cart-1_{UID}" / "server" / "0.log").write_text("secret")
    asked: list[str] = []

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event in {"open", "os.listdir", "os.scandir"}:
            asked.append(str(arguments[0]))

    listening = [True]
    sys.addaudithook(lambda event, arguments: hook(event, arguments) if listening else None)
    pods = pods_module.NodePods(str(logs), str(node.root))
    pods.work()
    listening.clear()
    pods.close()
    assert [path for path in asked if path.startswith(str(logs))] == [str(logs)]
    assert all(path.startswith((str(logs), str(node.root))) for path in asked if path.startswith("/"))
