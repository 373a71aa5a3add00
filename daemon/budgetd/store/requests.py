"""Requests to the outbox: commands append them, and the service carries them out within a second."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from budgetd.store import rows
from budgetd.store.database import Store, put, read, write
from budgetd.store.rows import among
from budgetd_rules.encoding import at, when

EVERYTHING: Final = "*"


class RequestKind(StrEnum):
    RETRY = "retry"
    DROP = "drop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`target` is a notice's id or, for a retry, also a channel's name or `*`."""

    kind: RequestKind
    target: str
    at: datetime
    by: str = ""
    comment: str = ""


def add_requests(db: Store, requests: Iterable[Request]) -> None:
    added = [
        {"kind": one.kind, "target": one.target, "at": at(one.at), "by": one.by, "comment": one.comment}
        for one in requests
    ]
    with write(db):
        put(db, "requests", added)


def carry_out(db: Store, channels: Iterable[str], now: datetime) -> list[Request]:
    """Carries out the open requests, in one transaction. Only the channels of the config can be retried."""
    with read(db):
        if not _open(db):
            return []
    with write(db):
        found = _open(db)
        for row in found:
            if row["kind"] == RequestKind.RETRY:
                _retry(db, row["target"], among(channels), now)
            else:
                _drop(db, row, now)
            db.execute("UPDATE requests SET done_at = ? WHERE id = ?", [at(now), row["id"]])
        return [_request(row) for row in found]


def _open(db: Store) -> list[rows.Row]:
    known = "SELECT * FROM requests WHERE done_at IS NULL AND kind IN ('retry', 'drop') ORDER BY id"
    return list(db.query(known))


def _request(row: rows.Row) -> Request:
    return Request(
        kind=RequestKind(row["kind"]), target=row["target"], at=when(row["at"]), by=row["by"], comment=row["comment"]
    )


def _retry(db: Store, target: str, channels: str, now: datetime) -> None:
    """Dead notices are owed again from now on, and the channels of waiting notices are tried now."""
    db.execute(
        "UPDATE notices SET state = 'waiting', reason = NULL, hold = NULL, settled_at = NULL, due_at = ?1, "
        "owed_since = ?1 "
        "WHERE state = 'dead' AND ?2 IN ('*', channel, id) AND channel IN (SELECT value FROM json_each(?3))",
        [at(now), target, channels],
    )
    db.execute(
        "UPDATE channels SET next_try_at = NULL WHERE name IN ("
        "SELECT channel FROM notices WHERE state IN ('waiting', 'held') AND ? IN ('*', channel, id))",
        [target],
    )


def _drop(db: Store, row: rows.Row, now: datetime) -> None:
    reason = f"dropped by {row['by'] or 'somebody'}" + (f": {row['comment']}" if row["comment"] else "")
    db.execute(
        "UPDATE notices SET state = 'dropped', reason = ?, hold = NULL, settled_at = ? "
        "WHERE state IN ('waiting', 'held', 'dead') AND id = ?",
        [reason, at(now), row["target"]],
    )
