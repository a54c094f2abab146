"""Runs a selection over plain objects and writes the JSON of the answer as it goes.

The library's executor asks each field of each object by itself, which takes half a second for the map of a small
cluster. This one makes a writer for each selection once and applies it to every object. The objects of an answer are
few: many intents share the same workloads. So the text of an object that can be shared is kept while the answer is
written, and a selection costs one visit of each distinct object, however often it is named.

A field of an object is its attribute of the same name with underscores. The types of the introspection are asked
through the library's resolvers.
"""

from __future__ import annotations

import functools
import re
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import graphql
import msgspec
from graphql import FieldNode, FragmentSpreadNode, GraphQLList, GraphQLNonNull, GraphQLObjectType, InlineFragmentNode

from network_mapper.mapper.graphql.coerce import arguments, literal
from network_mapper.mapper.graphql.documents import selections_of
from network_mapper.mapper.graphql.schema import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graphql import DirectiveNode, GraphQLField, SelectionSetNode

    from network_mapper.mapper.graphql.documents import Plan

_encode: Final = msgspec.json.Encoder().encode
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

_SINGLE: Final = frozenset({"Intent", "ServiceIntents", "KafkaConfig", "HttpResource", "IdentityResolutionData"})
"""Types whose objects stand in an answer once, so that there is nothing to keep."""

LARGEST: Final = 256 * 1024 * 1024
"""Bytes of an answer."""


class TooLargeError(Exception):
    """The answer would be larger than allowed."""


class Wanted(NamedTuple):
    """A field that an answer has.

    Attributes:
        key: What it is called in the answer.
        name: Of the field.
        nodes: Every place where it is selected.
    """

    key: str
    name: str
    nodes: list[FieldNode]


class Selection:
    """What an operation selects, with its variables.

    Args:
        plan: The operation.
        values: Of its variables.
    """

    def __init__(self, plan: Plan, values: Mapping[str, Any]) -> None:
        self._fragments = plan.fragments
        self._values = values
        self.root = self.collect([plan.operation.selection_set])

    def collect(self, selections: Sequence[SelectionSetNode]) -> list[Wanted]:
        """The fields of an object in the order in which they are first named, without those that are skipped."""
        found: dict[str, Wanted] = {}
        seen: set[str] = set()
        todo = [node for selection in reversed(selections) for node in reversed(selection.selections)]
        while todo:
            node = todo.pop()
            if not self._is_included(node.directives or ()):
                continue
            if isinstance(node, FieldNode):
                key = node.alias.value if node.alias else node.name.value
                found.setdefault(key, Wanted(key, node.name.value, [])).nodes.append(node)
                continue
            # No type of the schema is abstract, so a fragment that is valid here is one of this type.
            if isinstance(node, InlineFragmentNode):
                todo.extend(reversed(node.selection_set.selections))
                continue
            assert isinstance(node, FragmentSpreadNode)
            if node.name.value not in seen:
                seen.add(node.name.value)
                todo.extend(reversed(self._fragments[node.name.value].selection_set.selections))
        return list(found.values())

    def _is_included(self, directives: Sequence[DirectiveNode]) -> bool:
        for directive in directives:
            name = directive.name.value
            if name in ("skip", "include"):
                assert directive.arguments
                condition = literal(directive.arguments[0].value, _CONDITION, self._values)
                if condition is (name == "skip"):
                    return False
        return True

    def arguments(self, wanted: Wanted, field: GraphQLField) -> dict[str, Any]:
        """The arguments of a field."""
        given = {node.name.value: node.value for node in wanted.nodes[0].arguments or ()}
        return arguments(field.args, given, self._values)

    def names(self, nodes: Sequence[FieldNode]) -> set[str]:
        """The names of all fields below some nodes, however deep."""
        found = set()
        for wanted in self.collect(selections_of(nodes)):
            found.add(wanted.name)
            found |= self.names(wanted.nodes)
        return found

    def writer(self, kind: Any, nodes: Sequence[FieldNode]) -> Callable[[Any], bytes]:
        """What writes the value of a field of this type, as far as it is selected by these nodes."""
        if isinstance(kind, GraphQLNonNull):
            return self.writer(kind.of_type, nodes)
        if isinstance(kind, GraphQLList):
            return _list_writer(self.writer(kind.of_type, nodes))
        if not isinstance(kind, GraphQLObjectType):
            return _leaf_writer(kind)
        fields = [self._field(kind, wanted) for wanted in self.collect(selections_of(nodes))]
        write = _object_writer(fields)
        return write if kind.name in _SINGLE else _keeping(write)

    def _field(self, kind: GraphQLObjectType, wanted: Wanted) -> _Field:
        start = _encode(wanted.key) + b":"
        if wanted.name == "__typename":
            text = _encode(kind.name)
            return start, _itself, lambda _: text
        field = kind.fields[wanted.name]
        return start, self._getter(kind, wanted, field), self.writer(field.type, wanted.nodes)

    def _getter(self, kind: GraphQLObjectType, wanted: Wanted, field: GraphQLField) -> Callable[[Any], Any]:
        if not graphql.is_introspection_type(kind):
            return attrgetter(attribute(wanted.name))
        given = self.arguments(wanted, field)
        resolve: Any = field.resolve
        return lambda value: resolve(value, _Info(schema()), **given)


_Field = tuple[bytes, "Callable[[Any], Any]", "Callable[[Any], bytes]"]
_CONDITION: Final = GraphQLNonNull(graphql.GraphQLBoolean)


class _Info(NamedTuple):
    """What the resolvers of the introspection look at."""

    schema: Any


@functools.cache
def attribute(field: str) -> str:
    """The attribute for a field: `nameResolvedUsingAnnotation` is `name_resolved_using_annotation`."""
    return _WORD.sub("_", field).lower()


def _itself(value: Any) -> Any:
    return value


def _leaf_writer(kind: Any) -> Callable[[Any], bytes]:
    if graphql.is_introspection_type(kind):  # an enumeration of the library, whose values are no texts
        return lambda value: _encode(None if value is None else kind.serialize(value))
    return _encode


def _list_writer(write: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    def write_list(values: Any) -> bytes:
        if values is None:
            return b"null"
        text = b"[" + b",".join(map(write, values)) + b"]"
        if len(text) > LARGEST:
            raise TooLargeError
        return text

    return write_list


def _object_writer(fields: Sequence[_Field]) -> Callable[[Any], bytes]:
    parts = [((b"," if number else b"{") + start, get, write) for number, (start, get, write) in enumerate(fields)]

    def write_object(value: Any) -> bytes:
        if value is None:
            return b"null"
        return b"".join([piece for start, get, write in parts for piece in (start, write(get(value)))]) + b"}"

    return write_object if parts else lambda value: b"null" if value is None else b"{}"


def _keeping(write: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    kept: dict[int, tuple[Any, bytes]] = {}  # the object too, so that no other one gets its number meanwhile

    def write_kept(value: Any) -> bytes:
        found = kept.get(id(value))
        if found is None:
            found = kept[id(value)] = (value, write(value))
        return found[1]

    return write_kept
