"""`network-mapper sniffer`: run the node agent."""

from __future__ import annotations

from typing import Any

import click

from network_mapper.cli.serve import serve_command
from network_mapper.sniffer.settings import SnifferSettings


def _run(settings: SnifferSettings, others: dict[str, Any]) -> int:
    from network_mapper.sniffer.run import run  # noqa: PLC0415  --help needs no capture

    return run(settings, others["pcap"])


command = serve_command(
    "sniffer",
    SnifferSettings,
    _run,
    text="""Run the node agent: see connections and DNS lookups, report them to a mapper.

    On a Linux node it needs the capability NET_RAW; without, it reads the kernel's tables of open sockets alone. With
    --pcap it reads captures instead, on any system, reports what is in them, and ends.
    """,
    examples=[
        ("sniffer --mapper-url http://mapper:9090", "on a node, as root"),
        ("sniffer --pcap monday.pcap --pcap tuesday.pcapng", "what was captured earlier"),
        ("sniffer --pcap -", "a capture from standard input, as tcpdump -w - writes it"),
    ],
    extra=[
        click.Option(
            ["--pcap"],
            multiple=True,
            metavar="FILE",
            help="Read this pcap or pcapng file instead of the node's packets; '-' is standard input. May be repeated.",
        )
    ],
)
