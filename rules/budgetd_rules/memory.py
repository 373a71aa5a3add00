"""What is remembered: watches, their episodes, and the changes of those."""

from base64 import b32encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple

from budgetd_rules.meters import MeterKey
from budgetd_rules.rule import Level
from budgetd_rules.values import UNKNOWN, Value


class WatchKey(NamedTuple):
    rule: str
    account: str
    meter: str

    @property
    def of_meter(self) -> MeterKey:
        return MeterKey(self.account, self.meter)


class ChangeKind(StrEnum):
    OPENED = "opened"
    WORSENED = "worsened"
    EASED = "eased"
    REMINDED = "reminded"
    RESOLVED = "resolved"
    NOTED = "noted"


class Reason(StrEnum):
    """Why a step changed something, or why it did not. Shown to people as it stands."""

    CONDITION_TRUE = "condition is true"
    AGAIN_IN_NEW_WINDOW = "again, in the new period"
    WORSE_LEVEL = "a worse level is true"
    MILDER_LEVEL = "better for long enough"
    REMINDER_DUE = "the reminder is due"
    STEP_PASSED = "a reminder step was passed"
    CLEARED = "the condition is over"
    EXCUSED = "`unless` is true"
    ROLLED_OVER = "a new period began"
    TOPPED_UP = "topped up"
    CURRENCY_CHANGED = "the currency changed"
    VALUE_CHANGED = "a value changed"
    GONE = "gone at the vendor"
    UNWATCHED = "no longer in the config"

    FINE = "no condition is true"
    NOT_KNOWN = "nobody knows: unknown neither opens nor resolves"
    NOT_LONG_ENOUGH = "true, but not yet for long enough"
    STILL_OPEN = "already told, and no worse"
    IN_THE_BAND = "no level is true, but `clear` is not true either"
    EASING = "better, but not yet for long enough"
    ROLLING_OVER = "a new period seems to begin: believed at the second reading"
    PARKED = "not in the config: parked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """How long something has held: the first and the latest reading that said so."""

    first: datetime
    last: datetime

    @classmethod
    def reaching(cls, as_of: datetime, before: "Stretch | None", stale_after: timedelta) -> "Stretch":
        """With one more reading that says so; after a gap that leaves the time between unknown, a new beginning.

        A reading older than the last means that the clock was set back: as long as it had held, it has still held.
        """
        if before is None or as_of - before.last > stale_after:
            return cls(first=as_of, last=as_of)
        return cls(first=min(before.first, as_of - (before.last - before.first)), last=as_of)

    def lasted(self, long: timedelta, now: datetime) -> bool:
        """Whether two readings at least have said so, the first of them `long` ago."""
        return self.last > self.first and now - self.first >= long


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One stretch in which a watch is at a level. `worst` is the headline's worst value, `count` the changes so far."""

    id: str
    key: WatchKey
    level: Level
    peak: Level
    opened_at: datetime
    window: datetime | None = None
    ended_at: datetime | None = None
    end: Reason | None = None
    worst: Value = UNKNOWN
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that happened to an episode, or was noted without one. `unsaid`: it is recorded and not told.

    `values` are the fields that the rule read; of a noted change, the new values, and `before` the old ones.
    """

    id: str
    episode: str | None
    key: WatchKey
    kind: ChangeKind
    old: Level | None
    new: Level | None
    at: datetime
    reason: Reason
    unsaid: bool = False
    values: Mapping[str, Value] = field(default_factory=dict)
    before: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollover:
    """A new period that only one reading has shown so far."""

    resets_at: datetime
    as_of: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What one rule remembers of one meter.

    `window` is the end of the current period, `known` the values that `on_change` compares with. `wake_at`: when to
    judge it again even if no reading comes.
    """

    key: WatchKey
    pending: Mapping[Level, Stretch] = field(default_factory=dict)
    easing: Stretch | None = None
    told_steps: frozenset[Decimal] = frozenset()
    told_at: datetime | None = None
    reminders: int = 0
    window: datetime | None = None
    rollover: Rollover | None = None
    known: Mapping[str, Value] = field(default_factory=dict)
    currency: str | None = None
    episode: Episode | None = None
    wake_at: datetime | None = None
    parked_at: datetime | None = None


def episode_id(key: WatchKey, opened_at: datetime) -> str:
    """Eight letters and digits, computed from the opening, so that a repeated computation gives the same id."""
    digest = sha256("\n".join([*key, opened_at.isoformat()]).encode()).digest()
    return b32encode(digest[:5]).decode().lower()
