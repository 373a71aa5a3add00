"""From the values of a poll to the readings of its meters."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from budgetd.collect.answers import Seen, State, Visit
from budgetd.collect.paths import PathError
from budgetd.collect.plans import Each, FieldPlan, Meter
from budgetd.collect.values import MalformedError, describe, read_id
from budgetd_rules.meters import MeterKey, Reading
from budgetd_rules.values import UNKNOWN, Value

MOST_ITEMS: Final = 1000

Values = Mapping[str, Value]


def read_meter(visit: Visit, meter: Meter, seen: Mapping[str, Seen], values: Values) -> tuple[list[Reading], bool]:
    """Its readings, and whether its requests were answered, so that what has no reading is gone at the vendor."""
    states = {seen[name].state for name in meter.requests}
    if State.ABSENT in states:
        return [], State.FAILED not in states
    if meter.each:
        return _fan_out(visit, meter, meter.each, seen, values) if State.FAILED not in states else ([], False)
    # Of an error only the headers are read: where they tell nothing, the meter was not seen.
    if State.FAILED in states and all(values[name] is UNKNOWN for name in meter.values):
        return [], False
    reading = _read(visit, meter, meter.name, values, None)
    return [reading] if reading else [], State.FAILED not in states


def _fan_out(
    visit: Visit, meter: Meter, each: Each, seen: Mapping[str, Seen], values: Values
) -> tuple[list[Reading], bool]:
    """One reading per item. Where an item can't be read nobody knows which are gone: the list was not answered."""
    try:
        items = _list_items(visit, each, seen[each.request].document)
    except (PathError, MalformedError) as error:
        visit.blame(each.request, f"meters.{meter.name}.each: {error}")
        return [], False
    keys = [_name_item(visit, each, item) for item in items]
    times = Counter(keys)
    readings = []
    for index, (key, item) in enumerate(zip(keys, items, strict=True)):
        if key is None or times[key] > 1:
            fault = "has no key" if key is None else f"has the key {key!r}, which another has too"
            visit.blame(each.request, f"meters.{meter.name}: item {index} {fault}")
        elif reading := _read(visit, meter, f"{meter.name}/{key}", values, item):
            readings.append(reading)
    return readings, all(count == 1 and key is not None for key, count in times.items())


def _list_items(visit: Visit, each: Each, document: object) -> list[object]:
    items = each.path.search(document)
    if items is None:
        return []
    if not isinstance(items, list):
        raise MalformedError(f"expected a list, got {describe(items, visit.redact)}")
    if len(items) > MOST_ITEMS:
        raise MalformedError(f"has {len(items):,} items; {MOST_ITEMS:,} are as many as one can watch")
    return items


def _name_item(visit: Visit, each: Each, item: object) -> str | None:
    try:
        return read_id(each.key.search(item), visit.redact)
    except PathError:
        return None


def _read(visit: Visit, meter: Meter, name: str, values: Values, item: object) -> Reading | None:
    if meter.when and _evaluate(visit, meter, meter.when, f"{name}.when", values, item) is False:
        return None
    fields = {
        field: value
        for field, plan in meter.fields.items()
        if (value := _evaluate(visit, meter, plan, f"{name}.{field}", values, item)) is not UNKNOWN
    }
    return Reading(
        key=MeterKey(visit.account, name),
        kind=meter.kind,
        unit=meter.unit,
        as_of=visit.now,
        fields=fields,
        rolling=meter.rolling,
    )


def _evaluate(visit: Visit, meter: Meter, plan: FieldPlan, where: str, values: Values, item: object) -> Value:
    if not plan.items or not meter.each:
        return plan.expression.evaluate(values.__getitem__)
    parts = dict(values)
    for part, (path, reader) in plan.items.items():
        try:
            parts[part] = reader.read(path.search(item), visit.now, visit.redact)
        except (PathError, MalformedError) as error:
            parts[part] = UNKNOWN
            visit.blame(meter.each.request, f"meters.{where}: {error}")
    return plan.expression.evaluate(parts.__getitem__)
