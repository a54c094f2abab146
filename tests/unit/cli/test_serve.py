from typing import Annotated

import click
import msgspec
import pytest

from network_mapper.cli import serve
from network_mapper.settings import setting
from network_mapper.sniffer.settings import SnifferSettings


class Oven(msgspec.Struct):
    recipe: Annotated[str, setting("What to bake.", "NAME")]
    heat: Annotated[int, setting("How hot.", "DEGREES")] = 180
    hours: Annotated[float, setting("How long.")] = 0.5
    fan: Annotated[bool, setting("Whether air moves.")] = True
    note: Annotated[str, setting("For the cook.")] = ""


@pytest.fixture
def bake(monkeypatch):
    """Run the command; the result is its exit code, and what the runner got."""
    monkeypatch.setattr("network_mapper.logs.setup", lambda **_: None)
    for field in Oven.__struct_fields__:
        monkeypatch.delenv(f"NETWORK_MAPPER_{field.upper()}", raising=False)
    got = []

    def runner(settings, others):
        got.append((settings, others))
        return 7

    command = serve.serve_command(
        "oven",
        Oven,
        runner,
        text="Bake.",
        examples=[("oven --recipe bread", "bread")],
        extra=[click.Option(["--guest"], multiple=True)],
    )

    def run(*args: str):
        code = command.main(list(args), prog_name="oven", standalone_mode=False)
        return code, *(got[-1] if got else ())

    return run


def test_defaults_and_the_runners_exit_code(bake):
    assert bake("--recipe", "bread") == (7, Oven("bread"), {"guest": ()})


def test_flags_win_over_the_environment(bake, monkeypatch):
    monkeypatch.setenv("NETWORK_MAPPER_HEAT", "200")
    monkeypatch.setenv("NETWORK_MAPPER_RECIPE", "pizza")
    assert bake()[1] == Oven("pizza", heat=200)
    assert bake("--heat", "90")[1] == Oven("pizza", heat=90)


def test_a_boolean_is_a_pair_of_flags(bake, monkeypatch):
    assert bake("--recipe", "x", "--no-fan")[1].fan is False
    monkeypatch.setenv("NETWORK_MAPPER_FAN", "false")
    assert bake("--recipe", "x")[1].fan is False
    assert bake("--recipe", "x", "--fan")[1].fan is True


def test_extra_parameters_are_kept_apart(bake):
    assert bake("--recipe", "x", "--guest", "a", "--guest", "b")[2] == {"guest": ("a", "b")}


@pytest.mark.parametrize(
    ("args", "message"),
    [(("--recipe", "x", "--heat", "hot"), "--heat='hot'"), ((), "recipe")],
)
def test_a_bad_value_is_a_usage_error_that_names_it(bake, args, message):
    with pytest.raises(click.UsageError, match=message):
        bake(*args)


def test_a_bad_variable_is_named(bake, monkeypatch):
    monkeypatch.setenv("NETWORK_MAPPER_HOURS", "long")
    with pytest.raises(click.UsageError, match="NETWORK_MAPPER_HOURS='long'"):
        bake("--recipe", "x")


def test_help_tells_variable_and_default(bake, capsys):
    bake("--help")
    out = " ".join(capsys.readouterr().out.split())
    assert "--recipe NAME What to bake. [env NETWORK_MAPPER_RECIPE; required]" in out
    assert "--heat DEGREES How hot. [env NETWORK_MAPPER_HEAT; default: 180]" in out
    assert "--fan / --no-fan Whether air moves. [env NETWORK_MAPPER_FAN; default: on]" in out
    assert "For the cook. [env NETWORK_MAPPER_NOTE]" in out


def test_a_missing_extra_says_how_to_install_it():
    def runner(*_):
        raise ModuleNotFoundError("No module named 'uvicorn'", name="uvicorn")

    command = serve.serve_command("oven", Oven, runner, text="Bake.", examples=[])
    with pytest.raises(click.ClickException, match=r"pip install 'network-mapper\[oven\]'"):
        command.main(["--recipe", "x"], standalone_mode=False)


def test_a_file_stands_behind_flags_and_environment(bake, monkeypatch, tmp_path):
    path = tmp_path / "oven.toml"
    path.write_text("recipe = 'cake'\nheat = 100\nfan = false")
    monkeypatch.setenv("NETWORK_MAPPER_HEAT", "200")
    assert bake("--config", str(path), "--fan")[1] == Oven("cake", heat=200)


def test_the_file_may_be_named_by_a_variable(bake, monkeypatch, tmp_path):
    path = tmp_path / "oven.toml"
    path.write_text("recipe = 'cake'")
    monkeypatch.setenv("NETWORK_MAPPER_CONFIG", str(path))
    assert bake()[1] == Oven("cake")


def test_a_bad_file_is_a_usage_error(bake, tmp_path):
    with pytest.raises(click.UsageError, match="No such file"):
        bake("--config", str(tmp_path / "none.toml"))


@pytest.mark.parametrize(
    ("args", "environ", "expected"),
    [
        ((), {}, {"debug": False, "log_format": "auto"}),
        (("--debug", "--log-format", "json"), {}, {"debug": True, "log_format": "json"}),
        ((), {"NETWORK_MAPPER_DEBUG": "1", "NETWORK_MAPPER_LOG_FORMAT": "text"}, {"debug": True, "log_format": "text"}),
        ((), {"OTTERIZE_DEBUG": "true"}, {"debug": True, "log_format": "auto"}),
        (("--no-debug",), {"OTTERIZE_DEBUG": "true"}, {"debug": False, "log_format": "auto"}),
    ],
)
def test_the_log_is_set_up_as_asked(bake, monkeypatch, args, environ, expected):
    done = []
    for name in ("NETWORK_MAPPER_DEBUG", "OTTERIZE_DEBUG", "NETWORK_MAPPER_LOG_FORMAT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("network_mapper.logs.setup", lambda **options: done.append(options))
    bake("--recipe", "x", *args)
    assert done == [expected]


def test_variables_of_the_model_without_effect_are_named_but_not_shown(bake, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setenv("OTTERIZE_CLIENT_SECRET", "hush")
    bake("--recipe", "x")
    assert "OTTERIZE_CLIENT_SECRET" in caplog.text
    assert "hush" not in caplog.text


def test_help_names_the_variables_of_the_model(capsys):
    command = serve.serve_command("sniffer", SnifferSettings, lambda *_: 0, text="Watch.", examples=[])
    command.main(["--help"], standalone_mode=False)
    assert "NETWORK_MAPPER_HEALTH_PORT or OTTERIZE_HEALTH_PROBES_PORT" in " ".join(capsys.readouterr().out.split())
