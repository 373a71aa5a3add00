"""Watches: what one rule remembers of one meter, and how an episode opens, worsens, eases and resolves.

    quiet --true, long enough--> open at a level --worse--> open at a worse level
      ^                            |      ^  |
      |                            |      |  +--better, twice and long enough--> open at a milder level (not told)
      +--------resolved------------+      +--- unknown, or in the band of `clear`: as it was

`step` decides which of the `transitions` to make: watch and observation in, watch and changes out, always a reason.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from budgetd_rules.evaluation import Observation
from budgetd_rules.kinds import Kind
from budgetd_rules.memory import Episode, Reason, Stretch, Watch
from budgetd_rules.rearming import follow_currency, follow_window, note_changes
from budgetd_rules.reminders import reminder_due, wake_at
from budgetd_rules.rule import Level
from budgetd_rules.transitions import Step, ease, open_episode, remind, resolve, with_worst, without_episode, worsen
from budgetd_rules.values import UNKNOWN


def step(watch: Watch, seen: Observation) -> Step:
    """What the observation makes of the watch. Judging the same reading again changes nothing."""
    rule, view, now = seen.rule, seen.view, seen.now
    before = watch
    watch, rolled = follow_window(rule, watch, view, now)
    watch, has_new_currency = follow_currency(watch, view)
    watch, noted = note_changes(rule, watch, view, now)
    pending = _pend(watch, seen)
    # Nearly always nothing changes, and a copy costs more than all the rest: only what differs is copied.
    if watch.parked_at or pending != watch.pending:
        watch = replace(watch, parked_at=None, pending=pending)
    level = _due_level(watch, seen)
    if watch.episode is None:
        taken = _while_quiet(watch, level, seen)
    elif has_new_currency:
        taken = _begin_anew(watch, watch.episode, seen, Reason.CURRENCY_CHANGED)
    elif rolled:
        taken = _in_new_window(before, watch, watch.episode, seen)
    elif watch.rollover:
        taken = Step(watch=watch, reason=Reason.ROLLING_OVER)
    else:
        taken = _while_open(watch, watch.episode, level, seen)
    wake = wake_at(rule, taken.watch, view.reading, now, seen.stale_after)
    if wake != taken.watch.wake_at:
        taken = replace(taken, watch=replace(taken.watch, wake_at=wake))
    return replace(taken, changes=(*taken.changes, noted)) if noted else taken


def end(watch: Watch, reason: Reason, now: datetime, *, unsaid: bool = False) -> Step:
    """Ends the watch's episode for a reason outside of the readings: the meter is gone, or no longer watched."""
    if watch.episode is None:
        return Step(watch=without_episode(watch), reason=reason)
    return resolve(watch, watch.episode, reason, now, unsaid=unsaid)


def park(watch: Watch, now: datetime) -> Step:
    """The rule, account or meter left the config: its watch is kept, and goes on silently if it comes back."""
    parked = replace(watch, parked_at=watch.parked_at or now, wake_at=None)
    return Step(watch=parked, reason=Reason.PARKED)


def _while_quiet(watch: Watch, level: Level | None, seen: Observation) -> Step:
    if level is not None:
        return open_episode(watch, level, seen, Reason.CONDITION_TRUE)
    if seen.verdict.worst is not None:
        reason = Reason.NOT_LONG_ENOUGH
    else:
        reason = Reason.NOT_KNOWN if seen.verdict.is_incomplete else Reason.FINE
    return Step(watch=watch, reason=reason)


def _while_open(watch: Watch, episode: Episode, level: Level | None, seen: Observation) -> Step:
    if level is not None and level > episode.level:
        return worsen(watch, episode, level, seen)
    if _is_over(episode, seen):
        return resolve(watch, episode, _why_over(episode, seen), seen.now)
    easing = _ease_on(watch, episode, seen)
    has_left = seen.verdict.left.get(episode.level) is True
    if has_left and easing and easing.lasted(seen.rule.ease_for, seen.now):
        return ease(watch, episode, seen)
    episode = with_worst(episode, seen.view)
    # A clock that was set back: nothing was told in the future.
    told_at = min(watch.told_at, seen.now) if watch.told_at else None
    watch = replace(watch, easing=easing, episode=episode, told_at=told_at)
    reminder = reminder_due(seen.rule, watch, seen.view, seen.now)
    if reminder is not None:
        return remind(watch, episode, seen, reminder)
    return Step(watch=watch, reason=_why_still_open(watch, seen))


def _in_new_window(before: Watch, watch: Watch, episode: Episode, seen: Observation) -> Step:
    """A new period is judged by itself; until it can be judged, the episode of the old one stays open."""
    if seen.verdict.is_incomplete and seen.verdict.worst is None:
        waiting = replace(watch, window=before.window, rollover=before.rollover, told_steps=before.told_steps)
        return Step(watch=waiting, reason=Reason.NOT_KNOWN)
    return _begin_anew(watch, episode, seen, Reason.ROLLED_OVER)


def _begin_anew(watch: Watch, episode: Episode, seen: Observation, reason: Reason) -> Step:
    """What is fine ends the episode. What is bad ends it without a word and opens the next."""
    level = seen.verdict.worst
    if level is None:
        return resolve(watch, episode, reason, seen.now)
    ended = resolve(watch, episode, reason, seen.now, unsaid=True)
    again = Reason.AGAIN_IN_NEW_WINDOW if reason is Reason.ROLLED_OVER else reason
    opened = open_episode(ended.watch, level, seen, again)
    return replace(opened, changes=ended.changes + opened.changes, ended=ended.ended)


# --- what `for`, `clear` and `ease_for` wait for


def _pend(watch: Watch, seen: Observation) -> Mapping[Level, Stretch]:
    """Only levels that have a `for` and are not told yet: a stretch is written at every reading."""
    if not seen.rule.sustain:
        return {}
    told = _told_level(watch)
    pending = {}
    for level, truth in seen.verdict.levels.items():
        before = watch.pending.get(level)
        if level <= told or not seen.rule.sustain.get(level):
            continue
        if truth is True:
            pending[level] = Stretch.reaching(seen.view.reading.as_of, before, seen.stale_after)
        elif truth is UNKNOWN and before:
            pending[level] = before
    return pending


def _due_level(watch: Watch, seen: Observation) -> Level | None:
    """The worst level that is true, and has been for as long as it must."""

    def is_due(level: Level) -> bool:
        sustain = seen.rule.sustain.get(level)
        return not sustain or watch.pending[level].lasted(sustain, seen.now)

    told = _told_level(watch)
    true = [level for level, truth in seen.verdict.levels.items() if truth is True and level > told]
    return max(filter(is_due, true), default=None)


def _told_level(watch: Watch) -> Level:
    return watch.episode.level if watch.episode else Level.INFO


def _is_over(episode: Episode, seen: Observation) -> bool:
    """No level is true, and a true `clear` says so, or every level told has definitely been left."""
    verdict = seen.verdict
    if verdict.worst is not None:
        return False
    return verdict.cleared or all(verdict.left[level] is True for level in seen.rule.levels if level <= episode.peak)


def _ease_on(watch: Watch, episode: Episode, seen: Observation) -> Stretch | None:
    verdict = seen.verdict
    left = verdict.left.get(episode.level, UNKNOWN)
    if min(verdict.levels, default=episode.level) == episode.level or left is False:
        return None
    if left is UNKNOWN:
        return watch.easing
    return Stretch.reaching(seen.view.reading.as_of, watch.easing, seen.stale_after)


def _why_over(episode: Episode, seen: Observation) -> Reason:
    if seen.verdict.excused:
        return Reason.EXCUSED
    now, worst = seen.view.headline, episode.worst
    is_balance = seen.view.reading.kind is Kind.BALANCE
    if is_balance and isinstance(now, Decimal) and isinstance(worst, Decimal) and now > worst:
        return Reason.TOPPED_UP
    return Reason.CLEARED


def _why_still_open(watch: Watch, seen: Observation) -> Reason:
    verdict = seen.verdict
    if watch.easing:
        return Reason.EASING
    if verdict.worst is not None:
        return Reason.NOT_LONG_ENOUGH if watch.pending else Reason.STILL_OPEN
    is_unknown = verdict.is_incomplete or UNKNOWN in verdict.left.values()
    return Reason.NOT_KNOWN if is_unknown else Reason.IN_THE_BAND
