"""Writes metrics in the Prometheus text format, version 0.0.4.

By hand, because the client library would be the second largest thing in the sniffer's memory and all that is needed is
a page of text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from network_mapper.agent.reporter import Reporter

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metric(msgspec.Struct):
    """One family: a name, what it means, and its samples as (labels, value)."""

    name: str
    type: Literal["counter", "gauge"]
    help: str
    samples: list[tuple[dict[str, str], float]]


def exposition(metrics: Iterable[Metric]) -> bytes:
    """The page that a scrape gets."""
    lines = []
    for metric in metrics:
        lines.append(f"# HELP {metric.name} {_escape(metric.help)}")
        lines.append(f"# TYPE {metric.name} {metric.type}")
        for labels, value in metric.samples:
            inside = ",".join(f'{name}="{_escape_value(text)}"' for name, text in labels.items())
            lines.append(f"{metric.name}{{{inside}}} {value}" if inside else f"{metric.name} {value}")
    return ("\n".join(lines) + "\n").encode()


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _escape_value(text: str) -> str:
    return _escape(text).replace('"', r"\"")


def of_reporter(reporter: Reporter, prefix: str, version: str) -> list[Metric]:
    """What every agent tells about its reports.

    Args:
        reporter: Asked while nobody changes it.
        prefix: Begins every name: `network_mapper_sniffer`.
        version: Of the program.
    """
    totals, fold = reporter.totals, reporter.fold

    def one(name: str, kind: Literal["counter", "gauge"], text: str, value: float) -> Metric:
        return Metric(f"{prefix}_{name}", kind, text, [({}, value)])

    return [
        Metric(f"{prefix}_build_info", "gauge", "Always 1; the version is in the label.", [({"version": version}, 1)]),
        Metric(
            f"{prefix}_seen_total",
            "counter",
            "Packets, or sockets, that a source has looked at.",
            [({"source": source.name}, source.seen) for source in reporter.sources],
        ),
        Metric(
            f"{prefix}_observations_total",
            "counter",
            "Events that a source has passed on.",
            [({"source": source.name}, source.passed) for source in reporter.sources],
        ),
        Metric(
            f"{prefix}_drops_total",
            "counter",
            "What was not passed on, by reason; the reason has its own unit.",
            [
                ({"reason": reason.value, "hop": reason.hop.value, "unit": reason.unit}, count)
                for reason, count in sorted(reporter.drops.items())
            ],
        ),
        Metric(
            f"{prefix}_wire",
            "gauge",
            "1 for the wire that is spoken to the mapper now, 0 for the other; graphql is without counts.",
            [({"wire": wire}, int(reporter.wire == wire)) for wire in ("native", "graphql")],
        ),
        Metric(
            f"{prefix}_capture",
            "gauge",
            "Always 1; how the node is watched is in the label.",
            [({"capture": reporter.capture}, 1)],
        ),
        one("reports_sent_total", "counter", "Reports that the mapper took.", totals.sent),
        one("rows_sent_total", "counter", "Rows in those reports.", totals.rows),
        one("reports_failed_total", "counter", "Tries that will be repeated with the same report.", totals.failed),
        one("reports_refused_total", "counter", "Reports that the mapper refused for good.", totals.refused),
        one(
            "last_report_timestamp_seconds",
            "gauge",
            "When the mapper last took a report; 0 when it never did.",
            totals.last_success / 1000,
        ),
        one("fold_keys", "gauge", "Different edges that wait to be reported.", fold.keys),
        one("fold_spans", "gauge", "Spans of these edges; each will be a row.", fold.spans),
        one("fold_told_keys", "gauge", "Edges that are remembered as reported lately.", fold.told),
    ]
