"""Any document as JSON or YAML text, field by field in the order of its declaration."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

import msgspec

from network_mapper.export.clientintents.yaml_text import scalar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LONGEST_KEY: Final = 1000
"""Characters; a longer key must be marked as one (YAML allows 1024 for the others)."""


def to_json(document: msgspec.Struct) -> str:
    """Indented JSON with a final newline."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def to_yaml(document: msgspec.Struct) -> str:
    """YAML in block style; texts that YAML would read as something else are quoted.

    A library's writer takes two seconds for a map of five thousand edges, this one a tenth of that.
    """
    lines: list[str] = []
    content = msgspec.to_builtins(document)
    _mapping(lines.append, content, "", "") if content else lines.append("{}")
    return "\n".join(lines) + "\n"


def _mapping(put: Callable[[str], None], fields: dict[Any, Any], first: str, indent: str) -> None:
    """Put the fields, one below another; `first` stands before the first of them, `indent` before the others."""
    for key, value in fields.items():
        text, below = _plain(key), indent
        if len(text) > _LONGEST_KEY:
            put(f"{first}? {text}")
            text, first, below = "", indent, indent + "  "
        head = f"{first}{text}:"
        if isinstance(value, dict) and value:
            put(head)
            _mapping(put, value, indent + "  ", indent + "  ")
        elif isinstance(value, list | tuple) and value:
            put(head)
            _sequence(put, value, below)
        else:
            put(f"{head} {_plain(value)}")
        first = indent


def _sequence(put: Callable[[str], None], values: Sequence[Any], indent: str) -> None:
    for value in values:
        if isinstance(value, dict) and value:
            _mapping(put, value, indent + "- ", indent + "  ")
        elif isinstance(value, list | tuple) and value:
            put(indent + "-")
            _sequence(put, value, indent + "  ")
        else:
            put(f"{indent}- {_plain(value)}")


def _plain(value: Any) -> str:
    """What fits in one line. Empty containers are written as in JSON, and so are numbers and words that are no text."""
    return _text(value) if isinstance(value, str) else msgspec.json.encode(value).decode()


_text = functools.lru_cache(maxsize=1 << 16)(scalar)
"""Names come again and again."""
