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
from typing import TYPE_CHECKING

import uvicorn

from network_mapper import __version__
from network_mapper.cluster.index import Index
from network_mapper.cluster.snapshot import SnapshotError, load
from network_mapper.mapper.app import Doors
from network_mapper.mapper.state import State
from network_mapper.store import Database, StoreError, StoreUnavailableError, Writer
from network_mapper.wire.api import ClusterStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from network_mapper.cluster.snapshot import Snapshot
    from network_mapper.mapper.settings import MapperSettings

_log = logging.getLogger(__name__)

_GRACE = 2
"""Seconds that requests may take to end after SIGTERM; the last checkpoint has what is left of five."""


class StartError(Exception):
    """The mapper cannot start; the message says why and what to do."""


def clock() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def run(settings: MapperSettings) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code.

    Raises:
        StartError: A setting or something it names cannot be used.
    """
    if not settings.snapshot:
        raise StartError("no cluster to read: name a file or folder of its objects with --snapshot PATH")
    if settings.store_sync not in ("full", "normal"):
        raise StartError(f"--store-sync takes full or normal, not {settings.store_sync!r}")
    try:
        index = Index(settings.cluster_domain)
        snapshot = load(settings.snapshot, take=index.apply)
        state = State(index, settings.max_edges)
        database = Database(settings.store, sync=settings.store_sync, max_bytes=settings.store_max_bytes)
    except (SnapshotError, StoreError) as error:
        raise StartError(str(error)) from None
    with contextlib.closing(database):
        replayed = state.restore(database, clock())
    counts = index.counts()
    problems = _problems(state, snapshot)
    _log.info("the cluster is read", extra={"source": settings.snapshot, **counts, "problems": len(problems)})
    for line in problems[:10]:
        _log.warning("in the cluster: %s", line)
    _log.info("the map is restored", extra={"edges": len(state.graph), "replayed_reports": replayed})
    _keep_out_of_collection()
    _allow_many_connections()
    sockets = _listen(settings.listen)
    runner = _loop_runner()
    return runner(_serve(settings, state, snapshot, sockets))


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


async def _serve(settings: MapperSettings, state: State, snapshot: Snapshot, sockets: list[socket.socket]) -> int:
    loop = asyncio.get_running_loop()
    writer = Writer(
        settings.store,
        sync=settings.store_sync,
        max_bytes=settings.store_max_bytes,
        deliver=loop.call_soon_threadsafe,
    )
    writer.start()
    doors = Doors(state, writer, settings, lambda: _cluster_status(state, settings, snapshot), clock)
    server = _Server(
        uvicorn.Config(
            doors,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE,
            timeout_keep_alive=75,
            limit_concurrency=None,
        )
    )

    def stop() -> None:
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))
    checkpoints = asyncio.create_task(_checkpoints(settings, state, writer))
    _log.info("serving", extra={"version": __version__, "listen": settings.listen, "store": settings.store})
    try:
        await server.serve(sockets=sockets)
    finally:
        checkpoints.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await checkpoints
    return await _finish(state, writer)


async def _checkpoints(settings: MapperSettings, state: State, writer: Writer) -> None:
    while True:
        await asyncio.sleep(settings.checkpoint_interval)
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


def _cluster_status(state: State, settings: MapperSettings, snapshot: Snapshot) -> ClusterStatus:
    counts = state.index.counts()
    return ClusterStatus(
        source=f"snapshot {settings.snapshot}",
        pods=counts["pods"],
        services=counts["services"],
        nodes=counts["nodes"],
        workloads=counts["workloads"],
        problems=_problems(state, snapshot),
    )


def _problems(state: State, snapshot: Snapshot) -> list[str]:
    return [*snapshot.problems.lines(), *state.index.problems.lines()]
