"""Why a pod of an installation does not start, in words, and what to do about it.

Pure functions from what the API tells of pods, volumes and events to sentences; `rollout` asks for these. Kubernetes
spreads the reason over conditions, container states and events, and some of it, like the text of a registry, stands in
one of several places depending on its version.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from network_mapper.kube.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Object = dict[str, Any]

PULLING = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable",
     "ImageInspectError", "SignatureValidationFailed"}
)  # fmt: skip
"""Reasons of a container that waits for its image."""
_CONFIGURING = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_MOST_LINES = 3
_NO_NEWS = re.compile(
    r'^(?:Back-off pulling image "[^"]*"(?:: )?|(?:ErrImagePull|ErrImageNeverPull): |rpc error: code = \w+ desc = |'
    r'(?:[Ff]ailed to pull (?:and unpack )?image|failed to resolve (?:reference|image)|pull(?:ing)? image) "[^"]*": )+'
)
"""What stands before a registry's words: the image is named anyway."""


class Problem(msgspec.Struct, frozen=True, order=True):
    """Something that keeps a part from running.

    Attributes:
        part: `mapper` or `sniffers`.
        what: What is wrong, quoting Kubernetes.
        remedy: What to do.
        pods: Names of the pods that it concerns; empty where no pod exists yet.
        nodes: Where they are.
        container: Name of a container whose log says more; empty for none.
    """

    part: str
    what: str
    remedy: str
    pods: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    container: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from another, whatever it counts and whichever pods it names."""
        what = self.what
        for name in self.pods:
            what = what.replace(name, "")
        return self.part, "".join(letter for letter in what if not letter.isdigit())

    @property
    def text(self) -> str:
        """For people, on one line."""
        where = f" on {_few(self.nodes)}" if self.nodes else ""
        return f"{self.part}{where}: {self.what}. {self.remedy}"


def _few(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def gather(problems: Iterable[Problem]) -> list[Problem]:
    """One problem in place of those that differ by their pods alone."""
    found: dict[tuple[str, str], Problem] = {}
    for problem in problems:
        key = problem.key
        known = found.get(key)
        if known:
            problem = msgspec.structs.replace(  # noqa: PLW2901  the sum replaces the summand
                known,
                pods=known.pods + problem.pods,
                nodes=tuple(dict.fromkeys(known.nodes + problem.nodes)),
            )
        found[key] = problem
    return sorted(found.values())


def newest(events: Iterable[Object], *reasons: str) -> str:
    """The message of the newest event of these reasons, or of any warning; empty for none."""
    wanted = [event for event in events if (event.get("reason") in reasons if reasons else _warns(event))]
    last = max(wanted, key=_when, default=None)
    return one_line(last.get("message") or "") if last else ""


def _warns(event: Object) -> bool:
    return bool(event.get("type") == "Warning")


def _when(event: Object) -> str:
    series = event.get("series") or {}
    return str(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or "")


# Pods that are not made


def refused(part: str, message: str, namespace: str) -> Problem:
    """Why the API refuses to make pods, as a controller says it."""
    said = one_line(re.sub(r"^(?:\(combined from similar events\): )?(?:Error creating: )?", "", message)).rstrip(".")
    said = re.sub(r'^pods? "[^"]*" is forbidden: ', "", said)
    return Problem(part, f"Kubernetes refuses its pods: {said}", _refused_remedy(said, namespace))


def _refused_remedy(said: str, namespace: str) -> str:
    if "PodSecurity" in said:
        return (
            f"Allow them with --label-namespace, or 'kubectl label namespace {namespace} --overwrite "
            "pod-security.kubernetes.io/enforce=privileged'"
        )
    if "quota" in said:
        return f"'kubectl -n {namespace} describe quota' shows what is used; raise it, or use another --namespace"
    if "per Container" in said or "per Pod" in said or re.search(r"must be less than or equal to \w+ limit", said):
        return (
            f"The namespace bounds what containers ask for: 'kubectl -n {namespace} describe limitrange' shows how; "
            "widen that, or use another --namespace"
        )
    if "security context constraint" in said:
        return "OpenShift wants SecurityContextConstraints: --profile openshift has them"
    if "serviceaccount" in said.lower().replace(" ", ""):
        return "Install again to have the service account made anew"
    if "webhook" in said:
        return "A policy of this cluster decides that; ask those who run it to admit network-mapper"
    return f"'kubectl -n {namespace} get events' shows more"


# Pods that do not start


def pod_problem(  # noqa: PLR0917  what is known about a pod
    part: str, pod: Object, events: Sequence[Object], claims: Sequence[Object], claim_events: Sequence[Object],
    node: Object | None,
) -> Problem | None:  # fmt: skip
    """Why a pod is not ready; None where it is, or only on its way.

    Args:
        part: `mapper` or `sniffers`.
        pod: The pod.
        events: About it.
        claims: The PersistentVolumeClaims of its namespace that are its own.
        claim_events: About these.
        node: Its node, where it has one and it could be read.
    """
    meta, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    if meta.get("deletionTimestamp") or _true(status, "Ready"):
        return None
    say = _Sayer(part, meta, spec)
    for find in (_finished, _container, _unschedulable, _mounting, _node_away, _not_ready):
        found = find(say, _Facts(spec, status, events, claims, claim_events, node))
        if found:
            return found
    return None


class _Facts(msgspec.Struct):
    spec: Object
    status: Object
    events: Sequence[Object]
    claims: Sequence[Object]
    claim_events: Sequence[Object]
    node: Object | None


class _Sayer:
    """Makes problems of one pod."""

    def __init__(self, part: str, meta: Object, spec: Object) -> None:
        self.namespace = meta["namespace"]
        self.name = meta["name"]
        self.part = part
        self.nodes = (spec["nodeName"],) if spec.get("nodeName") else ()

    def __call__(self, what: str, remedy: str, container: str = "") -> Problem:
        return Problem(self.part, what.rstrip("."), remedy, (self.name,), self.nodes, container)

    @property
    def describe(self) -> str:
        return f"'kubectl -n {self.namespace} describe pod {self.name}' shows more"


def _condition(status: Object, kind: str) -> Object:
    return next((found for found in status.get("conditions") or () if found.get("type") == kind), {})


def _true(status: Object, kind: str) -> bool:
    return bool(_condition(status, kind).get("status") == "True")


def _finished(say: _Sayer, facts: _Facts) -> Problem | None:
    status = facts.status
    if status.get("phase") != "Failed" or not status.get("reason"):
        return None
    said = one_line(status.get("message") or "")
    return say(f"its pod ended as {status['reason']}{f' ({said})' if said else ''}", say.describe)


def _container(say: _Sayer, facts: _Facts) -> Problem | None:
    statuses = [*(facts.status.get("initContainerStatuses") or ()), *(facts.status.get("containerStatuses") or ())]
    for found in statuses:
        state = found.get("state") or {}
        waiting = state.get("waiting") or {}
        reason, said = waiting.get("reason") or "", one_line(waiting.get("message") or "")
        if reason in PULLING:
            return _pulling(say, found.get("image") or "", reason, said, facts.events)
        if reason in _CONFIGURING:
            return say(f"its container cannot be made ({reason}: {said})", say.describe)
        ended = state.get("terminated") or (found.get("lastState") or {}).get("terminated") or {}
        if reason == "CrashLoopBackOff" or (ended.get("exitCode") and not found.get("ready")):
            # What the program said last may stand in its status; else its log has it.
            container = "" if ended.get("message") else found["name"]
            return say(_crashed(ended, found.get("restartCount") or 0), _crash_remedy(say, ended), container)
    return None


def _pulling(say: _Sayer, image: str, reason: str, said: str, events: Sequence[Object]) -> Problem:
    if "fail" not in said.lower() and "not" not in said.lower():  # older kubelets tell the registry's words but once
        failed = [event for event in events if str(event.get("message")).startswith("Failed to pull image")]
        said = newest(failed, "Failed") or said
    said = _NO_NEWS.sub("", said)
    return say(f"the image {image} cannot be pulled ({said or reason})", _pull_remedy(reason, said.lower()))


def _pull_remedy(reason: str, said: str) -> str:
    other = "name another with --image"
    if reason == "ErrImageNeverPull":
        return f"The nodes may not pull it and do not have it: load it into their container runtime, or {other}"
    if reason == "InvalidImageName":
        return f"That is no image: {other}"
    if any(word in said for word in ("unauthorized", "authorization failed", "denied", "forbidden", "401", "403")):
        return (
            "The registry wants credentials, or does not know the image: name a secret with --image-pull-secret, or "
            + other
        )
    if "not found" in said or "manifest unknown" in said:
        return f"The registry has no such image: check repository and tag, or {other}"
    if any(word in said for word in ("no such host", "i/o timeout", "connection refused", "dial tcp", "unreachable")):
        return f"The nodes cannot reach the registry: copy the image to one that they reach, and {other}"
    if "x509" in said or "certificate" in said or "http response to https" in said:
        return f"The nodes do not trust the registry: give its certificate to their container runtime, or {other}"
    return f"Check that the nodes reach the registry, or {other}"


def _crashed(ended: Object, restarts: int) -> str:
    reason = ended.get("reason") or ""
    times = f", {restarts} time{'s' if restarts != 1 else ''}" if restarts else ""
    if reason == "OOMKilled":
        return f"its program needed more memory than it may have and was ended{times}"
    code = ended.get("exitCode")
    said = last_lines(ended.get("message") or "")
    if code is None:
        return "its program ends again and again"
    return f"its program ends at once with code {code}{times}{f'; its last words: {said}' if said else ''}"


def _crash_remedy(say: _Sayer, ended: Object) -> str:
    if ended.get("reason") == "OOMKilled":
        return "Give it more with the chart's values for resources; this command installs what the profile says"
    return f"'kubectl -n {say.namespace} logs {say.name} --previous' shows its log"


def last_lines(log: str) -> str:
    """The end of a log, as it is quoted."""
    lines = [line for line in log.splitlines() if line.strip()]
    return one_line(" | ".join(lines[-_MOST_LINES:]))


def _unschedulable(say: _Sayer, facts: _Facts) -> Problem | None:
    condition = _condition(facts.status, "PodScheduled")
    if condition.get("status") != "False":
        return None
    said = one_line(condition.get("message") or newest(facts.events, "FailedScheduling")).rstrip(".")
    if claim := _claim(say, facts):
        return claim
    if condition.get("reason") == "SchedulingGated":
        return say("its pod waits for a scheduling gate", say.describe)
    return say(f"no node takes its pod ({said})", _schedule_remedy(said))


def _schedule_remedy(said: str) -> str:
    if "free ports" in said:
        return (
            "Another program has the port of the sniffers' health there, perhaps a second installation: choose another "
            "with --sniffer-health-port"
        )
    if "Insufficient" in said:
        return "Make room on the nodes, or add one"
    if "taint" in said:
        return "'kubectl describe nodes' shows the taints; the chart's values have tolerations"
    if "affinity" in said or "selector" in said:
        return "It runs on nodes with Linux alone; 'kubectl get nodes -L kubernetes.io/os' shows them"
    return "'kubectl describe nodes' shows what they have to give"


def _claim(say: _Sayer, facts: _Facts) -> Problem | None:
    """Why the volume is not there, for a pod that waits for it."""
    for claim in facts.claims:
        if (claim.get("status") or {}).get("phase") == "Bound":
            continue
        name = claim["metadata"]["name"]
        said = newest(facts.claim_events, "FailedBinding", "ProvisioningFailed")
        storage_class = (claim.get("spec") or {}).get("storageClassName")
        if "no storage class is set" in said or (not said and not storage_class):
            return say(
                f"the volume claim {name} waits, for the cluster has no default storage class"
                f"{f' ({said})' if said else ''}",
                "Make one the default ('kubectl get storageclass'), or do without a volume: --profile default",
            )
        if said:
            return say(
                f"the volume claim {name} gets no volume ({said})",
                f"Check the storage class {storage_class}, or do without a volume: --profile default",
            )
    return None


_MOUNTS = ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "FailedMapVolume", "NetworkNotReady")


def _mounting(say: _Sayer, facts: _Facts) -> Problem | None:
    if facts.status.get("phase") != "Pending" or not facts.spec.get("nodeName"):
        return None
    said = newest(facts.events, *_MOUNTS)
    return say(f"its pod cannot be set up on the node ({said.rstrip('.')})", say.describe) if said else None


def _node_away(say: _Sayer, facts: _Facts) -> Problem | None:
    if facts.node is None or _true(facts.node.get("status") or {}, "Ready"):
        return None
    condition = _condition(facts.node.get("status") or {}, "Ready")
    said = one_line(condition.get("message") or condition.get("reason") or "")
    return say(
        f"its node is not ready{f' ({said})' if said else ''}",
        "It starts there when the node is back; 'kubectl describe nodes' shows more",
    )


def _not_ready(say: _Sayer, facts: _Facts) -> Problem | None:
    if facts.status.get("phase") != "Running":
        return None
    said = newest(facts.events, "Unhealthy")
    containers = facts.status.get("containerStatuses") or ()
    name = next((found["name"] for found in containers if not found.get("ready")), "")
    if not said or not name:
        return None
    return say(
        f"it runs, but is not ready ({said})", f"'kubectl -n {say.namespace} logs {say.name}' shows its log", name
    )
