import contextlib
import subprocess
import sys
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from network_mapper.settings import LARGEST_FILE, LogSettings, SettingError, load, read_file, seconds, setting


class Oven(msgspec.Struct):
    max_heat: Annotated[int, setting("How hot.", "DEGREES", model="oven-heat")] = 180
    hours: Annotated[float, setting("How many.", "HOURS")] = 0.5
    rest: Annotated[float, seconds("How long to wait.")] = 60.0
    fan: Annotated[bool, setting("Whether air moves.")] = True
    guests: Annotated[tuple[str, ...], setting("For whom.", "NAMES")] = ("ann",)
    mode: Annotated[Literal["top", "bottom"], setting("Which side.")] = "top"
    note: Annotated[str, setting("For the cook.")] = ""


@pytest.fixture
def read(tmp_path):
    """Load settings from a file with this text."""

    def run(text: str | bytes, name: str = "oven.toml") -> Oven:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(Oven, {}, {}, read_file(str(path), Oven))

    return run


def test_every_form_of_value(read):
    text = """
        # for bread
        max-heat = 220
        hours = 2
        rest = "1h30m"
        fan = false
        guests = ["bob", "eve"]
        mode = "bottom"
        note = "gently"
    """
    assert read(text) == Oven(220, 2.0, 5400.0, False, ("bob", "eve"), "bottom", "gently")


def test_names_may_have_underscores(read):
    assert read("max_heat = 90") == Oven(max_heat=90)


def test_a_span_may_be_a_number_and_a_list_may_be_text(read):
    assert read("rest = 1.5\nguests = 'bob,eve'") == Oven(rest=1.5, guests=("bob", "eve"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max-heat = 'hot'", "oven.toml: max-heat='hot': a whole number is expected"),
        ("max-heat = '90'", "max-heat='90': a whole number is expected"),
        ("max-heat = 1.0", "max-heat=1.0: a whole number is expected"),
        ("max-heat = true", "max-heat=True: a whole number is expected"),
        ("hours = inf", "hours=inf: a number is expected"),
        ("rest = 'soon'", "rest='soon': seconds are expected"),
        ("rest = false", "rest=False: seconds are expected"),
        ("fan = 1", "fan=1: true or false is expected"),
        ("fan = 'true'", "fan='true': true or false is expected"),
        ("guests = [1]", r"guests=\[1\]: a list of words is expected"),
        ("mode = 'left'", "mode='left': expected one of top, bottom"),
        ("note = 5", "note=5: text is expected"),
        ("note = 2026-01-01", "note=.*: text is expected"),
        ("[note]\na = 1", "note=.*: text is expected"),
    ],
)
def test_a_value_of_another_type_is_named_with_file_and_key(read, text, message):
    with pytest.raises(SettingError, match=message):
        read(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max-heet = 1", "oven.toml: there is no setting 'max-heet', did you mean 'max-heat'?"),
        ("oven-heat = 1", "did you mean 'max-heat'?"),
        ("zzz = 1", "no setting 'zzz'; --help lists them"),
        ("max-heat = 1\nmax_heat = 2", "'max-heat' is set twice"),
        ("max-heat = 1\nmax-heat = 2", "oven.toml: "),
        ("max-heat: 1", "oven.toml: .*line 1"),
        ("max-heat = " + "[" * 5000, "nested too deeply"),
        ("max-heat = " + "9" * 5000, "oven.toml: "),
        (b"note = '\xff'", "oven.toml: "),
        ("#" * (LARGEST_FILE + 1), "larger than"),
    ],
)
def test_a_file_that_is_none_is_one_clear_error(read, text, message):
    with pytest.raises(SettingError, match=message):
        read(text)


def test_a_file_in_yaml_is_told_which_form_is_expected(read):
    with pytest.raises(SettingError, match="the file is TOML"):
        read("max-heat: 1", "oven.yaml")


@pytest.mark.parametrize("path", ["/nowhere/oven.toml", "/", "\0"])
def test_a_path_that_cannot_be_read_is_named(path):
    with pytest.raises(SettingError, match=path):
        read_file(path, Oven)


def test_an_endless_file_is_not_read_to_its_end():
    with pytest.raises(SettingError, match="larger than"):
        read_file("/dev/zero", Oven)


def test_a_file_may_set_several_components(tmp_path):
    path = tmp_path / "oven.toml"
    path.write_text("debug = true\nlog-format = 'json'\nmax-heat = 5")
    file = read_file(str(path), LogSettings, Oven)
    assert load(LogSettings, {}, {}, file) == LogSettings(debug=True, log_format="json")
    assert load(Oven, {}, {}, file).max_heat == 5


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_setting_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(content)
    with contextlib.suppress(SettingError):
        load(Oven, {}, {}, read_file(str(path), Oven))


def test_without_a_file_no_parser_is_loaded():
    script = "import sys, network_mapper.sniffer.settings; print({'tomllib', 'difflib', 'yaml'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"
