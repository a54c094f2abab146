import io
import itertools
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time

import click
import pytest
from click.shell_completion import ShellComplete

from network_mapper.cli import candidates
from network_mapper.cli.main import cli
from network_mapper.cli.sources.base import Connection

SHELLS = ("bash", "zsh", "fish", "powershell")
INSTALLED = ("bash", "zsh", "fish")


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A PATH on which `network-mapper` is this program, and an account without settings."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "network-mapper"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m network_mapper "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    return folder


def shell(name: str, script: str) -> list[str]:
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    options = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[name]
    process = subprocess.run([name, *options, "-c", script], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return process.stdout.splitlines()


BASH = """
source <(network-mapper completion bash)
compopt() { printf '%%s ' compopt "$@"; echo; }
COMP_WORDS=(%(words)s)
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_network_mapper_completion network-mapper
printf '%%s\\n' "${COMPREPLY[@]}"
"""
ZSH = """
compdef() { :; }
compadd() { printf '%%s\\n' "${completions[@]}"; }
_describe() { for pair in "${completions_with_descriptions[@]}"; do print -r -- "${pair%%%%:*}"; done; }
_path_files() { print -r -- "compopt -o default"; }
eval "$(network-mapper completion zsh)"
words=(%(words)s)
CURRENT=${#words[@]}
_network_mapper_completion
"""
FISH = """
network-mapper completion fish | source
for line in (complete -C '%(words)s'); string split -f 1 -- \\t $line; end; true
"""


def offered(name: str, words: str) -> list[str]:
    """What a real shell offers for a command line."""
    if name == "fish":
        return shell(name, FISH % {"words": words})
    quoted = words if not words.endswith(" ") else words + "''"
    return [line for line in shell(name, (BASH if name == "bash" else ZSH) % {"words": quoted}) if line]


@pytest.mark.parametrize("name", SHELLS)
def test_script_says_how_to_use_it(run, name):
    result = run("completion", name)
    assert result.code == 0
    assert result.out.startswith(f"# Completion of network-mapper for {name}. To try it in this shell: ")
    assert "_NETWORK_MAPPER_COMPLETE" in result.out


@pytest.mark.parametrize("name", INSTALLED)
def test_script_is_understood_by_its_shell(run, name):
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    script = run("completion", name).out
    subprocess.run([name, "-n"], input=script.encode(), check=True)


@pytest.mark.parametrize("name", INSTALLED)
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("network-mapper sta", ["status"]),
        ("network-mapper list -o ", ["json", "text", "wide", "yaml"]),
        ("network-mapper completion ", ["bash", "fish", "powershell", "zsh"]),
        ("network-mapper --conf", ["--config"]),
        ("network-mapper list --telemetry", []),
    ],
)
def test_a_shell_offers_commands_options_and_values(programs, name, words, expected):
    assert sorted(offered(name, words)) == expected


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_a_shell_offers_files(programs, name):
    assert "compopt -o default" in [line.strip() for line in offered(name, "network-mapper list --map-file ")]


def test_fish_offers_files(programs, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "map-of-today.json").touch()
    assert "map-of-today.json" in offered("fish", "network-mapper list --map-file map-of")


@pytest.mark.parametrize("name", INSTALLED)
def test_a_shell_offers_the_namespaces_of_the_mapper(programs, mapper, monkeypatch, name):
    monkeypatch.setenv("NETWORK_MAPPER_MAPPER_URL", mapper.url)
    monkeypatch.setattr(candidates, "LONGEST", 20)
    deadline = time.monotonic() + 30
    while not (found := offered(name, "network-mapper list -n ")):  # a loaded machine may need more than 0.3 s
        assert time.monotonic() < deadline
    assert sorted(found) == ["shop"]


@pytest.fixture
def complete(monkeypatch):
    """What is offered for the last of some words, in this process, with as much time as it takes."""
    monkeypatch.setattr(candidates, "LONGEST", 30)

    def find(*words: str) -> list[str]:
        asked = ShellComplete(cli, {}, "network-mapper", "_NETWORK_MAPPER_COMPLETE")
        return [item.value for item in asked.get_completions(list(words[:-1]), words[-1])]

    return find


@pytest.mark.parametrize(
    ("option", "typed", "expected"),
    [
        ("--namespaces", "", ["shop"]),
        ("--namespaces", "shop,", ["shop,shop"]),
        ("-n", "x", []),
        ("--from", "", ["cart.shop"]),
        ("--to", "r", ["redis.shop"]),
        ("--server", "", ["cart.shop", "coredns.kube-system", "redis.shop"]),
        ("--exclude-services", "cart.shop,re", ["cart.shop,redis.shop"]),
    ],
)
def test_names_come_from_the_mapper(complete, mapper, option, typed, expected):
    assert complete("list", "--mapper-url", mapper.url, option, typed) == expected


def test_the_mapper_may_be_named_by_a_variable_or_a_file(complete, mapper, monkeypatch, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text(f'mapper-url = "{mapper.url}"\n')
    assert complete("list", "--config", str(config), "-n", "") == ["shop"]
    monkeypatch.setenv("NETWORK_MAPPER_MAPPER_URL", mapper.url)
    assert complete("list", "-n", "") == ["shop"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense://", "unix:/nonexistent"])
def test_without_a_mapper_nothing_is_offered_and_nothing_said(complete, capfd, url):
    assert complete("list", "--mapper-url", url, "-n", "") == []
    assert capfd.readouterr() == ("", "")


def test_a_broken_file_of_settings_is_not_spoken_of(complete, capfd, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text("= broken")
    assert complete("list", "--config", str(config), "-o", "w") == ["wide"]
    assert capfd.readouterr() == ("", "")


def test_a_mapper_that_does_not_answer_costs_a_third_of_a_second(complete, monkeypatch):
    monkeypatch.setattr(candidates, "LONGEST", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        complete("list", "--mapper-url", url, "-n", "")  # what is imported is not what is measured
        start = time.monotonic()
        assert complete("list", "--mapper-url", url, "-n", "") == []
        assert 0.3 <= time.monotonic() - start < 3


def test_the_mapper_is_the_one_that_the_line_names_so_far(complete, monkeypatch):
    asked = []

    def open_source(connection):
        asked.append(connection)
        raise OSError

    monkeypatch.setattr("network_mapper.cli.sources.open.open_source", open_source)
    way = ("--kubeconfig", "k", "--context", "c", "--mapper-namespace", "n", "--mapper-service-name", "s")
    assert complete("list", *way, "--mapper-service-port", "1", "--from", "") == []
    assert complete("list", "--mapper-url", "http://x", "--from", "") == []
    assert complete("list", "--map-file", "m", "--from", "") == []
    assert asked == [Connection("", "", "k", "c", "n", "s", 1), Connection("http://x"), Connection("", "m")]


def test_the_standard_input_is_the_persons(complete, monkeypatch, mapper):
    stdin = io.TextIOWrapper(io.BytesIO(b"typed"))
    monkeypatch.setattr(sys, "stdin", stdin)
    monkeypatch.setenv("NETWORK_MAPPER_MAPPER_URL", mapper.url)
    assert complete("list", "--map-file", "-", "--from", "") == ["cart.shop"]
    assert stdin.buffer.read() == b"typed"


@pytest.mark.parametrize(("words", "kind"), [(("snapshot", "-o", ""), "dir"), (("export", "-o", ""), "file")])
def test_folders_are_offered_where_a_folder_is_wanted(words, kind):
    asked = ShellComplete(cli, {}, "network-mapper", "_NETWORK_MAPPER_COMPLETE")
    assert [item.type for item in asked.get_completions(list(words[:-1]), words[-1])] == [kind]


def test_no_more_values_than_a_person_can_read(monkeypatch):
    monkeypatch.setitem(candidates._FINDERS, "--to", lambda _: {f"s{n}.shop" for n in range(1000)})
    option = click.Option(["--to"])
    found = candidates.of(click.Context(cli), option, "")
    assert len(found) == candidates.MOST


KUBECONFIG = {"contexts": [{"name": name, "context": {"cluster": "c"}} for name in ("kind-a", "kind-b", "staging")]}


def test_contexts_come_from_the_kubeconfig(complete, monkeypatch, tmp_path):
    file = tmp_path / "config"
    file.write_text(json.dumps(KUBECONFIG))
    assert complete("list", "--kubeconfig", str(file), "--context", "kind") == ["kind-a", "kind-b"]
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join([str(tmp_path / "missing"), str(file)]))
    assert complete("snapshot", "--context", "s") == ["staging"]


@pytest.mark.parametrize("content", [None, "", "- a", "{"])
def test_a_kubeconfig_that_is_none_offers_nothing(complete, capfd, tmp_path, content):
    file = tmp_path / "config"
    if content is not None:
        file.write_text(content)
    assert complete("list", "--kubeconfig", str(file), "--context", "") == []
    assert capfd.readouterr() == ("", "")


def powershell(words: str) -> list[tuple[str, str, str]]:
    """What the program answers when PowerShell's script asks: three lines for each value."""
    environ = {
        **os.environ,
        "_NETWORK_MAPPER_COMPLETE": "powershell_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    process = subprocess.run([sys.executable, "-m", "network_mapper"], env=environ, capture_output=True, check=True)
    lines = process.stdout.decode().splitlines()
    return [tuple(batch) for batch in itertools.batched(lines, 3)] if sys.version_info >= (3, 12) else [
        (lines[n], lines[n + 1], lines[n + 2]) for n in range(0, len(lines), 3)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            "network-mapper sta",
            [("plain", "status", "Show what watches, what reports, and what...")],
        ),
        ("network-mapper list -o w", [("plain", "wide", "_")]),
        ("network-mapper list --map-file ", [("file", "", "_")]),
    ],
)
def test_powershell_is_answered_in_threes(words, expected):
    assert powershell(words) == expected


def test_the_script_for_powershell_has_the_structure_that_powershell_wants(run):
    script = run("completion", "powershell").out
    assert re.search(r"Register-ArgumentCompleter -Native -CommandName network-mapper -ScriptBlock \{", script)
    assert "param($wordToComplete, $commandAst, $cursorPosition)" in script
    assert "[System.Management.Automation.CompletionResult]::new(" in script
    assert "%(" not in script
    for opening, closing in ("{}", "()", "[]"):
        assert script.count(opening) == script.count(closing)
    for line in script.splitlines():
        assert line.count("'") % 2 == 0 or line.startswith("#")
