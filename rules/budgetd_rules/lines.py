"""Lines: one episode in a message, and the notices that it settles."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from budgetd_rules.memory import Change, Episode
from budgetd_rules.notices import Notice, NoticeState
from budgetd_rules.rule import Level


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """A notice that waits, with its change, how often it was tried, and whether the outcome of a try is unknown.

    `handed`: if it was handed over from another channel, why that was not told.
    """

    notice: Notice
    change: Change
    attempts: int = 0
    outcome_unknown: bool = False
    handed: str | None = None


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
    """One episode as it is now, or one noted change, and the notices that this settles, oldest first.

    `may_repeat`: an earlier attempt to tell this has an unknown outcome.
    """

    told: Told
    episode: Episode | None
    change: Change
    notices: tuple[str, ...]
    attempts: int = 0
    may_repeat: bool = False
    handed: str | None = None

    @property
    def newest(self) -> str:
        return self.notices[-1]

    @property
    def level(self) -> Level:
        """The present one."""
        return self.episode.level if self.episode else Level.INFO

    @property
    def is_over(self) -> bool:
        return self.told in (Told.RESOLVED, Told.PASSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A notice's new state. One that is held is settled again at `due_at`, or when its `hold` ends."""

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


def receipts(line: Line) -> list[Settled]:
    """The states of a line's notices after it was sent: the newest counts as sent, the others as told with it."""
    *older, newest = line.notices
    collapsed = [
        Settled(notice=notice, state=NoticeState.COLLAPSED, reason=f"told together with {newest}") for notice in older
    ]
    return [*collapsed, Settled(notice=newest, state=NoticeState.SENT, reason=line.told)]
