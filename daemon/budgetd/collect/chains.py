"""Requests that need values from the answers to earlier ones."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from budgetd.collect.answers import Seen, State, Visit, find_raw
from budgetd.collect.plans import Ask, RequestPlan
from budgetd.collect.templates import TemplateValue, tell_times
from budgetd.collect.texts import LONGEST
from budgetd_rules.values import UNKNOWN, Value

# As steps of a path these lead elsewhere, even if they are quoted.
_NO_STEPS: Final = frozenset({".", ".."})


def prepare(visit: Visit, plan: RequestPlan, seen: Mapping[str, Seen], values: Mapping[str, Value]) -> Ask | State:
    """The request, or its state if it can't be sent: that of the request whose values it needs.

    If that failed, it has an outage already. A value that is missing in an answer is reported once, whoever needs it.
    """
    found: dict[str, TemplateValue] = {}
    for name, source in plan.needs.items():
        if seen[source].state is not State.ANSWERED:
            return seen[source].state
        value = _tell(values[name])
        if value is None or not _is_whole(visit, seen[source], name, value):
            _blame(visit, source, name, values[name])
            return State.FAILED
        found[name] = value
    return Ask(plan=plan, found={**found, **tell_times(plan.times, visit.now)})


def _tell(value: Value) -> TemplateValue | None:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else None
    # A text that reaches the limit was cut.
    return value if isinstance(value, str) and len(value) < LONGEST and value not in _NO_STEPS else None


def _is_whole(visit: Visit, seen: Seen, name: str, value: TemplateValue) -> bool:
    """A text was made fit to print: the id of something else, if it had a line break in it, or our key."""
    plan = next(plan for request in visit.provider.requests for plan in request.values if plan.name == name)
    raw = find_raw(plan, seen)
    return not isinstance(value, str) or (isinstance(raw, str) and raw.strip() == value)


def _blame(visit: Visit, source: str, name: str, value: Value) -> None:
    where = f"values.{name}: "
    if not any(outage.request == source and outage.detail.startswith(where) for outage in visit.outages):
        what = "is not there" if value is UNKNOWN else "is nothing to send"
        visit.blame(source, f"{where}{what}, and other requests are made of it")
