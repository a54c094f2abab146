"""`docs/migration.md` against the program: every command and flag of the model's command line, and what became of it.

Flags are parsed as the program parses them, typed, from their variable and from a file of settings, and must mean the
same each time.
"""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from network_mapper.cli.commands import COMMANDS, PROGRAM
from network_mapper.cli.console import State
from network_mapper.cli.main import cli

PAGE = Path(__file__).parents[3] / "docs" / "migration.md"
CLOUD = """
    login users organizations invites environments integrations services clusters namespaces access-graph clientintents
    terraform
"""
MODEL_COMMANDS = {
    *(f"network-mapper {name}" for name in ("list", "export", "visualize", "reset")),
    *("version", "api-version", "completion", "help"),
    *CLOUD.split(),
}
"""Of the Otterize command line v2.0.3."""

EVERY, MAP, PARTS = "every command", "list, export, visualize, reset", "list, export, visualize"
FLAGS = {
    (EVERY, "--config"): "settings.toml",
    (EVERY, "--quiet"): None,
    (EVERY, "--debug"): None,
    (EVERY, "--no-headers"): None,
    (EVERY, "--telemetry-enabled"): None,
    (EVERY, "--telemetry-usage-enabled"): None,
    (EVERY, "--telemetry-errors-enabled"): None,
    (EVERY, "--telemetry-errors-address"): "https://errors.example.com",
    (EVERY, "--telemetry-errors-stage"): "prod",
    (EVERY, "--interactive"): None,
    (MAP, "--mapper-service-name"): "otterize-network-mapper",
    (MAP, "--mapper-namespace"): "otterize-system",
    (MAP, "--mapper-service-port"): "9090",
    (PARTS, "--exclude-services"): "a,b",
    (PARTS, "--exclude-labels"): "a=b,c=d",
    (PARTS, "--namespaces"): "a,b",
    (PARTS, "--distinct-by-label"): "team",
    (PARTS, "--as-kubernetes-service"): None,
    ("list", "--format"): "json",
    ("export", "--format"): "json",
    ("export", "--output"): "intents",
    ("export", "--output-type"): "dir",
    ("export", "--output-version"): "v1",
    ("export", "--server"): "web.shop",
    ("visualize", "--output-path"): "map.png",
    ("visualize", "--format"): "SVG",
    **{
        ("commands of the cloud", f"--{name}"): "x"
        for name in ("api-address", "org-id", "client-id", "client-secret", "token", "token-expiry")
    },
}
"""Every flag of it by where it belongs, with a value; None for a switch."""

SHORT = {
    "-q": (EVERY, "--quiet"),
    "-n": (PARTS, "--namespaces"),
}
PATHS = {"export": "--output", "visualize": "--output-path"}
NEEDED = {"visualize": ["--output-path", "map.png"], "completion": ["bash"]}


def cells(title):
    """The rows of a section's table, without the heading."""
    section = PAGE.read_text().partition(f"\n### {title}\n")[2].partition("\n### ")[0].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line.startswith("|")]
    assert {len(row) for row in rows} == {len(rows[0])}
    return rows[2:]


def here(cell):
    """What became of it: a flag or a command of ours, or words."""
    return cell.strip("`") if re.fullmatch(r"`[^`]+`", cell) else cell


def commands():
    return {name.strip("`"): here(became) for name, became, _ in cells("Commands")}


def flags():
    return {(of, flag.strip("`")): here(became) for of, flag, became, _ in cells("Flags")}


def users(of):
    """The commands of ours that a flag belongs to."""
    return ["list", "export", "visualize", "reset", "version", "completion"] if of == EVERY else of.split(", ")


TAKEN = [
    (name, flag, became)
    for (of, flag), became in flags().items()
    if became.startswith("--") and of != "commands of the cloud"
    for name in users(of)
]
NAMED = [pytest.param(*case, id=" ".join(case[:2])) for case in TAKEN]


def value_of(name, flag):
    (value,) = [value for (of, listed), value in FLAGS.items() if listed == flag and name in users(of)]
    return value


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No settings but the test's, and an empty file of settings."""
    for variable in ("XDG_CONFIG_HOME", "APPDATA"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setattr("sys.argv", [PROGRAM])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "settings.toml").write_text("")


def parsed(name, *args):
    """What a command is told: its parameters and the State; what it needs besides is added."""
    command, state = cli.get_command(None, name), State()
    needed = NEEDED.get(name, [])
    if not needed or needed[0] not in args:
        args = (*needed, *args)
    root = click.Context(cli, info_name=PROGRAM, obj=state)
    context = command.make_context(name, list(args), parent=root)
    return context.params, vars(state)


def test_every_command_of_the_model_is_listed_and_no_other():
    assert set(commands()) == MODEL_COMMANDS
    assert len(cells("Commands")) == len(MODEL_COMMANDS)


def test_every_flag_of_the_model_is_listed_and_no_other():
    assert set(flags()) == set(FLAGS)
    assert len(cells("Flags")) == len(FLAGS)


@pytest.mark.parametrize("name", sorted(MODEL_COMMANDS))
def test_a_command_is_what_its_row_says(run, name):
    became = commands()[name]
    if became == "not offered":
        result = run(name)
        assert result.code == 2
        assert f"No such command '{name}'" in result.err
    elif became == "--help":
        assert run("--help").code == 0
    else:
        assert became in COMMANDS
        assert run(became, "--help").code == 0


@pytest.mark.parametrize(("name", "flag", "became"), NAMED)
def test_a_flag_is_taken_under_its_old_name_and_means_what_the_new_one_does(name, flag, became):
    value = value_of(name, flag)
    old = parsed(name, flag) if value is None else parsed(name, flag, value)
    assert old == (parsed(name, became) if value is None else parsed(name, became, value))
    assert old == (parsed(name, f"{flag}=true") if value is None else parsed(name, f"{flag}={value}"))
    usual = parsed(name)
    assert old != usual or flag in {"--config", PATHS.get(name)}


@pytest.mark.parametrize(("name", "flag", "became"), NAMED)
def test_a_flags_variable_means_what_the_flag_does(monkeypatch, name, flag, became):
    value = value_of(name, flag)
    typed = parsed(name, flag) if value is None else parsed(name, flag, value)
    if flag == PATHS.get(name) and name in NEEDED:
        monkeypatch.setitem(NEEDED, name, [])
    monkeypatch.setenv(f"OTTERIZE_{flag.strip('-').upper().replace('-', '_')}", value or "true")
    assert parsed(name) == typed, became


@pytest.mark.parametrize(("name", "flag", "became"), [case for case in NAMED if case.values[1] != "--config"])
def test_a_flags_key_in_the_file_of_settings_means_what_the_flag_does(monkeypatch, tmp_path, name, flag, became):
    value = value_of(name, flag)
    typed = parsed(name, flag) if value is None else parsed(name, flag, value)
    if flag == PATHS.get(name) and name in NEEDED:
        monkeypatch.setitem(NEEDED, name, [])
    file = tmp_path / "config"
    file.write_text(f"{flag.strip('-')}: {value or 'true'}\n")
    assert parsed(name, "--config", str(file)) == typed, became


@pytest.mark.parametrize(("flag", "name"), [(flag, name) for flag, (of, _) in SHORT.items() for name in users(of)])
def test_a_short_flag_is_its_long_one(name, flag):
    long = SHORT[flag][1]
    values = [] if FLAGS[SHORT[flag]] is None else [FLAGS[SHORT[flag]]]
    assert parsed(name, flag, *values) == parsed(name, long, *values) != parsed(name)


@pytest.mark.parametrize(("name", "long"), [*PATHS.items(), ("list", "--format")])
def test_o_is_a_place_or_a_format(name, long):
    value = "json" if name == "list" else "somewhere"
    assert parsed(name, "-o", value) == parsed(name, long, value)


@pytest.mark.parametrize(
    ("name", "flag"),
    [(name, flag) for (of, flag), became in flags().items() if became == "no effect" for name in users(of)],
)
def test_what_has_no_effect_is_taken_and_changes_nothing(name, flag):
    value = FLAGS[EVERY, flag]
    typed = [flag] if value is None else [flag, value]
    assert parsed(name, *typed) == parsed(name)
    if value is None:
        assert parsed(name, f"{flag}=false") == parsed(name)


@pytest.mark.parametrize("flag", [flag for (_, flag), became in flags().items() if became == "not offered"])
@pytest.mark.parametrize("name", ["list", "export", "reset"])
def test_what_is_not_offered_is_wrong_usage(name, flag):
    with pytest.raises(click.exceptions.NoSuchOption):
        parsed(name, f"{flag}=x")
