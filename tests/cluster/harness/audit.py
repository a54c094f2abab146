"""The API server's audit log: who asked for what, without the cluster's own parts and the tests' admin.

A request that goes on, as a watch, is there from the moment its answer begins.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "userGroups": ["system:masters", "system:nodes", "system:serviceaccounts:kube-system"]},
        {"level": "None", "users": ["system:apiserver", "system:kube-scheduler", "system:kube-proxy"]},
        {"level": "Metadata"},
    ],
}  # fmt: skip


@dataclass(frozen=True)
class ApiRequest:
    """One request.

    Attributes:
        user: Name of the user, as `system:serviceaccount:NAMESPACE:NAME`.
        verb: As in a role: get, list, watch, create …
        uri: Path and query.
        group: API group of the resource, empty for the core one.
        resource: Its plural, with its subresource as `pods/log`; empty for a path that is none.
        namespace: Namespace, empty for all.
        name: Name of the object, if one was named.
        status: Status of the answer.
        agent: What the client calls itself.
    """

    user: str
    verb: str
    uri: str
    group: str
    resource: str
    namespace: str
    name: str
    status: int
    agent: str


def options(folder: Path) -> list[str]:
    """Flags of a kube-apiserver that keeps such a log.

    Args:
        folder: Where policy and log go.
    """
    policy = folder / "audit-policy.json"
    policy.write_text(json.dumps(POLICY))
    return [
        f"--audit-policy-file={policy}",
        f"--audit-log-path={folder / 'audit.log'}",
        "--audit-log-maxsize=50",
        "--audit-log-maxbackup=1",
    ]


def requests(folder: Path, user: str | None = None) -> list[ApiRequest]:
    """The requests so far, of all users or of one, in their order."""
    found: dict[str, ApiRequest] = {}
    for file in sorted(folder.glob("audit*.log"), key=lambda path: path.name == "audit.log"):
        for line in file.read_text().splitlines():
            try:
                event = json.loads(line)
            except ValueError:  # the line is being written
                continue
            request = _request(event)
            if user in (None, request.user):
                found[event["auditID"]] = request
    return list(found.values())


def _request(event: dict[str, Any]) -> ApiRequest:
    what = event.get("objectRef", {})
    sub = what.get("subresource")
    return ApiRequest(
        user=event["user"]["username"],
        verb=event["verb"],
        uri=event["requestURI"],
        group=what.get("apiGroup", ""),
        resource=what.get("resource", "") + (f"/{sub}" if sub else ""),
        namespace=what.get("namespace", ""),
        name=what.get("name", ""),
        status=event.get("responseStatus", {}).get("code", 0),
        agent=event.get("userAgent", ""),
    )
