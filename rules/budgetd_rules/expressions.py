"""The condition language: compiles the text of a condition, or of an expression in a provider file.

It is a strict subset of Python's expressions. Python's parser reads it, every node has to be one of those below, the
types of all operands are checked, and the result is a tree of closures: nothing is ever run as Python.
"""

import ast
import operator
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from budgetd_rules import operations
from budgetd_rules.operations import Expression, ExpressionError, Holds, Lookup, excerpt
from budgetd_rules.suggestions import suggest
from budgetd_rules.values import UNKNOWN, Number, Value, ValueType, add, as_number, divide, multiply, subtract

__all__ = ["Expression", "ExpressionError", "Lookup", "Types", "compile_condition", "compile_expression"]

MAX_CHARACTERS: Final = 1000
MAX_DEPTH: Final = 50
MAX_DIGITS: Final = 34  # as many as arithmetic keeps
MAX_NUMBER: Final = Decimal("1e30")
MIN_NUMBER: Final = Decimal("1e-30")

Types = Callable[[str], ValueType | None]


def compile_condition(text: str, types: Types, *, known: Iterable[str] = ()) -> Expression:
    return operations.require_condition(compile_expression(text, types, known=known))


def compile_expression(text: str, types: Types, *, known: Iterable[str] = ()) -> Expression:
    """`types` gives the type of each name that exists; `known` are the names to suggest for a misspelt one."""
    text = text.strip()
    _check_characters(text)
    body = _parse(text)
    _check_depth(body)
    whole = _Source(text.encode(), types, tuple(known)).read(body)
    # Brackets around the whole expression belong to no node.
    return Expression(text, whole.type, whole.names, whole.run, whole.parts)


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
    """Runs before the parser, which would accept comments and line breaks, and whose hints are about Python."""
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
        # What follows the first words is advice about Python.
        what = re.split("[.;]", error.msg)[0]
        raise ExpressionError(f"{where}: {what}: {excerpt(text)}") from error
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
        joined = tuple(parts)
        names = frozenset[str]().union(*(part.names for part in joined))
        return Expression(self.part(node), type_, names, run, joined)

    def error(self, node: ast.expr, what: str) -> ExpressionError:
        return ExpressionError(f"{excerpt(self.part(node))}: {what}")


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
    """From the source text, because the parser would make it a float."""
    number = Decimal(text)
    if len(number.as_tuple().digits) > MAX_DIGITS:
        raise ExpressionError(f"{excerpt(text)}: a number has at most {MAX_DIGITS} digits")
    if number and not MIN_NUMBER <= number <= MAX_NUMBER:
        raise ExpressionError(f"{excerpt(text)}: a number is between 1e-30 and 1e30")
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
    return ExpressionError(f"there is no {excerpt(name)} here{suggest(name, names)}")


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
_COMPARISONS: Final[Mapping[type[ast.cmpop], Holds]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def _read_arithmetic(source: _Source, node: ast.BinOp) -> Expression:
    calculate = _ARITHMETIC.get(type(node.op))
    if calculate is None:
        raise source.error(node, "arithmetic is + - * /")
    sides = (node.left, node.right)
    left, right = [operations.require_number(source.read(side), operations.IN_ARITHMETIC) for side in sides]
    return source.join(node, ValueType.NUMBER, [left, right], operations.calculation(calculate, left, right))


def _read_unary(source: _Source, node: ast.UnaryOp) -> Expression:
    operand = source.read(node.operand)
    if isinstance(node.op, ast.Not):
        return source.join(node, ValueType.BOOL, [operand], operations.negation(operand))
    signed = operations.signed(operand, negative=isinstance(node.op, ast.USub))
    return source.join(node, ValueType.NUMBER, [operand], signed)


def _read_logic(source: _Source, node: ast.BoolOp) -> Expression:
    parts = [operations.require_condition(source.read(value)) for value in node.values]
    return source.join(node, ValueType.BOOL, parts, operations.junction(isinstance(node.op, ast.Or), parts))


def _read_comparison(source: _Source, node: ast.Compare) -> Expression:
    if len(node.ops) == 1 and isinstance(node.ops[0], ast.In | ast.NotIn):
        return _read_membership(source, node)
    if not all(type(sign) in _COMPARISONS for sign in node.ops):
        raise source.error(node, "compare with < <= > >= == != or with a single in")
    parts = [source.read(side) for side in (node.left, *node.comparators)]
    signs = [_COMPARISONS[type(sign)] for sign in node.ops]
    return source.join(node, ValueType.BOOL, parts, operations.comparison(signs, parts))


def _read_membership(source: _Source, node: ast.Compare) -> Expression:
    left, (listed,) = source.read(node.left), node.comparators
    operations.refuse_time(left)
    if not isinstance(listed, ast.List | ast.Tuple) or not listed.elts:
        raise source.error(node, "in takes a list of constants, such as [1, 2]")
    choices = frozenset(operations.choice(source.read(each), left) for each in listed.elts)
    chosen = operations.membership(left, choices, negated=isinstance(node.ops[0], ast.NotIn))
    return source.join(node, ValueType.BOOL, [left], chosen)


def _read_call(source: _Source, node: ast.Call) -> Expression:
    name = _dotted_name(source, node.func)
    if name not in operations.FUNCTIONS:
        raise _nothing_called(f"{name}()", [f"{each}()" for each in operations.FUNCTIONS])
    # Named values (`key=`) can't be here: the check of the characters refuses a single =.
    parts = [source.read(argument) for argument in node.args]
    type_, run = operations.call(name, parts)
    return source.join(node, type_, parts, run)


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
