"""For the heartbeat: how late polls and channels are. For `status`: the last heartbeat."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from budgetd.store.database import Store, read, write
from budgetd.store.rows import among
from budgetd_rules.encoding import at, maybe_at, maybe_when, when
from budgetd_rules.heartbeats import NextPoll


@dataclass(frozen=True, slots=True, kw_only=True)
class LastHeartbeat:
    """When a heartbeat was last due, when one was last sent, and why the last was not sent, if so."""

    checked_at: datetime
    sent_at: datetime | None
    problem: str | None


def load_polls(db: Store, intervals: Mapping[str, timedelta]) -> dict[str, NextPoll]:
    """The stored next polls of the accounts that have an interval. Call this inside a read."""
    sql = "SELECT name, next_poll_at FROM accounts WHERE name IN (SELECT value FROM json_each(?))"
    return {
        name: NextPoll(due_at=when(due_at), interval=intervals[name])
        for name, due_at in db.execute(sql, [among(intervals)]).fetchall()
    }


def load_untold(db: Store, channels: Iterable[str], now: datetime) -> dict[str, datetime]:
    """Since when each channel has had something due, not counting holds. Call this inside a read.

    Notices held by quiet hours count again once these are over; notices held by a silence do not count.
    """
    sql = """
        SELECT channel, min(max(due_at, owed_since)) FROM notices
        WHERE (state = 'waiting' OR hold IN ('quiet', 'untold')) AND due_at <= ?
              AND channel IN (SELECT value FROM json_each(?)) GROUP BY channel
    """
    return {channel: when(since) for channel, since in db.execute(sql, [at(now), among(channels)]).fetchall()}


def load_heartbeat(db: Store) -> LastHeartbeat | None:
    with read(db):
        row = next(db.query("SELECT * FROM heartbeat"), None)
    if row is None:
        return None
    return LastHeartbeat(checked_at=when(row["checked_at"]), sent_at=maybe_when(row["sent_at"]), problem=row["problem"])


def write_heartbeat(db: Store, sent_at: datetime | None, problem: str | None, now: datetime) -> None:
    """Without `sent_at`, the time of the last one sent is kept."""
    with write(db):
        db.execute(
            "INSERT INTO heartbeat (id, checked_at, sent_at, problem) VALUES (1, ?1, ?2, ?3) ON CONFLICT (id) "
            "DO UPDATE SET checked_at = ?1, sent_at = coalesce(?2, sent_at), problem = ?3",
            [at(now), maybe_at(sent_at), problem],
        )
