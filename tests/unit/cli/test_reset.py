import io
import json

import pytest
import yaml
from model_server import ModelServer, intent

from network_mapper.wire.api import ResetDocument

NOW = 1_800_000_000_000
SOON = "Connections that are still open are back in some seconds, others when they are used again.\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def typed(monkeypatch):
    def answer(text: str) -> None:
        monkeypatch.setattr("sys.stdin", Terminal(text))

    return answer


def test_yes_removes_without_asking(ask, mapper):
    assert ask("reset", "--yes") == (0, f"Removed 3 edges, from the map at {mapper.url}.\n", SOON)
    assert mapper.requests == ["POST /api/v1/reset"]


def test_it_says_since_when_what_was_removed_had_been_seen(ask, mapper):
    mapper.reset = ResetDocument(2, 1, NOW)
    assert ask("reset", "-y").out == (
        f"Removed 1 edge, seen since 2027-01-15T08:00:00.000Z, from the map at {mapper.url}.\n"
    )


def test_quiet_leaves_the_result(ask, mapper):
    assert ask("reset", "-y", "-q") == (0, f"Removed 3 edges, from the map at {mapper.url}.\n", "")


def test_a_second_reset_says_that_there_was_nothing(ask, mapper):
    mapper.reset = ResetDocument(3, 0)
    assert ask("reset", "-y") == (0, f"The map at {mapper.url} was empty already; nothing was removed.\n", "")


def test_for_programs_it_is_the_mappers_answer(ask, mapper):
    mapper.reset = ResetDocument(2, 3, NOW, "map-1", NOW + 5)
    expected = {"epoch": 2, "removed_edges": 3, "removed_since": NOW, "store": "map-1", "reset_at": NOW + 5}
    assert json.loads(ask("reset", "-y", "-o", "json").out) == expected
    assert yaml.safe_load(ask("reset", "-y", "-o", "yaml").out) == expected


def test_a_saved_map_is_not_emptied(run, tmp_path):
    saved = tmp_path / "map.json"
    saved.write_text("{}")
    result = run("reset", "--yes", "--map-file", str(saved))
    assert (result.code, result.out) == (2, "")
    assert "changes no file; leave out --map-file" in result.err
    assert saved.read_text() == "{}"


def test_a_mapper_that_refuses_is_an_error(ask, mapper):
    mapper.broken = (503, b'{"title":"Not now","status":503}')
    result = ask("reset", "-y")
    assert (result.code, result.out) == (1, "")
    assert "Not now" in result.err


def test_without_a_terminal_yes_is_demanded(ask, mapper, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    result = ask("reset")
    assert result.code == 1
    assert "Give --yes." in result.err
    assert mapper.requests == []


def test_a_person_is_asked(ask, mapper, typed):
    typed("y\n")
    result = ask("reset")
    assert (result.code, result.out) == (0, f"Removed 3 edges, from the map at {mapper.url}.\n")
    assert f"Remove all 3 edges, seen since 2027-01-15T07:55:00.000Z, of the map at {mapper.url}? [y/N]" in result.err
    assert mapper.requests == ["GET /api/v1/status", "POST /api/v1/reset"]


@pytest.mark.parametrize(("text", "message"), [("n\n", "nothing was removed."), ("\n", "nothing was removed."),
                                               ("", "no answer was given, so nothing was done.")])  # fmt: skip
def test_anything_but_yes_removes_nothing(ask, mapper, typed, text, message):
    typed(text)
    result = ask("reset")
    assert (result.code, result.out) == (1, "")
    assert result.err.endswith(f"Error: {message}\n")
    assert mapper.requests == ["GET /api/v1/status"]


def test_where_there_is_no_status_the_edges_are_counted(run, typed):
    typed("n\n")
    with ModelServer([intent("shop/cart", "db/redis"), intent("shop/cart", "db/cache")]) as server:
        result = run("reset", "--mapper-url", server.url)
    assert result.code == 1
    assert f"Remove all 2 edges, of the map at {server.url}? [y/N]" in result.err
