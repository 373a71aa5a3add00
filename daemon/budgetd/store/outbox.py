"""The outbox as commands show it: notices that are owed or dead, and on request settled ones."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from budgetd.store import rows
from budgetd.store.database import Store, read
from budgetd_rules.encoding import at, maybe_when, when
from budgetd_rules.memory import ChangeKind
from budgetd_rules.notices import NoticeState
from budgetd_rules.rule import Level


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxEntry:
    """A notice and its attempts, owed `since` a time. `next_try_at` is set only while it waits.

    `delay` is set for an escalation, sent only if nobody has acked by then. A digest or a drill has a `report`, and no
    fields of a change.
    """

    id: str
    channel: str
    state: NoticeState
    reason: str | None
    episode: str | None
    report: str | None
    rule: str | None
    account: str | None
    meter: str | None
    kind: ChangeKind | None
    level: Level | None
    since: datetime
    settled_at: datetime | None
    tries: int
    last_error: str | None
    next_try_at: datetime | None
    delay: timedelta | None


_ENTRIES: Final = """
    SELECT notices.*, changes.episode, changes.rule, changes.account, changes.meter, changes.kind,
           coalesce(changes.new, changes.old) AS level, channels.next_try_at,
           (SELECT count(*) FROM attempted WHERE attempted.notice = notices.id) AS tries,
           (SELECT error FROM attempted JOIN attempts ON attempts.id = attempted.attempt
            WHERE attempted.notice = notices.id ORDER BY attempts.id DESC LIMIT 1) AS last_error
    FROM notices LEFT JOIN changes ON changes.id = notices.change LEFT JOIN channels ON channels.name = notices.channel
    WHERE (state IN ('waiting', 'held', 'dead') OR settled_at >= ?)
          AND (changes.id IS NOT NULL OR report IN ('digest', 'drill'))
    ORDER BY coalesce(changes.at, owed_since), notices.id
"""


def load_entries(db: Store, settled_since: datetime | None = None) -> list[OutboxEntry]:
    """Notices that are owed or dead, and those settled since the given time; oldest first."""
    with read(db):
        return [_entry(row) for row in db.query(_ENTRIES, [at(settled_since) if settled_since else "~"])]


def _entry(row: rows.Row) -> OutboxEntry:
    state, due_at, channel_at = NoticeState(row["state"]), when(row["due_at"]), maybe_when(row["next_try_at"])
    is_owed = state in (NoticeState.WAITING, NoticeState.HELD)
    return OutboxEntry(
        id=row["id"],
        channel=row["channel"],
        state=state,
        reason=row["reason"],
        episode=row["episode"],
        report=row["report"],
        rule=row["rule"],
        account=row["account"],
        meter=row["meter"],
        kind=ChangeKind(row["kind"]) if row["kind"] else None,
        level=Level[row["level"].upper()] if row["level"] else None,
        since=when(row["owed_since"]),
        settled_at=maybe_when(row["settled_at"]),
        tries=row["tries"],
        last_error=row["last_error"],
        next_try_at=max(due_at, channel_at or due_at) if is_owed else None,
        delay=rows.delay(row),
    )
