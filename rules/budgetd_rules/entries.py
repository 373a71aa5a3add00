"""Entries: the texts of each line of a message, by name. The built-in messages and the templates are made of them.

The texts are harmless already; `values` are the same fields as plain values, for conditions in a template.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import Decimal

from budgetd_rules.evaluation import evaluate
from budgetd_rules.kinds import KINDS
from budgetd_rules.lines import Line, Told
from budgetd_rules.memory import Change, Reason
from budgetd_rules.meters import Account, View
from budgetd_rules.own_account import channel_of
from budgetd_rules.rule import Rule
from budgetd_rules.sanitizing import addressed, condition, harmless, web_link
from budgetd_rules.values import UNKNOWN, Unknown, Unlimited, Value
from budgetd_rules.wording import describe, moment, show, show_field, show_percent


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A line with its account, its rule if there still is one, and the present view of its meter, if known."""

    line: Line
    account: Account
    rule: Rule | None
    view: View | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The names are those that templates use, so they must not change (docs/messages.md). "" is for nothing to say."""

    account: str
    vendor: str
    labels: Mapping[str, str]
    meter: str
    kind: str
    rule: str
    level: str
    told: str
    heading: str
    state: str
    as_of: str
    since: str
    course: str
    detail: str
    conditions: tuple[tuple[str, str], ...]
    on_change: tuple[str, ...]
    now: str
    at_zero: str
    owner: str
    refill: str
    link: str
    ack: str
    episode: str
    is_over: bool
    is_stale: bool
    may_repeat: bool
    handed: str
    fields: Mapping[str, str]
    values: Mapping[str, "PlainValue"]


PlainValue = Decimal | bool | str | datetime | None


def entry(fact: Fact, zone: tzinfo, now: datetime) -> Entry:
    line, account, rule, view = fact.line, fact.account, fact.rule, fact.view
    fields = view.fields if view else {}
    over, link = line.is_over, web_link(account.refill or "") or ""
    return Entry(
        account=harmless(account.name),
        vendor=harmless(account.title),
        labels={harmless(name): addressed(text) for name, text in account.labels.items()},
        meter=harmless(line.change.key.meter),
        kind=view.reading.kind.value if view else "",
        rule=harmless(line.change.key.rule),
        level=line.level.label,
        told=line.told.value,
        heading=_heading(line),
        state=_state(fact, zone, now),
        as_of=_as_of(view, zone, now),
        since=moment(line.episode.opened_at if line.episode else line.change.at, zone, now),
        course=_course(fact, zone, now),
        detail=_show_known(fields.get("detail", UNKNOWN)),
        conditions=_conditions(rule),
        on_change=rule.on_change if rule else (),
        now="" if over else _now(fact),
        at_zero="" if over else _at_zero(fact),
        owner="" if over else addressed(account.owner or ""),
        refill="" if over else link or addressed(account.refill or ""),
        link="" if over else link,
        ack=f"budgetd ack {line.episode.id}" if line.episode and not over else "",
        episode=line.change.episode or line.change.id,
        is_over=over,
        is_stale=view is not None and view.stale,
        may_repeat=line.may_repeat,
        handed=harmless(line.handed or ""),
        fields={name: show_field(view, name, value) for name, value in fields.items()},
        values={name: _plain(value) for name, value in fields.items()},
    )


def _heading(line: Line) -> str:
    if line.is_over or line.told is Told.NOTED:
        return line.told.upper()
    level = line.level.label.upper()
    return f"REMINDER {level}" if line.told is Told.REMINDED else level


def _state(fact: Fact, zone: tzinfo, now: datetime) -> str:
    meter = harmless(fact.line.change.key.meter)
    if fact.line.told is Told.NOTED:
        return f"{meter}: {_differences(fact.line.change, fact.view)}"
    if fact.view is None:
        channel = channel_of(*fact.line.change.key.of_meter)
        gone = f"channel {harmless(channel)} left the config" if channel else f"{meter} is gone"
        return gone if fact.line.is_over else f"{meter}: nothing read yet"
    return describe(fact.view, zone, now) + _again(fact)


def _again(fact: Fact) -> str:
    """What is over may have begun anew: another episode tells that, but the value shown here is already bad again."""
    if not fact.line.is_over or fact.rule is None or fact.view is None:
        return ""
    levels = [level for level, truth in evaluate(fact.rule, fact.view, {}).levels.items() if truth is True]
    return f", {max(levels).label} again" if levels else ""


def _differences(change: Change, view: View | None) -> str:
    """`plan Pro before, Enterprise now`, for each value that changed; `then`, if it has changed again."""
    fields = view.fields if view else {}
    return "; ".join(
        f"{name} {show_field(view, name, change.before.get(name, UNKNOWN))} before, "
        f"{show_field(view, name, value)} {'now' if fields.get(name, UNKNOWN) in (value, UNKNOWN) else 'then'}"
        for name, value in change.values.items()
    )


def _as_of(view: View | None, zone: tzinfo, now: datetime) -> str:
    """Of a stale reading only dates are still known, as they were last read."""
    if view is None:
        return ""
    as_of = moment(view.reading.as_of, zone, now)
    if not view.stale:
        return f"as of {as_of}"
    return f"last read {as_of}" if view.headline is UNKNOWN else f"as last read {as_of}"


def _course(fact: Fact, zone: tzinfo, now: datetime) -> str:
    """Since when it has been bad, or from when to when it was."""
    episode = fact.line.episode
    if episode is None:
        return f"Noted {moment(fact.line.change.at, zone, now)}"
    opened = moment(episode.opened_at, zone, now)
    if episode.ended_at is not None:
        ended = moment(episode.ended_at, zone, now)
        return f"Was {episode.peak.label} from {opened} to {ended}{_worst(fact)}: {episode.end}{_by_how_much(fact)}"
    if fact.line.told in (Told.OPENED, Told.WORSENED) and episode.peak > episode.level:
        return f"Since {opened}, {episode.peak.label} meanwhile"
    if fact.line.told is Told.WORSENED and fact.line.change.old is not None:
        return f"Since {opened}, {fact.line.change.old.label} before"
    if fact.line.told is Told.REMINDED:
        is_known = fact.view is not None and fact.view.headline is not UNKNOWN
        return f"Since {opened}, {'still so' if is_known else 'and nobody knows whether it still is so'}"
    return f"Since {opened}"


def _by_how_much(fact: Fact) -> str:
    """The size of a top-up: from the least that was left to what is left now, unless there was a reading since."""
    episode, left = fact.line.episode, fact.view.headline if fact.view else UNKNOWN
    if episode is None or fact.view is None or fact.view.reading.as_of > fact.line.change.at:
        return ""
    if episode.end is Reason.TOPPED_UP and isinstance(left, Decimal) and isinstance(episode.worst, Decimal):
        return f" by {show_field(fact.view, 'remaining', left - episode.worst)}"
    return ""


def _worst(fact: Fact) -> str:
    worst = fact.line.episode.worst if fact.line.episode else UNKNOWN
    if not isinstance(worst, Decimal):
        return ""
    headline = KINDS[fact.view.reading.kind].headline if fact.view else ""
    is_share = headline.endswith("_percent")
    return f" (worst {show_percent(worst) if is_share else show_field(fact.view, headline, worst)})"


def _conditions(rule: Rule | None) -> tuple[tuple[str, str], ...]:
    """The worst level first."""
    levels = rule.levels if rule else {}
    return tuple((level.label, condition(levels[level].text)) for level in sorted(levels, reverse=True))


def _now(fact: Fact) -> str:
    """The fields that the rule's levels read, as they are now."""
    if fact.rule is None or fact.view is None:
        return ""
    names = sorted({name for level in fact.rule.levels.values() for name in level.names})
    values = [(name, fact.view.fields[name]) for name in names if name in fact.view.fields]
    return ", ".join(f"{name} {show_field(fact.view, name, value)}" for name, value in values)


def _at_zero(fact: Fact) -> str:
    """What happens at zero: as the config says, else what the vendor says of overage."""
    if fact.account.at_zero:
        return addressed(fact.account.at_zero)
    fields = fact.view.fields if fact.view else {}
    allowed, price = fields.get("overage_allowed", UNKNOWN), fields.get("overage_price", UNKNOWN)
    if allowed is True:
        each = f", at {show_field(fact.view, 'overage_price', price)} each" if price is not UNKNOWN else ""
        return f"overage begins{each}"
    return "it stops (no overage)" if allowed is False else ""


def _show_known(value: Value) -> str:
    return "" if value is UNKNOWN else show(value)


def _plain(value: Value) -> PlainValue:
    if isinstance(value, Unknown):
        return None
    if isinstance(value, Unlimited):
        return Decimal("Infinity")
    if isinstance(value, tuple):
        return show(value)
    return harmless(value) if isinstance(value, str) else value
