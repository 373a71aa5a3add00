"""Messages: what is told, in words. The values are those of now, not those of the change.

A title fits a lock screen; the body says how much, the threshold, as of when, since when, what happens at zero,
who owns it and where to refill. Whatever a vendor or a config supplied is made harmless before it stands in a text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import Decimal
from itertools import groupby
from typing import Final

from budgetd_rules.memory import Change, Reason
from budgetd_rules.meters import KINDS, Account, View
from budgetd_rules.rule import Level, Rule
from budgetd_rules.settlement import Line, Told
from budgetd_rules.values import UNKNOWN
from budgetd_rules.wording import describe, harmless, moment, show, show_percent

LINES_IN_FULL: Final = 8
# The built-in rule of accounts that can't be polled any more.
BLIND: Final = "blind"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A line with what a message says of it: its account, its rule, and the meter as it stands now, where known."""

    line: Line
    account: Account
    rule: Rule | None
    view: View | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """`level` is the worst that is still true; none where everything told is over."""

    title: str
    body: str
    level: Level | None


def compose(facts: Sequence[Fact], zone: tzinfo, now: datetime) -> Message:
    """One message for all the lines; past eight of them, one short line each, by account.

    Accounts that went blind together are one line: what they have in common is most likely this host.
    """
    level = max((fact.line.level for fact in facts if not fact.line.is_over), default=None)
    blind = [fact for fact in facts if fact.line.change.key.rule == BLIND and not fact.line.is_over]
    together = [_blind_together(blind)] if len(blind) > 1 else []
    others = [fact for fact in facts if fact not in blind] if together else list(facts)
    if len(facts) == 1:
        return Message(title=_title(facts[0], zone, now), body="\n".join(_body(facts[0], zone, now)), level=level)
    if len(others) <= LINES_IN_FULL:
        blocks = [
            "\n".join([_title(fact, zone, now) + _as_of(fact, zone, now), *_body(fact, zone, now)[1:]])
            for fact in others
        ]
        title = _summary(facts) if others else together[0].partition("\n")[0]
        return Message(title=title, body="\n\n".join(together + blocks), level=level)
    return Message(title=_summary(facts), body="\n".join(together + _digest(others, zone, now)), level=level)


def _blind_together(blind: Sequence[Fact]) -> str:
    level = max(fact.line.level for fact in blind)
    episodes = ", ".join(f"{fact.account.name} {_reference(fact)}" for fact in blind)
    unsure = _repeat(next((fact for fact in blind if fact.line.may_repeat), blind[0]))
    return (
        f"{level.label.upper()} {len(blind)} accounts can't be polled: is it this host's network?\n"
        f"Episodes: {episodes}{unsure}"
    )


def _digest(facts: Sequence[Fact], zone: tzinfo, now: datetime) -> list[str]:
    lines = []
    by_account = sorted(facts, key=lambda fact: fact.account.name)
    for _, group in groupby(by_account, key=lambda fact: fact.account.name):
        lines += [_brief(fact, zone, now) for fact in group]
    return lines


def _brief(fact: Fact, zone: tzinfo, now: datetime) -> str:
    as_of = _as_of(fact, zone, now) if fact.view and fact.view.stale else ""
    return f"{_title(fact, zone, now)}{as_of} [{_reference(fact)}]{_handed(fact)}{_repeat(fact)}"


def _summary(facts: Sequence[Fact]) -> str:
    counts: dict[str, int] = {}
    for fact in facts:
        counts[_heading(fact)] = counts.get(_heading(fact), 0) + 1
    accounts = list(dict.fromkeys(fact.account.name for fact in facts))
    named = ", ".join(accounts[:3]) + (f" and {len(accounts) - 3} more" if len(accounts) > 3 else "")
    return ", ".join(f"{count} {heading}" for heading, count in counts.items()) + f": {named}"


def _heading(fact: Fact) -> str:
    if fact.line.is_over or fact.line.told is Told.NOTED:
        return fact.line.told.upper()
    level = fact.line.level.label.upper()
    return f"REMINDER {level}" if fact.line.told is Told.REMINDED else level


def _reference(fact: Fact) -> str:
    return fact.line.change.episode or fact.line.change.id


def _title(fact: Fact, zone: tzinfo, now: datetime) -> str:
    return f"{_heading(fact)} {fact.account.name}: {_state(fact, zone, now)}"


def _state(fact: Fact, zone: tzinfo, now: datetime) -> str:
    meter = harmless(fact.line.change.key.meter)
    if fact.line.told is Told.NOTED:
        return f"{meter}: {_differences(fact.line.change)}"
    if fact.view is None:
        return f"{meter} is gone" if fact.line.is_over else f"{meter}: nothing read yet"
    return describe(fact.view, zone, now)


def _differences(change: Change) -> str:
    """`plan Pro before, Enterprise now`, for each value that changed."""
    return "; ".join(
        f"{name} {show(change.before.get(name, UNKNOWN))} before, {show(value)} now"
        for name, value in change.values.items()
    )


def _body(fact: Fact, zone: tzinfo, now: datetime) -> list[str]:
    account, key = fact.account, fact.line.change.key
    lines = [f"{_state(fact, zone, now)}{_as_of(fact, zone, now)}"]
    detail = fact.view.fields.get("detail", UNKNOWN) if fact.view else UNKNOWN
    lines += [f"What came: {show(detail)}"] if detail is not UNKNOWN else []
    lines += _course(fact, zone, now)
    lines += [f"Rule {key.rule}: {_conditions(fact.rule)}"] if fact.rule else []
    lines += _now(fact)
    lines += [f"Told here because it {fact.line.handed}"] if fact.line.handed else []
    if not fact.line.is_over:
        lines += [f"At zero: {account.at_zero}"] if account.at_zero else []
        lines += [f"Owner: {account.owner}"] if account.owner else []
        lines += [f"Refill: {account.refill}"] if account.refill else []
        lines += [f"Ack: budgetd ack {fact.line.episode.id}"] if fact.line.episode else []
    at = f" at {account.title}" if account.title else ""
    lines.append(f"Account {account.name}{at} · episode {_reference(fact)}{_repeat(fact)}")
    return lines


def _repeat(fact: Fact) -> str:
    return " · may be a repeat: it is not known whether an earlier try arrived" if fact.line.may_repeat else ""


def _handed(fact: Fact) -> str:
    return f" · {fact.line.handed}" if fact.line.handed else ""


def _as_of(fact: Fact, zone: tzinfo, now: datetime) -> str:
    """Of what is stale only dates are still known, as they were last read; the rest is not what was read then."""
    if fact.view is None:
        return ""
    as_of = moment(fact.view.reading.as_of, zone, now)
    if not fact.view.stale:
        return f", as of {as_of}"
    return f", last read {as_of}" if fact.view.headline is UNKNOWN else f", as last read {as_of}"


def _course(fact: Fact, zone: tzinfo, now: datetime) -> list[str]:
    """Since when it has been so, or from when to when it was."""
    episode = fact.line.episode
    if episode is None:
        return [f"Noted {moment(fact.line.change.at, zone, now)}"]
    opened = moment(episode.opened_at, zone, now)
    if episode.ended_at is not None:
        ended = moment(episode.ended_at, zone, now)
        return [f"Was {episode.peak.label} from {opened} to {ended}{_worst(fact)}: {episode.end}{_by_how_much(fact)}"]
    if fact.line.told is Told.WORSENED and fact.line.change.old is not None:
        return [f"Since {opened}, {fact.line.change.old.label} before"]
    if fact.line.told is Told.REMINDED:
        is_known = fact.view is not None and fact.view.headline is not UNKNOWN
        return [f"Since {opened}, {'still so' if is_known else 'and nobody knows whether it still is so'}"]
    return [f"Since {opened}"]


def _by_how_much(fact: Fact) -> str:
    """The size of a top-up: from the least that was left to what is left now."""
    episode, left = fact.line.episode, fact.view.headline if fact.view else UNKNOWN
    if episode and episode.end is Reason.TOPPED_UP and isinstance(left, Decimal) and isinstance(episode.worst, Decimal):
        return f" by {show(left - episode.worst)}"
    return ""


def _worst(fact: Fact) -> str:
    worst = fact.line.episode.worst if fact.line.episode else UNKNOWN
    if not isinstance(worst, Decimal):
        return ""
    is_share = fact.view is not None and KINDS[fact.view.reading.kind].headline.endswith("_percent")
    return f" (worst {show_percent(worst) if is_share else show(worst)})"


def _now(fact: Fact) -> list[str]:
    """The fields that the rule's levels read, as they are now."""
    if fact.rule is None or fact.view is None or fact.line.is_over:
        return []
    names = sorted({name for condition in fact.rule.levels.values() for name in condition.names})
    values = [(name, fact.view.fields[name]) for name in names if name in fact.view.fields]
    return [f"Now: {', '.join(f'{name} {show(value)}' for name, value in values)}"] if values else []


def _conditions(rule: Rule) -> str:
    levels = [f"{level.label} when {rule.levels[level].text}" for level in sorted(rule.levels, reverse=True)]
    changes = [f"notes a change of {', '.join(rule.on_change)}"] if rule.on_change else []
    return ", ".join(levels + changes)
