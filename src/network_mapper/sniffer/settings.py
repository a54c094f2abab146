"""What can be set about the sniffer."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from network_mapper import __version__, http_client
from network_mapper.settings import port, seconds, setting

if TYPE_CHECKING:
    from collections.abc import Mapping

AGENT = f"network-mapper-sniffer/{__version__}"
"""What reports call this program."""

_SECONDS = msgspec.Meta(ge=0.05, le=86_400)


class SnifferSettings(msgspec.Struct):
    """Settings of `network-mapper sniffer`."""

    mapper_url: Annotated[
        str,
        setting(
            "Where the mapper is: http://HOST:PORT, https://… or unix:/path; /query at its end is left out.",
            "URL",
            model="mapper-api-url",
        ),
    ] = "http://localhost:9090"
    wire: Annotated[
        Literal["auto", "native", "graphql"],
        setting(
            "How to speak to the mapper: `native`, `graphql` as to the Otterize network mapper, or `auto`, which tries "
            "the first and falls back to the second."
        ),
    ] = "auto"
    node: Annotated[
        str, setting("Name of this node, as in Kubernetes; else $NODE_NAME, else the host's name.", "NAME")
    ] = ""
    capture: Annotated[
        Literal["packets", "sockets"],
        setting(
            "The best way of watching that is tried: `packets`, which takes the capability NET_RAW and is followed by "
            "`sockets` where it is refused, or `sockets`, the kernel's tables alone, which takes none and sees no "
            "lookups and no connection that ends between two readings."
        ),
    ] = "packets"
    report_interval: Annotated[
        float, seconds("Seconds between two reports of what is new.", model="sniffer-report-interval"), _SECONDS
    ] = 1.0
    repeat_interval: Annotated[float, seconds("Seconds after which what only repeats is reported again."), _SECONDS] = (
        30.0
    )
    heartbeat_interval: Annotated[
        float, seconds("Seconds of silence after which the mapper is told that all is well."), _SECONDS
    ] = 4.0
    calls_timeout: Annotated[
        float,
        seconds("Seconds to wait for the mapper: for each read, and to connect, three at most.", model="calls-timeout"),
        _SECONDS,
    ] = 10.0
    socket_interval: Annotated[
        float,
        seconds(
            "Seconds between two readings of all socket tables; 0 for 300 beside packets, and without them for as "
            "often as 0.3 % of a core allows, from 5 to 300."
        ),
        msgspec.Meta(ge=0, le=86_400),
    ] = 0.0
    enable_tcp: Annotated[bool, setting("Report TCP connections.", model="enable-tcp")] = True
    enable_dns: Annotated[bool, setting("Report DNS lookups.", model="enable-dns")] = True
    enable_sockets: Annotated[
        bool,
        setting("Report connections that were open before the sniffer started.", model="enable-socket-scanner"),
    ] = True
    ring_size: Annotated[
        int, setting("Size of the buffer that the kernel puts packets into.", "BYTES"), msgspec.Meta(ge=65_536)
    ] = 6 * 1024 * 1024
    proc_dir: Annotated[str, setting("Where the host's /proc is.", "PATH", model="host-proc-dir")] = "/proc"
    health_port: Annotated[
        str,
        port(
            "Where /healthz is served: a port, or one address of this node with it, as 127.0.0.1:9091; 0 for nowhere.",
            model="health-probes-port",
        ),
    ] = "0"
    metrics_port: Annotated[
        str, port("Where the Prometheus /metrics is served, likewise; 0 for nowhere.", model="metrics-port")
    ] = "0"
    replay_patience: Annotated[
        float, seconds("Seconds to wait for a mapper that takes no report, when playing capture files.")
    ] = 30.0


def node_name(settings: SnifferSettings, environ: Mapping[str, str] = os.environ) -> str:
    """The name that reports carry."""
    return settings.node or environ.get("NODE_NAME") or socket.gethostname()


def mapper_address(settings: SnifferSettings) -> str:
    """The mapper's address without the path of its GraphQL door, which each door adds by itself."""
    return http_client.mapper_address(settings.mapper_url)
