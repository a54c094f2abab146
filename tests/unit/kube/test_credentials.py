"""Tokens that are replaced, and requests that are tried once more when the proof was refused."""

from __future__ import annotations

import asyncio

import pytest
from https_server import Server, answering, client_of, ok

from network_mapper.kube.client import CredentialsError
from network_mapper.kube.credentials import REREAD, Fixed, TokenFile, basic, bearer

DENIED = ok(b'{"kind":"Status","code":401}', "application/json", "401 Unauthorized")


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def current(credentials):
    return asyncio.run(credentials.current()).authorization


def test_a_token_file_is_read_anew_after_a_while(tmp_path):
    file, clock = tmp_path / "token", Clock()
    file.write_text("one\n")
    credentials = TokenFile(str(file), clock=clock)
    assert current(credentials) == "Bearer one"
    file.write_text("two\n")
    clock.now += REREAD - 0.1
    assert current(credentials) == "Bearer one"
    clock.now += 0.2
    assert current(credentials) == "Bearer two"


def test_a_refused_token_is_read_anew_at_once(tmp_path):
    file = tmp_path / "token"
    file.write_text("one")
    credentials = TokenFile(str(file), clock=Clock())
    assert current(credentials) == "Bearer one"
    file.write_text("two")
    credentials.reject(bearer("zero"))
    assert current(credentials) == "Bearer one"
    credentials.reject(bearer("one"))
    assert current(credentials) == "Bearer two"


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe", b"a b", b"a\r\nEvil: 1"])
def test_a_token_that_worked_outlives_a_file_that_is_broken(tmp_path, content):
    file, clock = tmp_path / "token", Clock()
    file.write_text("one")
    credentials = TokenFile(str(file), clock=clock)
    current(credentials)
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    clock.now += 2 * REREAD
    assert current(credentials) == "Bearer one"
    file.write_text("two")
    assert current(credentials) == "Bearer two"


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b"a b"])
def test_a_file_that_never_held_a_token_is_an_error(tmp_path, content):
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CredentialsError, match=r"the token file .*/token"):
        current(TokenFile(str(file)))
    assert current(TokenFile(str(file), fallback="spare")) == "Bearer spare"


def test_a_name_and_a_password_are_basic_authentication():
    assert basic("Aladdin", "open sesame").authorization == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="


def only(tokens):
    async def handler(request, writer):
        writer.write(ok(b"{}") if request.token in tokens else DENIED)

    return handler


def test_a_rotated_token_is_used_without_a_failed_request(run, tmp_path):
    file = tmp_path / "token"
    file.write_text("old")

    async def main():
        tokens = {"old"}
        async with (
            Server(only(tokens)) as server,
            client_of(server.url, credentials=TokenFile(str(file), clock=Clock())) as client,
        ):
            first = await client.get("/x")
            tokens.clear()
            tokens.add("new")
            file.write_text("new")
            second = await client.get("/x")
            async with client.stream("/x") as stream:
                third = stream.status
            return [first.status, second.status, third], [request.token for request in server.requests]

    statuses, tokens = run(main())
    assert statuses == [200, 200, 200]
    assert tokens == ["old", "old", "new", "new"]


def test_a_stream_is_opened_with_the_new_token_after_a_refusal(run, tmp_path):
    file = tmp_path / "token"
    file.write_text("old")

    async def main():
        async with (
            Server(only({"new"})) as server,
            client_of(server.url, credentials=TokenFile(str(file), clock=Clock())) as client,
        ):
            await client.get("/x")
            file.write_text("new")
            async with client.stream("/x") as stream:
                return stream.status

    assert run(main()) == 200


@pytest.mark.parametrize("kind", ["file", "fixed"])
def test_a_token_that_stays_refused_is_tried_once_and_the_refusal_told(run, tmp_path, kind):
    (tmp_path / "token").write_text("wrong")
    credentials = TokenFile(str(tmp_path / "token")) if kind == "file" else Fixed(bearer("wrong"))

    async def main():
        async with Server(only(())) as server, client_of(server.url, credentials=credentials) as client:
            answer = await client.get("/x")
            return answer, len(server.requests)

    answer, requests = run(main())
    assert (answer.status, answer.body, requests) == (401, b'{"kind":"Status","code":401}', 1)


class Changing:
    """A new token after each refusal, however many."""

    def __init__(self):
        self.number = 0

    async def current(self):
        return bearer(str(self.number))

    def reject(self, _):
        self.number += 1


def test_a_refused_request_is_tried_once_more_and_not_for_ever(run):
    async def main():
        async with Server(only(())) as server, client_of(server.url, credentials=Changing()) as client:
            answer = await client.get("/x")
            return answer.status, [request.token for request in server.requests]

    assert run(main()) == (401, ["0", "1"])


class Broken(Changing):
    async def current(self):
        if self.number:
            raise CredentialsError("the plugin is gone")
        return await super().current()


def test_credentials_that_cannot_be_renewed_are_told(run):
    async def main():
        async with Server(only(())) as server, client_of(server.url, credentials=Broken()) as client:
            with pytest.raises(CredentialsError, match="the plugin is gone"):
                await client.get("/x")
            assert len(server.requests) == 1

    run(main())


def test_more_headers_are_sent_as_often_as_they_are_given(run):
    headers = [("Impersonate-User", "u"), ("Impersonate-Group", "a"), ("Impersonate-Group", "b")]

    async def main():
        async with Server(answering(ok(b"{}"))) as server, client_of(server.url, headers=headers) as client:
            await client.get("/x")
            return server.requests[0].all_headers

    sent = run(main())
    assert [pair for pair in sent if pair[0].startswith("impersonate")] == [
        ("impersonate-user", "u"),
        ("impersonate-group", "a"),
        ("impersonate-group", "b"),
    ]
