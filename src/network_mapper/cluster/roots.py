"""Which objects there are that may own pods, with pods or without.

A Deployment that is scaled to zero and a CronJob between two runs have no pods and are still there. Whether an object
is there can be told only for kinds whose objects are read: a kind of which none was ever met may be one that may not be
read, or simply have none, unless the reader says that it has listed them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from network_mapper.cluster.owners import Key


class Roots:
    """Objects without an owner, by kind. `len()` counts them."""

    def __init__(self) -> None:
        self._names: dict[str, set[tuple[str, str]]] = {}
        """(namespace, name) by group kind."""
        self._groups: dict[str, tuple[str, ...]] = {}
        """Group kinds that are read, by kind."""

    def read(self, group_kind: str) -> None:
        """Note that all objects of a kind are told."""
        kind = group_kind.partition(".")[0]
        groups = self._groups.get(kind, ())
        if group_kind not in groups:
            self._groups[kind] = (*groups, group_kind)

    def put(self, key: Key) -> None:
        """Note that an object is there."""
        self.read(key[0])
        self._names.setdefault(key[0], set()).add(key[1:])

    def remove(self, key: Key) -> None:
        """Note that an object is not there, or has an owner."""
        names = self._names.get(key[0])
        if names is not None:
            names.discard(key[1:])
            if not names:
                del self._names[key[0]]

    def has(self, kind: str, namespace: str, name: str) -> bool | None:
        """Whether there is an object of that kind, whatever its group; None where that is not known."""
        groups = self._groups.get(kind)
        if groups is None:
            return None
        return any((namespace, name) in self._names.get(group_kind, ()) for group_kind in groups)

    def __len__(self) -> int:
        return sum(map(len, self._names.values()))
