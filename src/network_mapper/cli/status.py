"""`network-mapper status`: what watches, what reports, and what did not reach the map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from network_mapper.cli.command import Command, output_option
from network_mapper.cli.console import notice, state
from network_mapper.cli.options import connection_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from network_mapper.cli.sources.base import Connection
    from network_mapper.wire.api import SenderStatus, SnifferStatus, Status

_EXAMPLES = [
    ("status", "for people"),
    ("status -o wide", "also what each way of watching saw, and each kind of object that is read of the cluster"),
    ("status -o json", "for a program, as the mapper answers it (times in milliseconds since the epoch)"),
]
_SKEW = 1_000
"""Milliseconds by which a node's clock may differ from the mapper's before it is worth a word."""


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _mapper(status: Status, where: str) -> list[str]:
    from network_mapper.cli.empty import describe_drop, is_rows  # noqa: PLC0415  --help needs no model
    from network_mapper.export.labels import clean  # noqa: PLC0415  likewise
    from network_mapper.export.times import age, rfc3339  # noqa: PLC0415  likewise

    if status.watching_since:
        since = f"watching since {rfc3339(status.watching_since)} ({age(status.now - status.watching_since)})"
    else:
        since = "nobody watches yet"
    lines = [
        f"Mapper {clean(status.version)} at {where}",
        f"  Map: {_plural(status.edges, 'edge')}, {since}",
        f"  Store: {clean(status.store)}, epoch {status.epoch}"
        + (f", emptied {age(status.now - status.reset_at)} ago" if status.reset_at else ""),
    ]
    dropped = sum(count for reason, count in status.drops.items() if is_rows(reason))
    waiting = f" + {status.waiting} waiting" if status.waiting else ""
    lines.append(f"  Rows: {status.rows} received = {status.merged} merged + {dropped} dropped{waiting}")
    lines += [f"    {describe_drop(reason, count)}" for reason, count in sorted(status.drops.items()) if count]
    return lines


def _cluster(status: Status) -> list[str]:
    from network_mapper.export.labels import clean  # noqa: PLC0415  --help needs no model

    cluster = status.cluster
    counts = (
        *((_plural(cluster.namespaces, "namespace"),) if cluster.namespaces else ()),
        _plural(cluster.pods, "pod"),
        _plural(cluster.services, "service"),
        _plural(cluster.nodes, "node"),
        _plural(cluster.workloads, "workload"),
    )
    domain = f", domain {clean(cluster.domain)}" if cluster.domain else ""
    lines = [f"Cluster: {clean(cluster.source)}{domain}", f"  {', '.join(counts)}"]
    if not cluster.ready:
        lines.append("  Not read yet: no report is taken until it is")
    if cluster.resources:
        states: dict[str, int] = {}
        for resource in cluster.resources:
            states[resource.state] = states.get(resource.state, 0) + 1
        told = ", ".join(f"{count} {clean(name)}" for name, count in sorted(states.items()))
        lines.append(f"  {len(cluster.resources)} kinds of objects: {told}")
    return lines + [f"  Problem: {clean(problem)}" for problem in cluster.problems]


def _version(sniffer: SnifferStatus, mapper: str) -> str:
    """Program and version of a sniffer, marked where the mapper has another version."""
    from network_mapper.export.labels import clean  # noqa: PLC0415  --help needs no model

    version = sniffer.version or sniffer.agent.partition("/")[2]
    mark = f" (mapper: {clean(mapper)})" if version and version != mapper else ""
    return (clean(sniffer.agent) or "-") + mark


def _indented(header: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[int]) -> list[str]:
    from network_mapper.export import table  # noqa: PLC0415  --help needs none

    return ["  " + line for line in table.render(header, rows, right, headers=state().headers).splitlines()]


def _ago(then: int, now: int) -> str:
    from network_mapper.export.times import ago  # noqa: PLC0415  --help needs none

    return ago(then, now)


def _sniffers(status: Status) -> list[str]:
    from network_mapper.cli.empty import describe_drop  # noqa: PLC0415  --help needs no model
    from network_mapper.export.labels import clean, named  # noqa: PLC0415  likewise
    from network_mapper.export.times import age  # noqa: PLC0415  likewise

    connected = sum(sniffer.connected for sniffer in status.sniffers)
    lines = [f"Sniffers: {connected} of {len(status.sniffers)} connected" if status.sniffers else "Sniffers: none yet"]
    if status.sniffers:
        rows = [
            (
                named(sniffer.node),
                "connected" if sniffer.connected else "silent",
                _ago(sniffer.last_report, status.now),
                str(sniffer.reports),
                clean(sniffer.capture) or "-",
                _version(sniffer, status.version),
            )
            for sniffer in status.sniffers
        ]
        lines += _indented(("NODE", "STATE", "LAST REPORT", "REPORTS", "CAPTURE", "AGENT"), rows, frozenset({2, 3}))
    lines += _lesser_ways(status.sniffers)
    for sniffer in status.sniffers:
        if abs(sniffer.clock_ahead) > _SKEW:
            direction = "ahead of" if sniffer.clock_ahead > 0 else "behind"
            lines.append(
                f"  The clock of {named(sniffer.node)} is {age(abs(sniffer.clock_ahead))} {direction} the mapper's"
            )
        lost = [describe_drop(reason, count) for reason, count in sorted(sniffer.drops.items()) if count]
        if lost:
            lines.append(f"  Not reported by {clean(sniffer.node)}:")
            lines += [f"    {line}" for line in lost]
    return lines


def _lesser_ways(sniffers: Sequence[SnifferStatus]) -> list[str]:
    """Who does not watch in the best way, and why; nodes with the same reason share a line."""
    from network_mapper.cli.empty import some  # noqa: PLC0415  --help needs no model
    from network_mapper.export.labels import clean  # noqa: PLC0415  likewise

    nodes: dict[tuple[str, str], list[str]] = {}
    for sniffer in sniffers:
        if sniffer.capture_reason:
            nodes.setdefault((sniffer.capture, sniffer.capture_reason), []).append(sniffer.node)
    return [
        f"  Watched through {clean(capture)} alone: {some(names)} ({clean(reason)})"
        for (capture, reason), names in nodes.items()
    ]


def _senders(senders: Sequence[SenderStatus], now: int) -> list[str]:
    """Who reports in the model's GraphQL."""
    if not senders:
        return []
    from network_mapper.export.labels import clean  # noqa: PLC0415  --help needs no model

    rows = [
        (
            clean(sender.address) or "-",
            clean(sender.node) or "-",
            clean(sender.workload) or "-",
            "watches" if sender.watches else "-",
            _ago(sender.last_report, now),
            str(sum(sender.reports.values())),
            clean(sender.agent) or "-",
        )
        for sender in senders
    ]
    header = ("ADDRESS", "NODE", "WORKLOAD", "STATE", "LAST REPORT", "REPORTS", "AGENT")
    return [f"Reports in GraphQL: from {_plural(len(senders), 'sender')}", *_indented(header, rows, frozenset({4, 5}))]


def _nodes(status: Status) -> list[str]:
    """Which nodes are watched, as far as the mapper knows the cluster's nodes."""
    from network_mapper.export.labels import clean  # noqa: PLC0415  --help needs no model

    total = len(status.uncovered_nodes) + len(status.covered_nodes)  # without those that no sniffer can watch
    if not total:
        return []
    lines = [f"Nodes: {total - len(status.uncovered_nodes)} of {total} watched"]
    by_reason: dict[str, list[str]] = {}
    for node in status.uncovered_nodes:
        by_reason.setdefault(status.installation.reasons.get(node, ""), []).append(clean(node))
    for reason, nodes in by_reason.items():
        lines.append(f"  Without a sniffer: {', '.join(nodes)}{f' ({clean(reason)})' if reason else ''}")
    return lines


def _installation(status: Status) -> list[str]:
    """How this is installed in the cluster, where the mapper knows."""
    from network_mapper.export.labels import clean  # noqa: PLC0415  --help needs no model

    installed = status.installation
    level = f", which enforces PodSecurity {clean(installed.pod_security)}" if installed.pod_security else ""
    lines = [f"  Mapper in namespace {clean(installed.namespace)}{level}"] if installed.namespace else []
    lines += [
        f"  DaemonSet {clean(one.namespace)}/{clean(one.name)}: {one.desired} wanted, {one.scheduled} there, "
        f"{one.ready} ready"
        for one in installed.sniffer_sets
    ]
    lines += [f"  Problem: {clean(problem)}" for problem in installed.problems]
    return ["Installed:", *lines] if lines else []


def _sources(status: Status) -> list[str]:
    from network_mapper.export.labels import clean, named  # noqa: PLC0415  --help needs no model

    rows = [
        (named(sniffer.node), clean(name), str(seen))
        for sniffer in status.sniffers
        for name, seen in sorted(sniffer.sources.items())
    ]
    return (
        ["Seen by each way of watching:", *_indented(("NODE", "SOURCE", "SEEN"), rows, frozenset({2}))] if rows else []
    )


def _resources(status: Status) -> list[str]:
    """What is read of the cluster, kind by kind."""
    from network_mapper.export.labels import clean  # noqa: PLC0415  --help needs no model

    if not status.cluster.resources:
        return []
    rows = [
        (
            clean(resource.resource),
            clean(resource.state),
            str(resource.objects),
            str(resource.lists),
            str(resource.events),
            str(resource.errors),
            str(resource.malformed),
            _ago(resource.last_event, status.now),
        )
        for resource in status.cluster.resources
    ]
    header = ("RESOURCE", "STATE", "OBJECTS", "LISTS", "EVENTS", "ERRORS", "MALFORMED", "LAST HEARD")
    lines = ["Read of the cluster:", *_indented(header, rows, frozenset({2, 3, 4, 5, 6, 7}))]
    for resource in status.cluster.resources:
        if resource.last_error:
            lines.append(f"  {clean(resource.resource)}: {clean(resource.last_error)}")
        if resource.grant:
            lines.append(f"  To read {clean(resource.resource)}, grant: {clean(resource.grant)}")
    return lines


def render(status: Status, where: str, *, wide: bool = False) -> str:
    """The status as text for people; `where` the mapper answered, and with `wide` what each part has seen and read."""
    lines = [*_mapper(status, where), *_cluster(status), *_sniffers(status), *_senders(status.senders, status.now)]
    lines += [*_nodes(status), *_installation(status)]
    if wide:
        lines += [*_sources(status), *_resources(status)]
    return "\n".join(lines) + "\n"


@click.command(cls=Command, examples=_EXAMPLES)
@output_option("text", "json", "yaml", "wide")
@connection_options
def command(output: str, connection: Connection) -> None:
    """Show what watches, what reports, and what did not reach the map.

    Every row that a sniffer reported is either merged into the map or dropped for one of the reasons listed, so the
    numbers add up; for a minute at most, some wait until the API tells whose address their client's is. A node without
    a sniffer is named: what runs there is missing from the map as a client.

    A saved map, and a mapper that knows only the GraphQL of the Otterize network mapper, have no status; to ask for it
    is an error (exit code 1).
    """
    from network_mapper import __version__  # noqa: PLC0415  as the others
    from network_mapper.cli.sources.open import open_source  # noqa: PLC0415  --help needs no HTTP client
    from network_mapper.export import encode  # noqa: PLC0415  likewise

    with open_source(connection) as source:
        status = source.status()
    match output:
        case "json":
            text = encode.to_json(status)
        case "yaml":
            text = encode.to_yaml(status)
        case _:
            text = render(status, source.where, wide=output == "wide")
    click.echo(text, nl=False)
    if status.version != __version__:
        notice(
            f"This command line is version {__version__} and the mapper {status.version}: what only one of them knows "
            "is not shown."
        )
