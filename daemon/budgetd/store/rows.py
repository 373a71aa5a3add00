"""Converts rows of the database to records of the core, and back."""

import json
from collections.abc import Iterable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from budgetd_rules.encoding import at, maybe_at, maybe_when, read_value, when, write_value
from budgetd_rules.kinds import Kind
from budgetd_rules.memory import Change, ChangeKind, Episode, Reason, Rollover, Stretch, Watch, WatchKey
from budgetd_rules.meters import MeterKey, Reading
from budgetd_rules.rule import Level
from budgetd_rules.values import UNKNOWN, Value

Row = Mapping[str, Any]
# Made once, because `json.dumps` would make one for each call.
_SORTED: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def among(values: Iterable[str]) -> str:
    """The parameter for `column IN (SELECT value FROM json_each(?))`, so that the SQL is the same for any list."""
    return json.dumps(list(values))


def fields_to_text(fields: Mapping[str, Value]) -> str:
    known = {name: write_value(value) for name, value in fields.items() if value is not UNKNOWN}
    return _SORTED.encode(known)


def fields_from_text(text: str) -> dict[str, Value]:
    return {name: read_value(name, written) for name, written in json.loads(text).items()}


def reading(row: Row) -> Reading:
    return Reading(
        key=MeterKey(row["account"], row["meter"]),
        kind=Kind(row["kind"]),
        unit=row["unit"],
        as_of=when(row["as_of"]),
        fields=fields_from_text(row["fields"]),
        rolling=bool(row["rolling"]),
    )


def delay(row: Row) -> timedelta | None:
    """How long a notice of a route with `after` waits."""
    return timedelta(seconds=row["delay"]) if row["delay"] is not None else None


def reading_row(reading: Reading) -> dict[str, object]:
    """A reading whose fields count as newly read."""
    as_of = at(reading.as_of)
    return {
        "account": reading.key.account,
        "meter": reading.key.meter,
        "kind": reading.kind,
        "unit": reading.unit,
        "as_of": as_of,
        "since": as_of,
        "rolling": int(reading.rolling),
        "fields": fields_to_text(reading.fields),
    }


# --- watches


def _stretch_to_json(stretch: Stretch) -> list[str]:
    return [at(stretch.first), at(stretch.last)]


def _stretch(pair: list[str]) -> Stretch:
    return Stretch(first=when(pair[0]), last=when(pair[1]))


def watch_row(watch: Watch) -> dict[str, object]:
    memory: dict[str, object] = {
        "pending": {level.label: _stretch_to_json(stretch) for level, stretch in watch.pending.items()},
        "easing": _stretch_to_json(watch.easing) if watch.easing else None,
        "told_steps": sorted(map(str, watch.told_steps)),
        "told_at": maybe_at(watch.told_at),
        "reminders": watch.reminders,
        "window": maybe_at(watch.window),
        "known": {name: write_value(value) for name, value in watch.known.items()},
        "currency": watch.currency,
        "rollover": [at(watch.rollover.resets_at), at(watch.rollover.as_of)] if watch.rollover else None,
    }
    return {
        "rule": watch.key.rule,
        "account": watch.key.account,
        "meter": watch.key.meter,
        "memory": json.dumps({name: value for name, value in memory.items() if value}, separators=(",", ":")),
        "episode": watch.episode.id if watch.episode else None,
        "wake_at": maybe_at(watch.wake_at),
        "parked_at": maybe_at(watch.parked_at),
    }


def watch(row: Row, episode: Episode | None) -> Watch:
    memory = json.loads(row["memory"])
    rollover = memory.get("rollover")
    return Watch(
        key=WatchKey(row["rule"], row["account"], row["meter"]),
        pending={Level[name.upper()]: _stretch(pair) for name, pair in memory.get("pending", {}).items()},
        easing=_stretch(memory["easing"]) if "easing" in memory else None,
        told_steps=frozenset(map(Decimal, memory.get("told_steps", ()))),
        told_at=maybe_when(memory.get("told_at")),
        reminders=memory.get("reminders", 0),
        window=maybe_when(memory.get("window")),
        known={name: read_value(name, written) for name, written in memory.get("known", {}).items()},
        currency=memory.get("currency"),
        rollover=Rollover(resets_at=when(rollover[0]), as_of=when(rollover[1])) if rollover else None,
        episode=episode,
        wake_at=maybe_when(row["wake_at"]),
        parked_at=maybe_when(row["parked_at"]),
    )


# --- episodes and changes


def episode_row(episode: Episode) -> dict[str, object]:
    return {
        "id": episode.id,
        "rule": episode.key.rule,
        "account": episode.key.account,
        "meter": episode.key.meter,
        "window": maybe_at(episode.window),
        "level": episode.level.label,
        "peak": episode.peak.label,
        "opened_at": at(episode.opened_at),
        "ended_at": maybe_at(episode.ended_at),
        "end": episode.end,
        "worst": str(episode.worst) if isinstance(episode.worst, Decimal) else None,
        "count": episode.count,
    }


def episode(row: Row) -> Episode:
    return Episode(
        id=row["id"],
        key=WatchKey(row["rule"], row["account"], row["meter"]),
        level=Level[row["level"].upper()],
        peak=Level[row["peak"].upper()],
        opened_at=when(row["opened_at"]),
        window=maybe_when(row["window"]),
        ended_at=maybe_when(row["ended_at"]),
        end=Reason(row["end"]) if row["end"] else None,
        worst=Decimal(row["worst"]) if row["worst"] else UNKNOWN,
        count=row["count"],
    )


def change_row(change: Change) -> dict[str, object]:
    return {
        "id": change.id,
        "episode": change.episode,
        **change.key._asdict(),
        "kind": change.kind,
        "old": change.old.label if change.old is not None else None,
        "new": change.new.label if change.new is not None else None,
        "at": at(change.at),
        "reason": change.reason,
        "unsaid": int(change.unsaid),
        "values": _values_to_text(change.values),
        "before": _values_to_text(change.before),
    }


def _values_to_text(values: Mapping[str, Value]) -> str:
    """Includes unknown values, unlike the fields of a reading: that they were unknown is part of the reason."""
    return json.dumps({name: write_value(value) for name, value in values.items()}, ensure_ascii=False)


def change(row: Row) -> Change:
    return Change(
        id=row["id"],
        episode=row["episode"],
        key=WatchKey(row["rule"], row["account"], row["meter"]),
        kind=ChangeKind(row["kind"]),
        old=Level[row["old"].upper()] if row["old"] else None,
        new=Level[row["new"].upper()] if row["new"] else None,
        at=when(row["at"]),
        reason=Reason(row["reason"]),
        unsaid=bool(row["unsaid"]),
        values=fields_from_text(row["values"]),
        before=fields_from_text(row["before"]),
    )
