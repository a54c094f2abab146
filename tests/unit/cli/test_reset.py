import io

import pytest


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def typed(monkeypatch):
    def answer(text: str) -> None:
        monkeypatch.setattr("sys.stdin", Terminal(text))

    return answer


def test_yes_removes_without_asking(ask, mapper):
    assert ask("reset", "--yes") == (0, "Removed 3 edges.\n", "")
    assert mapper.requests == ["POST /api/v1/reset"]


def test_without_a_terminal_yes_is_demanded(ask, mapper, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    result = ask("reset")
    assert result.code == 1
    assert "Give --yes." in result.err
    assert mapper.requests == []


def test_a_person_is_asked(ask, mapper, typed):
    typed("y\n")
    result = ask("reset")
    assert (result.code, result.out) == (0, "Removed 3 edges.\n")
    assert "Remove all 3 edges of the map at" in result.err
    assert mapper.requests == ["GET /api/v1/status", "POST /api/v1/reset"]


@pytest.mark.parametrize(("text", "message"), [("n\n", "nothing was removed."), ("\n", "nothing was removed."),
                                               ("", "no answer was given, so nothing was done.")])  # fmt: skip
def test_anything_but_yes_removes_nothing(ask, mapper, typed, text, message):
    typed(text)
    result = ask("reset")
    assert (result.code, result.out) == (1, "")
    assert result.err.endswith(f"Error: {message}\n")
    assert mapper.requests == ["GET /api/v1/status"]
