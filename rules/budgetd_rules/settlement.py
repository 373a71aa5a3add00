"""Settlement: from the notices that a channel is owed to the lines that are worth sending now.

Between a change and its sending, an episode may worsen or resolve, or its rule may leave the config. So the notices of
an episode become one line that tells its present state, or none, and each notice that is not sent gets a reason.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

from budgetd_rules.holds import Hold, Holds
from budgetd_rules.lines import Line, Owed, Settled, Settlement, Told
from budgetd_rules.memory import ChangeKind, Episode, WatchKey
from budgetd_rules.notices import OF_CONFIG, PARKED, QUIET, NoticeState
from budgetd_rules.rule import Level
from budgetd_rules.schedules import Quiet

NO_HOLDS: Final = Holds()
ALWAYS_AUDIBLE: Final = Quiet()
# How often parked notices are settled again, in case their watch is over. If it is back, that is noticed at once.
LOOK_AT_PARKED: Final = timedelta(days=1)


def settle(
    owed: Sequence[Owed],
    episodes: Mapping[str, Episode],
    heard: frozenset[str],
    parked: Collection[str] = (),
    holds: Holds = NO_HOLDS,
    *,
    now: datetime,
    quiet: Quiet = ALWAYS_AUDIBLE,
    singly: bool = False,
) -> Settlement:
    """Settles all that waits or is held for one channel.

    `heard` are the episodes of which this channel was told something, or may have been; `parked` those whose rule or
    account is not in the config. `singly` sends one line at a time, the least tried first, so that a line that the
    service refuses does not hold back the others.
    """
    lines: list[Line] = []
    settled: list[Settled] = []
    quiet_until = quiet.until(now)
    for subject in _subjects(owed, episodes, heard, now):
        silence = holds.silence_of(subject.key)
        if silence:
            settled += _silence(subject.due, silence)
            continue
        dropped = _drop_singly(subject, holds)
        settled += dropped
        left = subject.without(dropped)
        outcome = _tell(left)
        if isinstance(outcome, str):
            settled += [_drop(one, outcome) for one in left.due]
        elif left.name in parked:
            settled += _park(left.due, now)
        elif quiet_until and not _breaks_through(outcome):
            settled += _keep_quiet(left.due, quiet_until, quiet.reason(quiet_until, now))
        else:
            lines.append(outcome)
    lines.sort(key=_urgency)
    if singly and lines:
        lines = [min(lines, key=lambda line: line.attempts)]
    return Settlement(lines=tuple(lines), settled=tuple(settled))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """What is told together: the notices of an episode, or one of a noted change; oldest first.

    `early` are escalations whose time has not come. They are told early only if something else of the episode is.
    """

    episode: Episode | None
    is_heard: bool
    due: tuple[Owed, ...]
    early: tuple[Owed, ...]

    @property
    def name(self) -> str:
        return _name(self.due[0])

    @property
    def key(self) -> WatchKey:
        """Of the episode as it is now: its rule may have been renamed since the change."""
        return self.episode.key if self.episode else self.due[0].change.key

    def without(self, settled: Iterable[Settled]) -> "_Subject":
        gone = {one.notice for one in settled}
        due = tuple(one for one in self.due if one.notice.id not in gone)
        return replace(self, due=due, early=tuple(one for one in self.early if one.notice.id not in gone))


def _subjects(
    owed: Iterable[Owed], episodes: Mapping[str, Episode], heard: frozenset[str], now: datetime
) -> Iterator[_Subject]:
    """The subjects that have a notice due."""
    for name, group in groupby(sorted(owed, key=_place), key=_name):
        notices = tuple(group)
        due = tuple(one for one in notices if not one.notice.is_early(now))
        early = tuple(one for one in notices if one.notice.is_early(now))
        if due:
            yield _Subject(episode=episodes.get(name), is_heard=name in heard, due=due, early=early)


def _name(owed: Owed) -> str:
    return owed.change.episode or owed.change.id


def _place(owed: Owed) -> tuple[str, int, str]:
    """By the change's number in its episode, not by its time: the clock may have been set back since."""
    return _name(owed), len(owed.change.id), owed.change.id


# --- what is held


def _silence(due: Iterable[Owed], silence: Hold) -> list[Settled]:
    """Holds those that it does not hold already."""
    comment = f": {silence.comment}" if silence.comment else ""
    return [
        Settled(
            notice=one.notice.id,
            state=NoticeState.HELD,
            reason=f"silence {silence.id}{comment}",
            hold=silence.id,
            due_at=silence.until_at,
        )
        for one in due
        if one.notice.hold != silence.id
    ]


def _keep_quiet(due: Iterable[Owed], until: datetime, reason: str) -> list[Settled]:
    """Holds those that are not held until then already."""
    return [
        Settled(notice=one.notice.id, state=NoticeState.HELD, reason=reason, hold=QUIET, due_at=until)
        for one in due
        if (one.notice.hold, one.notice.due_at) != (QUIET, until)
    ]


def _park(due: Iterable[Owed], now: datetime) -> list[Settled]:
    """Holds them like their watch: if that comes back no worse it goes on silently, and they are still to be told."""
    reason = "parked: its rule or account is not in the config"
    until = now + LOOK_AT_PARKED
    return [
        Settled(notice=one.notice.id, state=NoticeState.HELD, reason=reason, hold=PARKED, due_at=until)
        for one in due
        if one.notice.hold != PARKED or one.notice.due_at <= now
    ]


def _breaks_through(line: Line) -> bool:
    """Whether it is told in quiet hours, with all that they held of its episode: it opens at critical or becomes so."""
    return line.told in (Told.OPENED, Told.WORSENED) and line.level is Level.CRITICAL


# --- what is dropped


def _drop(owed: Owed, reason: str) -> Settled:
    return Settled(notice=owed.notice.id, state=NoticeState.DROPPED, reason=reason)


def _drop_singly(subject: _Subject, holds: Holds) -> list[Settled]:
    """Drops the reminders and escalations that are no longer of use."""
    episode = subject.episode
    if episode is None:
        return []
    if episode.ended_at is not None:
        escalating = [one for one in (*subject.due, *subject.early) if one.notice.delay]
        return [] if subject.is_heard else [_drop(one, "over before its time") for one in escalating]
    acked = holds.ack_of(episode) is not None
    reasons = [(one, _why_not(one, episode, acked=acked)) for one in subject.due]
    return [_drop(one, reason) for one, reason in reasons if reason]


def _why_not(one: Owed, episode: Episode, *, acked: bool) -> str | None:
    is_reminder, escalates = one.change.kind is ChangeKind.REMINDED, one.notice.delay is not None
    if acked and (is_reminder or escalates):
        return "acked"
    if escalates and one.change.new is not None and one.change.new > episode.level:
        return "eased before its time"
    return None


# --- what is told


def _tell(subject: _Subject) -> Line | str:
    """The line that tells the present state, or the reason why there is nothing to tell."""
    if not subject.due:
        return "nothing to tell"
    episode = subject.episode
    if episode is None:
        return _line(Told.NOTED, subject, subject.due[-1])
    changes = {one.change.kind: one for one in subject.due}
    if ChangeKind.RESOLVED in changes:
        return _tell_ended(subject, changes[ChangeKind.RESOLVED])
    if episode.ended_at is not None:
        return f"superseded: {episode.end}"
    return _tell_open(subject, changes)


def _tell_open(subject: _Subject, changes: Mapping[ChangeKind, Owed]) -> Line | str:
    if subject.early and changes.keys() == {ChangeKind.REMINDED}:
        return "what it reminds of is told later"
    for kind, told in _NEWS:
        if kind in changes:
            return _line(told, subject, changes[kind])
    return "nothing to tell"


def _tell_ended(subject: _Subject, resolved: Owed) -> Line | str:
    """A channel that heard of the beginning hears of the end; another hears of both at once, unless it was silenced."""
    if subject.is_heard:
        return _line(Told.RESOLVED, subject, resolved)
    if any(one.notice.state is NoticeState.HELD and one.notice.hold not in OF_CONFIG for one in subject.due):
        return "over before the silence was"
    if len(subject.due) > 1 or resolved.handed:
        return _line(Told.PASSED, subject, resolved)
    return "resolved, and never told"


# Of several kinds of change, the first of these is told: an unheard opening, then a worsening, then a reminder.
_NEWS = (
    (ChangeKind.OPENED, Told.OPENED),
    (ChangeKind.WORSENED, Told.WORSENED),
    (ChangeKind.REMINDED, Told.REMINDED),
)


def _line(told: Told, subject: _Subject, telling: Owed) -> Line:
    owed = sorted((*subject.due, *subject.early), key=_place)
    # A later reminder adds nothing to what may have arrived already.
    said = next((one for one in reversed(owed) if one.change.kind is not ChangeKind.REMINDED), owed[-1])
    return Line(
        told=told,
        episode=subject.episode,
        change=telling.change,
        notices=tuple(one.notice.id for one in owed),
        attempts=max(one.attempts for one in owed),
        may_repeat=said.outcome_unknown,
        handed=next((one.handed for one in owed if one.handed), None),
    )


def _urgency(line: Line) -> tuple[bool, int, datetime, str, str]:
    since = line.episode.opened_at if line.episode else line.change.at
    return line.is_over, -line.level, since, line.change.key.account, line.change.id
