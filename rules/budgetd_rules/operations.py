"""The operators and functions of the condition language: the types of their operands, and what they compute.

Each function here takes the operands, refuses those of a wrong type with one line for a person, and returns what to
run. Unknown operands make the result unknown, unless the others decide it alone.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import reduce
from itertools import pairwise
from typing import Any, Final

from budgetd_rules.values import (
    UNKNOWN,
    Number,
    Truth,
    Value,
    ValueType,
    absolute,
    add,
    compare,
    negate,
)

Lookup = Callable[[str], Value]
Holds = Callable[[Any, Any], bool]


class ExpressionError(ValueError):
    """One line for a person: what is wrong with an expression, and where."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression, or a part of one. `names` are the fields that it reads, such as `used` and `turns.used`.

    `parts` are its operands, so that a person can be shown which of them was true.
    """

    text: str
    type: ValueType
    names: frozenset[str]
    # The result is of `type` or unknown: that was checked when it was compiled.
    run: Callable[[Lookup], Any] = field(repr=False, compare=False)
    parts: tuple["Expression", ...] = field(default=(), repr=False, compare=False)

    def evaluate(self, lookup: Lookup) -> Value:
        result: Value = self.run(lookup)
        return result

    def truth(self, lookup: Lookup) -> Truth:
        result = self.run(lookup)
        return result if isinstance(result, bool) else UNKNOWN


# --- what may stand where


def excerpt(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"


def _describe(part: Expression) -> str:
    return f"{excerpt(part.text)} is {part.type.noun}"


def require_number(part: Expression, why: str) -> Expression:
    if part.type is not ValueType.NUMBER:
        refuse_time(part)
        raise ExpressionError(f"{_describe(part)}; {why}")
    return part


def require_condition(part: Expression) -> Expression:
    if part.type is ValueType.BOOL:
        return part
    refuse_time(part)
    if not part.names:
        raise ExpressionError(f"{_describe(part)}, not a condition")
    text = excerpt(part.text)
    example = {
        ValueType.NUMBER: f"{text} < 20",
        ValueType.TEXT: f'{text} == "…"',
        ValueType.NUMBERS: f"sum({text}) < 20",
    }[part.type]
    raise ExpressionError(f"{_describe(part)}; a condition compares it: {example}")


def refuse_time(*parts: Expression) -> None:
    for part in parts:
        if part.type is ValueType.TIME:
            raise ExpressionError(
                f"{_describe(part)}; times are not compared or computed with: use a days_until_… field"
            )


def _require_one_type(left: Expression, right: Expression) -> None:
    if left.type is not right.type:
        raise ExpressionError(f"{_describe(left)} and {_describe(right)}; only values of one type are compared")


# --- arithmetic and logic

IN_ARITHMETIC: Final = "arithmetic takes numbers"


def calculation(
    calculate: Callable[[Number, Number], Number], left: Expression, right: Expression
) -> Callable[[Lookup], Number]:
    one, other = left.run, right.run
    return lambda lookup: calculate(one(lookup), other(lookup))


def signed(operand: Expression, *, negative: bool) -> Callable[[Lookup], Number]:
    run = require_number(operand, IN_ARITHMETIC).run
    return (lambda lookup: negate(run(lookup))) if negative else run


def junction(decisive: bool, parts: Sequence[Expression]) -> Callable[[Lookup], Truth]:
    return _kleene(decisive, [part.run for part in parts])


def _kleene(decisive: bool, runs: Sequence[Callable[[Lookup], Truth]]) -> Callable[[Lookup], Truth]:
    """`or`, which one that is true decides, or `and`, which one that is false decides, else one that is unknown."""

    def run(lookup: Lookup) -> Truth:
        result: Truth = not decisive
        for each in runs:
            truth = each(lookup)
            if truth is decisive:
                return decisive
            if truth is UNKNOWN:
                result = UNKNOWN
        return result

    return run


def negation(operand: Expression) -> Callable[[Lookup], Truth]:
    return _negated(require_condition(operand).run)


def _negated(run: Callable[[Lookup], Truth]) -> Callable[[Lookup], Truth]:
    return lambda lookup: UNKNOWN if (truth := run(lookup)) is UNKNOWN else not truth


# --- comparisons


def comparison(signs: Sequence[Holds], parts: Sequence[Expression]) -> Callable[[Lookup], Truth]:
    """One, or a chain: `a < b < c` holds where each of its pairs does."""
    runs = [_compared(holds, left, right) for holds, (left, right) in zip(signs, pairwise(parts), strict=True)]
    return runs[0] if len(runs) == 1 else _kleene(False, runs)


def _compared(holds: Holds, left: Expression, right: Expression) -> Callable[[Lookup], Truth]:
    refuse_time(left, right)
    _require_one_type(left, right)
    if left.type is ValueType.NUMBERS:
        raise ExpressionError(f"{_describe(left)}; compare its min, max, sum or count")
    if holds not in (operator.eq, operator.ne):
        require_number(left, "only numbers have an order")
    one, other = left.run, right.run
    if left.type is ValueType.NUMBER:
        return lambda lookup: compare(holds, one(lookup), other(lookup))

    def run(lookup: Lookup) -> Truth:
        first, second = one(lookup), other(lookup)
        return UNKNOWN if first is UNKNOWN or second is UNKNOWN else holds(first, second)

    return run


def choice(part: Expression, left: Expression) -> Value:
    """What one item of the list after `in` stands for."""
    _require_one_type(left, part)
    value = UNKNOWN if part.names else part.evaluate(lambda _: UNKNOWN)
    if value is UNKNOWN:
        raise ExpressionError(f"{excerpt(part.text)} is not a constant; in takes a list of constants")
    return value


def membership(left: Expression, choices: frozenset[Value], *, negated: bool) -> Callable[[Lookup], Truth]:
    run = left.run

    def is_listed(lookup: Lookup) -> Truth:
        value: Value = run(lookup)
        return UNKNOWN if value is UNKNOWN else value in choices

    return _negated(is_listed) if negated else is_listed


# --- functions


def _extreme(holds: Holds, numbers: Sequence[Number]) -> Number:
    best = numbers[0] if numbers else UNKNOWN
    for each in numbers[1:]:
        if compare(holds, each, best) is True:
            best = each
    return best


_NOTHING: Final[Number] = Decimal(0)
_FOLDS: Final[Mapping[str, Callable[[Sequence[Number]], Number]]] = {
    "min": lambda numbers: _extreme(operator.lt, numbers),
    "max": lambda numbers: _extreme(operator.gt, numbers),
    "sum": lambda numbers: reduce(add, numbers, _NOTHING),
    "count": lambda numbers: Decimal(len(numbers)),
}
FUNCTIONS: Final = ("abs", "coalesce", *_FOLDS)


def call(name: str, parts: Sequence[Expression]) -> tuple[ValueType, Callable[[Lookup], Any]]:
    """One of FUNCTIONS: the type of what it returns, and what to run."""
    if name == "coalesce":
        return _coalesce(parts)
    return ValueType.NUMBER, _absolute(parts) if name == "abs" else _fold(name, parts)


def _coalesce(parts: Sequence[Expression]) -> tuple[ValueType, Callable[[Lookup], Value]]:
    if len(parts) < 2 or len({part.type for part in parts}) > 1:
        raise ExpressionError("coalesce takes two or more values of one type")

    def first_known(lookup: Lookup) -> Value:
        values = (part.evaluate(lookup) for part in parts)
        return next((value for value in values if value is not UNKNOWN), UNKNOWN)

    return parts[0].type, first_known


def _absolute(parts: Sequence[Expression]) -> Callable[[Lookup], Number]:
    if len(parts) != 1:
        raise ExpressionError("abs takes one number")
    run = require_number(parts[0], "abs takes one number").run
    return lambda lookup: absolute(run(lookup))


def _fold(name: str, parts: Sequence[Expression]) -> Callable[[Lookup], Number]:
    """Over one list, or over several numbers; one that is unknown makes the result unknown."""
    fold, takes = _FOLDS[name], f"{name} takes a list of numbers, or two or more numbers"
    if len(parts) == 1 and parts[0].type is ValueType.NUMBERS:
        run = parts[0].run
        return lambda lookup: UNKNOWN if (numbers := run(lookup)) is UNKNOWN else fold(numbers)
    runs = [require_number(part, takes).run for part in parts]
    if len(runs) < 2:
        raise ExpressionError(takes)

    def fold_known(lookup: Lookup) -> Number:
        numbers = [run(lookup) for run in runs]
        return UNKNOWN if any(number is UNKNOWN for number in numbers) else fold(numbers)

    return fold_known
