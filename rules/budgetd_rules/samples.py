"""Messages as they may come, made up: for trying a channel's template, before a real one is told through it."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum
from typing import Final

from budgetd_rules.entries import Fact
from budgetd_rules.kinds import Kind
from budgetd_rules.lines import Line, Told
from budgetd_rules.memory import Change, ChangeKind, Episode, Reason, WatchKey
from budgetd_rules.messages import LINES_IN_FULL, Message, compose
from budgetd_rules.meters import DAY, HOUR, Account, MeterKey, Reading, view
from budgetd_rules.rule import EASE_FOR, Level, Rule, RuleText, Selector, build_rule
from budgetd_rules.values import Value


class Sample(StrEnum):
    OPENED = "opened"
    REMINDER = "reminder"
    RESOLVED = "resolved"
    NOTED = "noted"
    MANY = "many"


_ACCOUNT: Final = Account(
    name="sample",
    provider="sample",
    title="Sample vendor",
    labels={"team": "sample"},
    owner="owner@sample.example",
    refill="https://sample.example/billing",
    at_zero="calls stop",
    stale_after=HOUR,
)
# By kind: a meter, its unit, and conditions for warning and critical.
_METERS: Final[Mapping[Kind, tuple[str, str, str, str]]] = {
    Kind.BALANCE: ("credits", "credits", "remaining_percent < 20", "remaining_percent < 5"),
    Kind.QUOTA: ("turns", "turns", "used_percent >= 80", "used_percent >= 95"),
    Kind.SUBSCRIPTION: ("subscription", "", "days_until_expiry <= 30", "days_until_expiry <= 3"),
    Kind.SPEND: ("usage", "USD", "amount > 50", "amount > 500"),
    Kind.CHARGE: ("invoice", "USD", "days_until_due <= 7", "days_until_due <= 1"),
    Kind.CONNECTION: ("connection", "", "failures >= 3", "failures >= 30"),
}


def sample(which: Sample, zone: tzinfo, now: datetime) -> Message:
    return compose(list(_facts(which, now)), zone, now)


def _facts(which: Sample, now: datetime) -> Iterator[Fact]:
    match which:
        case Sample.OPENED:
            yield _fact(Told.OPENED, Kind.BALANCE, now)
        case Sample.REMINDER:
            yield _fact(Told.REMINDED, Kind.SUBSCRIPTION, now, Level.WARNING)
        case Sample.RESOLVED:
            yield _fact(Told.RESOLVED, Kind.BALANCE, now)
        case Sample.NOTED:
            yield _fact(Told.NOTED, Kind.SUBSCRIPTION, now, Level.INFO)
        case Sample.MANY:
            for number, kind in enumerate(_METERS, start=1):
                yield _fact(Told.OPENED, kind, now, Level.CRITICAL if number % 2 else Level.WARNING, number)
            yield _fact(Told.OPENED, Kind.BALANCE, now, number=LINES_IN_FULL - 1, age=2 * HOUR)
            yield _fact(Told.RESOLVED, Kind.QUOTA, now, number=LINES_IN_FULL)
            yield _fact(Told.RESOLVED, None, now, number=LINES_IN_FULL + 1)


_ENDS: Final = {Kind.BALANCE: Reason.TOPPED_UP, Kind.QUOTA: Reason.ROLLED_OVER, None: Reason.GONE}


def _fact(
    told: Told,
    kind: Kind | None,
    now: datetime,
    level: Level = Level.CRITICAL,
    number: int = 1,
    age: timedelta = timedelta(0),
) -> Fact:
    """Of a meter of this kind; of one that is gone, for no kind. Past an hour it is stale."""
    meter, unit = _METERS[kind][:2] if kind else ("old", "")
    rule = _rule(kind) if kind else None
    key = WatchKey(rule.name if rule else "sample-old", _ACCOUNT.name, meter)
    over, noted = told is Told.RESOLVED, told is Told.NOTED
    episode = Episode(
        id=f"sample{number}",
        key=key,
        level=level,
        peak=level,
        opened_at=now - 2 * HOUR,
        ended_at=now if over else None,
        end=_ENDS.get(kind, Reason.CLEARED) if over else None,
        worst=Decimal(90),
    )
    change = Change(
        id=f"{episode.id}.1",
        episode=None if noted else episode.id,
        key=key,
        kind=ChangeKind(told),
        old=None,
        new=None if over else level,
        at=now,
        reason=Reason.VALUE_CHANGED if noted else Reason.CONDITION_TRUE,
        values={"plan": "Enterprise"} if noted else {},
        before={"plan": "Pro"} if noted else {},
    )
    line = Line(told=told, episode=None if noted else episode, change=change, notices=(change.id,))
    seen = None
    if kind:
        values = _fields(kind, now, is_fine=over)
        reading = Reading(key=MeterKey(key.account, meter), kind=kind, unit=unit, as_of=now - age, fields=values)
        seen = view(reading, now, HOUR)
    return Fact(line=line, account=_ACCOUNT, rule=rule, view=seen)


def _rule(kind: Kind) -> Rule:
    *_, warning, critical = _METERS[kind]
    text = RuleText(
        on=Selector(kinds=frozenset({kind})),
        levels={Level.WARNING: warning, Level.CRITICAL: critical},
        clear={},
        unless=None,
        sustain={},
        ease_for=EASE_FOR,
        remind=None,
    )
    return build_rule(f"sample-{kind}", text)


def _fields(kind: Kind, now: datetime, *, is_fine: bool) -> Mapping[str, Value]:
    left, used = (Decimal("40212.50"), Decimal(12)) if is_fine else (Decimal("212.50"), Decimal(970))
    fields: dict[Kind, dict[str, Value]] = {
        Kind.BALANCE: {"remaining": left, "granted": Decimal(50_000)},
        Kind.QUOTA: {"used": used, "limit": Decimal(1000), "resets_at": now + HOUR},
        Kind.SUBSCRIPTION: {"expires_at": now + 3 * DAY, "plan": "Enterprise", "auto_renew": False},
        Kind.SPEND: {"amount": Decimal("612.3"), "currency": "USD", "limit": Decimal(1000)},
        Kind.CHARGE: {"amount": Decimal(500), "currency": "USD", "due_at": now + timedelta(hours=20)},
        Kind.CONNECTION: {"failures": Decimal(31), "cause": "unreachable", "reachable": False},
    }
    return fields[kind]
