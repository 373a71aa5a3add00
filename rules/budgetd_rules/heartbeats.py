"""Whether budgetd is well enough to send a heartbeat to an outside service, which alerts people when none comes.

What counts here is that polls and deliveries happen. How the vendors and balances are doing is for the rules.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

LONGEST_OVERDUE: Final = timedelta(minutes=5)
OVERDUE_INTERVALS: Final = 3
LONGEST_UNTOLD: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class NextPoll:
    """When an account's next poll is or was due, and how often it is polled."""

    due_at: datetime
    interval: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """How the work goes.

    `stuck` is a room (a loop of the service) that has not moved lately; `untold` says by channel since when something
    is due there. Waits are counted from `polls_since` and `sends_since` on: before, nobody was there to do the work.
    """

    stuck: str | None = None
    store_error: str | None = None
    polls: Mapping[str, NextPoll] = field(default_factory=dict)
    untold: Mapping[str, datetime] = field(default_factory=dict)
    polls_since: datetime
    sends_since: datetime


def why_unwell(pulse: Pulse, now: datetime) -> str | None:
    """One line without secrets; None if all is well."""
    if pulse.stuck is not None:
        return f"the room {pulse.stuck} does not move"
    if pulse.store_error is not None:
        return pulse.store_error
    late = {name: now - max(one.due_at, pulse.polls_since) for name, one in pulse.polls.items()}
    longest = {name: max(LONGEST_OVERDUE, OVERDUE_INTERVALS * one.interval) for name, one in pulse.polls.items()}
    if overdue := [name for name, wait in late.items() if wait > longest[name]]:
        return _worst("not polled, though due", {name: late[name] for name in overdue})
    waits = {name: now - max(since, pulse.sends_since) for name, since in pulse.untold.items()}
    if untold := {name: wait for name, wait in waits.items() if wait > LONGEST_UNTOLD}:
        return _worst("not told what is due", untold)
    return None


def _worst(what: str, waits: Mapping[str, timedelta]) -> str:
    """Without the duration, so that the line stays the same while the problem lasts."""
    first = max(waits, key=lambda name: waits[name])
    more = f" and {len(waits) - 1} more" if len(waits) > 1 else ""
    return f"{what}: {first}{more}"
