"""From the values of a poll to the readings of its meters."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from budgetd.collect.answers import Seen, State, Visit
from budgetd.collect.lists import Item, read_list
from budgetd.collect.paths import PathError
from budgetd.collect.plans import Each, FieldPlan, ItemPart, Meter
from budgetd.collect.values import MalformedError
from budgetd_rules.meters import MeterKey, Reading
from budgetd_rules.values import UNKNOWN, Value, ValueType

Values = Mapping[str, Value]


def read_meter(visit: Visit, meter: Meter, seen: Mapping[str, Seen], values: Values) -> tuple[list[Reading], bool]:
    """Its readings, and whether its requests were answered: then a meter without a reading is gone at the vendor."""
    states = {seen[name].state for name in meter.requests}
    if State.ABSENT in states:
        return [], State.FAILED not in states
    if meter.each:
        return _fan_out(visit, meter, meter.each, seen, values) if State.FAILED not in states else ([], False)
    # Of an error only the headers are read: if they give no value, the meter was not seen.
    if State.FAILED in states and all(values[name] is UNKNOWN for name in meter.values):
        return [], False
    reading = _read(visit, meter, meter.name, values, ())
    return [reading] if reading else [], State.FAILED not in states


def _fan_out(
    visit: Visit, meter: Meter, each: Each, seen: Mapping[str, Seen], values: Values
) -> tuple[list[Reading], bool]:
    """One reading for each key."""
    items, complete = read_list(visit, meter, each, seen[each.request].document)
    readings = []
    for key, same in items.items():
        if len(same) > 1 and not each.group:
            fault = f"item {same[0].index} has the key {key!r}, which another has too"
            visit.blame(each.request, f"meters.{meter.name}: {fault}")
            complete = False
        elif reading := _read(visit, meter, f"{meter.name}/{key}", values, same):
            readings.append(reading)
    return readings, complete


def _read(visit: Visit, meter: Meter, name: str, values: Values, items: Sequence[Item]) -> Reading | None:
    if meter.when and _evaluate(visit, meter, meter.when, f"{name}.when", values, items) is False:
        return None
    fields = {
        field: value
        for field, plan in meter.fields.items()
        if (value := _evaluate(visit, meter, plan, f"{name}.{field}", values, items)) is not UNKNOWN
    }
    return Reading(
        key=MeterKey(visit.account, name),
        kind=meter.kind,
        unit=meter.unit,
        as_of=visit.now,
        fields=fields,
        rolling=meter.rolling,
    )


def _evaluate(visit: Visit, meter: Meter, plan: FieldPlan, where: str, values: Values, items: Sequence[Item]) -> Value:
    if not plan.items or not meter.each:
        return plan.expression.evaluate(values.__getitem__)
    parts = dict(values)
    for name, part in plan.items.items():
        try:
            read = [part.reader.read(part.path.search(item.body), visit.now, visit.redact) for item in items]
            parts[name] = _join(part, read)
        except (PathError, MalformedError) as error:
            parts[name] = UNKNOWN
            visit.blame(meter.each.request, f"meters.{where}: {error}")
    return plan.expression.evaluate(parts.__getitem__)


def _join(part: ItemPart, values: Sequence[Value]) -> Value:
    """One value from those of all items: their list, the latest time, or the value that all share."""
    if part.listed:
        numbers = tuple(value for value in values if isinstance(value, Decimal))
        return numbers if len(numbers) == len(values) else UNKNOWN
    if part.reader.type is ValueType.TIME:
        return max((value for value in values if isinstance(value, datetime)), default=UNKNOWN)
    return values[0] if all(value == values[0] for value in values) else UNKNOWN
