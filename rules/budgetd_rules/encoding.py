"""How values are written in the store and in JSON: decimals with the vendor's digits, times as UTC ISO-8601."""

from datetime import datetime
from decimal import Decimal

from budgetd_rules.kinds import FIELD_TYPES
from budgetd_rules.values import UNKNOWN, UNLIMITED, Value, ValueType

Written = str | bool | None


def at(moment: datetime) -> str:
    """`2026-11-21T04:10:00.000000Z`: always this long, so that times sort as text."""
    return moment.isoformat(timespec="microseconds")[:-6] + "Z"


def maybe_at(moment: datetime | None) -> str | None:
    return at(moment) if moment else None


def when(text: str) -> datetime:
    return datetime.fromisoformat(text)


def maybe_when(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def write_value(value: Value) -> Written:
    """Unknown is null, unlimited the text `unlimited`."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return at(value)
    if isinstance(value, tuple):
        return ",".join(f"{number:f}" for number in value)
    if value is UNKNOWN:
        return None
    return "unlimited" if value is UNLIMITED else value


def read_value(name: str, written: Written) -> Value:
    """The value of the field of this name, or of a sibling's (`turns.used`)."""
    type_ = FIELD_TYPES.get(name.rpartition(".")[2])
    if written is None:
        return UNKNOWN
    if isinstance(written, bool) or type_ is ValueType.TEXT:
        return written
    if type_ is ValueType.TIME:
        return datetime.fromisoformat(written)
    return UNLIMITED if written == "unlimited" else Decimal(written)
