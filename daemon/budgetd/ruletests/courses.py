"""Courses: from what a test says that the vendors answered to polls.

A course is a list of `values` of one field of a meter, or a `series` of tables. The courses of the meters of an account
make its polls.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import Any, Final, TypeVar

from budgetd.durations import parse_duration
from budgetd.ruletests.shapes import MeterKeys, MeterTable
from budgetd.validation import did_you_mean
from budgetd_rules.kinds import FIELD_TYPES, KINDS, Kind
from budgetd_rules.meters import MeterKey, Reading, family
from budgetd_rules.own_account import OWN_NAME
from budgetd_rules.polls import Cause, Outage, Poll
from budgetd_rules.values import UNKNOWN, UNLIMITED, Value, ValueType

MOST_POLLS: Final = 100_000
Keys = tuple[str | int, ...]
T = TypeVar("T")
_REPEATED: Final = re.compile(r"(.+?) x(\d{1,5})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """From the times of a test to what the service's clock showed: `set_backs` are pairs of when and by how much."""

    start: datetime
    zone: tzinfo
    set_backs: tuple[tuple[timedelta, timedelta], ...] = ()

    def elapsed(self, moment: timedelta | datetime) -> timedelta:
        return moment if isinstance(moment, timedelta) else utc(moment, self.zone) - self.start

    def at(self, moment: timedelta | datetime) -> datetime:
        elapsed = self.elapsed(moment)
        return self.start + elapsed - sum((by for when, by in self.set_backs if when <= elapsed), timedelta(0))


def utc(moment: datetime, zone: tzinfo) -> datetime:
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong with a key of a test."""

    keys: Keys
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """The course of one meter, and everything about the meter that a test may leave to its [defaults]."""

    table: MeterTable
    where: Keys
    key: MeterKey
    kind: Kind
    unit: str
    rolling: bool
    every: timedelta
    field: str
    fields: Mapping[str, Any]


def make_course(table: MeterTable, where: Keys, layers: Iterable[MeterKeys], account: str, every: timedelta) -> Course:
    """`layers` are the tables that fill in what this one leaves out, the nearest first."""
    tables = [table, *layers]
    kind = _first_given((one.kind for one in tables), Kind.BALANCE)
    return Course(
        table=table,
        where=where,
        key=MeterKey(
            account=_first_given((one.account for one in tables), account),
            meter=_first_given((one.meter for one in tables), "credits"),
        ),
        kind=kind,
        unit=_first_given((one.unit for one in tables), "credits"),
        rolling=_first_given((one.rolling for one in tables), False),
        every=_first_given((one.every for one in tables), every),
        field=_first_given((one.field for one in tables), KINDS[kind].headline),
        fields={name: value for one in reversed(tables) for name, value in one.fields.items()},
    )


def _first_given(values: Iterable[T | None], default: T) -> T:
    return next((value for value in values if value is not None), default)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one poll saw of one meter: its fields, an outage, or that it is gone."""

    at: timedelta
    course: Course
    fields: Mapping[str, Value]
    outage: Cause | None = None
    gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One entry of a course: a number of polls that see the same."""

    where: Keys
    at: timedelta | datetime | None = None
    times: int = 1
    said: Mapping[str, Any] = field(default_factory=dict)
    outage: Cause | None = None
    gone: bool = False
    skipped: bool = False


def _steps(course: Course) -> Iterator[_Step]:
    for number, value in enumerate(course.table.values):
        yield _value_step((*course.where, "values", number), value, course.field)
    for number, entry in enumerate(course.table.series):
        yield _Step(
            where=(*course.where, "series", number),
            at=entry.at,
            times=entry.times,
            said=entry.model_extra or {},
            outage=entry.outage,
            gone=entry.gone,
        )


def _value_step(where: Keys, value: object, name: str) -> _Step:
    """A value of the course's field, or a word for something else that a poll can see; with ` x3`, in three polls."""
    times = 1
    if isinstance(value, str) and (repeated := _REPEATED.fullmatch(value)):
        value, times = _literal(repeated[1]), int(repeated[2])
    if value in ("skip", "gone"):
        return _Step(where=where, times=times, gone=value == "gone", skipped=value == "skip")
    if isinstance(value, str) and value in _CAUSES:
        return _Step(where=where, times=times, outage=Cause(value))
    return _Step(where=where, times=times, said={name: UNKNOWN if value == "unknown" else value})


_CAUSES: Final = frozenset(Cause)


def _literal(text: str) -> object:
    try:
        return Decimal(text)
    except ArithmeticError:
        return {"true": True, "false": False}.get(text, text)


class Reader:
    """Reads the courses of one test, and collects what is wrong with them."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.problems: list[Problem] = []

    def read(self, course: Course) -> list[Seen]:
        """Each poll of the meter, in order."""
        if course.kind is Kind.CONNECTION and course.key.account != OWN_NAME:
            self._wrong(course.where, "the connection is no meter of a test: it follows from the outages")
            return []
        fixed = self._fields(course, (*course.where, "fields"), course.fields)
        seen: list[Seen] = []
        next_at = timedelta(0)
        for step in _steps(course):
            at = next_at if step.at is None else self.clock.elapsed(step.at)
            if at < (seen[-1].at if seen else timedelta(0)):
                self._wrong((*step.where, "at"), "is before the entry above it, or before the start")
            fields = fixed | self._fields(course, step.where, step.said)
            polls = range(0 if step.skipped else step.times)
            if len(seen) + len(polls) > MOST_POLLS:
                self._wrong(step.where, f"makes more than {MOST_POLLS:,} polls")
                break
            seen += [
                Seen(at=at + number * course.every, course=course, fields=fields, outage=step.outage, gone=step.gone)
                for number in polls
            ]
            next_at = at + step.times * course.every
        return seen

    def _fields(self, course: Course, where: Keys, said: Mapping[str, object]) -> dict[str, Value]:
        known = KINDS[course.kind].given
        fields: dict[str, Value] = {}
        for name, value in said.items():
            keys = where if where[-2] == "values" else (*where, name)
            if name not in known:
                self._wrong(keys, f"{name} is no field that a {course.kind} is read with{did_you_mean(name, known)}")
                continue
            try:
                fields[name] = self._value(FIELD_TYPES[name], value)
            except ValueError as error:
                self._wrong(keys, str(error))
        return fields

    def _value(self, type_: ValueType, value: object) -> Value:
        """A value as TOML has it, as the type of its field wants it. Raises ValueError."""
        if value is UNKNOWN or (value == "unknown" and type_ is not ValueType.TEXT):
            return UNKNOWN
        if value == "unlimited" and type_ is ValueType.NUMBER:
            return UNLIMITED
        if type_ is ValueType.NUMBER and isinstance(value, int | Decimal) and not isinstance(value, bool):
            return Decimal(value)
        if type_ is ValueType.BOOL and isinstance(value, bool):
            return value
        if type_ is ValueType.TEXT and isinstance(value, str):
            return value
        if type_ is ValueType.TIME and isinstance(value, date | str):
            return self._time(value)
        raise ValueError(f"expected {_EXPECTED[type_]}")

    def _time(self, value: date | str) -> datetime:
        if isinstance(value, datetime):
            return utc(value, self.clock.zone)
        if isinstance(value, date):
            return utc(datetime.combine(value, time()), self.clock.zone)
        back = value.startswith("-")
        try:
            length = parse_duration(value.removeprefix("-"))
        except ValueError as error:
            raise ValueError(f"expected {_EXPECTED[ValueType.TIME]}") from error
        return self.clock.start - length if back else self.clock.start + length

    def _wrong(self, keys: Keys, what: str) -> None:
        self.problems.append(Problem(keys=keys, what=what))


_EXPECTED: Final[Mapping[ValueType, str]] = {
    ValueType.BOOL: 'true, false or "unknown"',
    ValueType.TEXT: "text in quotes",
    ValueType.NUMBER: 'a number, "unlimited" or "unknown"',
    ValueType.TIME: 'a date, how long after the start ("30d", "-1h" for before), or "unknown"',
}


def make_polls(seen: Iterable[Seen], clock: Clock, providers: Mapping[str, str]) -> list[tuple[timedelta, Poll]]:
    """One poll for all that is seen of an account at one time."""
    visits: dict[tuple[timedelta, str], list[Seen]] = {}
    for one in seen:
        visits.setdefault((one.at, one.course.key.account), []).append(one)
    return [
        (elapsed, _poll(account, providers[account], clock.at(elapsed), together))
        for (elapsed, account), together in sorted(visits.items(), key=lambda visit: visit[0])
    ]


def _poll(account: str, provider: str, at: datetime, together: list[Seen]) -> Poll:
    answered = [one for one in together if not one.outage]
    return Poll(
        account=account,
        provider=provider,
        at=at,
        readings=tuple(_reading(one, at) for one in answered if not one.gone),
        outages=tuple(
            Outage(request=one.course.key.meter, cause=one.outage, detail=f"{one.outage}, as the test has it")
            for one in together
            if one.outage
        ),
        answered=frozenset(family(one.course.key.meter) for one in answered),
    )


def _reading(one: Seen, at: datetime) -> Reading:
    course = one.course
    return Reading(
        key=course.key, kind=course.kind, unit=course.unit, as_of=at, fields=one.fields, rolling=course.rolling
    )
