"""Documents, parsed and validated once for each distinct text.

What a document costs is bounded before the work is done: its length, its tokens, its fields with every fragment put in
the place where it is spread, and its depth. Those that are valid are kept, the latest used ones, because senders repeat
the same few texts for as long as they live. A kept document weighs some fifty times its text, hence the small bounds.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import graphql
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
)

from network_mapper.mapper.graphql.failure import PARSE_FAILED, VALIDATION_FAILED, RequestError, invalid
from network_mapper.mapper.graphql.inputs import ARGUMENTS
from network_mapper.mapper.graphql.schema import schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LONGEST_TEXT: Final = 65536
MOST_TOKENS: Final = 4000
MOST_FIELDS: Final = 600
MOST_ROOT_FIELDS: Final = 8
DEEPEST: Final = 20
_MOST_ERRORS: Final = 10
_KEPT: Final = 1000
_KEPT_CHARACTERS: Final = 256 * 1024


class FastReport(NamedTuple):
    """An operation that is one reporting mutation with one variable and nothing else.

    Attributes:
        field: The mutation.
        key: What it is called in the answer.
        variable: Name of the variable.
    """

    field: str
    key: str
    variable: str


class Plan(NamedTuple):
    """An operation that may be run.

    Attributes:
        operation: What to run.
        fragments: By name.
        report: What it is, if that needs no executor.
    """

    operation: OperationDefinitionNode
    fragments: Mapping[str, FragmentDefinitionNode]
    report: FastReport | None

    @property
    def is_mutation(self) -> bool:
        """Whether it changes something."""
        return self.operation.operation is OperationType.MUTATION


class Documents:
    """Plans by text and name of the operation."""

    def __init__(self) -> None:
        self._plans: OrderedDict[tuple[str, str], Plan] = OrderedDict()
        self._characters = 0

    def __len__(self) -> int:
        return len(self._plans)

    def plan(self, text: str, name: str) -> Plan:
        """The plan for an operation.

        Args:
            text: The document.
            name: Of the operation; empty where the document has only one.

        Raises:
            RequestError: It is no valid document, or has no such operation.
        """
        key = (text, name)
        plan = self._plans.get(key)
        if plan is not None:
            self._plans.move_to_end(key)
            return plan
        plan = _plan(_validated(text), name)
        self._plans[key] = plan
        self._characters += len(text)
        while len(self._plans) > _KEPT or (self._characters > _KEPT_CHARACTERS and len(self._plans) > 1):
            (old, _), _ = self._plans.popitem(last=False)
            self._characters -= len(old)
        return plan


def _validated(text: str) -> DocumentNode:
    if not text.strip():
        raise invalid("no operation provided")
    if len(text) > LONGEST_TEXT:
        raise invalid(f"the document has more than {LONGEST_TEXT} characters", code=PARSE_FAILED)
    try:
        document = graphql.parse(text, max_lexical_tokens=MOST_TOKENS, max_comments=MOST_TOKENS)
    except GraphQLError as error:
        raise RequestError(422, [_formatted(error, PARSE_FAILED)]) from None
    _measure(document)
    errors = graphql.validate(schema(), document, max_errors=_MOST_ERRORS)
    if errors:
        raise RequestError(422, [_formatted(error, VALIDATION_FAILED) for error in errors[:_MOST_ERRORS]])
    return document


def _formatted(error: GraphQLError, code: str) -> dict[str, Any]:
    content: dict[str, Any] = {"message": error.message}
    if error.locations:
        content["locations"] = [{"line": place.line, "column": place.column} for place in error.locations]
    return content | {"extensions": {"code": code}}


def _plan(document: DocumentNode, name: str) -> Plan:
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if not operations:
        raise invalid("no operation provided")
    if name:
        operations = [node for node in operations if node.name is not None and node.name.value == name]
        if not operations:
            raise invalid(f"operation {name[:64]} not found")
    elif len(operations) > 1:
        raise invalid("operationName must say which of the operations is meant")
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    return Plan(operations[0], fragments, _fast(operations[0]))


def _fast(operation: OperationDefinitionNode) -> FastReport | None:
    if operation.operation is not OperationType.MUTATION or operation.directives:
        return None
    variables, selections = operation.variable_definitions or (), operation.selection_set.selections
    if len(variables) != 1 or len(selections) != 1:
        return None
    variable, field = variables[0], selections[0]
    if not isinstance(field, FieldNode) or field.directives or not field.arguments:
        return None
    value = field.arguments[0].value
    expected = ARGUMENTS.get(field.name.value)
    if expected is None or not isinstance(value, VariableNode) or variable.default_value or variable.directives:
        return None
    if graphql.print_ast(variable.type) != expected[1]:
        return None
    key = field.alias.value if field.alias else field.name.value
    return FastReport(field.name.value, key, variable.variable.name.value)


def _measure(document: DocumentNode) -> None:
    """Refuse what would be large or deep with every fragment in its place; circles are left to the validation."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    sizes = _Sizes(fragments)
    try:
        for node in document.definitions:
            if not isinstance(node, OperationDefinitionNode | FragmentDefinitionNode):
                continue
            fields, depth = sizes.of(node.selection_set)
            if fields > MOST_FIELDS:
                raise invalid(f"more than {MOST_FIELDS} fields are selected")
            if depth > DEEPEST:
                raise invalid(f"the selection is more than {DEEPEST} levels deep")
            if isinstance(node, OperationDefinitionNode) and sizes.at_root(node.selection_set) > MOST_ROOT_FIELDS:
                raise invalid(f"one request may ask for {MOST_ROOT_FIELDS} things at once")
    except RecursionError:
        raise invalid(f"the selection is more than {DEEPEST} levels deep") from None


class _Sizes:
    """Fields and depth of selections; every fragment is measured once, so this takes no longer than reading."""

    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._known: dict[str, tuple[int, int]] = {}
        self._roots: dict[str, int] = {}

    def of(self, selection: SelectionSetNode) -> tuple[int, int]:
        if not selection.selections:
            raise invalid("a selection is empty", code=PARSE_FAILED)
        fields = depth = 0
        for node in selection.selections:
            if isinstance(node, FieldNode):
                below = self.of(node.selection_set) if node.selection_set else (0, 0)
                size = (below[0] + 1, below[1] + 1)
            elif isinstance(node, InlineFragmentNode):
                size = self.of(node.selection_set)
            else:
                assert isinstance(node, FragmentSpreadNode)
                size = self._spread(node.name.value)
            fields, depth = fields + size[0], max(depth, size[1])
        return fields, depth

    def _spread(self, name: str) -> tuple[int, int]:
        size = self._known.get(name)
        if size is None:
            self._known[name] = (0, 0)
            fragment = self._fragments.get(name)
            size = self._known[name] = self.of(fragment.selection_set) if fragment else (0, 0)
        return size

    def at_root(self, selection: SelectionSetNode) -> int:
        """How many fields there are at the root."""
        return sum(self._root(node) for node in selection.selections)

    def _root(self, node: Any) -> int:
        if isinstance(node, FieldNode):
            return 1
        if isinstance(node, InlineFragmentNode):
            return self.at_root(node.selection_set)
        name = node.name.value
        if name not in self._roots:
            self._roots[name] = 0
            fragment = self._fragments.get(name)
            self._roots[name] = self.at_root(fragment.selection_set) if fragment else 0
        return self._roots[name]


def selections_of(nodes: Iterable[FieldNode]) -> list[SelectionSetNode]:
    """What is selected below a field that may be named several times."""
    return [node.selection_set for node in nodes if node.selection_set is not None]
