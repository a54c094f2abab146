"""What a real API server told of pods that came and went, as stories to be told again of others at other times.

A story is one recorded pod (`tests/fixtures/churn`): every event of its watch, and when its address was given to it and
taken back. It is told again with other names, and its quiet middle, between the event that says it runs and the first
one of its end, made longer. Every time in its objects becomes the moment it stands for, cut off to the second, as the
real ones are. Where the recording leaves a moment open by less than that second, it is taken so that the pod speaks for
as long as the recording allows: from the first moment of its first container's second to the last of its last one's.
"""

from __future__ import annotations

import datetime as dt
import functools
import gzip
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FILE = Path(__file__).parents[1] / "fixtures" / "churn" / "recorded.jsonl.gz"
SECOND = 1000
_STAMP = re.compile(r'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"')
_MARK = re.compile(r'"@([ak])(-?\d+)"')
CONTAINERS = ("initContainerStatuses", "containerStatuses")

Object = dict[str, Any]


class Told(NamedTuple):
    """One event of a story, `at` milliseconds after its beginning; marks stand for what is told anew each time."""

    at: int
    type: str
    text: str


class Story(NamedTuple):
    """One recorded pod. All times are milliseconds since the first that was told of it.

    Attributes:
        owner: Kind of its controller; empty where it had none.
        given: When its address was given to it.
        started: From when it spoke.
        quiet: Where it can be made longer.
        ended: Until when it spoke.
        taken: When its address was taken back.
        gone: When its DELETED came.
        events: What was told.
    """

    owner: str
    given: int
    started: int
    quiet: int
    ended: int
    taken: int
    gone: int
    events: tuple[Told, ...]


@functools.cache
def lines() -> list[Object]:
    """Everything that was recorded; the first line says how."""
    with gzip.open(FILE, "rt") as file:
        return [json.loads(line) for line in file]


def objects(watch: str) -> list[Object]:
    """The objects of a resource in the order in which they were told."""
    return [line["object"] for line in lines() if line.get("watch") == watch and line["type"] != "BOOKMARK"]


@functools.cache
def stories() -> tuple[Story, ...]:
    """Every pod of the recording whose whole life is in it."""
    by_uid: dict[str, list[Object]] = {}
    for line in lines():
        if line.get("watch") == "pods" and line["type"] != "BOOKMARK":
            by_uid.setdefault(line["object"]["metadata"]["uid"], []).append(line)
    return tuple(_story(events) for events in by_uid.values() if events[-1]["type"] == "DELETED")


def _story(events: list[Object]) -> Story:
    zero = events[0]["at"]
    given, taken = _held(events)
    last = events[-1]["object"]
    owner = next(iter(last["metadata"].get("ownerReferences", ())), {})
    quiet = max(line["at"] for line in events if _runs(line["object"])) + 1
    moments = _moments(events, given, taken)
    started = min(moment for (path, _), moment in moments.items() if path[-1] == "startedAt")
    ended = max((moment for (path, _), moment in moments.items() if path[-1] == "finishedAt"), default=taken)
    told = tuple(Told(line["at"] - zero, line["type"], _text(line["object"], moments, zero)) for line in events)
    times = (given, started, quiet, ended, taken, events[-1]["at"])
    return Story(owner.get("kind", ""), *(time - zero for time in times), told)


def _held(events: list[Object]) -> tuple[int, int]:
    """When the node gave the pod its IPv4 address and took it back."""
    address = next(line["object"]["status"]["podIP"] for line in events if line["object"]["status"].get("podIP"))
    begin, end = events[0]["at"], events[-1]["at"]
    spans = [
        (line["from"], line["until"])
        for line in lines()
        if line.get("address") == address and begin <= line["from"] <= end
    ]
    return spans[0]


def _runs(item: Object) -> bool:
    status = item["status"].get("containerStatuses", ())
    return "deletionTimestamp" not in item["metadata"] and any("running" in each["state"] for each in status)


Path_ = tuple[str, ...]


def _moments(events: list[Object], given: int, taken: int) -> dict[tuple[Path_, str], int]:
    """The moment that each time in the objects stands for, by where it is and what it says."""
    found: dict[tuple[Path_, str], int] = {}
    for line in events:
        for path, stamp in _stamps(line["object"]):
            second = _milliseconds(stamp) - lines()[0]["began"]
            latest = min(second + SECOND - 1, line["at"])
            match path[-1]:
                case "startTime":
                    moment = min(latest, given - 1)
                case "startedAt":
                    moment = max(second, given)
                case "finishedAt":
                    moment = min(latest, taken)
                case "deletionTimestamp":
                    moment = second + SECOND // 2
                case _:
                    moment = latest
            found.setdefault((path, stamp), max(moment, second))
    return found


def _stamps(value: Any, path: Path_ = ()) -> Iterator[tuple[Path_, str]]:
    """Every time in an object, with its place; items of lists go by their name or type."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _stamps(inner, (*path, key))
    elif isinstance(value, list):
        for inner in value:
            name = str(inner.get("name") or inner.get("type") or "") if isinstance(inner, dict) else ""
            yield from _stamps(inner, (*path, name))
    elif isinstance(value, str) and _STAMP.fullmatch(f'"{value}"'):
        yield path, value


def _text(item: Object, moments: Mapping[tuple[Path_, str], int], zero: int) -> str:
    """An object as JSON, with marks for its times (whose clock it is, and the moment) and for its names."""

    def marked(value: Any, path: Path_ = ()) -> Any:
        if isinstance(value, dict):
            return {key: marked(inner, (*path, key)) for key, inner in value.items()}
        if isinstance(value, list):
            names = [
                str(each.get("name") or each.get("type") or "") if isinstance(each, dict) else "" for each in value
            ]
            return [marked(inner, (*path, name)) for inner, name in zip(value, names, strict=True)]
        if (path, value) in moments if isinstance(value, str) else False:
            clock = "k" if path[0] == "status" else "a"
            return f"@{clock}{moments[path, value] - zero}"
        return value

    text = json.dumps(marked(item), separators=(",", ":"))
    meta, status = item["metadata"], item["status"]
    owner = next(iter(meta.get("ownerReferences", ())), {})
    names = [
        (meta["name"], "@pod@"),
        (meta["uid"], "@uid@"),
        (owner.get("name"), "@owner@"),
        (owner.get("uid"), "@owner-uid@"),
        *((f'"{value}"', f'"{mark}"') for value, mark in _quoted(item, status)),
    ]
    for value, mark in names:
        if value:
            text = text.replace(value, mark)
    return text


def _quoted(item: Object, status: Object) -> Iterator[tuple[str, str]]:
    """What is replaced only where it is the whole of a text."""
    addresses = [each["ip"] for each in status.get("podIPs", ())]
    yield from zip(addresses, ("@v4@", "@v6@"), strict=False)
    yield item["metadata"]["namespace"], "@namespace@"
    yield item["metadata"]["labels"]["app"], "@app@"
    if node := item["spec"].get("nodeName"):
        yield node, "@node@"
    yield from zip((each["ip"] for each in status.get("hostIPs", ())), ("@host4@", "@host6@"), strict=False)


def tell(text: str, names: Mapping[str, str], moment_of: Any, node_ahead: int) -> Object:
    """An object of a story told anew.

    Args:
        text: Of `Told`.
        names: What stands where a mark is.
        moment_of: The moment, milliseconds since the epoch, that one of the story became.
        node_ahead: By how much the clock of the pod's node, which the kubelet's times come from, is ahead.
    """
    for mark, value in names.items():
        text = text.replace(mark, value)

    def stamp(found: re.Match[str]) -> str:
        ahead = node_ahead if found[1] == "k" else 0
        return f'"{written(moment_of(int(found[2])) + ahead)}"'

    made: Object = json.loads(_MARK.sub(stamp, text))
    return made


def written(moment: int) -> str:
    """A moment as the API writes it: cut off to the second."""
    return dt.datetime.fromtimestamp(moment // SECOND, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _milliseconds(stamp: str) -> int:
    return int(dt.datetime.fromisoformat(stamp).timestamp()) * SECOND
