"""Names in ClientIntents: of workloads, and of the resources themselves.

A dot separates a name from its namespace there, so a workload's own dots become underscores, as the operator that reads
the resources expects. The name of the resource must be one that Kubernetes takes, which a workload's need not be: teams
name workloads with annotations, and jobs may bear the name of their image. What counts for the operator is the name
inside `spec`, so the resource's own may be bent.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container

_FOREIGN = re.compile(r"[^a-z0-9-]+", re.ASCII)
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_LONGEST = 253
_LONGEST_KIND = 63
_USUAL = ("Deployment", "StatefulSet", "DaemonSet")
"""The kinds that run for long. Of several workloads of one name, these keep it for their resource, in this order."""


def shown(name: str) -> str:
    """The name of a workload or service without dots."""
    return name.replace(".", "_")


def is_namespace(name: str) -> bool:
    """Whether a namespace may have this name (RFC 1123 label)."""
    return _LABEL.fullmatch(name) is not None


def rank(kind: str) -> tuple[int, str]:
    """What the kinds of one name are sorted by."""
    return (_USUAL.index(kind) if kind in _USUAL else len(_USUAL), kind)


def of_resource(workload: str, kind: str, taken: Container[str]) -> str:
    """A name for a client's resource (RFC 1123 subdomain), that is not yet taken in its namespace.

    It is the workload's where that will do. A second workload of the name gets its kind behind it, `api-cronjob`.
    """
    name = _bent(workload) or "workload"
    if name not in taken:
        return name
    ending = _bent(kind)[:_LONGEST_KIND]
    candidate = f"{name[: _LONGEST - len(ending) - 1]}-{ending}" if ending else name
    number = 1
    while candidate in taken:
        number += 1
        candidate = f"{name[: _LONGEST - len(ending) - len(str(number)) - 2]}-{ending or 'workload'}-{number}"
    return candidate


def _bent(name: str) -> str:
    return _FOREIGN.sub("-", name.lower())[:_LONGEST].strip("-")
