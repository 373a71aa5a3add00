"""What a channel is owed, settled into the lines that are worth sending now.

Between a change and its sending the world goes on: an episode worsens, resolves, or its rule is deleted. So the
notices of an episode become one line that tells the newest truth, or none, and each notice gets a reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from budgetd_rules.judgement import Notice, NoticeState
from budgetd_rules.watches import Change, ChangeKind, Episode


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
    PASSED = "passed"
    """Opened and resolved before it could be told: one line says both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One episode's newest truth, and the notices that it settles, oldest first.

    `may_repeat`: an earlier attempt to tell just this has an unknown outcome.
    """

    told: Told
    episode: Episode
    change: Change
    notices: tuple[str, ...]
    attempts: int = 0
    may_repeat: bool = False

    @property
    def newest(self) -> str:
        return self.notices[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    notice: str
    state: NoticeState
    reason: str


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
    *,
    singly: bool = False,
) -> Settlement:
    """All that waits for one channel.

    `heard` are the episodes of which this channel was told something, or may have been. `singly` sends one line
    at a time, the least tried first, so that a message which the service refuses does not hold back the others.
    """
    lines: list[Line] = []
    settled: list[Settled] = []
    in_order = sorted(owed, key=_place)
    for episode_id, group in groupby(in_order, key=lambda one: one.change.episode):
        notices = tuple(group)
        outcome = _collapse(notices, episodes[episode_id], episode_id in heard, rules)
        if isinstance(outcome, Line):
            lines.append(outcome)
        else:
            settled += [Settled(notice=one.notice.id, state=NoticeState.DROPPED, reason=outcome) for one in notices]
    lines.sort(key=_urgency)
    if singly and lines:
        lines = [min(lines, key=lambda line: line.attempts)]
    return Settlement(lines=tuple(lines), settled=tuple(settled))


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
        if heard:
            return _line(Told.RESOLVED, episode, owed, changes[ChangeKind.RESOLVED])
        if len(owed) > 1:
            return _line(Told.PASSED, episode, owed, changes[ChangeKind.RESOLVED])
        return "resolved, and never told"
    if episode.ended_at is not None:
        return f"superseded: {episode.end}"
    if episode.key.rule not in rules:
        return "its rule is gone"
    for kind, told in _NEWS:
        if kind in changes:
            return _line(told, episode, owed, changes[kind])
    return "nothing to tell"


# Who has not heard of the opening hears of it, at the level of now; a worsening is news over a reminder.
_NEWS = (
    (ChangeKind.OPENED, Told.OPENED),
    (ChangeKind.WORSENED, Told.WORSENED),
    (ChangeKind.REMINDED, Told.REMINDED),
)


def _line(told: Told, episode: Episode, owed: tuple[Owed, ...], telling: Owed) -> Line:
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
    change = owed.change
    return change.episode, len(change.id), change.id


def _urgency(line: Line) -> tuple[bool, int, str, str]:
    over = line.told in (Told.RESOLVED, Told.PASSED)
    return over, -line.episode.level, line.episode.opened_at.isoformat(), line.episode.id
