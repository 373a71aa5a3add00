"""JMESPath's functions for answers whose numbers are decimal: in the library they are for binary ones alone.

What is put in order are numbers, also where they are written as texts (9 comes before 10), or texts. Of anything else
there is no first and no last.
"""

import json
from collections.abc import Sequence
from decimal import Decimal
from types import NoneType
from typing import Any, Final

from jmespath.functions import Functions, signature

from budgetd.collect.numbers import parse_number

_LIST: Final[Any] = {"types": ["array"]}
_BY: Final[Any] = {"types": ["expref"]}
_TYPES: Final = {
    str: "string",
    bool: "boolean",
    Decimal: "number",
    list: "array",
    dict: "object",
    NoneType: "null",
}


class DecimalFunctions(Functions):
    """Raises TypeError where an order is asked for and there is none."""

    @signature({"types": ["string", "array", "object"]})
    def _func_length(self, counted: Sequence[object] | dict[str, object]) -> Decimal:
        return Decimal(len(counted))

    @signature({"types": []})
    def _func_to_string(self, value: object) -> str:
        if isinstance(value, Decimal):
            return format(value, "f")
        return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), default=str)

    @signature({"types": []})
    def _func_type(self, value: object) -> str | None:
        return _TYPES.get(type(value))

    @signature(_LIST)
    def _func_max(self, items: list[object]) -> object:
        return items[_order(items)[-1]] if items else None

    @signature(_LIST)
    def _func_min(self, items: list[object]) -> object:
        return items[_order(items)[0]] if items else None

    @signature(_LIST)
    def _func_sort(self, items: list[object]) -> list[object]:
        return [items[place] for place in _order(items)]

    @signature(_LIST, _BY)
    def _func_max_by(self, items: list[object], by: Any) -> object:  # noqa: ANN401 - has no type in the library
        return items[_order(_follow_all(by, items))[-1]] if items else None

    @signature(_LIST, _BY)
    def _func_min_by(self, items: list[object], by: Any) -> object:  # noqa: ANN401 - as above
        return items[_order(_follow_all(by, items))[0]] if items else None

    @signature(_LIST, _BY)
    def _func_sort_by(self, items: list[object], by: Any) -> list[object]:  # noqa: ANN401 - as above
        return [items[place] for place in _order(_follow_all(by, items))]


def _follow_all(by: Any, items: list[object]) -> list[object]:  # noqa: ANN401 - as above
    return [by.visit(by.expression, item) for item in items]


def _order(keys: list[object]) -> list[int]:
    """The places of the keys, from the one with the least to that with the greatest."""
    numbers = [number for key in keys if (number := parse_number(key)) is not None]
    texts = [key for key in keys if isinstance(key, str)]
    if len(numbers) == len(keys):
        return sorted(range(len(keys)), key=numbers.__getitem__)
    if len(texts) == len(keys):
        return sorted(range(len(keys)), key=texts.__getitem__)
    raise TypeError("neither all numbers nor all texts")


def exact(literal: object) -> object:
    """What stands between backticks, its numbers decimal: 0.1 is another number than the nearest binary one."""
    match literal:
        case bool():
            return literal
        case int() | float():
            return Decimal(str(literal))
        case list():
            return [exact(each) for each in literal]
        case dict():
            return {name: exact(each) for name, each in literal.items()}
        case _:
            return literal
