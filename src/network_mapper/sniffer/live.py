"""Watches this node until it is told to stop.

One thread waits for all sources at once and hands over what they saw every second; sending has a thread of its own. The
loop never waits for the mapper, for a disk or for another process, so that a full buffer is the only way to miss a
packet. When the mapper turns out to have forgotten everything, the connections that are still open are looked for and
handed over at once.
"""

from __future__ import annotations

import logging
import selectors
import time
from itertools import chain
from typing import TYPE_CHECKING

from network_mapper import __version__
from network_mapper.agent import metrics, observe
from network_mapper.agent.fold import Fold
from network_mapper.agent.reporter import Reporter, wall_clock
from network_mapper.agent.sender import Sender, steady_clock
from network_mapper.sniffer.alarm import Alarm
from network_mapper.sniffer.inputs import Input, all_drops, wanted_kinds
from network_mapper.sniffer.memory import keep_small
from network_mapper.sniffer.settings import AGENT, node_name
from network_mapper.sniffer.ways import open_ways

if TYPE_CHECKING:
    from network_mapper.http_client import HttpClient
    from network_mapper.model import Observation
    from network_mapper.sniffer.settings import SnifferSettings
    from network_mapper.sniffer.stop import Stop

logger = logging.getLogger(__name__)

PREFIX = "network_mapper_sniffer"

_SHORTEST_TURN = 0.2
"""Seconds between two hand-overs, however often the mapper forgets."""

_LAST_SENDING = 2.0
"""Seconds after a request to stop in which reports are still sent."""


def watch(settings: SnifferSettings, client: HttpClient, stop: Stop) -> int:
    """Run until `stop`, and return the exit code of the process: 0, or 1 when packets can no longer be watched."""
    keep_small()
    wanted = wanted_kinds(settings)
    ways = open_ways(settings)
    if not ways.capture:
        logger.error(
            "there is nothing to watch with: see above, switch a source on, or play a capture file with --pcap FILE"
        )
        return 1
    sockets = ways.sockets
    inputs = [Input(source, wanted) for source in (ways.packets, sockets) if source is not None]
    forgotten = Alarm()

    def on_forgotten() -> None:
        if sockets is not None:
            sockets.rescan(wall_clock())
        forgotten.ring()

    reporter = Reporter(
        Fold(settings.repeat_interval),
        node=node_name(settings),
        agent=AGENT,
        started=wall_clock(),
        heartbeat_interval=settings.heartbeat_interval,
        wire=settings.wire,
        on_forgotten=on_forgotten,
        capture=ways.capture,
        capture_reason=ways.reason,
    )
    reporter.set_sources([item.state() for item in inputs], all_drops(inputs))
    sender = Sender(reporter, client)
    sender.start()
    logger.info("watching", extra={"node": node_name(settings), "capture": ways.capture, "to": client.url})
    pulse = observe.Pulse(f"{AGENT} of {node_name(settings)}, reporting to {client.url}")
    servers = _serve(settings, sender, pulse)
    try:
        _loop(settings, inputs, sender, pulse, (stop, forgotten))
        _hand_over([item.flush(wall_clock()) for item in inputs], inputs, sender)
        sender.close()
        sender.finish(_LAST_SENDING)
    finally:
        for item in inputs:
            item.close()
        for server in servers:
            server.close()
        forgotten.close()
    return 0 if stop.requested else 1


def _serve(settings: SnifferSettings, sender: Sender, pulse: observe.Pulse) -> list[observe.PageServer]:
    def metrics_page() -> observe.Page:
        families = sender.look(lambda reporter: metrics.of_reporter(reporter, PREFIX, __version__))
        return observe.Page(metrics.exposition(families), content_type=metrics.CONTENT_TYPE)

    return observe.serve_pages(
        {"/healthz": settings.health_port, "/metrics": settings.metrics_port},
        {"/healthz": pulse.page, "/metrics": metrics_page},
    )


def _loop(
    settings: SnifferSettings,
    inputs: list[Input],
    sender: Sender,
    pulse: observe.Pulse,
    signals: tuple[Stop, Alarm],
) -> None:
    """Turn until the end is asked for or the source of packets has failed.

    A node whose packets are no longer watched must not look watched, so that failure ends the process; without the
    socket tables it goes on.
    """
    vital = inputs[0]
    stop, forgotten = signals
    with selectors.DefaultSelector() as selector:
        selector.register(stop, selectors.EVENT_READ, None)
        selector.register(forgotten, selectors.EVENT_READ, None)
        waiting = {item.name: selector.register(item.source.fileno(), selectors.EVENT_READ, item) for item in inputs}
        next_tick = last_tick = time.monotonic()
        while not stop.requested and not vital.failed:
            for key, _ in selector.select(max(0.0, next_tick - time.monotonic())):
                if key.data is not None:
                    key.data.read(wall_clock())
            if forgotten.silence():
                next_tick = min(next_tick, last_tick + _SHORTEST_TURN)
            if time.monotonic() >= next_tick:
                last_tick = time.monotonic()
                _hand_over([item.drain(wall_clock()) for item in inputs], inputs, sender)
                pulse.beat()
                next_tick = max(next_tick, time.monotonic() - settings.report_interval) + settings.report_interval
            for item in inputs:
                if item.failed and item.name in waiting:
                    selector.unregister(waiting.pop(item.name).fd)


def _hand_over(seen: list[list[Observation]], inputs: list[Input], sender: Sender) -> None:
    states, drops = [item.state() for item in inputs], all_drops(inputs)
    sender.feed(chain.from_iterable(seen), steady_clock(), wall_clock(), states, drops)
