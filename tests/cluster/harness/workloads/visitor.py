"""The program of a pod that lives a moment: serves, calls, writes down what it did, and is gone.

It calls at once when it starts, which is before the API server knows its address; again and again while it lives; and
once more as the last thing it does, so that nothing but its own end lies between that call and the next owner of its
address. Who answered is what the other side says, never what its address should mean: whoever listens says its workload
first. So what is written down is true also where the list of those who are there is old.

All pods share a folder of the machine. `here/ADDRESS` is there while somebody listens at the address, and holds who and
since when; what a pod did is `did/UNIQUE`, a line of JSON for each thing, written before the next is done:

    [milliseconds since the epoch, what, client, server, service, port, address]

`what` is `connections` (answered), `unanswered` (connected, but nobody said who), `failed` (not connected) or `lookups`
(an answer with an address); `began` and `ended` have the pod's own address. Variable `VISIT`, JSON:

    {"who": "shop/cart (Deployment)", "folder": "/visits", "listen": true, "live": 2.0 (0: until asked to end),
     "services": [["10.96.1.1", 80, "shop/hub-0"]], "dns": "10.96.0.10",
     "names": [["hub-0.shop.svc.cluster.local", "shop/hub-0", "shop/hub-0 (Deployment)"]], "peers": 2}

Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

from network_mapper.testing import dns

PORT = 7000
_TURN = 0.45  # seconds between two rounds of calls
_DRAIN = 0.5  # seconds for which is served who found us just before we left
_TIMEOUT = 3.0  # longer than the kernel waits before it asks again


class Visitor:
    """One pod; see the module."""

    def __init__(self, visit: dict[str, Any]) -> None:
        self._visit = visit
        self._folder = Path(visit["folder"])
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._file = os.open(self._folder / "did" / os.urandom(12).hex(), flags, 0o644)
        self._addresses = [address for address in map(_own_address, ("192.0.2.1", "2001:db8::1")) if address]
        self.leaving = threading.Event()

    def run(self) -> None:
        """Live."""
        visit, began = self._visit, time.monotonic()
        for address in self._addresses:
            self._write("began", "", "", 0, address)
        listener = self._listen() if visit["listen"] else None
        self._call_services()
        if listener:
            for address in self._addresses:
                _place(self._folder / "here" / address, f"{visit['who']} {socket.gethostname()} {time.time()}")
        self._look_up()
        while not self.leaving.is_set() and (not visit["live"] or time.monotonic() - began < visit["live"]):
            self._call_peers()
            left = began + visit["live"] - time.monotonic() if visit["live"] else _TURN
            self.leaving.wait(max(0.0, min(_TURN, left)))
        if listener:
            for address in self._addresses:
                (self._folder / "here" / address).unlink(missing_ok=True)
            time.sleep(_DRAIN)
        self._call_services()
        for address in self._addresses:
            self._write("ended", "", "", 0, address)
        os._exit(0)

    def _listen(self) -> socket.socket:
        listener = socket.create_server(("::", PORT), family=socket.AF_INET6, backlog=256, dualstack_ipv6=True)
        who = self._visit["who"].encode() + b"\n"

        def serve() -> None:
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.sendall(who)

        threading.Thread(target=serve, daemon=True).start()
        return listener

    def _call_services(self) -> None:
        for address, port, service in self._visit["services"]:
            self._call(address, port, service)

    def _call_peers(self) -> None:
        others = [name for name in os.listdir(self._folder / "here") if name not in self._addresses]  # noqa: PTH208  read in one go, as others come and go
        for address in random.sample(others, min(self._visit["peers"], len(others))):
            self._call(address, PORT, "")

    def _call(self, address: str, port: int, service: str) -> None:
        connection = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        connection.settimeout(_TIMEOUT)
        try:
            connection.connect((address, port))
        except OSError as error:
            self._write("failed", str(error), service, port, address)
            connection.close()
            return
        said = b""
        with connection, contextlib.suppress(OSError):
            while not said.endswith(b"\n") and (piece := connection.recv(256)):
                said += piece
        if said.endswith(b"\n"):
            self._write("connections", said.decode().strip(), service, port, address)
        else:
            self._write("unanswered", "", service, port, address)

    def _look_up(self) -> None:
        for name, service, server in self._visit["names"]:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
                asking.settimeout(_TIMEOUT)
                asking.connect((self._visit["dns"], 53))
                with contextlib.suppress(OSError, ValueError):
                    for ident, kind in ((1, dns.A), (2, dns.AAAA)):
                        asking.send(dns.question(ident, name, kind))
                    for _ in range(2):
                        if dns.read_answer(asking.recv(4096))[2]:
                            self._write("lookups", server, service, 0, name)

    def _write(self, what: str, server: str, service: str, port: int, address: str) -> None:
        line = [time.time_ns() // 1_000_000, what, self._visit["who"], server, service, port, address]
        os.write(self._file, json.dumps(line).encode() + b"\n")


def _own_address(towards: str) -> str:
    with socket.socket(socket.AF_INET6 if ":" in towards else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((towards, 9))  # sends nothing, and chooses the address for it
        except OSError:
            return ""
        address: str = probe.getsockname()[0]
        return address


def _place(file: Path, text: str) -> None:
    """Write a file that is never seen half."""
    made = file.with_name(f".{os.urandom(6).hex()}")
    made.write_text(text, encoding="ascii")
    made.rename(file)


def main() -> None:
    """Live as the environment says."""
    visitor = Visitor({"listen": True, "services": [], "names": [], "peers": 0, **json.loads(os.environ["VISIT"])})
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: visitor.leaving.set())
    visitor.run()


if __name__ == "__main__":
    main()
