"""Digests and drills in the outbox: which are due, which wait, and the content of a digest."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from budgetd.store import rows
from budgetd.store.database import Store, read, write
from budgetd.store.holds import load_holds
from budgetd.store.notices import readable
from budgetd.store.rows import among
from budgetd_rules.appointments import Diary, Report
from budgetd_rules.digests import AccountFact, ChannelFact, Facts, OpenFact, OwedReport
from budgetd_rules.encoding import at, maybe_when, when
from budgetd_rules.holds import Holds
from budgetd_rules.meters import Account, View, view
from budgetd_rules.own_account import OWN_NAME


def remember(db: Store, diaries: Mapping[str, Diary], now: datetime) -> None:
    """Remembers since when each appointment is known; earlier ones are not owed. A changed one counts from now."""
    kept = [
        (channel, report, str(appointment))
        for channel, diary in diaries.items()
        for report, appointment in diary.appointments.items()
    ]
    with write(db):
        db.execute(
            "DELETE FROM appointments WHERE channel || ' ' || report NOT IN (SELECT value FROM json_each(?))",
            [among(f"{channel} {report}" for channel, report, _ in kept)],
        )
        for one in kept:
            # After the clock was set back, it may lie in the future.
            db.execute(
                "INSERT INTO appointments (channel, report, says, since) VALUES (?1, ?2, ?3, ?4) "
                "ON CONFLICT (channel, report) DO UPDATE SET says = ?3, since = "
                "CASE WHEN says = ?3 THEN min(since, ?4) ELSE ?4 END",
                [*one, at(now)],
            )


def owe(db: Store, diaries: Mapping[str, Diary], now: datetime) -> None:
    """Adds the latest due one of each. Its id prevents adding it twice."""
    with read(db):
        missing = list(_missing(db, diaries, now))
    if missing:
        with write(db):
            for id_, channel, report in missing:
                db.execute(
                    "INSERT OR IGNORE INTO notices (id, report, channel, due_at, owed_since, state) "
                    "VALUES (?1, ?2, ?3, ?4, ?4, 'waiting')",
                    [id_, report, channel, at(now)],
                )


def _missing(db: Store, diaries: Mapping[str, Diary], now: datetime) -> Iterator[tuple[str, str, Report]]:
    known = {(row["channel"], row["report"]): row["since"] for row in db.query("SELECT * FROM appointments")}
    for channel, diary in diaries.items():
        for report, appointment in diary.appointments.items():
            day, came_at = appointment.latest(now, diary.zone)
            id_, since = f"{report}-{day}@{channel}", known.get((channel, report))
            is_due = since is not None and at(came_at) >= since
            if is_due and not db.execute("SELECT 1 FROM notices WHERE id = ?", [id_]).fetchall():
                yield id_, channel, report


def load_owed(db: Store, channel: str) -> list[OwedReport]:
    sql = """
        SELECT notices.id, report, due_at, hold, count(attempts.id) AS attempts,
               coalesce(max(outcome = 'unknown'), 0) AS outcome_unknown
        FROM notices LEFT JOIN attempted ON attempted.notice = notices.id
             LEFT JOIN attempts ON attempts.id = attempted.attempt
        WHERE notices.channel = ? AND state IN ('waiting', 'held') AND report IN ('digest', 'drill')
        GROUP BY notices.id
    """
    with read(db):
        return [
            OwedReport(
                notice=row["id"],
                report=Report(row["report"]),
                due_at=when(row["due_at"]),
                hold=row["hold"],
                attempts=row["attempts"],
                outcome_unknown=bool(row["outcome_unknown"]),
            )
            for row in db.query(sql, [channel])
        ]


def load_facts(
    db: Store, accounts: Mapping[str, Account], channels: Iterable[str], reader: str, now: datetime, *, may_repeat: bool
) -> Facts:
    """The content of a digest to `reader`, without `reader`'s own failure: that is over once it is read."""
    with read(db):
        views = _views(db, accounts, now)
        holds = Holds.at(now, load_holds(db, now), accounts)
        return Facts(
            accounts=[
                AccountFact(account=account, views=[one for one in views if one.key.account == name])
                for name, account in accounts.items()
                if name != OWN_NAME
            ],
            open=list(_open(db, {tuple(one.key): one for one in views}, holds)),
            channels=_channels(db, [name for name in channels if name != reader]),
            may_repeat=may_repeat,
        )


def _views(db: Store, accounts: Mapping[str, Account], now: datetime) -> list[View]:
    sql = "SELECT * FROM latest WHERE account IN (SELECT value FROM json_each(?)) ORDER BY account, meter"
    readings = readable(db.query(sql, [among(accounts)]), rows.reading)
    return [view(reading, now, accounts[reading.key.account].stale_after) for reading in readings]


def _open(db: Store, views: Mapping[tuple[str, ...], View], holds: Holds) -> Iterator[OpenFact]:
    """Open episodes, without the parked ones."""
    sql = """
        SELECT episodes.* FROM episodes LEFT JOIN watches USING (account, meter, rule)
        WHERE ended_at IS NULL AND parked_at IS NULL
    """
    for episode in readable(db.query(sql), rows.episode):
        yield OpenFact(
            episode=episode,
            acked=holds.ack_of(episode) is not None,
            silenced=holds.silence_of(episode.key) is not None,
            view=views.get(tuple(episode.key.of_meter)),
        )


def _channels(db: Store, asked: Iterable[str]) -> list[ChannelFact]:
    """What each channel was not told, and for those `asked` whether they fail."""
    sql = """
        SELECT name, CASE WHEN name IN (SELECT value FROM json_each(?)) THEN failing_since END AS failing_since,
               coalesce(held, 0) AS held, coalesce(dead, 0) AS dead
        FROM (SELECT name FROM channels UNION SELECT channel FROM notices) LEFT JOIN channels USING (name)
             LEFT JOIN (SELECT channel AS name, sum(state = 'held') AS held, sum(state = 'dead') AS dead
                        FROM notices WHERE change IS NOT NULL GROUP BY channel) USING (name)
        ORDER BY name
    """
    return [
        ChannelFact(
            name=row["name"], failing_since=maybe_when(row["failing_since"]), held=row["held"], dead=row["dead"]
        )
        for row in db.query(sql, [among(asked)])
    ]
