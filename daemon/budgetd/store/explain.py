"""Data for `explain` and `history`: an account as judging loads it, the history of its meters, and its notices."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from budgetd.store import rows
from budgetd.store.database import Store
from budgetd.store.holds import load_holds
from budgetd.store.judgements import Memory
from budgetd.store.judgements import load as load_memory
from budgetd.store.rows import among
from budgetd_rules.encoding import at, maybe_when, when
from budgetd_rules.holds import Hold
from budgetd_rules.kinds import Kind
from budgetd_rules.memory import ChangeKind, Episode
from budgetd_rules.meters import MeterKey
from budgetd_rules.notices import NoticeState
from budgetd_rules.rule import Level
from budgetd_rules.values import UNKNOWN, Value

LAST_SPELLS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """A run of readings with the same fields. `before` has the fields of the run before, if there is one."""

    from_at: datetime
    until_at: datetime
    fields: Mapping[str, Value]
    before: Mapping[str, Value] | None = None

    @property
    def changed(self) -> dict[str, tuple[Value, Value]]:
        """name -> its value in the run before, and in this run."""
        if self.before is None:
            return {}
        names = sorted(self.before.keys() | self.fields.keys())
        pairs = {name: (self.before.get(name, UNKNOWN), self.fields.get(name, UNKNOWN)) for name in names}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


@dataclass(frozen=True, slots=True, kw_only=True)
class OwedNotice:
    """A notice and its attempts. `next_try_at` is when the outbox will look at it again, if it will."""

    id: str
    change: str
    kind: ChangeKind
    level: Level | None
    channel: str
    state: NoticeState
    reason: str | None
    settled_at: datetime | None
    attempts: int
    outcome: str | None
    error: str | None
    next_try_at: datetime | None
    delay: timedelta | None
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Everything is by meter, except the memory. `episodes` has the newest episode of each meter, open or ended."""

    memory: Memory
    holds: tuple[Hold, ...] = ()
    episodes: Mapping[str, Episode] = field(default_factory=dict)
    notices: Mapping[str, tuple[OwedNotice, ...]] = field(default_factory=dict)
    spells: Mapping[str, tuple[Spell, ...]] = field(default_factory=dict)


def load(db: Store, rule: str, account: str, now: datetime) -> Stored:
    """Call this inside a read."""
    memory = load_memory(db, [account])
    episodes = {episode.key.meter: episode for episode in _newest_episodes(db, rule, account)}
    meters = {reading.key.meter for reading in memory.readings} | {key.meter for key in memory.watches}
    return Stored(
        memory=memory,
        holds=tuple(load_holds(db, now)),
        episodes=episodes,
        notices=_notices(db, rule, account, episodes),
        spells={meter: load_spells(db, MeterKey(account, meter), newest=LAST_SPELLS) for meter in sorted(meters)},
    )


def load_spells(
    db: Store, key: MeterKey, *, since: datetime | None = None, newest: int | None = None
) -> tuple[Spell, ...]:
    """The spells that last beyond `since`, or the newest ones; oldest first. Call this inside a read."""
    sql = """
        SELECT from_at, until_at, fields,
               (SELECT older.fields FROM history AS older
                WHERE older.account = history.account AND older.meter = history.meter AND
                      older.from_at < history.from_at ORDER BY older.from_at DESC LIMIT 1) AS before
        FROM history WHERE account = ? AND meter = ? AND until_at >= ? ORDER BY from_at DESC LIMIT ?
    """
    found = db.query(sql, [*key, at(since) if since else "", -1 if newest is None else newest])
    return tuple(_spell(row) for row in found)[::-1]


def _spell(row: rows.Row) -> Spell:
    return Spell(
        from_at=when(row["from_at"]),
        until_at=when(row["until_at"]),
        fields=rows.fields_from_text(row["fields"]),
        before=rows.fields_from_text(row["before"]) if row["before"] is not None else None,
    )


def load_meters(db: Store, account: str) -> dict[str, tuple[Kind, str] | None]:
    """meter -> kind and unit; None for a meter of which only the history is left. Call this inside a read."""
    latest = db.query("SELECT meter, kind, unit FROM latest WHERE account = ?", [account])
    here = {row["meter"]: (Kind(row["kind"]), row["unit"]) for row in latest}
    past = db.execute("SELECT DISTINCT meter FROM history WHERE account = ?", [account])
    return {**{meter: None for (meter,) in past}, **here}


def _newest_episodes(db: Store, rule: str, account: str) -> list[Episode]:
    # SQLite guarantees that the other columns are from the row with the maximum.
    sql = "SELECT *, max(opened_at) FROM episodes WHERE rule = ? AND account = ? GROUP BY meter"
    return [rows.episode(row) for row in db.query(sql, [rule, account])]


def _notices(db: Store, rule: str, account: str, episodes: Mapping[str, Episode]) -> dict[str, tuple[OwedNotice, ...]]:
    """All notices of these episodes, and those of noted changes that wait, are held or are dead."""
    notices: dict[str, tuple[OwedNotice, ...]] = {}
    ids = among(episode.id for episode in episodes.values())
    for row in db.query(_NOTICES, [rule, account, ids]):
        notices[row["meter"]] = (*notices.get(row["meter"], ()), _notice(row))
    return notices


_NOTICES: Final = """
    SELECT notices.*, changes.kind, changes.new, changes.meter, channels.next_try_at,
           (SELECT json_group_array(json_object('outcome', outcome, 'error', error))
            FROM (SELECT attempts.* FROM attempted JOIN attempts ON attempts.id = attempted.attempt
                  WHERE attempted.notice = notices.id ORDER BY attempts.id)) AS tries
    FROM changes JOIN notices ON notices.change = changes.id LEFT JOIN channels ON channels.name = notices.channel
    WHERE changes.rule = ? AND changes.account = ? AND (
        changes.episode IN (SELECT value FROM json_each(?))
        OR changes.episode IS NULL AND notices.state IN ('waiting', 'held', 'dead'))
    ORDER BY changes.at, notices.id
"""


def _notice(row: rows.Row) -> OwedNotice:
    tries, state = json.loads(row["tries"]), NoticeState(row["state"])
    due_at, channel_at = when(row["due_at"]), maybe_when(row["next_try_at"])
    return OwedNotice(
        id=row["id"],
        change=row["change"],
        kind=ChangeKind(row["kind"]),
        level=Level[row["new"].upper()] if row["new"] else None,
        channel=row["channel"],
        state=state,
        reason=row["reason"],
        settled_at=maybe_when(row["settled_at"]),
        attempts=len(tries),
        outcome=tries[-1]["outcome"] if tries else None,
        error=tries[-1]["error"] if tries else None,
        delay=rows.delay(row),
        due_at=due_at,
        next_try_at=max(due_at, channel_at or due_at) if state in (NoticeState.WAITING, NoticeState.HELD) else None,
    )
