import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from network_mapper.settings import span


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("0", 0),
        ("0.5", 0.5),
        (".5", 0.5),
        (" 5 ", 5),
        ("500ms", 0.5),
        ("1m", 60),
        ("1h2m", 3720),
        ("1h30m15s", 5415),
        ("1.5h", 5400),
        ("250us", 0.00025),
        ("250µs", 0.00025),
        ("7ns", 7e-9),
        ("2d", 172_800),
    ],
)
def test_a_span_is_read(text, seconds):
    assert span(text) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize(("text", "seconds"), [("60000000000", 60), ("500000000", 0.5), ("1m", 60), ("0", 0)])
def test_a_bare_number_has_the_unit_that_is_asked_for(text, seconds):
    assert span(text, bare="ns") == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", " ", "soon", "-1", "-1s", "1 m", "1x", "m", "1m 2s", "nan", "inf", "1e3", "1_000", "1h2", "\u0661s", "\u0663"],
)
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match="no span of time"):
        span(text)


@given(st.integers(0, 400), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_parts_add_up(days, hours, minutes, whole, milli):
    text = f"{days}d{hours}h{minutes}m{whole}s{milli}ms"
    assert span(text) == pytest.approx(days * 86_400 + hours * 3600 + minutes * 60 + whole + milli / 1000)


@given(st.text(max_size=30))
def test_no_text_is_answered_with_anything_but_a_span_or_a_refusal(text):
    with contextlib.suppress(ValueError):
        assert 0 <= span(text) < 1e20
