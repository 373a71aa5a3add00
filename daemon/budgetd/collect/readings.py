"""From the values of a poll to the readings of its meters."""

from collections import Counter
from collections.abc import Mapping

from budgetd.collect.answers import Seen, State, Visit
from budgetd.collect.lists import read_list
from budgetd.collect.paths import PathError
from budgetd.collect.plans import Each, FieldPlan, Meter
from budgetd.collect.values import MalformedError
from budgetd_rules.meters import MeterKey, Reading
from budgetd_rules.values import UNKNOWN, Value

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
    """One reading per item."""
    items, complete = read_list(visit, meter, each, seen[each.request].document)
    times = Counter(key for _, key, _ in items)
    readings = []
    for index, key, item in items:
        if times[key] > 1:
            fault = f"item {index} has the key {key!r}, which another has too"
            visit.blame(each.request, f"meters.{meter.name}: {fault}")
            complete = False
        elif reading := _read(visit, meter, f"{meter.name}/{key}", values, item):
            readings.append(reading)
    return readings, complete


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
