"""The outbox: notices that wait, attempts to send them, and their receipts."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, TypeVar

from budgetd.store import rows
from budgetd.store.database import Store, put, read, write
from budgetd.store.holds import load_holds
from budgetd.store.rows import among
from budgetd.store.troubles import note
from budgetd_rules.encoding import at, maybe_at, maybe_when, when
from budgetd_rules.holds import Hold
from budgetd_rules.lines import Owed, Settled
from budgetd_rules.memory import Episode
from budgetd_rules.meters import MeterKey, Reading
from budgetd_rules.notices import Notice, NoticeState
from budgetd_rules.own_account import channel_meter, own_reading, send_cause
from budgetd_rules.polls import NO_CAUSE

# A poll takes at most half a minute, and is judged at once.
JUDGED_WITHIN: Final = timedelta(minutes=1)


class Outcome(StrEnum):
    """How an attempt ended. It is unknown until the service has accepted or refused."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelState:
    """The health of a channel: `failures` in a row, and no attempt before `next_try_at`."""

    name: str
    failures: int = 0
    failing_since: datetime | None = None
    next_try_at: datetime | None = None
    last_success: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """All that waits for one channel, with the data to settle and compose it.

    `unreadable` are invalid notices, which are dead so that they do not delay others. `is_judged`:
    no reading is newer than what was made of it, so that what is told fits the numbers beside it.
    """

    channel: ChannelState
    owed: tuple[Owed, ...] = ()
    unreadable: tuple[Settled, ...] = ()
    episodes: Mapping[str, Episode] = field(default_factory=dict)
    heard: frozenset[str] = frozenset()
    parked: frozenset[str] = frozenset()
    readings: Mapping[MeterKey, Reading] = field(default_factory=dict)
    holds: tuple[Hold, ...] = ()
    is_judged: bool = True


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
    """All that waits for the channel, even if not due yet, because an episode is told as a whole."""
    sql = """
        SELECT notices.id AS notice, notices.due_at, notices.state, notices.hold, notices.delay, notices.handed,
               changes.*, count(attempts.id) AS attempts,
               coalesce(max(attempts.outcome = 'unknown'), 0) AS outcome_unknown
        FROM notices JOIN changes ON changes.id = notices.change
             LEFT JOIN attempted ON attempted.notice = notices.id LEFT JOIN attempts ON attempts.id = attempted.attempt
        WHERE notices.channel = ? AND (notices.state IN ('waiting', 'held')
              OR notices.state = 'dead' AND notices.hold = 'untold') GROUP BY notices.id
    """
    with read(db):
        waiting = list(db.query(sql, [channel]))
        ids = list({row["episode"] for row in waiting if row["episode"]})
        episodes = {episode.id: episode for episode in _episodes(db, ids)}
        accounts = {row["account"] for row in waiting}
        read_rows = [_read(row, channel, episodes) for row in waiting]
        return Waiting(
            channel=channel_state(db, channel),
            owed=tuple(one for one in read_rows if isinstance(one, Owed)),
            unreadable=tuple(one for one in read_rows if isinstance(one, Settled)),
            episodes=episodes,
            heard=_heard(db, channel, ids),
            parked=_parked(db),
            holds=tuple(load_holds(db, now)),
            readings={reading.key: reading for reading in _latest(db, accounts)},
            is_judged=not _unjudged(db, accounts, now),
        )


# Raised by invalid rows, which a bug, another version, or manual edits may leave.
_UNREADABLE: Final = (ArithmeticError, LookupError, TypeError, ValueError)
T = TypeVar("T")


def readable(found: Iterable[rows.Row], parse: Callable[[rows.Row], T]) -> Iterator[T]:
    for row in found:
        with contextlib.suppress(*_UNREADABLE):
            yield parse(row)


def _read(row: rows.Row, channel: str, episodes: Mapping[str, Episode]) -> Owed | Settled:
    with contextlib.suppress(*_UNREADABLE):
        if row["episode"] is None or row["episode"] in episodes:
            return _owed(row, channel)
    return Settled(notice=row["notice"], state=NoticeState.DEAD, reason="what the database has of it makes no sense")


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
    return Owed(
        notice=notice,
        change=change,
        attempts=row["attempts"],
        outcome_unknown=bool(row["outcome_unknown"]),
        handed=row["handed"],
    )


def _episodes(db: Store, ids: Sequence[str]) -> list[Episode]:
    sql = "SELECT * FROM episodes WHERE id IN (SELECT value FROM json_each(?))"
    return list(readable(db.query(sql, [among(ids)]), rows.episode))


def _unjudged(db: Store, accounts: Iterable[str], now: datetime) -> bool:
    """Whether an account still has to be judged, which happens soon or not at all."""
    sql = """
        SELECT 1 FROM accounts WHERE unjudged = 1 AND last_attempt BETWEEN ? AND ?
        AND name IN (SELECT value FROM json_each(?))
    """
    return bool(db.execute(sql, [at(now - JUDGED_WITHIN), at(now), among(accounts)]).fetchall())


def _heard(db: Store, channel: str, episodes: Sequence[str]) -> frozenset[str]:
    """Which of these the channel was told of, or may have been, including notices dropped while being sent."""
    sql = """
        SELECT DISTINCT changes.episode FROM changes JOIN notices ON notices.change = changes.id
        WHERE notices.channel = ? AND changes.episode IN (SELECT value FROM json_each(?)) AND (
            notices.state = 'sent' OR EXISTS (
                SELECT 1 FROM attempted JOIN attempts ON attempts.id = attempted.attempt
                WHERE attempted.notice = notices.id AND attempts.outcome <> 'failed'))
    """
    return frozenset(episode for (episode,) in db.execute(sql, [channel, among(episodes)]))


def _parked(db: Store) -> frozenset[str]:
    """The episodes that wait for their rule or account to come back."""
    parked = "SELECT episode FROM watches WHERE parked_at IS NOT NULL AND episode IS NOT NULL"
    return frozenset(episode for (episode,) in db.execute(parked))


def _latest(db: Store, accounts: Iterable[str]) -> list[Reading]:
    sql = "SELECT * FROM latest WHERE account IN (SELECT value FROM json_each(?))"
    return list(readable(db.query(sql, [among(accounts)]), rows.reading))


def settle(db: Store, settled: Sequence[Settled], now: datetime) -> None:
    with write(db):
        _settle(db, settled, now)


def begin(db: Store, channel: str, notices: Sequence[str], title: str, body: str, now: datetime) -> int:
    """Records an attempt before it is made, with the outcome unknown. Returns its id.

    Held notices become waiting, and keep the age that they have.
    """
    with write(db):
        _release(db, notices, now)
        db.execute(
            "INSERT INTO channels (name, last_try_at) VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET last_try_at = excluded.last_try_at",
            [channel, at(now)],
        )
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
    *,
    is_gone: bool = False,
) -> None:
    """Records the receipt: the outcome of the attempt, the channel's state, and the settled notices.

    The health of a channel that has left the config meanwhile is not recorded.
    """
    with write(db):
        db.execute(
            "UPDATE attempts SET outcome = ?, error = ?, took = ? WHERE id = ?",
            [outcome, error, took.total_seconds(), attempt],
        )
        _settle(db, settled, now)
        if outcome is Outcome.OK:
            _revive(db, channel.name, now)
        db.execute(
            "UPDATE channels SET failing_since = ?, failures = ?, next_try_at = ?, last_success = ? WHERE name = ?",
            [
                maybe_at(channel.failing_since),
                channel.failures,
                maybe_at(channel.next_try_at),
                maybe_at(channel.last_success),
                channel.name,
            ],
        )
        if not is_gone:
            note(db, _own_reading(channel, error, now))


def _own_reading(channel: ChannelState, error: str | None, now: datetime) -> Reading:
    return own_reading(
        channel_meter(channel.name),
        now,
        failures=channel.failures,
        cause=send_cause(error or "") if channel.failures else NO_CAUSE,
        detail=error if channel.failures else None,
        last_success_at=channel.last_success,
    )


def _revive(db: Store, channel: str, now: datetime) -> None:
    """Revives notices that died while the channel was down and that no other channel was told."""
    db.execute(
        "UPDATE notices SET state = 'waiting', reason = NULL, hold = NULL, settled_at = NULL, due_at = ?1, "
        "owed_since = ?1 WHERE channel = ?2 AND state = 'dead' AND hold = 'untold'",
        [at(now), channel],
    )


def _release(db: Store, notices: Sequence[str], now: datetime) -> None:
    sql = """
        SELECT id, owed_since, settled_at FROM notices
        WHERE state = 'held' AND id IN (SELECT value FROM json_each(?))
    """
    for row in db.query(sql, [among(notices)]):
        owed_since = when(row["owed_since"]) + (now - when(row["settled_at"]))
        db.execute(
            "UPDATE notices SET state = 'waiting', reason = NULL, hold = NULL, settled_at = NULL, "
            "due_at = min(due_at, ?), owed_since = ? WHERE id = ?",
            [at(now), at(owed_since), row["id"]],
        )


def _settle(db: Store, settled: Sequence[Settled], now: datetime) -> None:
    for one in settled:
        # Notices that were sent, dropped or collapsed stay so, even if an attempt ends later. A notice held by one hold
        # after another has been held since the first.
        db.execute(
            "UPDATE notices SET settled_at = CASE WHEN state = 'held' AND ?1 = 'held' THEN settled_at ELSE ?5 END, "
            "state = ?1, reason = ?2, hold = ?3, due_at = coalesce(?4, due_at) "
            "WHERE id = ?6 AND (state IN ('waiting', 'held') OR state = 'dead' AND hold = 'untold')",
            [one.state, one.reason, one.hold, maybe_at(one.due_at), at(now), one.notice],
        )
