"""Runs an operation that is no known report: queries, introspection, and mutations in any form that is valid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from network_mapper.mapper.graphql import coerce, intents
from network_mapper.mapper.graphql.failure import failed
from network_mapper.mapper.graphql.schema import schema
from network_mapper.mapper.graphql.selection import LARGEST, Selection, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from network_mapper.mapper.graphql.documents import Plan
    from network_mapper.mapper.graphql.seams import Seams
    from network_mapper.mapper.graphql.selection import Wanted

_encode = msgspec.json.Encoder().encode


class Mutation(NamedTuple):
    """A field of a mutation: its name in the answer, its own, and its arguments."""

    key: str
    name: str
    arguments: dict[str, Any]


class Run:
    """One operation with its variables.

    Args:
        plan: The operation.
        given: Variables as they came.

    Raises:
        RequestError: The variables do not fit.
    """

    def __init__(self, plan: Plan, given: dict[str, Any]) -> None:
        self._schema = schema()
        values = coerce.variables(self._schema, plan.operation.variable_definitions or (), given)
        self._selection = Selection(plan, values)

    def mutations(self) -> Iterator[Mutation]:
        """The fields of a mutation, in order.

        Raises:
            RequestError: An argument is null where it may not be.
        """
        kind = self._schema.mutation_type
        assert kind is not None
        for wanted in self._selection.root:
            field = kind.fields.get(wanted.name)
            yield Mutation(wanted.key, wanted.name, self._selection.arguments(wanted, field) if field else {})

    def query(self, seams: Seams) -> bytes:
        """The answer to a query, as JSON.

        Raises:
            RequestError: An argument is null where it may not be, or the answer is too large.
        """
        parts, size = [], 0
        for wanted in self._selection.root:
            try:
                text = self._field(wanted, seams)
            except TooLargeError:
                text = b""
            size += len(text)
            if not text or size > LARGEST:
                raise failed(f"the answer has more than {LARGEST} bytes: ask for fewer namespaces", wanted.key)
            parts.append(_encode(wanted.key) + b":" + text)
        return b'{"data":{' + b",".join(parts) + b"}}"

    def _field(self, wanted: Wanted, seams: Seams) -> bytes:
        selection, nodes = self._selection, wanted.nodes
        query = self._schema.query_type
        assert query is not None
        if wanted.name == "__typename":
            return _encode(query.name)
        field = self._schema.get_field(query, wanted.name)
        assert field is not None
        arguments = selection.arguments(wanted, field)
        value: Any = True  # health
        if wanted.name == "__schema":
            value = self._schema
        elif wanted.name == "__type":
            value = self._schema.get_type(arguments["name"])
        elif wanted.name != "health":
            asked = intents.Filter.of(arguments)
            detailed = "resolutionData" in selection.names(nodes)
            if wanted.name == "intents":
                value = intents.intents(
                    seams.edges(), seams.names, asked, detailed=detailed, by_address=seams.by_address
                )
            else:
                value = intents.service_intents(seams.edges(), seams.names, asked, detailed=detailed)
        return selection.writer(field.type, nodes)(value)
