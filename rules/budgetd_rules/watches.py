"""Watches: what one rule remembers of one meter, and how an episode opens, worsens, eases and resolves.

    quiet --true, long enough--> open at a level --worse--> open at a worse level
      ^                            |      ^  |
      |                            |      |  +--better, twice and long enough--> open at a milder level (unsaid)
      +--------resolved------------+      +--- unknown, or in the band of `clear`: as it was

`step` is the whole of it: watch and verdict in, watch and changes out, and always a reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from budgetd_rules.evaluation import Verdict
from budgetd_rules.kinds import Kind
from budgetd_rules.memory import Change, ChangeKind, Episode, Reason, Stretch, Watch, episode_id
from budgetd_rules.meters import View
from budgetd_rules.rearming import follow_currency, follow_window, note_changes
from budgetd_rules.reminders import passed_steps, reminder_due, wake_at
from budgetd_rules.rule import Level, Rule
from budgetd_rules.values import UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What became of a watch; `ended` is the episode that the step ended, if it did."""

    watch: Watch
    changes: tuple[Change, ...]
    reason: Reason
    ended: Episode | None = None


def step(rule: Rule, watch: Watch, verdict: Verdict, view: View, now: datetime, stale_after: timedelta) -> Step:
    """What the verdict makes of the watch. Judging the same reading again changes nothing."""
    before = watch
    watch, rolled = follow_window(rule, watch, view, now)
    watch, recoined = follow_currency(watch, view)
    watch, noted = note_changes(rule, watch, view, now)
    pending = _pend(rule, watch, verdict, view.reading.as_of, stale_after)
    # Nearly always nothing changes, and a copy costs more than all the rest: only what differs is copied.
    if watch.parked_at or pending != watch.pending:
        watch = replace(watch, parked_at=None, pending=pending)
    level = _due_level(rule, watch, verdict, now)
    if watch.episode is None:
        taken = _while_quiet(rule, watch, verdict, level, view, now)
    elif recoined:
        taken = _anew(rule, watch, watch.episode, verdict, view, now, Reason.CURRENCY_CHANGED)
    elif rolled:
        taken = _in_new_window(rule, before, watch, watch.episode, verdict, view, now)
    elif watch.rollover:
        taken = Step(watch=watch, changes=(), reason=Reason.ROLLING_OVER)
    else:
        taken = _while_open(rule, watch, watch.episode, verdict, level, view, now, stale_after)
    wake = wake_at(rule, taken.watch, view.reading, now, stale_after)
    if wake != taken.watch.wake_at:
        taken = replace(taken, watch=replace(taken.watch, wake_at=wake))
    return replace(taken, changes=(*taken.changes, noted)) if noted else taken


def end(watch: Watch, reason: Reason, now: datetime, *, unsaid: bool = False) -> Step:
    """The watch with its episode ended for a reason outside of the readings: gone, or no longer watched."""
    if watch.episode is None:
        return Step(watch=_quiet(watch), changes=(), reason=reason)
    return _resolve(watch, watch.episode, reason, now, unsaid=unsaid)


def park(watch: Watch, now: datetime) -> Step:
    """The rule, account or meter left the config: its watch waits for it, and goes on silently if it comes back."""
    parked = replace(watch, parked_at=watch.parked_at or now, wake_at=None)
    return Step(watch=parked, changes=(), reason=Reason.PARKED)


def _while_quiet(rule: Rule, watch: Watch, verdict: Verdict, level: Level | None, view: View, now: datetime) -> Step:
    if level is not None:
        return _open(rule, watch, level, view, now, Reason.CONDITION_TRUE)
    truths = verdict.levels.values()
    if any(truth is True for truth in truths):
        reason = Reason.NOT_LONG_ENOUGH
    else:
        reason = Reason.NOT_KNOWN if UNKNOWN in truths else Reason.FINE
    return Step(watch=watch, changes=(), reason=reason)


def _while_open(
    rule: Rule,
    watch: Watch,
    episode: Episode,
    verdict: Verdict,
    level: Level | None,
    view: View,
    now: datetime,
    stale_after: timedelta,
) -> Step:
    if level is not None and level > episode.level:
        return _worsen(rule, watch, episode, level, view, now)
    if _is_over(rule, episode, verdict):
        return _resolve(watch, episode, _why_over(episode, verdict, view), now)
    watch = replace(watch, easing=_ease_on(watch, episode, verdict, view.reading.as_of, stale_after))
    is_off = verdict.off.get(episode.level) is True
    if is_off and watch.easing and watch.easing.lasted(rule.ease_for, now):
        return _ease(rule, watch, episode, verdict, now)
    watch = _note_worst(watch, episode, view)
    if watch.told_at and watch.told_at > now:  # the clock was set back
        watch = replace(watch, told_at=now)
    reminder = reminder_due(rule, watch, view, now)
    if reminder is not None:
        return _remind(rule, watch, reminder, view, now)
    return Step(watch=watch, changes=(), reason=_why_still_open(watch, verdict))


def _in_new_window(
    rule: Rule, before: Watch, watch: Watch, episode: Episode, verdict: Verdict, view: View, now: datetime
) -> Step:
    """A new period is judged by itself; while nobody knows how it is in there, the old one stays."""
    if UNKNOWN in verdict.levels.values() and not any(truth is True for truth in verdict.levels.values()):
        waiting = replace(watch, window=before.window, rollover=before.rollover, told_steps=before.told_steps)
        return Step(watch=waiting, changes=(), reason=Reason.NOT_KNOWN)
    return _anew(rule, watch, episode, verdict, view, now, Reason.ROLLED_OVER)


def _anew(
    rule: Rule, watch: Watch, episode: Episode, verdict: Verdict, view: View, now: datetime, reason: Reason
) -> Step:
    """Another beginning: what is fine ends the episode; what is bad ends it unsaid, and opens the next."""
    bad = max((level for level, truth in verdict.levels.items() if truth is True), default=None)
    if bad is None:
        return _resolve(watch, episode, reason, now)
    ended = _resolve(watch, episode, reason, now, unsaid=True)
    again = Reason.AGAIN_IN_NEW_WINDOW if reason is Reason.ROLLED_OVER else reason
    opened = _open(rule, ended.watch, bad, view, now, again)
    return replace(opened, changes=ended.changes + opened.changes, ended=ended.ended)


# --- what `for`, `clear` and `ease_for` wait for


def _pend(
    rule: Rule, watch: Watch, verdict: Verdict, as_of: datetime, stale_after: timedelta
) -> Mapping[Level, Stretch]:
    """Only levels that have a `for` and are not told yet: a stretch is written at every reading."""
    if not rule.sustain:
        return {}
    told = watch.episode.level if watch.episode else Level.INFO
    pending = {}
    for level, truth in verdict.levels.items():
        before = watch.pending.get(level)
        if level <= told or not rule.sustain.get(level):
            continue
        if truth is True:
            pending[level] = Stretch.reaching(as_of, before, stale_after)
        elif truth is UNKNOWN and before:
            pending[level] = before
    return pending


def _due_level(rule: Rule, watch: Watch, verdict: Verdict, now: datetime) -> Level | None:
    """The worst level that is true, and has been for as long as it must."""

    def is_due(level: Level) -> bool:
        sustain = rule.sustain.get(level)
        return not sustain or watch.pending[level].lasted(sustain, now)

    told = watch.episode.level if watch.episode else Level.INFO
    true = [level for level, truth in verdict.levels.items() if truth is True and level > told]
    return max(filter(is_due, true), default=None)


def _is_over(rule: Rule, episode: Episode, verdict: Verdict) -> bool:
    """No level is true, and a true `clear` says so, or every level told has definitely been left."""
    if any(truth is True for truth in verdict.levels.values()):
        return False
    return verdict.cleared or all(verdict.off[level] is True for level in rule.levels if level <= episode.peak)


def _ease_on(
    watch: Watch, episode: Episode, verdict: Verdict, as_of: datetime, stale_after: timedelta
) -> Stretch | None:
    off = verdict.off.get(episode.level, UNKNOWN)
    if min(verdict.levels, default=episode.level) == episode.level or off is False:
        return None
    if off is UNKNOWN:
        return watch.easing
    return Stretch.reaching(as_of, watch.easing, stale_after)


def _why_over(episode: Episode, verdict: Verdict, view: View) -> Reason:
    if verdict.excused:
        return Reason.EXCUSED
    left, worst = view.headline, episode.worst
    if view.reading.kind is Kind.BALANCE and isinstance(left, Decimal) and isinstance(worst, Decimal) and left > worst:
        return Reason.TOPPED_UP
    return Reason.CLEARED


def _why_still_open(watch: Watch, verdict: Verdict) -> Reason:
    truths = verdict.levels.values()
    if watch.easing:
        return Reason.EASING
    if any(truth is True for truth in truths):
        return Reason.NOT_LONG_ENOUGH if watch.pending else Reason.STILL_OPEN
    return Reason.NOT_KNOWN if UNKNOWN in truths or UNKNOWN in verdict.off.values() else Reason.IN_THE_BAND


# --- the changes


def _open(rule: Rule, watch: Watch, level: Level, view: View, now: datetime, reason: Reason) -> Step:
    episode = Episode(
        id=episode_id(watch.key, now),
        key=watch.key,
        level=level,
        peak=level,
        opened_at=now,
        window=watch.window,
        worst=view.headline,
    )
    opened = replace(
        watch,
        episode=episode,
        pending={pending: stretch for pending, stretch in watch.pending.items() if pending > level},
        told_at=now,
        told_steps=passed_steps(rule, view),
    )
    return Step(watch=opened, changes=(_change(episode, ChangeKind.OPENED, None, level, now, reason),), reason=reason)


def _worsen(rule: Rule, watch: Watch, episode: Episode, level: Level, view: View, now: datetime) -> Step:
    worse = replace(episode, level=level, peak=max(level, episode.peak), count=episode.count + 1)
    told = replace(
        watch, easing=None, told_at=now, reminders=0, told_steps=watch.told_steps | passed_steps(rule, view), pending={}
    )
    change = _change(worse, ChangeKind.WORSENED, episode.level, level, now, Reason.WORSE_LEVEL)
    return Step(watch=_note_worst(told, worse, view), changes=(change,), reason=Reason.WORSE_LEVEL)


def _ease(rule: Rule, watch: Watch, episode: Episode, verdict: Verdict, now: datetime) -> Step:
    milder = [level for level in rule.levels if level < episode.level]
    level = max((level for level in milder if verdict.levels[level] is True), default=max(milder))
    eased = replace(episode, level=level, count=episode.count + 1)
    change = _change(eased, ChangeKind.EASED, episode.level, level, now, Reason.MILDER_LEVEL, unsaid=True)
    return Step(watch=replace(watch, episode=eased, easing=None), changes=(change,), reason=Reason.MILDER_LEVEL)


def _resolve(watch: Watch, episode: Episode, reason: Reason, now: datetime, *, unsaid: bool = False) -> Step:
    ended = replace(episode, ended_at=now, end=reason, count=episode.count + 1)
    change = _change(ended, ChangeKind.RESOLVED, episode.level, None, now, reason, unsaid=unsaid)
    return Step(watch=_quiet(watch), changes=(change,), reason=reason, ended=ended)


def _quiet(watch: Watch) -> Watch:
    """Without what belongs to an episode; what belongs to the meter stays."""
    return Watch(key=watch.key, window=watch.window, known=watch.known, currency=watch.currency)


def _remind(rule: Rule, watch: Watch, reason: Reason, view: View, now: datetime) -> Step:
    assert watch.episode is not None
    episode = replace(watch.episode, count=watch.episode.count + 1)
    reminded = replace(
        watch,
        episode=episode,
        told_at=now,
        reminders=watch.reminders + 1,
        told_steps=watch.told_steps | passed_steps(rule, view),
    )
    change = _change(episode, ChangeKind.REMINDED, episode.level, episode.level, now, reason)
    return Step(watch=reminded, changes=(change,), reason=reason)


def _change(
    episode: Episode,
    kind: ChangeKind,
    old: Level | None,
    new: Level | None,
    at: datetime,
    reason: Reason,
    *,
    unsaid: bool = False,
) -> Change:
    return Change(
        id=f"{episode.id}.{episode.count}",
        episode=episode.id,
        key=episode.key,
        kind=kind,
        old=old,
        new=new,
        at=at,
        reason=reason,
        unsaid=unsaid,
    )


_MORE_IS_WORSE: Final = frozenset({Kind.QUOTA, Kind.SPEND})


def _note_worst(watch: Watch, episode: Episode, view: View) -> Watch:
    value, worst = view.headline, episode.worst
    if isinstance(value, Decimal):
        extreme = max if view.reading.kind in _MORE_IS_WORSE else min
        worst = extreme(value, worst) if isinstance(worst, Decimal) else value
    return replace(watch, episode=replace(episode, worst=worst))
