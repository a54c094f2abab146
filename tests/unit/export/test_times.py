import pytest

from network_mapper.export.times import age, ago, rfc3339


@pytest.mark.parametrize(
    ("ms", "text"),
    [(-5, "0s"), (0, "0s"), (999, "0s"), (1_000, "1s"), (59_999, "59s"), (60_000, "1m"), (3_600_000, "1h"),
     (86_399_999, "23h"), (86_400_000, "1d"), (40 * 86_400_000, "40d")],
)  # fmt: skip
def test_age_is_in_its_largest_unit(ms, text):
    assert age(ms) == text


def test_time_keeps_its_milliseconds():
    assert rfc3339(1_800_000_000_007) == "2027-01-15T08:00:00.007Z"


def test_never_is_none():
    assert rfc3339(0) is None


@pytest.mark.parametrize(("ms", "text"), [(-1, "1970-01-01T00:00:00.000Z"), (10**18, "9999-12-31T23:59:59.999Z")])
def test_a_time_that_no_calendar_has_is_the_nearest_that_one_has(ms, text):
    assert rfc3339(ms) == text


def test_what_never_was_has_no_age():
    assert (ago(0, 5_000), ago(3_000, 5_000)) == ("-", "2s ago")
