import contextlib
import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from network_mapper.mapper.graphql.times import TimeError, milliseconds, text_of

MOMENTS = st.datetimes(min_value=dt.datetime(1, 1, 2), max_value=dt.datetime(9999, 12, 30))  # noqa: DTZ001
SHIFTS = st.builds("{}{:02}:{:02}".format, st.sampled_from("+-"), st.integers(0, 23), st.integers(0, 59))
OFFSETS = st.just("Z") | SHIFTS


def exact(moment: dt.datetime) -> int:
    return (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(milliseconds=1)


@given(MOMENTS, OFFSETS, st.integers(0, 9))
def test_every_rfc_3339_time_is_read_as_the_standard_library_reads_it(moment, offset, digits):
    text = moment.strftime("%Y").zfill(4) + moment.strftime("-%m-%dT%H:%M:%S")
    if digits:
        text += "." + f"{moment.microsecond:06}123"[:digits]
    cut = moment.microsecond // 10 ** (6 - min(digits, 3)) * 10 ** (6 - min(digits, 3)) if digits else 0
    zone = dt.UTC if offset == "Z" else dt.datetime.strptime(offset, "%z").tzinfo
    assert milliseconds(text + offset) == exact(moment.replace(microsecond=cut, tzinfo=zone))


def test_nanoseconds_are_cut():
    assert milliseconds("2025-06-10T08:28:35.123999999Z") == 1_749_544_115_123


def test_a_comma_may_stand_before_the_fraction():
    assert milliseconds("2025-06-10T08:28:35,5Z") == 1_749_544_115_500


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Z",
        "2025-06-10",
        "2025-06-10T08:28:35",
        "2025-06-10 08:28:35Z",
        "2025-06-10t08:28:35Z",
        "2025-06-10T08:28:35z",
        "2025-06-10T08:28:60Z",
        "2025-06-10T24:00:00Z",
        "2025-02-30T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2025-06-10T08:28:35.Z+",
        "2025-06-10T08:28:35.12x4Z",
        "2025-06-10T08:28:35.²Z",
        "2025-06-10T08:28:35.1 Z",
        "2025-06-10T08:28:35+24:00",
        "2025-06-10T08:28:35+02:60",
        "2025-06-10T08:28:35+0200",
        "2025-06-10T08:28:35Z\n",
        "٢٠٢٥-06-10T08:28:35Z",
        "1749544115",
        "x" * 10_000,
    ],
)
def test_what_is_no_time_is_refused(text):
    with pytest.raises(TimeError) as caught:
        milliseconds(text)
    assert len(str(caught.value)) < 200


@given(st.text())
def test_no_text_raises_anything_else(text):
    with contextlib.suppress(TimeError):
        milliseconds(text)


@given(st.integers(0, 253_402_300_799_999))
def test_times_are_written_as_they_are_read(instant):
    assert milliseconds(text_of(instant)) == instant
