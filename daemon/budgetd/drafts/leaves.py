"""Leaves: the values of a sample answer, each with its path, its type and the words of its name; and its lists."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from keyword import iskeyword
from typing import Final

from budgetd.collect.numbers import parse_number
from budgetd.collect.times import Encoding, parse_time
from budgetd_rules.values import ValueType

Path = tuple[str, ...]

_WORD: Final = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_NAME: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$ .:-]{0,63}", re.ASCII)
_LONGEST_WORD: Final = 20
DEEPEST: Final = 30
"""So many names inside of each other are looked at: nobody's answer has as many."""
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_SECRET: Final = frozenset({"key", "token", "secret", "password", "email", "mail", "jwt", "signature", "credential"})
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d([T ]|$)")
_TIMELY: Final = (
    *("at", "date", "day", "end", "ends", "epoch", "expire", "expires", "expiration", "expiry", "from", "ms", "next"),
    *(
        "period",
        "renewal",
        "renews",
        "reset",
        "resets",
        "since",
        "start",
        "starts",
        "time",
        "timestamp",
        "unix",
        "until",
    ),
)
_EPOCHS: Final = ((Decimal("1e9"), Decimal("1e10")), (Decimal("1e12"), Decimal("1e13")))


def words_of(name: str) -> tuple[str, ...]:
    """`remainingCredits`, `remaining_credits` and `remaining-credits` are the same two words."""
    return tuple(word.lower() for word in _WORD.findall(name))


def is_name(key: str) -> bool:
    """Whether a key of an object is a name that the vendor chose, and no id, address or secret of somebody."""
    return bool(_NAME.fullmatch(key)) and not any(map(is_made, re.split(r"[_$ .:-]", key)))


def is_made(part: str) -> bool:
    """Whether a machine made it, such as an id or a key: full of digits, or too long for a word."""
    digits = re.findall(r"\d+", part)
    is_mixed = len(digits) > 2 or (len("".join(digits)) > 4 and not part.isdigit())
    return is_mixed or any(len(word) > _LONGEST_WORD for word in words_of(part))


def is_secret(words: tuple[str, ...]) -> bool:
    return any(word in _SECRET or word.removesuffix("s") in _SECRET for word in words)


@dataclass(frozen=True, eq=False)
class Leaf:
    """A value of the sample. `type` is None for null, for empty text, and for what is no single value."""

    path: Path
    raw: object

    @property
    def name(self) -> str:
        return self.path[-1] if self.path else ""

    @property
    def scope(self) -> Path:
        return self.path[:-1]

    @cached_property
    def words(self) -> tuple[str, ...]:
        return words_of(self.name)

    @cached_property
    def type(self) -> ValueType | None:
        return _type_of(self.raw, self.words)

    @cached_property
    def number(self) -> Decimal:
        """Of a number; nought of anything else."""
        return parse_number(self.raw) or Decimal(0)

    def has(self, *words: str) -> bool:
        return any(word in self.words for word in words)


def _type_of(raw: object, words: tuple[str, ...]) -> ValueType | None:
    if isinstance(raw, bool):
        return ValueType.BOOL
    number = parse_number(raw)
    if number is not None:
        is_epoch = any(least <= number < most for least, most in _EPOCHS) and any(word in _TIMELY for word in words)
        return ValueType.TIME if is_epoch else ValueType.NUMBER
    if not isinstance(raw, str) or not raw.strip():
        return None
    if _DATE.match(raw) and parse_time(raw, Encoding.AUTO, datetime(2000, 1, 1, tzinfo=UTC)):
        return ValueType.TIME
    return ValueType.TEXT


@dataclass(frozen=True)
class Listing:
    """A list of objects, whose items' values are taken apart as those of the whole answer."""

    path: Path
    items: tuple[dict[str, object], ...]


def walk(document: object, path: Path = ()) -> Iterator[Leaf | Listing]:
    """What is below; keys that are no names are left out, and so is whatever is in the second and further dimension,
    or deeper than any answer is.
    """
    if isinstance(document, dict):
        for key, value in document.items() if len(path) < DEEPEST else ():
            if is_name(key):
                yield from walk(value, (*path, key))
    elif isinstance(document, list):
        objects = tuple(item for item in document if isinstance(item, dict))
        if objects and len(objects) == len(document):
            yield Listing(path, objects)
        else:
            yield Leaf(path, document)
    else:
        yield Leaf(path, document)


def jmespath(path: Path) -> str:
    return ".".join(part if _IDENTIFIER.fullmatch(part) else json.dumps(part) for part in path) or "@"


def is_plain(path: Path) -> bool:
    """Whether the path can stand in an expression as it is."""
    return all(_IDENTIFIER.fullmatch(part) and not is_reserved(part) for part in path)


def is_reserved(word: str) -> bool:
    """Whether the language of expressions reads something else in it."""
    return iskeyword(word) or word in ("true", "false")
