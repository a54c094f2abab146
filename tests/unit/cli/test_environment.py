"""Where values of options come from: flags, variables, the file, and which of them wins."""

import click
import pytest

from network_mapper.cli import inventory
from network_mapper.cli.main import cli

SERVERS = {"mapper", "sniffer"}


@pytest.fixture
def asked(ask, mapper, monkeypatch, tmp_path):
    """Run list; returns the namespaces that the mapper was asked for."""

    def list_namespaces(*args: str) -> str:
        mapper.requests.clear()
        result = ask("list", *args)
        assert result.code == 0, result.err
        return mapper.requests[0].partition("namespace=")[2]

    return list_namespaces


def test_a_flag_wins_over_our_variable_that_over_the_other_that_over_the_file(asked, monkeypatch, tmp_path):
    file = tmp_path / "config.toml"
    file.write_text('namespaces = "from-file"\n')
    assert asked("--config", str(file)) == "from-file"
    monkeypatch.setenv("OTTERIZE_NAMESPACES", "from-theirs")
    assert asked("--config", str(file)) == "from-theirs"
    monkeypatch.setenv("NETWORK_MAPPER_NAMESPACES", "from-ours")
    assert asked("--config", str(file)) == "from-ours"
    assert asked("--config", str(file), "-n", "from-flag") == "from-flag"


def test_an_empty_variable_counts_as_not_set(asked, monkeypatch):
    monkeypatch.setenv("NETWORK_MAPPER_NAMESPACES", "")
    monkeypatch.setenv("OTTERIZE_NAMESPACES", "theirs")
    assert asked() == "theirs"


def service_links(name: str) -> dict[str, str]:
    """The variables that Kubernetes sets in the pods of a namespace for one Service in it."""
    prefix = name.upper().replace("-", "_")
    return {
        f"{prefix}_SERVICE_HOST": "10.96.1.2",
        f"{prefix}_SERVICE_PORT": "9090",
        f"{prefix}_SERVICE_PORT_HTTP": "9090",
        f"{prefix}_PORT": "tcp://10.96.1.2:9090",
        f"{prefix}_PORT_9090_TCP": "tcp://10.96.1.2:9090",
        f"{prefix}_PORT_9090_TCP_PROTO": "tcp",
        f"{prefix}_PORT_9090_TCP_PORT": "9090",
        f"{prefix}_PORT_9090_TCP_ADDR": "10.96.1.2",
    }


@pytest.mark.parametrize("service", ["network-mapper", "network-mapper-mapper", "otterize-mapper"])
def test_what_kubernetes_sets_for_a_service_is_no_word_about_the_mapper(run, mapper, monkeypatch, service):
    for name, value in service_links(service).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NETWORK_MAPPER_MAPPER_URL", mapper.url)
    result = run("list", "-n", "shop")
    assert (result.code, mapper.requests[0].partition("namespace=")[2]) == (0, "shop"), result.err


def test_a_port_that_is_given_counts_though_kubernetes_sets_one_too(run, mapper, monkeypatch):
    for name, value in service_links("network-mapper-mapper").items():
        monkeypatch.setenv(name, value)
    result = run("list", "--mapper-url", mapper.url, "--mapper-service-port", "9090")
    assert result.code == 2
    assert "--mapper-service-port" in result.err


def test_the_port_of_a_service_may_be_set_by_a_variable_all_the_same(run, monkeypatch):
    monkeypatch.setenv("NETWORK_MAPPER_MAPPER_SERVICE_PORT", "9090")
    monkeypatch.setenv("NETWORK_MAPPER_MAPPER_URL", "http://127.0.0.1:1")
    result = run("list")
    assert result.code == 2
    assert "--mapper-service-port" in result.err


def options():
    for name, command in inventory.load().items():
        if name not in SERVERS:
            for option in inventory.visible(command.params):
                yield name, option


def test_every_option_has_both_variables():
    for name, option in options():
        variables = inventory.row(option).variables
        assert any(variable.startswith("NETWORK_MAPPER_") for variable in variables), (name, option.opts)
        assert any(variable.startswith("OTTERIZE_") for variable in variables), (name, option.opts)


@pytest.mark.parametrize("name", ["NETWORK_MAPPER_QUIET", "OTTERIZE_QUIET", "NETWORK_MAPPER_MAPPER_SERVICE_PORT"])
def test_a_bad_value_of_a_variable_is_wrong_usage_and_names_the_variable(run, monkeypatch, name):
    monkeypatch.setenv(name, "maybe")
    result = run("list")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"Error: Invalid value of the variable {name}: 'maybe' is not a valid ")


TELEMETRY = [
    "--telemetry-enabled=false",
    "--telemetry-usage-enabled=true",
    "--telemetry-errors-enabled",
    "--telemetry-errors-address=https://example.com",
    "--telemetry-errors-stage=prod",
]


@pytest.mark.parametrize("name", inventory.COMMANDS)
def test_telemetry_flags_are_taken_everywhere_and_shown_nowhere(run, name):
    usual = run(name, "--help")
    assert run(*TELEMETRY, name, "--help") == usual
    assert run(name, *TELEMETRY, "--help") == usual
    assert "telemetry" not in usual.out


def test_telemetry_flags_change_nothing(ask):
    assert ask(*TELEMETRY, "list") == ask("list", *TELEMETRY) == ask("list")


@pytest.mark.parametrize("name", ["ENABLED", "USAGE_ENABLED", "ERRORS_ENABLED", "ERRORS_ADDRESS", "ERRORS_STAGE"])
def test_telemetry_variables_change_nothing(ask, monkeypatch, name):
    usual = ask("list")
    monkeypatch.setenv(f"OTTERIZE_TELEMETRY_{name}", "nonsense")
    assert ask("list") == usual


def test_switches_may_be_written_as_other_programs_write_them(ask):
    usual, everything = ask("list"), ask("list", "--all")
    assert usual != everything
    for yes, no in (("true", "false"), ("1", "0"), ("t", "f"), ("TRUE", "False")):
        assert ask("list", f"--all={yes}") == everything
        assert ask("list", f"--all={no}") == usual
        assert ask("list", "--all", f"--all={no}") == usual


def test_a_switch_that_is_off_wins_over_its_variable(ask, monkeypatch):
    usual = ask("list")
    monkeypatch.setenv("NETWORK_MAPPER_ALL", "true")
    assert ask("list") != usual
    assert ask("list", "--all=false") == usual


def test_a_flag_lifts_what_variables_say_about_the_same_way(run, mapper, monkeypatch, tmp_path):
    monkeypatch.setenv("NETWORK_MAPPER_MAPPER_URL", mapper.url)
    monkeypatch.setenv("NETWORK_MAPPER_MAPPER_NAMESPACE", "shop")
    result = run("list", "--kubeconfig", str(tmp_path / "none"))
    assert (result.code, result.out) == (1, "")
    assert "there is no kubeconfig at" in result.err


@pytest.mark.parametrize("args", [["--quiet", "list"], ["list", "--quiet"], ["-q", "list"], ["--quiet=true", "list"]])
def test_quiet_before_and_behind_the_command(ask, mapper, args):
    mapper.no_edges()
    assert ask("list").err != ""
    assert ask(*args).err == ""


@pytest.mark.parametrize("args", [["--quiet", "list", "--quiet=false"], ["--quiet=false", "list"]])
def test_quiet_switched_off(ask, mapper, monkeypatch, args):
    mapper.no_edges()
    usual = ask("list").err
    monkeypatch.setenv("OTTERIZE_QUIET", "true")
    assert ask("list").err == ""
    assert ask(*args, "--quiet=false").err == usual


def test_what_stands_behind_two_dashes_is_no_switch():
    with pytest.raises(click.UsageError, match="--all=false"):
        cli.get_command(click.Context(cli), "list").make_context("list", ["--", "--all=false"])


def test_a_format_may_be_asked_for_as_the_model_does(ask, monkeypatch):
    assert ask("list", "--format", "json") == ask("list", "-o", "json")
    expected = ask("list", "-o", "yaml")
    monkeypatch.setenv("OTTERIZE_FORMAT", "yaml")
    assert ask("list") == expected
