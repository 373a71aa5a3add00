"""What judging reads and writes: watches, episodes, changes, and their notices."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from budgetd.store import rows
from budgetd.store.database import Store, put
from budgetd.store.rows import among
from budgetd_rules.burn import Run
from budgetd_rules.encoding import at, read_value, when
from budgetd_rules.judgement import Judgement
from budgetd_rules.memory import Episode, Watch, WatchKey
from budgetd_rules.meters import MeterKey, Reading
from budgetd_rules.notices import NOBODY, Audience, Notice
from budgetd_rules.values import as_number


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The stored memory of some accounts, and which channels were told of their open episodes."""

    readings: tuple[Reading, ...]
    watches: Mapping[WatchKey, Watch]
    audience: Audience


def unjudged(db: Store, now: datetime) -> list[str]:
    """The accounts with something new, or with a watch whose `wake_at` has come."""
    sql = "SELECT name FROM accounts WHERE unjudged > 0 UNION SELECT account FROM watches WHERE wake_at <= ?"
    return [name for (name,) in db.execute(sql, [at(now)])]


def put_aside(db: Store, accounts: Iterable[str]) -> None:
    """Marks accounts that can't be judged: they stay unjudged, but nothing waits for their judgement."""
    sql = "UPDATE accounts SET unjudged = 2 WHERE name IN (SELECT value FROM json_each(?))"
    db.execute(sql, [among(accounts)])


def watched_accounts(db: Store) -> list[str]:
    return [name for (name,) in db.execute("SELECT DISTINCT account FROM watches")]


def load(db: Store, accounts: Sequence[str]) -> Memory:
    these = [among(accounts)]
    readings = db.query("SELECT * FROM latest WHERE account IN (SELECT value FROM json_each(?))", these)
    open_ones = """
        SELECT * FROM episodes WHERE ended_at IS NULL AND account IN (SELECT value FROM json_each(?))
    """
    episodes = {row["id"]: rows.episode(row) for row in db.query(open_ones, these)}
    watches = [
        rows.watch(row, episodes.get(row["episode"]))
        for row in db.query("SELECT * FROM watches WHERE account IN (SELECT value FROM json_each(?))", these)
    ]
    return Memory(
        readings=tuple(rows.reading(row) for row in readings),
        watches={watch.key: watch for watch in watches},
        audience=_audience(db, list(episodes)) if episodes else NOBODY,
    )


def _audience(db: Store, episodes: Sequence[str]) -> Audience:
    sql = """
        SELECT changes.episode AS episode, notices.channel AS channel, max(notices.state = 'sent' OR EXISTS (
            SELECT 1 FROM attempted JOIN attempts ON attempts.id = attempted.attempt
            WHERE attempted.notice = notices.id AND attempts.outcome <> 'failed')) AS is_heard
        FROM changes JOIN notices ON notices.change = changes.id
        WHERE changes.episode IN (SELECT value FROM json_each(?)) GROUP BY changes.episode, notices.channel
    """
    owed: dict[str, list[str]] = {}
    heard: dict[str, list[str]] = {}
    for row in db.query(sql, [among(episodes)]):
        owed.setdefault(row["episode"], []).append(row["channel"])
        if row["is_heard"]:
            heard.setdefault(row["episode"], []).append(row["channel"])
    return Audience(owed=owed, heard=heard)


def runs(db: Store, key: MeterKey, since: datetime) -> list[Run]:
    """The runs of a balance that last beyond `since`, oldest first."""
    sql = """
        SELECT from_at, until_at, json_extract(fields, '$.remaining') AS remaining
        FROM history WHERE account = ? AND meter = ? AND until_at >= ? ORDER BY from_at
    """
    return [
        Run(
            from_at=when(row["from_at"]),
            until_at=when(row["until_at"]),
            remaining=as_number(read_value("remaining", row["remaining"])),
        )
        for row in db.query(sql, [*key, at(since)])
    ]


def rename_rule(db: Store, old: str, new: str) -> None:
    """Moves a rule's watches and open episodes to its new name, unless that has a watch already."""
    free = """
        SELECT account, meter FROM watches AS w WHERE rule = ? AND NOT EXISTS (
            SELECT 1 FROM watches AS others WHERE rule = ? AND others.account = w.account AND others.meter = w.meter)
    """
    for account, meter in db.execute(free, [old, new]).fetchall():
        moved = [new, old, account, meter]
        db.execute("UPDATE watches SET rule = ? WHERE rule = ? AND account = ? AND meter = ?", moved)
        episodes = "UPDATE episodes SET rule = ? WHERE rule = ? AND account = ? AND meter = ? AND ended_at IS NULL"
        db.execute(episodes, moved)


def write_judgement(db: Store, accounts: Sequence[str], judgement: Judgement) -> None:
    """Call this in the transaction that loaded the accounts. Only what changed is written."""
    db.execute("UPDATE accounts SET unjudged = 0 WHERE name IN (SELECT value FROM json_each(?))", [among(accounts)])
    put(db, "watches", [rows.watch_row(watch) for watch in judgement.watches])
    for key in judgement.forgotten:
        db.execute("DELETE FROM watches WHERE rule = ? AND account = ? AND meter = ?", key)
    put(db, "episodes", [rows.episode_row(one) for one in (*judgement.ended, *_open_episodes(judgement.watches))])
    put(db, "changes", [rows.change_row(change) for change in judgement.changes])
    put(db, "notices", [_notice_row(notice) for notice in judgement.notices])


def _open_episodes(watches: Iterable[Watch]) -> list[Episode]:
    return [watch.episode for watch in watches if watch.episode]


def _notice_row(notice: Notice) -> dict[str, object]:
    return {
        "id": notice.id,
        "change": notice.change,
        "report": None,
        "channel": notice.channel,
        "due_at": at(notice.due_at),
        "delay": notice.delay.total_seconds() if notice.delay is not None else None,
        "owed_since": at(notice.due_at),
        "state": notice.state,
        "reason": None,
        "hold": None,
        "settled_at": None,
    }
