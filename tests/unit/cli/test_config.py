import sys
from pathlib import Path

import pytest

from network_mapper.cli import config


@pytest.fixture
def written(tmp_path):
    """Write a file of settings."""

    def write(text: str, name: str = "config.toml") -> str:
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        return str(file)

    return write


@pytest.fixture
def with_file(ask, written):
    """Run list with a file of settings."""
    return lambda text, *args, name="config.toml": ask("list", "--config", written(text, name), *args)


def test_values_become_defaults(ask, with_file):
    assert with_file('output = "json"\nall = true\n') == ask("list", "-o", "json", "--all")


def test_names_may_have_underscores_and_capitals(ask, with_file):
    assert with_file('Exclude_Services = ["redis"]\n') == ask("list", "--exclude-services", "redis")


@pytest.mark.parametrize("value", ['["redis", "cart"]', '"redis,cart"', '["redis,cart"]'])
def test_a_list_may_be_a_list_or_a_text(ask, with_file, value):
    assert with_file(f"exclude-services = {value}\n") == ask("list", "--exclude-services", "redis,cart")


def test_a_table_counts_for_its_command_alone_and_more_than_the_rest(ask, with_file):
    text = 'output = "yaml"\n[list]\noutput = "json"\n[status]\noutput = "yaml"\n'
    assert with_file(text) == ask("list", "-o", "json")


def test_yaml_is_read_too(ask, with_file):
    assert with_file("list:\n  output: json\n", name="config") == ask("list", "-o", "json")
    assert with_file("output: json\nquiet:\n", name="config.yaml") == ask("list", "-o", "json")


def test_the_file_of_the_otterize_command_line_is_read_without_a_word(ask, with_file):
    text = "api-address: https://app.example.com/api\nclient-id: x\nmapper-namespace: shop\ntelemetry-enabled: false\n"
    assert with_file(text, name="config") == ask("list")


@pytest.mark.parametrize(
    "key", ["api-address", "client-id", "client-secret", "interactive", "org-id", "token", "token-expiry"]
)
def test_what_says_how_the_otterize_cloud_is_reached_is_no_mistake(ask, with_file, key):
    assert with_file(f"{key}: x\n", name="config") == ask("list")


@pytest.mark.parametrize("name", ["config.toml", "config.yaml", "config"])
def test_an_empty_file_changes_nothing(ask, with_file, name):
    assert with_file("", name=name) == ask("list")


def test_the_file_may_stand_before_the_command_and_wins_over_a_variable_there(ask, written, monkeypatch):
    monkeypatch.setenv("NETWORK_MAPPER_CONFIG", written('output = "yaml"\n', "other.toml"))
    assert ask("list") == ask("list", "-o", "yaml")
    assert ask("--config", written('output = "json"\n'), "list") == ask("list", "-o", "json")


def test_the_file_of_a_server_may_stand_before_the_command(run, written):
    result = run("--config", written("nonsense = 1\n"), "mapper")
    assert result.code == 2
    assert "nonsense" in result.err


def test_quiet_in_the_file(ask, mapper, with_file):
    mapper.no_edges()
    assert with_file("quiet = true\n").err == ""


def test_a_key_that_no_command_has_is_warned_of(ask, with_file):
    result = with_file('mapper-urll = "x"\n')
    assert (result.code, result.out) == (0, ask("list").out)
    assert result.err.startswith("Warning: ")
    assert "no option is called 'mapper-urll', did you mean 'mapper-url'?" in result.err
    assert result.err.count("\n") == 1


def test_a_key_in_the_table_of_a_command_that_has_none_such(with_file):
    assert "no option is called 'yes'" in with_file("[list]\nyes = true\n").err


def test_keys_of_other_commands_are_passed_over_in_silence(ask, with_file):
    assert with_file('yes = true\nforce = true\n[status]\noutput = "json"\n') == ask("list")


def test_a_key_far_from_all_names_still_gets_a_hint(with_file):
    assert "no option is called 'zzzz', see 'network-mapper COMMAND --help'" in with_file("zzzz = 1\n").err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('quiet = "yes"', "quiet is 'yes', but wants true or false."),
        ("since = 5", "since is 5, but wants a text (in quotes)."),
        ("mapper-url = true", "mapper-url is True, but wants a text (in quotes)."),
        ("namespaces = [1]", "namespaces is [1], but wants a text or a list of texts."),
        ("mapper-service-port = 1.5", "mapper-service-port is 1.5, but wants a whole number."),
        ("mapper-service-port = true", "mapper-service-port is True, but wants a whole number."),
        ("[list]\nall = 1", "list.all is 1, but wants true or false."),
    ],
)
def test_a_value_of_another_type_names_the_file_and_the_key(with_file, written, text, message):
    result = with_file(text + "\n")
    path = written(text + "\n")
    assert (result.code, result.out) == (2, "")
    assert f"{path}: {message}" in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "key"),
    [('output = "xml"', "output"), ('since = "5 minutes"', "since"), ("mapper-service-port = 70000", "")],
)
def test_a_value_that_is_of_no_use_names_the_file_and_the_key(with_file, written, text, key):
    result = with_file(text + "\n")
    assert (result.code, result.out) == (2, "")
    assert f"Invalid value of '{key or 'mapper-service-port'}' in {written(text)}: " in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"= 1\n", "config.toml", "is no TOML ("),
        (b"- a\n- b\n", "config.yaml", "is neither TOML nor YAML with options' names."),
        (b"a: [\n", "config.yaml", "is neither TOML nor YAML with options' names ("),
        (b"a: [\n", "config", "is neither TOML nor YAML with options' names ("),
        (b"\xff\xfe", "config.toml", "is no text in UTF-8"),
        (b"[" * 20_000, "config", "is neither TOML nor YAML with options' names ("),
        (b"a = 2020-13-45", "config", "is neither TOML nor YAML"),
        (b"# " + b"x" * 70_000, "config.toml", "is larger than 65536 bytes"),
    ],
    ids=["toml", "list", "yaml", "either", "bytes", "deep", "date", "large"],
)
def test_a_file_that_is_none_is_one_line(ask, tmp_path, content, name, message):
    file = tmp_path / name
    file.write_bytes(content)
    result = ask("list", "--config", str(file))
    assert (result.code, result.out) == (1, "")
    assert f"the configuration file {file} {message}" in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("path", ["missing.toml", "."])
def test_a_file_that_cannot_be_read_is_one_line(ask, monkeypatch, tmp_path, path):
    monkeypatch.chdir(tmp_path)
    result = ask("list", "--config", path)
    assert result.code == 1
    assert result.err.startswith(f"Error: the configuration file {path} cannot be read (")


@pytest.fixture
def account(tmp_path, monkeypatch):
    """A file of settings where the account has it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    file = tmp_path / "network-mapper" / "config.toml"
    file.parent.mkdir()
    file.write_text('output = "json"\n')
    return file


@pytest.mark.skipif(sys.platform == "win32", reason="this system keeps it elsewhere")
def test_the_file_of_the_account_is_read_where_none_is_named(ask, account, written):
    assert ask("list") == ask("list", "-o", "json")
    assert ask("list", "--config", "") == ask("list", "-o", "text")
    assert ask("--config", "", "list") == ask("list", "-o", "text")
    assert ask("list", "--config", written("quiet = true\n")) == ask("list", "-o", "text")


def test_help_and_version_need_no_file(run, account):
    account.write_text("= broken")
    assert run("list", "--help").code == 0
    assert run("--version").code == 0
    assert run("version").code == 1


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("linux", {"HOME": "/home/me"}, "/home/me/.config"),
        ("linux", {"HOME": "/home/me", "XDG_CONFIG_HOME": "/etc/me"}, "/etc/me"),
        ("darwin", {"HOME": "/Users/me"}, "/Users/me/.config"),
        ("win32", {"APPDATA": "/Roaming"}, "/Roaming"),
    ],
)
def test_where_an_account_keeps_its_file(monkeypatch, platform, variables, folder):
    monkeypatch.setattr(sys, "platform", platform)
    for name in ("HOME", "XDG_CONFIG_HOME", "APPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert config.default_path() == Path(folder) / "network-mapper" / "config.toml"


def test_an_account_without_a_place_for_settings_has_none(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.delenv("APPDATA", raising=False)
    assert config.default_path() is None


def test_an_account_without_a_home_has_none(monkeypatch):
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert config.default_path() is None
