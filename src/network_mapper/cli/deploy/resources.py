"""The kinds of objects an installation is made of: their paths in the API, and the order in which they come and go.

A table and no discovery: what is installed is known, and a user who may touch just these kinds needs no more rights.
"""

from __future__ import annotations

import urllib.parse
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping


class Resource(msgspec.Struct, frozen=True):
    """One kind of the API.

    Attributes:
        api_version: Such as `apps/v1`.
        kind: Such as `DaemonSet`.
        plural: As it stands in paths, such as `daemonsets`.
        namespaced: Whether its objects are in namespaces.
    """

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        """The API group; empty for the core's."""
        group, slash, _ = self.api_version.rpartition("/")
        return group if slash else ""

    @property
    def title(self) -> str:
        """How kubectl and roles name it, such as `daemonsets.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Path of a collection or an object; without a namespace that of all namespaces."""
        parts = ["apis" if "/" in self.api_version else "api", self.api_version]
        if self.namespaced and namespace:
            parts += ["namespaces", urllib.parse.quote(namespace, safe="")]
        parts.append(self.plural)
        if name:
            # Names of roles may hold colons, which stand in paths as they are.
            parts.append(urllib.parse.quote(name, safe=":"))
        if subresource:
            parts.append(subresource)
        return "/" + "/".join(parts)


_RBAC = "rbac.authorization.k8s.io/v1"
NAMESPACE = Resource("v1", "Namespace", "namespaces", namespaced=False)
DEPLOYMENT = Resource("apps/v1", "Deployment", "deployments")
DAEMON_SET = Resource("apps/v1", "DaemonSet", "daemonsets")
CLAIM = Resource("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
CLUSTER_ROLE = Resource(_RBAC, "ClusterRole", "clusterroles", namespaced=False)
POD = Resource("v1", "Pod", "pods")
EVENT = Resource("v1", "Event", "events")
NODE = Resource("v1", "Node", "nodes", namespaced=False)

IN_ORDER = (
    Resource("v1", "ServiceAccount", "serviceaccounts"),
    Resource("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", namespaced=False),
    CLUSTER_ROLE,
    Resource(_RBAC, "ClusterRoleBinding", "clusterrolebindings", namespaced=False),
    Resource(_RBAC, "RoleBinding", "rolebindings"),
    Resource("security.openshift.io/v1", "SecurityContextConstraints", "securitycontextconstraints", namespaced=False),
    Resource("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    Resource("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    CLAIM,
    Resource("v1", "Service", "services"),
    DEPLOYMENT,
    DAEMON_SET,
)
"""What is applied, in this order, and removed in the opposite one: nothing runs before it may read what it reads."""

_BY_KIND = {(found.api_version, found.kind): found for found in (*IN_ORDER, NAMESPACE)}


class UnknownKindError(ValueError):
    """An object is of a kind that no installation has."""


def resource_of(item: Mapping[str, Any]) -> Resource:
    """The resource of an object.

    Raises:
        UnknownKindError: It is none of an installation's.
    """
    try:
        return _BY_KIND[item["apiVersion"], item["kind"]]
    except KeyError:
        raise UnknownKindError(f"{item.get('apiVersion')} {item.get('kind')} is no kind of an installation") from None


def place(item: Mapping[str, Any]) -> int:
    """Where an object stands in the order of applying."""
    return IN_ORDER.index(resource_of(item))


def path_of(item: Mapping[str, Any]) -> str:
    """Path of an object."""
    meta = item["metadata"]
    return resource_of(item).path(meta.get("namespace", ""), meta["name"])


def title_of(item: Mapping[str, Any]) -> str:
    """How kubectl names an object, such as `deployment.apps/network-mapper`."""
    resource = resource_of(item)
    group = f".{resource.group}" if resource.group else ""
    return f"{resource.kind.lower()}{group}/{item['metadata']['name']}"
