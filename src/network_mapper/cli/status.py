"""`network-mapper status`: what watches, what reports, and what did not reach the map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from network_mapper.cli.command import Command, output_option
from network_mapper.cli.options import connection_options

if TYPE_CHECKING:
    from network_mapper.cli.sources.base import Connection
    from network_mapper.wire.api import SnifferStatus, Status

_EXAMPLES = [
    ("status", "for people"),
    ("status -o json", "for a program, as the mapper answers it (times in milliseconds since the epoch)"),
]


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _mapper(status: Status, url: str) -> list[str]:
    from network_mapper.cli.empty import describe_drop, is_rows  # noqa: PLC0415  --help needs no model
    from network_mapper.export.times import age, rfc3339  # noqa: PLC0415  likewise

    if status.watching_since:
        since = f"watching since {rfc3339(status.watching_since)} ({age(status.now - status.watching_since)})"
    else:
        since = "nobody watches yet"
    lines = [
        f"Mapper {status.version} at {url}",
        f"  Map: {_plural(status.edges, 'edge')}, {since}",
        f"  Store: {status.store}, epoch {status.epoch}"
        + (f", emptied {age(status.now - status.reset_at)} ago" if status.reset_at else ""),
    ]
    dropped = sum(count for reason, count in status.drops.items() if is_rows(reason))
    lines.append(f"  Rows: {status.rows} received = {status.merged} merged + {dropped} dropped")
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
        told = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        lines.append(f"  {len(cluster.resources)} kinds of objects: {told}")
    return lines + [f"  Problem: {clean(problem)}" for problem in cluster.problems]


def _row(sniffer: SnifferStatus, now: int) -> tuple[str, str, str, str, str, str]:
    from network_mapper.export.labels import clean  # noqa: PLC0415  --help needs no model
    from network_mapper.export.times import age  # noqa: PLC0415  likewise

    return (
        clean(sniffer.node),
        "connected" if sniffer.connected else "silent",
        age(now - sniffer.last_report) + " ago",
        str(sniffer.reports),
        clean(sniffer.agent) or "-",
        ", ".join(f"{clean(name)} {count}" for name, count in sorted(sniffer.sources.items())) or "-",
    )


def _sniffers(status: Status) -> list[str]:
    from network_mapper.cli.empty import describe_drop  # noqa: PLC0415  --help needs no model
    from network_mapper.export import table  # noqa: PLC0415  likewise
    from network_mapper.export.labels import clean  # noqa: PLC0415  likewise

    connected = sum(sniffer.connected for sniffer in status.sniffers)
    lines = [f"Sniffers: {connected} of {len(status.sniffers)} connected" if status.sniffers else "Sniffers: none yet"]
    if status.sniffers:
        header = ("NODE", "STATE", "LAST REPORT", "REPORTS", "AGENT", "SEEN BY SOURCE")
        rows = [_row(sniffer, status.now) for sniffer in status.sniffers]
        lines += ["  " + line for line in table.render(header, rows, right=frozenset({2, 3})).splitlines()]
    for sniffer in status.sniffers:
        lost = [describe_drop(reason, count) for reason, count in sorted(sniffer.drops.items()) if count]
        if lost:
            lines.append(f"  Not reported by {clean(sniffer.node)}:")
            lines += [f"    {line}" for line in lost]
    if status.uncovered_nodes:
        lines.append(f"Nodes without a sniffer: {', '.join(clean(node) for node in status.uncovered_nodes)}")
    return lines


def render(status: Status, url: str) -> str:
    """The status as text for people; `url` is where the mapper answered."""
    return "\n".join([*_mapper(status, url), *_cluster(status), *_sniffers(status)]) + "\n"


@click.command(cls=Command, examples=_EXAMPLES)
@output_option("text", "json", "yaml")
@connection_options
def command(output: str, connection: Connection) -> None:
    """Show what watches, what reports, and what did not reach the map.

    Every row that a sniffer reported is either merged into the map or dropped for one of the reasons listed, so the
    numbers add up. A node without a sniffer is named: what runs there is missing from the map as a client.
    """
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
            text = render(status, source.where)
    click.echo(text, nl=False)
