"""Results of polls: the latest readings, their history, outages, and when each account is due again."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from budgetd.store.database import Store, put, read, write
from budgetd.store.rows import among, reading_row
from budgetd_rules.encoding import at, maybe_at, maybe_when, when
from budgetd_rules.meters import Reading, family
from budgetd_rules.polls import CONNECTION, Connection, Outage, Poll, connect, connection_reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A poll to record, and when its account is due again. `retry_until` is set if the vendor asked for a pause."""

    poll: Poll
    next_poll_at: datetime
    retry_until: datetime | None = None


def plan(
    db: Store, providers: Mapping[str, str], due_at: Mapping[str, datetime], latest_retry: datetime, now: datetime
) -> None:
    """Registers every account (name -> provider) as due at its time, or at once if new, and to be judged again.

    A pause that a vendor asked for stays in force after a restart. It can't end after `latest_retry`, unless the
    clock was set back.
    """
    with write(db):
        known = {row["name"]: row for row in db.query("SELECT name, next_poll_at, retry_until FROM accounts")}
        new = providers.keys() - known.keys()
        put(db, "accounts", [{"name": name, "provider": providers[name], "next_poll_at": at(now)} for name in new])
        for name in providers.keys() & known.keys():
            row = known[name]
            is_asked_to_wait = at(now) < (row["retry_until"] or "") <= at(latest_retry)
            if not is_asked_to_wait and row["next_poll_at"] > at(due_at[name]):
                db.execute("UPDATE accounts SET next_poll_at = ? WHERE name = ?", [at(due_at[name]), name])
        db.execute("UPDATE accounts SET unjudged = 1")


def load_attempts(db: Store) -> dict[str, datetime]:
    """When each account was last polled, if ever."""
    with read(db):
        sql = "SELECT name, last_attempt FROM accounts WHERE last_attempt IS NOT NULL"
        return {name: when(text) for name, text in db.execute(sql)}


def due(db: Store, now: datetime) -> list[str]:
    """The accounts due for a poll, the longest overdue first."""
    with read(db):
        sql = "SELECT name FROM accounts WHERE next_poll_at <= ? ORDER BY next_poll_at"
        return [name for (name,) in db.execute(sql, [at(now)])]


def record(db: Store, finished: Sequence[Finished]) -> None:
    """Records the polls' readings, outages and due times in one transaction. Polls of one account come in order."""
    with write(db):
        names = [one.poll.account for one in finished]
        accounts = _by_name(db, names)
        latest = _latest(db, names)
        open_outages = _open_outages(db, names)
        account_rows, reading_rows, history_rows = [], [], []
        for one in finished:
            poll = one.poll
            before, read_before = accounts.get(poll.account), latest.get(poll.account, {})
            connection = connect(_connection(before), poll)
            account_rows.append(_account_row(one, connection, before))
            for reading in (*poll.readings, connection_reading(connection, poll)):
                row = _latest_row(reading, read_before.get(reading.key.meter))
                reading_rows.append(row)
                # The outages have the connection's history; its times would add a row at every poll.
                if reading.key.meter != CONNECTION:
                    history_rows.append(_history_row(row))
            _forget_gone(db, poll, read_before)
            _record_outages(db, poll, open_outages)
        put(db, "accounts", account_rows)
        put(db, "latest", reading_rows)
        put(db, "history", history_rows)


def _by_name(db: Store, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    sql = "SELECT * FROM accounts WHERE name IN (SELECT value FROM json_each(?))"
    return {row["name"]: row for row in db.query(sql, [among(names)])}


def _latest(db: Store, names: Sequence[str]) -> dict[str, dict[str, dict[str, Any]]]:
    """account -> meter -> row."""
    sql = "SELECT account, meter, since, fields FROM latest WHERE account IN (SELECT value FROM json_each(?))"
    by_account: dict[str, dict[str, dict[str, Any]]] = {}
    for row in db.query(sql, [among(names)]):
        by_account.setdefault(row["account"], {})[row["meter"]] = row
    return by_account


def _open_outages(db: Store, names: Sequence[str]) -> dict[str, dict[tuple[str, str], dict[str, Any]]]:
    sql = "SELECT * FROM outages WHERE until_at IS NULL AND account IN (SELECT value FROM json_each(?))"
    by_account: dict[str, dict[tuple[str, str], dict[str, Any]]] = {}
    for row in db.query(sql, [among(names)]):
        by_account.setdefault(row["account"], {})[row["request"], row["cause"]] = row
    return by_account


def _connection(row: Mapping[str, Any] | None) -> Connection:
    if row is None:
        return Connection()
    return Connection(failures=row["failures"], last_success_at=maybe_when(row["last_success"]))


def _account_row(one: Finished, connection: Connection, before: Mapping[str, Any] | None) -> dict[str, object]:
    return {
        "name": one.poll.account,
        "provider": one.poll.provider,
        "identity": one.poll.identity or (before["identity"] if before else None),
        "last_attempt": at(one.poll.at),
        "last_success": maybe_at(connection.last_success_at),
        "next_poll_at": at(one.next_poll_at),
        "retry_until": maybe_at(one.retry_until),
        "failures": connection.failures,
        "unjudged": 1,
    }


def _latest_row(reading: Reading, before: Mapping[str, Any] | None) -> dict[str, object]:
    """`since` is when these fields were first read: an unchanged reading extends its run."""
    row = reading_row(reading)
    return row | {"since": before["since"]} if before and before["fields"] == row["fields"] else row


def _history_row(row: Mapping[str, object]) -> dict[str, object]:
    return {
        "account": row["account"],
        "meter": row["meter"],
        "from_at": row["since"],
        "until_at": row["as_of"],
        "fields": row["fields"],
    }


def _forget_gone(db: Store, poll: Poll, read_before: Iterable[str]) -> None:
    """Meters missing from answers that used to have them: an item gone from a list, a contract that ended."""
    here = {reading.key.meter for reading in poll.readings}
    for meter in read_before:
        if meter not in here and family(meter) in poll.answered:
            db.execute("DELETE FROM latest WHERE account = ? AND meter = ?", [poll.account, meter])


def _record_outages(
    db: Store, poll: Poll, open_outages: Mapping[str, Mapping[tuple[str, str], Mapping[str, Any]]]
) -> None:
    """An outage lasts while its request fails for the same cause; it keeps the text of the first failure."""
    before = open_outages.get(poll.account, {})
    now: dict[tuple[str, str], Outage] = {}
    for outage in poll.outages:
        first = now.get((outage.request, outage.cause))
        one = replace(first, more=first.more + 1 + outage.more) if first else outage
        now[outage.request, outage.cause] = one
    for key, row in before.items():
        until_at, more = (None, now[key].more) if key in now else (at(poll.at), row["more"])
        if (until_at, more) != (None, row["more"]):
            db.execute(
                "UPDATE outages SET until_at = ?, more = ?"
                " WHERE account = ? AND request = ? AND cause = ? AND from_at = ?",
                [until_at, more, poll.account, *key, row["from_at"]],
            )
    began = [
        {
            "account": poll.account,
            "request": outage.request,
            "cause": outage.cause,
            "from_at": at(poll.at),
            "until_at": None,
            "detail": outage.detail,
            "more": outage.more,
        }
        for key, outage in now.items()
        if key not in before
    ]
    put(db, "outages", began)
