"""YAML as the data that JSON has, straight from the parser's events.

The library's own loaders end the process on deep nesting, follow repetitions by which a small file stands for a huge
one, and take words such as `no` and times for something else than text, which other programs write without quotes. A
saved map needs none of that, and is read in a quarter of the time without it.
"""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

DEEPEST: Final = 32
"""Levels of nesting; a map has nine."""

_WORDS: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_WHOLE: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")


class YamlError(ValueError):
    """The text is no YAML, or has more than JSON can say; the message says what and where."""


def load(data: bytes) -> Any:
    """The one document of a text: dictionaries with text for keys, lists, text, whole numbers, true, false and None.

    Raises:
        YamlError: See there.
    """
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is faster, and not in every build
    try:
        return _document(yaml.parse(data, loader))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        cause = getattr(error, "problem", None) or error
        raise YamlError(f"{cause}" + (f", line {mark.line + 1}" if mark else "")) from None


def _document(events: Any) -> Any:
    documents: list[Any] = []
    open_: list[Any] = []
    """The containers that are being filled, outermost first."""
    keys: list[str | None] = []
    """For each of them the key whose value comes next; None where a key does, or in a list."""
    for event in events:
        match event:
            case yaml.ScalarEvent():
                if open_ and keys[-1] is None and type(open_[-1]) is dict:
                    keys[-1] = event.value
                    continue
                value = _scalar(event)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                if len(open_) == DEEPEST:
                    raise _error("nested too deeply", event)
                if open_ and keys[-1] is None and type(open_[-1]) is dict:
                    raise _error("a key is no text", event)
                open_.append({} if isinstance(event, yaml.MappingStartEvent) else [])
                keys.append(None)
                continue
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                value = open_.pop()
                keys.pop()
            case yaml.AliasEvent():
                raise _error("a part is repeated by an alias", event)
            case _:
                continue
        if not open_:
            documents.append(value)
            if len(documents) > 1:
                raise _error("there is more than one document", event)
        elif type(open_[-1]) is list:
            open_[-1].append(value)
        else:
            open_[-1][keys[-1]] = value
            keys[-1] = None
    return documents[0] if documents else None


def _scalar(event: yaml.ScalarEvent) -> Any:
    text = event.value
    if not event.implicit[0]:  # quoted, or with a tag
        return text
    if text in _WORDS:
        return _WORDS[text]
    return int(text) if _WHOLE.fullmatch(text) else text


def _error(cause: str, event: yaml.Event) -> YamlError:
    return YamlError(f"{cause}, line {event.start_mark.line + 1}" if event.start_mark else cause)
