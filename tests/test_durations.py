"""Lengths of time as people write them."""

from datetime import timedelta

import pytest
from pydantic import TypeAdapter, ValidationError

from budgetd.durations import Duration, DurationOrZero, format_duration, parse_duration

WRITTEN = [
    ("0s", timedelta()),
    ("200ms", timedelta(milliseconds=200)),
    ("90s", timedelta(seconds=90)),
    ("5m", timedelta(minutes=5)),
    ("1h30m", timedelta(hours=1, minutes=30)),
    ("1d", timedelta(days=1)),
    ("2w", timedelta(weeks=2)),
    ("1w2d3h4m5s", timedelta(weeks=1, days=2, hours=3, minutes=4, seconds=5)),
]


@pytest.mark.parametrize(("text", "duration"), WRITTEN, ids=[text for text, _ in WRITTEN])
def test_is_read_as_written(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize("text", ["", " 5m", "5", "5 m", "m", "-5m", "1.5h", "5M", "5min", "5m,", 300, None, True])
def test_anything_else_is_refused_with_an_example(text: object) -> None:
    with pytest.raises(ValueError, match='such as "90s", "5m", "1h30m"'):
        parse_duration(text)


@pytest.mark.parametrize("text", ["400000000000ms", "530w", "99999999999999999999w"])
def test_nobody_means_more_than_ten_years(text: str) -> None:
    with pytest.raises(ValueError, match="ten years"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(), "0s"),
        (timedelta(seconds=0.2), "200ms"),
        (timedelta(seconds=90), "1m30s"),
        (timedelta(hours=24), "1d"),
        (timedelta(days=15), "2w1d"),
    ],
    ids=str,
)
def test_is_shown_in_the_largest_units(duration: timedelta, text: str) -> None:
    assert format_duration(duration) == text


def test_zero_is_a_wait_but_no_interval() -> None:
    assert TypeAdapter(DurationOrZero).validate_python("0s") == timedelta()
    with pytest.raises(ValidationError, match="longer than nothing"):
        TypeAdapter(Duration).validate_python("0s")
