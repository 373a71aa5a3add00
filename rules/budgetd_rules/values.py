"""Values of fields and how to compute with them: numbers, and two things that are none.

*Unknown* is what the vendor did not say: arithmetic with it is unknown, and so is a comparison.
*Unlimited* is larger than every number, so that "no limit" never needs a made-up one.
"""

import operator
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Context, Decimal
from enum import Enum, StrEnum
from typing import Any, Final


class Unknown(Enum):
    UNKNOWN = "unknown"

    def __repr__(self) -> str:
        return "unknown"


class Unlimited(Enum):
    UNLIMITED = "unlimited"

    def __repr__(self) -> str:
        return "unlimited"


UNKNOWN: Final = Unknown.UNKNOWN
UNLIMITED: Final = Unlimited.UNLIMITED

Number = Decimal | Unlimited | Unknown
Value = Decimal | bool | str | datetime | tuple[Decimal, ...] | Unlimited | Unknown
Truth = bool | Unknown


class ValueType(StrEnum):
    NUMBER = "number"
    BOOL = "bool"
    TEXT = "text"
    TIME = "time"
    NUMBERS = "numbers"

    @property
    def noun(self) -> str:
        return _NOUNS[self]


_NOUNS: Final[Mapping[ValueType, str]] = {
    ValueType.NUMBER: "a number",
    ValueType.BOOL: "true or false",
    ValueType.TEXT: "text",
    ValueType.TIME: "a time",
    ValueType.NUMBERS: "a list of numbers",
}


# No traps: a division by zero or an overflow becomes NaN or infinity, and `_finite` makes that unknown.
_CONTEXT: Final = Context(prec=34, traps=[])
_ZERO: Final = Decimal(0)


def _finite(number: Decimal) -> Number:
    return number if number.is_finite() else UNKNOWN


def as_number(value: Value) -> Number:
    """The value where it is a finite number or unlimited, else unknown."""
    if isinstance(value, Decimal):
        return _finite(value)
    return UNLIMITED if value is UNLIMITED else UNKNOWN


def add(left: Number, right: Number) -> Number:
    if left is UNKNOWN or right is UNKNOWN:
        return UNKNOWN
    if left is UNLIMITED or right is UNLIMITED:
        return UNLIMITED
    return _finite(_CONTEXT.add(left, right))


def subtract(left: Number, right: Number) -> Number:
    """`unlimited - x` is unlimited; anything less unlimited is unknown: there is no negative unlimited."""
    if left is UNKNOWN or right is UNKNOWN or right is UNLIMITED:
        return UNKNOWN
    if left is UNLIMITED:
        return UNLIMITED
    return _finite(_CONTEXT.subtract(left, right))


def multiply(left: Number, right: Number) -> Number:
    if left is UNKNOWN or right is UNKNOWN:
        return UNKNOWN
    if left is UNLIMITED:
        return UNLIMITED if right is UNLIMITED or right > _ZERO else UNKNOWN
    if right is UNLIMITED:
        return UNLIMITED if left > _ZERO else UNKNOWN
    return _finite(_CONTEXT.multiply(left, right))


def divide(left: Number, right: Number) -> Number:
    if left is UNKNOWN or right is UNKNOWN:
        return UNKNOWN
    if right is UNLIMITED:
        return UNKNOWN if left is UNLIMITED else _ZERO
    if left is UNLIMITED:
        return UNLIMITED if right > _ZERO else UNKNOWN
    return _finite(_CONTEXT.divide(left, right))


def negate(number: Number) -> Number:
    return _finite(_CONTEXT.minus(number)) if isinstance(number, Decimal) else UNKNOWN


def absolute(number: Number) -> Number:
    return _finite(_CONTEXT.abs(number)) if isinstance(number, Decimal) else number


def compare(holds: Callable[[Any, Any], bool], left: Number, right: Number) -> Truth:
    """Whether `holds` (an ordering of the `operator` module) is true of the two numbers."""
    if left is UNKNOWN or right is UNKNOWN:
        return UNKNOWN
    if isinstance(left, Decimal) and isinstance(right, Decimal):
        return holds(left, right)
    # Unlimited beside a number, or beside itself: only the order of the two counts.
    return holds(left is UNLIMITED, right is UNLIMITED)


def percent(part: Number, whole: Number) -> Number:
    """100 part / whole; unknown where the whole is nothing or less, for then the share means nothing."""
    if compare(operator.gt, whole, _ZERO) is not True:
        return UNKNOWN
    return divide(multiply(part, Decimal(100)), whole)


def at_least_zero(number: Number) -> Number:
    return _ZERO if compare(operator.lt, number, _ZERO) is True else number


def excess(amount: Number, bound: Number) -> Number:
    """By how much the amount is over the bound, and 0 where it is not; under no bound, nothing is."""
    if bound is UNLIMITED:
        return _ZERO
    return at_least_zero(subtract(amount, bound))
