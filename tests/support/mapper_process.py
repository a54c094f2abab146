"""The mapper as its users run it: a process, a socket, a store."""

import json
import os
import signal
import subprocess
import sys
import time

import msgspec

from network_mapper.http_client import HttpClient
from network_mapper.wire.report import JSON, MSGPACK, PATH


class MapperProcess:
    """One mapper over one store; may be started again after it ended or was killed.

    Without a snapshot the options say where the cluster comes from.
    """

    def __init__(self, folder, snapshot, *options, environ=None):
        self.folder = folder
        self.url = f"unix:{folder}/m.sock"
        self.store = folder / "map.db"
        self._command = [
            *(sys.executable, "-m", "network_mapper", "mapper", "--store", str(self.store), "--listen", self.url),
            *(("--snapshot", str(snapshot)) if snapshot else ()),
            *options,
        ]
        self._environ = {**os.environ, **(environ or {})}
        self.process = None

    def start(self):
        self.log = (self.folder / "mapper.log").open("ab")
        self.process = subprocess.Popen(self._command, stderr=self.log, env=self._environ)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                self.client = HttpClient(self.url, timeout=10)
                if self.client.request("GET", "/healthz").status == 200:
                    return self
            except OSError:
                assert self.process.poll() is None, self.output()
                time.sleep(0.02)
        raise AssertionError(f"the mapper does not answer: {self.output()}")

    def wait_ready(self, seconds=30):
        """Wait until reports are taken."""
        deadline = time.monotonic() + seconds
        while (answer := self.client.request("GET", "/readyz")).status != 200:
            assert time.monotonic() < deadline, (answer, self.output())
            time.sleep(0.05)
        return self

    def ask(self, query, variables=None, **more):
        """One GraphQL request; returns status and document."""
        content = json.dumps({"query": query, "variables": variables, **more}).encode()
        return self.post(content, path="/query")

    def output(self):
        return (self.folder / "mapper.log").read_text()

    def stop(self, number=signal.SIGTERM):
        """End the process; returns the exit code and how many seconds it took."""
        began = time.monotonic()
        self.client.close()
        os.kill(self.process.pid, number)
        code = self.process.wait(20)
        self.log.close()
        return code, time.monotonic() - began

    def report(self, report, encoding=MSGPACK):
        body = msgspec.msgpack.encode(report) if encoding == MSGPACK else msgspec.json.encode(report)
        return self.post(body, encoding)

    def post(self, body, encoding=JSON, path=PATH):
        answer = self.client.request("POST", path, body, {"Content-Type": encoding})
        return answer.status, json.loads(answer.body)

    def get(self, path):
        answer = self.client.request("GET", path)
        assert answer.status == 200, answer
        return json.loads(answer.body)

    def counts(self):
        """Connections by (client, server, port)."""
        return {
            (edge["client"].get("name"), edge["server"].get("name"), edge["port"]): edge["connections"]
            for edge in self.get("/api/v1/map")["edges"]
        }
