"""What a channel is owed, settled into the lines that are worth sending now.

Between a change and its sending the world goes on: an episode worsens, resolves, or its rule is deleted. So the
notices of an episode become one line that tells the newest truth, or none, and each notice gets a reason.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import Final

from budgetd_rules.holds import Hold, Holds
from budgetd_rules.judgement import Notice, NoticeState
from budgetd_rules.memory import Change, ChangeKind, Episode
from budgetd_rules.rule import Level

NO_HOLDS: Final = Holds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """A notice that waits, with its change, how often it was tried, and whether a try's outcome is unknown."""

    notice: Notice
    change: Change
    attempts: int = 0
    outcome_unknown: bool = False


class Told(StrEnum):
    """What a line tells."""

    OPENED = "opened"
    WORSENED = "worsened"
    REMINDED = "reminded"
    RESOLVED = "resolved"
    NOTED = "noted"
    PASSED = "passed"
    """Opened and resolved before it could be told: one line says both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One episode's newest truth, or one thing noted, and the notices that it settles, oldest first.

    `may_repeat`: an earlier attempt to tell just this has an unknown outcome.
    """

    told: Told
    episode: Episode | None
    change: Change
    notices: tuple[str, ...]
    attempts: int = 0
    may_repeat: bool = False

    @property
    def newest(self) -> str:
        return self.notices[-1]

    @property
    def level(self) -> Level:
        """As it stands now."""
        return self.episode.level if self.episode else Level.INFO

    @property
    def is_over(self) -> bool:
        return self.told in (Told.RESOLVED, Told.PASSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A notice's new state; one that is held is looked at again at `due_at`, or when its `hold` is ended."""

    notice: str
    state: NoticeState
    reason: str
    hold: str | None = None
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """The lines to send now, most urgent first, and the notices that are settled without being sent."""

    lines: tuple[Line, ...]
    settled: tuple[Settled, ...]


def settle(
    owed: Sequence[Owed],
    episodes: Mapping[str, Episode],
    heard: frozenset[str],
    rules: frozenset[str],
    holds: Holds = NO_HOLDS,
    *,
    singly: bool = False,
) -> Settlement:
    """All that waits or is held for one channel.

    `heard` are the episodes of which this channel was told something, or may have been. `singly` sends one line
    at a time, the least tried first, so that a message which the service refuses does not hold back the others.
    """
    lines: list[Line] = []
    settled: list[Settled] = []
    in_order = sorted(owed, key=_place)
    for subject, group in groupby(in_order, key=_subject):
        notices = tuple(group)
        episode = episodes.get(subject)
        silence = holds.silence_of(notices[0].change.key)
        if silence:
            settled += _hold(notices, silence)
            continue
        if episode and holds.ack_of(episode):
            acked = [one for one in notices if one.change.kind is ChangeKind.REMINDED]
            settled += _drop(acked, "acked")
            notices = tuple(one for one in notices if one not in acked)
        outcome = _tell(notices, episode, subject in heard, rules)
        if isinstance(outcome, Line):
            lines.append(outcome)
        else:
            settled += _drop(notices, outcome)
    lines.sort(key=_urgency)
    if singly and lines:
        lines = [min(lines, key=lambda line: line.attempts)]
    return Settlement(lines=tuple(lines), settled=tuple(settled))


def _hold(notices: Iterable[Owed], silence: Hold) -> list[Settled]:
    """Those that it does not hold already."""
    comment = f": {silence.comment}" if silence.comment else ""
    return [
        Settled(
            notice=one.notice.id,
            state=NoticeState.HELD,
            reason=f"silence {silence.id}{comment}",
            hold=silence.id,
            due_at=silence.until_at,
        )
        for one in notices
        if one.notice.hold != silence.id
    ]


def _drop(notices: Iterable[Owed], reason: str) -> list[Settled]:
    return [Settled(notice=one.notice.id, state=NoticeState.DROPPED, reason=reason) for one in notices]


def _tell(notices: tuple[Owed, ...], episode: Episode | None, heard: bool, rules: frozenset[str]) -> Line | str:
    if not notices:
        return "nothing to tell"
    if episode is None:
        return _line(Told.NOTED, None, notices, notices[-1])
    return _collapse(notices, episode, heard, rules)


def _subject(owed: Owed) -> str:
    """What is told as one: an episode, or a thing noted."""
    return owed.change.episode or owed.change.id


def receipts(line: Line) -> list[Settled]:
    """The states of a line's notices once it was sent: the newest is what was said, the others went into it."""
    *older, newest = line.notices
    collapsed = [
        Settled(notice=notice, state=NoticeState.COLLAPSED, reason=f"told together with {newest}") for notice in older
    ]
    return [*collapsed, Settled(notice=newest, state=NoticeState.SENT, reason=line.told)]


def _collapse(owed: tuple[Owed, ...], episode: Episode, heard: bool, rules: frozenset[str]) -> Line | str:
    """The line that tells the newest truth of one episode, or why there is nothing to tell."""
    changes = {one.change.kind: one for one in owed}
    if ChangeKind.RESOLVED in changes:
        return _collapse_ended(owed, episode, heard, changes[ChangeKind.RESOLVED])
    if episode.ended_at is not None:
        return f"superseded: {episode.end}"
    if episode.key.rule not in rules:
        return "its rule is gone"
    for kind, told in _NEWS:
        if kind in changes:
            return _line(told, episode, owed, changes[kind])
    return "nothing to tell"


def _collapse_ended(owed: tuple[Owed, ...], episode: Episode, heard: bool, resolved: Owed) -> Line | str:
    """Who heard that it began hears that it is over; who did not hears both at once, unless it was silenced."""
    if heard:
        return _line(Told.RESOLVED, episode, owed, resolved)
    if any(one.notice.state is NoticeState.HELD for one in owed):
        return "over before the silence was"
    if len(owed) > 1:
        return _line(Told.PASSED, episode, owed, resolved)
    return "resolved, and never told"


# Who has not heard of the opening hears of it, at the level of now; a worsening is news over a reminder.
_NEWS = (
    (ChangeKind.OPENED, Told.OPENED),
    (ChangeKind.WORSENED, Told.WORSENED),
    (ChangeKind.REMINDED, Told.REMINDED),
)


def _line(told: Told, episode: Episode | None, owed: tuple[Owed, ...], telling: Owed) -> Line:
    return Line(
        told=told,
        episode=episode,
        change=telling.change,
        notices=tuple(one.notice.id for one in owed),
        attempts=max(one.attempts for one in owed),
        may_repeat=owed[-1].outcome_unknown,
    )


def _place(owed: Owed) -> tuple[str, int, str]:
    """By the change's number in its episode, not by its time: the clock may have been set back in between."""
    return _subject(owed), len(owed.change.id), owed.change.id


def _urgency(line: Line) -> tuple[bool, int, datetime, str]:
    since = line.episode.opened_at if line.episode else line.change.at
    return line.is_over, -line.level, since, line.change.id
