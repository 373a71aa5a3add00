"""The record of started actions: who, when, with which arguments, and how they ended."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from budgetd.store.database import Store, put, read, write
from budgetd_rules.encoding import at, when


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """`ending` is unknown until the action has ended; it stays so if the process was killed before."""

    account: str
    action: str
    args: Mapping[str, str | int]
    by: str
    at: datetime
    ending: str = "unknown"
    detail: str = ""


def begin_action(db: Store, started: Started) -> int:
    """Called before anything is sent, so that there is a record in any case. Returns its id."""
    args = json.dumps(dict(started.args), ensure_ascii=False)
    row = [started.account, started.action, args, started.by, at(started.at)]
    with write(db):
        sql = 'INSERT INTO actions (account, action, args, "by", at) VALUES (?, ?, ?, ?, ?)'
        id_ = db.execute(sql, row).lastrowid
    assert id_ is not None
    return id_


def end_action(db: Store, id_: int, ending: str, detail: str, now: datetime) -> None:
    with write(db):
        put(db, "action_ends", [{"action": id_, "at": at(now), "ending": ending, "detail": detail}])


def load_actions(db: Store) -> list[Started]:
    """Oldest first."""
    sql = """
        SELECT actions.*, ending, detail FROM actions LEFT JOIN action_ends ON action_ends.action = actions.id
        ORDER BY id
    """
    with read(db):
        return [
            Started(
                account=row["account"],
                action=row["action"],
                args=json.loads(row["args"]),
                by=row["by"],
                at=when(row["at"]),
                ending=row["ending"] or "unknown",
                detail=row["detail"] or "",
            )
            for row in db.query(sql)
        ]
