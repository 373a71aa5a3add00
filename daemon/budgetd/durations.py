"""Durations as people write them: `90s`, `5m`, `1h30m`, `1d`, `2w`; and quiet hours."""

import re
from datetime import timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator

from budgetd_rules.schedules import Range, is_never_audible, parse_range

_UNITS: Final = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_PART: Final = re.compile(r"(\d+)(w|d|h|ms|m|s)")
_WHOLE: Final = re.compile(r"(?:\d+(?:w|d|h|ms|m|s))+")
LONGEST: Final = timedelta(days=3660)


def parse_duration(text: object) -> timedelta:
    """Raises ValueError, with one line for the person who wrote it."""
    if not isinstance(text, str) or not _WHOLE.fullmatch(text):
        raise ValueError('expected a duration such as "90s", "5m", "1h30m", "1d" or "2w"')
    try:
        duration = sum((int(count) * _UNITS[unit] for count, unit in _PART.findall(text)), timedelta(0))
    except OverflowError:
        duration = timedelta.max
    if duration > LONGEST:
        raise ValueError("is longer than ten years")
    return duration


def parse_positive_duration(text: object) -> timedelta:
    duration = parse_duration(text)
    if not duration:
        raise ValueError("must be longer than nothing")
    return duration


def _audible(ranges: tuple[Range, ...]) -> tuple[Range, ...]:
    if is_never_audible(ranges):
        raise ValueError("leaves no time of the week to tell anything; to tell less, write [[routes]]")
    return ranges


Duration = Annotated[timedelta, BeforeValidator(parse_positive_duration)]
DurationOrZero = Annotated[timedelta, BeforeValidator(parse_duration)]
QuietHours = Annotated[tuple[Annotated[Range, BeforeValidator(parse_range)], ...], AfterValidator(_audible)]


def format_duration(duration: timedelta) -> str:
    """The shortest text that `parse_duration` reads back, to the millisecond."""
    left = duration
    parts = []
    for unit, length in _UNITS.items():
        count, left = divmod(left, length)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
