"""The HTTP client against servers that answer byte by byte as told; the standard library's server is the oracle."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from network_mapper.http_client import HttpClient, HttpError, UrlError, mapper_address


class Server:
    """Answers each request on each connection with the next canned bytes; None closes without an answer."""

    def __init__(self, *connections: list[bytes | None]) -> None:
        self.requests: list[bytes] = []
        self._connections = list(connections)
        self.answer_after = 0.0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = self._listener.getsockname()
        self.url = f"http://127.0.0.1:{self.address[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        for answers in self._connections:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed before this connection came
            with contextlib.suppress(OSError), connection:
                for answer in answers:
                    self.requests.append(connection.recv(65536))
                    if answer is None:
                        break
                    time.sleep(self.answer_after)
                    connection.sendall(answer)

    def close(self) -> None:
        self._listener.close()


@contextlib.contextmanager
def serving(*connections: list[bytes | None]):
    server = Server(*connections)
    client = HttpClient(server.url, timeout=5)
    try:
        yield client, server
    finally:
        client.close()
        server.close()


def ask(answer: bytes, method: str = "GET"):
    with serving([answer]) as (client, _):
        return client.request(method, "/")


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def test_a_request_is_what_http_wants():
    with serving([OK]) as (client, server):
        client.request("POST", "/path?q=1", b"body", {"Accept": "x"})
    head, body = server.requests[0].split(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"POST /path?q=1 HTTP/1.1",
        b"Host: " + server.url.removeprefix("http://").encode(),
        b"Accept: x",
        b"Content-Length: 4",
    ]
    assert body == b"body"


def test_the_answer_comes_with_status_headers_in_lower_case_and_body():
    answer = ask(b"HTTP/1.1 503 Later\r\nRetry-After:  3 \r\nContent-Length: 2\r\n\r\nno")
    assert (answer.status, answer.headers["retry-after"], answer.body) == (503, "3", b"no")


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1;x=y\r\ni\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nTrailer: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
    ],
)
def test_each_way_to_delimit_a_body_is_understood(answer):
    got = ask(answer)
    assert (got.status, got.body) == (200, b"hi")


def test_an_answer_without_content_has_no_body():
    assert ask(b"HTTP/1.1 204 No Content\r\n\r\n").body == b""
    assert ask(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", "HEAD").body == b""


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9\r\n",
        b"\x15\x03\x01\x00\x02\x02\x16",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 300 + b"\r\n",
    ],
)
def test_what_is_no_http_is_an_error_that_says_so(answer):
    with pytest.raises(HttpError):
        ask(answer)


@given(st.binary(max_size=80).map(lambda tail: b"HTTP/1.1 200 OK\r\n" + tail))
def test_any_bytes_give_an_answer_or_an_os_error(answer):
    with contextlib.suppress(OSError):
        ask(answer)


def test_a_connection_is_kept():
    with serving([OK, OK]) as (client, server):
        assert [client.request("GET", path).status for path in ("/1", "/2")] == [200, 200]
        assert len(server.requests) == 2


@pytest.mark.parametrize("header", [b"Connection: close\r\n", b"connection: Close\r\n"])
def test_a_connection_that_the_server_ends_is_opened_anew(header):
    last = b"HTTP/1.1 200 OK\r\n" + header + b"Content-Length: 0\r\n\r\n"
    with serving([last], [OK]) as (client, _):
        client.request("GET", "/")
        assert client.request("GET", "/").body == b"hi"


def test_a_kept_connection_that_was_closed_meanwhile_is_opened_anew_once():
    with serving([OK, None], [OK], [None]) as (client, _):
        client.request("GET", "/1")
        assert client.request("GET", "/2").body == b"hi"


def test_a_fresh_connection_that_is_closed_is_an_error():
    with serving([None]) as (client, _), pytest.raises(ConnectionError):
        client.request("GET", "/")


def test_after_an_error_the_next_request_starts_anew():
    with serving([b"rubbish\r\n"], [OK]) as (client, _):
        with pytest.raises(HttpError):
            client.request("GET", "/")
        assert client.request("GET", "/").status == 200


def test_a_server_that_says_nothing_is_a_timeout():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = HttpClient(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.05)
        with pytest.raises(TimeoutError):
            client.request("GET", "/")


def test_nobody_there_is_a_refused_connection():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        HttpClient(f"http://127.0.0.1:{port}").request("GET", "/")


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"])
def test_no_proxy_of_the_environment_is_used(monkeypatch, name):
    monkeypatch.setenv(name, "http://127.0.0.1:1")
    with serving([OK]) as (client, _):
        assert client.request("GET", "/").status == 200


class Names:
    """Stands for the resolver: what the mapper's name leads to, or nothing while DNS is away."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.address: tuple[str, int] | None = None
        self.asked = 0
        monkeypatch.setattr(socket, "getaddrinfo", self.look_up)

    def look_up(self, *_: object, **__: object) -> list[object]:
        self.asked += 1
        if self.address is None:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", self.address)]


@pytest.fixture
def names(monkeypatch):
    return Names(monkeypatch)


LAST = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"


def test_a_name_that_cannot_be_looked_up_is_named(names):
    with pytest.raises(socket.gaierror, match=r"mapper\.example cannot be looked up: Temporary failure"):
        HttpClient("http://mapper.example").request("GET", "/")
    assert names.asked == 1


def test_without_dns_the_addresses_that_were_found_last_are_tried(names):
    with serving([LAST], [LAST]) as (_, server), HttpClient("http://mapper.example") as client:
        names.address = server.address
        assert client.request("GET", "/").body == b"hi"
        names.address = None
        assert client.request("GET", "/").body == b"hi"


def test_each_connection_looks_the_name_up_anew(names):
    with serving([LAST]) as (_, first), serving([LAST]) as (_, second), HttpClient("http://mapper.example") as client:
        names.address = first.address
        client.request("GET", "/1")
        names.address = second.address
        client.request("GET", "/2")
        assert (len(first.requests), len(second.requests)) == (1, 1)


def test_an_address_at_which_nobody_answers_is_followed_by_the_next(monkeypatch):
    with serving([LAST]) as (_, server), socket.create_server(("127.0.0.1", 0)) as gone:
        dead = gone.getsockname()
        gone.close()
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in (dead, server.address)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        with HttpClient("http://mapper.example") as client:
            assert client.request("GET", "/").body == b"hi"


def test_connecting_may_have_a_shorter_limit_than_reading():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as crowd:
        for _ in range(4):  # what stands in the queue of a server that accepts nobody; the next SYN gets no answer
            waiting = crowd.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        client = HttpClient(f"http://127.0.0.1:{full.getsockname()[1]}", timeout=60, connect_timeout=0.1)
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            client.request("GET", "/")
        assert time.monotonic() - began < 5


def test_a_longer_limit_for_connecting_does_not_outdo_that_of_everything():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as crowd:
        for _ in range(4):  # as above
            waiting = crowd.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        client = HttpClient(f"http://127.0.0.1:{full.getsockname()[1]}", timeout=0.1, connect_timeout=60)
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            client.request("GET", "/")
        assert time.monotonic() - began < 5


def test_an_answer_may_take_longer_than_connecting():
    with serving([OK]) as (_, server), HttpClient(server.url, timeout=5, connect_timeout=0.2) as client:
        answered = server.answer_after = 0.5
        began = time.monotonic()
        assert client.request("GET", "/").body == b"hi"
        assert time.monotonic() - began >= answered


@pytest.mark.skipif(sys.platform != "linux", reason="the option is Linux's")
def test_the_kernel_sends_at_once_and_gives_up_what_is_not_acknowledged_for_five_seconds():
    with serving([OK]) as (client, _):
        client.request("GET", "/")
        connection = client._socket
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 5000
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_a_connection_that_somebody_else_dials_is_used_and_dialled_again():
    dialled = []

    def dial():
        near, far = socket.socketpair()
        far.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        dialled.append(far)
        return near

    with HttpClient("http://mapper.example", dial=dial) as client:
        assert [client.request("GET", "/").body for _ in range(2)] == [b"ok"] * 2
    assert [far.recv(200) for far in dialled] == [b"GET / HTTP/1.1\r\nHost: mapper.example\r\n\r\n"] * 2
    for far in dialled:
        far.close()


def test_a_unix_socket_is_spoken_to(tmp_path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()

    def serve() -> None:
        connection, _ = listener.accept()
        connection.recv(1000)
        connection.sendall(OK)
        connection.close()

    threading.Thread(target=serve, daemon=True).start()
    with HttpClient(f"unix:{tmp_path}/s") as client:
        assert client.request("GET", "/").body == b"hi"
    listener.close()


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Path", self.path)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def echo():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/prefix/"
    server.shutdown()
    server.server_close()


def test_bodies_of_every_size_come_back(echo):
    with HttpClient(echo) as client:
        for size in (0, 1, 1000, 3_000_000):
            answer = client.request("POST", "/x", b"a" * size)
            assert (len(answer.body), answer.headers["x-path"]) == (size, "/prefix/x")


@pytest.mark.parametrize(
    "url", ["", "mapper:9090", "mapper", "ftp://mapper", "http://", "http://m:port", "http://m:99999", "http://mäpper"]
)
def test_a_url_that_is_none_is_explained(url):
    with pytest.raises(UrlError):
        HttpClient(url)


def test_tls_is_only_loaded_where_it_is_spoken():
    script = "import sys, network_mapper.http_client; print('ssl' in sys.modules, 'http.client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == (
        "False False\n"
    )


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for localhost, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(folder / "key"), "-out", str(folder / "crt")]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture
def https(certificate):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "crt", certificate / "key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_https_is_spoken_to_a_server_that_can_be_trusted(https, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "crt"))
    with HttpClient(https, timeout=5) as client:
        assert [client.request("POST", "/", body).body for body in (b"one", b"two")] == [b"one", b"two"]


def test_a_server_that_cannot_be_trusted_is_told_nothing(https):
    with HttpClient(https, timeout=5) as client, pytest.raises(ssl.SSLCertVerificationError):
        client.request("POST", "/", b"secret")


@pytest.mark.parametrize("url", ["http://query", "http://query/", "http://", "https://host/queries", "", "unix:/query"])
def test_only_the_path_of_the_models_door_is_left_out_of_an_address(url):
    assert mapper_address(url) == url
