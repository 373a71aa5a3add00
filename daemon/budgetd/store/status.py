"""What `status` and `episodes` show, read in one snapshot beside a running daemon."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from budgetd.store import rows
from budgetd.store.database import Store, read
from budgetd.store.holds import load_holds
from budgetd.store.rows import among
from budgetd_rules.encoding import at, maybe_when, when
from budgetd_rules.holds import Hold, Holds
from budgetd_rules.memory import Change, Episode
from budgetd_rules.meters import Account, Reading
from budgetd_rules.notices import NoticeState
from budgetd_rules.polls import Cause, Outage


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountStatus:
    name: str
    identity: str | None = None
    last_poll: datetime | None = None
    last_success: datetime | None = None
    next_poll: datetime | None = None
    outages: tuple[Outage, ...] = ()
    readings: tuple[Reading, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeStatus:
    """`said` is the title and the body of the last attempt."""

    change: str
    channel: str
    state: NoticeState
    reason: str | None
    attempts: int
    outcomes: tuple[str, ...]
    sent_at: datetime | None
    said: tuple[str, str] | None
    due_at: datetime
    delay: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeStatus:
    """`parked`: open, but its rule or account is not in the config, so it is neither judged nor told."""

    episode: Episode
    acked: bool
    silenced: bool
    parked: bool = False
    changes: tuple[Change, ...] = ()
    notices: tuple[NoticeStatus, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelStatus:
    """`later`: how many of the waiting ones are escalations not yet due."""

    name: str
    last_success: datetime | None = None
    failing_since: datetime | None = None
    waiting: int = 0
    later: int = 0
    held: int = 0
    dead: int = 0
    last_error: str | None = None

    @property
    def owed(self) -> int:
        """How many were not told yet, but still may be."""
        return self.waiting + self.held + self.dead


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    accounts: Mapping[str, AccountStatus]
    episodes: tuple[EpisodeStatus, ...]
    channels: Mapping[str, ChannelStatus]
    holds: tuple[Hold, ...] = ()
    unrouted: int = 0


def load_status(db: Store, accounts: Mapping[str, Account], now: datetime) -> Status:
    """Every account and channel in the store, the open episodes, and the active holds."""
    with read(db):
        holds = Holds.at(now, load_holds(db, now), accounts)
        return Status(
            accounts=_accounts(db),
            episodes=_episodes(db, holds, _OPEN, []),
            channels=_channels(db, now),
            holds=holds.active,
            unrouted=_unrouted(db),
        )


def load_identities(db: Store) -> dict[str, str | None]:
    """account -> the vendor's own id of it, if polls have found one."""
    with read(db):
        return {row["name"]: row["identity"] for row in db.query("SELECT name, identity FROM accounts")}


def load_episodes(
    db: Store, wanted: str | None, accounts: Mapping[str, Account], now: datetime, *, ended_too: bool
) -> tuple[EpisodeStatus, ...]:
    """The episodes with their changes and notices, oldest first; only those whose id begins with `wanted`, if given."""
    with read(db):
        holds = Holds.at(now, load_holds(db, now), accounts)
        if wanted is not None:
            found = _episodes(db, holds, _BY_ID, [wanted])
        else:
            found = _episodes(db, holds, _ALL if ended_too else _OPEN, [])
        return tuple(_with_course(db, found))


def _accounts(db: Store) -> dict[str, AccountStatus]:
    outages: dict[str, list[Outage]] = {}
    for row in db.query("SELECT * FROM outages WHERE until_at IS NULL ORDER BY from_at, request"):
        outage = Outage(request=row["request"], cause=Cause(row["cause"]), detail=row["detail"], more=row["more"])
        outages.setdefault(row["account"], []).append(outage)
    readings: dict[str, list[Reading]] = {}
    for row in db.query("SELECT * FROM latest ORDER BY account, meter"):
        readings.setdefault(row["account"], []).append(rows.reading(row))
    return {
        row["name"]: AccountStatus(
            name=row["name"],
            identity=row["identity"],
            last_poll=maybe_when(row["last_attempt"]),
            last_success=maybe_when(row["last_success"]),
            next_poll=maybe_when(row["next_poll_at"]),
            outages=tuple(outages.get(row["name"], ())),
            readings=tuple(readings.get(row["name"], ())),
        )
        for row in db.query("SELECT * FROM accounts")
    }


def _channels(db: Store, now: datetime) -> dict[str, ChannelStatus]:
    sql = """
        SELECT name, last_success, failing_since, coalesce(waiting, 0) AS waiting, coalesce(held, 0) AS held,
               coalesce(later, 0) AS later,
               coalesce(dead, 0) AS dead,
               (SELECT error FROM attempts WHERE attempts.channel = name ORDER BY id DESC LIMIT 1) AS last_error
        FROM (SELECT name FROM channels UNION SELECT DISTINCT channel FROM notices)
             LEFT JOIN channels USING (name)
             LEFT JOIN (SELECT channel AS name, sum(state = 'waiting') AS waiting, sum(state = 'held') AS held,
                               sum(state = 'waiting' AND delay IS NOT NULL AND due_at > ?) AS later,
                               sum(state = 'dead') AS dead FROM notices GROUP BY channel) USING (name)
    """
    return {
        row["name"]: ChannelStatus(
            name=row["name"],
            last_success=maybe_when(row["last_success"]),
            failing_since=maybe_when(row["failing_since"]),
            waiting=row["waiting"],
            later=row["later"],
            held=row["held"],
            dead=row["dead"],
            last_error=row["last_error"],
        )
        for row in db.query(sql, [at(now)])
    }


def _unrouted(db: Store) -> int:
    """The number of changes of open episodes that no route matched."""
    sql = """
        SELECT count(*) FROM changes JOIN episodes ON episodes.id = changes.episode
        WHERE ended_at IS NULL AND NOT unsaid
              AND NOT EXISTS (SELECT 1 FROM notices WHERE notices.change = changes.id)
    """
    (count,) = db.execute(sql).fetchone()
    return int(count)


_FOUND: Final = "SELECT episodes.*, parked_at FROM episodes LEFT JOIN watches USING (account, meter, rule)"
_ALL: Final = f"{_FOUND} ORDER BY opened_at, id"
_OPEN: Final = f"{_FOUND} WHERE ended_at IS NULL ORDER BY opened_at, id"
_BY_ID: Final = f"{_FOUND} WHERE instr(lower(id), lower(?)) = 1 ORDER BY opened_at, id"


def _episodes(db: Store, holds: Holds, sql: str, parameters: Sequence[str]) -> tuple[EpisodeStatus, ...]:
    return tuple(
        EpisodeStatus(
            episode=(episode := rows.episode(row)),
            acked=holds.ack_of(episode) is not None,
            silenced=episode.ended_at is None and holds.silence_of(episode.key) is not None,
            parked=episode.ended_at is None and row["parked_at"] is not None,
        )
        for row in db.query(sql, parameters)
    )


def _with_course(db: Store, found: Iterable[EpisodeStatus]) -> Iterable[EpisodeStatus]:
    by_id = {one.episode.id: one for one in found}
    changes: dict[str, list[Change]] = {}
    sql = "SELECT * FROM changes WHERE episode IN (SELECT value FROM json_each(?)) ORDER BY at, id"
    for row in db.query(sql, [among(by_id)]):
        changes.setdefault(row["episode"], []).append(rows.change(row))
    notices: dict[str, list[NoticeStatus]] = {}
    for row in db.query(_NOTICES, [among(by_id)]):
        notices.setdefault(row["episode"], []).append(_notice(row))
    for id_, one in by_id.items():
        yield replace(one, changes=tuple(changes.get(id_, ())), notices=tuple(notices.get(id_, ())))


_NOTICES = """
    SELECT changes.episode, notices.*,
           (SELECT json_group_array(json_object('outcome', outcome, 'title', title, 'body', body))
            FROM (SELECT attempts.* FROM attempted JOIN attempts ON attempts.id = attempted.attempt
                  WHERE attempted.notice = notices.id ORDER BY attempts.id)) AS tries
    FROM notices JOIN changes ON changes.id = notices.change
    WHERE changes.episode IN (SELECT value FROM json_each(?)) ORDER BY changes.at, notices.id
"""


def _notice(row: rows.Row) -> NoticeStatus:
    tries = json.loads(row["tries"])
    state = NoticeState(row["state"])
    return NoticeStatus(
        change=row["change"],
        channel=row["channel"],
        state=state,
        reason=row["reason"],
        attempts=len(tries),
        outcomes=tuple(one["outcome"] for one in tries),
        sent_at=when(row["settled_at"]) if state is NoticeState.SENT else None,
        said=(tries[-1]["title"], tries[-1]["body"]) if tries else None,
        due_at=when(row["due_at"]),
        delay=rows.delay(row),
    )
