"""What answers that are no success say."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from network_mapper.kube.status import read_status, retry_after

FORBIDDEN = {
    "kind": "Status",
    "apiVersion": "v1",
    "status": "Failure",
    "message": 'pods is forbidden: User "u" cannot list\nresource "pods"',
    "reason": "Forbidden",
    "details": {"kind": "pods"},
    "code": 403,
}


def test_the_api_s_own_words_are_taken():
    status = read_status(403, {}, json.dumps(FORBIDDEN).encode())
    assert (status.code, status.reason) == (403, "Forbidden")
    assert status.message == 'pods is forbidden: User "u" cannot list resource "pods"'
    assert status.retry_after is None


def test_an_error_inside_a_watch_has_its_own_code():
    body = b'{"kind":"Status","code":410,"reason":"Expired","message":"too old resource version"}'
    assert read_status(200, {}, body).code == 410


@pytest.mark.parametrize(
    ("headers", "details", "seconds"),
    [
        ({}, {"retryAfterSeconds": 7}, 7),
        ({"retry-after": "3"}, {"retryAfterSeconds": 7}, 3),
        ({"retry-after": "soon"}, {"retryAfterSeconds": 7}, 7),
        ({}, {"retryAfterSeconds": -1}, 0),
        ({}, {"retryAfterSeconds": 10**9}, 3600),
        ({}, {}, None),
        ({}, None, None),
    ],
)
def test_the_wait_is_the_header_s_or_the_object_s(headers, details, seconds):
    body = json.dumps({"kind": "Status", "details": details}).encode()
    assert read_status(429, headers, body).retry_after == seconds


@pytest.mark.parametrize(
    ("headers", "body", "message"),
    [
        ({"content-type": "text/html"}, b"<html>Bad gateway</html>", "502 Bad Gateway, with an HTML page"),
        ({}, b" <!doctype html>", "502 Bad Gateway, with an HTML page"),
        ({"content-type": "text/plain"}, b"no upstream\n", "502 Bad Gateway: no upstream"),
        ({}, b"", "502 Bad Gateway"),
        ({}, b'{"kind":"PodList"}', '502 Bad Gateway: {"kind":"PodList"}'),
        ({}, b'{"kind":"Status"}', "502 Bad Gateway"),
        ({}, b'{"kind":"Status","reason":"Odd"}', "Odd"),
    ],
)
def test_others_words_are_told_in_one_line(headers, body, message):
    assert read_status(502, headers, body).message == message


@given(st.integers(0, 999), st.dictionaries(st.just("retry-after"), st.text()), st.binary() | st.text().map(str.encode))
def test_nothing_that_is_read_fails(code, headers, body):
    status = read_status(code, headers, body)
    assert status.message.isprintable()


NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("1.5", 1.5),
        ("Thu, 01 Jan 2026 00:00:30 GMT", 30),
        ("Thu, 01 Jan 2026 00:00:30 -0000", 30),
        ("Wed, 31 Dec 2025 00:00:30 GMT", 0),
        ("-5", 0),
        ("1e9", 3600),
        ("nan", None),
        ("inf", None),
        ("tomorrow", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text, seconds):
    assert retry_after({"retry-after": text}, NOW) == seconds
