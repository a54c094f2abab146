"""The Helm chart's files against the code, against one another, and the archive of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import chart
import jsonschema
import pytest
import yaml

from network_mapper import __version__
from network_mapper.cluster.live import resources
from network_mapper.settings import settings_of

SCHEMA = json.loads((chart.CHART / "values.schema.json").read_text())
TEXT = (chart.CHART / "values.yaml").read_text()
VALUES = yaml.safe_load(TEXT)


@pytest.mark.parametrize("file", chart.files(), ids=lambda file: file.name)
def test_what_comes_from_the_code_is_as_the_code_says(file):
    assert file.read_text() == chart.files()[file], "run: make docs"


def test_the_chart_has_the_program_s_version():
    about = yaml.safe_load((chart.CHART / "Chart.yaml").read_text())
    assert (about["version"], about["appVersion"]) == (__version__, __version__)


@pytest.mark.parametrize("component", chart.COMPONENTS)
def test_every_setting_is_a_value_or_is_the_chart_s_own_matter(component):
    values = {item.field for item in chart.settings(component).values()}
    own = set(chart.CHARTS_OWN[component])
    declared = {item.field for item in settings_of(chart.COMPONENTS[component])}
    assert not values & own
    assert values | own == declared | {"debug", "log_format"}


def test_ways_of_watching_are_those_of_the_program():
    (capture,) = [item for item in settings_of(chart.COMPONENTS["sniffer"]) if item.field == "capture"]
    assert tuple(SCHEMA["properties"]["sniffer"]["properties"]["capture"]["enum"]) == capture.choices
    assert VALUES["sniffer"]["capture"] == capture.default


@pytest.mark.parametrize("component", chart.COMPONENTS)
def test_the_default_of_every_setting_is_one_that_the_schema_takes(component):
    shown = re.findall(r"^  #   (\w+): (.*)$", chart.settings_comment(component), re.MULTILINE)
    settings = {key: yaml.safe_load(value) for key, value in shown}
    assert settings.keys() == chart.settings(component).keys()
    jsonschema.validate({**VALUES, component: {**VALUES[component], "settings": settings}}, SCHEMA)


def walked(schema, place=""):
    """Every schema within a schema, with its place."""
    yield place, schema
    for word in ("properties", "definitions"):
        for name, inner in schema.get(word, {}).items():
            yield from walked(inner, f"{place}/{name}")
    for word in ("items", "additionalProperties"):
        if isinstance(schema.get(word), dict):
            yield from walked(schema[word], f"{place}/{word}")


def test_the_schema_is_one():
    jsonschema.Draft7Validator.check_schema(SCHEMA)


def test_every_object_of_the_schema_that_is_ours_refuses_what_it_does_not_know():
    open_ones = [
        place
        for place, inner in walked(SCHEMA)
        if "properties" in inner and inner.get("additionalProperties") is not False
    ]
    assert open_ones == []


def test_every_value_is_in_the_schema_and_every_one_of_the_schema_has_a_default():
    def names(schema, values, prefix=""):
        known = schema["properties"].keys() - {"global"}
        assert known == values.keys(), prefix
        for key in known:
            if "properties" in schema["properties"][key]:
                names(schema["properties"][key], values[key], f"{prefix}{key}.")

    names(SCHEMA, VALUES)


def test_the_defaults_fit_the_schema():
    jsonschema.validate(VALUES, SCHEMA)


def test_every_value_is_on_the_page_with_its_default():
    page = chart.PAGE.read_text()
    for value in chart.values(TEXT, SCHEMA):
        default = "" if value.default == '""' else f"`{value.default}`"
        assert f"\n| `{value.name}` | {default} | {value.meaning[:20]}" in page


def test_a_value_without_a_comment_is_an_error():
    schema = {"properties": {"a": {"properties": {"b": {}}}}}
    with pytest.raises(ValueError, match=r"no comment above a\.b"):
        chart.values("a:\n  b: 1\n", schema)


def test_rules_without_those_of_operators_are_what_any_cluster_has():
    blocks = re.finditer(r'define "([\w.-]+)" -}}\n(.*?)\n{{- end', chart.rules_template(), re.DOTALL)
    written = {block[1]: yaml.safe_load(block[2]) for block in blocks}
    every = pairs([rule for rules in written.values() for rule in rules])
    assert every == pairs(resources.rules())
    assert pairs(written["network-mapper.operatorRules"]) == {
        (group, plural) for group, plural, _ in resources.KNOWN_OWNERS
    }


def pairs(rules):
    return {(group, name) for rule in rules for group in rule["apiGroups"] for name in rule["resources"]}


def test_the_archive_has_what_helm_needs_and_nothing_of_the_tests():
    names = chart.contents().keys()
    assert {
        "network-mapper/Chart.yaml",
        "network-mapper/values.schema.json",
        "network-mapper/templates/_rules.tpl",
    } <= names
    assert not [name for name in names if "/ci/" in name]


def test_no_file_of_the_chart_has_blanks_at_the_end_of_a_line():
    files = [file for file in Path(chart.CHART).rglob("*") if file.is_file()]
    assert [str(file) for file in files if re.search(r"[ \t]+$", file.read_text(), re.MULTILINE)] == []
