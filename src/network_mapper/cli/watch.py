"""`network-mapper list --watch`: what is new in the map, as it appears.

The source is asked for the map every few seconds and what it holds is compared with what was told before, so that every
kind of source can be watched and none has to remember who listens. A pair is told when it appears, and again when
stronger evidence for it does: a name that was only looked up, and then connected to. A mapper that goes away is told of
once; it is asked again until it answers, through a new way to it, for it may come back elsewhere.

What is kept is one number for each pair in the map. A watch ends with Ctrl-C, which is its usual end and no failure.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click
import msgspec

from network_mapper.cli.console import colours, notice, warn
from network_mapper.cli.errors import CliError
from network_mapper.cli.listing import query_of, render
from network_mapper.cli.sources.open import open_source
from network_mapper.export import document
from network_mapper.export.labels import Labels, namespace_of
from network_mapper.export.pairs import Outcome, group
from network_mapper.export.selection import choose, client_tags
from network_mapper.export.text import bold, dim, mark
from network_mapper.export.times import rfc3339

if TYPE_CHECKING:
    from network_mapper.cli.sources.base import Connection, MapSource
    from network_mapper.export.pairs import Pair
    from network_mapper.export.selection import Selection
    from network_mapper.model import Peer
    from network_mapper.wire.api import MapDocument

_MOST_KNOWN = 200_000
"""Pairs that are remembered; beyond, those that are not in the map any more are forgotten."""
_BEFORE = {Outcome.LOOKUP_ONLY: "a DNS lookup only", Outcome.UNANSWERED: "never answered"}


class Event(msgspec.Struct):
    """One line of `--watch -o json`.

    Attributes:
        event: `present` for what the map held at the start, `new`, `stronger` for better evidence of a pair that was
            told before, `reset` when the map was emptied, `restart` when another map answers.
        time: When it was seen, by the mapper's clock (RFC 3339).
        edge: The pair, as in `document.ListDocument`; null for `reset` and `restart`.
    """

    event: str
    time: str | None
    edge: document.Entry | None = None


class Watch:
    """One watch.

    Args:
        connection: How the source is reached.
        selection: Which edges are wanted.
        interval: Milliseconds between two questions.
        as_json: Whether each event is a JSON document on its own line.
        only_new: Whether what the map holds at the start goes unsaid.
    """

    def __init__(
        self, connection: Connection, selection: Selection, interval: int, *, as_json: bool, only_new: bool
    ) -> None:
        self._connection = connection
        self._selection = selection
        self._interval = interval / 1000
        self._as_json = as_json
        self._only_new = only_new
        self._known: dict[tuple[Peer, Peer], Outcome] = {}
        self._map: tuple[str, int] | None = None

    def run(self) -> None:
        """Tell of the map until Ctrl-C.

        Raises:
            CliError: The source did not answer the first time.
        """
        opened = open_source(self._connection)
        source: MapSource | None = opened
        try:
            self._start(opened.map(query_of(self._selection)))
            notice("Watching for what is new; Ctrl-C ends.")
            while True:
                time.sleep(self._interval)
                source = self._ask(source)
        except KeyboardInterrupt:
            pass
        finally:
            if source is not None:
                source.close()

    def _ask(self, source: MapSource | None) -> MapSource | None:
        """Ask once more; gives the source to ask next time, None where it has to be opened anew."""
        lost = source is None
        try:
            if source is None:
                source = open_source(self._connection)
            answer = source.map(query_of(self._selection))
        except CliError as error:
            if source is not None:
                source.close()
            if not lost:
                warn(f"{error.format_message()} Asking again every {self._interval:g}s.")
            return None
        if lost:
            notice(f"The map at {source.where} answers again.")
        self._tell(answer)
        return source

    def _start(self, answer: MapDocument) -> None:
        edges = choose(answer, self._selection)
        self._map = (answer.store, answer.epoch)
        pairs = group(edges)
        self._known = {(pair.client, pair.server): pair.outcome for pair in pairs}
        if self._only_new:
            return
        if self._as_json:
            for entry in document.build(answer, edges).edges:
                _print(_line(Event("present", entry.last_seen, entry)))
        else:
            click.echo(render(answer, edges, self._selection, "text", None), nl=False)

    def _tell(self, answer: MapDocument) -> None:
        """Tell what is new in an answer."""
        self._tell_of_another_map(answer)
        pairs = group(choose(answer, self._selection))
        labels: Labels | None = None
        for pair in pairs:
            key = (pair.client, pair.server)
            before = self._known.get(key)
            if before is not None and pair.outcome <= before:
                continue
            self._known[key] = pair.outcome
            if self._as_json:
                entry = document.build(answer, pair.edges).edges[0]
                when = pair.first_seen if before is None else pair.last_seen
                _print(
                    _line(Event("new" if before is None else "stronger", rfc3339(when or answer.generated_at), entry))
                )
                continue
            if labels is None:
                key_of_label = self._selection.distinct_by_label
                labels = Labels(answer.edges, client_tags(answer, key_of_label) if key_of_label else None)
            _print(_sentence(pair, before, labels, answer.generated_at))
        if len(self._known) > _MOST_KNOWN:
            self._known = {(pair.client, pair.server): self._known[pair.client, pair.server] for pair in pairs}

    def _tell_of_another_map(self, answer: MapDocument) -> None:
        now = (answer.store, answer.epoch)
        if now == self._map:
            return
        reset = self._map is not None and self._map[0] == answer.store
        self._map = now
        if reset:
            self._known.clear()  # what comes back is new
        if self._as_json:
            _print(_line(Event("reset" if reset else "restart", rfc3339(answer.generated_at))))
        elif reset:
            notice("The map was emptied; what comes back is told as new.")
        else:
            notice("The mapper began another map; what was told before is not told again.")


def _sentence(pair: Pair, before: Outcome | None, labels: Labels, now: int) -> str:
    colour = colours()
    when = rfc3339((pair.first_seen if before is None else pair.last_seen) or now)
    client = bold(labels.sentence(pair.client, client=True), colour)
    server = labels.sentence(pair.server, namespace_of(pair.client))
    told = mark(pair)
    if before is not None:
        what = "answered" if pair.answered else "attempted, never answered"
        told = f" ({what}; before: {_BEFORE.get(before, 'not counted')})"
    return f"{when} {client} calls {server}{dim(told, colour)}\n"


def _line(event: Event) -> str:
    return msgspec.json.encode(event).decode() + "\n"


def _print(text: str) -> None:
    """Print at once, for whoever reads along; click flushes what it prints."""
    click.echo(text, nl=False)
