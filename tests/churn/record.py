"""Records what a real API server tells while pods come and go, and when their addresses really were theirs.

    python -m network_mapper.testing.sandbox --net -- \\
        .venv/bin/python tests/churn/record.py tests/fixtures/churn/recorded.jsonl.gz

It starts the tests' cluster (etcd, kube-apiserver, controllers, kubelets with containerd), watches what the mapper
watches, and lets pods of every kind live for a few seconds on so few addresses that they take each other's. Each line
of the result is JSON: an event of a watch with when it came (`at`, milliseconds since the recording began), or an
address with when the nodes gave it out and took it back (`from`, `until`), as the folder of their address management
tells. `managedFields` are left out; everything else is as the server sent it.
"""

from __future__ import annotations

import gzip
import json
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "cluster"), str(TESTS / "support"), str(TESTS.parent / "tools")]

import kubernetes  # noqa: E402  found through the line above
from harness import objects, shells  # noqa: E402
from harness.cluster import Cluster  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.objects import Object

NAMESPACE = "churn"
WATCHED = (
    "pods",
    "services",
    "nodes",
    "endpointslices",
    "replicasets",
    "deployments",
    "statefulsets",
    "jobs",
    "cronjobs",
)
BLOCKS = ("10.244.0.0/16", "fd00:10:244::/56")
PREFIXES = (28, 64)
ROUNDS = 6
LOOK = 0.005
SETTLING = 12.0
CRON = 75.0


class Recording:
    """Lines in the order in which they came, from many threads."""

    def __init__(self) -> None:
        self.began = time.time_ns() // 1_000_000
        self.lines: list[Object] = []
        self._lock = threading.Lock()

    def now(self) -> int:
        """Milliseconds since it began."""
        return time.time_ns() // 1_000_000 - self.began

    def add(self, **line: Any) -> None:
        """Add a line."""
        with self._lock:
            self.lines.append(line)

    def write(self, file: Path, about: Object) -> None:
        """Write everything, without the date in the archive, so that equal recordings are equal files."""
        text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in [about, *self.lines])
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(gzip.compress(text.encode(), mtime=0))


def watch(cluster: Cluster, resource: str, recording: Recording) -> None:
    """Record a resource until the cluster ends."""
    namespace = None if resource == "nodes" else NAMESPACE
    try:
        with cluster.admin.watch(resource, namespace, allowWatchBookmarks="true") as events:
            for event in events:
                at = recording.now()
                event["object"]["metadata"].pop("managedFields", None)
                recording.add(at=at, watch=resource, type=event["type"], object=event["object"])
    except OSError:
        return  # the server has ended


def look(folder: Path, node: str, recording: Recording, ended: threading.Event) -> None:
    """Record which addresses a node gives out and takes back."""
    held: dict[str, int] = {}
    while not ended.wait(LOOK):
        now = recording.now()
        found = {path.name for path in folder.iterdir() if path.name[:1].isdigit()} if folder.is_dir() else set()
        for address in found - held.keys():
            held[address] = now
        for address in held.keys() - found:
            recording.add(address=address, node=node, **{"from": held.pop(address)}, until=now)
    for address, since in held.items():
        recording.add(address=address, node=node, **{"from": since}, until=0)


def job(name: str, script: str, **spec: Any) -> Object:
    """A Job of one pod that runs a script."""
    made = objects.job(NAMESPACE, name, containers=[shells.container(script)], **spec)
    made["spec"] |= {"backoffLimit": 0, "ttlSecondsAfterFinished": 3}
    return made


def play(cluster: Cluster) -> None:
    """Let pods of every kind come and go."""
    api, nodes = cluster.admin, list(cluster.nodes)
    quick = {"terminationGracePeriodSeconds": 2, "containers": [shells.container()]}
    serving = [{**shells.container(shells.SERVE), "ports": [{"containerPort": shells.PORT}]}]
    for name in ("shop", "stock"):
        api.create(objects.service(NAMESPACE, name, target=shells.PORT))
        spec = {"containers": serving, "terminationGracePeriodSeconds": 1}
        api.create(objects.deployment(NAMESPACE, name, replicas=2, **spec))
    api.create(objects.deployment(NAMESPACE, "web", **quick))
    api.create(objects.stateful_set(NAMESPACE, "queue", **quick))
    api.create(objects.cron_job(NAMESPACE, "nightly", containers=[shells.container("sleep 2")]))
    for number in range(ROUNDS):
        api.create(job(f"import-{number}", "sleep 2"))
        api.create(job(f"broken-{number}", "sleep 1; exit 1"))
        first = [shells.container("sleep 1", "first")]
        api.create(job(f"staged-{number}", "sleep 2", initContainers=first))
        stubborn = shells.pod(NAMESPACE, f"stubborn-{number}", "trap '' TERM; sleep 60", nodes[number % 2])
        forced = shells.pod(NAMESPACE, f"forced-{number}", node=nodes[number % 2])
        for item in (stubborn, forced):
            api.create(item)
        time.sleep(5)
        _delete(cluster, lambda item: item["metadata"]["labels"].get("app") in ("web", "queue"))
        _delete(cluster, lambda item: item["metadata"]["name"].startswith("stubborn"))
        _delete(cluster, lambda item: item["metadata"]["name"].startswith("forced"), grace=0)
        if number == ROUNDS // 2:
            _delete(cluster, lambda item: item["metadata"]["labels"].get("app") == "shop")
        time.sleep(2)


def _delete(cluster: Cluster, chosen: Callable[[Object], bool], grace: int | None = None) -> None:
    for item in cluster.admin.list("pods", NAMESPACE):
        if chosen(item) and not item["metadata"].get("deletionTimestamp"):
            cluster.admin.delete("pods", NAMESPACE, item["metadata"]["name"], grace=grace)


def main() -> None:
    """Record into the file that is named."""
    programs = kubernetes.programs(), kubernetes.node_programs(), kubernetes.tool("coredns")
    recording, ended = Recording(), threading.Event()
    with Cluster(*programs, pod_blocks=BLOCKS, node_prefixes=PREFIXES) as cluster:
        cluster.plane.make_namespace(NAMESPACE)
        recording.began = time.time_ns() // 1_000_000
        for resource in WATCHED:
            threading.Thread(target=watch, args=(cluster, resource, recording), daemon=True).start()
        lookers = [
            threading.Thread(target=look, args=(node.folder / "var/lib/cni/networks/pods", name, recording, ended))
            for name, node in cluster.nodes.items()
        ]
        for thread in lookers:
            thread.start()
        began = time.monotonic()
        play(cluster)
        time.sleep(max(CRON - (time.monotonic() - began), 0) + SETTLING)
        ended.set()
        for thread in lookers:
            thread.join()
        version = cluster.plane.version()
    recording.write(Path(sys.argv[1]), {"kubernetes": version, "began": recording.began, "namespace": NAMESPACE})
    sys.stdout.write(f"{len(recording.lines)} lines\n")


if __name__ == "__main__":
    main()
