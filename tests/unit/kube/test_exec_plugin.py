"""Exec plugins: real programs that print what each test wants."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import sys
import time

import pytest
from https_server import Server, answering, client_of, ok

from network_mapper.kube.client import CredentialsError
from network_mapper.kube.errors import KubeConfigError
from network_mapper.kube.exec_plugin import ExecPlugin
from network_mapper.kube.kubeconfig import Plugin, Variable
from network_mapper.kube.tls import Material, Tls

V1 = "client.authentication.k8s.io/v1"
T = {"token": "t"}
EVIL = {"token": "a\r\nEvil: 1"}
V1BETA1 = "client.authentication.k8s.io/v1beta1"


@pytest.fixture
def program(tmp_path):
    """Write a Python program that counts its runs; the last line of its body prints."""

    def write(body, name="plugin"):
        path = tmp_path / name
        head = f"#!{sys.executable}\nimport json, os, sys, time\nopen({str(tmp_path / 'runs')!r}, 'a').write('x')\n"
        path.write_text(head + body)
        path.chmod(0o755)
        return str(path)

    write.runs = lambda: len((tmp_path / "runs").read_text())
    return write


def printing(version=V1, **status):
    return f"print({json.dumps({'kind': 'ExecCredential', 'apiVersion': version, 'status': status})!r})"


def plugin(command, version=V1, folder=None, cluster=None, **more):
    options = {name: more.pop(name) for name in ("timeout", "clock") if name in more}
    entry = Plugin(command, api_version=version, **{"interactive_mode": "Never", **more})
    return ExecPlugin(entry, folder, cluster=cluster, origin="user 'me'", **options)


def current(credentials):
    return asyncio.run(credentials.current())


@pytest.mark.parametrize("version", [V1, V1BETA1])
def test_a_token_is_printed_and_kept(run, program, version):
    async def main():
        credentials = plugin(program(printing(version, **T)), version)
        return [(await credentials.current()).authorization for _ in range(3)]

    assert run(main()) == ["Bearer t"] * 3
    assert program.runs() == 1


def test_many_callers_wait_for_one_run(run, program):
    async def main():
        credentials = plugin(program("time.sleep(0.1)\n" + printing(**T)))
        return await asyncio.gather(*(credentials.current() for _ in range(5)))

    assert len(set(run(main()))) == 1
    assert program.runs() == 1


def test_what_has_expired_is_printed_anew(program):
    clock = [time.time()]
    soon = dt.datetime.fromtimestamp(clock[0] + 60, dt.UTC).isoformat().replace("+00:00", "Z")
    credentials = plugin(
        program(printing(**T, expirationTimestamp=soon)),
        clock=lambda: clock[0],
    )
    current(credentials)
    clock[0] += 50
    current(credentials)
    assert program.runs() == 1
    clock[0] += 11
    current(credentials)
    assert program.runs() == 2


def test_what_was_refused_is_printed_anew_once(program):
    credentials = plugin(program(printing(**T)))
    first = current(credentials)
    credentials.reject(first)
    current(credentials)
    credentials.reject(first)
    current(credentials)
    assert program.runs() == 2


def test_a_refused_token_is_replaced_within_one_request(run, program):
    body = "n = os.path.getsize(os.path.dirname(__file__) + '/runs')\n"
    body += f"print(json.dumps(dict(kind='ExecCredential', apiVersion={V1!r}, status=dict(token=f't{{n}}'))))"
    credentials = plugin(program(body))

    async def main():
        async def handler(request, writer):
            writer.write(ok(b"{}") if request.token.endswith("2") else ok(b"", "", "401 Unauthorized"))

        async with Server(handler) as server, client_of(server.url, credentials=credentials) as client:
            return (await client.get("/x")).status, [request.token for request in server.requests]

    assert run(main()) == (200, ["t1", "t2"])


def test_a_certificate_is_printed_and_shown(run, program, certs):
    pair = {
        "clientCertificateData": certs.text("bob.crt").decode(),
        "clientKeyData": certs.text("bob.key").decode(),
    }
    credentials = plugin(program(printing(**pair)))

    async def main():
        async with (
            Server(answering(ok(b"{}")), certs.server(require=True)) as server,
            client_of(server.url, Tls(Material(certs.path("ca.crt"))), credentials=credentials) as client,
        ):
            await client.get("/x")
            return server.requests[0]

    request = run(main())
    assert request.client == "bob"
    assert "authorization" not in request.headers


SHOW = f"""
info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
token = "|".join([*sys.argv[1:], os.environ.get("MY_VAR", ""), json.dumps(info), sys.stdin.read()])
print(json.dumps(dict(kind="ExecCredential", apiVersion={V1!r}, status=dict(token=token))))
"""


def shown(credentials):
    first, second, variable, info, stdin = current(credentials).authorization.removeprefix("Bearer ").split("|")
    assert stdin == ""
    return first, second, variable, json.loads(info)


def test_arguments_environment_and_wish_are_passed_and_nobody_answers(program, monkeypatch):
    monkeypatch.setenv("MY_VAR", "outside")
    credentials = plugin(program(SHOW), args=["a b", "--c"], env=[Variable("MY_VAR", "inside"), Variable(None, "x")])
    assert shown(credentials) == (
        "a b",
        "--c",
        "inside",
        {"kind": "ExecCredential", "apiVersion": V1, "spec": {"interactive": False}},
    )


def test_the_cluster_is_told_where_that_was_asked(program):
    cluster = {"server": "https://api", "config": {"audience": "x"}}
    credentials = plugin(program(SHOW), args=["a", "b"], cluster=cluster)
    assert shown(credentials)[3]["spec"] == {"interactive": False, "cluster": cluster}


def test_a_command_with_a_slash_is_relative_to_the_kubeconfig(program, tmp_path):
    program(printing(**T))
    assert current(plugin("./plugin", folder=tmp_path)).authorization == "Bearer t"


def test_a_command_without_a_slash_is_looked_for_in_path(program, tmp_path, monkeypatch):
    program(printing(**T))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert current(plugin("plugin", folder=tmp_path / "elsewhere")).authorization == "Bearer t"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("sys.exit('no session,\\nplease log in')", "failed with exit code 1: no session, please log in. Install"),
        ("sys.exit(3)", "failed with exit code 3. Install"),
        ("pass", "printed no ExecCredential"),
        ("print('{')", "printed no ExecCredential"),
        ("print('{}')", "expected client.authentication.k8s.io/v1 ExecCredential"),
        (printing(V1BETA1, **T), "printed client.authentication.k8s.io/v1beta1 ExecCredential"),
        (printing(), "neither a token nor a certificate"),
        (printing(clientCertificateData="x"), "a certificate without its key"),
        (printing(**EVIL), "characters that no token has"),
        (printing(**T, expirationTimestamp="soon"), "printed no ExecCredential"),
        (printing(token=5), "printed no ExecCredential"),
        ("sys.stdout.buffer.write(b'x' * 5_000_000)", "printed no ExecCredential"),
    ],
)
def test_a_plugin_that_fails_is_told_with_its_words_and_the_hint(run, program, body, words):
    command = program(body)

    async def main():
        await plugin(command, install_hint="Install\nit from x").current()

    with pytest.raises(CredentialsError) as caught:
        run(main())
    text = str(caught.value)
    assert words in text
    assert text.startswith(f"user 'me': exec plugin {command} ")
    assert text.endswith(". Install it from x")
    assert text.isprintable()


def test_a_plugin_that_is_missing_is_told_with_the_hint(tmp_path):
    with pytest.raises(CredentialsError, match=r"no-such-plugin is not installed, or not in PATH\. See the docs"):
        current(plugin("no-such-plugin", install_hint="See the docs"))


def test_a_plugin_that_cannot_run_is_told(tmp_path):
    (tmp_path / "plugin").write_text("#!/does/not/exist\n")
    (tmp_path / "plugin").chmod(0o755)
    with pytest.raises(CredentialsError, match=r"cannot be run: No such file"):
        current(plugin("./plugin", folder=tmp_path))


def test_a_plugin_that_hangs_is_ended_with_its_children(run, program, tmp_path):
    body = f"if os.fork() == 0: time.sleep(2); open({str(tmp_path / 'alive')!r}, 'w')\ntime.sleep(60)"

    async def main():
        began = time.monotonic()
        with pytest.raises(CredentialsError, match=r"did not finish within 0\.5 s"):
            await plugin(program(body), timeout=0.5).current()
        assert time.monotonic() - began < 30
        await asyncio.sleep(2.5)

    run(main())
    assert not (tmp_path / "alive").exists()


def test_a_cancelled_request_ends_the_plugin(run, program):
    async def main():
        task = asyncio.create_task(plugin(program("time.sleep(60)")).current())
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asyncio.shield(task), 20)

    run(main())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"command": ""}, "no command"),
        ({"command": None}, "no command"),
        ({"version": None}, "expected client.authentication.k8s.io/v1 or"),
        ({"version": "v1"}, "expected client.authentication.k8s.io/v1 or"),
        ({"version": "client.authentication.k8s.io/v1alpha1"}, "update the plugin and the kubeconfig"),
        ({"interactive_mode": None}, "interactiveMode Never or IfAvailable"),
        ({"interactive_mode": "Sometimes"}, "interactiveMode Never or IfAvailable"),
        ({"interactive_mode": "Always"}, "asks questions"),
        ({"args": ["a\0b"]}, "characters"),
        ({"env": [Variable("A=B", "c")]}, "characters"),
        ({"cluster": {"config": {"a": object()}}}, "is no JSON"),
    ],
)
def test_an_entry_that_cannot_work_is_a_fault_of_the_kubeconfig(tmp_path, options, words):
    with pytest.raises(KubeConfigError, match=words):
        plugin(**{"command": "x", "folder": tmp_path, **options})


def test_the_older_version_may_leave_the_mode_out(tmp_path):
    plugin("x", V1BETA1, tmp_path, interactive_mode=None)
