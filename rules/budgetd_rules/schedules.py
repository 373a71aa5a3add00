"""Quiet hours: when a channel is not to be disturbed, by the wall clock of the channel's own zone.

A range belongs to the day on which it begins: `fri 20:00-07:00` ends on Saturday. A time that daylight saving skips is
the first instant after the gap. A time that comes twice begins a range the first time, and ends one the second time.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

from budgetd_rules.wording import moment

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LONGEST: Final = timedelta(days=366)
_DAY: Final = timedelta(days=1)
_MINUTE: Final = timedelta(minutes=1)
_WEEK_MINUTES: Final = 7 * 24 * 60
_TIMES: Final = re.compile(r"(\d?\d):(\d\d)-(\d?\d):(\d\d)")
_EXPECTED: Final = (
    'expected quiet hours such as "mon-fri 20:00-07:00", "22:00-07:00", "sat-sun", "2026-12-24" or '
    '"2026-12-24..2026-12-26 18:00-10:00"'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """From `begin` to `end`, both counted from the midnight of the days on which it begins: weekdays, or dates."""

    begin: timedelta
    end: timedelta
    weekdays: frozenset[int] = frozenset()
    dates: tuple[date, date] | None = None

    def begins_on(self, day: date) -> bool:
        if self.dates is not None:
            return self.dates[0] <= day <= self.dates[1]
        return day.weekday() in self.weekdays

    def beginning_on(self, day: date, zone: tzinfo) -> tuple[datetime, datetime]:
        midnight = datetime.combine(day, time())
        begin, _ = instants(midnight + self.begin, zone)
        _, end = instants(midnight + self.end, zone)
        return begin, end


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """The quiet hours of a channel, and the zone of those who read it."""

    ranges: tuple[Range, ...] = ()
    zone: tzinfo = UTC

    def until(self, now: datetime) -> datetime | None:
        """When the present quiet hours end, in UTC; None outside of them. Ranges that touch or overlap are one."""
        end = now
        while (later := self._end_at(end)) > end:
            end = later
        return end if end > now else None

    def _end_at(self, instant: datetime) -> datetime:
        """The latest end of the ranges that the instant is in; without any, the instant itself."""
        today = instant.astimezone(self.zone).date()
        # If the clock was put back over midnight, tomorrow's may have begun already.
        days = [today + count * _DAY for count in (-1, 0, 1)]
        stretches = (one.beginning_on(day, self.zone) for one in self.ranges for day in days if one.begins_on(day))
        return max((end for begin, end in stretches if begin <= instant < end), default=instant)

    def reason(self, until: datetime, now: datetime) -> str:
        """`quiet until 07:00 CET (Mon)`; with the date if it is more than six days ahead."""
        local = until.astimezone(self.zone)
        when = f"{local:%H:%M %Z (%a)}" if until - now < 6 * _DAY else moment(until, self.zone, now)
        return f"quiet until {when}"


def instants(wall: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """The first and the last instant at which the clock shows this time; in a gap, both are the first after it."""
    first, last = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first <= last:
        return first, last
    # In a gap, fold 0 uses the offset from before the gap and so lands behind it; fold 1 lands before it.
    offset = first.astimezone(zone).utcoffset()
    while first - last > timedelta.resolution:
        middle = last + (first - last) // 2
        if middle.astimezone(zone).utcoffset() == offset:
            first = middle
        else:
            last = middle
    return first, first


# --- as people write them


def parse_range(text: object) -> Range:
    """Raises ValueError, with one line for the person who wrote it."""
    words = text.lower().split() if isinstance(text, str) else []
    times = words.pop() if words and ":" in words[-1] else ""
    days = words.pop() if words else ""
    is_date = days[:1].isdigit()
    if words or not (times or days) or (is_date and not days[:4].isdigit()):
        raise ValueError(_EXPECTED)
    begin, end = _times(times) if times else (timedelta(0), _DAY)
    if is_date:
        return Range(begin=begin, end=end, dates=_dates(days))
    return Range(begin=begin, end=end, weekdays=parse_weekdays(days))


def _times(text: str) -> tuple[timedelta, timedelta]:
    found = _TIMES.fullmatch(text)
    if not found:
        raise ValueError(_EXPECTED)
    hours, minutes, end_hours, end_minutes = map(int, found.groups())
    begin = timedelta(hours=hours, minutes=minutes)
    end = timedelta(hours=end_hours, minutes=end_minutes)
    if max(minutes, end_minutes) > 59 or begin >= _DAY or end > _DAY:
        raise ValueError(f"{text}: a day goes from 00:00 to 24:00")
    if begin == end:
        raise ValueError(f"{text} ends when it begins; for the whole day leave the times out")
    return begin, end if end > begin else end + _DAY


def _dates(text: str) -> tuple[date, date]:
    first, dots, last = text.partition("..")
    try:
        dates = date.fromisoformat(first), date.fromisoformat(last if dots else first)
    except ValueError as error:
        raise ValueError("expected a date such as 2026-12-24, or two with .. between them") from error
    if dates[1] < dates[0]:
        raise ValueError(f"{text} ends before it begins")
    if dates[1] - dates[0] >= LONGEST:
        raise ValueError(f"{text} is longer than a year")
    return dates


def parse_weekdays(text: str) -> frozenset[int]:
    """`sat-mon` wraps around the end of the week; an empty text is every day."""
    first, dash, last = (text or "mon-sun").partition("-")
    if first not in WEEKDAYS or (dash and last not in WEEKDAYS):
        raise ValueError(f"expected one of {', '.join(WEEKDAYS)}, or two with - between them")
    begin = WEEKDAYS.index(first)
    length = (WEEKDAYS.index(last) - begin) % 7 if dash else 0
    return frozenset((begin + count) % 7 for count in range(length + 1))


def is_never_audible(ranges: Iterable[Range]) -> bool:
    """Whether the weekly ranges leave no minute of the week; dates are no problem, because they pass."""
    quiet = set[int]()
    for one in ranges:
        for day in one.weekdays:
            begin, end = day * _DAY + one.begin, day * _DAY + one.end
            quiet.update(minute % _WEEK_MINUTES for minute in range(begin // _MINUTE, end // _MINUTE))
    return len(quiet) == _WEEK_MINUTES
