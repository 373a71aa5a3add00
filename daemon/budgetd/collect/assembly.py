"""From the tables of a provider file to its plans. Checks that names, types and kinds fit each other."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from budgetd.collect.paths import PathError, compile_list_path, compile_path
from budgetd.collect.plans import Each, FieldPlan, ItemPart, Meter, Within
from budgetd.collect.request_plans import ITEM, RequestPlanner
from budgetd.collect.tables import MeterTable, ProviderTable, WithinTable
from budgetd.collect.values import Reader
from budgetd.validation import did_you_mean
from budgetd_rules.expressions import ExpressionError, compile_condition, compile_expression
from budgetd_rules.kinds import FIELD_TYPES, KINDS, Kind
from budgetd_rules.meters import MeterKey, Reading, view
from budgetd_rules.values import UNKNOWN, Value, ValueType

# In the `key` of a meter: the name under which an object holds the item.
_KEY: Final = re.compile(r"\bkey\b")


class Assembly:
    """The plans of one provider file, and `problems`: a line with its key for all that is wrong."""

    def __init__(self, table: ProviderTable) -> None:
        self.problems: list[str] = []
        planner = RequestPlanner(table, self.problems)
        self._requests, self._values = list(table.requests), planner.values
        self.requests = planner.plans
        self.meters = {name: self._plan_meter(name, meter) for name, meter in table.meters.items()}
        if table.identity is not None and table.identity not in self._values:
            hint = did_you_mean(table.identity, list(self._values))
            self.problems.append(f"identity: no value is named {table.identity}{hint}")

    def _plan_meter(self, name: str, meter: MeterTable) -> Meter:
        where = f"meters.{name}"
        planned = {key: self._plan_field(f"{where}.{key}", key, text, meter) for key, text in meter.fields.items()}
        fields = {key: plan for key, plan in planned.items() if plan is not None}
        when = self._plan_expression(f"{where}.when", meter.when, None, meter) if meter.when is not None else None
        each = self._plan_each(f"{where}.each", meter)
        values = self._list_values(fields.values())
        if not meter.fields:
            self.problems.append(f"{where}: has no field; a {meter.kind} has {', '.join(KINDS[meter.kind].given)}")
        elif fields == planned and not (values or meter.each):
            self.problems.append(f"{where}: no field of it comes from a value, so that it could never change")
        used = values | self._list_values([when] if when else [])
        return Meter(
            name=name,
            kind=meter.kind,
            unit=meter.unit,
            rolling=meter.window == "rolling",
            each=each,
            when=when,
            fields=fields,
            values=values,
            requests=frozenset(self._values[value].request for value in used) | ({each.request} if each else set()),
            gives=_list_given(meter.kind, fields),
        )

    def _plan_field(self, where: str, name: str, text: str, meter: MeterTable) -> FieldPlan | None:
        fields = KINDS[meter.kind].given
        if name not in fields:
            hint = did_you_mean(name, [*fields, *MeterTable.model_fields])
            self.problems.append(f"{where}: a {meter.kind} has no such field{hint}")
            return None
        plan = self._plan_expression(where, text, FIELD_TYPES[name], meter)
        if plan and plan.expression.type is not FIELD_TYPES[name]:
            wanted, given = FIELD_TYPES[name].noun, plan.expression.type.noun
            self.problems.append(f"{where}: takes {wanted}, and {text.strip()} is {given}")
        return plan

    def _plan_expression(self, where: str, text: str, alone: ValueType | None, meter: MeterTable) -> FieldPlan | None:
        """The parts of items have no declared types: one that is the whole text is of the type `alone`, all others are
        numbers, and lists of numbers in a group.

        Without `alone` the text is a condition.
        """
        others = ValueType.NUMBERS if meter.group else ValueType.NUMBER

        def find_type(name: str) -> ValueType | None:
            if meter.each is not None and name.startswith(f"{ITEM}."):
                return (alone or ValueType.BOOL) if name == text.strip() else others
            return self._values[name].reader.type if name in self._values else None

        compile_text = compile_expression if alone else compile_condition
        try:
            expression = compile_text(text, find_type, known=self._values)
            items = {
                name: _plan_part(name.removeprefix(f"{ITEM}."), type_)
                for name in sorted(expression.names - self._values.keys())
                if (type_ := find_type(name))
            }
        except (ExpressionError, PathError) as error:
            self.problems.append(f"{where}: {error}")
            return None
        return FieldPlan(expression=expression, items=items)

    def _plan_each(self, where: str, meter: MeterTable) -> Each | None:
        if meter.each is None or meter.key is None:
            return None
        request, _, path = meter.each.partition(".")
        if request not in self._requests:
            hint = did_you_mean(request, self._requests)
            self.problems.append(f"{where}: begins with the name of a request, and there is no {request!r}{hint}")
        try:
            return Each(
                request=request,
                path=compile_list_path(path or "@"),
                key=compile_path(meter.key),
                group=meter.group,
                takes_objects=_KEY.search(meter.key) is not None,
                within=_plan_within(meter.within) if meter.within else None,
            )
        except PathError as error:
            self.problems.append(f"{where}: {error}")
            return None

    def _list_values(self, plans: Iterable[FieldPlan]) -> frozenset[str]:
        """The values that the expressions read, without the parts of items."""
        return frozenset(name for plan in plans for name in plan.expression.names if name in self._values)


def _plan_part(path: str, type_: ValueType) -> ItemPart:
    listed = type_ is ValueType.NUMBERS
    return ItemPart(path=compile_path(path), reader=Reader(type=ValueType.NUMBER if listed else type_), listed=listed)


def _plan_within(table: WithinTable) -> Within:
    reader = Reader(type=ValueType.TIME, encoding=table.encoding)
    return Within(time=compile_path(table.time), reader=reader, last=table.last)


_SAMPLES: Final[Mapping[ValueType, Value]] = {
    ValueType.NUMBER: Decimal(1),
    ValueType.BOOL: True,
    ValueType.TEXT: "text",
    ValueType.TIME: datetime(2000, 1, 1, tzinfo=UTC),
}


def _list_given(kind: Kind, fields: Iterable[str]) -> frozenset[str]:
    """The fields that are known if the vendor gives all that is mapped, as the core derives them from a sample."""
    sample = {name: _SAMPLES[FIELD_TYPES[name]] for name in fields}
    now = datetime(2000, 1, 1, tzinfo=UTC)
    reading = Reading(key=MeterKey("", ""), kind=kind, unit="", as_of=now, fields=sample)
    burn = Decimal(1) if "remaining" in sample else UNKNOWN
    given = view(reading, now, timedelta(days=1), burn).fields
    return frozenset(name for name, value in given.items() if value is not UNKNOWN)
