"""Which objects of one resource have been taken in, and in which version: what tells news from repetition.

A watch promises each change after the version it began with, once and in order. What stands between us and the server
may repeat and delay events nevertheless, and after a cut the server itself repeats. A version is news when it differs
from the one that is held. Where both are plain numbers, an older one is none: versions of one resource count upwards
(official from Kubernetes 1.35 on, and so in every server that stores objects in etcd). A list is the truth whatever
versions it shows, because a server may have been restored from a backup.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

Key = tuple[str, str]
"""(namespace, name)."""
Version = int | str

GRAVES: Final = 1000
"""Deleted objects that are remembered, so that a delayed event does not bring them back."""
_DIGITS: Final = 20  # of an unsigned number of 64 bits


def version(text: str | int | None) -> Version:
    """A resourceVersion: a number where it is a plain one (which also takes half the memory), else as it is."""
    if type(text) is str and len(text) <= _DIGITS and text.isdecimal():
        return int(text)
    return text or ""


def is_older(one: Version, other: Version) -> bool:
    """Whether `one` certainly came before `other`."""
    return type(one) is int and type(other) is int and one < other


class Held:
    """The keys and versions of one resource."""

    def __init__(self) -> None:
        self.versions: dict[Key, Version] = {}
        self.floor: Version = ""
        self._graves: OrderedDict[Key, Version] = OrderedDict()
        self._listed: set[Key] | None = None

    def __len__(self) -> int:
        return len(self.versions)

    def begin_list(self) -> None:
        """From now on what is listed is noted, until `end_list`."""
        self._listed = set()

    def listed(self, key: Key, found: Version) -> bool:
        """Note an object of a list; False when it is held in this very version."""
        if self._listed is not None:
            self._listed.add(key)
        if found != "" and self.versions.get(key) == found:
            return False
        self.versions[key] = found
        return True

    def keep(self, key: Key) -> None:
        """Note that an object is in the list though it cannot be read: what is held of it stays."""
        if self._listed is not None:
            self._listed.add(key)

    def end_list(self, floor: Version) -> list[Key]:
        """The keys that are held and were not listed; they are forgotten here.

        Args:
            floor: The version of the list. Objects that are not in it now were deleted before it.
        """
        listed, self._listed = self._listed or set(), None
        gone = [key for key in self.versions if key not in listed]
        for key in gone:
            del self.versions[key]
        self._graves.clear()
        self.floor = floor
        return gone

    def changed(self, key: Key, found: Version) -> bool:
        """Note an object of an event; False when it is a repetition or late."""
        if self._listed is not None:
            self._listed.add(key)
        old = self.versions.get(key)
        if old is None:
            grave = self._graves.get(key, self.floor)
            if self._listed is None and (found == grave != "" or is_older(found, grave)):
                return False
            self._graves.pop(key, None)
        elif (old == found and found != "") or is_older(found, old):
            return False
        self.versions[key] = found
        return True

    def deleted(self, key: Key, found: Version) -> bool:
        """Note a deletion; False when there is nothing to delete, or the event is older than what is held."""
        if is_older(found, self.versions.get(key, "")):
            return False
        if not is_older(found, self._graves.get(key, self.floor)):
            self._graves[key] = found
            self._graves.move_to_end(key)
        if len(self._graves) > GRAVES:
            self._graves.popitem(last=False)
        if self._listed is not None:
            self._listed.discard(key)
        return self.versions.pop(key, None) is not None

    def forget(self) -> Iterator[Key]:
        """Empty it, key by key."""
        self._listed = None
        while self.versions:
            yield self.versions.popitem()[0]
