"""Templates for a channel's titles and bodies. The only module that knows Jinja.

A template may use variables, filters, conditions and loops over its data, but no calls, assignments or macros. So it
can't reach anything else or grow without bound, and its loops are counted. Every failure is a TemplateError, with the
line.
"""

import re
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from decimal import Decimal
from typing import Final

from jinja2 import StrictUndefined, TemplateSyntaxError, nodes, pass_context
from jinja2 import Template as Jinja
from jinja2 import TemplateError as JinjaError
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.meta import find_undeclared_variables
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing
from markupsafe import Markup

from budgetd.errors import TemplateError
from budgetd.validation import did_you_mean
from budgetd_rules.entries import Entry
from budgetd_rules.formats import Format, escaped
from budgetd_rules.messages import Message

LONGEST: Final = 20_000
"""The most characters of a template, and of what it adds to the built-in text."""
LONGEST_TITLE: Final = 250
STEPS: Final = 20_000
"""The most iterations of all loops together: about 20 ms, if each does little."""
SECONDS: Final = 2.0

NAMES: Final = ("title", "text", "level", "lines")
_LINE_NAMES: Final = tuple(field.name for field in fields(Entry))
_FORM: Final = "a template has {{ names }} with filters, {% if %} and {% for %}"

# No node by which a short template could make a huge text: no call, assignment, macro or power.
_TAKEN: Final = (
    nodes.Output, nodes.TemplateData, nodes.For, nodes.If, nodes.Name, nodes.Const, nodes.List, nodes.Tuple,
    nodes.CondExpr, nodes.Filter, nodes.Test, nodes.Keyword, nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Concat,
    nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Neg, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div,
)  # fmt: skip
_CALLED: Final = {
    "Assign": "{% set %}",
    "AssignBlock": "{% set %}",
    "Call": "a call",
    "Dict": "a mapping",
    "Mod": "%",
    "Scope": "{% autoescape %}",
}
# Filters whose output is no larger than their input.
_FILTERS: Final = (
    "abs", "capitalize", "count", "d", "default", "first", "int", "items", "last", "length", "list", "lower", "map",
    "max", "min", "reject", "rejectattr", "reverse", "round", "select", "selectattr", "sort", "string", "sum", "title",
    "trim", "truncate", "unique", "upper",
)  # fmt: skip
# What rendering may raise if values are not of the expected type.
_FAILURES: Final = (
    JinjaError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip


class Template:
    """A template for the title, the body, or both. Raises TemplateError if one is invalid."""

    def __init__(self, *, title: str | None = None, body: str | None = None, to: Format) -> None:
        # A title is one line of plain text in any format of the body.
        self._title = _compile(title, Format.TEXT) if title is not None else None
        self._body = _compile(body, to) if body is not None else None

    def fill(self, message: Message, text: str) -> tuple[str | None, str | None]:
        """Renders the title and body that have a template. `text` is the built-in body, in the channel's format."""
        data = {
            "title": message.title,
            "text": Markup(text),  # noqa: S704 - it is escaped already
            "level": message.level.label if message.level is not None else "over",
            "lines": message.entries,
        }
        title = " ".join(_fill(self._title, data, LONGEST).split()) if self._title else None
        body = _fill(self._body, data, LONGEST + len(text)).strip("\r\n") if self._body else None
        if title == "" or (body is not None and not body.strip()):
            raise TemplateError("it gives an empty text")
        return title[:LONGEST_TITLE] if title else None, body


# --- compiling


def _compile(source: str, to: Format) -> Jinja:
    if len(source) > LONGEST:
        raise TemplateError(f"it is longer than {LONGEST:,} characters")
    environment = _Environment(to)
    try:
        tree = environment.parse(source)
        _check(tree)
        for loop in list(tree.find_all(nodes.For)):
            loop.iter = nodes.Filter(loop.iter, "counted", [], [], None, None)
        code = environment.compile(tree)
    except TemplateSyntaxError as error:
        missed = re.match(r"No filter named '(.*)'", str(error.message))
        known = did_you_mean(missed[1], [*_FILTERS, "join"]) if missed else ""
        raise TemplateError(f"{str(error.message).rstrip('.')}{known}", error.lineno) from error
    except RecursionError as error:
        raise TemplateError("it is nested too deeply") from error
    return environment.template_class.from_code(environment, code, {})


def _check(tree: nodes.Template) -> None:
    """Raises TemplateError for the first construct that is not allowed, or for an unknown name."""
    found = list(tree.find_all(nodes.Node))
    for node in found:
        if not isinstance(node, _TAKEN):
            kind = type(node).__name__
            raise TemplateError(f"{_CALLED.get(kind, kind.lower())} is not taken; {_FORM}", node.lineno)
    for name in sorted(find_undeclared_variables(tree) - set(NAMES)):
        line = next((node.lineno for node in found if isinstance(node, nodes.Name) and node.name == name), None)
        raise TemplateError(_no_such_name(name), line)


def _no_such_name(name: str) -> str:
    return f"nothing is named {name!r}{did_you_mean(name, NAMES)}"


class _Undefined(StrictUndefined):
    @property
    def _undefined_message(self) -> str:
        name, of = str(self._undefined_name), self._undefined_obj
        if isinstance(of, Entry):
            return f"a line has no {name!r}{did_you_mean(name, _LINE_NAMES)}"
        if isinstance(of, Mapping):
            return f"not every line has {name!r}: write {name} | default('')"
        return _no_such_name(name) if of is missing else f"there is no {name!r} in it"


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset("+-*/")

    def __init__(self, to: Format) -> None:
        super().__init__(
            autoescape=to is Format.HTML,
            finalize=_in_markdown if to is Format.MARKDOWN else None,
            undefined=_Undefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.globals.clear()
        self.filters = {name: FILTERS[name] for name in _FILTERS} | {"counted": _counted, "join": _join}

    def call_binop(self, context: Context, operator: str, left: object, right: object) -> object:
        """Only numbers, so that no text is multiplied; as decimals, so that literals such as 0.5 fit the vendor's."""
        return super().call_binop(context, operator, _number(left), _number(right))


_NONE: Final = "what a vendor does not say is none: ask `is not none` before it is compared or computed with"


def _number(value: object) -> Decimal:
    if isinstance(value, _Undefined):
        str(value)  # raises, and names what is missing
    if value is None:
        raise SecurityError(_NONE)
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return Decimal(str(value))
    raise SecurityError("+ - * / take numbers; put texts together with ~")


def _in_markdown(value: object) -> str:
    return str(value) if isinstance(value, Markup) else escaped(str(value), Format.MARKDOWN)


# --- rendering


class _Counter:
    def __init__(self) -> None:
        self._left = STEPS
        self._until = time.monotonic() + SECONDS

    def step(self) -> None:
        self._left -= 1
        if self._left < 0 or time.monotonic() > self._until:
            raise SecurityError(f"it takes more than {STEPS:,} steps or {SECONDS:.0f} seconds")


_COUNTER: Final = "steps left"  # has a space, so no template can refer to it


@pass_context
def _counted(context: Context, iterable: Iterable[object]) -> Iterator[object]:
    counter = context[_COUNTER]
    for each in iterable:
        counter.step()
        yield each


@pass_context
def _join(context: Context, values: Iterable[object], between: str = "", attribute: str | None = None) -> str:
    texts = list(values)
    if len(texts) * len(str(between)) > LONGEST:
        raise SecurityError(f"join gives more than {LONGEST:,} characters")
    joined: str = FILTERS["join"](context.eval_ctx, texts, between, attribute)
    return joined


def _fill(template: Jinja, data: Mapping[str, object], longest: int) -> str:
    """Raises TemplateError, with the line if it is known."""
    pieces, length = [], 0
    try:
        for piece in template.generate(data, **{_COUNTER: _Counter()}):
            pieces.append(piece)
            length += len(piece)
            if length > longest:
                raise TemplateError(f"it gives more than {LONGEST:,} characters")
    except _FAILURES as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [
            frame.lineno for frame in frames if frame.filename == template.filename or frame.filename == "<template>"
        ]
        raise TemplateError(_what(error), lines[-1] if lines else None) from error
    return "".join(pieces)


def _what(error: Exception) -> str:
    if isinstance(error, ArithmeticError):
        return "it divides by nought, or its numbers grow too large"
    if "NoneType" in str(error):
        return _NONE
    return str(error).rstrip(".")
