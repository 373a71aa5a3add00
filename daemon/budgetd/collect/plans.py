"""The parts of a provider after its file was checked: requests, values, and how these become meters."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from budgetd.collect.headers import HeaderPlan
from budgetd.collect.paths import Path
from budgetd.collect.templates import TemplateValue
from budgetd.collect.values import Reader
from budgetd_rules.expressions import Expression
from budgetd_rules.kinds import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class ValuePlan:
    """Where a value is: at a path in the body, or in a header."""

    name: str
    request: str
    path: Path | None
    header: HeaderPlan | None
    reader: Reader


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthPlan:
    """Templates that carry the key."""

    headers: Mapping[str, str]
    query: Mapping[str, str]
    basic: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PagesPlan:
    """How an answer goes on. `place` leads to the next page's link, or to the cursor, which goes into the query (as
    `query`) or into the body (at the place `json`). `in_header`: the link stands in the header Link. `number` is what
    the query calls the page's number.
    """

    items: tuple[str, ...]
    place: Path | None
    in_header: bool
    query: str | None
    json: tuple[str, ...]
    number: str | None
    first: int
    more: Path | None
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPlan:
    """`times` and `needs` are what its templates name besides params: the times of the poll, and values of earlier
    requests, each with its request.
    """

    name: str
    method: Literal["GET", "POST"]
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    json: Mapping[str, Any] | None
    times: frozenset[str]
    needs: Mapping[str, str]
    optional: bool
    body: Literal["object", "list", "any", "none"]
    unwrap: tuple[str, ...]
    undocumented: bool
    ignored: tuple[str, ...]
    success: Path | None
    pages: PagesPlan | None
    values: tuple[ValuePlan, ...]

    @property
    def is_fixed(self) -> bool:
        """Whether it is the same at every poll."""
        return not (self.times or self.needs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """To a further page: a link, or what is different in the query, or in the body, as a place and what it holds."""

    link: str | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    json: tuple[tuple[str, ...], TemplateValue] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request that is due, what the clock and earlier answers fill it with, and which of its pages is wanted."""

    plan: RequestPlan
    found: Mapping[str, TemplateValue]
    turn: Turn | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemPart:
    """A part of the items that an expression reads. `listed`: those of all items of a group, as a list of numbers."""

    path: Path
    reader: Reader
    listed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldPlan:
    """`items` are the names of the items' parts that the expression reads."""

    expression: Expression
    items: Mapping[str, ItemPart]


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    time: Path
    reader: Reader
    last: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Each:
    """The list that a meter fans out over: one meter for each of its items, or for all items of one key."""

    request: str
    path: Path
    key: Path
    takes_objects: bool
    group: bool
    within: Within | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """`gives` are the fields that it can ever know, derived ones included; `values` those that its fields come from."""

    name: str
    kind: Kind
    unit: str
    rolling: bool
    each: Each | None
    when: FieldPlan | None
    fields: Mapping[str, FieldPlan]
    values: frozenset[str]
    requests: frozenset[str]
    gives: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    help: str
    default: str | None
    required: bool
    secret: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Arg:
    help: str
    type: Literal["text", "number"]
    secret: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What a person may start: a request that `args` fill, and the parts of its answer to be shown, by label."""

    name: str
    title: str
    request: RequestPlan
    args: Mapping[str, Arg]
    shows: Mapping[str, Path]
