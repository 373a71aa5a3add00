"""The condition language: the text of a rule or of a provider file becomes a value, or true, false or unknown.

It is a strict subset of Python's expressions. Python's parser reads it, every node has to be one of those below,
every operand is checked for its type, and what comes out is a tree of closures: nothing is ever run as Python.
"""

import ast
import operator
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from difflib import get_close_matches
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
    as_number,
    compare,
    divide,
    multiply,
    negate,
    subtract,
)

MAX_CHARACTERS: Final = 1000
MAX_DEPTH: Final = 50
MAX_DIGITS: Final = 34  # as many as arithmetic keeps
MAX_NUMBER: Final = Decimal("1e30")
MIN_NUMBER: Final = Decimal("1e-30")

Lookup = Callable[[str], Value]
Types = Callable[[str], ValueType | None]


class ExpressionError(ValueError):
    """One line that tells a person what is wrong with an expression, and where."""


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression, or a part of one. `names` are those that it reads, dotted ones whole."""

    text: str
    type: ValueType
    names: frozenset[str]
    # What it returns is of `type`, or unknown: that was checked when it was compiled.
    run: Callable[[Lookup], Any] = field(repr=False, compare=False)

    def evaluate(self, lookup: Lookup) -> Value:
        result: Value = self.run(lookup)
        return result

    def truth(self, lookup: Lookup) -> Truth:
        result = self.run(lookup)
        return result if isinstance(result, bool) else UNKNOWN


def compile_condition(text: str, types: Types, *, known: Iterable[str] = ()) -> Expression:
    return _require_condition(compile_expression(text, types, known=known))


def compile_expression(text: str, types: Types, *, known: Iterable[str] = ()) -> Expression:
    """`types` says which names there are and of which type, `known` lists those to offer for a misspelt one."""
    text = text.strip()
    _check_characters(text)
    body = _parse(text)
    _check_depth(body)
    whole = _Source(text.encode(), types, tuple(known)).read(body)
    # Brackets around the whole belong to no node.
    return Expression(text, whole.type, whole.names, whole.run)


_TOKEN: Final = re.compile(r""" *("[^"\\]*"|'[^'\\]*'|[\w.]+|[<>=!]=|[-+*/<>,()\[\]])""")
_QUOTE_HINT: Final = "; text stands between two quotes, without a backslash"
_HINTS: Final[Mapping[str, str]] = {
    "=": "; write == to compare",
    "!": "; write not",
    "&": "; write and",
    "|": "; write or",
    "%": "; percentages are fields, such as remaining_percent",
    '"': _QUOTE_HINT,
    "'": _QUOTE_HINT,
}


def _check_characters(text: str) -> None:
    """Before the parser, which would take comments and line breaks, and whose hints are about Python."""
    if not text:
        raise ExpressionError("the expression is empty")
    if len(text) > MAX_CHARACTERS:
        raise ExpressionError(f"the expression has {len(text):,} characters; {MAX_CHARACTERS:,} are allowed")
    if not text.isprintable():
        raise _misplaced(text, next(column for column, each in enumerate(text) if not each.isprintable()))
    column = 0
    while column < len(text):
        token = _TOKEN.match(text, column)
        if token is None:
            raise _misplaced(text, len(text) - len(text[column:].lstrip()))
        column = token.end()


def _misplaced(text: str, column: int) -> ExpressionError:
    character = text[column]
    return ExpressionError(f"column {column + 1}: {character!r} has no place here{_HINTS.get(character, '')}")


def _parse(text: str) -> ast.expr:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        where = f"column {error.offset}" if error.offset and error.offset <= len(text) else "the end"
        # What Python suggests after its first words is Python.
        what = re.split("[.;]", error.msg)[0]
        raise ExpressionError(f"{where}: {what}: {_excerpt(text)}") from error
    except (MemoryError, RecursionError) as error:
        raise _too_deep() from error


def _check_depth(body: ast.expr) -> None:
    level: list[ast.expr] = [body]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
    if level:
        raise _too_deep()


def _too_deep() -> ExpressionError:
    return ExpressionError(f"the expression is nested too deeply; {MAX_DEPTH} levels are allowed")


@dataclass(frozen=True, slots=True)
class _Source:
    text: bytes
    types: Types
    known: tuple[str, ...]

    def part(self, node: ast.expr) -> str:
        # The parser counts columns in bytes; there is one line only.
        return self.text[node.col_offset : node.end_col_offset].decode()

    def read(self, node: ast.expr) -> Expression:
        reader = _READERS.get(type(node))
        if reader is None:
            listed = isinstance(node, ast.List | ast.Tuple)
            raise self.error(node, "a list stands only after in" if listed else "this has no place here")
        return reader(self, node)

    def constant(self, node: ast.expr, type_: ValueType, value: Value) -> Expression:
        return Expression(self.part(node), type_, frozenset(), lambda _: value)

    def join(
        self, node: ast.expr, type_: ValueType, parts: Iterable[Expression], run: Callable[[Lookup], Any]
    ) -> Expression:
        return Expression(self.part(node), type_, frozenset[str]().union(*(part.names for part in parts)), run)

    def error(self, node: ast.expr, what: str) -> ExpressionError:
        return ExpressionError(f"{_excerpt(self.part(node))}: {what}")


def _excerpt(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"


_NOUNS: Final[Mapping[ValueType, str]] = {
    ValueType.NUMBER: "a number",
    ValueType.BOOL: "true or false",
    ValueType.TEXT: "text",
    ValueType.TIME: "a time",
    ValueType.NUMBERS: "a list of numbers",
}


def _describe(part: Expression) -> str:
    return f"{_excerpt(part.text)} is {_NOUNS[part.type]}"


def _require_number(part: Expression, why: str) -> Expression:
    if part.type is not ValueType.NUMBER:
        _refuse_time(part)
        raise ExpressionError(f"{_describe(part)}; {why}")
    return part


def _require_condition(part: Expression) -> Expression:
    if part.type is ValueType.BOOL:
        return part
    _refuse_time(part)
    if not part.names:
        raise ExpressionError(f"{_describe(part)}, not a condition")
    text = _excerpt(part.text)
    example = {
        ValueType.NUMBER: f"{text} < 20",
        ValueType.TEXT: f'{text} == "…"',
        ValueType.NUMBERS: f"sum({text}) < 20",
    }[part.type]
    raise ExpressionError(f"{_describe(part)}; a condition compares it: {example}")


def _refuse_time(*parts: Expression) -> None:
    for part in parts:
        if part.type is ValueType.TIME:
            raise ExpressionError(
                f"{_describe(part)}; times are not compared or computed with: use a days_until_… field"
            )


def _require_one_type(left: Expression, right: Expression) -> None:
    if left.type is not right.type:
        raise ExpressionError(f"{_describe(left)} and {_describe(right)}; only values of one type are compared")


_TEXT: Final = re.compile(r""""[^"]*"|'[^']*'""")
_NUMBER: Final = re.compile(r"(\d{1,3}(_\d{3})+|\d+)?\.?\d*([eE][+-]?\d{1,4})?")


def _read_constant(source: _Source, node: ast.Constant) -> Expression:
    text = source.part(node)
    match node.value:
        case bool():
            raise ExpressionError(f"write {text.lower()}, not {text}")
        case None:
            raise ExpressionError("there is no None: what is unknown makes its comparisons unknown")
        case str(value) if _TEXT.fullmatch(text):
            return source.constant(node, ValueType.TEXT, value)
        case int() | float() if _NUMBER.fullmatch(text):
            return source.constant(node, ValueType.NUMBER, _exact_number(text))
    raise source.error(node, "a constant is a plain decimal number, or text between two quotes")


def _exact_number(text: str) -> Decimal:
    """From the source text, because the parser makes a float of it."""
    number = Decimal(text)
    if len(number.as_tuple().digits) > MAX_DIGITS:
        raise ExpressionError(f"{_excerpt(text)}: a number has at most {MAX_DIGITS} digits")
    if number and not MIN_NUMBER <= number <= MAX_NUMBER:
        raise ExpressionError(f"{_excerpt(text)}: a number is between 1e-30 and 1e30")
    return number


def _read_name(source: _Source, node: ast.Name | ast.Attribute) -> Expression:
    name = _dotted_name(source, node)
    if name in ("true", "false"):
        return source.constant(node, ValueType.BOOL, name == "true")
    type_ = source.types(name)
    if type_ is None:
        raise _nothing_called(name, source.known)
    accept = _ACCEPT[type_]
    return Expression(name, type_, frozenset({name}), lambda lookup: accept(lookup(name)))


def _dotted_name(source: _Source, node: ast.expr) -> str:
    names: list[str] = []
    inner = node
    while isinstance(inner, ast.Attribute):
        names.append(inner.attr)
        inner = inner.value
    if not isinstance(inner, ast.Name):
        raise source.error(node, "dots and calls take plain names")
    return ".".join([inner.id, *reversed(names)])


def _nothing_called(name: str, names: Iterable[str]) -> ExpressionError:
    similar = get_close_matches(name, list(names), n=1)
    return ExpressionError(f"there is no {_excerpt(name)} here" + (f"; did you mean {similar[0]}?" if similar else ""))


def _accept_numbers(value: Value) -> Value:
    known = isinstance(value, tuple) and all(as_number(each) is not UNKNOWN for each in value)
    return value if known else UNKNOWN


# A value that is not of its declared type is unknown.
_ACCEPT: Final[Mapping[ValueType, Callable[[Value], Value]]] = {
    ValueType.NUMBER: as_number,
    ValueType.BOOL: lambda value: value if isinstance(value, bool) else UNKNOWN,
    ValueType.TEXT: lambda value: value if isinstance(value, str) else UNKNOWN,
    ValueType.TIME: lambda value: value if isinstance(value, datetime) else UNKNOWN,
    ValueType.NUMBERS: _accept_numbers,
}

_ARITHMETIC: Final[Mapping[type[ast.operator], Callable[[Number, Number], Number]]] = {
    ast.Add: add,
    ast.Sub: subtract,
    ast.Mult: multiply,
    ast.Div: divide,
}


def _read_arithmetic(source: _Source, node: ast.BinOp) -> Expression:
    calculate = _ARITHMETIC.get(type(node.op))
    if calculate is None:
        raise source.error(node, "arithmetic is + - * /")
    parts = [_require_number(source.read(side), "arithmetic takes numbers") for side in (node.left, node.right)]
    left, right = (part.run for part in parts)
    return source.join(node, ValueType.NUMBER, parts, lambda lookup: calculate(left(lookup), right(lookup)))


def _read_unary(source: _Source, node: ast.UnaryOp) -> Expression:
    operand = source.read(node.operand)
    run = operand.run
    if isinstance(node.op, ast.Not):
        _require_condition(operand)
        return source.join(node, ValueType.BOOL, [operand], _negation(run))
    _require_number(operand, "arithmetic takes numbers")
    signed = run if isinstance(node.op, ast.UAdd) else lambda lookup: negate(run(lookup))
    return source.join(node, ValueType.NUMBER, [operand], signed)


def _read_logic(source: _Source, node: ast.BoolOp) -> Expression:
    parts = [_require_condition(source.read(value)) for value in node.values]
    decisive = isinstance(node.op, ast.Or)
    return source.join(node, ValueType.BOOL, parts, _kleene(decisive, [part.run for part in parts]))


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


def _negation(run: Callable[[Lookup], Truth]) -> Callable[[Lookup], Truth]:
    return lambda lookup: UNKNOWN if (truth := run(lookup)) is UNKNOWN else not truth


_COMPARISONS: Final[Mapping[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def _read_comparison(source: _Source, node: ast.Compare) -> Expression:
    if len(node.ops) == 1 and isinstance(node.ops[0], ast.In | ast.NotIn):
        return _read_membership(source, node)
    if not all(type(sign) in _COMPARISONS for sign in node.ops):
        raise source.error(node, "compare with < <= > >= == != or with a single in")
    parts = [source.read(side) for side in (node.left, *node.comparators)]
    runs = [_comparison(sign, left, right) for sign, (left, right) in zip(node.ops, pairwise(parts), strict=True)]
    return source.join(node, ValueType.BOOL, parts, runs[0] if len(runs) == 1 else _kleene(False, runs))


def _comparison(sign: ast.cmpop, left: Expression, right: Expression) -> Callable[[Lookup], Truth]:
    _refuse_time(left, right)
    _require_one_type(left, right)
    if left.type is ValueType.NUMBERS:
        raise ExpressionError(f"{_describe(left)}; compare its min, max, sum or count")
    if not isinstance(sign, ast.Eq | ast.NotEq):
        _require_number(left, "only numbers have an order")
    holds, one, other = _COMPARISONS[type(sign)], left.run, right.run
    if left.type is ValueType.NUMBER:
        return lambda lookup: compare(holds, one(lookup), other(lookup))

    def run(lookup: Lookup) -> Truth:
        first, second = one(lookup), other(lookup)
        return UNKNOWN if first is UNKNOWN or second is UNKNOWN else holds(first, second)

    return run


def _read_membership(source: _Source, node: ast.Compare) -> Expression:
    left, (listed,) = source.read(node.left), node.comparators
    _refuse_time(left)
    if not isinstance(listed, ast.List | ast.Tuple) or not listed.elts:
        raise source.error(node, "in takes a list of constants, such as [1, 2]")
    choices = frozenset(_choice(source.read(each), left) for each in listed.elts)
    run = left.run

    def is_listed(lookup: Lookup) -> Truth:
        value: Value = run(lookup)
        return UNKNOWN if value is UNKNOWN else value in choices

    chosen = is_listed if isinstance(node.ops[0], ast.In) else _negation(is_listed)
    return source.join(node, ValueType.BOOL, [left], chosen)


def _choice(part: Expression, left: Expression) -> Value:
    _require_one_type(left, part)
    value = UNKNOWN if part.names else part.evaluate(lambda _: UNKNOWN)
    if value is UNKNOWN:
        raise ExpressionError(f"{_excerpt(part.text)} is not a constant; in takes a list of constants")
    return value


def _extreme(holds: Callable[[Any, Any], bool], numbers: Sequence[Number]) -> Number:
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
_FUNCTIONS: Final = ("abs", "coalesce", *_FOLDS)


def _read_call(source: _Source, node: ast.Call) -> Expression:
    name = _dotted_name(source, node.func)
    if name not in _FUNCTIONS:
        raise _nothing_called(f"{name}()", [f"{each}()" for each in _FUNCTIONS])
    # Named values (`key=`) can't be here: the check of the characters refuses a single =.
    parts = [source.read(argument) for argument in node.args]
    if name == "coalesce":
        return source.join(node, *_coalesce(parts))
    return source.join(node, ValueType.NUMBER, parts, _absolute(parts) if name == "abs" else _fold(name, parts))


def _coalesce(parts: list[Expression]) -> tuple[ValueType, list[Expression], Callable[[Lookup], Value]]:
    if len(parts) < 2 or len({part.type for part in parts}) > 1:
        raise ExpressionError("coalesce takes two or more values of one type")

    def first_known(lookup: Lookup) -> Value:
        values = (part.evaluate(lookup) for part in parts)
        return next((value for value in values if value is not UNKNOWN), UNKNOWN)

    return parts[0].type, parts, first_known


def _absolute(parts: list[Expression]) -> Callable[[Lookup], Number]:
    if len(parts) != 1:
        raise ExpressionError("abs takes one number")
    run = _require_number(parts[0], "abs takes one number").run
    return lambda lookup: absolute(run(lookup))


def _fold(name: str, parts: list[Expression]) -> Callable[[Lookup], Number]:
    """Over one list, or over several numbers; one that is unknown makes the result unknown."""
    fold, takes = _FOLDS[name], f"{name} takes a list of numbers, or two or more numbers"
    if len(parts) == 1 and parts[0].type is ValueType.NUMBERS:
        run = parts[0].run
        return lambda lookup: UNKNOWN if (numbers := run(lookup)) is UNKNOWN else fold(numbers)
    runs = [_require_number(part, takes).run for part in parts]
    if len(runs) < 2:
        raise ExpressionError(takes)

    def fold_known(lookup: Lookup) -> Number:
        numbers = [run(lookup) for run in runs]
        return UNKNOWN if any(number is UNKNOWN for number in numbers) else fold(numbers)

    return fold_known


_READERS: Final[Mapping[type[ast.expr], Callable[[_Source, Any], Expression]]] = {
    ast.Constant: _read_constant,
    ast.Name: _read_name,
    ast.Attribute: _read_name,
    ast.BinOp: _read_arithmetic,
    ast.UnaryOp: _read_unary,
    ast.BoolOp: _read_logic,
    ast.Compare: _read_comparison,
    ast.Call: _read_call,
}
