"""TLS against a real server: who is trusted, which certificate is shown, and renewal of all of them."""

from __future__ import annotations

import asyncio
import os
import shutil

import pytest
from https_server import CHUNKED, Server, answering, chunk, client_of, ok

from network_mapper.kube.client import ApiError, CredentialsError, UnreachableError
from network_mapper.kube.errors import KubeConfigError
from network_mapper.kube.tls import Material, Tls, make_context, material


def in_file(certs, name):
    return Material(certs.path(name))


def in_data(certs, name):
    return Material(data=certs.text(name))


def own_pair(certs, folder):
    return Tls(in_file(certs, "ca.crt"), certificate=Material(str(folder / "crt")), key=Material(str(folder / "key")))


async def status(certs, tls, **asks):
    async with (
        Server(answering(ok(b"{}")), certs.server(**asks)) as server,
        client_of(server.url, tls) as client,
    ):
        answer = await client.get("/x")
        return answer.status, server.requests[-1].client


@pytest.mark.parametrize("form", [in_file, in_data])
def test_the_cluster_s_authority_is_trusted(run, certs, form):
    assert run(status(certs, Tls(form(certs, "ca.crt")))) == (200, "")


def test_an_authority_among_others_is_found(run, certs):
    both = certs.text("other.crt") + b"# a comment: \xc3\xa4\n" + certs.text("ca.crt")
    assert run(status(certs, Tls(Material(data=both))))[0] == 200


def test_a_certificate_that_is_pinned_itself_is_trusted(run, certs):
    assert run(status(certs, Tls(in_file(certs, "server.crt"))))[0] == 200


def test_another_authority_is_refused_in_one_line(run, certs):
    with pytest.raises(UnreachableError) as caught:
        run(status(certs, Tls(in_file(certs, "other.crt"))))
    text = str(caught.value)
    assert text.startswith("https://127.0.0.1:")
    assert "its certificate was not signed by certificate-authority" in text
    assert "\n" not in text


def test_without_an_authority_the_system_s_are_used(run, certs):
    with pytest.raises(UnreachableError, match="the system's authorities"):
        run(status(certs, Tls()))


def test_a_certificate_for_another_name_is_refused(run, certs):
    with pytest.raises(UnreachableError, match=r"for another name than wrong\.example; set tls-server-name"):
        run(status(certs, Tls(in_file(certs, "ca.crt"), name="wrong.example")))


def test_a_certificate_for_another_address_is_refused(run, certs):
    with pytest.raises(UnreachableError, match=r"for another name than 127\.0\.0\.2"):
        run(_elsewhere(certs))


async def _elsewhere(certs):
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.2", 0, ssl=certs.server())
    port = server.sockets[0].getsockname()[1]
    async with server, client_of(f"https://127.0.0.2:{port}", Tls(in_file(certs, "ca.crt"))) as client:
        await client.get("/x")


def test_tls_server_name_is_what_the_certificate_must_bear(run, certs):
    assert run(status(certs, Tls(in_file(certs, "ca.crt"), name="api.internal")))[0] == 200


def test_a_name_with_a_final_dot_is_the_name_without(run, certs):
    assert run(status(certs, Tls(in_file(certs, "ca.crt"), name="api.internal.")))[0] == 200


def test_nothing_is_checked_where_that_was_asked(run, certs):
    assert run(status(certs, Tls(verify=False, name="wrong.example")))[0] == 200


def test_a_server_without_tls_is_named_as_such(run):
    async def main():
        async def serve(reader, writer):
            await reader.read(1)
            writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server, client_of(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}") as client:
            await client.get("/x")

    with pytest.raises(UnreachableError, match=r"TLS failed: .*the server may speak no TLS on this port"):
        run(main())


@pytest.mark.parametrize("form", [in_file, in_data])
def test_a_client_certificate_is_shown(run, certs, form):
    tls = Tls(in_file(certs, "ca.crt"), certificate=form(certs, "alice.crt"), key=form(certs, "alice.key"))
    assert run(status(certs, tls, require=True)) == (200, "alice")


def test_a_server_that_wants_a_certificate_says_so(run, certs):
    with pytest.raises(UnreachableError, match=r"^https://127\.0\.0\.1:\d+: (TLS failed: .*certif|the conn)"):
        run(status(certs, Tls(in_file(certs, "ca.crt")), require=True))


def test_a_renewed_client_certificate_is_shown_at_the_next_request(run, certs, tmp_path):
    tls = own_pair(certs, tmp_path)

    def install(name):
        for kind in ("crt", "key"):
            shutil.copy(certs.path(f"{name}.{kind}"), tmp_path / "new")
            os.replace(tmp_path / "new", tmp_path / kind)  # noqa: PTH105  as kubelet does it

    async def main():
        async with (
            Server(answering(ok(b"{}")), certs.server(require=True)) as server,
            client_of(server.url, tls) as client,
        ):
            for name in ("alice", "alice", "bob"):
                install(name)
                await client.get("/x")
            return [request.client for request in server.requests], server.connections

    who, connections = run(main())
    assert who == ["alice", "alice", "bob"]
    assert connections >= 2


def test_a_half_written_renewal_leaves_what_worked(run, certs, tmp_path):
    for kind in ("crt", "key"):
        shutil.copy(certs.path(f"alice.{kind}"), tmp_path / kind)
    tls = own_pair(certs, tmp_path)

    async def main():
        async with (
            Server(answering(ok(b"{}")), certs.server(require=True)) as server,
            client_of(server.url, tls) as client,
        ):
            await client.get("/x")
            shutil.copy(certs.path("bob.crt"), tmp_path / "crt")
            await client.get("/x")
            shutil.copy(certs.path("bob.key"), tmp_path / "key")
            await client.get("/x")
            return [request.client for request in server.requests]

    assert run(main()) == ["alice", "alice", "bob"]


def test_an_open_stream_outlives_a_renewal(run, certs, tmp_path):
    authority = tmp_path / "ca.crt"
    shutil.copy(certs.path("ca.crt"), authority)

    async def main():
        go_on = asyncio.Event()

        async def handler(request, writer):
            if request.target == "/w":
                writer.write(CHUNKED + chunk(b"one\n"))
                await go_on.wait()
                writer.write(chunk(b"two\n") + b"0\r\n\r\n")
            else:
                writer.write(ok(b"{}"))

        async with (
            Server(handler, certs.server()) as server,
            client_of(server.url, Tls(Material(str(authority)))) as client,
            client.stream("/w") as stream,
        ):
            lines = stream.lines()
            first = await anext(lines)
            authority.write_bytes(certs.text("other.crt") + certs.text("ca.crt"))
            await client.get("/x")
            go_on.set()
            return [first] + [line async for line in lines]

    assert run(main()) == [b"one", b"two"]


@pytest.mark.parametrize(
    ("tls", "words"),
    [
        (Tls(Material("/does/not/exist")), "cannot read certificate-authority /does/not/exist: No such file"),
        (Tls(Material(data=b"nonsense")), "certificate-authority-data holds no certificate"),
        (Tls(Material(data=b"")), None),
        (Tls(certificate=Material(data=b"x"), key=Material(data=b"y")), "the client certificate and its key"),
    ],
)
def test_certificates_that_cannot_be_used_are_named(tls, words):
    if words is None:
        make_context(tls)
        return
    with pytest.raises(CredentialsError, match=words):
        make_context(tls)


def test_a_key_of_another_certificate_is_named(certs):
    tls = Tls(certificate=in_file(certs, "alice.crt"), key=in_file(certs, "bob.key"))
    with pytest.raises(ApiError, match=r"alice\.crt and its key cannot be used: key values mismatch"):
        make_context(tls)


def test_a_key_with_a_password_asks_nobody(certs, tmp_path):
    certs._openssl("ec", "-in", "alice.key", "-aes128", "-passout", "pass:secret", "-out", "locked.key")
    with pytest.raises(CredentialsError):
        make_context(Tls(certificate=in_file(certs, "alice.crt"), key=in_file(certs, "locked.key")))


def test_private_keys_leave_no_file_behind(certs, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    make_context(Tls(certificate=in_data(certs, "alice.crt"), key=in_data(certs, "alice.key")))
    assert list(tmp_path.iterdir()) == []


def test_data_win_over_a_file_and_files_are_relative_to_the_kubeconfig(tmp_path):
    assert material("file", "eA ==\n", tmp_path, "") == Material(data=b"x")
    assert material("file", "", tmp_path, "") == Material(str(tmp_path / "file"))
    assert material("/abs/file", None, tmp_path, "") == Material("/abs/file")
    assert not material(None, None, tmp_path, "")
    with pytest.raises(KubeConfigError, match="here is no base64"):
        material(None, "%%%", tmp_path, "here")
