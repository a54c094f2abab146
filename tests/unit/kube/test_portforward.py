"""A port-forward over WebSocket: against a kubelet that does as it should, and against ones that do not."""

from __future__ import annotations

import asyncio
import contextlib
import tracemalloc

import forwarding
import pytest
from forwarding import CLOSE, CONTINUATION, PING, PONG, TEXT, closing, frame, message, opened, switched
from https_server import Server, client_of, ok
from hypothesis import given
from hypothesis import strategies as st

from network_mapper.kube.credentials import bearer
from network_mapper.kube.errors import RefusedError, UnreachableError
from network_mapper.kube.portforward import LARGEST_MESSAGE, ForwardError, open_forward
from network_mapper.kube.tls import Material, Tls

PORT = 9090
FAILED = "the port-forward to port 9090 of pod shop/mapper failed: "


def kubelet(*sent, then=None, **head):
    """A handler that opens the forward, sends this, and does something more with reader and writer."""

    async def handler(request, writer):
        writer.write(switched(request.headers["sec-websocket-key"], **head) + opened(PORT))
        for data in sent:
            await writer.drain()
            writer.write(data)
        await writer.drain()
        if then is None:
            writer.close()
        else:
            await then(request.reader, writer)

    return handler


@contextlib.asynccontextmanager
async def forward_to(handler, **options):
    async with Server(handler) as server, client_of(server.url, **options) as client:
        forward = await open_forward(client, "shop", "mapper", PORT)
        forward.server = server
        try:
            yield forward
        finally:
            forward.close()


async def all_of(forward, silence=5.0):
    data = bytearray()
    while piece := await forward.receive(silence):
        data += piece
    return bytes(data)


def received(run, handler, **options):
    async def scenario():
        async with forward_to(handler, **options) as forward:
            return await all_of(forward)

    return run(scenario())


def failure(run, handler, **options):
    with pytest.raises(ForwardError) as caught:
        received(run, handler, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def echo(reader, writer):
    with contextlib.suppress(asyncio.IncompleteReadError):
        while True:
            opcode, payload = await forwarding.read_frame(reader)
            if opcode == CLOSE:
                return
            writer.write(frame(payload))


def test_what_is_asked_for_is_what_kubernetes_documents(run):
    async def scenario():
        async with forward_to(kubelet(closing())) as forward:
            (request,) = forward.server.requests
            return request

    request = run(scenario())
    assert (request.method, request.target) == ("GET", "/api/v1/namespaces/shop/pods/mapper/portforward?ports=9090")
    asked = {name: request.headers[name] for name in ("connection", "upgrade", "sec-websocket-version")}
    assert asked == {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    assert request.headers["sec-websocket-protocol"] == "v4.channel.k8s.io"


@pytest.mark.parametrize("size", [1, 125, 126, 65_535, 65_536, 1_000_000])
def test_bytes_come_back_as_they_were_sent(run, size):
    sent = bytes(at % 251 for at in range(size))

    async def scenario():
        async with forward_to(kubelet(then=echo)) as forward:
            forward.send(sent)
            got = bytearray()
            while len(got) < size:
                got += await forward.receive(5.0)
            return bytes(got)

    assert run(scenario()) == sent


def test_it_speaks_tls(run, certs):
    tls = Tls(authority=Material(certs.path("ca.crt")))

    async def scenario():
        handler = kubelet(message(b"over TLS"), closing())
        async with Server(handler, certs.server()) as server, client_of(server.url, tls) as client:
            forward = await open_forward(client, "shop", "mapper", PORT)
            try:
                return await all_of(forward)
            finally:
                forward.close()

    assert run(scenario()) == b"over TLS"


def test_a_connection_that_is_open_is_upgraded(run):
    async def handler(request, writer):
        if "portforward" in request.target:
            await kubelet(closing())(request, writer)
        else:
            writer.write(ok(b"{}"))

    async def scenario():
        async with Server(handler) as server, client_of(server.url) as client:
            await client.get("/api/v1/services")
            (await open_forward(client, "shop", "mapper", PORT)).close()
            return server.connections

    assert run(scenario()) == 1


@given(
    data=st.binary(max_size=300),
    cuts=st.lists(st.integers(1, 40), max_size=20),
    pieces=st.lists(st.integers(1, 60), max_size=30),
)
def test_no_byte_is_lost_however_messages_and_packets_are_cut(data, cuts, pieces):
    stream, rest = bytearray(), data
    for cut in cuts:
        part, rest = rest[:cut], rest[cut:]
        stream += message(part) if len(part) % 3 else frame(b"\0" + part[:1], fin=False) + frame(part[1:], CONTINUATION)
    stream += message(rest) + closing()
    sent, at = [], 0
    for size in pieces:
        sent.append(bytes(stream[at : at + size]))
        at += size
    sent.append(bytes(stream[at:]))
    assert received(asyncio.run, kubelet(*sent)) == data


def test_the_port_may_come_byte_by_byte(run):
    async def handler(request, writer):
        writer.write(switched(request.headers["sec-websocket-key"]))
        writer.write(message(b"") + message(b"\x82") + message(b"\x23hello") + closing())
        await writer.drain()

    assert received(run, handler) == b"hello"


def test_a_ping_is_answered_and_changes_nothing(run):
    answers = []

    async def then(reader, writer):
        answers.append(await forwarding.read_frame(reader))
        writer.write(message(b"lo") + closing())
        await writer.drain()
        writer.close()

    handler = kubelet(message(b"hel"), frame(b"are you there", PING), then=then)
    assert received(run, handler) == b"hello"
    assert answers == [(PONG, b"are you there")]


def test_closing_says_goodbye(run):
    async def scenario():
        seen = asyncio.get_running_loop().create_future()

        async def then(reader, _):
            seen.set_result(await forwarding.read_frame(reader))

        async with forward_to(kubelet(then=then)) as forward:
            forward.close()
            return await asyncio.wait_for(seen, 5)

    assert run(scenario()) == (CLOSE, b"\x03\xe8")


def test_closing_ends_the_connection(run):
    async def scenario():
        seen = asyncio.get_running_loop().create_future()

        async def then(reader, _):
            await forwarding.read_frame(reader)
            seen.set_result(await reader.read())

        async with forward_to(kubelet(then=then)) as forward:
            forward.close()
            return await asyncio.wait_for(seen, 5)

    assert run(scenario()) == b""


def test_much_goes_in_messages_that_a_kubelet_takes(run):
    async def scenario():
        seen = asyncio.get_running_loop().create_future()

        async def then(reader, _):
            sizes = []
            while sum(sizes) < 300_000:
                sizes.append(len(await forwarding.read_data(reader)))
            seen.set_result(sizes)

        async with forward_to(kubelet(then=then)) as forward:
            forward.send(bytes(300_000))
            return await asyncio.wait_for(seen, 5)

    sizes = run(scenario())
    assert sum(sizes) == 300_000
    assert max(sizes) <= 64 * 1024


def test_a_message_larger_than_kubelets_send_is_taken(run):
    large = bytes(3 * 1024 * 1024)
    assert received(run, kubelet(message(large), closing())) == large


# What the kubelet says


def test_a_port_that_nobody_listens_at_is_told_in_the_kubelet_s_words(run):
    said = b"error forwarding port 9090 to pod x: dial tcp4 127.0.0.1:9090:\nconnect: connection refused"
    assert failure(run, kubelet(message(said, 1), closing())) == (
        "port 9090 of pod shop/mapper refused the connection: "
        "error forwarding port 9090 to pod x: dial tcp4 127.0.0.1:9090: connect: connection refused"
    )


def test_what_came_before_an_error_is_delivered_first(run):
    async def scenario():
        async with forward_to(kubelet(message(b"half") + message(b"lost connection to pod", 1) + closing())) as forward:
            first = await forward.receive(5.0)
            with pytest.raises(ForwardError, match="lost connection to pod"):
                await forward.receive(5.0)
            return first

    assert run(scenario()) == b"half"


def test_an_error_without_end_is_kept_short(run):
    assert len(failure(run, kubelet(*[message(b"x" * 30_000, 1)] * 3, closing()))) < 1000


def test_an_error_without_end_takes_no_memory(run):
    more = frame(b"x" * 30_000, CONTINUATION, fin=False)
    tracemalloc.start()
    try:
        failure(run, kubelet(frame(b"\1no ", fin=False), *[more] * 300, closing()))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000


def test_a_close_that_is_no_farewell_is_told(run):
    assert failure(run, kubelet(closing(1011, "the pod\nis gone"))) == (
        FAILED + "it was closed with code 1011: the pod is gone"
    )


def test_an_end_without_a_word_is_told(run):
    assert failure(run, kubelet(message(b"half"))) == FAILED + "the connection ended without a word"


def test_silence_is_given_up(run):
    async def scenario():
        async with forward_to(kubelet(then=lambda reader, _: reader.read())) as forward:
            with pytest.raises(ForwardError) as caught:
                await forward.receive(0.2)
            return str(caught.value)

    assert "nothing came for 0.2 s" in run(scenario())


def test_what_is_sent_after_the_end_hides_nothing_of_what_came(run):
    async def scenario():
        async with forward_to(kubelet(message(b"last words"), message(b"refused", 1), closing())) as forward:
            await asyncio.sleep(0.05)  # all of it is there, and the connection is closed
            forward.send(b"too late")
            said = await forward.receive(5.0)
            forward.send(b"too late")
            with pytest.raises(ForwardError, match="refused the connection: refused"):
                await forward.receive(5.0)
            return said

    assert run(scenario()) == b"last words"


# What breaks the rules


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n" * 9, "what came breaks the rules of WebSocket ("),
        (frame(b"\0x", 3), "what came breaks the rules of WebSocket ("),
        (frame(b"\0x", rsv=4), "what came breaks the rules of WebSocket ("),
        (frame(b"x", CONTINUATION), "what came breaks the rules of WebSocket ("),
        (b"\x82\xff" + b"\xff" * 12, "what came breaks the rules of WebSocket"),
        (b"\x82\x7f" + (LARGEST_MESSAGE + 1).to_bytes(8, "big"), "what came breaks the rules of WebSocket"),
        (message(b"?", 7), "a message came on channel 7, which nobody opened"),
    ],
)
def test_garbage_is_one_line(run, sent, said):
    async def wait(reader, _):
        await reader.read()

    assert failure(run, kubelet(sent, then=wait)).startswith(FAILED + said)


def test_the_ports_that_a_kubelet_opens_are_checked(run):
    async def handler(request, writer):
        writer.write(switched(request.headers["sec-websocket-key"]) + opened(80))

    assert failure(run, handler) == FAILED + "the kubelet opened port 80"


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_data_or_one_error(garbage):
    with contextlib.suppress(ForwardError):
        received(asyncio.run, kubelet(garbage))


def test_text_messages_count_as_data(run):
    assert received(run, kubelet(frame(b"\0text", TEXT), closing())) == b"text"


# What is no forward


def refusal(run, handler, **options):
    with pytest.raises(RefusedError) as caught:
        received(run, handler, **options)
    return caught.value


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ({"accepted": "bm9wZQ=="}, "the answer to the upgrade is no WebSocket's, expected v4.channel.k8s.io"),
        ({"accepted": ""}, "the answer to the upgrade is no WebSocket's, expected v4.channel.k8s.io"),
        ({"subprotocol": "v5.channel.k8s.io"}, "the server speaks v5.channel.k8s.io, expected v4.channel.k8s.io"),
        ({"subprotocol": ""}, "the server speaks another protocol, expected v4.channel.k8s.io"),
        (
            {"more": "Sec-WebSocket-Extensions: permessage-deflate"},
            "the server uses extensions that were not asked for, expected v4.channel.k8s.io",
        ),
    ],
)
def test_a_switch_to_something_else_is_refused(run, head, said):
    assert str(refusal(run, kubelet(**head))) == said


def test_a_refused_switch_leaves_no_connection(run):
    async def scenario():
        seen = asyncio.get_running_loop().create_future()

        async def then(reader, _):
            with contextlib.suppress(ConnectionError):
                await reader.read()
            seen.set_result("ended")

        async with Server(kubelet(then=then, accepted="")) as server, client_of(server.url) as client:
            with pytest.raises(RefusedError):
                await open_forward(client, "shop", "mapper", PORT)
            return await asyncio.wait_for(seen, 5)

    assert run(scenario()) == "ended"


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (ok(b'{"kind":"Status","message":"no rights","reason":"Forbidden"}', status="403 Forbidden"), 403, "no rights"),
        (ok(b"words", "text/plain"), 200, "200 OK: words"),
        (ok(b"", "text/plain", "404 Not Found"), 404, "404 Not Found"),
        (ok(b"<html>", "text/html", "502 Bad Gateway"), 502, "502 Bad Gateway, with an HTML page"),
    ],
)
def test_an_upgrade_that_is_answered_otherwise_is_refused(run, answer, code, said):
    async def handler(_, writer):
        writer.write(answer)

    error = refusal(run, handler)
    assert (error.code, str(error)) == (code, said)


def test_a_connection_is_kept_after_a_refusal(run):
    async def handler(_, writer):
        writer.write(ok(b"{}", status="403 Forbidden"))

    async def scenario():
        async with Server(handler) as server, client_of(server.url) as client:
            for _ in range(2):
                with pytest.raises(RefusedError):
                    await open_forward(client, "shop", "mapper", PORT)
            return server.connections

    assert run(scenario()) == 1


def test_an_upgrade_that_nobody_asked_for_is_no_answer(run):
    async def handler(_, writer):
        writer.write(switched("key"))

    async def scenario():
        async with Server(handler) as server, client_of(server.url) as client:
            await client.get("/api/v1/pods")

    with pytest.raises(UnreachableError, match="answered with another protocol"):
        run(scenario())


def test_refused_credentials_are_replaced_once(run):
    class Renewed:
        token = "old"  # noqa: S105  it is none

        async def current(self):
            return bearer(self.token)

        def reject(self, _):
            self.token = "new"  # noqa: S105  likewise

    async def handler(request, writer):
        if request.token == "old":  # noqa: S105  likewise
            writer.write(ok(b"{}", status="401 Unauthorized"))
        else:
            await kubelet(message(b"welcome"), closing())(request, writer)

    assert received(run, handler, credentials=Renewed()) == b"welcome"


def test_impersonation_goes_along(run):
    async def scenario():
        async with forward_to(kubelet(closing()), headers=[("Impersonate-User", "jane")]) as forward:
            (request,) = forward.server.requests
            return request.headers["impersonate-user"]

    assert run(scenario()) == "jane"
