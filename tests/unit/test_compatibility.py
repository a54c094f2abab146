"""`docs/compatibility.md`: it is complete, and every test that it names exists."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path
from typing import NamedTuple

import pytest

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "compatibility.md"

STATUSES = {"same", "mended", "later", "not offered"}
NEEDS_NO_TEST = {"later", "not offered"}

FEATURES = {
    "mapper": """
        Health query; 422 on an unknown field; Introspection and GET queries; DNS edge to a service;
        Longer DNS names, headless services, pods of StatefulSets; DNS pod name; DNS to the API server;
        DNS suffix, other domain; ExternalName, service without a selector; Server on the host's network by DNS;
        Client created after lastSeen; Terminating client or server; Pending or Succeeded client; Duplicate pod IP;
        Hostname mismatch; TCP to a ClusterIP; TCP to a pod IP, five-minute rule;
        TCP, second attempt by destinationIP; TCP from an unknown IP; Incoming by NodePort, LoadBalancer, pod IP;
        Deleted pod's IP is not the Internet; Control-plane client; Socket scan, service and pod; Kafka edge;
        Istio edge; Same pair, several types; Owner walk; Annotation override; Dots to underscores; Job image names;
        Missing or forbidden owner; Namespace filter; Server filter; excludeServiceWithLabels; includeLabels;
        Excluded namespaces; resetCapture; Ordering; serviceIntents; Queue overflow; Metrics; OpenTelemetry export;
        Cloud upload; DNS intents publisher; Reports that serve the cloud alone; Traffic levels, AWS, GCP, Azure;
        Istio scraping
    """,
    "sniffer": """
        DNS capture; TCP SYN capture; Socket scan; Hostname from environ or etc/hostname; AWS mode;
        Report cadence and dedup; Mapper down; Sniffer's metrics port busy
    """,
    "Kafka watcher": "Kafka log parsing; Kafka file mode",
    "command line": """
        List as text; List in another format; Export as YAML v2, v1 and JSON; Export to a file or folder;
        Output type without an output; Server filter of the export; Excluded services and labels;
        Names of Kubernetes services; API server as a service; Typed targets replace untyped ones;
        Telling clients apart by a label; Fall-back for old mappers; Picture of the map; Reset; Empty map
    """,
    "chart": "Helm rendering",
}
"""The features of the Otterize network mapper v3.0.19, by component."""

FAULTS = {*map(str, range(1, 74)), "32b"}


class Row(NamedTuple):
    title: str
    status: str
    difference: str
    tests: list[str]


def table(title: str) -> list[list[str]]:
    """The cells of a section's rows."""
    section = PAGE.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in section.splitlines() if line.startswith("|")]
    head, _, *rows = [[cell.strip() for cell in row] for row in rows]
    assert {len(row) for row in rows} == {len(head)}
    return rows


def named(cell: str) -> list[str]:
    tests = re.findall(r"`([^`]+)`", cell)
    assert cell == ", ".join(f"`{test}`" for test in tests)
    return tests


@functools.cache
def features() -> dict[tuple[str, str], Row]:
    found = [(component, Row(title, *rest, named(tests))) for title, component, *rest, tests in table("Features")]
    return {(component, row.title): row for component, row in found}


@functools.cache
def faults() -> dict[str, Row]:
    return {number: Row(title, *rest, named(tests)) for number, title, *rest, tests in table("Faults")}


ROWS = [*features().values(), *(row._replace(title=f"{number}: {row.title}") for number, row in faults().items())]


def titles(row: Row) -> str:
    return row.title


@functools.cache
def names_in(path: str) -> set[str]:
    file = TESTS / path
    assert file.is_file(), f"{path} is no file"
    nodes = ast.walk(ast.parse(file.read_text()))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in nodes if isinstance(node, kinds) and node.name.startswith("test_")}


def test_every_feature_stands_there_once_and_no_other():
    expected = {
        (component, " ".join(title.split())) for component, text in FEATURES.items() for title in text.split(";")
    }
    assert set(features()) == expected
    assert len(table("Features")) == len(expected)


def test_every_fault_stands_there_once_and_no_other():
    assert set(faults()) == FAULTS
    assert len(table("Faults")) == len(FAULTS)


@pytest.mark.parametrize("row", ROWS, ids=titles)
def test_a_row_has_a_status_and_what_it_needs(row):
    assert row.status in STATUSES
    assert row.tests or row.status in NEEDS_NO_TEST
    assert row.difference or row.status != "mended"


@pytest.mark.parametrize("row", ROWS, ids=titles)
def test_every_named_test_exists(row):
    for name in row.tests:
        path, _, test = name.partition("::")
        assert test.partition("[")[0] in names_in(path), name


def test_nothing_about_the_command_line_is_left_for_later():
    rows = [row for (component, _), row in features().items() if component == "command line"]
    rows += [faults()[number] for number in ("24", *map(str, range(57, 68)))]
    assert [row.title for row in rows if row.status == "later"] == []


def test_every_test_of_a_real_cluster_is_in_a_file_that_is_named():
    named_files = {name.partition("::")[0] for row in ROWS for name in row.tests}
    files = {f"cluster/{file.name}" for file in (TESTS / "cluster").glob("test_model_*.py")}
    assert files <= named_files
