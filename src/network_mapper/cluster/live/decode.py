"""From bytes of the API to typed objects: pages of lists, and lines of a watch.

One decoder per kind reads envelope and object in one pass, straight into the few fields that are kept. That pass fails
as a whole on one odd object, so there is a second, slower one that looks at each object by itself: an object that
cannot be read costs itself, and is told by its name.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import msgspec

from network_mapper.cluster.installation import DECODED
from network_mapper.cluster.objects import INDEXED, Object, Owner

if TYPE_CHECKING:
    from collections.abc import Callable

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises: for wrong shapes and types, for bytes that are no UTF-8, for endless nesting."""

INITIAL_END: Final = "k8s.io/initial-events-end"
"""Annotation of the bookmark that ends the first part of a streaming list."""

T = TypeVar("T")


class ListMeta(msgspec.Struct, rename="camel", gc=False):
    """`metadata` of a list."""

    resource_version: str | None = None
    more: str | None = msgspec.field(default=None, name="continue")


class Page(msgspec.Struct, Generic[T], gc=False):
    """A list, or a part of one."""

    metadata: ListMeta | None = None
    items: list[T] | None = None
    kind: str = ""


class Event(msgspec.Struct, Generic[T], gc=False):
    """A line of a watch."""

    type: str = ""
    object: T | None = None


class RawEvent(msgspec.Struct, gc=False):
    """A line of a watch with its object undecoded."""

    type: str = ""
    object: msgspec.Raw = msgspec.Raw()


class Name(msgspec.Struct, rename="camel", gc=False):
    """What is read of an object that cannot be read otherwise."""

    name: str = ""
    namespace: str | None = None
    resource_version: str | int | None = None


class Named(msgspec.Struct, gc=False):
    """See `Name`."""

    metadata: Name | None = None


class _MarkMeta(msgspec.Struct, rename="camel", gc=False):
    resource_version: str = ""
    annotations: dict[str, str] | None = None


class _Mark(msgspec.Struct, gc=False):
    metadata: _MarkMeta | None = None


_named = msgspec.json.Decoder(Named)
_mark = msgspec.json.Decoder(Event[_Mark])
_raw_event = msgspec.json.Decoder(RawEvent)
_raw_page = msgspec.json.Decoder(Page[msgspec.Raw])


class Codec:
    """The decoders of one kind."""

    def __init__(self, group_kind: str) -> None:
        wanted = INDEXED.get(group_kind) or DECODED.get(group_kind, Owner)
        self._item: msgspec.json.Decoder[Object] = msgspec.json.Decoder(wanted)
        self._page: msgspec.json.Decoder[Page[Object]] = msgspec.json.Decoder(Page[wanted])  # type: ignore[valid-type]  # a type by table
        self.event: Callable[[bytes], Event[Object]] = msgspec.json.Decoder(Event[wanted]).decode  # type: ignore[valid-type]  # likewise

    def page(self, body: bytes) -> tuple[ListMeta, list[Object | Odd]]:
        """Decode a page.

        Raises:
            ValueError: It is no list at all; the message says why.
        """
        try:
            page = self._page.decode(body)
        except UNREADABLE:
            return self._page_by_items(body)
        if page.items is None and not page.kind.endswith("List"):
            raise ValueError("the answer is no list")
        return page.metadata or ListMeta(), page.items or []  # type: ignore[return-value]  # a list without odd ones

    def _page_by_items(self, body: bytes) -> tuple[ListMeta, list[Object | Odd]]:
        try:
            page = _raw_page.decode(body)
        except UNREADABLE as error:
            raise ValueError(f"the answer is no list: {error}") from error
        found: list[Object | Odd] = []
        for raw in page.items or ():
            try:
                found.append(self._item.decode(raw))
            except UNREADABLE as error:
                found.append(odd(raw, str(error)))
        return page.metadata or ListMeta(), found


class Odd(msgspec.Struct):
    """An object that cannot be read: what is known of it, and why."""

    cause: str
    name: str = ""
    namespace: str = ""
    version: str | int | None = None


def odd(raw: msgspec.Raw | bytes, cause: str) -> Odd:
    """What can be said of an unreadable object."""
    try:
        meta = _named.decode(raw).metadata
    except UNREADABLE:
        meta = None
    if meta is None:
        return Odd(cause)
    return Odd(cause, meta.name, meta.namespace or "", meta.resource_version)


def event_by_parts(line: bytes) -> RawEvent | None:
    """A line of a watch with its object undecoded; None when the line is no event."""
    try:
        event = _raw_event.decode(line)
    except UNREADABLE:
        return None
    return event if event.type else None


def bookmark(line: bytes) -> tuple[str, bool]:
    """The resourceVersion of a bookmark (empty when it has none), and whether it ends the list of a stream."""
    try:
        mark = _mark.decode(line).object
    except UNREADABLE:
        mark = None
    meta = mark.metadata if mark else None
    if meta is None:
        return "", False
    return meta.resource_version, (meta.annotations or {}).get(INITIAL_END) == "true"


def continue_of(body: bytes) -> str:
    """The token that an answer 410 gives to read the rest of a list as it is by now; empty when there is none."""
    try:
        meta = _raw_page.decode(body).metadata
    except UNREADABLE:
        return ""
    return (meta.more if meta else None) or ""


@functools.lru_cache(maxsize=256)
def codec(group_kind: str) -> Codec:
    """The decoders of a kind; those of nearly all owners are equal, so they are one."""
    return Codec(group_kind) if not group_kind or group_kind in INDEXED or group_kind in DECODED else codec("")
