"""Kafka's operations: the map has the words of the mapper's schema, people and ClientIntents those of the resource.

A saved map, or another mapper, may have the resource's words already, so both are understood.
"""

from __future__ import annotations

from typing import Final

OPERATIONS: Final = {
    "ALL": "all",
    "CONSUME": "consume",
    "PRODUCE": "produce",
    "CREATE": "create",
    "ALTER": "alter",
    "DELETE": "delete",
    "DESCRIBE": "describe",
    "CLUSTER_ACTION": "ClusterAction",
    "DESCRIBE_CONFIGS": "DescribeConfigs",
    "ALTER_CONFIGS": "AlterConfigs",
    "IDEMPOTENT_WRITE": "IdempotentWrite",
}
"""From the map's words to those of the resource."""

_KNOWN: Final = {**OPERATIONS, **{word: word for word in OPERATIONS.values()}}


def resource_word(operation: str) -> str | None:
    """The resource's word for an operation in either spelling; None for one that it does not know."""
    return _KNOWN.get(operation)


def shown(operation: str) -> str:
    """The operation for people; one that the resource does not know as it is."""
    return _KNOWN.get(operation, operation)
