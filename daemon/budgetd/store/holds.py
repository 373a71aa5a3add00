"""Acks and silences. Commands append holds and their ends; the service reads them at each delivery."""

import json
import secrets
from dataclasses import replace
from datetime import datetime

from budgetd.store import rows
from budgetd.store.database import Store, put, write
from budgetd_rules.encoding import at, maybe_at, maybe_when, when
from budgetd_rules.holds import Hold, HoldKind
from budgetd_rules.rule import Level


def add_hold(db: Store, hold: Hold) -> Hold:
    """Stores the hold, and returns it with its new id."""
    hold = replace(hold, id=secrets.token_hex(3))
    matcher: dict[str, object] = {"rule": hold.rule, "account": hold.account, "meter": hold.meter}
    if hold.kind is HoldKind.ACK:
        matcher = {"episode": hold.episode}
    matcher |= {"labels": dict(hold.labels)} if hold.labels else {}
    matcher |= {"worse_than": hold.worse_than.label} if hold.worse_than is not None else {}
    row = {
        "id": hold.id,
        "kind": hold.kind,
        "matcher": json.dumps(matcher, ensure_ascii=False),
        "from_at": at(hold.from_at),
        "until_at": maybe_at(hold.until_at),
        "by": hold.by,
        "comment": hold.comment,
    }
    with write(db):
        put(db, "holds", [row])
    return hold


def end_hold(db: Store, hold: str, by: str, now: datetime) -> None:
    with write(db):
        put(db, "hold_ends", [{"hold": hold, "at": at(now), "by": by}])


def load_holds(db: Store, now: datetime, *, ended_too: bool = False) -> list[Hold]:
    """The active holds, or all, oldest first. An ack ends with its episode. Call this inside a read."""
    sql = """
        SELECT holds.*, coalesce(hold_ends.at, episodes.ended_at) AS ended_at
        FROM holds LEFT JOIN hold_ends ON hold_ends.hold = holds.id
        LEFT JOIN episodes ON episodes.id = holds.matcher ->> 'episode'
        ORDER BY from_at, holds.id
    """
    holds = [_hold(row) for row in db.query(sql)]
    return [hold for hold in holds if ended_too or hold.is_active(now)]


def _hold(row: rows.Row) -> Hold:
    matcher = json.loads(row["matcher"])
    worse_than = matcher.pop("worse_than", None)
    return Hold(
        id=row["id"],
        kind=HoldKind(row["kind"]),
        from_at=when(row["from_at"]),
        until_at=maybe_when(row["until_at"]),
        ended_at=maybe_when(row["ended_at"]),
        by=row["by"] or "",
        comment=row["comment"] or "",
        worse_than=Level[worse_than.upper()] if worse_than else None,
        **matcher,
    )
