"""The program that plays one pod: small TCP servers, a DNS server where asked for, and clients that keep count.

It runs in the pod's network namespace, with the standard library alone and without site-packages, so that dozens start
within a second. It is driven by JSON lines on its standard input and answers on its standard output; when its input
ends, it ends. Clients do what a real one does: resolve as glibc (both families at once, search list, NXDOMAIN after
NXDOMAIN), connect, ask, read the answer, close. Each call is a thread; what it counts is the truth that maps are
compared with.

Input, one object a line. The first is the configuration, answered by `{"ready": true}`:

    {"listen": [8080], "records": {…} or null, "domain": "cluster.local",
     "nameservers": {"4": "10.96.0.10", "6": "fd00::a"}, "search": ["shop.svc.cluster.local", …]}
    {"do": "call", "id": 1, "name": "cart" or "", "addresses": ["10.96.1.2"], "port": 80, "family": 4,
     "lookup": "udp", "count": 5 (0: until stopped), "rate": 0, "hold": false}
    {"do": "stop", "id": 1 (left out: all)}
    {"do": "report"}    answered by {"running": 0, "calls": {"1": {…}}, "lookups": {"name": {…}}}
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import struct
import sys
import threading
import time
from collections import Counter
from typing import Any

from network_mapper.testing import dns

# Longer than the kernel's first retransmission (1 s), so that a silent port is knocked at twice by one attempt.
CONNECT_TIMEOUT = 2.5
DNS_TIMEOUT = 5.0
NDOTS = 5


class Servers:
    """Every listening socket of the pod, served by one thread; `accepted` counts connections by port."""

    def __init__(self, ports: list[int], records: dict[str, list[str]] | None, domain: str) -> None:
        self._records = records or {}
        self._domain = domain
        self.accepted: Counter[int] = Counter()
        self._selector = selectors.DefaultSelector()
        self._buffers: dict[socket.socket, bytes] = {}
        for port in ports:
            self._listen(port, self._serve_line)
        if records is not None:
            self._listen(53, self._serve_dns_stream)
            datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            datagrams.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            datagrams.bind(("::", 53))
            datagrams.setblocking(False)
            self._selector.register(datagrams, selectors.EVENT_READ, self._serve_dns_datagrams)

    def _listen(self, port: int, serve: Any) -> None:
        listener = socket.create_server(("::", port), family=socket.AF_INET6, backlog=1024, dualstack_ipv6=True)
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, lambda ready: self._accept(ready, serve))

    def _accept(self, listener: socket.socket, serve: Any) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                self.accepted[listener.getsockname()[1]] += 1
                connection.setblocking(False)
                self._buffers[connection] = b""
                self._selector.register(connection, selectors.EVENT_READ, serve)

    def _close(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        self._buffers.pop(connection, None)
        connection.close()

    def _received(self, connection: socket.socket) -> bytes:
        try:
            data = connection.recv(65536)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self._close(connection)
            return b""
        self._buffers[connection] += data
        return self._buffers[connection]

    def _serve_line(self, connection: socket.socket) -> None:
        if self._received(connection).endswith(b"\n"):
            self._buffers[connection] = b""
            with contextlib.suppress(OSError):
                connection.send(b"ok\n")

    def _serve_dns_stream(self, connection: socket.socket) -> None:
        data = self._received(connection)
        while len(data) > 2 and len(data) >= 2 + (length := struct.unpack_from("!H", data)[0]):
            with contextlib.suppress(OSError, ValueError):
                message = dns.answer(data[2 : 2 + length], self._records, self._domain)
                connection.send(struct.pack("!H", len(message)) + message)
            data = data[2 + length :]
            self._buffers[connection] = data

    def _serve_dns_datagrams(self, datagrams: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(256):
                message, peer = datagrams.recvfrom(4096)
                with contextlib.suppress(ValueError):
                    datagrams.sendto(dns.answer(message, self._records, self._domain), peer)

    def run(self) -> None:
        """Serve for ever."""
        while True:
            for key, _ in self._selector.select():
                key.data(key.fileobj)


class Resolver:
    """Looks names up as glibc's does with `ndots:5`, and counts every question by how it was answered."""

    def __init__(self, nameservers: dict[str, str], search: list[str]) -> None:
        self._nameservers = nameservers
        self._search = search
        self._lock = threading.Lock()
        self._ident = int.from_bytes(os.urandom(2), "big")
        self.counts: dict[str, Counter[str]] = {}

    def resolve(self, name: str, family: int, transport: str) -> list[str]:
        """Addresses of one family.

        Raises:
            OSError: No server answered, or the name does not exist.
        """
        candidates = [f"{name}.{suffix}" for suffix in self._search]
        candidates.insert(0 if name.count(".") >= NDOTS else len(candidates), name)
        for candidate in candidates:
            addresses = self._ask(candidate, self._nameservers[str(family)], transport)
            if addresses:
                found = [address for address in addresses if (":" in address) == (family == 6)]
                if not found:
                    raise OSError(f"{candidate}: no address of IPv{family}")
                return found
        raise OSError(f"{name}: no such name")

    def _count(self, name: str, how: str) -> None:
        with self._lock:
            self.counts.setdefault(name, Counter())[how] += 1

    def _ask(self, name: str, server: str, transport: str) -> list[str]:
        with self._lock:
            self._ident += 2
            idents = (self._ident & 0xFFFF, (self._ident + 1) & 0xFFFF)
        messages = [dns.question(ident, name, kind) for ident, kind in zip(idents, (dns.A, dns.AAAA), strict=True)]
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        addresses: list[str] = []
        with socket.socket(family, socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM) as asking:
            asking.settimeout(DNS_TIMEOUT)
            asking.connect((server, 53))
            for message in messages:
                asking.send(struct.pack("!H", len(message)) + message if transport == "tcp" else message)
                self._count(name, "asked")
            waiting = set(idents)
            while waiting:
                reply = _read_framed(asking) if transport == "tcp" else asking.recv(4096)
                ident, code, found = dns.read_answer(reply)
                if ident not in waiting:
                    continue
                waiting.discard(ident)
                addresses += found
                self._count(name, "answered" if found else "nxdomain" if code == dns.NXDOMAIN else "empty")
        return addresses


def _read_framed(stream: socket.socket) -> bytes:
    (length,) = struct.unpack("!H", _read_exactly(stream, 2))
    return _read_exactly(stream, length)


def _read_exactly(stream: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = stream.recv(count - len(data))
        if not more:
            raise OSError("the stream ended")
        data += more
    return data


class Caller(threading.Thread):
    """One call: connects again and again, and counts what became of it by dialled address and port.

    A call without a port looks the name up and leaves it at that. `made` is set when the last connection was made, also
    where connections are held and the thread lives on; `begun` is the time of the first, in seconds since the epoch.
    """

    def __init__(self, order: dict[str, Any], resolver: Resolver) -> None:
        super().__init__(daemon=True)
        self._order = order
        self._resolver = resolver
        self._stopping = threading.Event()
        self._held: list[socket.socket] = []
        self.connections: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.made = threading.Event()
        self.begun = 0.0

    def stop(self) -> None:
        """End after the connection that is being made."""
        self._stopping.set()

    def run(self) -> None:
        """Make the connections."""
        order = self._order
        made, due = 0, time.monotonic()
        while not self._stopping.is_set() and made < (order["count"] or made + 1):
            self._connect_once(made)
            made += 1
            if order["rate"]:
                due += 1 / order["rate"]
                self._stopping.wait(max(0.0, due - time.monotonic()))
        self.made.set()
        if self._held:
            self._stopping.wait()
            for connection in self._held:
                connection.close()

    def _connect_once(self, number: int) -> None:
        order = self._order
        try:
            addresses = order["addresses"]
            if order["name"]:
                addresses = self._resolver.resolve(order["name"], order["family"], order["lookup"])
            address = addresses[number % len(addresses)]
        except (OSError, ValueError) as error:
            self.failures[f"lookup: {error}"] += 1
            return
        if not order["port"]:
            return
        target = f"{address} {order['port']}"
        connection = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        connection.settimeout(CONNECT_TIMEOUT)
        self.begun = self.begun or time.time()
        try:
            connection.connect((address, order["port"]))
        except TimeoutError:
            self.failures[f"{target} silent"] += 1
        except ConnectionRefusedError:
            self.failures[f"{target} refused"] += 1
        except OSError as error:
            self.failures[f"{target} {error}"] += 1
        else:
            self.connections[target] += 1
            with contextlib.suppress(OSError):
                connection.sendall(b"hello\n")
                connection.recv(16)
            if order["hold"]:
                self._held.append(connection)
                return
        connection.close()

    def counts(self) -> dict[str, dict[str, int]]:
        """Everything counted so far."""
        return {"connections": dict(self.connections), "failures": dict(self.failures)}


def main() -> None:
    """Play a pod until standard input ends."""
    settings = json.loads(sys.stdin.readline())
    servers = Servers(settings["listen"], settings["records"], settings["domain"])
    threading.Thread(target=servers.run, daemon=True).start()
    resolver = Resolver(settings["nameservers"], settings["search"])
    callers: dict[int, Caller] = {}
    _say({"ready": True})
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "call":
            callers[order["id"]] = Caller(order, resolver)
            callers[order["id"]].start()
        elif order["do"] == "stop":
            for ident, caller in callers.items():
                if order.get("id", ident) == ident:
                    caller.stop()
        elif order["do"] == "report":
            running = sum(caller.is_alive() for caller in callers.values())
            calls = {str(ident): caller.counts() for ident, caller in callers.items()}
            lookups = {name: dict(counts) for name, counts in resolver.counts.copy().items()}
            _say({"running": running, "calls": calls, "lookups": lookups})
    os._exit(0)


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
