"""Whatever is sent, it is answered, and never by an error of ours."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .conftest import Behind

WORDS = """{ } ( ) [ ] : ! = | & @ $ ... query mutation fragment on subscription intents health client name type F A
    resetCapture reportCaptureResults results server namespaces $a $b [String!] String! Int Time ServerFilter 1 -1.5
    true null "x" \\"\\"\\" # @skip(if:$a) @include(if:true) @defer __typename __schema types ofType"""
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FITTING = st.sampled_from([None, True, "x", ["x"], 5, "5", {"name": "x", "namespace": "y"}, "2025-06-10T08:28:35Z"])
DOCUMENTS = [
    "query ($a: String!, $b: String) {intents(server: {name: $a, namespace: $b}) {type}}",
    "query ($a: String!, $b: String!) {intents(server: {name: $a, namespace: $b}) {type}}",
    "query ($a: String, $b: Boolean) {intents(namespaces: [$a], includeAllLabels: $b) {type}}",
    "query ($a: String!, $b: [String!]) {intents(namespaces: [$a], includeLabels: $b) {type}}",
    "query ($a: ServerFilter = {name: 1}, $b: Boolean!) {intents(server: $a) {type} health @skip(if: $b)}",
    """query ($a: ServerFilter = {name: "x", namespace: "y"}, $b: Boolean! = true) {
        intents(server: $a) {type @skip(if: $b)}}""",
    """mutation ($a: Time!, $b: [Int!]) {reportCaptureResults(results: {results: [{srcIp: "10.0.0.1", srcHostname: "",
        destinations: [{destination: "x", lastSeen: $a, srcPorts: $b}]}]})}""",
    """mutation ($a: [String!]!, $b: NamespacedName) {
        reportAWSOperation(operation: {resource: "r", actions: $a, client: $b})}""",
]


def status_of(body):
    reply = Behind().send(body=body)
    json.loads(reply.body)
    return reply.status


@given(st.binary() | JUNK.map(lambda value: json.dumps(value).encode()))
def test_any_body(body):
    assert status_of(body) in (400, 422)


@given(st.lists(st.sampled_from(WORDS.split()), max_size=25).map(" ".join) | st.text())
def test_any_document(document):
    assert status_of(json.dumps({"query": document}).encode()) in (200, 400, 422)


@given(
    st.sampled_from(DOCUMENTS),
    st.fixed_dictionaries({}, optional={"a": FITTING | JUNK, "b": FITTING | JUNK}),
    st.booleans(),
)
def test_any_variables(document, variables, hexadecimal):
    body = json.dumps({"query": document, "variables": variables}, ensure_ascii=hexadecimal)
    assert status_of(body.encode(errors="surrogatepass")) in (200, 400, 422)


@given(st.text())
def test_any_query_string(text):
    assert Behind().send("GET", text, "").status in (200, 400, 406, 422)


@pytest.mark.parametrize("number", ["1" * 5000, "-" + "1" * 5000, "1." + "1" * 5000, "1e999999", "1" * 300])
def test_long_numbers(number):
    document = "mutation ($r: CaptureResults!) {reportCaptureResults(results: $r)}"
    destination = f'{{"destination": "x", "lastSeen": "2025-06-10T08:28:35Z", "TTL": {number}}}'
    source = f'{{"srcIp": "10.0.0.1", "srcHostname": "", "destinations": [{destination}]}}'
    body = f'{{"query": "{document}", "variables": {{"r": {{"results": [{source}]}}}}}}'
    assert status_of(body.encode()) in (400, 422)
    assert status_of(b'{"query": "{health(x: ' + number.encode() + b')}"}') == 422
    document = "{reportTCPCaptureResults(results: {results: {srcIp: 1, destinations: {TTL: " + number + "}}})}"
    assert status_of(json.dumps({"query": "mutation " + document}).encode()) == 422
