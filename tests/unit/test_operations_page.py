"""`docs/operations.md` speaks of what there is: metrics, settings, commands, status fields, reasons, messages."""

import ast
import functools
import re
from pathlib import Path

import chart
import click
import pytest
import tutorial
import yaml

from network_mapper.agent.fold import Fold
from network_mapper.agent.metrics import exposition, of_reporter
from network_mapper.agent.reporter import Reporter
from network_mapper.cli.main import cli
from network_mapper.cluster.index import Index
from network_mapper.cluster.live.report import Totals
from network_mapper.mapper.metrics import Metrics
from network_mapper.mapper.model_metrics import ModelCounters
from network_mapper.mapper.state import State
from network_mapper.model import Drop
from network_mapper.wire import api

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / "operations.md", ROOT / "docs" / "quickstart.md"]
TEXT = PAGES[0].read_text()
PROSE = re.sub(r"^```.*?^```$", "", TEXT, flags=re.DOTALL | re.MULTILINE)
CODE = re.findall(r"`([^`]+)`", PROSE)
VALUES = yaml.safe_load((chart.CHART / "values.yaml").read_text())
STATUS = (api.Status, api.ClusterStatus, api.SnifferStatus, api.ResourceStatus, api.InstallationStatus)


def spans(pattern):
    """What of the page's code fits a pattern, at least one of it."""
    found = sorted({match for code in CODE for match in re.findall(pattern, code)})
    assert found
    return found


class Followed:
    """A cluster that is followed."""

    def obstacle(self):
        return ""

    def totals(self):
        return Totals()


@functools.cache
def metrics():
    """Every metric's name."""
    state = State(Index("cluster.local"), max_edges=1)
    mapper = Metrics(state, ModelCounters(), Followed(), lambda: 0).text().decode()
    sniffer = exposition(of_reporter(Reporter(Fold(), node="n", agent="a", started=0), "network_mapper_sniffer", "1"))
    names = re.findall(r"^# TYPE (\S+)", mapper + sniffer.decode(), re.MULTILINE)
    return set(names)


@pytest.mark.parametrize("name", spans(r"network_mapper_(?:mapper|sniffer)_\w+"))
def test_metric_exists(name):
    assert name in metrics()


@pytest.mark.parametrize("reason", spans(r'reason="(\w+)"'))
def test_reason_of_a_metric_exists(reason):
    assert reason in set(Drop)


@pytest.mark.parametrize("word", spans(r"^[a-z]+_[a-z_]+$"))
def test_word_is_a_reason_or_a_field_of_the_status(word):
    fields = {field for struct in STATUS for field in struct.__struct_fields__}
    assert word in fields | set(Drop) | metrics()


@pytest.mark.parametrize("value", spans(rf"(?:^|\s)((?:{'|'.join(VALUES)})(?:\.\w+)+)"))
def test_value_of_the_chart_exists(value):
    *path, last = value.split(".")
    if path[1:] == ["settings"]:
        assert last in chart.settings(path[0])
        return
    here = VALUES
    for key in path:
        here = here[key]
    assert last in here


@pytest.mark.parametrize("line", spans(r"^network-mapper (.+)"))
def test_command_of_the_program_exists(line):
    words = line.partition(" > ")[0].split()
    command = cli.get_command(click.Context(cli), words[0])
    assert command is not None
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words[1:] if word.startswith("-")} <= options


@functools.cache
def said():
    """Every text in the program's code."""
    files = (ROOT / "src" / "network_mapper").rglob("*.py")
    trees = (ast.parse(file.read_text()) for file in files)
    constants = (node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return [text for text in constants if isinstance(text, str)]


@pytest.mark.parametrize("message", sorted(set(re.findall(r'"([^"`]+)"', re.sub(r"`[^`]*`", "", PROSE)))))
def test_message_is_one_of_the_program(message):
    assert any(message in text for text in said())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = page.read_text()
    for target in re.findall(r"\]\(([^)]+)\)", text):
        name, _, anchor = target.partition("#")
        there = page.parent / name if name else page
        assert there.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.+)$", there.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}, target


def test_every_command_block_is_in_a_section_that_a_test_does_on_a_cluster():
    assert [step.commands.count("kubectl") > 0 for step in tutorial.steps(TEXT)] == [True, True]
