"""How the work goes, as far as the database knows it; and the last heartbeat, for `status`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from budgetd.store.database import Store, read, write
from budgetd.store.rows import among
from budgetd_rules.encoding import at, maybe_at, maybe_when, when
from budgetd_rules.heartbeats import NextPoll


@dataclass(frozen=True, slots=True, kw_only=True)
class LastHeartbeat:
    """When it was to be sent the last time, when it was sent the last time, and why it was not, if so."""

    checked_at: datetime
    sent_at: datetime | None
    problem: str | None


def load_polls(db: Store, intervals: Mapping[str, timedelta]) -> dict[str, NextPoll]:
    """Inside of a read. Of those accounts, that have an interval, which are known."""
    sql = "SELECT name, next_poll_at FROM accounts WHERE name IN (SELECT value FROM json_each(?))"
    return {
        name: NextPoll(due_at=when(due_at), interval=intervals[name])
        for name, due_at in db.execute(sql, [among(intervals)]).fetchall()
    }


def load_untold(db: Store, channels: Iterable[str], now: datetime) -> dict[str, datetime]:
    """Inside of a read: since when each is owed what it waits for; the time in which it was held is not counted.

    What quiet hours hold counts again once they are over; a silence may hold for ever.
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
    """Where it was not sent, it was sent last when it was."""
    with write(db):
        db.execute(
            "INSERT INTO heartbeat (id, checked_at, sent_at, problem) VALUES (1, ?1, ?2, ?3) ON CONFLICT (id) "
            "DO UPDATE SET checked_at = ?1, sent_at = coalesce(?2, sent_at), problem = ?3",
            [at(now), maybe_at(sent_at), problem],
        )
