"""Values to the types of the schema, as the model's server takes them.

It is more lenient than the specification where the model is: a whole number may be text, a text may be a number, and
one value stands for a list of one, for objects too. It is a little stricter elsewhere: an enumeration's value is
spelled as in the schema, and a number with a point is no whole number, whatever follows the point.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import graphql
from graphql import (
    BooleanValueNode,
    EnumValueNode,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    StringValueNode,
    VariableNode,
)

from network_mapper.mapper.graphql.failure import invalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from graphql import GraphQLArgument, GraphQLSchema, ValueNode, VariableDefinitionNode

_WHOLE = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)

Path = tuple[str | int, ...]


class Number(str):
    """A number of a JSON document that is no whole one, as it is written there."""

    __slots__ = ()


def variables(
    schema: GraphQLSchema, definitions: Iterable[VariableDefinitionNode], given: Mapping[str, Any]
) -> dict[str, Any]:
    """The values of an operation's variables; others that were given are ignored.

    Raises:
        RequestError: A value does not fit, or is missing.
    """
    values = {}
    for definition in definitions:
        name = definition.variable.name.value
        kind = graphql.type_from_ast(schema, definition.type)
        path: Path = ("variable", name)
        if name in given:
            values[name] = _value(given[name], kind, path)
        elif definition.default_value is not None:
            values[name] = literal(definition.default_value, kind, {})
        elif isinstance(kind, GraphQLNonNull):
            raise _refused("must be defined", path)
    return values


def arguments(
    definitions: Mapping[str, GraphQLArgument], given: Mapping[str, ValueNode], values: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments of a field, without those that were not given.

    Raises:
        RequestError: A variable that may be null is null where it may not be.
    """
    return {
        name: literal(node, definitions[name].type, values)
        for name, node in given.items()
        if not (isinstance(node, VariableNode) and node.name.value not in values)
    }


def literal(node: ValueNode, kind: Any, values: Mapping[str, Any]) -> Any:
    """A value that stands in a document, which is validated, so only variables can still be wrong.

    Raises:
        RequestError: A variable that may be null is null where it may not be.
    """
    if isinstance(kind, GraphQLNonNull):
        value = literal(node, kind.of_type, values)
        if value is None:
            raise invalid(f"{graphql.print_ast(node)} may not be null here")
        return value
    if isinstance(node, VariableNode):
        return values.get(node.name.value)
    if isinstance(node, NullValueNode):
        return None
    if isinstance(kind, GraphQLList):
        nodes = node.values if isinstance(node, ListValueNode) else (node,)
        return [literal(item, kind.of_type, values) for item in nodes]
    if isinstance(kind, GraphQLInputObjectType):
        assert isinstance(node, ObjectValueNode)
        given = {field.name.value: field.value for field in node.fields}
        absent = {
            name for name, item in given.items() if isinstance(item, VariableNode) and item.name.value not in values
        }
        for name, field in kind.fields.items():
            if isinstance(field.type, GraphQLNonNull) and (name in absent or name not in given):
                raise invalid(f"{kind.name}.{name} must be defined")
        return {
            name: literal(item, kind.fields[name].type, values) for name, item in given.items() if name not in absent
        }
    if kind.name == "Time":
        return node.value if isinstance(node, StringValueNode) else ""  # any other shape is no time
    if isinstance(node, IntValueNode):
        return int(node.value)
    assert isinstance(node, StringValueNode | BooleanValueNode | EnumValueNode)
    return node.value


def _value(value: Any, kind: Any, path: Path) -> Any:
    if isinstance(kind, GraphQLNonNull):
        if value is None:
            raise _refused("cannot be null", path)
        return _value(value, kind.of_type, path)
    if value is None:
        return None
    if isinstance(kind, GraphQLList):
        if not isinstance(value, list):
            return [_value(value, kind.of_type, path)]
        return [_value(item, kind.of_type, (*path, number)) for number, item in enumerate(value)]
    if isinstance(kind, GraphQLInputObjectType):
        return _object(value, kind, path)
    if isinstance(kind, GraphQLEnumType):
        if type(value) is str and value in kind.values:
            return value
        raise _refused(f"is no {kind.name}", path)
    return _scalar(value, kind.name, path)


def _object(value: Any, kind: GraphQLInputObjectType, path: Path) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _refused(f"must be an object, {kind.name}", path)
    fields = kind.fields
    for name in value:
        if name not in fields:
            raise _refused("unknown field", (*path, name[:64]))
    for name, field in fields.items():
        if name not in value and isinstance(field.type, GraphQLNonNull):
            raise _refused("must be defined", (*path, name))
    return {name: _value(item, fields[name].type, (*path, name)) for name, item in value.items()}


def _scalar(value: Any, name: str, path: Path) -> Any:
    if name == "Time":
        return value if type(value) is str else ""
    if name == "Boolean":
        if isinstance(value, bool):
            return value
    elif name == "Int":
        if type(value) is str and _WHOLE.fullmatch(value):
            value = int(value)
        if type(value) is int and -(2**63) <= value < 2**63:
            return value
    elif isinstance(value, str) or type(value) is int:
        return str(value)
    raise _refused(f"cannot use this as {name}", path)


def _refused(message: str, path: Path) -> Exception:
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")
    return invalid(f"{place}: {message}", path=list(path))
