"""Records with defaults, so that a test says only what it is about."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from budgetd_rules.kinds import Kind
from budgetd_rules.memory import Change, ChangeKind, Episode, Reason, WatchKey
from budgetd_rules.meters import Account, MeterKey, Reading, View, view
from budgetd_rules.rule import Clockwork, Level, Rule, RuleText, Selector, Steps, build_rule
from budgetd_rules.values import UNKNOWN, Value

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
STALE_AFTER = timedelta(hours=1)
Number = int | str


def minutes(count: float) -> datetime:
    """This many minutes after noon."""
    return NOON + timedelta(minutes=count)


def account(name: str = "voice", provider: str = "cekura", **labels: str) -> Account:
    return Account(
        name=name,
        provider=provider,
        title="Cekura",
        labels=labels,
        owner="voice@acme.example",
        refill="https://dashboard.example/billing",
        at_zero="calls stop",
        stale_after=STALE_AFTER,
    )


def reading(
    meter: str = "credits",
    kind: Kind = Kind.BALANCE,
    *,
    account: str = "voice",
    unit: str = "credits",
    as_of: datetime = NOON,
    rolling: bool = False,
    fields: Mapping[str, Value | int] | None = None,
    **more: Value | int,
) -> Reading:
    """Whole numbers stand for decimals."""
    values = {name: _value(value) for name, value in {**(fields or {}), **more}.items()}
    return Reading(key=MeterKey(account, meter), kind=kind, unit=unit, as_of=as_of, fields=values, rolling=rolling)


def _value(value: Value | int) -> Value:
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value


def viewed(one: Reading, now: datetime | None = None) -> View:
    return view(one, now or one.as_of, STALE_AFTER)


def rule(
    name: str = "low-credits",
    *,
    kind: Kind = Kind.BALANCE,
    warning: str | None = "remaining < 500",
    critical: str | None = "remaining < 100",
    clear: str | Mapping[Level, str] = "",
    unless: str | None = None,
    sustain: Mapping[Level, timedelta] | None = None,
    ease_for: timedelta = timedelta(hours=1),
    remind: Clockwork | Steps | None = None,
    on: Selector | None = None,
    on_change: tuple[str, ...] = (),
) -> Rule:
    levels = {Level.WARNING: warning, Level.CRITICAL: critical}
    if isinstance(clear, str):
        clear = dict.fromkeys((level for level, text in levels.items() if text), clear) if clear else {}
    return build_rule(
        name,
        RuleText(
            on=on or Selector(kinds=frozenset({kind})),
            levels={level: text for level, text in levels.items() if text},
            clear=clear,
            unless=unless,
            sustain=sustain or {},
            ease_for=ease_for,
            remind=remind,
            on_change=on_change,
        ),
    )


def episode(
    id: str = "e1",
    level: Level = Level.WARNING,
    *,
    rule: str = "low-credits",
    account: str = "voice",
    meter: str = "credits",
    peak: Level | None = None,
    opened_at: datetime = NOON,
    ended_at: datetime | None = None,
    end: Reason | None = None,
    worst: Value | int = UNKNOWN,
) -> Episode:
    """The default reason of an episode that has ended is that it was cleared."""
    return Episode(
        id=id,
        key=WatchKey(rule, account, meter),
        level=level,
        peak=level if peak is None else peak,
        opened_at=opened_at,
        ended_at=ended_at,
        end=end or (Reason.CLEARED if ended_at else None),
        worst=_value(worst),
    )


def change(
    kind: ChangeKind, of: Episode | None = None, *, number: int = 1, old: Level | None = None, at: datetime = NOON
) -> Change:
    of = of or episode()
    return Change(
        id=f"{of.id}.{number}",
        episode=of.id,
        key=of.key,
        kind=kind,
        old=old,
        new=None if kind is ChangeKind.RESOLVED else of.level,
        at=at,
        reason=Reason.CONDITION_TRUE,
    )
