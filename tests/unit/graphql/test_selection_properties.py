"""Any valid selection is answered as the library's own executor answers it."""

import functools
import json

import graphql
from hypothesis import event, given
from hypothesis import strategies as st

from network_mapper.mapper.graphql.intents import Filter, intents, service_intents
from network_mapper.mapper.graphql.schema import schema
from network_mapper.mapper.graphql.selection import attribute
from network_mapper.model import Edge, Service, ServiceRef, Workload

from .conftest import Behind

WORKLOADS = [
    Workload("web", "shop", "Deployment"),
    Workload("a.b", "shop", "Pod"),
    Workload('quo"te\\ü', "data", ""),
    Workload("named", "data", "StatefulSet"),
]
BACKED = Service("svc", "shop")


def cluster_of(behind):
    behind.cluster.labels = {WORKLOADS[0]: {"app": "web", "x": ""}, WORKLOADS[3]: {"app": "n"}}
    behind.cluster.annotated = {WORKLOADS[3]}
    behind.cluster.backends = {BACKED: (WORKLOADS[0], WORKLOADS[1])}
    return behind.cluster


EDGES = st.lists(
    st.builds(
        Edge,
        client=st.sampled_from([*WORKLOADS, Service("kubernetes", "default")]),
        server=st.sampled_from([*WORKLOADS, BACKED, Service("kubernetes", "default")]),
        service=st.sampled_from([None, ServiceRef("s", "shop"), ServiceRef("kubernetes", "default")]),
        port=st.sampled_from([0, 80]),
        protocol=st.sampled_from(["tcp", "dns", "http", "kafka", "ip", "aws"]),
        connections=st.integers(0, 1),
        lookups=st.integers(0, 1),
        sockets=st.integers(0, 1),
        last_seen=st.integers(0, 2**40),
        details=st.dictionaries(st.sampled_from(["/a", "t"]), st.lists(st.sampled_from(["GET", "CONSUME", ""]))),
    ),
    max_size=12,
)


@st.composite
def selections(draw, kind, fragments, depth=0):
    """A selection set of an object type; `fragments` collects those that it spreads."""
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        condition = draw(st.sampled_from(["", "", "", "@include(if: $yes)", "@skip(if: $no)", "@skip(if: true)"]))
        shape = draw(st.integers(0, 9))
        if shape == 0 and depth < 4:
            parts.append(f"... on {kind.name} {condition} {draw(selections(kind, fragments, depth + 1))}")
        elif shape == 1 and depth < 4:
            body = draw(selections(kind, fragments, depth + 1))
            fragments.append(f"fragment F{len(fragments)} on {kind.name} {body}")
            parts.append(f"...F{len(fragments) - 1} {condition}")
        elif shape == 2:
            parts.append(f"__typename {condition}")
        else:
            name = draw(st.sampled_from(sorted(kind.fields)))
            below = graphql.get_named_type(kind.fields[name].type)
            alias = draw(st.sampled_from(["", f"x_{name}: "]))
            nested = draw(selections(below, fragments, depth + 1)) if graphql.is_object_type(below) else ""
            parts.append(f"{alias}{name} {condition} {nested}")
    return "{" + " ".join(parts) + "}"


@st.composite
def documents(draw):
    fragments = []
    fields = []
    for name in ("intents", "serviceIntents"):
        kind = graphql.get_named_type(schema().query_type.fields[name].type)
        arguments = draw(st.sampled_from(["", "(includeAllLabels: true)", "(includeLabels: $labels)"]))
        fields.append(f"{name}{arguments} {draw(selections(kind, fragments))}")
    fields.append("health")
    operation = "query ($yes: Boolean!, $no: Boolean = false, $labels: [String!]) {" + " ".join(fields) + " ...Use}"
    use = (
        "fragment Use on Query {u: health @include(if: $yes) @skip(if: $no)"
        " l: serviceIntents(includeLabels: $labels) {__typename}}"
    )
    return " ".join([operation, use, *fragments])


class _Root:
    health = True

    def __init__(self, behind):
        self._behind = behind

    def intents(self, _info, **arguments):
        return intents(self._behind.edges, self._behind.cluster, Filter.of(arguments))

    def service_intents(self, _info, **arguments):
        return service_intents(self._behind.edges, self._behind.cluster, Filter.of(arguments))


@functools.cache
def _oracle_schema():
    kwargs = schema().to_kwargs()
    kwargs["directives"] = [item for item in kwargs["directives"] if item.name != "defer"]
    return graphql.GraphQLSchema(**kwargs)


def _resolve(source, info, **arguments):
    value = getattr(source, attribute(info.field_name))
    return value(info, **arguments) if callable(value) else value


@given(documents(), EDGES, st.booleans(), st.booleans(), st.sampled_from([None, [], ["app"], ["app", "x"]]))
def test_answers_are_those_of_the_library(document, edges, yes, no, labels):
    behind = Behind()
    cluster_of(behind)
    behind.edges = edges
    variables = {"yes": yes, "no": no, "labels": labels}
    expected = graphql.graphql_sync(
        _oracle_schema(), document, _Root(behind), variable_values=variables, field_resolver=_resolve
    )
    status, found = behind.ask(document, variables)
    event(f"status {status}")
    if expected.errors:
        assert status == 422, expected.errors
        return
    assert status == 200, found
    assert json.dumps(found["data"]) == json.dumps(expected.data), "also in the same order"
