"""What makes an episode begin anew (a new period, another currency), and changed values, which are only noted."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from budgetd_rules.kinds import Kind
from budgetd_rules.memory import Change, ChangeKind, Reason, Rollover, Watch, episode_id
from budgetd_rules.meters import HOUR, View
from budgetd_rules.reminders import passed_steps
from budgetd_rules.rule import Level, Rule
from budgetd_rules.values import UNKNOWN

_JITTER: Final = timedelta(seconds=30)


# What a period ends with, by kind: a subscription is renewed, a spend starts at nothing again.
_WINDOW_ENDS: Final = {
    Kind.BALANCE: "resets_at",
    Kind.QUOTA: "resets_at",
    Kind.SPEND: "period_end",
    Kind.SUBSCRIPTION: "expires_at",
}


def follow_window(rule: Rule, watch: Watch, view: View, now: datetime) -> tuple[Watch, bool]:
    """The watch with the period that the reading is in, and whether that is a new period.

    An end that moves before the period is over only corrects it (a changed plan, an early renewal), and one that moves
    by seconds is the same end. The first reading of a new period is not believed, because its numbers may lag behind.
    """
    reading = view.reading
    ends_at = None if reading.rolling else reading.time(_WINDOW_ENDS.get(reading.kind, ""))
    if ends_at is None or ends_at == watch.window:
        return (replace(watch, rollover=None) if ends_at and watch.rollover else watch), False
    if watch.window is None:
        return replace(watch, window=ends_at), False
    tolerance = max(min(HOUR, (ends_at - now) / 10), _JITTER)
    if abs(ends_at - watch.window) <= tolerance:
        return (replace(watch, rollover=None) if watch.rollover else watch), False
    moved = replace(watch, window=ends_at, rollover=None, told_steps=watch.told_steps & passed_steps(rule, view))
    if now < watch.window - tolerance or ends_at < watch.window or watch.episode is None:
        return moved, False
    seen = watch.rollover
    if seen is None or abs(ends_at - seen.resets_at) > tolerance:
        return replace(watch, rollover=Rollover(resets_at=ends_at, as_of=reading.as_of)), False
    if reading.as_of <= seen.as_of:
        return watch, False
    return moved, True


# --- what is compared with the last time


def follow_currency(watch: Watch, view: View) -> tuple[Watch, bool]:
    """The watch with its currency, and whether that has changed: amounts of two currencies are never compared."""
    currency = view.fields.get("currency")
    if not isinstance(currency, str) or currency == watch.currency:
        return watch, False
    return replace(watch, currency=currency), watch.currency is not None


def note_changes(rule: Rule, watch: Watch, view: View, now: datetime) -> tuple[Watch, Change | None]:
    """The change that `on_change` asks for, if any. The first known value is the baseline; unknown ones are skipped."""
    if not rule.on_change:
        return watch, None
    known = {name: value for name in rule.on_change if (value := view.fields.get(name, UNKNOWN)) is not UNKNOWN}
    changed = {name: value for name, value in known.items() if watch.known.get(name, value) != value}
    if known.items() <= watch.known.items():
        return watch, None
    remembering = replace(watch, known={**watch.known, **known})
    if not changed:
        return remembering, None
    note = Change(
        id=f"{episode_id(watch.key, now)}.note",
        episode=None,
        key=watch.key,
        kind=ChangeKind.NOTED,
        old=None,
        new=Level.INFO,
        at=now,
        reason=Reason.VALUE_CHANGED,
        values=changed,
        before={name: watch.known[name] for name in changed},
    )
    return remembering, note
