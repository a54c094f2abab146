"""The mapper's own metrics, read from its state when they are asked for.

Nothing is counted twice: what the status document says and what Prometheus scrapes come from the same numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, UnknownMetricFamily
from prometheus_client.registry import Collector

from network_mapper import __version__
from network_mapper.model import Drop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client.core import Metric

    from network_mapper.mapper.clusters import Cluster
    from network_mapper.mapper.model_metrics import ModelCounters
    from network_mapper.mapper.state import State

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX = "network_mapper_mapper_"

_WATCH = {
    "lists": "Lists of Kubernetes objects begun",
    "watches": "Watches begun",
    "pages": "Pages of lists read",
    "events": "Watch events taken, without bookmarks",
    "repeats": "Events and listed objects that were no news",
    "malformed": "Objects and lines that could not be read",
    "discoveries": "How often the API was asked what it serves",
}


class StateCollector(Collector):
    """The state as metrics."""

    def __init__(self, state: State, counters: ModelCounters, cluster: Cluster, clock: Callable[[], int]) -> None:
        self._state = state
        self._counters = counters
        self._cluster = cluster
        self._clock = clock

    def collect(self) -> Iterable[Metric]:
        """Read the state."""
        state, now = self._state, self._clock()
        yield CounterMetricFamily(_PREFIX + "reports", "Reports received.", value=state.reports)
        yield CounterMetricFamily(_PREFIX + "rows", "Rows received in reports.", value=state.rows)
        yield CounterMetricFamily(_PREFIX + "rows_merged", "Rows that went into the map.", value=state.merged)
        yield GaugeMetricFamily(_PREFIX + "rows_waiting", "Rows of clients not yet told of.", value=state.waiting)
        drops = CounterMetricFamily(
            _PREFIX + "dropped", "What did not reach the map, by reason.", labels=["hop", "reason", "unit"]
        )
        for reason in Drop:
            if reason.hop in ("intake", "resolve", "graph"):
                drops.add_metric([reason.hop, reason.value, reason.unit], state.drops.get(reason, 0))
        yield drops
        yield GaugeMetricFamily(_PREFIX + "edges", "Edges in the map.", value=len(state.graph))
        connected = sum(state.coverage.is_connected(node, now) for node in state.coverage.sniffers)
        yield GaugeMetricFamily(_PREFIX + "sniffers_connected", "Sniffers heard of lately.", value=connected)
        for name, value in state.index.counts().items():
            yield GaugeMetricFamily(f"{_PREFIX}cluster_{name}", f"Known {name} of the cluster.", value=value)
        index = state.index
        yield GaugeMetricFamily(_PREFIX + "cluster_remembered_pods", "Pods that are gone.", value=index.remembered)
        yield CounterMetricFamily(
            _PREFIX + "cluster_forgotten_early", "Pods forgotten before their time.", value=index.forgotten_early
        )
        yield GaugeMetricFamily(
            _PREFIX + "cluster_names_ignored", "Pods whose naming annotation or label is no name.",
            value=index.names_ignored,
        )  # fmt: skip
        yield CounterMetricFamily(
            _PREFIX + "cluster_owner_kinds_left_out", "References to kinds of owners beyond those that are kept.",
            value=index.owner_kinds_left_out,
        )  # fmt: skip
        yield from self._watching()
        for name, value in self._counters.items():
            # Untyped, because a counter's name gets an ending that the model's names do not have.
            yield UnknownMetricFamily(name, "As of the Otterize network mapper, for its dashboards.", value=value)
        build = GaugeMetricFamily(_PREFIX + "build_info", "Always 1.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build

    def _watching(self) -> Iterable[Metric]:
        """What following the cluster has come to."""
        ready = not self._cluster.obstacle()
        yield GaugeMetricFamily(_PREFIX + "cluster_ready", "Whether addresses can be resolved.", value=ready)
        totals = self._cluster.totals()
        if totals is None:
            return
        for name, value in msgspec.structs.asdict(totals).items():
            if name != "errors":
                yield CounterMetricFamily(f"{_PREFIX}watch_{name}", f"{_WATCH[name]}.", value=value)
        errors = CounterMetricFamily(_PREFIX + "watch_errors", "Failures of lists and watches.", labels=["reason"])
        for reason, count in totals.errors.items():
            errors.add_metric([reason], count)
        yield errors


class Metrics:
    """The text that is scraped."""

    def __init__(self, state: State, counters: ModelCounters, cluster: Cluster, clock: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(StateCollector(state, counters, cluster, clock))
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def text(self) -> bytes:
        """Prometheus exposition format 0.0.4."""
        return generate_latest(self._registry)
