"""Gates: the questions that judging asks of a rule and a meter, in their order, each with its answer and a reason.

The answers come from the functions that judging itself uses: the selector with one of its parts, the parts of an
expression, the verdict, and what became of the watch.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from budgetd_rules.evaluation import Verdict
from budgetd_rules.expressions import Expression, Lookup
from budgetd_rules.kinds import KINDS, Kind
from budgetd_rules.memory import Change, ChangeKind, Reason, Stretch, Watch
from budgetd_rules.meters import Account, View
from budgetd_rules.own_account import NEVER_STALE
from budgetd_rules.reminders import next_reminder, passed_steps
from budgetd_rules.rule import Clockwork, Level, Rule, Selector
from budgetd_rules.sanitizing import harmless
from budgetd_rules.values import UNKNOWN, Truth, Value
from budgetd_rules.wording import show


class Answer(StrEnum):
    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"
    WAITING = "waiting"
    """Yes, but not for long enough yet, or only later."""
    NOT_ASKED = "not asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """The result of a condition or of a part of one; `values` are the fields that it reads."""

    text: str
    result: Value
    values: Mapping[str, Value]
    parts: tuple["Condition", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One question and its answer. `needs` is how long something must last: from `since` until `until`."""

    name: str
    answer: Answer
    reason: str
    level: Level | None = None
    condition: Condition | None = None
    needs: timedelta | None = None
    since: datetime | None = None
    until: datetime | None = None
    parts: tuple["Gate", ...] = ()


# --- is it watched at all


def selector_gate(rule: Rule, account: Account, meter: str, kind: Kind) -> Gate:
    """Each part of `on` by itself."""
    on = rule.on

    def part(name: str, selector: Selector, wanted: str, has: str) -> Gate:
        is_match = selector.matches(account, meter, kind)
        reason = f"{harmless(has)} {'matches' if is_match else 'does not match'} {wanted}"
        if not has:
            reason = f"the account has none, and {wanted} is wanted"
        is_any = wanted in ("", "*")
        return Gate(name=name, answer=_answer(is_match), reason="any will do" if is_any else reason)

    parts = [
        part("kind", Selector(kinds=on.kinds), ", ".join(sorted(on.kinds)), kind),
        part("meter", Selector(meter=on.meter), on.meter, meter),
        part("account", Selector(account=on.account), on.account, account.name),
        part("provider", Selector(provider=on.provider), on.provider, account.provider),
    ]
    for name, glob in on.labels.items():
        parts.append(part(f"labels.{name}", Selector(labels={name: glob}), glob, account.labels.get(name, "")))
    failed = [gate.name for gate in parts if gate.answer is not Answer.YES]
    reason = f"kept out by {', '.join(failed)}" if failed else "`on` selects the meter"
    return Gate(name="selector", answer=_answer(on.matches(account, meter, kind)), reason=reason, parts=tuple(parts))


def same_as_gates(account: Account, kind: Kind) -> list[Gate]:
    """Whether the meter is judged at this account, if that has a `same_as`."""
    if account.same_as is None:
        return []
    reason = "a connection is each account's own" if account.judges(kind) else f"it is judged at {account.same_as}"
    return [Gate(name="same_as", answer=_answer(account.judges(kind)), reason=reason)]


def fields_gate(rule: Rule, kind: Kind) -> Gate:
    """Whether the kind has every field that the rule reads of the meter itself."""
    missing = sorted(rule.own_names - frozenset(KINDS[kind].all))
    names = ", ".join(missing or sorted(rule.own_names))
    reason = f"the kind {kind} has {'no ' if missing else ''}{names}" if names else "the rule reads no field of its own"
    return Gate(name="fields", answer=_answer(rule.fits(kind)), reason=reason)


# --- what judging asks of a meter that is watched


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One watch as it is judged: what judging is given, and what it makes of that."""

    rule: Rule
    account: Account
    view: View
    lookup: Lookup
    verdict: Verdict
    before: Watch
    after: Watch
    changes: Mapping[ChangeKind, Change]
    now: datetime


def judged_gates(case: Case) -> list[Gate]:
    """The gates in the order of judging; what the rule does not use has none."""
    gates = [_stale(case)]
    if case.rule.unless is not None:
        truth = case.rule.unless.truth(case.lookup)
        reason = "no level counts" if truth is True else "it excuses only while it is definitely true"
        gates.append(
            Gate(name="unless", answer=_answer(truth), reason=reason, condition=inspect(case.rule.unless, case.lookup))
        )
    for level in sorted(case.rule.levels):
        gates.append(_condition(case, level))
        if case.rule.sustain.get(level):
            gates.append(_sustain(case, level, case.rule.sustain[level]))
    gates += _clear(case)
    gates += _ease(case)
    gates += _remind(case)
    gates += _noted(case)
    return gates


def _stale(case: Case) -> Gate:
    as_of, needs = case.view.reading.as_of, case.account.stale_after
    if needs >= NEVER_STALE:
        return Gate(name="stale", answer=Answer.NO, reason="it holds until something else happens", since=as_of)
    reason = "what was measured is unknown until the next reading" if case.view.stale else "the reading still counts"
    until = None if case.view.stale else as_of + needs
    return Gate(name="stale", answer=_answer(case.view.stale), reason=reason, needs=needs, since=as_of, until=until)


def inspect(expression: Expression, lookup: Lookup) -> Condition:
    """The expression and its parts, without those that are only a field or a constant."""
    return Condition(
        text=expression.text,
        result=expression.evaluate(lookup),
        values={name: lookup(name) for name in sorted(expression.names)},
        parts=tuple(inspect(part, lookup) for part in expression.parts if part.names and part.text not in part.names),
    )


def _condition(case: Case, level: Level) -> Gate:
    truth, condition = case.verdict.levels[level], inspect(case.rule.levels[level], case.lookup)
    unknown = [name for name, value in condition.values.items() if value is UNKNOWN]
    if case.verdict.excused:
        reason = "not counted: `unless` is true"
    elif truth is UNKNOWN:
        reason = f"nobody knows {', '.join(unknown)}" if unknown else "it has no value"
    else:
        reason = "the condition is true" if truth else "the condition is false"
    return Gate(name="condition", level=level, answer=_answer(truth), reason=reason, condition=condition)


def _sustain(case: Case, level: Level, needs: timedelta) -> Gate:
    """The config's `for`."""
    truth, told = case.verdict.levels[level], case.before.episode
    pending = case.after.pending.get(level)
    if told and level <= told.level:
        return Gate(name="for", level=level, answer=Answer.NOT_ASKED, reason="the level is told already", needs=needs)
    if pending:
        so_far = "unknown now, which neither counts nor starts anew" if truth is UNKNOWN else None
        return _lasting("for", pending, needs, case.now, level=level, reason=so_far)
    if truth is not True:
        return Gate(name="for", level=level, answer=Answer.NOT_ASKED, reason="the condition is not true", needs=needs)
    began = case.before.pending.get(level)
    since = began.first if began else None
    return Gate(name="for", level=level, answer=Answer.YES, reason="true for long enough", needs=needs, since=since)


def _lasting(
    name: str, stretch: Stretch, needs: timedelta, now: datetime, *, level: Level | None = None, reason: str | None
) -> Gate:
    lasted = stretch.lasted(needs, now)
    if reason is None:
        once = stretch.last == stretch.first
        reason = "one reading so far; a second one has to say so" if once else "not for long enough yet"
    return Gate(
        name=name,
        level=level,
        answer=Answer.YES if lasted else Answer.WAITING,
        reason="for long enough" if lasted else reason,
        needs=needs,
        since=stretch.first,
        until=stretch.first + needs,
    )


def _clear(case: Case) -> Iterator[Gate]:
    """What ends an episode: the `clear` of each level that was told, or that its condition is false."""
    episode = case.before.episode
    for level in sorted(case.rule.levels):
        own, truth = case.rule.clear.get(level), case.verdict.left[level]
        if episode is None or level > episode.peak:
            answer, reason = Answer.NOT_ASKED, "no episode is open" if episode is None else "the level was never told"
        elif own is not None:
            answer, reason = _answer(truth), "as `clear` says"
        else:
            answer, reason = _answer(truth), "without a `clear`, false is what ends it"
        if own is not None or episode is not None:
            condition = inspect(own, case.lookup) if own else None
            yield Gate(name="clear", level=level, answer=answer, reason=reason, condition=condition)


def _ease(case: Case) -> Iterator[Gate]:
    episode, needs = case.before.episode, case.rule.ease_for
    if episode is None or episode.level == min(case.rule.levels, default=episode.level):
        return
    if case.after.easing:
        yield _lasting("ease_for", case.after.easing, needs, case.now, reason=None)
    elif ChangeKind.EASED in case.changes:
        yield Gate(name="ease_for", answer=Answer.YES, reason=Reason.MILDER_LEVEL, needs=needs)
    else:
        reason = f"it has not definitely left {episode.level.label}"
        yield Gate(name="ease_for", answer=Answer.NOT_ASKED, reason=reason, needs=needs)


def _remind(case: Case) -> Iterator[Gate]:
    remind, watch = case.rule.remind, case.after
    if remind is None:
        return
    is_due = ChangeKind.REMINDED in case.changes
    answer = Answer.YES if is_due else Answer.WAITING if watch.episode else Answer.NOT_ASKED
    reason = "no episode is open"
    if isinstance(remind, Clockwork):
        reason = f"{watch.reminders} sent so far" if watch.episode else reason
        since = watch.told_at if watch.episode else None
        yield Gate(name="remind", answer=answer, reason=reason, since=since, until=next_reminder(case.rule, watch))
        return
    if watch.episode:
        told = [step for step in remind.steps if step in watch.told_steps]
        left = [step for step in remind.steps if step not in watch.told_steps | passed_steps(case.rule, case.view)]
        next_ = f"{show(left[0])} is next" if left else "none is left"
        reason = f"{remind.each}: {', '.join(map(show, told)) or 'no step'} told, {next_}"
        answer = answer if left or is_due else Answer.NO
    yield Gate(name="remind", answer=answer, reason=reason)


def _noted(case: Case) -> Iterator[Gate]:
    noted = case.changes.get(ChangeKind.NOTED)
    for name in case.rule.on_change:
        now = case.view.fields.get(name, UNKNOWN)
        if noted and name in noted.values:
            answer, reason = Answer.YES, f"{name} {show(noted.before.get(name, UNKNOWN))} before, {show(now)} now"
        elif now is UNKNOWN:
            answer, reason = Answer.UNKNOWN, f"{name} is unknown, which is skipped"
        else:
            first = "the first known value" if name not in case.before.known else "as before"
            answer, reason = Answer.NO, f"{name} {show(now)}: {first}"
        yield Gate(name="on_change", answer=answer, reason=reason)


def _answer(truth: Truth) -> Answer:
    if truth is UNKNOWN:
        return Answer.UNKNOWN
    return Answer.YES if truth else Answer.NO
