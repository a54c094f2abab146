"""The program of every pod: serves, calls whom it is told to, says what it really did, and falls silent.

It is the same servers, clients and resolver that play the pods of the demo (`network_mapper.testing.pod`), with
another way of being told: nobody can write to a pod's input, and a call over the network would be an edge. So orders
come as an annotation of the pod, which the kubelet writes into a file when it changes, and what was done is a line of
JSON in the pod's log. Init containers and Jobs have their calls in the environment and begin at once.

Variable `WORK`, JSON:

    {"listen": [8080], "calls": {…}, "after": 0.5, "linger": 2.0, "stay": true}

`calls` are made `after` seconds, then it is silent for `linger` seconds and ends, or stays and follows orders. An order
is `{"id": "1", "calls": {…}, "pause": 0.1}`; calls are made one after the other, `pause` seconds between them:

    "calls": {"any name": {"name": "cart.shop" or "", "addresses": [], "port": 80 (0: look up only), "family": 4,
                           "lookup": "udp", "count": 3, "rate": 0, "hold": false}}

Each order, and the calls at the start, give one line:

    {"order": "1", "calls": {"any name": {"connections": {"10.0.0.1 80": 3}, "failures": {}, "lookups": {"name":
     {"asked": 2, "answered": 1}}, "begun": 1700000000.5}}, "accepted": {"8080": 7}}

`accepted` is counted since the start. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from network_mapper.testing.pod import Caller, Resolver, Servers

ORDERS = Path("/orders/order")
_POLL = 0.2
# A call that takes longer has hung; what it did until then is said.
_CALL_TIMEOUT = 60.0


def resolver(text: str) -> Resolver:
    """A resolver as `/etc/resolv.conf` says; where it names no server of a family, one of the other is asked."""
    servers: dict[str, str] = {}
    search: list[str] = []
    for line in text.splitlines():
        match line.split():
            case ["nameserver", address, *_]:
                servers.setdefault("6" if ":" in address else "4", address)
            case ["search", *names]:
                search = names
    for family, other in (("4", "6"), ("6", "4")):
        if family not in servers and other in servers:
            servers[family] = servers[other]
    return Resolver(servers, search)


class Worker:
    """Makes calls and keeps those that hold their connections."""

    def __init__(self, resolv_conf: str) -> None:
        self._resolv_conf = resolv_conf
        self._holding: list[Caller] = []

    def make(self, calls: dict[str, dict[str, Any]], pause: float) -> dict[str, Any]:
        """Make calls, one after the other; connections of earlier ones that are still held are closed first."""
        while self._holding:
            self._holding.pop().stop()
        done = {}
        for number, (name, call) in enumerate(calls.items()):
            if number and pause:
                time.sleep(pause)
            asking = resolver(self._resolv_conf)
            caller = Caller(call, asking)
            caller.start()
            caller.made.wait(_CALL_TIMEOUT)
            if call["hold"]:
                self._holding.append(caller)
            done[name] = {**caller.counts(), "lookups": asking.counts, "begun": caller.begun}
        return done


def main() -> None:
    """Do the work of the environment, then follow orders for ever or end."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    work = {"listen": [], "calls": {}, "after": 0.0, "linger": 0.0, "stay": True, **json.loads(os.environ["WORK"])}
    servers = Servers(work["listen"], None, "cluster.local")
    threading.Thread(target=servers.run, daemon=True).start()
    worker = Worker(Path("/etc/resolv.conf").read_text(encoding="ascii"))

    def carry_out(ident: str, calls: dict[str, Any], pause: float) -> None:
        done = worker.make(calls, pause)
        # Whoever was called last may still stand in the queue of its listener.
        time.sleep(_POLL)
        _say({"order": ident, "calls": done, "accepted": dict(servers.accepted)})

    if work["calls"]:
        time.sleep(work["after"])
        carry_out("start", work["calls"], 0.0)
    if not work["stay"]:
        time.sleep(work["linger"])
        return
    known = ""
    while True:
        text = ""
        with contextlib.suppress(OSError):
            text = ORDERS.read_text(encoding="utf-8")
        if text and text != known:
            known = text
            order = json.loads(text)
            carry_out(order["id"], order["calls"], order.get("pause", 0.0))
        time.sleep(_POLL)


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
