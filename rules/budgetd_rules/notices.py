"""Notices: what a change owes to which channel."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from budgetd_rules.handover import choose_substitute
from budgetd_rules.kinds import Kind
from budgetd_rules.memory import Change, ChangeKind
from budgetd_rules.meters import Account
from budgetd_rules.own_account import channel_of
from budgetd_rules.routing import AT_ONCE, Routing

# What a held notice names as its hold where it is not the id of a silence. A new config may end either.
QUIET: Final = "quiet"
PARKED: Final = "parked"
OF_CONFIG: Final = frozenset({QUIET, PARKED})
# The mark of what is dead and was told nobody: it is still tried, for its channel may come back after all.
UNTOLD: Final = "untold"


class NoticeState(StrEnum):
    WAITING = "waiting"
    HELD = "held"
    SENT = "sent"
    COLLAPSED = "collapsed"
    DROPPED = "dropped"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One change owed to one channel; `hold` is what holds it, if it is held.

    `delay`: it is an escalation, told after this time and only if nobody has acked by then.
    """

    id: str
    change: str
    channel: str
    due_at: datetime
    state: NoticeState = NoticeState.WAITING
    hold: str | None = None
    delay: timedelta | None = None

    def is_early(self, now: datetime) -> bool:
        """Whether it is an escalation whose time has not come. What a silence holds was due when it was held."""
        return self.delay is not None and self.due_at > now and self.hold in (None, QUIET)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Which channels know of which open episode, by its id.

    `owed`: a change of it was to be told there. `heard`: something of it was told there, or may have been.
    """

    owed: Mapping[str, Collection[str]] = field(default_factory=dict)
    heard: Mapping[str, Collection[str]] = field(default_factory=dict)


NOBODY: Final = Audience()


def owe(
    change: Change,
    account: Account | None,
    kind: Kind | None,
    routing: Routing,
    audience: Audience = NOBODY,
) -> list[Notice]:
    """One notice per channel of the change's route. A resolve goes to exactly the channels owed an earlier change."""
    waits: Mapping[str, timedelta] = {}
    if change.kind is ChangeKind.RESOLVED:
        waits = dict.fromkeys(audience.owed.get(change.episode or "", ()), AT_ONCE)
    elif account is not None and kind is not None:
        waits = _without_failing(channel_of(*change.key.of_meter), routing.channels(change, account, kind), routing)
    if change.kind is ChangeKind.REMINDED:
        # A reminder does not escalate: it goes to those who know already.
        knowing = audience.heard.get(change.episode or "", ())
        waits = {name: AT_ONCE for name, after in waits.items() if not after or name in knowing}
    return [_notice(change, name, after, routing.group_wait.get(name, AT_ONCE)) for name, after in waits.items()]


def _notice(change: Change, channel: str, after: timedelta, group_wait: timedelta) -> Notice:
    return Notice(
        id=f"{change.id}@{channel}",
        change=change.id,
        channel=channel,
        due_at=change.at + max(after, group_wait),
        delay=after or None,
    )


def _without_failing(failing: str | None, waits: Mapping[str, timedelta], routing: Routing) -> Mapping[str, timedelta]:
    """Without the channel that the change says is failing. If the routes name no other, its fallback or any other."""
    if failing is None or failing not in waits:
        return waits
    others = {channel: after for channel, after in waits.items() if channel != failing}
    instead = choose_substitute(tuple(routing.group_wait), routing.fallbacks.get(failing), {failing})
    return others or ({instead: AT_ONCE} if instead else {})
