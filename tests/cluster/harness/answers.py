"""A proxy before a mapper that delivers requests and loses answers, as a network does that breaks at the wrong moment.

with LostAnswers("172.30.0.1") as proxy:
    proxy.upstream = "http://10.96.1.2:9090"
    proxy.share = 0.3
"""

from __future__ import annotations

import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from network_mapper.http_client import HttpClient

_TIMEOUT = 20.0
_PASSED_ON = ("content-type", "content-encoding", "user-agent", "retry-after", "accept")


class LostAnswers:
    """The proxy; it listens in the `with` block.

    Args:
        address: Where it listens.
        seed: Of the choice which answers are lost.

    Attributes:
        url: Where it is.
        upstream: URL of the mapper; while there is none, nobody answers.
        share: Of the answers to POST requests, in tenths, how many are lost; at first none.
        delivered: POST requests that the mapper has answered.
        lost: Answers that were lost.
    """

    def __init__(self, address: str, seed: int = 0) -> None:
        self.share = 0.0
        self.delivered = self.lost = 0
        self.upstream = ""
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._lots: list[bool] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = _TIMEOUT

            def do_POST(self) -> None:
                proxy.pass_on(self)

            do_GET = do_POST  # noqa: N815  the name that the base class asks for

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer((address, 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://{address}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def pass_on(self, request: BaseHTTPRequestHandler) -> None:
        """Ask the mapper, and give its answer, or lose it."""
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in request.headers.items() if name.lower() in _PASSED_ON}
        request.close_connection = True
        if not self.upstream:
            return
        try:
            with HttpClient(self.upstream, _TIMEOUT) as client:
                answer = client.request(request.command, request.path, body or None, headers)
        except OSError:
            return  # as if nobody were there
        if request.command == "POST" and self._is_lost():
            return
        request.close_connection = False
        request.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() in _PASSED_ON:
                request.send_header(name, value)
        request.send_header("Content-Length", str(len(answer.body)))
        request.end_headers()
        request.wfile.write(answer.body)

    def _is_lost(self) -> bool:
        """Draw from ten lots, of which as many lose as the share says, until they are used up."""
        with self._lock:
            self.delivered += 1
            if not self._lots:
                self._lots = [number < round(10 * self.share) for number in range(10)]
                self._random.shuffle(self._lots)
            lost = self._lots.pop() and self.share > 0
            self.lost += lost
            return lost
