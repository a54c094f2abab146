"""YAML as the Otterize command line lays it out, with the quotes that it forgets.

A library's writer has its own layout, and takes seconds for a large map. What is written here is only mappings, lists,
texts and numbers in block style, so all that is hard is to know when a text needs quotes: where any parser, of YAML 1.1
or 1.2, would read something else than the text. The rules are those of https://yaml.org/spec/1.2.2/#733-plain-style and
of the types of both versions (https://yaml.org/type/), and are tested against a parser.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PLAIN = re.compile(
    r"""
    (?: [^\s\-?:,\[\]{}\#&*!|>'"%@`]    # indicators begin something else
      | [-?:](?=[^\s]) )                # but these only before a space
    (?: [^\s:\#]                        # no other space than U+0020, and that not at the end
      | \ +(?=[^\s\#])                  # ' #' begins a comment
      | :(?=[^\s]) | \# )*              # ': ' ends a key
    """,
    re.VERBOSE | re.ASCII,  # YAML knows no other blanks
)
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_TYPED = re.compile(
    r"""
    ~ | null | true | false | yes | no | on | off | y | n | = | <<
    | [-+]? (?: 0b[01_]+ | 0o?[0-7_]+ | 0x[0-9a-f_]+
              | [0-9][0-9_]* (?: :[0-5]?[0-9] )+ (?: \.[0-9_]* )?
              | (?: [0-9][0-9_]*\.?[0-9_]* | \.[0-9_]+ ) (?: e[-+]?[0-9]+ )?
              | \.inf )
    | \.nan
    | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2} (?: [t\s] .* )?
    | -{3}.* | \.{3}.*
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII | re.DOTALL,
)
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ESCAPED = re.compile(f'{_UNPRINTABLE.pattern}|["\\\\]')


def block(fields: Mapping[str, Any]) -> str:
    """Fields as lines in block style, without a final line feed.

    Args:
        fields: Keys are plain words; values are texts, numbers, lists, and fields that are not empty.
    """
    return "\n".join(_mapping(fields, ""))


def scalar(value: str | int) -> str:
    """A value in one line: as it is, or in quotes where it would be read as something else."""
    if isinstance(value, int):
        return str(value)
    if _UNPRINTABLE.search(value):
        return f'"{_ESCAPED.sub(_escape, value)}"'
    if _PLAIN.fullmatch(value) and not _TYPED.fullmatch(value):
        return value
    return "'" + value.replace("'", "''") + "'"


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    code = ord(character)
    return _ESCAPES.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def _mapping(fields: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, value in fields.items():
        if isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from _mapping(value, indent + "  ")
        elif not isinstance(value, list):
            yield f"{indent}{key}: {scalar(value)}"
        elif not value:
            yield f"{indent}{key}: []"
        else:
            yield f"{indent}{key}:"
            yield from _sequence(value, indent + "  ")


def _sequence(values: list[Any], indent: str) -> Iterator[str]:
    for value in values:
        if isinstance(value, dict):
            first, *others = _mapping(value, indent + "  ")
            yield f"{indent}- {first.lstrip(' ')}"
            yield from others
        else:
            yield f"{indent}- {scalar(value)}"
