"""Proxies: what the environment means, and the way through one."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from forwarding import closing, message, opened, switched
from https_server import CHUNKED, Server, answering, chunk, client_of, ok

from network_mapper.kube.client import UnreachableError
from network_mapper.kube.errors import KubeConfigError
from network_mapper.kube.portforward import open_forward
from network_mapper.kube.proxy import Proxy, from_environment, parse
from network_mapper.kube.tls import Material, Tls


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://proxy:3128", Proxy("proxy", 3128)),
        ("http://proxy", Proxy("proxy", 80)),
        ("proxy:3128", Proxy("proxy", 3128)),
        ("http://[fd00::1]:3128/", Proxy("fd00::1", 3128)),
        ("http://me:s%40fe@proxy:1", Proxy("proxy", 1, "Basic bWU6c0BmZQ==")),
    ],
)
def test_a_proxy_s_url_is_read(url, proxy):
    assert parse(url, "here") == proxy


@pytest.mark.parametrize(
    "url", ["socks5://proxy:1080", "https://proxy", "http://", "http://x:port", "http://[", "ftp://x"]
)
def test_a_proxy_that_cannot_be_used_is_a_clear_error(url):
    with pytest.raises(KubeConfigError, match=r"^here: .*http://host:port$"):
        parse(url, "here")


@pytest.mark.parametrize(
    ("environ", "host", "used"),
    [
        ({}, "api.example", False),
        ({"HTTPS_PROXY": "p:1"}, "api.example", True),
        ({"https_proxy": "p:1"}, "api.example", True),
        ({"HTTP_PROXY": "p:1"}, "api.example", False),
        ({"HTTPS_PROXY": ""}, "api.example", False),
        ({"HTTPS_PROXY": "p:1"}, "localhost", False),
        ({"HTTPS_PROXY": "p:1"}, "127.0.0.9", False),
        ({"HTTPS_PROXY": "p:1"}, "::1", False),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": "*"}, "api.example", False),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": "other, example"}, "api.example", False),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": ".example"}, "api.example", False),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": "*.example"}, "api.example", False),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": ".api.example"}, "api.example", True),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": "xample"}, "api.example", True),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": "api.example:6443"}, "api.example", False),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": "api.example:1"}, "api.example", True),
        ({"HTTPS_PROXY": "p:1", "no_proxy": "10.0.0.0/8"}, "10.1.2.3", False),
        ({"HTTPS_PROXY": "p:1", "no_proxy": "10.0.0.0/8"}, "11.1.2.3", True),
        ({"HTTPS_PROXY": "p:1", "no_proxy": "fd00::/8"}, "fd00::5", False),
        ({"HTTPS_PROXY": "p:1", "no_proxy": "[fd00::5]:6443"}, "fd00::5", False),
        ({"HTTPS_PROXY": "p:1", "no_proxy": "10.1.2.3:6443"}, "10.1.2.3", False),
        ({"HTTPS_PROXY": "p:1", "no_proxy": "nonsense/77,,:"}, "10.1.2.3", True),
    ],
)
def test_the_environment_s_proxy_is_used_as_go_does(environ, host, used):
    assert from_environment("https", host, 6443, environ) == (Proxy("p", 1) if used else None)


class Tunnel:
    """A proxy that opens every way it is asked for, or answers what it is told."""

    def __init__(self, answer=b"HTTP/1.1 200 Connection established\r\n\r\n"):
        self.heads = []
        self._answer = answer
        self._tasks = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.proxy = Proxy("127.0.0.1", self._server.sockets[0].getsockname()[1], "Basic eDp5")
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        writers = [writer]
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            writer.write(self._answer)
            await writer.drain()
            if b" 200 " in self._answer:
                host, _, port = head.split(" ")[1].rpartition(":")
                there, back = await asyncio.open_connection(host, int(port))
                writers.append(back)
                await asyncio.gather(_copy(reader, back), _copy(there, writer))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            for end in writers:
                end.transport.abort()
                with contextlib.suppress(Exception):
                    await end.wait_closed()


async def _copy(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


def test_a_port_forward_goes_through_a_tunnel(run, certs):
    async def kubelet(request, writer):
        writer.write(switched(request.headers["sec-websocket-key"]) + opened(80) + message(b"hello") + closing())

    async def main():
        async with (
            Server(kubelet, certs.server()) as server,
            Tunnel() as tunnel,
            client_of(server.url, Tls(authority=Material(certs.path("ca.crt"))), proxy=tunnel.proxy) as client,
        ):
            forward = await open_forward(client, "shop", "mapper", 80)
            try:
                return await forward.receive(5.0), len(tunnel.heads)
            finally:
                forward.close()

    assert run(main()) == (b"hello", 1)


def test_tls_goes_through_a_tunnel(run, certs):
    async def main():
        async with (
            Server(answering(ok(b"{}")), certs.server(require=True)) as server,
            Tunnel() as tunnel,
            client_of(server.url, _tls(certs), proxy=tunnel.proxy) as client,
        ):
            answers = [(await client.get("/x")).status for _ in range(2)]
            return answers, tunnel.heads, server.port, server.requests

    answers, heads, port, requests = run(main())
    assert answers == [200, 200]
    assert heads == [
        f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nProxy-Authorization: Basic eDp5\r\n\r\n"
    ]
    assert [request.client for request in requests] == ["alice", "alice"]
    assert all("proxy-authorization" not in request.headers for request in requests)


def _tls(certs):
    return Tls(
        Material(certs.path("ca.crt")),
        certificate=Material(certs.path("alice.crt")),
        key=Material(certs.path("alice.key")),
    )


def test_a_stream_comes_through_a_tunnel(run, certs):
    async def main():
        async def handler(request, writer):
            writer.write(CHUNKED)
            for _ in range(100):
                writer.write(chunk(b"x" * 9999 + b"\n"))
                await writer.drain()
            writer.write(b"0\r\n\r\n")

        async with (
            Server(handler, certs.server()) as server,
            Tunnel() as tunnel,
            client_of(server.url, _tls(certs), proxy=tunnel.proxy) as client,
            client.stream("/w") as stream,
        ):
            return [len(line) async for line in stream.lines()]

    assert run(main()) == [9999] * 100


def test_plain_http_asks_the_proxy_for_the_whole_url(run):
    async def main():
        async with Server(answering(ok(b"{}"))) as proxy:
            way = Proxy("127.0.0.1", proxy.port, "Basic eDp5")
            async with client_of("http://api.example:8080/prefix", proxy=way) as client:
                await client.get("/x")
            return proxy.requests[0]

    request = run(main())
    assert request.target == "http://api.example:8080/prefix/x"
    assert request.headers["host"] == "api.example:8080"
    assert request.headers["proxy-authorization"] == "Basic eDp5"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 3\r\n\r\nno!",
            r"the proxy refused: 407 Proxy Authentication Required: no!",
        ),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\n\r\n<html>", "403 Forbidden, with an HTML page"),
        (b"nonsense\r\n\r\n", "is no HTTP"),
        (b"", "closed without an answer"),
    ],
)
def test_a_proxy_that_refuses_is_named(run, answer, words):
    async def main():
        async with Tunnel(answer) as tunnel, client_of("https://api.example:6443", proxy=tunnel.proxy) as client:
            await client.get("/x")

    with pytest.raises(UnreachableError, match=words) as caught:
        run(main())
    assert str(caught.value).startswith("https://api.example:6443 (through proxy 127.0.0.1:")


def test_what_the_tunnel_leads_to_is_checked_by_its_own_name(run, certs):
    async def main():
        async with Server(answering(ok(b"{}")), certs.server()) as server, Tunnel() as tunnel:
            tls = Tls(Material(certs.path("ca.crt")), name="wrong.example")
            async with client_of(server.url, tls, proxy=tunnel.proxy) as client:
                await client.get("/x")

    with pytest.raises(UnreachableError, match=r"another name than wrong\.example"):
        run(main())
