"""The short way of known reports and the long one give the same answer and the same rows, whatever is sent."""

import copy
import json

import msgspec
from hypothesis import event, given
from hypothesis import strategies as st

from network_mapper.mapper.graphql import Door
from network_mapper.mapper.graphql.inputs import ARGUMENTS

from .conftest import Behind

TEXTS = st.sampled_from(["", "10.0.0.1", "10.0.0.2", "::1", "web-0", "a.B.svc.cluster.local.", "Read", "x" * 300, "ü"])
TIMES = st.sampled_from(
    ["2025-06-10T08:28:35.123456789Z", "2025-06-10T08:28:36Z", "2025-06-10T10:28:36.5+02:00", "2025-06-10T08:28:35Z"]
)
INTEGERS = st.sampled_from([0, 1, 80, 5432, 40112, 50051, -1, 65536, 2**53, 2**63 - 1])


def maybe(strategy):
    return st.none() | strategy


def optional(**fields):
    return fields


DESTINATION = st.fixed_dictionaries(
    {"destination": TEXTS, "lastSeen": TIMES},
    optional=optional(
        destinationIP=maybe(TEXTS),
        destinationPort=maybe(INTEGERS),
        TTL=maybe(INTEGERS),
        srcPorts=maybe(st.lists(INTEGERS, max_size=3)),
    ),
)
SOURCE = st.fixed_dictionaries(
    {"srcIp": TEXTS, "srcHostname": TEXTS, "destinations": st.lists(DESTINATION, max_size=3)}
)
KAFKA = st.fixed_dictionaries(
    dict.fromkeys(("srcIp", "serverPodName", "serverNamespace", "topic", "operation"), TEXTS) | {"lastSeen": TIMES}
)
ISTIO = st.fixed_dictionaries(
    dict.fromkeys(
        ("srcWorkload", "srcWorkloadNamespace", "dstWorkload", "dstServiceName", "dstWorkloadNamespace", "path"), TEXTS
    )
    | {"lastSeen": TIMES, "methods": st.lists(st.sampled_from(["GET", "POST", "ALL"]), max_size=2)}
)
ACTIONS = st.lists(TEXTS, max_size=2)
NAMED = st.fixed_dictionaries({"name": TEXTS, "namespace": TEXTS})
AWS = st.fixed_dictionaries(
    {"resource": TEXTS, "actions": ACTIONS},
    optional=optional(srcIp=maybe(TEXTS), iamRole=maybe(TEXTS), client=maybe(NAMED)),
)
GCP = st.fixed_dictionaries(
    {"resource": TEXTS, "permissions": ACTIONS}, optional=optional(srcIp=maybe(TEXTS), client=maybe(NAMED))
)
AZURE = st.fixed_dictionaries(
    {"scope": TEXTS, "actions": ACTIONS, "dataActions": ACTIONS, "clientName": TEXTS, "clientNamespace": TEXTS}
)
LEVEL = st.fixed_dictionaries({"srcIP": TEXTS, "dstIP": TEXTS, "bytesSent": INTEGERS, "flows": INTEGERS})
ITEMS = {
    "CaptureResults!": SOURCE,
    "CaptureTCPResults!": SOURCE,
    "SocketScanResults!": SOURCE,
    "KafkaMapperResults!": KAFKA,
    "IstioConnectionResults!": ISTIO,
    "[AWSOperation!]!": AWS,
    "[AzureOperation!]!": AZURE,
    "[GCPOperation!]!": GCP,
    "TrafficLevelResults!": LEVEL,
}
JUNK = st.sampled_from(
    [
        None,
        True,
        0,
        80,
        -1.5,
        1.0,
        2**64,
        "",
        "80",
        "1.5",
        "GET",
        "HEAD",
        "never",
        [],
        {},
        [[]],
        [None],
        {"x": 1},
        ["1"],
    ]
)


@st.composite
def values(draw, kind):
    """The value of a report's argument, mostly a good one."""
    items = draw(st.lists(ITEMS[kind], max_size=3))
    value = items if kind.startswith("[") else {"results": items}
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 2]))):
        value = draw(spoiled(value))
    return value


@st.composite
def spoiled(draw, value):
    """A value with something else in one place."""
    value = copy.deepcopy(value)
    place, path = value, []
    while isinstance(place, dict | list) and place and draw(st.integers(0, 3)):
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        path.append((place, draw(st.sampled_from(list(keys)))))
        place = path[-1][0][path[-1][1]]
    if isinstance(place, dict) and draw(st.booleans()):
        place[draw(st.sampled_from(["nope", "srcIp", "lastSeen"]))] = draw(JUNK)
        return value
    new = draw(JUNK)
    if isinstance(place, list) and place and draw(st.booleans()):
        new = place[0]  # a single value for a list
    elif isinstance(place, int) and draw(st.booleans()):
        new = str(place)
    if not path:
        return new
    holder, key = path[-1]
    if isinstance(holder, dict) and draw(st.integers(0, 3)) == 0:
        del holder[key]
    else:
        holder[key] = new
    return value


SPACES = st.sampled_from([" ", "\n", "\t ", ",", " # comment } {\n", "\ufeff"])
NAMES = st.sampled_from(["results", "operation", "r", "class", "_", "X1"])


@st.composite
def calls(draw):
    """A request body that reports something, in one of many spellings, and the plain spelling of the same."""
    field = draw(st.sampled_from(sorted(ARGUMENTS)))
    argument, kind, _ = ARGUMENTS[field]
    variable, key = draw(NAMES), draw(st.sampled_from(["", "answer", field]))
    called = draw(st.sampled_from(["", field, "Other"]))
    call = ["$", variable, ")"]
    tokens = [f"{field}", "(", argument, ":", *call]
    if key:
        tokens = [key, ":", *tokens]
    shape = draw(st.sampled_from(["plain", "plain", "inline", "fragment", "include", "default"]))
    tail = []
    if shape == "inline":
        tokens = ["...", "on Mutation", "{", *tokens, "}"]
    elif shape == "fragment":
        tail = ["fragment", "F", "on Mutation", "{", *tokens, "}"]
        tokens = ["...", "F"]
    elif shape == "include":
        tokens += ["@include", "(", "if", ":", "true", ")"]
    default = ["=", "[]" if kind.startswith("[") else "{results: []}"] if shape == "default" else []
    document = ["mutation", called, "(", "$", variable, ":", kind, *default, ")", "{", *tokens, "}", *tail]
    several = draw(st.integers(0, 4)) == 0 and called
    if several:
        document += ["query Health { health }"]
    space = draw(SPACES)
    text = "".join(word if word == "$" else word + space for word in document if word)
    value = draw(values(kind))
    body = {"query": text, "variables": {variable: value}}
    if several or draw(st.booleans()):
        body["operationName"] = called or None
    if draw(st.integers(0, 5)) == 0:
        body["variables"]["more"] = 1
    plain = {
        "query": f"mutation {field}($v: {kind}) {{{field}({argument}: $v)}}",
        "operationName": field,
        "variables": {"v": value},
    }
    return body, plain, key or field


def outcome(body, *, short=True):
    """Status, content, and what came through the door."""
    behind = Behind()
    if not short:
        behind.door._fast = lambda *_: None
    reply = behind.send(body=json.dumps(body).encode())
    rows = [(msgspec.to_builtins(clients), base) for clients, base in behind.taken]
    return reply.status, json.loads(reply.body), rows, behind.drops


@given(calls())
def test_both_ways_give_the_same_answer_and_rows(call):
    body, _, _ = call
    found = outcome(body)
    event(f"status {found[0]}, rows {bool(found[2])}")
    assert found == outcome(body, short=False)


@given(calls())
def test_every_spelling_has_the_effect_of_the_plain_one(call):
    body, plain, key = call
    status, content, rows, drops = outcome(body)
    expected = outcome(plain)
    assert (status, rows, drops) == (expected[0], *expected[2:])
    if status == 200 and content["data"]:
        assert content == {"data": {key: True}}
    else:
        assert not rows
        assert content["data"] is None


@given(calls(), st.sampled_from(["Nope", "Health"]))
def test_another_operation_reports_nothing(call, name):
    body, _, _ = call
    _, _, rows, drops = outcome(body | {"operationName": name})
    assert (rows, drops) == ([], {})


def test_known_report_is_not_run_by_the_executor(monkeypatch):
    monkeypatch.setattr(Door, "_run", None)
    destination = {"destination": "a.b", "lastSeen": "2025-06-10T08:28:35Z"}
    source = {"srcIp": "10.0.0.1", "srcHostname": "", "destinations": [destination]}
    body = {
        "query": "mutation M($x: CaptureResults!) {a: reportCaptureResults(results: $x)}",
        "variables": {"x": {"results": [source]}},
    }
    assert outcome(body)[:2] == (200, {"data": {"a": True}})
