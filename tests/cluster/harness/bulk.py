"""A cluster of ten thousand pods on a real API server, for benchmarks, as real controllers and kubelets leave one.

Deployment `app-N` has ten pods behind one service and keeps nineteen old ReplicaSets; a pod has two containers with
twenty environment variables each; the server adds its defaults, token volumes and managed fields. No controller runs
meanwhile, so nothing changes what was posted. Posting takes minutes, nearly all of them the server's: 3 ms of processor
time a write. Hence `filled`, which keeps etcd's data in the cache under a name that changes with this file and with the
Kubernetes that made it.
"""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cache

from harness import objects, pods
from harness.control_plane import ControlPlane
from harness.processes import stop_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from harness.objects import Object

NAMESPACE = "load"
THREADS = 4
ENDING = 30.0


@dataclass(frozen=True)
class Size:
    """How large; workloads are `pods / 10`, and each has as many ReplicaSets as `revisions` says."""

    pods: int = 10_000
    revisions: int = 20
    nodes: int = 100
    pods_per_workload: int = 10

    @property
    def workloads(self) -> int:
        """Deployments, and as many services."""
        return self.pods // self.pods_per_workload


def pod_address(pod: int) -> str:
    """Address of a pod by its number."""
    return f"10.{100 + pod // 62500}.{pod // 250 % 250}.{pod % 250 + 1}"


def service_address(workload: int) -> str:
    """Cluster address of a workload's service."""
    return f"10.96.{workload // 250 + 1}.{workload % 250 + 2}"


def node_name(pod: int, size: Size) -> str:
    """Node that a pod runs on."""
    return f"node-{pod % size.nodes:04d}"


def fill(plane: ControlPlane, size: Size, say: Callable[[str], None] = print) -> dict[str, int]:
    """Post the cluster; returns how many objects of each kind there are.

    Args:
        plane: A control plane without controllers.
        size: How large.
        say: Called with lines of progress.
    """
    api = plane.admin
    api.create(objects.namespace(NAMESPACE))
    api.create(objects.make("v1", "ServiceAccount", "default", NAMESPACE))
    path = f"/api/v1/namespaces/{NAMESPACE}/pods"
    counts: dict[str, int] = {}

    def post(kind: str, items: Iterable[Object], create: Callable[[Object], Object] = api.create) -> list[Object]:
        began = time.monotonic()
        with ThreadPoolExecutor(THREADS) as threads:
            made = list(threads.map(create, items))
        counts[kind] = len(made)
        spent = time.monotonic() - began
        say(f"{len(made)} {kind} in {spent:.1f} s, {len(made) / spent:.0f} a second")
        return made

    post("nodes", (objects.node(f"node-{n:04d}", f"172.20.{n // 250}.{n % 250 + 1}") for n in range(size.nodes)))
    deployments = post("deployments", (_deployment(workload, size) for workload in range(size.workloads)))
    sets = post("replicasets", (_replica_set(item, n, size) for item in deployments for n in range(size.revisions)))
    current = [item for item in sets if item["spec"]["replicas"]]
    post("services", (_service(workload) for workload in range(size.workloads)))

    def run(pod: Object) -> Object:  # a replaced status costs the server half of a patched one
        made = api.call("POST", path, pod)
        found: Object = api.call("PUT", f"{path}/{made['metadata']['name']}/status", {**made, "status": pod["status"]})
        return found

    post("pods", (_pod(current[pod // size.pods_per_workload], pod, size) for pod in range(size.pods)), run)
    made = api.list("pods", NAMESPACE)
    post("endpointslices", _slices(made, size))
    return counts


def filled(programs: Path, size: Size | None = None, say: Callable[[str], None] = print) -> Path:
    """Data folder of an etcd with the cluster in it, made now if need be; for `ControlPlane(etcd_data=…)`."""
    size = size or Size()
    sources = cache.digest(*(Path(__file__).with_name(f"{name}.py") for name in ("bulk", "objects", "pods")))
    name = f"{programs.name}-{'-'.join(map(str, astuple(size)))}-{sources}"

    def make(folder: Path) -> None:
        began = time.monotonic()
        with ControlPlane(programs, controllers=()) as plane:
            fill(plane, size, say)
            plane.etcd.compact()
            plane.etcd.defragment()
            stop_all([plane.apiserver.daemon], ENDING)
            stop_all([plane.etcd.daemon], ENDING)
            shutil.copytree(plane.etcd.data, folder, dirs_exist_ok=True)
        say(f"the cluster was made in {time.monotonic() - began:.0f} s, once on this machine")

    return cache.ensure(cache.home() / "clusters" / name, make)


def _labels(workload: int) -> dict[str, str]:
    return {"app": f"app-{workload}", "team": f"team-{workload % 40}", "app.kubernetes.io/name": f"app-{workload}"}


def _pod_spec(workload: int) -> Object:
    variables = [
        {"name": f"SETTING_{n}", "value": f"https://setting-{n}.example.org/path/{workload}"} for n in range(20)
    ]
    container = {
        "image": f"registry.example.org/team/app-{workload}:1.2.3",
        "env": variables,
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
    }
    probe = {"httpGet": {"path": "/healthz", "port": 8080}}
    app = {"name": "app", **container, "ports": [{"containerPort": 8080, "name": "http"}], "readinessProbe": probe}
    return {"containers": [app, {"name": "sidecar", **container}]}


def _template(workload: int, revision: int) -> Object:
    meta = {
        "labels": {**_labels(workload), "pod-template-hash": f"{revision:010x}"},
        "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"},
    }
    return {"metadata": meta, "spec": _pod_spec(workload)}


def _deployment(workload: int, size: Size) -> Object:
    template = _template(workload, size.revisions - 1)
    del template["metadata"]["labels"]["pod-template-hash"]
    spec = {
        "replicas": size.pods_per_workload,
        "revisionHistoryLimit": size.revisions - 1,
        "selector": {"matchLabels": {"app": f"app-{workload}"}},
        "template": template,
    }
    meta = {"labels": _labels(workload)}
    return objects.make("apps/v1", "Deployment", f"app-{workload}", NAMESPACE, meta=meta, spec=spec)


def _replica_set(deployment: Object, revision: int, size: Size) -> Object:
    name = deployment["metadata"]["name"]
    template = _template(int(name.rpartition("-")[2]), revision)
    labels = template["metadata"]["labels"]
    spec = {
        "replicas": size.pods_per_workload if revision == size.revisions - 1 else 0,
        "selector": {"matchLabels": {"app": name, "pod-template-hash": labels["pod-template-hash"]}},
        "template": template,
    }
    meta = {**objects.owned_by(deployment), "labels": labels}
    name = f"{name}-{labels['pod-template-hash']}"
    return objects.make("apps/v1", "ReplicaSet", name, NAMESPACE, meta=meta, spec=spec)


def _pod(replica_set: Object, pod: int, size: Size) -> Object:
    template = replica_set["spec"]["template"]
    meta = {**objects.owned_by(replica_set), **template["metadata"]}
    meta["generateName"] = f"{replica_set['metadata']['name']}-"
    name = f"{replica_set['metadata']['name']}-{pod:05d}"
    spec = {"nodeName": node_name(pod, size), **template["spec"]}
    made = objects.make("v1", "Pod", name, NAMESPACE, meta=meta, spec=spec)
    node = pod % size.nodes
    status = pods.running(made, [pod_address(pod)], f"172.20.{node // 250}.{node % 250 + 1}")
    return {**made, "status": status}


def _service(workload: int) -> Object:
    address = service_address(workload)
    return objects.service(NAMESPACE, f"app-{workload}", clusterIP=address, clusterIPs=[address])


def _slices(made: list[Object], size: Size) -> Iterable[Object]:
    by_app: dict[str, list[Object]] = {}
    for pod in made:
        by_app.setdefault(pod["metadata"]["labels"]["app"], []).append(pod)
    for app, own in by_app.items():
        meta = {"labels": {"kubernetes.io/service-name": app}, "generateName": f"{app}-"}
        endpoints = [
            {
                "addresses": [pod["status"]["podIP"]],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "nodeName": pod["spec"]["nodeName"],
                "targetRef": {"kind": "Pod", **{key: pod["metadata"][key] for key in ("namespace", "name", "uid")}},
            }
            for pod in own
        ]
        ports = [{"name": "main", "port": 8080, "protocol": "TCP"}]
        yield objects.make("discovery.k8s.io/v1", "EndpointSlice", f"{app}-slice", NAMESPACE, meta=meta,
                           addressType="IPv4", ports=ports, endpoints=endpoints)  # fmt: skip
