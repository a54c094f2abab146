"""etcd, the store of a control plane, without its care for power failures.

Its HTTP gateway is used to compact the history on demand, which is what makes a real kube-apiserver answer 410 to an
old page token.
"""

from __future__ import annotations

import base64
import http.client
import json
from typing import TYPE_CHECKING, Any

from harness.processes import Daemon, free_port

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

STARTING = 20.0
# A load of many objects is larger than etcd's default of 2 GiB allows for.
QUOTA_BYTES = 6 << 30


class Etcd:
    """One member, reachable without TLS.

    Args:
        program: Path of the program.
        folder: Where its data and log go.
        address: Address it listens on.
        prefix: See `Daemon`.
    """

    def __init__(self, *, program: Path, folder: Path, address: str = "127.0.0.1", prefix: Sequence[str] = ()) -> None:
        self.data = folder / "etcd"
        self._address, self._port = address, free_port(address)
        self.url = _url(address, self._port)
        peer = _url(address, free_port(address))
        command = [
            *(str(program), "--name", "tests", "--data-dir", str(self.data), "--unsafe-no-fsync"),
            *("--listen-client-urls", self.url, "--advertise-client-urls", self.url),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", f"tests={peer}", "--force-new-cluster=true"),
            *("--quota-backend-bytes", str(QUOTA_BYTES), "--logger", "zap", "--log-outputs", "stderr"),
        ]
        self.daemon = Daemon("etcd", command, folder, prefix=prefix)

    def start(self) -> None:
        """Start it and wait until it is healthy."""
        self.daemon.start()
        self.daemon.wait_until(self._healthy, STARTING)

    def revision(self) -> int:
        """The store's present revision: the `resourceVersion` of the newest change."""
        found = self._call("/v3/kv/range", {"key": _base64("/none")})
        return int(found["header"]["revision"])

    def compact(self) -> int:
        """Forget all history up to now; returns the revision up to which it is gone.

        API servers answer old page tokens from their memory too. They drop that, some 15 s later, because of a key that
        one of them writes when it compacts (apiserver storage, compact.go).
        """
        revision = self.revision()
        self._call("/v3/kv/compaction", {"revision": str(revision), "physical": True})
        self._call("/v3/kv/put", {"key": _base64("compact_rev_key"), "value": _base64(str(revision))})
        return revision

    def defragment(self) -> None:
        """Give the disk back what compaction freed."""
        self._call("/v3/maintenance/defragment", {}, timeout=120)

    def _healthy(self) -> bool:
        return self._request("GET", "/health", None)[0] == 200

    def _call(self, path: str, body: dict[str, Any], timeout: float = 10) -> Any:
        status, answer = self._request("POST", path, json.dumps(body), timeout)
        if status != 200:
            raise OSError(f"etcd answers {status}: {answer!r}")
        return json.loads(answer)

    def _request(self, method: str, path: str, body: str | None, timeout: float = 10) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self._address, self._port, timeout=timeout)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _url(address: str, port: int) -> str:
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"
