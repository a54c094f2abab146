"""CoreDNS, as a Deployment and a dual-stack Service of the cluster."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from harness import images, objects
from harness.network import GATEWAY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.objects import Object

NAMESPACE = "kube-system"
NAME = "coredns"
OUTSIDE = "outside.example.org"
"""A name outside the cluster, which is the control plane's address in the nodes' network."""

COREFILE = f"""\
.:53 {{
    errors
    health {{
        lameduck 1s
    }}
    ready
    hosts {{
        {GATEWAY[0]} {OUTSIDE}
        {GATEWAY[1]} {OUTSIDE}
        fallthrough
    }}
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        pods insecure
        ttl 5
        fallthrough in-addr.arpa ip6.arpa
    }}
    prometheus :9153
    cache 5
    reload 5s 2s
    loadbalance
}}
"""


def addresses(services: Sequence[str]) -> tuple[str, ...]:
    """Addresses of the service, the tenth of each block."""
    return tuple(str(ipaddress.ip_network(block)[10]) for block in services)


def manifests(services: Sequence[str]) -> list[Object]:
    """Everything it needs, in order.

    Args:
        services: Blocks of the services' addresses.
    """
    labels = {"k8s-app": "kube-dns"}
    rules = [
        {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]
    rbac = "rbac.authorization.k8s.io"
    role = {"apiGroup": rbac, "kind": "ClusterRole", "name": f"system:{NAME}"}
    subject = {"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}
    ports: list[dict[str, Any]] = [
        {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
    ]
    container = {
        "name": NAME,
        "image": images.COREDNS,
        "ports": [
            {"containerPort": port["port"], "name": port["name"], "protocol": port["protocol"]} for port in ports
        ],
        "resources": {"requests": {"cpu": "50m", "memory": "70Mi"}, "limits": {"memory": "170Mi"}},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns"}],
    }
    pod = {
        "serviceAccountName": NAME,
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        # With a node that is lost, names are soon resolved again.
        "tolerations": [{"key": f"node.kubernetes.io/{what}", "operator": "Exists", "effect": "NoExecute",
                         "tolerationSeconds": 5} for what in ("not-ready", "unreachable")],
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": NAME}}],
    }  # fmt: skip
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    own = addresses(services)
    service = {
        "selector": labels,
        "ports": ports,
        "clusterIP": own[0],
        "clusterIPs": list(own),
        "ipFamilyPolicy": "PreferDualStack",
    }
    return [
        objects.make("v1", "ServiceAccount", NAME, NAMESPACE),
        objects.make(f"{rbac}/v1", "ClusterRole", role["name"], rules=rules),
        objects.make(f"{rbac}/v1", "ClusterRoleBinding", role["name"], roleRef=role, subjects=[subject]),
        objects.make("v1", "ConfigMap", NAME, NAMESPACE, data={"Corefile": COREFILE}),
        objects.make("v1", "Service", "kube-dns", NAMESPACE, meta={"labels": labels}, spec=service),
        objects.make("apps/v1", "Deployment", NAME, NAMESPACE, meta={"labels": labels}, spec=spec),
    ]
