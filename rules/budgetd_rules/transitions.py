"""Transitions: how an episode opens, worsens, eases, is reminded of, and ends.

Each function takes a watch and returns a `Step`: the watch as it is afterwards, and the changes to record.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from budgetd_rules.evaluation import Observation
from budgetd_rules.kinds import Kind
from budgetd_rules.memory import Change, ChangeKind, Episode, Reason, Watch, episode_id
from budgetd_rules.meters import View
from budgetd_rules.reminders import passed_steps
from budgetd_rules.rule import Level


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What became of a watch; `ended` is the episode that the step ended, if it did."""

    watch: Watch
    changes: tuple[Change, ...] = ()
    reason: Reason
    ended: Episode | None = None


def open_episode(watch: Watch, level: Level, seen: Observation, reason: Reason) -> Step:
    episode = Episode(
        id=episode_id(watch.key, seen.now),
        key=watch.key,
        level=level,
        peak=level,
        opened_at=seen.now,
        window=watch.window,
        worst=seen.view.headline,
    )
    opened = replace(
        watch,
        episode=episode,
        pending={pending: stretch for pending, stretch in watch.pending.items() if pending > level},
        told_at=seen.now,
        told_steps=passed_steps(seen.rule, seen.view),
    )
    change = _change(episode, ChangeKind.OPENED, None, level, seen.now, reason)
    return Step(watch=opened, changes=(change,), reason=reason)


def worsen(watch: Watch, episode: Episode, level: Level, seen: Observation) -> Step:
    worse = replace(episode, level=level, peak=max(level, episode.peak), count=episode.count + 1)
    worse = with_worst(worse, seen.view)
    worsened = replace(
        watch,
        episode=worse,
        pending={},
        easing=None,
        told_at=seen.now,
        told_steps=watch.told_steps | passed_steps(seen.rule, seen.view),
        reminders=0,
    )
    change = _change(worse, ChangeKind.WORSENED, episode.level, level, seen.now, Reason.WORSE_LEVEL)
    return Step(watch=worsened, changes=(change,), reason=Reason.WORSE_LEVEL)


def ease(watch: Watch, episode: Episode, seen: Observation) -> Step:
    milder = [level for level in seen.rule.levels if level < episode.level]
    level = max((level for level in milder if seen.verdict.levels[level] is True), default=max(milder))
    eased = replace(episode, level=level, count=episode.count + 1)
    change = _change(eased, ChangeKind.EASED, episode.level, level, seen.now, Reason.MILDER_LEVEL, unsaid=True)
    return Step(watch=replace(watch, episode=eased, easing=None), changes=(change,), reason=Reason.MILDER_LEVEL)


def remind(watch: Watch, episode: Episode, seen: Observation, reason: Reason) -> Step:
    counted = replace(episode, count=episode.count + 1)
    reminded = replace(
        watch,
        episode=counted,
        told_at=seen.now,
        reminders=watch.reminders + 1,
        told_steps=watch.told_steps | passed_steps(seen.rule, seen.view),
    )
    change = _change(counted, ChangeKind.REMINDED, episode.level, episode.level, seen.now, reason)
    return Step(watch=reminded, changes=(change,), reason=reason)


def resolve(watch: Watch, episode: Episode, reason: Reason, now: datetime, *, unsaid: bool = False) -> Step:
    ended = replace(episode, ended_at=now, end=reason, count=episode.count + 1)
    change = _change(ended, ChangeKind.RESOLVED, episode.level, None, now, reason, unsaid=unsaid)
    return Step(watch=without_episode(watch), changes=(change,), reason=reason, ended=ended)


def without_episode(watch: Watch) -> Watch:
    """What belongs to the meter stays."""
    return Watch(key=watch.key, window=watch.window, known=watch.known, currency=watch.currency)


_MORE_IS_WORSE: Final = frozenset({Kind.QUOTA, Kind.SPEND})


def with_worst(episode: Episode, view: View) -> Episode:
    """The episode, its worst value being the present one if that is worse."""
    value, worst = view.headline, episode.worst
    if not isinstance(value, Decimal):
        return episode
    extreme = max if view.reading.kind in _MORE_IS_WORSE else min
    return replace(episode, worst=extreme(value, worst) if isinstance(worst, Decimal) else value)


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
