import pytest

from network_mapper.export.times import age, rfc3339


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
