"""The JSON shapes of `explain --json` and `history --json`, in the manner of `json_shapes`."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from budgetd.json_shapes import Json, hold_json, reading_json
from budgetd.store.explain import OwedNotice, Spell, Stored
from budgetd_rules.encoding import at, maybe_at, write_value
from budgetd_rules.explanation import Explanation, Routed
from budgetd_rules.gates import Condition, Gate
from budgetd_rules.kinds import KINDS, Kind
from budgetd_rules.memory import Episode, Stretch, Watch
from budgetd_rules.rule import Level
from budgetd_rules.values import Value


def explanation_json(
    rule: str, account: str, explained: Iterable[Explanation], stored: Stored | None, now: datetime
) -> Json:
    """`stored` is false where there is no database yet: then only what the config says is answered."""
    return {
        "rule": rule,
        "account": account,
        "at": at(now),
        "stored": stored is not None,
        "meters": [_meter_json(one, stored) for one in explained],
        "holds": [hold_json(hold) for hold in stored.holds] if stored else [],
    }


def _meter_json(one: Explanation, stored: Stored | None) -> Json:
    meter, wake_at = one.key.meter, one.after.wake_at if one.after else None
    episode = stored.episodes.get(meter) if stored else None
    return {
        "meter": meter,
        "kind": one.kind,
        "watched": one.is_watched,
        "reading": reading_json(one.view) | {"stale": one.view.stale} if one.view else None,
        "history": [spell_json(spell) for spell in stored.spells.get(meter, ())] if stored else [],
        "gates": [_gate_json(gate) for gate in one.gates],
        "watch": _watch_json(one.before) if one.before else None,
        "now": {"reason": one.reason, "changes": [_routed_json(routed) for routed in one.routed if routed.is_now]},
        "next": [_routed_json(routed) for routed in one.routed if not routed.is_now],
        "episode": _episode_json(episode) if episode else None,
        "notices": [_notice_json(notice) for notice in stored.notices.get(meter, ())] if stored else [],
        "wake_at": maybe_at(wake_at),
    }


def _gate_json(gate: Gate) -> Json:
    return {
        "gate": gate.name,
        "level": _label(gate.level),
        "answer": gate.answer,
        "reason": gate.reason,
        "condition": _condition_json(gate.condition) if gate.condition else None,
        "seconds": gate.needs.total_seconds() if gate.needs is not None else None,
        "since": maybe_at(gate.since),
        "until": maybe_at(gate.until),
        "parts": [_gate_json(part) for part in gate.parts],
    }


def _condition_json(condition: Condition) -> Json:
    return {
        "text": condition.text,
        "result": write_value(condition.result),
        "values": _values_json(condition.values),
        "parts": [_condition_json(part) for part in condition.parts],
    }


def _watch_json(watch: Watch) -> Json:
    return {
        "pending": {level.label: _stretch_json(stretch) for level, stretch in watch.pending.items()},
        "easing": _stretch_json(watch.easing) if watch.easing else None,
        "told_at": maybe_at(watch.told_at),
        "told_steps": [write_value(step) for step in sorted(watch.told_steps)],
        "reminders": watch.reminders,
        "window": maybe_at(watch.window),
        "known": _values_json(watch.known),
        "parked_at": maybe_at(watch.parked_at),
        "wake_at": maybe_at(watch.wake_at),
    }


def _stretch_json(stretch: Stretch) -> Json:
    return {"first": at(stretch.first), "last": at(stretch.last)}


def _routed_json(routed: Routed) -> Json:
    change = routed.change
    return {
        "change": change.kind,
        "to": _label(change.new),
        "reason": change.reason if routed.is_now else None,
        "unsaid": change.unsaid,
        "routes": list(routed.entries),
        "channels": list(routed.channels),
        "after": {name: after.total_seconds() for name, after in routed.waits.items() if after},
    }


def _episode_json(episode: Episode) -> Json:
    return {
        "id": episode.id,
        "level": episode.level.label,
        "peak": episode.peak.label,
        "state": "ended" if episode.ended_at else "open",
        "opened_at": at(episode.opened_at),
        "ended_at": maybe_at(episode.ended_at),
        "end": episode.end,
        "worst": write_value(episode.worst),
    }


def _notice_json(notice: OwedNotice) -> Json:
    return {
        "change": notice.change,
        "kind": notice.kind,
        "to": _label(notice.level),
        "channel": notice.channel,
        "state": notice.state,
        "reason": notice.reason,
        "settled_at": maybe_at(notice.settled_at),
        "attempts": notice.attempts,
        "outcome": notice.outcome,
        "error": notice.error,
        "next_try": maybe_at(notice.next_try_at),
        "after": notice.delay.total_seconds() if notice.delay is not None else None,
    }


def history_json(account: str, meter: str, kind: Kind | None, unit: str, spells: Iterable[tuple[Spell, Value]]) -> Json:
    """Each stretch with its headline, which may be derived: `fields` are those that the vendor gave."""
    return {
        "account": account,
        "meter": meter,
        "kind": kind,
        "unit": unit,
        "headline": KINDS[kind].headline if kind else None,
        "runs": [spell_json(spell) | {"headline": write_value(headline)} for spell, headline in spells],
    }


def spell_json(spell: Spell) -> Json:
    return {
        "from": at(spell.from_at),
        "until": at(spell.until_at),
        "fields": _values_json(spell.fields),
        "changed": {
            name: {"from": write_value(before), "to": write_value(now)} for name, (before, now) in spell.changed.items()
        },
    }


def _values_json(values: Mapping[str, Value]) -> Json:
    return {name: write_value(value) for name, value in values.items()}


def _label(level: Level | None) -> str | None:
    return level.label if level is not None else None
