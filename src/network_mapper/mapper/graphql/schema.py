"""The model's schema as an object of graphql-core.

It is built from `schema.graphql` when it is first asked for: the library and the schema cost a mapper that hears only
our own sniffers nothing. Two scalars differ from the library's. `Int` has 64 bits. `Time` takes any literal, because
the model reads a time only when it resolves the field, where a wrong one is an error of another kind.
"""

from __future__ import annotations

import functools
import importlib.resources
from typing import Any

import graphql
from graphql import (
    DocumentNode,
    GraphQLDeferDirective,
    GraphQLDeprecatedDirective,
    GraphQLError,
    GraphQLIncludeDirective,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLSkipDirective,
    GraphQLSpecifiedByDirective,
    IntValueNode,
    NamedTypeNode,
    NameNode,
    StringValueNode,
    ValueNode,
    Visitor,
)

_INT = "Int64Bits"
"""What `Int` is called while the schema is built, so that the library does not put its own in its place."""

DIRECTIVES = (
    GraphQLIncludeDirective,
    GraphQLSkipDirective,
    GraphQLDeprecatedDirective,
    GraphQLSpecifiedByDirective,
    GraphQLDeferDirective,
)
"""Those that the model lists. A fragment with `@defer` is answered at once, which the directive allows."""


class _OwnInt(Visitor):
    """Puts our `Int` in the place of the library's."""

    def enter_named_type(self, node: NamedTypeNode, *_: Any) -> NamedTypeNode | None:
        return NamedTypeNode(name=NameNode(value=_INT)) if node.name.value == "Int" else None


@functools.cache
def schema() -> GraphQLSchema:
    """The schema."""
    text = importlib.resources.files(__package__).joinpath("schema.graphql").read_text(encoding="utf-8")
    document: DocumentNode = graphql.visit(graphql.parse(f"{text}\nscalar {_INT}", no_location=True), _OwnInt())
    built = graphql.build_ast_schema(document)
    whole, moment = built.get_type(_INT), built.get_type("Time")
    assert isinstance(whole, GraphQLScalarType)
    assert isinstance(moment, GraphQLScalarType)
    whole.name, whole.description = "Int", "A whole number of 64 bits; a variable may also give it as text."
    whole.coerce_input_literal = _int_literal
    moment.coerce_input_literal = _time_literal
    return GraphQLSchema(
        query=built.query_type,
        mutation=built.mutation_type,
        types=[kind for name, kind in built.type_map.items() if not name.startswith("__")],
        directives=DIRECTIVES,
    )


# How values in a document are read; `coerce` reads those of variables.
def _int_literal(node: ValueNode) -> int:
    if isinstance(node, IntValueNode):
        value = int(node.value) if len(node.value) <= 20 else 2**64
        if -(2**63) <= value < 2**63:
            return value
    raise GraphQLError(f"Int cannot represent {graphql.print_ast(node)}", node)


def _time_literal(node: ValueNode) -> str:
    """Any literal will do for now."""
    return node.value if isinstance(node, StringValueNode) else ""
