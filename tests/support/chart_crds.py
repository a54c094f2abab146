"""Definitions of the resources that the chart can make and that Kubernetes itself does not know.

Fields are those that the Prometheus operator (monitoring.coreos.com/v1) and OpenShift (security.openshift.io/v1)
publish, as far as the chart uses them, so that a server which is strict about fields refuses others.
"""

from __future__ import annotations

from typing import Any

TEXT = {"type": "string"}
SWITCH = {"type": "boolean"}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _list(items: Any = TEXT) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _definition(
    group: str, kind: str, plural: str, schema: dict[str, Any], *, namespaced: bool = True
) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{group}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, of the tests"},
        },
        "spec": {
            "group": group,
            "scope": "Namespaced" if namespaced else "Cluster",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "object", **schema}},
                }
            ],
        },
    }


_SELECTOR = _object(matchLabels={"type": "object", "additionalProperties": TEXT})
_ENDPOINTS = _list(_object(port=TEXT, path=TEXT, interval=TEXT, scrapeTimeout=TEXT))
_STRATEGY = _object(type=TEXT)
_SWITCHES = [
    "allowHostDirVolumePlugin",
    "allowHostIPC",
    "allowHostNetwork",
    "allowHostPID",
    "allowHostPorts",
    "allowPrivilegeEscalation",
    "allowPrivilegedContainer",
    "readOnlyRootFilesystem",
]
_LISTS = ["allowedCapabilities", "defaultAddCapabilities", "requiredDropCapabilities", "seccompProfiles", "volumes",
          "groups", "users"]  # fmt: skip
_STRATEGIES = ["fsGroup", "runAsUser", "seLinuxContext", "supplementalGroups"]

DEFINITIONS = [
    _definition(
        "monitoring.coreos.com",
        "ServiceMonitor",
        "servicemonitors",
        _object(spec=_object(selector=_SELECTOR, endpoints=_ENDPOINTS)),
    ),
    _definition(
        "monitoring.coreos.com",
        "PodMonitor",
        "podmonitors",
        _object(spec=_object(selector=_SELECTOR, podMetricsEndpoints=_ENDPOINTS)),
    ),
    _definition(
        "security.openshift.io",
        "SecurityContextConstraints",
        "securitycontextconstraints",
        _object(
            **dict.fromkeys(_SWITCHES, SWITCH),
            **{name: _list() for name in _LISTS},
            **dict.fromkeys(_STRATEGIES, _STRATEGY),
        ),
        namespaced=False,
    ),
]
