"""The line about what is going on: after a while, on terminals alone, and gone in the end."""

from __future__ import annotations

import io
import time
from types import SimpleNamespace

import click
import pytest

from network_mapper.cli import progress as module
from network_mapper.cli.console import State
from network_mapper.cli.progress import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True

    def wait_for(self, text):
        deadline = time.monotonic() + 10
        while text not in self.getvalue():
            assert time.monotonic() < deadline, self.getvalue()
            time.sleep(0.01)

    @property
    def screen(self):
        """What a reader sees now: the last row, where each return begins at the left edge again."""
        row = ""
        for part in self.getvalue().split("\r"):
            row = part + row[len(part) :]
        return row.rstrip()


@pytest.fixture
def terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(module, "sys", SimpleNamespace(stderr=terminal))  # pytest takes sys.stderr back
    monkeypatch.setattr(module, "DELAY", 0.02)
    monkeypatch.setenv("COLUMNS", "80")
    return terminal


def test_what_is_quick_says_nothing(terminal, monkeypatch):
    monkeypatch.setattr(module, "DELAY", 60.0)
    with progress("connecting"):
        pass
    assert terminal.getvalue() == ""


def test_what_takes_longer_says_so_and_is_erased(terminal):
    with progress("connecting to context kind"):
        terminal.wait_for("connecting to context kind … 0 s")
    assert terminal.screen == ""


def test_a_shorter_text_leaves_nothing_of_a_longer_one(terminal):
    with progress("connecting to a cluster far away") as line:
        terminal.wait_for("far away")
        line.update("reading")
        terminal.wait_for("reading")
        assert terminal.screen == "reading … 0 s"
    assert terminal.screen == ""


def test_a_block_within_a_block_takes_over_the_line(terminal):
    with progress("outer"):
        with progress("inner"):
            terminal.wait_for("inner")
        assert terminal.screen.startswith("outer")
    assert terminal.screen == ""


def test_a_long_text_does_not_wrap(terminal, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    with progress("connecting to " + "x" * 200):
        terminal.wait_for("…")
        assert len(terminal.screen) == 29


def test_an_error_ends_the_line(terminal):
    def fail():
        with progress("connecting"):
            terminal.wait_for("connecting")
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert terminal.screen == ""


def test_what_is_no_terminal_gets_nothing(terminal, monkeypatch):
    monkeypatch.setattr(Terminal, "isatty", lambda _: False)
    with progress("connecting"):
        time.sleep(0.1)
    assert terminal.getvalue() == ""


def test_quiet_is_quiet(terminal):
    state = State()
    state.quiet = True
    with click.Context(click.Command("list"), obj=state), progress("connecting"):
        time.sleep(0.1)
    assert terminal.getvalue() == ""


def test_a_terminal_that_went_away_is_no_reason_to_fail(terminal, monkeypatch):
    def broken(*_):
        raise OSError

    monkeypatch.setattr(Terminal, "write", broken)
    with progress("connecting"):
        time.sleep(0.1)
