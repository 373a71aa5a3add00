"""The outbox: notices that wait, attempts to send them, and their receipts."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from budgetd.store import rows
from budgetd.store.database import Store, put, read, write
from budgetd.store.holds import load_holds
from budgetd.store.rows import among
from budgetd_rules.encoding import at, maybe_at, maybe_when, when
from budgetd_rules.holds import Hold
from budgetd_rules.judgement import QUIET, Notice, NoticeState
from budgetd_rules.memory import Episode
from budgetd_rules.meters import MeterKey, Reading
from budgetd_rules.settlement import Owed, Settled


class Outcome(StrEnum):
    """How an attempt ended. It is unknown from its beginning on, until the service has said yes or no."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelState:
    """How a channel's sends go; `failures` in a row, and no try before `next_try_at`."""

    name: str
    failures: int = 0
    failing_since: datetime | None = None
    next_try_at: datetime | None = None
    last_success: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """All that waits for one channel, with what is needed to settle and to say it."""

    channel: ChannelState
    owed: tuple[Owed, ...] = ()
    episodes: Mapping[str, Episode] = field(default_factory=dict)
    heard: frozenset[str] = frozenset()
    readings: Mapping[MeterKey, Reading] = field(default_factory=dict)
    holds: tuple[Hold, ...] = ()


def plan(db: Store, group_wait: Mapping[str, timedelta], pause: Callable[[str, int], timedelta], now: datetime) -> None:
    """Nothing waits longer than it would if its time were set now: once the clock was set back, it may lie far ahead.
    What quiet hours hold is settled again: they may be others now.

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
                "UPDATE notices SET due_at = ? WHERE channel = ? AND state = 'held' AND hold = ?",
                [at(now), name, QUIET],
            )
            latest = now + pause(name, channel_state(db, name).failures)
            db.execute("UPDATE channels SET next_try_at = ?1 WHERE name = ?2 AND next_try_at > ?1", [at(latest), name])


def due_channels(db: Store, now: datetime) -> list[str]:
    """The channels with a notice whose time has come, and that may be tried now."""
    sql = """
        SELECT DISTINCT notices.channel FROM notices LEFT JOIN channels ON channels.name = notices.channel
        WHERE state IN ('waiting', 'held') AND coalesce(next_try_at, '') <= ?
              AND (due_at <= ? OR hold IN (SELECT hold FROM hold_ends))
    """
    with read(db):
        return [name for (name,) in db.execute(sql, [at(now), at(now)])]


def channel_state(db: Store, name: str) -> ChannelState:
    row = next(db.query("SELECT * FROM channels WHERE name = ?", [name]), None)
    if row is None:
        return ChannelState(name=name)
    return ChannelState(
        name=name,
        failures=row["failures"],
        failing_since=maybe_when(row["failing_since"]),
        next_try_at=maybe_when(row["next_try_at"]),
        last_success=maybe_when(row["last_success"]),
    )


def load(db: Store, channel: str, now: datetime) -> Waiting:
    """What waits for the channel, also what is not due yet: an episode is told whole."""
    sql = """
        SELECT notices.id AS notice, notices.due_at, notices.state, notices.hold, notices.delay, changes.*,
               count(attempts.id) AS attempts, coalesce(max(attempts.outcome = 'unknown'), 0) AS outcome_unknown
        FROM notices JOIN changes ON changes.id = notices.change
             LEFT JOIN attempted ON attempted.notice = notices.id LEFT JOIN attempts ON attempts.id = attempted.attempt
        WHERE notices.channel = ? AND notices.state IN ('waiting', 'held') GROUP BY notices.id
    """
    with read(db):
        waiting = list(db.query(sql, [channel]))
        ids = list({row["episode"] for row in waiting if row["episode"]})
        episodes = {episode.id: episode for episode in _episodes(db, ids)}
        return Waiting(
            channel=channel_state(db, channel),
            owed=tuple(_owed(row, channel) for row in waiting),
            episodes=episodes,
            heard=_heard(db, channel, ids),
            holds=tuple(load_holds(db, now)),
            readings={reading.key: reading for reading in _latest(db, {row["account"] for row in waiting})},
        )


def _owed(row: rows.Row, channel: str) -> Owed:
    notice = Notice(
        id=row["notice"],
        change=row["id"],
        channel=channel,
        due_at=when(row["due_at"]),
        state=NoticeState(row["state"]),
        hold=row["hold"],
        delay=rows.delay(row),
    )
    change = rows.change(row)
    return Owed(notice=notice, change=change, attempts=row["attempts"], outcome_unknown=bool(row["outcome_unknown"]))


def _episodes(db: Store, ids: Sequence[str]) -> list[Episode]:
    sql = "SELECT * FROM episodes WHERE id IN (SELECT value FROM json_each(?))"
    return [rows.episode(row) for row in db.query(sql, [among(ids)])]


def _heard(db: Store, channel: str, episodes: Sequence[str]) -> frozenset[str]:
    """Of which of these the channel was told something, or may have been."""
    sql = """
        SELECT DISTINCT changes.episode FROM changes JOIN notices ON notices.change = changes.id
        WHERE notices.channel = ? AND changes.episode IN (SELECT value FROM json_each(?)) AND (
            notices.state = 'sent' OR EXISTS (
                SELECT 1 FROM attempted JOIN attempts ON attempts.id = attempted.attempt
                WHERE attempted.notice = notices.id AND attempts.outcome = 'unknown'))
    """
    return frozenset(episode for (episode,) in db.execute(sql, [channel, among(episodes)]))


def _latest(db: Store, accounts: Iterable[str]) -> list[Reading]:
    sql = "SELECT * FROM latest WHERE account IN (SELECT value FROM json_each(?))"
    return [rows.reading(row) for row in db.query(sql, [among(accounts)])]


def settle(db: Store, settled: Sequence[Settled], now: datetime) -> None:
    with write(db):
        _settle(db, settled, now)


def begin(db: Store, channel: str, notices: Sequence[str], title: str, body: str, now: datetime) -> int:
    """The attempt that is about to be made, its outcome unknown until a receipt says otherwise; returns its id."""
    with write(db):
        attempt = db.execute(
            "INSERT INTO attempts (channel, started_at, outcome, title, body) VALUES (?, ?, 'unknown', ?, ?)",
            [channel, at(now), title, body],
        ).lastrowid
        assert attempt is not None
        put(db, "attempted", [{"notice": notice, "attempt": attempt} for notice in notices])
    return attempt


def finish(
    db: Store,
    attempt: int,
    outcome: Outcome,
    error: str | None,
    took: timedelta,
    channel: ChannelState,
    settled: Sequence[Settled],
    now: datetime,
) -> None:
    """The receipt: the attempt's outcome, the channel's state, and the notices that are settled by it."""
    with write(db):
        db.execute(
            "UPDATE attempts SET outcome = ?, error = ?, took = ? WHERE id = ?",
            [outcome, error, took.total_seconds(), attempt],
        )
        _settle(db, settled, now)
        row = {
            "name": channel.name,
            "failing_since": maybe_at(channel.failing_since),
            "failures": channel.failures,
            "next_try_at": maybe_at(channel.next_try_at),
            "last_success": maybe_at(channel.last_success),
        }
        put(db, "channels", [row])


def _settle(db: Store, settled: Sequence[Settled], now: datetime) -> None:
    for one in settled:
        # What was sent, dropped or collapsed stays so, whatever an attempt that comes back late says.
        db.execute(
            "UPDATE notices SET state = ?, reason = ?, hold = ?, due_at = coalesce(?, due_at), settled_at = ? "
            "WHERE id = ? AND state IN ('waiting', 'held')",
            [one.state, one.reason, one.hold, maybe_at(one.due_at), at(now), one.notice],
        )
