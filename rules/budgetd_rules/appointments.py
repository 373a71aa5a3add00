"""Appointments: the times at which a channel is sent a digest or a drill, by the wall clock of the channel's zone.

There is at most one a day. If daylight saving skips its time, it is the first instant after the gap; if its time comes
twice, it is the first.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from typing import Final

from budgetd_rules.schedules import WEEKDAYS, instants, parse_weekdays

_DAY: Final = timedelta(days=1)
_TIME: Final = re.compile(r"(\d?\d):(\d\d)")
_EXPECTED: Final = 'expected when to tell it, such as "mon 09:00", "mon-fri 08:30", or "09:00" for every day'


class Report(StrEnum):
    """What is sent at an appointment."""

    DIGEST = "digest"
    DRILL = "drill"


@dataclass(frozen=True, slots=True, kw_only=True)
class Appointment:
    """`at` is the time since midnight."""

    weekdays: frozenset[int]
    at: timedelta

    def latest(self, now: datetime, zone: tzinfo) -> tuple[date, datetime]:
        """The latest that has come: its day, and its instant in UTC."""
        # If the clock was put back over midnight, tomorrow's may have come already.
        return next(one for one in self._from(now.astimezone(zone).date() + _DAY, zone, -_DAY) if one[1] <= now)

    def next(self, now: datetime, zone: tzinfo) -> datetime:
        """The first that is still ahead."""
        return next(at for _, at in self._from(now.astimezone(zone).date() - _DAY, zone, _DAY) if at > now)

    def _from(self, day: date, zone: tzinfo, step: timedelta) -> Iterator[tuple[date, datetime]]:
        while True:
            if day.weekday() in self.weekdays:
                yield day, instants(datetime.combine(day, time()) + self.at, zone)[0]
            day += step

    def __str__(self) -> str:
        """The same text however it was written in the config."""
        return f"{','.join(WEEKDAYS[day] for day in sorted(self.weekdays))} {self.at}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diary:
    """A channel's appointments, and the zone of those who read it."""

    appointments: Mapping[Report, Appointment] = field(default_factory=dict)
    zone: tzinfo = UTC

    def coming(self, now: datetime) -> dict[Report, datetime]:
        """When each comes next."""
        return {report: appointment.next(now, self.zone) for report, appointment in self.appointments.items()}


def parse_appointment(text: object) -> Appointment:
    """Raises ValueError, with one line for the person who wrote it."""
    *days, clock = text.lower().split() if isinstance(text, str) and text.strip() else [""]
    found = _TIME.fullmatch(clock)
    if not found or len(days) > 1:
        raise ValueError(_EXPECTED)
    hours, minutes = map(int, found.groups())
    if hours > 23 or minutes > 59:
        raise ValueError(f"{clock}: a day goes from 00:00 to 23:59")
    return Appointment(weekdays=parse_weekdays("".join(days)), at=timedelta(hours=hours, minutes=minutes))
