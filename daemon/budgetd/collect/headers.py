"""Where in a header a value is: the whole header, an item of a list, a part of a structured field, or what a pattern
matches.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from re import Pattern
from typing import Final

import http_sf
from http_sf.types import DisplayString, Token

from budgetd.collect.values import MalformedError

# A pattern may take very long on a text that it was not made for.
_LONGEST_MATCHED: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderPlan:
    """The first of `names` that came, and which part of it: see `request_tables.ValueTable`."""

    names: tuple[str, ...]
    item: int | None = None
    member: str | None = None
    parameter: str | None = None
    pattern: Pattern[str] | None = None

    def find(self, headers: Mapping[str, str]) -> object:
        """The value, or None if it did not come. Raises MalformedError if the header can't be read."""
        name = self.match(headers)
        if name is None:
            return None
        text = headers[name]
        if self.pattern:
            return self._match(text, self.pattern)
        if self.member is not None or self.parameter is not None:
            return self._find_part(text)
        if self.item is None:
            return text
        items = text.split(",")
        # Its parameters, as in `100;w=60`, are no part of it.
        return items[self.item].partition(";")[0] if self.item < len(items) else None

    def match(self, headers: Mapping[str, str]) -> str | None:
        """The first of the names that came."""
        return next((name for name in self.names if headers.get(name)), None)

    def _match(self, text: str, pattern: Pattern[str]) -> str:
        match = pattern.search(text) if len(text) <= _LONGEST_MATCHED else None
        if match is None or match[1] is None:
            raise MalformedError(f"the pattern {pattern.pattern!r} finds nothing in the header")
        return match[1]

    def _find_part(self, text: str) -> object:
        members = _parse(text)
        if self.item is not None:
            members = members[self.item : self.item + 1]
        found = [value for member in members if self.member in (None, member.name) for value in self._read(member)]
        if len(found) > 1:
            raise MalformedError(f"the header has {self.parameter or self.member!r} more than once")
        return found[0] if found else None

    def _read(self, member: "_Member") -> Iterator[object]:
        """The member's value; if a parameter is wanted, that, or a dictionary's member of its name."""
        if self.parameter is None or (self.member is None and member.name == self.parameter):
            yield member.value
        elif self.parameter in member.parameters:
            yield _plain(member.parameters[self.parameter])


@dataclass(frozen=True, slots=True)
class _Member:
    """A member of a dictionary, `limit=20`, or of a list, `"hour";r=2800;t=1812`, whose value is its name too."""

    name: object
    value: object
    parameters: Mapping[str, object]


def _parse(text: str) -> list[_Member]:
    """The members of a structured field (RFC 9651), or of what vendors made of its drafts."""
    for kind in ("dictionary", "list"):
        try:
            field = http_sf.parse(text.encode("latin-1", "replace"), tltype=kind, on_duplicate_key=_refuse_twice)
        except http_sf.StructuredFieldError:
            continue
        if isinstance(field, dict):
            return [_Member(name, *_split(member)) for name, member in field.items()]
        assert isinstance(field, list)
        return [_Member(_split(member)[0], *_split(member)) for member in field]
    raise MalformedError("the header is no structured field")


def _split(member: object) -> tuple[object, Mapping[str, object]]:
    assert isinstance(member, tuple)
    value, parameters = member
    return _plain(value), parameters


def _plain(value: object) -> object:
    """The value as it would be in a JSON body."""
    match value:
        case bool() | Decimal():
            return value
        case int():
            return Decimal(value)
        case datetime():
            return Decimal(int(value.timestamp()))
        case str() | Token() | DisplayString():
            return str(value)
        case _:
            return [value]  # an inner list, or bytes: of no type that is read from headers


def _refuse_twice(key: str, _where: str) -> None:
    raise MalformedError(f"the header has {key!r} more than once")
