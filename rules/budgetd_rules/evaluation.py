"""One rule on one view: which of its conditions are true, false or unknown."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from budgetd_rules.meters import DAY, HOUR, Reading, View
from budgetd_rules.rule import Level, Rule
from budgetd_rules.values import UNKNOWN, Truth, Value

Siblings = Mapping[str, View]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether each level's condition is true, and whether the level is `left`.

    `cleared`: the rule's own `clear` is true. `excused`: its `unless` is true, so that no level counts.
    """

    levels: Mapping[Level, Truth]
    left: Mapping[Level, Truth]
    cleared: bool
    excused: bool = False

    @property
    def worst(self) -> Level | None:
        """The worst level that is definitely true."""
        return max((level for level, truth in self.levels.items() if truth is True), default=None)

    @property
    def is_incomplete(self) -> bool:
        """Whether some level is unknown."""
        return UNKNOWN in self.levels.values()


class Observation(NamedTuple):
    """What one judging of a watch goes by: a rule's verdict on the view of a meter, at this time."""

    rule: Rule
    verdict: Verdict
    view: View
    now: datetime
    stale_after: timedelta


def evaluate(rule: Rule, view: View, siblings: Siblings) -> Verdict:
    """The verdict on each level by itself. A level is left when its `clear` is true or, without one, when it is false.

    While `unless` is definitely true, no level is.
    """
    lookup = look_up(view, siblings)
    if rule.unless is not None and rule.unless.truth(lookup) is True:
        return Verdict(
            levels=dict.fromkeys(rule.levels, False), left=dict.fromkeys(rule.levels, True), cleared=True, excused=True
        )
    levels = {level: condition.truth(lookup) for level, condition in rule.levels.items()}
    left = {level: _not(truth) for level, truth in levels.items()}
    left |= {level: condition.truth(lookup) for level, condition in rule.clear.items()}
    mildest = min(rule.levels, default=Level.INFO)
    return Verdict(levels=levels, left=left, cleared=mildest in rule.clear and left[mildest] is True)


def look_up(view: View, siblings: Siblings) -> Callable[[str], Value]:
    fields = view.fields

    def lookup(name: str) -> Value:
        if name in fields:
            return fields[name]
        meter, _, own = name.rpartition(".")
        sibling = siblings.get(meter)
        return sibling.fields.get(own, UNKNOWN) if sibling else UNKNOWN

    return lookup


def decisive_values(rule: Rule, view: View, siblings: Siblings) -> dict[str, Value]:
    """The fields that the rule read, for the record of a change."""
    lookup = look_up(view, siblings)
    return {name: lookup(name) for name in sorted(rule.names)}


def _not(truth: Truth) -> Truth:
    return UNKNOWN if truth is UNKNOWN else not truth


def next_changes(reading: Reading, names: frozenset[str], now: datetime, stale_after: timedelta) -> list[datetime]:
    """When these fields next change by the clock alone, so that a rule on them is judged without a poll."""
    if names.isdisjoint(_CLOCKED):  # as nearly all are
        return []
    instants = (instant(reading, now, stale_after) for name, instant in _CLOCKED.items() if name in names)
    return [instant for instant in instants if instant]


def _blindness(reading: Reading, now: datetime, stale_after: timedelta) -> datetime | None:
    """The first instant past `stale_after` if the vendor asks us to wait longer; otherwise only polls make it blind."""
    last_success_at, retry_until = reading.time("last_success_at"), reading.time("retry_until")
    if not (last_success_at and retry_until):
        return None
    begins = last_success_at + stale_after + timedelta.resolution
    return begins if now < begins <= retry_until else None


def _expiry(reading: Reading, now: datetime, _stale_after: timedelta) -> datetime | None:
    if isinstance(reading.fields.get("days_until_expiry"), Decimal):
        return _next_tick(reading.as_of, now)
    return _end(reading, "expires_at", now)


def _end(reading: Reading, name: str, now: datetime) -> datetime | None:
    moment = reading.time(name)
    return _next_tick(moment, now) if moment else None


def _next_tick(anchor: datetime, now: datetime) -> datetime:
    """The next instant after `now` that is a whole number of days from the anchor."""
    return now + DAY - (now - anchor) % DAY


def _minute(_reading: Reading, now: datetime, _stale_after: timedelta) -> datetime:
    return now + HOUR / 60


_CLOCKED: Mapping[str, Callable[[Reading, datetime, timedelta], datetime | None]] = {
    "blind": _blindness,
    "days_until_expiry": _expiry,
    "days_until_change": lambda reading, now, _: _end(reading, "changes_at", now),
    "days_until_due": lambda reading, now, _: _end(reading, "due_at", now),
    "days_since_payment": lambda reading, now, _: _end(reading, "last_payment_at", now),
    "hours_since_success": _minute,
    "hours_until_reset": _minute,
}
