"""Start and stop of the mapper: snapshot, store, doors, checkpoints, and an end within seconds of SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import pathlib
import signal
import socket
import time
from typing import TYPE_CHECKING, NamedTuple

import uvicorn

from network_mapper import __version__
from network_mapper.cluster import domain
from network_mapper.cluster.identity import IdentityKeys
from network_mapper.cluster.index import Index
from network_mapper.cluster.installation import Installation
from network_mapper.cluster.live.cluster import LiveCluster
from network_mapper.cluster.snapshot import SnapshotError, load
from network_mapper.kube.client import ApiClient
from network_mapper.kube.config import find_access
from network_mapper.kube.errors import ApiError, KubeConfigError
from network_mapper.mapper.app import Doors
from network_mapper.mapper.clusters import FollowedCluster, ReadCluster
from network_mapper.mapper.merge import Rules
from network_mapper.mapper.state import State
from network_mapper.settings import host_and_port
from network_mapper.store import (
    Database,
    StoreError,
    StoreUnavailableError,
    Writer,
    keep_temporary_files_beside,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import ASGIApp

    from network_mapper.kube.access import Access
    from network_mapper.mapper.clusters import Cluster
    from network_mapper.mapper.settings import MapperSettings

_log = logging.getLogger(__name__)

_GRACE = 2
"""Seconds that requests may take to end after SIGTERM; the last checkpoint has what is left of five."""


_LOOKS = 10
"""How often in each interval it is looked whether only a few edges changed."""

_FEW_CHANGES = 2_000
"""So few are written at the next look.

After a crash the journal is applied to the cluster as it is then. What is written stays with whom it was.
"""

_FORGET_INTERVAL = 5
"""Seconds between two looks at which of the dead can be forgotten."""

_RETRY_INTERVAL = 0.25
"""Seconds between two looks at whether clients that rows wait for are told of."""

_DEFAULT_DOMAIN = "cluster.local"


class StartError(Exception):
    """The mapper cannot start; the message says why and what to do."""


class Listeners(NamedTuple):
    """Sockets that are open already: of all doors, and of those that serve metrics alone."""

    doors: list[socket.socket]
    scrapes: list[socket.socket]


def clock() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def run(settings: MapperSettings) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code.

    Raises:
        StartError: A setting or something it names cannot be used.
    """
    index = make_index(settings)
    try:
        snapshot = load(settings.snapshot, index.keys, take=index.apply) if settings.snapshot else None
        access = None if snapshot else find_access(settings.kubeconfig, settings.context)
        keep_temporary_files_beside(settings.store)
        database = Database(settings.store, sync=settings.store_sync, max_bytes=settings.store_max_bytes)
    except (SnapshotError, StoreError) as error:
        raise StartError(str(error)) from None
    except (ApiError, KubeConfigError) as error:
        hint = "" if settings.kubeconfig or settings.context else " (--kubeconfig PATH, or --snapshot PATH for files)"
        raise StartError(f"{error}{hint}") from None
    state = State(index, settings.max_edges, Rules(frozenset(settings.excluded_namespaces), settings.capture_external))
    with contextlib.closing(database):
        state.restore(database, clock())
    _log.info("the map is restored", extra={"edges": len(state.graph)})
    _allow_many_connections()
    listeners = Listeners(_listen(settings.listen), _listen_for_scrapes(settings.metrics_port))
    runner = _loop_runner()
    if snapshot is not None:
        read = ReadCluster(index, snapshot)
        _cluster_is_known(settings, state, settings.snapshot, read.problems())
        return runner(_serve(settings, state, listeners, read))
    assert access is not None
    return runner(_serve_followed(settings, state, listeners, access))


def make_index(settings: MapperSettings) -> Index:
    """An empty index, as the settings want it."""
    keys = IdentityKeys.chosen(
        settings.workload_name_annotation,
        settings.own_name_annotation,
        settings.own_name_label,
        image_names_for_jobs=settings.image_names_for_jobs,
        fold_generated_names=settings.fold_generated_names,
    )
    return Index(
        settings.cluster_domain or domain.detect() or _DEFAULT_DOMAIN,
        keys,
        control_plane_prefix=settings.control_plane_prefix,
        remember=round(settings.remember_pods * 1000),
        remember_most=settings.remember_pods_most,
    )


def _cluster_is_known(settings: MapperSettings, state: State, source: str, problems: list[str]) -> None:
    """What has to wait until addresses can be resolved."""
    _log.info("the cluster is read", extra={"source": source, **state.index.counts(), "problems": len(problems)})
    for line in problems[:10]:
        _log.warning("in the cluster: %s", line)
    with contextlib.closing(Database(settings.store, sync=settings.store_sync)) as database:
        replayed = state.replay(database, clock())
    _log.info("the journal is applied", extra={"reports": replayed, "edges": len(state.graph)})
    _keep_out_of_collection()


async def _serve_followed(settings: MapperSettings, state: State, listeners: Listeners, access: Access) -> int:
    """Serve while the cluster is followed."""
    client = ApiClient(access)
    installed = Installation(state.index, access.namespace if access.inside else "")
    live = LiveCluster(client, installed, keys=state.index.keys)

    def on_synced() -> None:
        # A sniffer that has served another mapper so far is yet to say hello, and others speak of its node before.
        for node in installed.watched(state.index.nodes()):
            state.coverage.presume(node, clock())
        _cluster_is_known(settings, state, access.server, live.problems())

    cluster = FollowedCluster(state.index, live, installed, access.server, on_synced)
    following = asyncio.create_task(_follow(cluster))
    try:
        return await _serve(settings, state, listeners, cluster)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await client.close()


def _keep_out_of_collection() -> None:
    """Take what was read at start out of the cyclic collector's sight, and let it look less often.

    The cluster and the map are hundreds of thousands of objects without cycles. Walking them again and again while
    reports are decoded cost a quarter of the intake's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _allow_many_connections() -> None:
    """Take as many descriptors as the system gives: each sniffer keeps a connection, and 1,024 is the usual default."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource  # noqa: PLC0415  not to be had on Windows

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _loop_runner() -> Callable[..., int]:
    try:
        import uvloop  # noqa: PLC0415  not to be had on Windows
    except ImportError:
        return asyncio.run
    return uvloop.run


def _listen(addresses: str) -> list[socket.socket]:
    sockets = []
    for address in filter(None, (part.strip() for part in addresses.split(","))):
        try:
            sockets.append(_listen_unix(address[5:]) if address.startswith("unix:") else _listen_tcp(address))
        except (OSError, ValueError) as error:
            raise StartError(f"cannot listen on {address}: {error}; choose another address with --listen") from None
    if not sockets:
        raise StartError("--listen names no address")
    return sockets


def _listen_for_scrapes(place: str) -> list[socket.socket]:
    host, port = host_and_port(place)
    if not port:
        return []
    try:
        return [_listen_tcp(f"{host}:{port}")]
    except OSError as error:
        raise StartError(f"cannot serve metrics on {place}: {error}; choose another --metrics-port") from None


def _listen_unix(path: str) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.closing(probe):
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                pathlib.Path(path).unlink()  # left behind by a process that is gone
            else:
                raise OSError("another process serves there")
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(path)
    server.listen(1024)
    return server


def _listen_tcp(address: str) -> socket.socket:
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        raise ValueError("expected HOST:PORT or unix:/path")
    host = host.strip("[]")
    if not host:
        return socket.create_server(("", int(port)), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, int(port)), family=family, backlog=1024)


class _Server(uvicorn.Server):
    """uvicorn without its signal handling: it would end the process before the last checkpoint."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to us."""
        yield


async def _follow(cluster: FollowedCluster) -> None:
    try:
        await cluster.run()
    except Exception:  # noqa: BLE001  without the cluster there is no map: whoever restarts us shall know
        _log.exception("following the cluster has failed")
        signal.raise_signal(signal.SIGTERM)


async def _serve(settings: MapperSettings, state: State, listeners: Listeners, cluster: Cluster) -> int:
    loop = asyncio.get_running_loop()
    writer = Writer(
        settings.store,
        sync=settings.store_sync,
        max_bytes=settings.store_max_bytes,
        deliver=loop.call_soon_threadsafe,
    )
    writer.start()
    doors = Doors(state, writer, settings, cluster, clock)
    server, scraped = _server(doors), _server(doors.scrape_only)

    def stop() -> None:
        server.should_exit = scraped.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))
    tasks = [
        asyncio.create_task(_checkpoints(settings, state, writer)),
        asyncio.create_task(_forget_the_dead(state)),
        asyncio.create_task(_retry_what_waits(state)),
    ]
    if listeners.scrapes:
        tasks.append(asyncio.create_task(scraped.serve(sockets=listeners.scrapes)))
    _log.info("serving", extra={"version": __version__, "listen": settings.listen, "store": settings.store})
    try:
        await server.serve(sockets=listeners.doors)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return await _finish(state, writer)


def _server(app: ASGIApp) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            interface="asgi3",  # it cannot tell by itself what a bound method is
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE,
            timeout_keep_alive=75,
            limit_concurrency=None,
        )
    )


async def _forget_the_dead(state: State) -> None:
    while True:
        await asyncio.sleep(_FORGET_INTERVAL)
        state.index.forget(clock())
        state.give_up(clock())


async def _retry_what_waits(state: State) -> None:
    while True:
        await asyncio.sleep(_RETRY_INTERVAL)
        state.retry(clock())


async def _checkpoints(settings: MapperSettings, state: State, writer: Writer) -> None:
    while True:
        for _ in range(_LOOKS):
            await asyncio.sleep(settings.checkpoint_interval / _LOOKS)
            if 0 < state.pending <= _FEW_CHANGES:
                break
        with contextlib.suppress(StoreUnavailableError):  # the writer has logged it, and readiness says so
            await state.checkpoint(writer, clock())


async def _finish(state: State, writer: Writer) -> int:
    try:
        async with asyncio.timeout(2):
            await state.checkpoint(writer, clock())
    except (StoreUnavailableError, TimeoutError) as error:
        # Nothing is lost by this: what was answered is in the journal and is applied again at the next start.
        _log.warning("stopped without a last checkpoint", extra={"reason": str(error)})
    stopped = await asyncio.to_thread(writer.close, 1.0)
    _log.info("stopped", extra={"edges": len(state.graph)})
    return 0 if stopped else 1
