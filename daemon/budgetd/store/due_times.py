"""When what waits is due: which channels have something to send by now, and what a clock that was set back changes."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from budgetd.store.database import Store, read, write
from budgetd.store.notices import channel_state
from budgetd.store.rows import among
from budgetd_rules.encoding import at
from budgetd_rules.notices import OF_CONFIG

# A failing channel may be tried so often for the sake of what is critical and new.
PROBE_EVERY: Final = timedelta(minutes=1)


def plan(db: Store, group_wait: Mapping[str, timedelta], pause: Callable[[str, int], timedelta], now: datetime) -> None:
    """Nothing waits longer than it would if its time were set now: once the clock was set back, it may lie far ahead.
    What quiet hours or parking hold is settled again: the config may be another now.

    `group_wait` is by channel, `pause` a channel's after so many failures.
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
    """The channels with a notice whose time has come, and that may be tried now.

    What is critical and was never tried does not wait until a failing channel's pause is over. What a silence without
    an end holds is not looked at before somebody ends it; what is dead and was told nobody is still tried.
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
