"""Meters: one reading of a meter, and that reading as it stands at a later instant.

A *reading* holds what the vendor said. A *view* is the reading at an instant: derived fields computed, day
counts aged, and what has gone stale made unknown. Every field of a kind is computed here and nowhere else.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from budgetd_rules.kinds import KINDS, OUTLASTS_STALENESS, Kind
from budgetd_rules.values import (
    UNKNOWN,
    UNLIMITED,
    Number,
    Value,
    as_number,
    at_least_zero,
    compare,
    divide,
    excess,
    percent,
    subtract,
)

DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)


def family(meter: str) -> str:
    """The meter of the provider file that this one comes from: `schedule` for `schedule/2026-07`."""
    return meter.partition("/")[0]


def require_utc(moment: datetime) -> None:
    if moment.tzinfo is not UTC:
        raise ValueError(f"a record takes aware UTC times, not {moment!r}")


class MeterKey(NamedTuple):
    account: str
    meter: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One credential at one provider, as far as the rules and the messages need to know it.

    `same_as` names the account that is the same one at the vendor. The meters are judged there; only the connection is
    judged here.
    """

    name: str
    provider: str
    title: str
    labels: Mapping[str, str] = field(default_factory=dict)
    owner: str | None = None
    refill: str | None = None
    at_zero: str | None = None
    same_as: str | None = None
    stale_after: timedelta

    def judges(self, kind: Kind) -> bool:
        return self.same_as is None or kind is Kind.CONNECTION


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One meter as one poll saw it; a field that is not there is unknown.

    `rolling` marks a meter whose `resets_at` moves with every request (a rate limit): it has no windows.
    """

    key: MeterKey
    kind: Kind
    unit: str
    as_of: datetime
    fields: Mapping[str, Value]
    rolling: bool = False

    def __post_init__(self) -> None:
        require_utc(self.as_of)
        for value in self.fields.values():
            if isinstance(value, datetime):
                require_utc(value)

    def number(self, name: str) -> Number:
        return as_number(self.fields.get(name, UNKNOWN))

    def time(self, name: str) -> datetime | None:
        value = self.fields.get(name)
        return value if isinstance(value, datetime) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A reading at an instant: all fields of its kind, derived ones too; what is missing or stale is unknown."""

    reading: Reading
    fields: Mapping[str, Value]
    stale: bool

    @property
    def key(self) -> MeterKey:
        return self.reading.key

    @property
    def headline(self) -> Value:
        return self.fields[KINDS[self.reading.kind].headline]


def days_until(moment: datetime, now: datetime) -> Decimal:
    """Whole days, rounded up: one second before the end it is still 1, at the end 0, a day later -1."""
    return Decimal(-((now - moment) // DAY))


def whole_days_since(moment: datetime, now: datetime) -> Decimal:
    return Decimal((now - moment) // DAY)


def hours_between(start: datetime, end: datetime) -> Decimal:
    """Hours to the hundredth, rounded down."""
    return Decimal((end - start) // (HOUR / 100)) / 100


def is_stale(reading: Reading, now: datetime, stale_after: timedelta) -> bool:
    return now - reading.as_of > stale_after


def view(reading: Reading, now: datetime, stale_after: timedelta, burn_per_day: Number = UNKNOWN) -> View:
    """The reading at `now`. A field that the vendor gives is not derived; only its days are aged."""
    stale = is_stale(reading, now, stale_after)
    fields: dict[str, Value] = dict.fromkeys(KINDS[reading.kind].all, UNKNOWN)
    for name, value in reading.fields.items():
        if name in fields and (not stale or name in _outlasting(reading)):
            fields[name] = value
    derived = _DERIVE[reading.kind](fields, reading, now)
    for name, value in derived.items():
        if fields[name] is UNKNOWN:
            fields[name] = value
    if "days_until_expiry" in fields:
        fields["days_until_expiry"] = _days_until_expiry(reading, now)
    if reading.kind is Kind.BALANCE and not stale:
        fields["burn_per_day"] = burn_per_day
        fields["runway_days"] = _runway_days(as_number(fields["remaining"]), burn_per_day)
    if reading.kind is Kind.CONNECTION:
        fields["blind"] = _is_blind(reading, now, stale_after)
    return View(reading=reading, fields=fields, stale=stale)


def _days_until_expiry(reading: Reading, now: datetime) -> Value:
    counted = reading.number("days_until_expiry")
    if counted is not UNKNOWN:
        return subtract(counted, max(whole_days_since(reading.as_of, now), Decimal(0)))
    expires_at = reading.time("expires_at")
    return days_until(expires_at, now) if expires_at else UNKNOWN


def _fails(reading: Reading, times: int = 1) -> bool:
    """Whether at least this many polls in a row failed."""
    return compare(operator.ge, reading.number("failures"), Decimal(times)) is True


def _outlasting(reading: Reading) -> frozenset[str]:
    """The fields that stay known when it is stale. Failures last until a poll succeeds."""
    return OUTLASTS_STALENESS | _HOW_POLLS_FAIL if _fails(reading) else OUTLASTS_STALENESS


_HOW_POLLS_FAIL: Final = frozenset({"failures", "cause", "detail"})

# Fewer may be a hiccup, such as a network that is not up yet after a start.
_BLIND_AFTER: Final = 3


def _is_blind(reading: Reading, now: datetime, stale_after: timedelta) -> bool:
    """Whether polls fail, and none has succeeded for longer than `stale_after`.

    The time in which budgetd was down, or the machine slept, does not count: only failed polls do, or that the vendor
    asks us to wait that long.
    """
    last_success_at, retry_until = reading.time("last_success_at"), reading.time("retry_until")
    if last_success_at is None:
        return _fails(reading, _BLIND_AFTER)
    if retry_until:
        return _fails(reading) and max(reading.as_of, min(now, retry_until)) - last_success_at > stale_after
    return _fails(reading, _BLIND_AFTER) and reading.as_of - last_success_at > stale_after


def _runway_days(remaining: Number, burn_per_day: Number) -> Number:
    if compare(operator.gt, burn_per_day, Decimal(0)) is not True:
        return UNKNOWN
    return at_least_zero(divide(remaining, burn_per_day))


# --- by kind: from the fields as they stand, and from the reading for times, which outlast staleness

Fields = Mapping[str, Value]


def _balance(fields: Fields, _reading: Reading, _now: datetime) -> dict[str, Value]:
    remaining, granted, used = (as_number(fields[name]) for name in ("remaining", "granted", "used"))
    # A share of a grant without limit means nothing: nought percent left would be a false alarm.
    remaining_percent = UNKNOWN if granted is UNLIMITED else percent(remaining, granted)
    used_percent = subtract(Decimal(100), remaining_percent)
    return {
        "remaining_percent": remaining_percent,
        "used_percent": used_percent if used_percent is not UNKNOWN else percent(used, granted),
        "overage": excess(Decimal(0), remaining) if remaining is not UNKNOWN else excess(used, granted),
    }


def _quota(fields: Fields, reading: Reading, now: datetime) -> dict[str, Value]:
    limit, used, remaining = (as_number(fields[name]) for name in ("limit", "used", "remaining"))
    if used is UNKNOWN:
        used = subtract(limit, remaining) if isinstance(limit, Decimal) else UNKNOWN
    if remaining is UNKNOWN:
        remaining = UNLIMITED if limit is UNLIMITED else subtract(limit, used)
    resets_at = reading.time("resets_at")
    return {
        "used": used,
        "remaining": remaining,
        "used_percent": percent(used, limit),
        "overage": excess(used, limit) if used is not UNKNOWN else excess(Decimal(0), remaining),
        "hours_until_reset": hours_between(now, resets_at) if resets_at else UNKNOWN,
    }


def _spend(fields: Fields, _reading: Reading, _now: datetime) -> dict[str, Value]:
    return {"used_percent": percent(as_number(fields["amount"]), as_number(fields["limit"]))}


def _subscription(_fields: Fields, reading: Reading, now: datetime) -> dict[str, Value]:
    changes_at, paid_at = reading.time("changes_at"), reading.time("last_payment_at")
    return {
        "days_until_change": days_until(changes_at, now) if changes_at else UNKNOWN,
        "days_since_payment": whole_days_since(paid_at, now) if paid_at else UNKNOWN,
    }


def _charge(_fields: Fields, reading: Reading, now: datetime) -> dict[str, Value]:
    due_at = reading.time("due_at")
    return {"days_until_due": days_until(due_at, now) if due_at else UNKNOWN}


def _cap(_fields: Fields, _reading: Reading, _now: datetime) -> dict[str, Value]:
    return {}


def _connection(_fields: Fields, reading: Reading, now: datetime) -> dict[str, Value]:
    last_success_at = reading.time("last_success_at")
    return {"hours_since_success": hours_between(last_success_at, now) if last_success_at else UNKNOWN}


_DERIVE: Final[Mapping[Kind, Callable[[Fields, Reading, datetime], dict[str, Value]]]] = {
    Kind.BALANCE: _balance,
    Kind.QUOTA: _quota,
    Kind.SPEND: _spend,
    Kind.SUBSCRIPTION: _subscription,
    Kind.CHARGE: _charge,
    Kind.CAP: _cap,
    Kind.CONNECTION: _connection,
}
