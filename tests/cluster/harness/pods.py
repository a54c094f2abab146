"""Plays scheduler and kubelet: binds pods to a Node object and writes the status that a kubelet would write."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.kube_api import KubeApi
    from harness.objects import Object

NODE = "node-a"


def now(offset: float = 0) -> str:
    """The present, so many seconds later, as the API writes times."""
    time = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=offset)
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def running(pod: Object, ips: Sequence[str], node_ip: str = "", *, ready: bool = True) -> Object:
    """Status of a pod whose containers run.

    Args:
        pod: The pod, for the names of its containers.
        ips: Its addresses, at most one of each family; with `hostNetwork` those of the node.
        node_ip: Address of its node.
        ready: Whether it is ready, which is what puts it into EndpointSlices.
    """
    started = now()
    word = "True" if ready else "False"
    conditions = [
        {"type": kind, "status": word if "Ready" in kind else "True", "lastTransitionTime": started}
        for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    ]
    return {
        "phase": "Running",
        "conditions": conditions,
        "hostIP": node_ip or ips[0],
        "podIP": ips[0],
        "podIPs": [{"ip": ip} for ip in ips],
        "startTime": started,
        "containerStatuses": [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": "",
                "ready": ready,
                "restartCount": 0,
                "state": {"running": {"startedAt": started}},
            }
            for container in pod["spec"]["containers"]
        ],
    }


def ended(pod: Object, phase: str = "Succeeded") -> Object:
    """Status of a pod whose containers ended now; its addresses stay in it, as a kubelet leaves them."""
    state = {"terminated": {"exitCode": 0 if phase == "Succeeded" else 1, "finishedAt": now(), "startedAt": now()}}
    statuses = [{**status, "ready": False, "state": state} for status in pod["status"]["containerStatuses"]]
    conditions = [
        {**condition, "status": "False"} if "Ready" in condition["type"] else condition
        for condition in pod["status"]["conditions"]
    ]
    return {"phase": phase, "containerStatuses": statuses, "conditions": conditions}


def bind(api: KubeApi, pod: Object, node: str = NODE) -> None:
    """Say which node runs a pod, as the scheduler does."""
    meta = pod["metadata"]
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": meta["name"]},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    }
    api.call("POST", f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/binding", binding)


def run_pod(api: KubeApi, pod: Object, *ips: str, node: str = NODE, ready: bool = True, node_ip: str = "") -> Object:
    """Post a pod that is bound to a node and runs with these addresses; returns it as the server has it."""
    bound = {**pod, "spec": {"nodeName": node, **pod["spec"]}}
    made = api.create(bound)
    return api.set_status(made, running(made, ips, node_ip, ready=ready))


def run_pods_of(
    api: KubeApi, namespace: str, app: str, ips: Iterable[str | Sequence[str]], *, node: str = NODE
) -> list[Object]:
    """Wait for as many pending pods labelled `app` as there are addresses, bind them and let them run.

    Args:
        api: Client that may do this.
        namespace: Their namespace.
        app: Value of their label `app`, which a controller copied from its template.
        ips: Address of each, or addresses of both families.
        node: Node to bind them to.
    """
    wanted = [[entry] if isinstance(entry, str) else list(entry) for entry in ips]

    def pending() -> list[Object]:
        found = api.list("pods", namespace, labelSelector=f"app={app}")
        found = [pod for pod in found if not pod["spec"].get("nodeName")]
        return found if len(found) >= len(wanted) else []

    made = []
    for pod, addresses in zip(api.wait(f"{len(wanted)} pods of {app}", pending), wanted, strict=False):
        bind(api, pod, node)
        made.append(api.set_status(pod, running(pod, addresses)))
    return made


def end_pod(api: KubeApi, pod: Object, phase: str = "Succeeded") -> Object:
    """Let a pod's containers end; `phase` is Succeeded or Failed."""
    return api.set_status(pod, ended(pod, phase))


def addresses_of(api: KubeApi, namespace: str, service: str) -> dict[str, Any]:
    """Ready addresses of a service, by the real controller's EndpointSlices: address to name of its pod."""
    slices = api.list("endpointslices", namespace, labelSelector=f"kubernetes.io/service-name={service}")
    return {
        address: endpoint.get("targetRef", {}).get("name")
        for item in slices
        for endpoint in item.get("endpoints") or []
        if endpoint.get("conditions", {}).get("ready")
        for address in endpoint["addresses"]
    }
