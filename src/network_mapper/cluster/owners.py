"""Who owns whom, from pods up to their roots, in whatever order the objects come.

Only objects that have an owner are held: an owner that is not held, because it has none itself, because it was never
seen, or because nobody may read it, is a root, and the reference to it says all that is needed (its kind and name).

A deleted owner stays for as long as something living descends from it. When a Deployment is deleted its ReplicaSet goes
first and its pods last, and those pods do not change their names for their last seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Key = tuple[str, str, str]
"""(group kind, namespace, name) of an object."""

DEEPEST: Final = 32
"""Steps after which a chain of owners is cut; real ones have up to five."""


class OwnerTree:
    """Parent links and their reverse."""

    def __init__(self) -> None:
        self._parents: dict[Key, Key] = {}
        self._children: dict[Key, set[Key]] = {}
        self._gone: set[Key] = set()

    def put(self, child: Key, parent: Key | None) -> bool:
        """Note that `child` exists and who controls it; True when that is news."""
        self._gone.discard(child)
        old = self._parents.get(child)
        if old == parent:
            return False
        if parent is None:
            del self._parents[child]
        else:
            siblings = self._children.setdefault(parent, set())
            if siblings:
                parent = self._parents[next(iter(siblings))]  # an equal key, stored once for all of its children
            siblings.add(child)
            self._parents[child] = parent
        if old is not None:
            self._detach(child, old)
        return True

    def remove(self, key: Key) -> None:
        """Note that an object was deleted."""
        if key in self._parents:
            self._gone.add(key)
            self._prune(key)

    def root(self, key: Key) -> Key:
        """The last owner on the way up; in a circle its smallest member, wherever the way began."""
        path = [key]
        while (parent := self._parents.get(path[-1])) is not None and len(path) <= DEEPEST:
            if parent in path:
                return min(path[path.index(parent) :])
            path.append(parent)
        return path[-1]

    def children(self, key: Key) -> Iterable[Key]:
        """What `key` controls directly."""
        return self._children.get(key, ())

    def below(self, key: Key) -> Iterator[Key]:
        """Everything that descends from `key`; not `key` itself, unless it owns itself."""
        seen: set[Key] = set()
        todo = [key]
        while todo:
            for child in self._children.get(todo.pop(), ()):
                if child not in seen:
                    seen.add(child)
                    todo.append(child)
                    yield child

    def __len__(self) -> int:
        return len(self._parents)

    def _detach(self, child: Key, parent: Key) -> None:
        siblings = self._children[parent]
        siblings.discard(child)
        if not siblings:
            del self._children[parent]
        self._prune(parent)

    def _prune(self, key: Key | None) -> None:
        """Forget a deleted owner, and those above it, once nothing living is below."""
        while key in self._gone and all(child in self._gone for child in self.below(key)):
            self._gone.discard(key)
            parent = self._parents.pop(key)
            siblings = self._children.get(parent)
            if siblings is not None:
                siblings.discard(key)
                if not siblings:
                    del self._children[parent]
            key = parent
