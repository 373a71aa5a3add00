"""When notices are due: which channels have something to send now, and how to repair times after a clock change."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from budgetd.store.database import Store, read, write
from budgetd.store.notices import channel_state
from budgetd.store.rows import among
from budgetd_rules.encoding import at
from budgetd_rules.notices import OF_CONFIG

# How often a failing channel may be tried early for new critical changes.
PROBE_EVERY: Final = timedelta(minutes=1)


def plan(db: Store, group_wait: Mapping[str, timedelta], pause: Callable[[str, int], timedelta], now: datetime) -> None:
    """Moves due times that lie too far ahead, as after the clock was set back, to what they would be if set now.
    Notices held by quiet hours or parking are settled again, as the config may have changed.

    `group_wait` is by channel; `pause` gives a channel's pause after a number of failures.
    """
    delays = "SELECT DISTINCT coalesce(delay, 0) FROM notices WHERE channel = ? AND state = 'waiting'"
    with write(db):
        for name, wait in group_wait.items():
            for (delay,) in db.execute(delays, [name]).fetchall():
                db.execute(
                    "UPDATE notices SET due_at = ?1 "
                    "WHERE channel = ?2 AND state = 'waiting' AND coalesce(delay, 0) = ?3 AND due_at > ?1",
                    [at(now + max(wait, timedelta(seconds=delay))), name, delay],
                )
            db.execute(
                "UPDATE notices SET due_at = ? "
                "WHERE channel = ? AND state = 'held' AND hold IN (SELECT value FROM json_each(?))",
                [at(now), name, among(OF_CONFIG)],
            )
            next_try = at(now + pause(name, channel_state(db, name).failures))
            db.execute("UPDATE channels SET next_try_at = ?1 WHERE name = ?2 AND next_try_at > ?1", [next_try, name])
            db.execute("UPDATE channels SET last_try_at = ?1 WHERE name = ?2 AND last_try_at > ?1", [at(now), name])
        db.execute("UPDATE notices SET owed_since = due_at WHERE state = 'waiting' AND owed_since > due_at")
        db.execute("UPDATE notices SET settled_at = ?1 WHERE state = 'held' AND settled_at > ?1", [at(now)])


def due_channels(db: Store, now: datetime) -> list[str]:
    """The channels that have a due notice and may be tried now.

    A critical change that was never tried does not wait for a failing channel's pause to end. Notices held by a hold
    without an end time are skipped until somebody ends it. Dead notices that no channel told are still tried.
    """
    sql = """
        SELECT DISTINCT notices.channel FROM notices LEFT JOIN channels ON channels.name = notices.channel
        WHERE (state IN ('waiting', 'held') AND (hold IN (SELECT hold FROM hold_ends) OR due_at <= ?1 AND NOT (
                   state = 'held' AND hold IN (SELECT id FROM holds WHERE until_at IS NULL)))
               OR state = 'dead' AND hold = 'untold') AND (
            coalesce(next_try_at, '') <= ?1
            OR coalesce(last_try_at, '') <= ?2
               AND NOT EXISTS (SELECT 1 FROM attempted WHERE attempted.notice = notices.id)
               AND EXISTS (SELECT 1 FROM changes JOIN episodes ON episodes.id = changes.episode
                           WHERE changes.id = notices.change AND ended_at IS NULL AND level = 'critical'))
    """
    with read(db):
        return [name for (name,) in db.execute(sql, [at(now), at(now - PROBE_EVERY)])]
