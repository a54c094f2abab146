"""Chooses how a node is watched: the best way that is allowed and works, and why no better one.

A way that is refused costs the sniffer that way and not its life: where packets may not be watched, the socket tables
still tell most of what is worth knowing. Which way it became goes into every report, since a map that was drawn from
tables alone lacks what a map from packets has.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from network_mapper.capture.sockets import SocketTables
    from network_mapper.capture.source import Source
    from network_mapper.sniffer.settings import SnifferSettings

logger = logging.getLogger(__name__)

SHARE: Final = 0.003
"""Share of a core that reading the socket tables may take where they are all there is."""
SHORTEST_INTERVAL: Final = 5.0
"""Seconds between two such readings, however cheap they are."""

_GRANT = (
    "packets cannot be watched without CAP_NET_RAW: run as root, or grant it with "
    "`setcap cap_net_raw+ep %s`, or in Kubernetes with securityContext.capabilities.add: [NET_RAW]"
)


class Ways(NamedTuple):
    """What watches.

    Attributes:
        packets: The packet ring, where it is had.
        sockets: The socket tables, where they are had.
        capture: The best of these, in the words of the setting; empty where there is none.
        reason: Why there is no better one; empty where there is none to be had.
    """

    packets: Source | None
    sockets: SocketTables | None
    capture: Literal["packets", "sockets", ""]
    reason: str


def open_ways(settings: SnifferSettings) -> Ways:
    """Try the ways of watching from the best that is wanted downwards; what fails is logged."""
    packets, reason = _packets(settings)
    tables = _tables(settings, alone=packets is None) if settings.enable_sockets else None
    if packets is not None:
        return Ways(packets, tables, "packets", "")
    if tables is None:
        return Ways(None, None, "", reason)
    logger.info("only the socket tables are watched: no lookups, and no connection that ends between two readings")
    return Ways(None, tables, "sockets", reason)


def _packets(settings: SnifferSettings) -> tuple[Source | None, str]:
    """The packets of this network namespace; or None and why, which the log says at length."""
    if settings.capture != "packets":
        return None, f"set to {settings.capture} (--capture)"
    if not (settings.enable_tcp or settings.enable_dns):
        return None, "packets are switched off (--no-enable-tcp, --no-enable-dns)"
    try:
        from network_mapper.capture.ring import RingSource  # noqa: PLC0415  it exists on Linux only

        return RingSource(size=settings.ring_size), ""
    except PermissionError:
        logger.error(_GRANT, os.path.realpath(sys.executable))  # noqa: TRY400  the trace would say less
        return None, "packets need CAP_NET_RAW"
    except OSError as error:
        reason = f"packets cannot be watched on this system: {error.strerror or error}"
        logger.error("%s", reason)  # noqa: TRY400  likewise
        return None, reason


def _tables(settings: SnifferSettings, *, alone: bool) -> SocketTables | None:
    try:
        from network_mapper.capture.sockets import LONGEST_INTERVAL, SocketTables  # noqa: PLC0415  likewise

        if settings.socket_interval:
            return SocketTables(settings.proc_dir, settings.socket_interval)
        if alone:
            return SocketTables(settings.proc_dir, SHORTEST_INTERVAL, SHARE)
        return SocketTables(settings.proc_dir, LONGEST_INTERVAL)
    except (OSError, AttributeError) as error:
        logger.error("socket tables cannot be read: %s", error)  # noqa: TRY400  likewise
        return None
