"""Starts the sniffer: live on this node, or on capture files."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from network_mapper.http_client import HttpClient, UrlError
from network_mapper.sniffer.settings import mapper_address
from network_mapper.sniffer.stop import Stop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from network_mapper.sniffer.settings import SnifferSettings

logger = logging.getLogger(__name__)

_CONNECTING = 3.0
"""Seconds: one lost packet is made up for after the first, and what takes longer than the second is never answered."""


def run(settings: SnifferSettings, pcap: Sequence[str] = ()) -> int:
    """Run the sniffer to its end; the caller has set up logging.

    Args:
        settings: What can be set.
        pcap: Capture files to play instead of watching this node.

    Returns:
        The exit code. Live: 0 after SIGTERM or SIGINT, 1 when there is nothing to watch or the packets were lost.
        Files: 0 when the mapper took everything, else 1.
    """
    try:
        client = HttpClient(mapper_address(settings), settings.calls_timeout, connect_timeout=_CONNECTING)
    except UrlError as error:
        logger.error("%s", error)  # noqa: TRY400  the message says it all
        return 1
    with Stop() as stop:
        if pcap:
            from network_mapper.sniffer.replay import Replay  # noqa: PLC0415  a node that watches plays no files

            return Replay(settings, client, stop).play(pcap)
        from network_mapper.sniffer.live import watch  # noqa: PLC0415  likewise the other way round

        return watch(settings, client, stop)
