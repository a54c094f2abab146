"""The counters of the Otterize network mapper, by its names, for dashboards and alerts that know them.

They count what came through the GraphQL door: sightings that became durable as "reported", sightings that were refused
as "dropped". The model counts some of them twice, in two units; these are always sightings (for the clouds: pairs of a
client and a resource).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from network_mapper.wire.report import Client

_NAMES: Final = {
    "dns": ("dns_reported_connections", "dns_dropped_connections"),
    "tcp": ("tcp_reported_connections", "tcp_dropped_connections"),
    "socketscan": ("socketscan_reported_connections", "socketscan_dropped_connections"),
    "kafka": ("kafka_reported_topics", "kafka_dropped_topics"),
    "http": ("istio_reported_connections", "istio_dropped_connections"),
    "aws": ("aws_reports", "aws_dropped_reports"),
    "gcp": ("gcp_reports", "gcp_dropped_reports"),
    "azure": ("azure_reports", "azure_dropped_reports"),
}


class ModelCounters:
    """What is counted, by the model's names."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter({name: 0 for names in _NAMES.values() for name in names})

    def reported(self, clients: list[Client]) -> None:
        """Count rows that are durable."""
        self._add(clients, 0)

    def dropped(self, clients: list[Client]) -> None:
        """Count rows that were refused."""
        self._add(clients, 1)

    def items(self) -> list[tuple[str, int]]:
        """Every counter with its value, also those at zero."""
        return sorted(self._counts.items())

    def _add(self, clients: list[Client], which: int) -> None:
        calls = set()
        for client in clients:
            self._counts[_NAMES["dns"][which]] += len(client.lookups)
            self._counts[_NAMES["tcp"][which]] += len(client.connections)
            self._counts[_NAMES["socketscan"][which]] += len(client.sockets)
            for request in client.requests:
                if request.protocol in ("kafka", "http"):
                    self._counts[_NAMES[request.protocol][which]] += 1
                elif request.protocol in _NAMES:
                    calls.add((client.address, request.server, request.protocol))
        for _, _, protocol in calls:
            self._counts[_NAMES[protocol][which]] += 1
