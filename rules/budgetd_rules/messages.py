"""Messages: what is told, in words. The values are those of now, not those of the change.

A title fits a lock screen; the body says how much, the threshold, as of when, since when, what happens at zero,
who owns it and where to refill. Whatever a vendor or a config supplied is made harmless before it stands in a text.
"""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from decimal import ROUND_DOWN, Decimal
from itertools import groupby
from typing import Final

from budgetd_rules.meters import KINDS, Account, Kind, View
from budgetd_rules.rule import Level, Rule
from budgetd_rules.settlement import Line, Told
from budgetd_rules.values import UNKNOWN, Unknown, Unlimited, Value

LINES_IN_FULL: Final = 8


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
    """One message for all the lines; past eight of them, one short line each, by account."""
    level = max((fact.line.episode.level for fact in facts if not _is_over(fact)), default=None)
    if len(facts) == 1:
        return Message(title=_title(facts[0], zone, now), body="\n".join(_body(facts[0], zone, now)), level=level)
    if len(facts) <= LINES_IN_FULL:
        blocks = [
            "\n".join([_title(fact, zone, now) + _as_of(fact, zone, now), *_body(fact, zone, now)[1:]])
            for fact in facts
        ]
        return Message(title=_summary(facts), body="\n\n".join(blocks), level=level)
    return Message(title=_summary(facts), body="\n".join(_digest(facts, zone, now)), level=level)


def _digest(facts: Sequence[Fact], zone: tzinfo, now: datetime) -> list[str]:
    lines = []
    by_account = sorted(facts, key=lambda fact: fact.account.name)
    for _, group in groupby(by_account, key=lambda fact: fact.account.name):
        lines += [_brief(fact, zone, now) for fact in group]
    return lines


def _brief(fact: Fact, zone: tzinfo, now: datetime) -> str:
    as_of = _as_of(fact, zone, now) if fact.view and fact.view.stale else ""
    return f"{_title(fact, zone, now)}{as_of} [{fact.line.episode.id}]{_repeat(fact)}"


def _summary(facts: Sequence[Fact]) -> str:
    counts: dict[str, int] = {}
    for fact in facts:
        counts[_heading(fact)] = counts.get(_heading(fact), 0) + 1
    accounts = list(dict.fromkeys(fact.account.name for fact in facts))
    named = ", ".join(accounts[:3]) + (f" and {len(accounts) - 3} more" if len(accounts) > 3 else "")
    return ", ".join(f"{count} {heading}" for heading, count in counts.items()) + f": {named}"


def _is_over(fact: Fact) -> bool:
    return fact.line.told in (Told.RESOLVED, Told.PASSED)


def _heading(fact: Fact) -> str:
    if _is_over(fact):
        return "RESOLVED" if fact.line.told is Told.RESOLVED else "PASSED"
    level = fact.line.episode.level.label.upper()
    return f"REMINDER {level}" if fact.line.told is Told.REMINDED else level


def _title(fact: Fact, zone: tzinfo, now: datetime) -> str:
    return f"{_heading(fact)} {fact.account.name}: {_state(fact, zone, now)}"


def _state(fact: Fact, zone: tzinfo, now: datetime) -> str:
    meter = harmless(fact.line.episode.key.meter)
    if fact.view is None:
        return f"{meter} is gone" if _is_over(fact) else f"{meter}: nothing read yet"
    return describe(fact.view, zone, now)


def _body(fact: Fact, zone: tzinfo, now: datetime) -> list[str]:
    episode, account = fact.line.episode, fact.account
    lines = [f"{_state(fact, zone, now)}{_as_of(fact, zone, now)}"]
    lines += _course(fact, zone, now)
    lines += [f"Rule {fact.rule.name}: {_conditions(fact.rule)}"] if fact.rule else []
    if not _is_over(fact):
        lines += [f"At zero: {account.at_zero}"] if account.at_zero else []
        lines += [f"Owner: {account.owner}"] if account.owner else []
        lines += [f"Refill: {account.refill}"] if account.refill else []
    at = f" at {account.title}" if account.title else ""
    lines.append(f"Account {account.name}{at} · episode {episode.id}{_repeat(fact)}")
    return lines


def _repeat(fact: Fact) -> str:
    return " · may be a repeat: it is not known whether an earlier try arrived" if fact.line.may_repeat else ""


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
    opened = moment(episode.opened_at, zone, now)
    if episode.ended_at is not None:
        ended = moment(episode.ended_at, zone, now)
        return [f"Was {episode.peak.label} from {opened} to {ended}{_worst(fact)}: {episode.end}"]
    if fact.line.told is Told.WORSENED and fact.line.change.old is not None:
        return [f"Since {opened}, {fact.line.change.old.label} before"]
    if fact.line.told is Told.REMINDED:
        is_known = fact.view is not None and fact.view.headline is not UNKNOWN
        return [f"Since {opened}, {'still so' if is_known else 'and nobody knows whether it still is so'}"]
    return [f"Since {opened}"]


def _worst(fact: Fact) -> str:
    worst = fact.line.episode.worst
    if not isinstance(worst, Decimal):
        return ""
    is_share = fact.view is not None and KINDS[fact.view.reading.kind].headline.endswith("_percent")
    return f" (worst {show_percent(worst) if is_share else show(worst)})"


def _conditions(rule: Rule) -> str:
    return ", ".join(f"{level.label} when {rule.levels[level].text}" for level in sorted(rule.levels, reverse=True))


# --- a meter in words


def describe(view: View, zone: tzinfo, now: datetime) -> str:
    """The meter in one phrase: `212 credits left (0.4 %)`."""
    return _DESCRIBE[view.reading.kind](view, zone, now)


def _balance(view: View, _zone: tzinfo, _now: datetime) -> str:
    remaining, share = view.fields["remaining"], view.fields["remaining_percent"]
    # Two balances of an account may both be in USD.
    named = "" if harmless(view.key.meter) == _unit(view) else f"{harmless(view.key.meter)}: "
    if isinstance(remaining, Decimal) and remaining < 0:
        return f"{named}{_amount(view, remaining.copy_abs())} over"
    if remaining is UNKNOWN and view.fields["used"] is not UNKNOWN:
        return f"{named}{_amount(view, view.fields['used'])} used"
    return f"{named}{_amount(view, remaining)} left" + (
        f" ({show_percent(share)})" if isinstance(share, Decimal) else ""
    )


def _quota(view: View, _zone: tzinfo, _now: datetime) -> str:
    used, limit, share = view.fields["used"], view.fields["limit"], view.fields["used_percent"]
    named = harmless(view.key.meter)
    if isinstance(share, Decimal):
        return f"{named} {show_percent(share)} used ({show(used)} of {_amount(view, limit)})"
    if used is UNKNOWN and view.fields["remaining"] is not UNKNOWN:
        return f"{named} {_amount(view, view.fields['remaining'])} left"
    return f"{named} {show(used)} of {_amount(view, limit)}"


def _spend(view: View, _zone: tzinfo, _now: datetime) -> str:
    amount, limit = view.fields["amount"], view.fields["limit"]
    amounts = f"{show(amount)} of {_amount(view, limit)}" if isinstance(limit, Decimal) else _amount(view, amount)
    return f"{harmless(view.key.meter)} {amounts} spent"


def _subscription(view: View, zone: tzinfo, now: datetime) -> str:
    named = harmless(view.key.meter)
    if view.fields["active"] is False:
        return f"{named} is not active"
    return f"{named} {_in_days(view, 'days_until_expiry', 'expires_at', 'ends', 'ended', zone, now)}"


def _charge(view: View, zone: tzinfo, now: datetime) -> str:
    paid = view.fields["paid"] is True
    due = "is paid" if paid else _in_days(view, "days_until_due", "due_at", "is due", "was due", zone, now)
    return f"{harmless(view.key.meter)}: {_amount(view, view.fields['amount'])} {due}"


def _cap(view: View, _zone: tzinfo, _now: datetime) -> str:
    return f"{harmless(view.key.meter)} is {_amount(view, view.fields['value'])}"


def _connection(view: View, _zone: tzinfo, _now: datetime) -> str:
    cause, failures = view.fields["cause"], view.fields["failures"]
    if failures is UNKNOWN:
        return "no poll lately"
    if failures == 0:
        return "polls succeed"
    times = "once" if failures == 1 else f"{show(failures)} times in a row"
    return f"polls fail, {show(cause).replace('_', ' ')} ({times})"


_DESCRIBE: Final[Mapping[Kind, Callable[[View, tzinfo, datetime], str]]] = {
    Kind.BALANCE: _balance,
    Kind.QUOTA: _quota,
    Kind.SPEND: _spend,
    Kind.SUBSCRIPTION: _subscription,
    Kind.CHARGE: _charge,
    Kind.CAP: _cap,
    Kind.CONNECTION: _connection,
}


def _amount(view: View, value: Value) -> str:
    return f"{show(value)} {_unit(view)}".rstrip()


def _unit(view: View) -> str:
    currency = view.fields.get("currency")
    return harmless(currency if isinstance(currency, str) else view.reading.unit)


def _in_days(view: View, count: str, date: str, ahead: str, behind: str, zone: tzinfo, now: datetime) -> str:
    days, at = view.fields[count], view.fields[date]
    if not isinstance(days, Decimal):
        return f"{ahead} at a time nobody knows"
    on = f" ({moment(at, zone, now)})" if isinstance(at, datetime) else ""
    number = f"{show(abs(days))} day{'' if abs(days) == 1 else 's'}"
    if days == 0:
        # Derived from a date, nothing is left: over, for less than a day. A vendor that counts nought means today.
        is_over = isinstance(at, datetime) and at <= now
        return f"{behind} less than a day ago{on}" if is_over else f"{ahead} today{on}"
    return f"{ahead} in {number}{on}" if days > 0 else f"{behind} {number} ago{on}"


# --- values in words


def show(value: Value) -> str:
    """A value for people: 36,462.14; unknown and unlimited by name; at most four decimals, cut and not rounded."""
    if isinstance(value, Unknown | Unlimited):
        return str(value.value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return f"{_cut(value):,f}"
    return harmless(str(value))


def show_percent(share: Decimal) -> str:
    """Cut to a tenth: 4.96 is shown as 4.9, never as a 5.0 that the threshold below 5 would seem to contradict."""
    if abs(share) >= _HUGE:
        return "a huge share"
    return f"{_unsigned_zero(share.quantize(Decimal('0.1'), rounding=ROUND_DOWN)):,f} %"


_HUGE: Final = 10**15


def _cut(number: Decimal) -> Decimal:
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    if exponent < -4 and abs(number) < _HUGE:
        number = number.quantize(Decimal("0.0001"), rounding=ROUND_DOWN).normalize()
    return _unsigned_zero(number)


def _unsigned_zero(number: Decimal) -> Decimal:
    return number or number.copy_abs()


def moment(at: datetime, zone: tzinfo, now: datetime) -> str:
    """In the reader's zone, and no more of it than is needed: 14:05 CET today, 3 Jan 2027 14:05 CET else."""
    try:
        local = at.astimezone(zone)
    except OverflowError:  # a vendor's "never" is the calendar's last second, and in the east that is a day further
        local = at.astimezone(UTC)
    if local.date() == now.astimezone(zone).date():
        return f"{local:%H:%M %Z}"
    return f"{local.day} {local:%b %Y %H:%M %Z}"


# What is not seen, or turns what is: controls, marks of format and direction, lone surrogates, private characters,
# separators of lines and paragraphs.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
# Look-alikes for what some service reads as markup, a link or a mention.
_MARKUP: Final = str.maketrans(
    {"<": "\u2039", ">": "\u203a", "@": "\uff20", "`": "'", "*": "\u2217", "[": "(", "]": ")", "|": "\u00a6"}
)
_LONGEST: Final = 120


def harmless(text: str) -> str:
    """Text from a vendor as one plain line: no control characters, mentions, links or markup; cut at 120."""
    # What is cut off anyway is not looked at.
    seen = "".join(" " if unicodedata.category(each) in _UNSEEN else each for each in text[: 10 * _LONGEST])
    line = " ".join(seen.translate(_MARKUP).replace("://", ":// ").split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
