"""From the tables of a provider file to its plans: whether names, types and kinds fit each other."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from budgetd.collect.paths import PathError, compile_path
from budgetd.collect.plans import Each, FieldPlan, Meter, RequestPlan, ValuePlan
from budgetd.collect.tables import PLACEHOLDER, MeterTable, ProviderTable, RequestTable, ValueTable
from budgetd.collect.values import NOUNS, Reader
from budgetd.validation import did_you_mean
from budgetd_rules.expressions import ExpressionError, compile_condition, compile_expression
from budgetd_rules.meters import FIELD_TYPES, KINDS, Kind, MeterKey, Reading, view
from budgetd_rules.values import UNKNOWN, Value, ValueType

ITEM: Final = "item"
# What only the history of the readings tells.
_FROM_HISTORY: Final = frozenset({"burn_per_day", "runway_days"})


class Assembly:
    """The plans of one file's tables, and in `problems` what is wrong with them, each with its key."""

    def __init__(self, table: ProviderTable) -> None:
        self.problems: list[str] = []
        self._table = table
        self._values: dict[str, ValuePlan] = {}
        self.requests = tuple(self._plan_request(name, request) for name, request in table.requests.items())
        self.meters = {name: self._plan_meter(name, meter) for name, meter in table.meters.items()}
        for header, text in table.headers.items():
            self._check_placeholders(f"headers.{header}", text)
        if table.identity is not None and table.identity not in self._values:
            hint = did_you_mean(table.identity, list(self._values))
            self.problems.append(f"identity: no value is named {table.identity}{hint}")

    def _plan_request(self, name: str, request: RequestTable) -> RequestPlan:
        where = f"requests.{name}"
        self._check_placeholders(f"{where}.path", request.path, always=True)
        for key, text in request.query.items():
            self._check_placeholders(f"{where}.query.{key}", text)
        return RequestPlan(
            name=name,
            path=request.path,
            query=request.query,
            optional=request.optional,
            body=request.body,
            unwrap=request.unwrap,
            values=tuple(self._plan_value(name, key, value) for key, value in request.values.items()),
        )

    def _plan_value(self, request: str, name: str, value: ValueTable) -> ValuePlan:
        where = f"requests.{request}.values.{name}"
        if name == ITEM:
            self.problems.append(f"{where}: item is what a list's item is called; choose another name")
        if name in self._values:
            self.problems.append(f"{where}: requests.{self._values[name].request} has a value of this name already")
        unlimited = frozenset(each.lower() if isinstance(each, str) else each for each in value.unlimited)
        self._values[name] = ValuePlan(
            name=name,
            request=request,
            path=compile_path(value.path) if value.path is not None else None,
            headers=value.headers,
            reader=Reader(type=value.type, encoding=value.encoding, unlimited=unlimited),
        )
        return self._values[name]

    def _plan_meter(self, name: str, meter: MeterTable) -> Meter:
        where = f"meters.{name}"
        planned = {key: self._plan_field(f"{where}.{key}", key, text, meter) for key, text in meter.fields.items()}
        fields = {key: plan for key, plan in planned.items() if plan is not None}
        when = self._plan_expression(f"{where}.when", meter.when, None, meter) if meter.when is not None else None
        each = self._plan_each(f"{where}.each", meter)
        values = self._list_values(fields.values())
        if not meter.fields:
            self.problems.append(f"{where}: has no field; a {meter.kind} has {', '.join(_fields_of(meter.kind))}")
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
        fields = _fields_of(meter.kind)
        if name not in fields:
            hint = did_you_mean(name, [*fields, *MeterTable.model_fields])
            self.problems.append(f"{where}: a {meter.kind} has no such field{hint}")
            return None
        plan = self._plan_expression(where, text, FIELD_TYPES[name], meter)
        if plan and plan.expression.type is not FIELD_TYPES[name]:
            wanted, given = NOUNS[FIELD_TYPES[name]], NOUNS[plan.expression.type]
            self.problems.append(f"{where}: takes {wanted}, and {text.strip()} is {given}")
        return plan

    def _plan_expression(self, where: str, text: str, alone: ValueType | None, meter: MeterTable) -> FieldPlan | None:
        """An item's parts declare no types: one that stands alone is of the type `alone`, the others are numbers.

        Without `alone` the text is a condition.
        """

        def find_type(name: str) -> ValueType | None:
            if meter.each is not None and name.startswith(f"{ITEM}."):
                return (alone or ValueType.BOOL) if name == text.strip() else ValueType.NUMBER
            return self._values[name].reader.type if name in self._values else None

        compile_text = compile_expression if alone else compile_condition
        try:
            expression = compile_text(text, find_type, known=self._values)
            items = {
                name: (compile_path(name.removeprefix(f"{ITEM}.")), Reader(type=type_))
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
        if request not in self._table.requests:
            hint = did_you_mean(request, list(self._table.requests))
            self.problems.append(f"{where}: begins with the name of a request, and there is no {request!r}{hint}")
        try:
            return Each(request=request, path=compile_path(path or "@"), key=compile_path(meter.key))
        except PathError as error:
            self.problems.append(f"{where}: {error}")
            return None

    def _check_placeholders(self, where: str, text: str, *, always: bool = False) -> None:
        for name in PLACEHOLDER.findall(text):
            param = self._table.params.get(name)
            if param is None:
                hint = did_you_mean(name, list(self._table.params))
                self.problems.append(f"{where}: {{{name}}} is not one of [params]{hint}")
            elif always and not param.required and param.default is None:
                self.problems.append(f"{where}: needs params.{name} to be required, or to have a default")

    def _list_values(self, plans: Iterable[FieldPlan]) -> frozenset[str]:
        """Those that the expressions read, without the items' parts."""
        return frozenset(name for plan in plans for name in plan.expression.names if name in self._values)


def _fields_of(kind: Kind) -> tuple[str, ...]:
    return tuple(name for name in KINDS[kind].all if name not in _FROM_HISTORY)


_SAMPLES: Final[Mapping[ValueType, Value]] = {
    ValueType.NUMBER: Decimal(1),
    ValueType.BOOL: True,
    ValueType.TEXT: "text",
    ValueType.TIME: datetime(2000, 1, 1, tzinfo=UTC),
}


def _list_given(kind: Kind, fields: Iterable[str]) -> frozenset[str]:
    """The fields that are known when the vendor says all that it can: the core itself derives them, from a sample."""
    sample = {name: _SAMPLES[FIELD_TYPES[name]] for name in fields}
    now = datetime(2000, 1, 1, tzinfo=UTC)
    reading = Reading(key=MeterKey("", ""), kind=kind, unit="", as_of=now, fields=sample)
    burn = Decimal(1) if "remaining" in sample else UNKNOWN
    given = view(reading, now, timedelta(days=1), burn).fields
    return frozenset(name for name, value in given.items() if value is not UNKNOWN)
