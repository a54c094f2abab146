"""What a shell offers for the value of an option: files, the kubeconfig's contexts, and names from the map.

It runs at every press of the completion key, so it is quick or silent: a mapper has LONGEST seconds to answer, and
whatever goes wrong on the way offers nothing. A message would be written into the line that a person is typing.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import click

    from network_mapper.model import Edge, Peer

LONGEST = 0.3
"""Seconds that the map may take."""
MOST = 200
"""Values that are offered."""
_FILES = frozenset({"FILE", "PATH"})
_FOLDERS = frozenset({"FOLDER", "DIRECTORY"})


def of(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """The values of an option that begin with what is typed."""
    if parameter.metavar in _FILES:
        return [CompletionItem(incomplete, type="file")]
    if parameter.metavar in _FOLDERS:
        return [CompletionItem(incomplete, type="dir")]
    find = _FINDERS.get(max(parameter.opts, key=len, default=""))
    if find is None:
        return []
    before, comma, typed = incomplete.rpartition(",")
    found = sorted(name for name in find(ctx) if name.startswith(typed))
    return [CompletionItem(f"{before}{comma}{name}") for name in found[:MOST]]


def _contexts(ctx: click.Context) -> set[str]:
    from network_mapper.kube import kubeconfig  # noqa: PLC0415  other options need none
    from network_mapper.kube.errors import KubeConfigError  # noqa: PLC0415  likewise

    given = ctx.params.get("kubeconfig") or ""
    files = [given] if given else [part for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    try:
        paths = [Path(file).expanduser() for file in files] or [Path.home() / ".kube" / "config"]
        return set(kubeconfig.load(paths, missing_ok=not given).contexts)
    except (KubeConfigError, OSError, RuntimeError):
        return set()


def _edges(ctx: click.Context) -> list[Edge]:
    """The map of the mapper that the command line names so far; empty when it does not answer in time."""
    from network_mapper.cli.sources.base import EVERYTHING, Connection  # noqa: PLC0415  other options need none
    from network_mapper.cli.sources.open import open_source  # noqa: PLC0415  likewise

    def given(name: str) -> Any:
        return ctx.params.get(name) or ""

    connection = Connection(
        given("mapper_url"),
        "" if given("map_file") == "-" else given("map_file"),
        given("kubeconfig"),
        given("context"),
        given("mapper_namespace"),
        given("mapper_service_name"),
        given("mapper_service_port") or 0,
    )
    answer: list[Edge] = []

    def ask() -> None:
        try:
            with open_source(connection) as source:
                answer.extend(source.map(EVERYTHING).edges)
        except Exception:  # noqa: BLE001  nothing that can go wrong belongs into the line that is being typed
            answer.clear()

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(LONGEST)
    return [] if asking.is_alive() else answer


def _peers(ctx: click.Context, ends: Callable[[Edge], Iterable[Peer]]) -> set[tuple[str, str]]:
    from network_mapper.model import Workload  # noqa: PLC0415  other options need none

    peers = (peer for edge in _edges(ctx) for peer in ends(edge))
    return {(peer.name, peer.namespace) for peer in peers if isinstance(peer, Workload)}


def _clients(ctx: click.Context) -> set[str]:
    return {f"{name}.{namespace}" for name, namespace in _peers(ctx, lambda edge: [edge.client])}


def _servers(ctx: click.Context) -> set[str]:
    return {f"{name}.{namespace}" for name, namespace in _peers(ctx, lambda edge: [edge.server])}


def _both(ctx: click.Context) -> set[str]:
    return {f"{name}.{namespace}" for name, namespace in _peers(ctx, lambda edge: [edge.client, edge.server])}


def _namespaces(ctx: click.Context) -> set[str]:
    return {namespace for _, namespace in _peers(ctx, lambda edge: [edge.client])}


_FINDERS: dict[str, Callable[[click.Context], set[str]]] = {
    "--context": _contexts,
    "--exclude-services": _both,
    "--from": _clients,
    "--namespaces": _namespaces,
    "--server": _servers,
    "--to": _servers,
}
