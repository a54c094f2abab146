"""Pods that really run, on nodes of a test's choice, made of busybox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness import images, objects

if TYPE_CHECKING:
    from harness.cluster import Cluster
    from harness.objects import Object

PORT = 8080
STARTING = 40.0
SERVE = f"hostname > /www/index.html; exec httpd -f -p {PORT} -h /www"
"""A web server that answers with its pod's name."""
WAIT = "trap exit TERM; while :; do sleep 3600 & wait; done"
"""Does nothing, and ends when asked."""


def container(script: str = WAIT, name: str = "app", **fields: Any) -> Object:
    """A container that runs a script of busybox's shell."""
    return {"name": name, "image": images.BUSYBOX, "command": ["sh", "-c", script], **fields}


def pod(namespace: str, name: str, script: str = WAIT, node: str | None = None, **spec: Any) -> Object:
    """A Pod of one such container; `spec` has more fields of its spec."""
    place = {"nodeName": node} if node else {}
    fields = {"containers": [container(script)], "terminationGracePeriodSeconds": 1, **place, **spec}
    return objects.pod(namespace, name, **fields)


def running(cluster: Cluster, *made: Object) -> list[Object]:
    """Post pods, wait until each is ready or has ended well, and return them as they are then.

    Raises:
        AssertionError: One is not in time; the message has its events.
    """
    for item in made:
        cluster.admin.create(item)
    return [wait(cluster, item["metadata"]["namespace"], item["metadata"]["name"]) for item in made]


def wait(cluster: Cluster, namespace: str, name: str, seconds: float = STARTING) -> Object:
    """Wait until a pod is ready or has ended well; returns it.

    Raises:
        AssertionError: It is not in time; the message has its events.
    """

    def found() -> Object | None:
        item = cluster.admin.get("pods", namespace, name)
        return item if ready(item) or item["status"]["phase"] == "Succeeded" else None

    try:
        result: Object = cluster.admin.wait(f"pod {namespace}/{name}", found, seconds)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{cluster.kubectl('describe', 'pod', '-n', namespace, name)}") from error
    return result


def ready(item: Object) -> bool:
    """Whether a pod is ready."""
    return any(c["type"] == "Ready" and c["status"] == "True" for c in item["status"].get("conditions", ()))


def addresses(item: Object) -> list[str]:
    """A pod's addresses, IPv4 and IPv6."""
    return [entry["ip"] for entry in item["status"].get("podIPs", ())]
