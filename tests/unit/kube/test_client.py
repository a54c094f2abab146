"""The client against a server that answers as each test tells it, on both event loops."""

from __future__ import annotations

import asyncio
import socket

import pytest
from https_server import CHUNKED, Server, answering, chunk, client_of, closing, ok

from network_mapper.kube.client import UnreachableError
from network_mapper.kube.connect import connect
from network_mapper.kube.connection import HIGH_WATER
from network_mapper.kube.tls import Material, Tls


async def get(handler, path="/x", params=None, **options):
    async with Server(handler) as server, client_of(server.url, **options) as client:
        return await client.get(path, params), server


async def read_lines(handler, **options):
    async with Server(handler) as server, client_of(server.url, **options) as client, client.stream("/w") as stream:
        return [line async for line in stream.lines()]


async def collect(client, seen, **options):
    async with client.stream("/w", **options) as stream:
        async for line in stream.lines():
            seen.append(line)


def test_a_request_says_what_is_wanted_and_who_asks(run):
    async def main():
        async with Server(answering(ok(b"{}"))) as server, client_of(server.url + "/prefix/") as client:
            await client.get("/api/v1/pods", {"limit": "5", "continue": "a+/= b"}, accept="application/json;as=Table")
            return server.requests[0], server.port

    request, port = run(main())
    assert request.target == "/prefix/api/v1/pods?limit=5&continue=a%2B%2F%3D+b"
    assert request.headers["host"] == f"127.0.0.1:{port}"
    assert request.headers["accept"] == "application/json;as=Table"
    assert request.headers["user-agent"].startswith("network-mapper/")
    assert request.headers["accept-encoding"] == "identity"
    assert "authorization" not in request.headers


def test_an_answer_has_status_headers_in_lower_case_and_body(run):
    answer, _ = run(get(answering(ok(b"later", "text/plain", "503 Later", "Retry-After: 3", "X-A: 1", "x-a: 2"))))
    assert (answer.status, answer.body) == (503, b"later")
    assert (answer.headers["retry-after"], answer.headers["x-a"]) == ("3", "1, 2")


@pytest.mark.parametrize(
    "answer",
    [
        CHUNKED + chunk(b"h") + chunk(b"i") + b"0\r\n\r\n",
        CHUNKED + b"1;x=y\r\nh\r\n1\r\ni\r\n0\r\nTrailer: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 100 Continue\r\n\r\n" + ok(b"hi"),
        b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" + ok(b"hi"),
    ],
)
def test_each_way_to_delimit_a_body_is_understood(run, answer):
    got, _ = run(get(closing(answer)))
    assert (got.status, got.body) == (200, b"hi")


def test_an_answer_in_single_bytes_is_understood(run):
    async def handler(request, writer):
        for byte in CHUNKED + chunk(b'{"a":1}') + chunk(b"\n") + b"0\r\n\r\n":
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)

    answer, _ = run(get(handler))
    assert answer.body == b'{"a":1}\n'


def test_redirects_are_not_followed(run):
    answer, server = run(get(answering(ok(b"", "text/html", "302 Found", "Location: /elsewhere"))))
    assert answer.status == 302
    assert len(server.requests) == 1


def test_a_connection_is_kept_and_used_again(run):
    async def main():
        async with Server(answering(ok(b"1"))) as server, client_of(server.url) as client:
            for _ in range(5):
                await client.get("/x")
            return server.connections

    assert run(main()) == 1


def test_few_connections_are_kept_after_many_at_once(run):
    async def main():
        async def slow(request, writer):
            await asyncio.sleep(0.05)
            writer.write(ok(b"1"))

        async with Server(slow) as server, client_of(server.url) as client:
            await asyncio.gather(*(client.get("/x") for _ in range(30)))
            await server.until_ended(22)
            return server.connections, server.ended

    assert run(main()) == (30, 22)


def test_a_kept_connection_that_the_server_closed_is_opened_anew(run):
    async def main():
        async with Server(answering(ok(b"1"), None, ok(b"2"))) as server, client_of(server.url) as client:
            return [(await client.get("/x")).body for _ in range(2)], server.connections

    assert run(main()) == ([b"1", b"2"], 2)


def test_a_fresh_connection_that_is_closed_without_an_answer_is_an_error(run):
    with pytest.raises(
        UnreachableError, match=r"^http://127\.0\.0\.1:\d+: the connection was closed without an answer"
    ):
        run(get(answering(None)))


def test_a_connection_that_the_server_ends_is_not_used_again(run):
    async def main():
        handler = answering(ok(b"1", "application/json", "200 OK", "Connection: close"))
        async with Server(handler) as server, client_of(server.url) as client:
            await client.get("/x")
            await client.get("/x")
            return server.connections

    assert run(main()) == 2


def test_bytes_after_an_answer_never_become_the_next_one(run):
    async def main():
        async with Server(answering(ok(b"1") + ok(b"evil"), ok(b"2"))) as server, client_of(server.url) as client:
            return [(await client.get("/x")).body for _ in range(2)]

    assert run(main()) == [b"1", b"2"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"SSH-2.0-OpenSSH_9\r\n", "is no HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x16", "is no HTTP"),
        (b"HTTP/1.1 abc\r\n\r\n", "is no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi", "broke in the middle"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "is no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-", "broke in the middle"),
        (CHUNKED + b"xyz\r\n", "broke the rules"),
        (CHUNKED + b"5\r\nhi", "broke in the middle"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", "another protocol"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000 + b"\r\n", "longer than"),
        (b"HTTP/1.1 103 Hint\r\n\r\n" * 20_000, "longer than"),
        (ok(b"<html>login</html>", "text/html; charset=utf-8"), "HTML page"),
        (ok(b"x", "application/json", "200 OK", "Content-Encoding: br"), "packed with br"),
    ],
)
def test_what_is_no_answer_of_an_api_is_one_line_that_names_the_server(run, answer, words):
    with pytest.raises(UnreachableError, match=words) as caught:
        run(get(closing(answer)))
    assert str(caught.value).startswith("http://127.0.0.1:")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_an_error_page_of_a_proxy_is_an_answer(run):
    answer, _ = run(get(answering(ok(b"<html>", "text/html", "502 Bad Gateway"))))
    assert answer.status == 502


def test_a_body_larger_than_the_bound_is_an_error(run):
    with pytest.raises(UnreachableError, match="more than 1000 bytes"):
        run(get(answering(ok(b"x" * 1001)), largest_body=1000))


def test_nobody_listening_is_an_error_that_names_the_server(run):
    async def main():
        async with Server(answering(ok(b""))) as server:
            url = server.url
        async with client_of(url) as client:
            await client.get("/x")

    with pytest.raises(UnreachableError, match=r"^http://127\.0\.0\.1:\d+: cannot connect: Connection refused$"):
        run(main())


def test_a_name_that_nobody_knows_is_an_error(run):
    async def main():
        async with client_of("https://does-not-exist.invalid:6443") as client:
            await client.get("/x")

    with pytest.raises(UnreachableError, match=r"^https://does-not-exist\.invalid:6443: cannot connect: "):
        run(main())


async def hang(request, writer):
    await asyncio.sleep(60)


def test_a_server_that_never_answers_is_given_up(run):
    with pytest.raises(UnreachableError, match=r"no answer within 0\.1 s"):
        run(get(hang, timeout=0.1))


def test_a_head_that_drips_is_given_up(run):
    async def drip(request, writer):
        while True:
            writer.write(b"H")
            await asyncio.sleep(0.02)

    async def drip_headers(request, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nA: ")
        await drip(request, writer)

    with pytest.raises(UnreachableError, match="no answer within"):
        run(get(drip_headers, timeout=0.3))


def test_a_body_that_stops_is_given_up(run):
    async def stop(request, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi")
        await hang(request, writer)

    with pytest.raises(UnreachableError, match=r"nothing came for 0\.2 s"):
        run(get(stop, timeout=0.2))


def test_a_server_that_accepts_and_never_speaks_tls_is_given_up(run):
    async def main():
        with socket.create_server(("127.0.0.1", 0)) as silent:
            async with client_of(f"https://127.0.0.1:{silent.getsockname()[1]}", timeout=0.2) as client:
                await client.get("/x")

    with pytest.raises(UnreachableError, match=r"took more than 0\.2 s"):
        run(main())


# Streams.


def test_lines_come_whole_however_they_were_cut(run):
    wanted = [b"a" * size for size in (1, 100, 0, 70_000, 3, 1_000_000)]
    text = b"".join(line + b"\n" for line in wanted)

    async def handler(request, writer):
        writer.write(CHUNKED)
        for start in range(0, len(text), 7919):
            writer.write(chunk(text[start : start + 7919]))
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    assert run(read_lines(handler)) == wanted


def test_lines_come_before_the_stream_ends(run):
    async def main():
        go_on = asyncio.Event()

        async def handler(request, writer):
            writer.write(CHUNKED + chunk(b"one\n"))
            await go_on.wait()
            writer.write(chunk(b"two\n") + b"0\r\n\r\n")

        seen = []
        async with Server(handler) as server, client_of(server.url) as client, client.stream("/w") as stream:
            async for line in stream.lines():
                seen.append(line)
                go_on.set()
        return seen

    assert run(main()) == [b"one", b"two"]


@pytest.mark.parametrize("ending", [b"", b"0\r\n\r\n"])
def test_a_line_that_is_cut_is_an_error_and_the_lines_before_it_are_kept(run, ending):
    async def main():
        seen = []
        async with Server(closing(CHUNKED + chunk(b"one\ntw") + ending)) as server, client_of(server.url) as client:
            with pytest.raises(UnreachableError, match=r"in the middle of (the answer|a line)"):
                await collect(client, seen)
        return seen

    assert run(main()) == [b"one"]


def test_a_connection_that_breaks_between_lines_is_an_error_too(run):
    with pytest.raises(UnreachableError, match="broke in the middle of the answer"):
        run(read_lines(closing(CHUNKED + chunk(b"one\n"))))


@pytest.mark.parametrize("text", [b"a" * 1001 + b"\n", b"a" * 1001, b"b\n" + b"a" * 5000])
def test_a_line_longer_than_the_bound_is_an_error(run, text):
    with pytest.raises(UnreachableError, match="line of the answer has more than 1000 bytes"):
        run(read_lines(closing(CHUNKED + chunk(text) + b"0\r\n\r\n"), longest_line=1000))


def test_a_line_as_long_as_the_bound_is_none(run):
    assert run(read_lines(closing(CHUNKED + chunk(b"a" * 1000 + b"\n") + b"0\r\n\r\n"), longest_line=1000))


def test_a_stream_that_falls_silent_is_given_up(run):
    async def main():
        async def handler(request, writer):
            writer.write(CHUNKED + chunk(b"one\n"))
            await hang(request, writer)

        seen = []
        async with Server(handler) as server, client_of(server.url) as client:
            with pytest.raises(UnreachableError, match=r"nothing came for 0\.2 s"):
                await collect(client, seen, silence=0.2)
        return seen

    assert run(main()) == [b"one"]


def test_a_server_that_is_faster_than_the_reader_waits(run):
    async def main():
        sent = 0

        async def flood(request, writer):
            nonlocal sent
            writer.write(CHUNKED)
            line = chunk(b"x" * 65_535 + b"\n")
            for _ in range(2000):
                writer.write(line)
                await writer.drain()
                sent += len(line)
            writer.write(b"0\r\n\r\n")

        async with Server(flood) as server, client_of(server.url) as client, client.stream("/w") as stream:
            lines = stream.lines()
            await anext(lines)
            before = -1
            while before != sent:  # until the sockets are full
                before = sent
                await asyncio.sleep(0.2)
            held = sum(map(len, next(iter(client._open))._pieces))
            count = 1
            async for _ in lines:
                count += 1
            return held, before, count

    held, before, count = run(main())
    assert held <= 3 * HIGH_WATER
    assert before < 2000 * 65_536
    assert count == 2000


def test_a_slow_reader_is_no_silent_server(run):
    async def main():
        async def handler(request, writer):
            writer.write(CHUNKED + chunk(b"one\ntwo\n"))
            await asyncio.sleep(0.3)
            writer.write(chunk(b"three\n") + b"0\r\n\r\n")

        seen = []
        async with (
            Server(handler) as server,
            client_of(server.url) as client,
            client.stream("/w", silence=0.2) as stream,
        ):
            async for line in stream.lines():
                seen.append(line)
                await asyncio.sleep(0.25)
        return seen

    assert run(main()) == [b"one", b"two", b"three"]


def test_an_error_answer_to_a_stream_has_a_body(run):
    async def main():
        handler = answering(ok(b'{"kind":"Status"}', "application/json", "410 Gone"))
        async with Server(handler) as server, client_of(server.url) as client, client.stream("/w") as stream:
            return stream.status, await stream.body()

    assert run(main()) == (410, b'{"kind":"Status"}')


def test_a_stream_read_to_its_end_leaves_a_connection_to_use(run):
    async def main():
        async with Server(answering(CHUNKED + b"0\r\n\r\n")) as server, client_of(server.url) as client:
            for _ in range(3):
                async with client.stream("/w") as stream:
                    assert [line async for line in stream.lines()] == []
            return server.connections

    assert run(main()) == 1


@pytest.mark.parametrize("kind", ["get", "stream"])
def test_a_cancelled_request_closes_its_connection(run, kind):
    async def main():
        arrived = asyncio.Event()

        async def handler(request, writer):
            if kind == "stream":
                writer.write(CHUNKED + chunk(b"one\n"))
            arrived.set()
            await request.gone()
            writer.close()

        async def ask(client):
            if kind == "get":
                await client.get("/x")
            async with client.stream("/w") as stream:
                async for _ in stream.lines():
                    pass

        async with Server(handler) as server, client_of(server.url) as client:
            task = asyncio.create_task(ask(client))
            await arrived.wait()
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await server.until_ended(1)
            return len(client._open)

    assert run(main()) == 0


def test_leaving_a_stream_closes_its_connection(run):
    async def main():
        async def handler(request, writer):
            writer.write(CHUNKED + chunk(b"one\n"))
            await request.gone()
            writer.close()

        async with Server(handler) as server, client_of(server.url) as client:
            async with client.stream("/w") as stream:
                assert await anext(stream.lines()) == b"one"
            await server.until_ended(1)
            return len(client._open)

    assert run(main()) == 0


def test_closing_the_client_ends_its_streams(run):
    async def main():
        async def handler(request, writer):
            writer.write(CHUNKED + chunk(b"one\n"))
            await request.gone()
            writer.close()

        async with Server(handler) as server, client_of(server.url) as client, client.stream("/w") as stream:
            lines = stream.lines()
            await anext(lines)
            await client.close()
            with pytest.raises(UnreachableError):
                await anext(lines)
            with pytest.raises(UnreachableError, match="closed"):
                await client.get("/x")

    run(main())


def test_a_connection_that_opens_after_the_close_is_closed(run, monkeypatch):
    async def main():
        async def close_meanwhile(*args):
            connection = await connect(*args)
            await client.close()
            return connection

        monkeypatch.setattr("network_mapper.kube.client.connect", close_meanwhile)
        async with Server(answering(ok(b"1"))) as server, client_of(server.url) as client:
            with pytest.raises(UnreachableError, match="the client is closed"):
                await client.get("/x")
            await server.until_ended(1)
            return server.requests

    assert run(main()) == []


def test_a_path_cannot_smuggle_a_second_request(run):
    async def main():
        async with Server(answering(ok(b"{}"))) as server, client_of(server.url) as client:
            await client.get("/api/v1/pods\r\nEvil: 1\r\n", {"a": "\r\nb"})
            return server.requests

    (request,) = run(main())
    assert "evil" not in request.headers
    assert request.target == "/api/v1/pods%0D%0AEvil:%201%0D%0A?a=%0D%0Ab"


def test_ipv6_addresses_are_reached(run):
    async def main():
        async def serve(reader, writer):
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(ok(head))
            await writer.drain()
            writer.close()

        try:
            server = await asyncio.start_server(serve, "::1", 0)
        except OSError:
            pytest.skip("there is no IPv6 loopback here")
        port = server.sockets[0].getsockname()[1]
        async with server, client_of(f"http://[::1]:{port}") as client:
            return (await client.get("/x")).body, port

    body, port = run(main())
    assert f"Host: [::1]:{port}".encode() in body


def test_tls_is_spoken_and_its_server_checked(run, certs):
    async def main():
        tls = Tls(authority=Material(certs.path("ca.crt")))
        async with Server(answering(ok(b"{}")), certs.server()) as server, client_of(server.url, tls) as client:
            return (await client.get("/x")).status

    assert run(main()) == 200
