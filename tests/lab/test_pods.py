"""Pods of real network namespaces; processes and addresses are the kernel's, the control groups are written down."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from network_mapper.capture.pods import NodePods
from network_mapper.model import PodRef
from network_mapper.testing import netns, sandbox

pytestmark = pytest.mark.lab

PREFIX = f"nmpods{os.getpid()}"


class Place:
    """A pod's namespace with an `eth0`, whose other end is here."""

    made = 0

    def __init__(self, spaces: netns.Namespaces, *lines: str) -> None:
        Place.made += 1
        self.name = f"{PREFIX}-{Place.made}"
        spaces.add(self.name)
        end, host = f"nmp{Place.made}", f"nmh{Place.made}"
        subprocess.run(["ip", "link", "add", host, "type", "veth", "peer", "name", end], check=True)
        subprocess.run(["ip", "link", "set", end, "netns", self.name], check=True)
        netns.ip(self.name, [f"link set {end} name eth0", "link set eth0 up", *lines])
        self.link = host

    def remove(self) -> None:
        """The interface goes, as where the pod's network is taken down."""
        subprocess.run(["ip", "link", "del", self.link], check=False, stderr=subprocess.DEVNULL)


def inside(place: Place) -> subprocess.Popen[bytes]:
    """A process that has entered a place."""
    process = netns.spawn(place.name, ["sleep", "1000"])
    here = Path("/proc/self/net/tcp").stat().st_ino
    while Path(f"/proc/{process.pid}/net/tcp").stat().st_ino == here:
        time.sleep(0.002)
    return process


class Node:
    """A folder of log folders, and a procfs that shows the system's processes with control groups as we say."""

    def __init__(self, root: Path) -> None:
        self.logs, self.proc = root / "pods", root / "proc"
        self.logs.mkdir()
        self.proc.mkdir()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.show(os.getpid(), "/", name="1")

    def show(self, pid: int, group: str, name: str = "") -> None:
        """Have a process in the procfs."""
        folder = self.proc / (name or str(pid))
        made = self.proc / f"making-{pid}"
        made.mkdir()
        (made / "cgroup").write_text(f"0::{group}\n")
        for file in ("net", "stat"):
            (made / file).symlink_to(f"/proc/{pid}/{file}")
        made.rename(folder)

    def pod(self, name: str) -> PodRef:
        """A pod that the kubelet is about to make."""
        ref = PodRef("shop", name, str(uuid.uuid4()))
        (self.logs / f"{ref.namespace}_{ref.name}_{ref.uid}").mkdir()
        return ref

    def start(self, place: Place, ref: PodRef, below: str = "/c1") -> subprocess.Popen[bytes]:
        """A process of a pod."""
        process = inside(place)
        self.processes.append(process)
        uid = ref.uid.replace("-", "_")
        self.show(process.pid, f"/../../kubepods-burstable-pod{uid}.slice{below}")
        return process

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()
        folder = self.proc / str(process.pid)
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


@pytest.fixture
def spaces():
    with netns.Namespaces() as made:
        yield made


@pytest.fixture
def node(tmp_path):
    made = Node(tmp_path)
    yield made
    for process in made.processes:
        process.kill()
        process.wait()


@pytest.fixture
def pods(node):
    made = NodePods(str(node.logs), str(node.proc))
    yield made
    made.close()


def now() -> int:
    return time.time_ns() // 1_000_000


def turn(pods: NodePods, seconds: float, until=lambda: False) -> None:
    """Let it do what is due, as the sniffer's loop does."""
    began = time.monotonic()
    ticks = 0
    while time.monotonic() < began + seconds and not until():
        time.sleep(0.02)
        pods.read()
        pods.work()
        if time.monotonic() - began > ticks:
            ticks += 1
            pods.confirm(["10.213.78.5"])


def whose(pods: NodePods, address: str) -> PodRef | None:
    """Whose an address is now."""
    moment = now()
    pods.confirm([address])
    return pods.owner(address, moment, moment)


BRIDGED = ("addr add 10.213.78.5/24 dev eth0", "route add default via 10.213.78.1")
POINT_TO_POINT = (
    "addr add 10.213.78.5/32 dev eth0",
    "route add 169.254.1.1 dev eth0",
    "route add default via 169.254.1.1 dev eth0",
)
GATEWAY_32 = (
    "addr add 10.213.78.5/32 dev eth0",
    "route add 10.213.78.1 dev eth0",
    "route add default via 10.213.78.1 dev eth0",
)
ENGINE = (
    *BRIDGED,
    "link add docker0 type bridge",
    "addr add 172.17.0.1/16 dev docker0",
    "link set docker0 up",
    "addr add 192.0.2.9/32 dev lo",
)


@pytest.mark.parametrize(
    "lines", [BRIDGED, POINT_TO_POINT, GATEWAY_32, ENGINE], ids=["bridge", "scope-link", "gateway", "engine-within"]
)
def test_a_pod_has_the_address_that_its_network_gave_it_and_no_other(node, pods, spaces, lines):
    ref = node.pod("cart-1")
    place = Place(spaces, *lines)
    node.start(place, ref)
    pods.work()
    place.remove()
    (told,) = pods.take_news()
    assert (told.pod, told.addresses) == (ref, ("10.213.78.5",))


def test_both_families_are_known(node, pods, spaces):
    ref = node.pod("cart-1")
    place = Place(spaces, *BRIDGED, "addr add fd78::5/64 dev eth0 nodad")
    node.start(place, ref)
    pods.work()
    assert whose(pods, "10.213.78.5") == whose(pods, "fd78::5") == ref
    place.remove()


def test_a_pod_on_the_nodes_network_owns_nothing(node, pods):
    ref = node.pod("proxy-1")
    process = subprocess.Popen(["sleep", "1000"])
    node.processes.append(process)
    node.show(process.pid, f"/kubepods/besteffort/pod{ref.uid}/c1")
    pods.work()
    assert pods.take_news() == []


def test_what_runs_in_a_namespace_within_the_pod_has_no_say(node, pods, spaces):
    ref = node.pod("builder-1")
    place, within = Place(spaces, *BRIDGED), Place(spaces, "addr add 10.213.78.9/24 dev eth0")
    node.start(within, ref, below="/c1/docker/abc")
    node.start(place, ref)
    pods.work()
    assert (whose(pods, "10.213.78.5"), whose(pods, "10.213.78.9")) == (ref, None)
    for each in (place, within):
        each.remove()


def test_of_two_namespaces_at_the_same_depth_the_one_whose_process_is_older_counts(node, pods, spaces):
    ref = node.pod("builder-1")
    place, within = Place(spaces, *BRIDGED), Place(spaces, "addr add 10.213.78.9/24 dev eth0")
    node.start(place, ref)
    time.sleep(0.05)  # a start is told in hundredths of a second
    node.start(within, ref)
    pods.work()
    assert (whose(pods, "10.213.78.5"), whose(pods, "10.213.78.9")) == (ref, None)
    place.remove()
    within.remove()


def test_a_node_agent_that_enters_a_pods_network_is_not_that_pod(node, pods, spaces):
    agent, ref = node.pod("agent-1"), node.pod("cart-1")
    own = subprocess.Popen(["sleep", "1000"])
    node.processes.append(own)
    node.show(own.pid, f"/kubepods/pod{agent.uid}/c1")
    time.sleep(0.05)
    place = Place(spaces, *BRIDGED)
    node.start(place, agent)
    node.start(place, ref)
    pods.work()
    assert whose(pods, "10.213.78.5") == ref
    place.remove()


def test_a_pod_of_two_seconds_is_caught_and_remembered(node, pods, spaces):
    other = node.pod("web-1")
    turn(pods, 0.5)
    ref = node.pod("cart-1")
    made = now()
    turn(pods, 0.4)
    place = Place(spaces, *BRIDGED)
    born = now()
    process = node.start(place, ref)
    turn(pods, 2.0)
    ended = now()
    node.stop(process)
    place.remove()
    turn(pods, 1.0)
    (told,) = pods.take_news()
    assert (told.pod, told.addresses) == (ref, ("10.213.78.5",))
    assert made < born <= told.first <= born + 400
    assert pods.owner("10.213.78.5", told.first, ended - 1) == ref
    assert pods.owner("10.213.78.5", ended + 1000, ended + 1000) is None
    assert other not in {each.pod for each in pods.take_news()}


def test_an_address_that_is_used_again_goes_to_its_owner_of_that_moment(node, pods, spaces):
    refs, times = [], []
    for number in range(3):
        refs.append(node.pod(f"cart-{number}"))
        place = Place(spaces, *BRIDGED)
        process = node.start(place, refs[-1])
        turn(pods, 2, until=lambda ref=refs[-1]: whose(pods, "10.213.78.5") == ref)
        times.append(now())
        turn(pods, 0.1)
        pods.confirm(["10.213.78.5"])
        node.stop(process)
        place.remove()
        turn(pods, 0.5)
    assert [pods.owner("10.213.78.5", at, at + 50) for at in times] == refs
    assert pods.owner("10.213.78.5", times[0], times[1]) is None


def test_an_address_that_two_pods_have_is_nobodys(node, pods, spaces):
    places = [Place(spaces, *BRIDGED) for _ in range(2)]
    for number, place in enumerate(places):
        node.start(place, node.pod(f"cart-{number}"))
    pods.work()
    assert whose(pods, "10.213.78.5") is None
    for place in places:
        place.remove()


def test_a_network_that_is_made_anew_for_the_same_pod_is_found_by_its_links(node, pods, spaces):
    ref = node.pod("cart-1")
    place = Place(spaces, *BRIDGED)
    process = node.start(place, ref)
    turn(pods, 1, until=lambda: whose(pods, "10.213.78.5") == ref)
    node.stop(process)
    place.remove()
    turn(pods, 0.5)
    again = Place(spaces, "addr add 10.213.78.6/24 dev eth0", "route add default via 10.213.78.1")
    node.start(again, ref)
    turn(pods, 3, until=lambda: whose(pods, "10.213.78.6") == ref)
    assert (whose(pods, "10.213.78.6"), whose(pods, "10.213.78.5")) == (ref, None)
    again.remove()


WITHOUT_RIGHTS = """
import os, sys
from pathlib import Path
from network_mapper.capture.pods import NodePods
assert "CapEff:\\t0000000000000000" in Path("/proc/self/status").read_text()
assert os.geteuid() == 65532
pods = NodePods(sys.argv[1], sys.argv[2])
pods.work()
for told in pods.take_news():
    print(told.pod.namespace, told.pod.name, told.pod.uid, *told.addresses)
print(pods.counts().failures)
"""


def unprivileged(logs: Path, proc: Path) -> list[str]:
    """What a user without any capability finds."""
    prefix = ["setpriv", "--reuid=65532", "--regid=65532", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"]
    done = subprocess.run(
        [*prefix, sys.executable, "-c", WITHOUT_RIGHTS, str(logs), str(proc)],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *found, failures = done.stdout.splitlines()
    assert set(eval(failures).values()) == {0}  # noqa: S307  our own words
    return found


@contextlib.contextmanager
def group_of(uid: str):
    """A control group as cgroupfs names a pod's, in a hierarchy where we may make one."""
    below = sandbox.cgroups()
    root = Path("/sys/fs/cgroup")
    hierarchy = next((path for path in (root / "pids", root / "freezer") if path.is_dir()), None)
    if not below or hierarchy is None or not os.access(hierarchy, os.W_OK):
        pytest.skip("no control group can be made here")
    group = hierarchy / below / "kubepods" / "besteffort" / f"pod{uid}" / "c1"
    group.mkdir(parents=True)
    try:
        yield group / "cgroup.procs"
    finally:
        for folder in (group, group.parent, group.parent.parent, group.parent.parent.parent):
            folder.rmdir()


@pytest.fixture
def open_folder():
    """A folder that any user may enter."""
    import tempfile

    with tempfile.TemporaryDirectory(dir="/run") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_real_control_groups_and_the_real_procfs_need_no_capability(spaces, open_folder):
    if os.geteuid() != 0:
        pytest.skip("becoming another user needs root")
    ref = PodRef("shop", "cart-1", str(uuid.uuid4()))
    (open_folder / f"shop_cart-1_{ref.uid}").mkdir()
    place = Place(spaces, *BRIDGED, "addr add fd78::5/64 dev eth0 nodad")
    with group_of(ref.uid) as members:
        process = inside(place)
        try:
            members.write_text(str(process.pid))
            found = unprivileged(open_folder, Path("/proc"))
        finally:
            process.kill()
            process.wait()
    place.remove()
    assert found == [f"shop cart-1 {ref.uid} 10.213.78.5 fd78::5"]
