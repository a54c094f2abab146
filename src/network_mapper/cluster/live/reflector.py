"""The list and watch protocol for one resource, without I/O and without a clock.

A reflector is asked what to request next (`ask`, after `delay` seconds) and told what came: pages, lines, ends,
failures. It hands objects to a sink as they come and sees to it that the sink holds what the server holds:

- A list is read in pages; a page that failed is asked for again, not the whole list. What was held and is not listed
  any more is deleted. Or the list comes as the first part of a watch (a streaming list), ended by a bookmark.
- A watch goes on where the last one ended, from the last version that any event or bookmark told. Only the server's
  word that this version is too old (410) makes it list again.
- When a page token is too old, the server may give another that continues with later objects. The list then shows two
  times, so the watch begins at the first: it repeats what happened between them.

https://kubernetes.io/docs/reference/using-api/api-concepts/ is the source for all of it.
"""

from __future__ import annotations

import enum
import logging
import math
import sys
from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from network_mapper.cluster.live import backoff, decode
from network_mapper.cluster.live.held import Held, Key, Version, is_older, version
from network_mapper.cluster.live.resources import METADATA, METADATA_LIST, Resource
from network_mapper.kube.status import Status, read_status

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Mapping

    from network_mapper.cluster.objects import Object

logger = logging.getLogger(__name__)

PAGE: Final = 500
"""Objects in a page: 3 MB of pods, 10 ms to decode."""
SLICE: Final = 100
"""Objects after which the event loop gets its turn."""
WATCH_SECONDS: Final = (300, 600)
"""Range of a watch's length, as in client-go: it spreads the load over API servers and lets old ones go."""

_FORBIDDEN_RETRY = 30.0  # somebody who has just given the grant is watching
_REQUIRED_RETRY = 30.0
_FIRST_RETRY = 5.0  # of what nothing works without
_ABSENT_RETRY = 60.0
_SHORTEST_WATCH = 1.0
_ERRORS_THEN_LIST = 3
_NOTED = 20
_AT_ONCE = 10.0
_GAP = 30.0  # seconds that a watch may stay open beyond its time
_BOOKMARK_SILENCE = 200.0  # servers that send bookmarks do so every minute


class State(enum.StrEnum):
    """What a reflector is doing, for people."""

    WAITING = "waiting"
    LISTING = "listing"
    WATCHING = "watching"
    FORBIDDEN = "forbidden"
    ABSENT = "absent"


class Sink(Protocol):
    """Where objects go: the index, or something in front of it."""

    def apply(self, kind: str, item: Object, /) -> None:
        """An object is new or has changed."""

    def delete(self, kind: str, namespace: str, name: str, /, *, at: int) -> None:
        """An object is gone; `at` is when that was noticed, milliseconds since the epoch."""


class Ask(msgspec.Struct, frozen=True):
    """A request to make.

    Attributes:
        watch: Whether its answer comes line by line.
        params: Of the query.
        accept: The Accept header.
        silence: Seconds without a byte after which a watch is dead.
    """

    watch: bool
    params: dict[str, str]
    accept: str
    silence: float = 0.0


class Streaming:
    """Whether lists are to be streamed, and whether the server can do that; shared by all reflectors of a server.

    Pages are the default. Ten thousand pods and twenty thousand ReplicaSets from a real server (1.34): in pages 1.3
    seconds of processor time here and 1.6 there, streamed 1.7 and 4.0, for each object then comes as an event, in
    packets of its own. What streaming saves is memory: 60 MiB at the most here instead of 80, and the server holds no
    pages. Where the server refuses it (400, 422) or ignores it, pages are asked for from then on.
    """

    def __init__(self, *, wanted: bool) -> None:
        self.offered = wanted


class Counts(msgspec.Struct):
    """What happened since the start.

    Attributes:
        lists: Lists begun, the first one included.
        watches: Watches begun.
        pages: Pages read.
        events: Events taken, without bookmarks.
        repeats: Events and listed objects that were no news.
        malformed: Objects and lines that could not be read.
        errors: Failures by reason.
    """

    lists: int = 0
    watches: int = 0
    pages: int = 0
    events: int = 0
    repeats: int = 0
    malformed: int = 0
    errors: Counter[str] = msgspec.field(default_factory=Counter)


class Reflector:
    """Keeps a sink equal to one resource of the server.

    Args:
        resource: What to read.
        sink: Where objects go.
        wall: Milliseconds since the epoch.
        spread: Source of jitter.
        streaming: Whether to stream lists.
        required: Whether there is no map without it; then a refusal is checked more often.
        page: Objects in a page.
    """

    def __init__(
        self,
        resource: Resource,
        sink: Sink,
        *,
        wall: Callable[[], int],
        spread: random.Random,
        streaming: Streaming | None = None,
        required: bool = False,
        page: int = PAGE,
    ) -> None:
        self.resource = resource
        self.state = State.WAITING
        self.counts = Counts()
        self.held = Held()
        self.listed = False
        self.last_event = 0
        self.last_error = ""
        self.failing_since = 0
        self.malformed: dict[Key, str] = {}
        self._sink = sink
        self._kind = resource.group_kind
        self._codec = decode.codec(self._kind)
        self._wall = wall
        self._spread = spread
        self._streaming = streaming or Streaming(wanted=False)
        self._required = required
        self._page = page
        self._not_before = 0.0
        self._failures = 0
        self._errors_in_row = 0
        self._fruitless = 0
        self._version: Version = ""  # where the next watch begins; empty: a list is due
        self._listing = False
        self._token = ""
        self._first_version = ""
        self._work: Iterator[None] | None = None
        self._initial = False
        self._opened = -math.inf
        self._began_with: Version = ""
        self._lines = 0
        self._bookmarks = False
        self._strange: set[str] = set()

    # What to do next

    @property
    def initial(self) -> bool:
        """Whether the open watch is still at the list it began with."""
        return self._initial

    @property
    def failures(self) -> int:
        """Tries that have failed in a row."""
        return self._failures

    def retry(self) -> None:
        """Ask for what was refused at once, because there is reason to think that it is allowed now."""
        if self.state is State.FORBIDDEN:
            self.state = State.WAITING
            self._not_before = 0.0

    def delay(self, now: float) -> float:
        """Seconds until `ask` is due; not positive when it is."""
        return self._not_before - now

    def ask(self) -> Ask:
        """The next request."""
        metadata = self.resource.metadata_only
        if self._version:
            return self._watch({"resourceVersion": str(self._version)}, METADATA if metadata else "application/json")
        if self._streaming.offered:
            params = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
            return self._watch(params, METADATA if metadata else "application/json")
        params = {"limit": str(self._page)}
        if self._token:
            params["continue"] = self._token
        elif not self._listing:
            self._begin_list()
        self.state = State.LISTING
        return Ask(False, params, METADATA_LIST if metadata else "application/json")

    def _watch(self, params: dict[str, str], accept: str) -> Ask:
        seconds = self._spread.randint(*WATCH_SECONDS)
        self.counts.watches += 1
        params |= {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(seconds)}
        return Ask(True, params, accept, _BOOKMARK_SILENCE if self._bookmarks else seconds + _GAP)

    def _begin_list(self) -> None:
        self.counts.lists += 1
        self._listing = True
        self._token = self._first_version = ""
        self.held.begin_list()

    # A list

    def page(self, status: int, headers: Mapping[str, str], body: bytes, now: float) -> Iterator[None]:
        """Take in an answer to a request that was no watch; the iterator works and rests, until it is exhausted."""
        if status != 200:
            self.refused(status, headers, body, now)
            return
        try:
            meta, items = self._codec.page(body)
        except ValueError as error:
            self._fail("answer", _not_json(headers, str(error)), now)
            return
        self.counts.pages += 1
        self._failures = 0
        for number, item in enumerate(items, 1):
            self._list_one(item)
            if number % SLICE == 0:
                yield
        self._first_version = self._first_version or meta.resource_version or ""
        self._token = meta.more or ""
        if not self._token:
            yield from self._end_list(self._first_version, now)

    def _list_one(self, item: Object | decode.Odd) -> None:
        if isinstance(item, decode.Odd):
            self._odd(item)
            return
        meta = item.metadata
        if meta is None or not meta.name or (self.resource.namespaced and not meta.namespace):
            self._odd(_nameless(item))
            return
        key = (sys.intern(meta.namespace) if meta.namespace else "", meta.name)
        if self.held.listed(key, version(meta.resource_version)):
            self._apply(key, item)
        else:
            self.counts.repeats += 1

    def _end_list(self, at_version: str, now: float) -> Iterator[None]:
        self._listing = False
        moment = self._wall()
        for number, key in enumerate(self.held.end_list(version(at_version)), 1):
            self._delete(key, moment)
            if number % SLICE == 0:
                yield
        self._version = version(at_version)
        self._fruitless += 1
        self.listed = True
        self._well()
        if not at_version:  # nothing to watch from: list again, but not at once
            self._fail("answer", "the list has no resourceVersion", now)

    # A watch

    def opened(self, now: float) -> None:
        """A watch was answered with 200; its lines follow."""
        self._opened = now
        self._lines = 0
        self._began_with = self._version
        self._initial = not self._version
        if self._initial:
            self._begin_list()
        self.state = State.LISTING if self._initial else State.WATCHING

    def work(self) -> Iterator[None]:
        """What the last line of a streaming list left to do; works and rests, until it is exhausted."""
        work, self._work = self._work, None
        yield from work or ()

    def line(self, line: bytes, now: float) -> bool:
        """Take in a line; False when the watch is of no use any more."""
        try:
            event = self._codec.event(line)
        except decode.UNREADABLE as error:
            return self._odd_line(line, str(error), now)
        kind, item = event.type, event.object
        if kind not in ("MODIFIED", "ADDED", "DELETED"):
            return self._odd_line(line, "", now)
        meta = item.metadata if item is not None else None
        if item is None or meta is None or not meta.name or (self.resource.namespaced and not meta.namespace):
            self._odd(_nameless(item))
            return True
        self._progress()
        self.counts.events += 1
        key = (sys.intern(meta.namespace) if meta.namespace else "", meta.name)
        found = version(meta.resource_version)
        if kind == "DELETED":
            if self.held.deleted(key, found):
                self._delete(key, self._wall())
            else:
                self.counts.repeats += 1
        elif self.held.listed(key, found) if self._initial and kind == "ADDED" else self.held.changed(key, found):
            self._apply(key, item)
        else:
            self.counts.repeats += 1
        self._reached(found)
        return True

    def _odd_line(self, line: bytes, cause: str, now: float) -> bool:
        event = decode.event_by_parts(line)
        kind = event.type if event is not None else ""
        if event is not None and kind == "BOOKMARK":
            return self._bookmark(line, now)
        if event is not None and kind == "ERROR":
            self._error_event(bytes(event.object), now)
            return False
        if event is not None and kind in ("ADDED", "MODIFIED", "DELETED"):
            item = decode.odd(event.object, cause)
            if kind == "DELETED" and item.name:
                key = (item.namespace, item.name)
                if self.held.deleted(key, version(item.version)):
                    self._delete(key, self._wall())
            else:
                self._odd(item)
            self._reached(version(item.version))
            return True
        self.counts.malformed += 1
        what = f"unknown event type {kind!r:.40}" if kind else f"a line of the watch is no event: {cause}"
        self._note(("", ""), what)
        return True

    def _bookmark(self, line: bytes, now: float) -> bool:
        told, ends = decode.bookmark(line)
        if not told:
            self._note(("", ""), "a bookmark has no resourceVersion")
            return True
        if self._initial:
            if not ends:
                self._no_streaming("the server answered a streaming list without its end")
                return False
            self._initial = False
            self._version = self._began_with = version(told)
            self._work = self._end_list(told, now)
            self.state = State.WATCHING
            return True
        if is_older(version(told), self._began_with):
            # The server has lost versions that it had told us, as one restored from a backup has.
            self._expired("the server's versions went back", now)
            return False
        self._bookmarks = True
        self._progress()
        self._reached(version(told))
        return True

    def _error_event(self, body: bytes, now: float) -> None:
        status = read_status(500, {}, body)
        if status.code == 410 or status.reason in ("Expired", "Gone"):
            self._expired(status.message, now)
            return
        self._errors_in_row += 1
        if self._errors_in_row >= _ERRORS_THEN_LIST or _of_version(status):
            self._give_up_watching()
        self._fail(_reason(status), f"the watch ended with an error: {status.message}", now, status.retry_after)

    def ended(self, now: float) -> None:
        """The watch ended as watches do."""
        if self._initial:
            self._fail("answer", "the watch ended before the list it began with", now)
        elif not self._lines and now - self._opened < _SHORTEST_WATCH:
            self._fail("answer", "the watch ended as soon as it began", now)
        else:
            self._well()
            self._fruitless = self._errors_in_row = 0
        self._initial = False

    def stalled(self, now: float) -> None:
        """Nothing came for long while a streaming list was not at its end."""
        self._no_streaming("the server does not end a streaming list")
        self._not_before = now

    def _no_streaming(self, cause: str) -> None:
        logger.info("lists are read in pages from now on", extra={"resource": self.resource.name, "cause": cause})
        self._streaming.offered = False
        self._initial = False
        self._listing = False

    # What goes wrong

    def refused(self, status: int, headers: Mapping[str, str], body: bytes, now: float) -> None:
        """Take in an answer that is no success, to a list or a watch."""
        streaming = not self._version and self._streaming.offered
        said = read_status(status, headers, body)
        if status == 200:
            self._fail("answer", _not_json(headers, "the answer is no watch"), now)
        elif status == 410:
            if self._token:
                self._token_expired(decode.continue_of(body), said.message, now)
            else:
                self._expired(said.message, now)
        elif streaming and status in (400, 422):
            self._no_streaming(said.message)
            self._not_before = now
        elif status == 403:
            self._refused_for_long(State.FORBIDDEN, said, now)
        elif status == 404:
            self._refused_for_long(State.ABSENT, said, now)
        else:
            if self._version and (status == 400 or _of_version(said)):
                self._list_anew()
            self._fail(_reason(said), said.message, now, said.retry_after)

    def _refused_for_long(self, state: State, said: Status, now: float) -> None:
        self._fail(_reason(said), said.message, now)
        self.state = state
        wait = _FORBIDDEN_RETRY if state is State.FORBIDDEN else _ABSENT_RETRY
        if self._required:
            wait = _REQUIRED_RETRY if self.listed else _FIRST_RETRY
        self._not_before = now + wait * self._spread.uniform(0.9, 1.1)
        self._list_anew()

    def failed(self, error: Exception, now: float, reason: str = "unreachable") -> None:
        """A request was not answered, or its answer broke off."""
        if self._initial:
            self._listing = self._initial = False
        elif self._lines == 0 and 0 <= now - self._opened < _AT_ONCE:
            self._errors_in_row += 1  # a first line that cannot be had, such as one beyond all bounds
            if self._errors_in_row >= _ERRORS_THEN_LIST:
                self._give_up_watching()
        self._opened = -math.inf
        self._fail(reason, str(error) or type(error).__name__, now)

    def lost(self, error: Exception, now: float) -> None:
        """An answer could not be worked with, and there is no telling what was in it."""
        self._give_up_watching()
        self.failed(error, now, "answer")

    def _give_up_watching(self) -> None:
        """A change cannot be had from a watch, whatever is tried: only a list tells what it was."""
        self._errors_in_row = 0
        self._list_anew()

    def _token_expired(self, token: str, message: str, now: float) -> None:
        self.counts.errors["expired"] += 1
        self.last_error = message
        if token and token != self._token:
            self._token = token
            self._not_before = now
            return
        self._list_anew()
        self._fruitless += 1
        self._not_before = now + backoff.delay(self._fruitless, self._spread)

    def _expired(self, message: str, now: float) -> None:
        """List again: at once, unless the last list led nowhere either."""
        self.counts.errors["expired"] += 1
        self.last_error = message
        self._list_anew()
        self._not_before = now
        if self._fruitless:
            self._not_before = now + backoff.delay(self._fruitless, self._spread)
        self.state = State.WAITING

    def _list_anew(self) -> None:
        self._version = self._token = ""
        self._listing = self._initial = False

    def _fail(self, reason: str, message: str, now: float, asked: float | None = None) -> None:
        self._failures += 1
        self.counts.errors[reason] += 1
        self.last_error = message
        self.failing_since = self.failing_since or self._wall()
        self.state = State.WAITING
        self._not_before = now + backoff.delay(max(self._failures, self._fruitless), self._spread, asked)
        level = logging.WARNING if self._failures == 1 else logging.DEBUG
        logger.log(level, "reading the API failed", extra={"resource": self.resource.name, "error": message})

    # What goes well

    def _progress(self) -> None:
        self._lines += 1
        self.last_event = self._wall()
        if (self._failures or self._fruitless or self._errors_in_row) and not self._initial:
            self._fruitless = self._errors_in_row = 0
            self._well()

    def _well(self) -> None:
        self._failures = 0
        self.failing_since = 0
        self.last_error = ""

    def _reached(self, found: Version) -> None:
        """The watch has come to a version; one that a delayed event tells does not lead back."""
        if self._initial or found == "":
            return
        if not is_older(found, self._version):
            self._version = found

    # Objects

    def _apply(self, key: Key, item: Object) -> None:
        try:
            self._sink.apply(self._kind, item)
        except Exception as error:
            logger.exception("an object could not be taken in", extra={"resource": self.resource.name, "object": key})
            self._odd(decode.Odd(f"{type(error).__name__}: {error}", key[1], key[0]))
            return
        if self.malformed:
            self.malformed.pop(key, None)

    def _delete(self, key: Key, moment: int) -> None:
        self.malformed.pop(key, None)
        try:
            self._sink.delete(self._kind, *key, at=moment)
        except Exception:
            logger.exception("an object could not be removed", extra={"resource": self.resource.name, "object": key})

    def _odd(self, item: decode.Odd) -> None:
        self.counts.malformed += 1
        key = (item.namespace, item.name)
        if item.name:
            self.held.keep(key)
        self._note(key, item.cause)

    def _note(self, key: Key, cause: str) -> None:
        if key in self.malformed or len(self.malformed) < _NOTED:
            self.malformed[key] = cause

    def forget(self) -> Iterator[None]:
        """Let go of everything that is held, as when the resource is not served any more; works and rests."""
        moment = self._wall()
        for number, key in enumerate(self.held.forget(), 1):
            self._delete(key, moment)
            if number % SLICE == 0:
                yield
        self.malformed.clear()

    def moved(self, resource: Resource) -> None:
        """Read the same kind in another version from now on."""
        self.resource = resource
        self._list_anew()
        self._not_before = 0.0


def _nameless(item: Object | None) -> decode.Odd:
    meta = item.metadata if item is not None else None
    if meta is None:
        return decode.Odd("an object has no metadata")
    return decode.Odd("it has no namespace", meta.name) if meta.name else decode.Odd("an object has no name")


def _not_json(headers: Mapping[str, str], cause: str) -> str:
    kind = headers.get("content-type", "").partition(";")[0].strip()
    return cause if not kind or kind == "application/json" else f"the answer is {kind:.60}, no JSON"


def _of_version(said: Status) -> bool:
    """Whether the server does not understand the version that it was asked for, or has not reached it."""
    return "resource version" in said.message.lower() or "resourceversion" in said.message.lower()


def _reason(said: Status) -> str:
    """The closed list of reasons by which errors are counted, beside `unreachable` and `answer`."""
    known = {401: "unauthorized", 403: "forbidden", 404: "absent", 410: "expired", 429: "busy", 503: "busy"}
    return known.get(said.code, "server" if said.code >= 500 else "refused")
