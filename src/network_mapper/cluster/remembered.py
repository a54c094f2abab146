"""Who is gone. What a node saw of them may still be on its way, so they answer for their time a while longer.

In the order in which they went; the first go first, when their time is over or when there are too many. A busy cluster
has a hundred thousand dead pods in an hour, so they are kept in columns, and what they have in common with others of
their workload, once. Each has a number, counted upwards; an entry is made of it when somebody asks.
"""

from __future__ import annotations

import hashlib
from array import array
from typing import TYPE_CHECKING, Final

import msgspec

from network_mapper.cluster.entries import NodeEntry, PodEntry, ServiceEntry
from network_mapper.cluster.objects import NODE, POD, SERVICE
from network_mapper.cluster.serials import Serials
from network_mapper.model import Workload  # noqa: TC001  msgspec reads the annotation at run time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from network_mapper.cluster.entries import Entry

_MADE: Final = 256
"""Entries that are kept after they were made."""
_SMALLEST: Final = 64
_UUID: Final = 36  # characters
_DIGEST: Final = 16  # bytes


class Traits(msgspec.Struct, frozen=True, gc=False):
    """What pods of a workload have in common; as in `PodEntry`."""

    workload: Workload
    labels: dict[str, str]
    ports: tuple[tuple[int, str], ...]
    node_ports: tuple[tuple[int, str], ...]
    hostname: str
    host_network: bool
    named: bool
    own: bool
    start_told: bool
    end_told: bool


class Remembered:
    """Pods, services and nodes that are gone, by number. `len()` counts them.

    Args:
        span: How long after its end one is remembered, milliseconds.
        most: How many are.

    Attributes:
        pods: How many of them are pods.
        forgotten_early: Pods that had to go before their time.
    """

    def __init__(self, span: int, most: int) -> None:
        self.span = span
        self._most = most if span > 0 else 0
        self._first = self._next = 0
        self._clear()
        self._odd_uids: dict[int, str] = {}
        self._parts: dict[int, tuple[str, ...]] = {}
        self._by_name = Serials(self._name_hash)
        self._by_uid = Serials(self._uid_hash)
        self._made: dict[int, Entry] = {}
        self.pods = 0
        self.forgotten_early = 0

    @property
    def is_on(self) -> bool:
        """Whether anything is remembered at all."""
        return self._most > 0

    def add(self, entry: Entry, end: int, traits: Traits | None = None, *, keys: tuple[str, ...] | None = None) -> int:
        """Take in an entry and the time of its end; returns its number.

        Args:
            entry: Who is gone. A service or node is kept as it is, and has that end already.
            end: Until when it had what it had.
            traits: Those of a pod.
            keys: What it held, where that is not all that it could hold: it lives on and holds the rest. Then it is
                found neither by name nor by UID.
        """
        number = self._next
        place = self._room()
        self._next += 1
        self._starts[place], self._ends[place] = entry.start, end
        self._names[place] = entry.name
        self._what[place] = traits or entry  # type: ignore[assignment]  # of a pod the traits
        uid = _digest(entry.uid)
        self._uids[place * _DIGEST : (place + 1) * _DIGEST] = uid
        if _text(uid) != entry.uid:
            self._odd_uids[number] = entry.uid
        addresses = entry.addresses
        self._addresses[place] = addresses[0] if len(addresses) == 1 else addresses
        self._hosts[place] = entry.node if isinstance(entry, PodEntry) else ""
        self._older[place] = 0
        if keys is None:
            key = self._key(place)
            old = self._by_name.put(hash(key), place, lambda other: self._key(other) == key)
            if old is not None:
                self._older[place] = number - self._number(old)
            if entry.uid:
                self._by_uid.put(hash(uid), place, lambda other: self._uid(other) == uid)
            self.pods += traits is not None
        else:
            self._parts[number] = keys
        return number

    def entry(self, number: int) -> Entry:
        """Who it was."""
        found = self._made.get(number)
        if found is not None:
            return found
        place = number % len(self._what)
        traits = self._what[place]
        assert traits is not None
        if not isinstance(traits, Traits):
            return traits
        uid = self._odd_uids.get(number)
        addresses = self._addresses[place]
        made = PodEntry(
            namespace=traits.workload.namespace,
            name=self._names[place],
            uid=_text(self._uid(place)) if uid is None else uid,
            node=self._hosts[place],
            host_network=traits.host_network,
            workload=traits.workload,
            labels=traits.labels,
            addresses=(addresses,) if isinstance(addresses, str) else addresses,
            ports=traits.ports,
            start=self._starts[place],
            end=self._ends[place],
            named=traits.named,
            hostname=traits.hostname,
            own=traits.own,
            node_ports=traits.node_ports,
            start_told=traits.start_told,
            end_told=traits.end_told,
        )
        if len(self._made) >= _MADE:
            self._made.clear()
        self._made[number] = made
        return made

    def traits(self, number: int) -> Traits | None:
        """What a pod had in common with others; None for a service or node."""
        traits = self._what[number % len(self._what)]
        return traits if isinstance(traits, Traits) else None

    def part(self, number: int) -> tuple[str, ...] | None:
        """What it held, where it lived on and held the rest."""
        return self._parts.get(number)

    def start(self, number: int) -> int:
        """From when it had what it had."""
        return self._starts[number % len(self._starts)]

    def end(self, number: int) -> int:
        """Until when."""
        return self._ends[number % len(self._ends)]

    def of_name(self, kind: str, namespace: str, name: str) -> Iterator[Entry]:
        """Those that had a name, the one that went last first."""
        key = (kind, namespace, name)
        place = self._by_name.get(hash(key), lambda other: self._key(other) == key)
        if place is None:
            return
        number = self._number(place)
        while number >= self._first:
            if self._what[number % len(self._what)] is not None:
                yield self.entry(number)
            older = self._older[number % len(self._older)]
            if not older:
                return
            number -= older

    def of_uid(self, uid: str) -> int | None:
        """The number of the pod with a UID."""
        digest = _digest(uid)
        place = self._by_uid.get(hash(digest), lambda other: self._uid(other) == digest)
        if place is None or not uid:
            return None
        number = self._number(place)
        return number if self._odd_uids.get(number, uid) == uid else None

    def drop(self, number: int) -> None:
        """Forget a pod out of turn, because it is not gone after all."""
        place = number % len(self._what)
        self._by_uid.remove(self._uid_hash(place), place)
        key = self._key(place)
        older = number
        if self._by_name.get(hash(key), place.__eq__) is not None:
            self._by_name.remove(hash(key), place)
            while (step := self._older[older % len(self._older)]) and (older := older - step) >= self._first:
                if self._what[older % len(self._what)] is not None:
                    self._by_name.put(hash(key), older % len(self._what), _nobody)
                    break
        self._what[place] = None
        self._made.pop(number, None)
        self.pods -= 1

    def too_many(self) -> bool:
        """Whether there is no room for all of them."""
        return len(self) > self._most

    def due(self, now: int) -> bool:
        """Whether the time of the first is over."""
        if not self:
            return False
        place = self._first % len(self._what)
        return self._what[place] is None or self._ends[place] + self.span <= now

    def first(self) -> int | None:
        """The number of the first, None where it was forgotten out of turn."""
        return self._first if self._what[self._first % len(self._what)] is not None else None

    def forget_first(self, *, early: bool = False) -> None:
        """Forget the first; `early` for want of room."""
        number = self._first
        place = number % len(self._what)
        if self._what[place] is not None:
            self._by_name.remove(hash(self._key(place)), place)
            self._by_uid.remove(self._uid_hash(place), place)
            if isinstance(self._what[place], Traits) and number not in self._parts:
                self.pods -= 1
                self.forgotten_early += early
        self._parts.pop(number, None)
        self._odd_uids.pop(number, None)
        self._made.pop(number, None)
        self._what[place], self._names[place], self._hosts[place], self._addresses[place] = None, "", "", ""
        self._first += 1
        if not self:
            self._clear()

    def pod_numbers(self) -> Iterator[int]:
        """The numbers of all pods, the one that went first first."""
        return (
            number
            for number in range(self._first, self._next)
            if number not in self._parts and isinstance(self._what[number % len(self._what)], Traits)
        )

    def __len__(self) -> int:
        return self._next - self._first

    def _clear(self) -> None:
        """Begin with empty columns."""
        self._starts, self._ends = array("q"), array("q")
        self._older = array("I")
        """How many numbers before it the last one of the same name stands; 0 for none."""
        self._uids = bytearray()
        self._names: list[str] = []
        self._hosts: list[str] = []
        self._addresses: list[str | tuple[str, ...]] = []
        self._what: list[Traits | ServiceEntry | NodeEntry | None] = []

    def _room(self) -> int:
        """The place of the next number; the columns grow where they are full."""
        old = len(self._what)
        if len(self) < old:
            return self._next % old
        size = min(max(2 * old, _SMALLEST), self._most + 1)
        numbers = range(self._first, self._next)
        order = [0] * size
        for number in numbers:
            order[number % size] = number % old
        if old:
            self._starts = array("q", (self._starts[place] for place in order))
            self._ends = array("q", (self._ends[place] for place in order))
            self._older = array("I", (self._older[place] for place in order))
            self._uids = bytearray().join(self._uid(place) for place in order)
            self._names = [self._names[place] for place in order]
            self._hosts = [self._hosts[place] for place in order]
            self._addresses = [self._addresses[place] for place in order]
            self._what = [self._what[place] for place in order]
        else:
            self._starts, self._ends = array("q", bytes(8 * size)), array("q", bytes(8 * size))
            self._older, self._uids = array("I", bytes(4 * size)), bytearray(_DIGEST * size)
            self._names, self._hosts = [""] * size, [""] * size
            self._addresses, self._what = [""] * size, [None] * size
        for table in (self._by_name, self._by_uid):
            table.renumber(lambda place: self._number(place, old) % size)
        return self._next % size

    def _number(self, place: int, size: int = 0) -> int:
        """The number that is kept at a place."""
        return self._first + (place - self._first) % (size or len(self._what))

    def _key(self, place: int) -> tuple[str, str, str]:
        what, name = self._what[place], self._names[place]
        if isinstance(what, Traits):
            return POD, what.workload.namespace, name
        return (SERVICE, what.namespace, name) if isinstance(what, ServiceEntry) else (NODE, "", name)

    def _name_hash(self, place: int) -> int:
        return hash(self._key(place))

    def _uid(self, place: int) -> bytes:
        return bytes(self._uids[place * _DIGEST : (place + 1) * _DIGEST])

    def _uid_hash(self, place: int) -> int:
        return hash(self._uid(place))


def _digest(uid: str) -> bytes:
    """A UID in 16 bytes: those that it is the text of, else a digest of it; of an empty one zeros."""
    if not uid:
        return bytes(_DIGEST)
    if len(uid) == _UUID:
        try:
            found = bytes.fromhex(uid.replace("-", ""))
        except ValueError:
            found = b""
        if _text(found) == uid:
            return found
    return hashlib.blake2b(uid.encode(errors="replace"), digest_size=_DIGEST).digest()


def _text(digest: bytes) -> str:
    if not any(digest):
        return ""
    text = digest.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _nobody(_: int) -> bool:
    return False
