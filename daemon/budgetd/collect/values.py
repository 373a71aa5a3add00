"""From the raw values of an answer to values of a declared type: right, unknown, or refused with a reason.

null, absent and empty are unknown. A value that is not of its type is refused, never guessed: a wrong number is worse
than none.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal
from enum import Enum
from typing import Final

from budgetd.collect.numbers import parse_number
from budgetd.collect.texts import Redact, one_line
from budgetd.collect.times import Encoding, parse_time
from budgetd_rules.values import UNKNOWN, UNLIMITED, Unlimited, Value, ValueType

LONGEST_QUOTE: Final = 40
# More digits than any two numbers make.
_EXACT: Final = Context(prec=200)


class Contradiction(Enum):
    """Stands in a document where a name came twice, with different values: no reader takes it."""

    CONTRADICTION = "two values under one name"


CONTRADICTION: Final = Contradiction.CONTRADICTION


class MalformedError(ValueError):
    """What was expected, and what was there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """How to read a raw value as one of a type. `unlimited` are the numbers and lower-case words that mean no limit.

    Other numbers are multiplied by the `factor`, exactly.
    """

    type: ValueType
    encoding: Encoding = Encoding.AUTO
    unlimited: frozenset[Decimal | str] = frozenset()
    factor: Decimal | None = None

    def read(self, raw: object, now: datetime, redact: Redact) -> Value:
        """Raises MalformedError."""
        if raw is None or (isinstance(raw, str) and not raw.strip()):
            return UNKNOWN
        if isinstance(raw, str) and raw.strip().lower() in self.unlimited:
            return UNLIMITED
        value = _READ[self.type](raw, self, now, redact)
        if value is None:
            raise MalformedError(f"expected {self.type.noun}, got {describe(raw, redact)}")
        return value

    def read_number(self, raw: object) -> Decimal | Unlimited | None:
        number = parse_number(raw)
        if number is None or self.factor is None or number in self.unlimited:
            return UNLIMITED if number in self.unlimited else number
        # Adding 0 turns -0 into 0. The product has to be within the limits of a number too.
        return parse_number(_EXACT.fma(number, self.factor, 0))


def _read_bool(raw: object, _reader: Reader, _now: datetime, _redact: Redact) -> bool | None:
    if isinstance(raw, str):
        return {"true": True, "false": False}.get(raw.strip().lower())
    return raw if isinstance(raw, bool) else None


def _read_text(raw: object, _reader: Reader, _now: datetime, redact: Redact) -> Value | None:
    return (one_line(raw, redact) or UNKNOWN) if isinstance(raw, str) else None


def _read_numbers(raw: object, reader: Reader, _now: datetime, _redact: Redact) -> tuple[Decimal, ...] | None:
    if not isinstance(raw, list):
        return None
    numbers = tuple(number for number in map(reader.read_number, raw) if isinstance(number, Decimal))
    return numbers if len(numbers) == len(raw) else None


_READ: Final[Mapping[ValueType, Callable[[object, Reader, datetime, Redact], Value | None]]] = {
    ValueType.NUMBER: lambda raw, reader, _now, _redact: reader.read_number(raw),
    ValueType.BOOL: _read_bool,
    ValueType.TEXT: _read_text,
    ValueType.TIME: lambda raw, reader, now, _redact: parse_time(raw, reader.encoding, now),
    ValueType.NUMBERS: _read_numbers,
}


def describe(raw: object, redact: Redact) -> str:
    if isinstance(raw, bool):
        return str(raw).lower()
    if isinstance(raw, Decimal):
        return f"the number {one_line(str(raw), redact, LONGEST_QUOTE)}"
    if isinstance(raw, str):
        return f"the text {one_line(raw, redact, LONGEST_QUOTE)!r}"
    if isinstance(raw, list):
        return "a list"
    if isinstance(raw, Contradiction):
        return raw.value
    return "an object" if isinstance(raw, dict) else "null" if raw is None else "no value of JSON"


def read_id(raw: object, redact: Redact) -> str | None:
    """The text of an id; a whole number is one too. None for anything else, and for a text that is not fit to print."""
    number = parse_number(raw) if isinstance(raw, Decimal) else None
    if number is not None and number == number.to_integral_value():
        return str(int(number))
    return raw if isinstance(raw, str) and raw and one_line(raw, redact) == raw else None
