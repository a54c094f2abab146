"""Bounds on documents, and what is kept of them."""

import time

import pytest

from network_mapper.mapper.graphql import documents
from network_mapper.mapper.graphql.documents import Documents
from network_mapper.mapper.graphql.failure import RequestError


def chain(length, width):
    """Fragments that each spread the next one several times, below a field each time."""
    spreads = [" ".join(f"f{n}: ofType {{...F{level + 1}}}" for n in range(width)) for level in range(length)]
    fragments = [f"fragment F{level} on __Type {{{text}}}" for level, text in enumerate(spreads)]
    return f'{{__type(name: "Int") {{...F0}}}} {" ".join(fragments)} fragment F{length} on __Type {{name}}'


@pytest.mark.parametrize(
    "document",
    [
        "#" + "x" * 70_000,
        "{" * 5000,
        "{a" * 250 + "}" * 250,
        "{health " * 150 + "}" * 150,
        "{" + "health " * 5000 + "}",
        "#\n" * 5000 + "{health}",
        '{intents(namespaces: "' + "x" * 70_000 + '") {type}}',
        "{" + " ".join(f"a{n}: health" for n in range(9)) + "}",
        "{...A a: health b: health} fragment A on Query {" + " ".join(f"c{n}: health" for n in range(7)) + "}",
        "{intents {client {" + "name " * 700 + "}}}",
        chain(10, 5),
        chain(19, 2),
        chain(100, 1),
        '{__type(name: "Int") {' + "ofType {" * 21 + "name" + "}" * 21 + "}}",
        "{intents {client {"
        + " ".join(f"...F{n}" for n in range(300))
        + "}}}"
        + "".join(f"fragment F{n} on OtterizeServiceIdentity {{name namespace}}" for n in range(300)),
    ],
    ids=lambda text: text[:30],
)
def test_large_or_deep_documents_are_refused_before_they_cost(behind, document):
    began = time.process_time()
    status, content = behind.ask(document)
    assert status == 422
    assert content["data"] is None
    assert time.process_time() - began < 2


def test_exponential_fragments_are_counted_not_expanded(behind):
    began = time.process_time()
    status, content = behind.ask(chain(18, 8))
    assert status == 422
    assert "600 fields" in content["errors"][0]["message"]
    assert time.process_time() - began < 2


def test_circles_of_fragments_are_refused(behind):
    document = "{...A} fragment A on Query {...B} fragment B on Query {health ...A}"
    assert behind.ask(document)[0] == 422


def test_answer_larger_than_allowed_is_an_error(behind, monkeypatch):
    from network_mapper.mapper.graphql import run, selection

    monkeypatch.setattr(selection, "LARGEST", 200)
    monkeypatch.setattr(run, "LARGEST", 200)
    status, content = behind.ask("{__schema {types {name}}}")
    assert (status, content["data"]) == (200, None)
    assert "more than 200 bytes" in content["errors"][0]["message"]


def test_document_is_parsed_once(monkeypatch):
    kept = Documents()
    first = kept.plan("query A {health}", "A")
    monkeypatch.setattr(documents, "_validated", None)
    assert kept.plan("query A {health}", "A") is first


def test_operations_of_one_document_are_kept_apart():
    kept = Documents()
    text = "query A {health} query B {__typename}"
    assert kept.plan(text, "A").operation.name.value == "A"
    assert kept.plan(text, "B").operation.name.value == "B"


def test_documents_that_are_not_valid_are_not_kept():
    kept = Documents()
    with pytest.raises(RequestError):
        kept.plan("{nope}", "")
    assert len(kept) == 0


def test_no_more_than_a_bounded_number_is_kept(monkeypatch):
    monkeypatch.setattr(documents, "_KEPT", 3)
    kept = Documents()
    plans = [kept.plan("{health}" + " " * n, "") for n in range(3)]
    assert kept.plan("{health}", "") is plans[0]
    kept.plan("{health}" + " " * 9, "")
    assert len(kept) == 3
    assert kept.plan("{health}", "") is plans[0], "it was used last"
    assert kept.plan("{health} ", "") is not plans[1]


def test_no_more_than_a_bounded_size_is_kept(monkeypatch):
    monkeypatch.setattr(documents, "_KEPT_CHARACTERS", 100)
    kept = Documents()
    for n in range(50):
        kept.plan("{health}" + " " * n, "")
    assert len(kept) == 1


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("mutation M($r: CaptureResults!) {reportCaptureResults(results: $r)}", True),
        ("mutation($class: [AWSOperation!]!) {x: reportAWSOperation(operation: $class)}", True),
        ("mutation($r: CaptureTCPResults!) {a: reportTCPCaptureResults(results: $r) resetCapture}", False),
        ("mutation($r: CaptureResults! = {results: []}) {reportCaptureResults(results: $r)}", False),
        ("mutation($r: [RecordedDestinationsForSrc!]!) {reportCaptureResults(results: {results: $r})}", False),
        ("mutation($r: CaptureResults!) {reportCaptureResults(results: $r) @include(if: true)}", False),
        ("mutation($r: CaptureResults!) {... {reportCaptureResults(results: $r)}}", False),
        ("mutation {resetCapture}", False),
        ("{health}", False),
    ],
)
def test_known_reports_are_recognised(text, known):
    assert (Documents().plan(text, "").report is not None) is known
