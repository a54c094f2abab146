"""Keeps what the Kubernetes API has told, so that a mapper which starts again knows who was there before it.

The API tells of the present alone. A report in the journal, or one that a sniffer has kept while no mapper was there,
may speak of a pod that is gone by the time it is read, and whose address another one has. So every object is written
down on its way to the index, no later than the reports that come after it, and what is gone stays for as long as pods
are remembered. At the start all of it is told to the index again, as if it came from the API; then the API is asked,
and what it does not list any more has gone meanwhile.

Objects are kept without what changes by itself, so that an update that says nothing new is not written.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import msgspec

from network_mapper.cluster.objects import INDEXED, POD, ObjectMeta, Owner, milliseconds
from network_mapper.store.objects import ObjectRow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from network_mapper.cluster.index import Index
    from network_mapper.cluster.objects import Object

_log = logging.getLogger(__name__)

Key = tuple[str, str, str]
"""Kind, namespace and name."""

_AT_ONCE: Final = 2000
"""Rows that are written in one job: some 20 milliseconds."""
_FORGET_INTERVAL: Final = 60_000
_encode = msgspec.msgpack.Encoder().encode


class Keeper:
    """Stands before the index. It takes what the API tells, and says what is to be written.

    Args:
        index: Where objects go.
        remember: How long what is gone is kept, milliseconds.
        most: How many of it.
    """

    def __init__(self, index: Index, *, remember: int, most: int) -> None:
        self._index = index
        self._remember = remember
        self._most = most
        self._known: dict[Key, tuple[str, int]] = {}
        """UID of the present object, and a hash of what is kept of it."""
        self._changed: dict[tuple[Key, str], ObjectRow] = {}
        self._unseen: set[Key] = set()
        """Objects of before that the API has not listed yet."""
        self._recalled_at = 0
        self._forgot_at = 0

    @property
    def pending(self) -> int:
        """How many rows are to be written."""
        return len(self._changed)

    # What the API tells

    def apply(self, kind: str, item: Object, /, *, at: int | None = None, since: int | None = None) -> None:
        """An object is new or has changed; times as in `reflector.Sink`."""
        meta = item.metadata
        if at is None and meta is not None and (kind, meta.namespace or "", meta.name) in self._unseen:
            # The first list tells what has changed while there was no mapper.
            at, since = self._recalled_at, 0
        self._index.apply(kind, item, at=at, since=since)
        if meta is None or not meta.name:
            return
        key = (kind, meta.namespace or "", meta.name)
        self._unseen.discard(key)
        uid = meta.uid if isinstance(meta, ObjectMeta) else ""
        body = _pack(item)
        now = (uid, hash(body))
        before = self._known.get(key)
        if before == now:
            return
        if before is not None and before[0] != uid:
            self._end(key, before[0], milliseconds(getattr(meta, "creation_timestamp", None)) or 1)
        self._known[key] = now
        self._changed[key, uid] = ObjectRow(*key, uid, 0, body)

    def delete(self, kind: str, namespace: str, name: str, /, *, at: int, since: int | None = None) -> None:
        """An object is gone."""
        self._index.delete(kind, namespace, name, at=at, since=since)
        key = (kind, namespace, name)
        self._unseen.discard(key)
        known = self._known.pop(key, None)
        if known is not None:
            self._end(key, known[0], at)

    def _end(self, key: Key, uid: str, at: int) -> None:
        unwritten = self._changed.get((key, uid))
        self._changed[key, uid] = ObjectRow(*key, uid, max(at, 1), unwritten.body if unwritten else b"")

    # Restarts

    def recall(self, rows: Iterable[ObjectRow], now: int) -> int:
        """Tell the index what was known before; returns how many objects that were.

        Args:
            rows: Those that are gone first, in the order in which they went.
            now: Milliseconds since the epoch.
        """
        owners: list[ObjectRow] = []
        others: list[tuple[ObjectRow, Object]] = []
        count = 0
        for row in rows:
            item = _unpack(row)
            if item is None:
                continue
            count += 1
            if row.kind in INDEXED:
                others.append((row, item))
            else:  # before the pods, which are called by them
                self._recalled(row, item)
                owners += [row] if row.gone else []
        for row, item in others:
            self._recalled(row, item)
            if row.gone:
                self._index.delete(row.kind, row.namespace, row.name, at=row.gone)
        for row in owners:
            self._index.delete(row.kind, row.namespace, row.name, at=row.gone)
        self._index.forget(now)
        self._recalled_at = now
        return count

    def _recalled(self, row: ObjectRow, item: Object) -> None:
        self._index.apply(row.kind, item)
        if not row.gone:
            key = (row.kind, row.namespace, row.name)
            self._known[key] = (row.uid, hash(row.body))
            self._unseen.add(key)

    def settle(self, listed: Collection[str], now: int) -> int:
        """Note that the API has been read once: what it did not list is gone; returns how many that were.

        Args:
            listed: The kinds that were read. Of others nothing is known, and they are told again when they are.
            now: Milliseconds since the epoch.
        """
        for kind in listed:
            self._index.listed(kind)
        gone = [key for key in self._unseen if key[0] in listed]
        # Pods first: they go by the name of their owners as long as these are there.
        for key in sorted(gone, key=lambda key: (key[0] != POD, key)):
            self.delete(*key, at=now, since=0)
        for key in self._unseen:
            self._end(key, self._known.pop(key)[0], now)
        self._unseen.clear()
        return len(gone)

    # The store

    def take(self) -> list[ObjectRow]:
        """What is to be written next, not more than can be written at once; the caller may give it back."""
        keys = [key for key, _ in zip(self._changed, range(_AT_ONCE), strict=False)]
        return [self._changed.pop(key) for key in keys]

    def give_back(self, rows: Iterable[ObjectRow]) -> None:
        """Undo `take`: they could not be written."""
        for row in rows:
            key = ((row.kind, row.namespace, row.name), row.uid)
            newer = self._changed.get(key, row)
            self._changed[key] = newer if newer.body else newer._replace(body=row.body)

    def forget(self, now: int) -> tuple[int, int] | None:
        """What may leave the store, once a minute: what was gone before this time, and what is more than this."""
        if now - self._forgot_at < _FORGET_INTERVAL:
            return None
        self._forgot_at = now
        return now - self._remember, self._most


def _pack(item: Object) -> bytes:
    plain = _without_nothing(msgspec.to_builtins(item))
    plain["metadata"].pop("resourceVersion", None)
    return _encode(plain)


def _without_nothing(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nothing(one) for name, one in value.items() if one is not None}
    if isinstance(value, list):
        return [_without_nothing(one) for one in value]
    return value


def _unpack(row: ObjectRow) -> Object | None:
    kind: type[Object] = INDEXED.get(row.kind, Owner)
    try:
        return msgspec.msgpack.decode(row.body, type=kind)
    except (msgspec.DecodeError, UnicodeError) as error:
        _log.error("a stored object cannot be read", extra={"object": row[:4], "reason": str(error)})
        return None
