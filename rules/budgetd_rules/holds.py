"""Holds: what a person asked not to be told. An *ack* says "I know" of one episode, a *silence* holds what it matches.

An ack stops reminders and escalations; that the episode gets worse or is resolved is still told. A silence holds
everything, critical changes too, until its end; then what is still bad is told, once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final

from budgetd_rules.memory import Episode, WatchKey
from budgetd_rules.meters import Account, family
from budgetd_rules.rule import Level

NEVER: Final = datetime.max.replace(tzinfo=UTC)


class HoldKind(StrEnum):
    ACK = "ack"
    SILENCE = "silence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """An ack is of an `episode`, and ends if that gets worse than `worse_than`. A silence matches by glob patterns."""

    id: str
    kind: HoldKind
    from_at: datetime
    until_at: datetime | None = None
    ended_at: datetime | None = None
    by: str = ""
    comment: str = ""
    episode: str = ""
    worse_than: Level | None = None
    rule: str = "*"
    account: str = "*"
    meter: str = "*"
    labels: Mapping[str, str] = field(default_factory=dict)

    def is_active(self, now: datetime) -> bool:
        return self.ended_at is None and (self.until_at is None or now < self.until_at)

    def acks(self, episode: Episode) -> bool:
        """Whether it is an ack of this episode as it is now."""
        worse = self.worse_than is not None and episode.level > self.worse_than
        return self.kind is HoldKind.ACK and self.episode == episode.id and episode.ended_at is None and not worse

    def silences(self, key: WatchKey, account: Account | None) -> bool:
        labels = account.labels if account else {}
        return (
            self.kind is HoldKind.SILENCE
            and fnmatchcase(key.rule, self.rule)
            and fnmatchcase(key.account, self.account)
            and (fnmatchcase(key.meter, self.meter) or family(key.meter) == self.meter)
            and all(fnmatchcase(labels.get(name, ""), glob) for name, glob in self.labels.items())
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Holds:
    """The holds that are active at one instant, and whom they concern."""

    active: tuple[Hold, ...] = ()
    accounts: Mapping[str, Account] = field(default_factory=dict)

    @classmethod
    def at(cls, now: datetime, holds: Iterable[Hold], accounts: Mapping[str, Account]) -> "Holds":
        return cls(active=tuple(hold for hold in holds if hold.is_active(now)), accounts=accounts)

    def silence_of(self, key: WatchKey) -> Hold | None:
        """The silence that holds the watch; of several, the one that ends last."""
        account = self.accounts.get(key.account)
        matching = (hold for hold in self.active if hold.silences(key, account))
        return max(matching, key=lambda hold: hold.until_at or NEVER, default=None)

    def ack_of(self, episode: Episode) -> Hold | None:
        return next((hold for hold in self.active if hold.acks(episode)), None)
