"""budgetd's own troubles: readings of the account `budgetd`, written when something happens instead of by a poll."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Final

from budgetd.store.database import Store, put, write
from budgetd.store.rows import among, fields_from_text, fields_to_text, reading_row
from budgetd_rules.encoding import at
from budgetd_rules.meters import Reading
from budgetd_rules.own_account import CONFIG, JUDGING, OWN_NAME, STORE, own_meters, own_reading
from budgetd_rules.polls import NO_CAUSE, Cause

# The account is not polled.
_NEVER: Final = "9999-12-31T23:59:59.999999Z"


def begin(db: Store, channels: Iterable[str], now: datetime) -> None:
    """Records a new config: config and store are fine, and channels that left are forgotten."""
    with write(db):
        for meter in (CONFIG, STORE):
            if _fields(db, meter) is not None:
                note(db, own_reading(meter, now))
        kept = among(own_meters(channels))
        gone = "DELETE FROM latest WHERE account = ? AND meter NOT IN (SELECT value FROM json_each(?))"
        if db.execute(gone, [OWN_NAME, kept]).rowcount:
            _judge_anew(db, now)


def refuse_config(db: Store, problem: str, now: datetime) -> None:
    """Records that a new config was refused. `problem` is the first one found."""
    with write(db):
        failures = _failures(_fields(db, CONFIG)) + 1
        note(db, own_reading(CONFIG, now, failures=failures, cause=Cause.MALFORMED, detail=problem))


def note_store(db: Store, failures: int, detail: str, now: datetime) -> None:
    """Records that this many writes failed in a row. With 0 writing works again, and `detail` says what was wrong."""
    with write(db):
        cause = Cause.UNREACHABLE if failures else NO_CAUSE
        note(db, own_reading(STORE, now, failures=failures, cause=cause, detail=detail))


def note_broken(db: Store, broken: Iterable[str], now: datetime) -> None:
    """Records which accounts can't be judged and why, one line each; none if all can. Call this inside a write."""
    lines = sorted(broken)
    if lines or _fields(db, JUDGING) is not None:
        cause = Cause.MALFORMED if lines else NO_CAUSE
        detail = ", ".join(lines) or None
        note(db, own_reading(JUDGING, now, failures=len(lines), cause=cause, detail=detail))


def note(db: Store, reading: Reading) -> None:
    """Writes the reading, unless only its time is new. Call this inside a write."""
    if _fields(db, reading.key.meter) != fields_to_text(reading.fields):
        put(db, "latest", [reading_row(reading)])
        _judge_anew(db, reading.as_of)


def _judge_anew(db: Store, now: datetime) -> None:
    db.execute(
        "INSERT INTO accounts (name, provider, last_attempt, next_poll_at, unjudged) VALUES (?1, ?1, ?2, ?3, 1) "
        "ON CONFLICT (name) DO UPDATE SET last_attempt = excluded.last_attempt, unjudged = 1",
        [OWN_NAME, at(now), _NEVER],
    )


def _fields(db: Store, meter: str) -> str | None:
    row = db.execute("SELECT fields FROM latest WHERE account = ? AND meter = ?", [OWN_NAME, meter]).fetchone()
    return str(row[0]) if row else None


def _failures(fields: str | None) -> int:
    failures = fields_from_text(fields).get("failures") if fields else None
    return int(failures) if isinstance(failures, Decimal) else 0
