"""What an answer holds that nothing reads: names and types, never values, for those may be anybody's secrets."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from budgetd.collect.numbers import parse_number
from budgetd.collect.plans import RequestPlan
from budgetd.drafts.leaves import DEEPEST, is_name

_QUOTA_LIKE: Final = re.compile(
    r"quota|rate-?limit|\brate\b|limit|remaining|\bturns?\b|relationship|\bcredits?\b|usage|\bused\b|balance|allowance",
    re.IGNORECASE,
)
# Numbers that every server may send, and that count nothing which is sold.
_PLUMBING: Final = re.compile(
    r"content-.*|age|expires|retry-after|keep-alive|dnt|date|etag|.*(time|timing|duration|latency|runtime|-ms|version|status|-id"
    r"|protection|prefetch.*|hits|attempts?)",
    re.IGNORECASE,
)
MOST_NAMES: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderSeen:
    """Its name alone. `values` are those that it gave; `perhaps` marks one that may be a quota, and gave none."""

    name: str
    values: tuple[str, ...]
    perhaps: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSeen:
    """A field of the body that nothing reads."""

    name: str
    type: str


def name_headers(plan: RequestPlan, headers: Mapping[str, str]) -> Iterator[HeaderSeen]:
    """A quota is known by the header's name, or by a number that is not of the usual ones."""
    given: dict[str, list[str]] = {}
    for value in plan.values:
        if value.header and (match := value.header.match(headers)):
            given.setdefault(match, []).append(value.name)
    for name in sorted(headers)[:MOST_NAMES]:
        values = tuple(given.get(name, ()))
        counts = parse_number(headers[name]) is not None and not _PLUMBING.fullmatch(name)
        yield HeaderSeen(name=name, values=values, perhaps=not values and (counts or bool(_QUOTA_LIKE.search(name))))


def find_unread(document: object, read: frozenset[str], before: str = "") -> Iterator[FieldSeen]:
    """The outermost names only, and of lists those of the first item."""
    if isinstance(document, list):
        if document and before.count(".") < DEEPEST:
            yield from find_unread(document[0], read, f"{before.removesuffix('.')}[].")
        return
    if not isinstance(document, Mapping) or before.count(".") >= DEEPEST:
        return
    hidden = 0
    for name, value in document.items():
        if name in read:
            yield from find_unread(value, read, f"{before}{name}.")
        elif is_name(name):
            yield FieldSeen(name=before + name, type=_type_of(value))
        else:
            hidden += 1
    if hidden:
        yield FieldSeen(name=f"{before}({hidden} more, whose names look like data)", type="")


def _type_of(value: object) -> str:
    match value:
        case bool():
            return "true or false"
        case Decimal() | int():
            return "number"
        case str():
            return "text" if parse_number(value) is None else "number as text"
        case list():
            return "list"
        case None:
            return "null"
        case _:
            return "object"
