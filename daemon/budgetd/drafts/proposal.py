"""A proposal for a provider file: values, the meters made of them, and what no meter reads."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from budgetd.drafts.leaves import Leaf, Path, is_reserved, jmespath, words_of
from budgetd_rules.kinds import Kind
from budgetd_rules.polls import CONNECTION
from budgetd_rules.values import ValueType

UNLIMITED: Final = frozenset(map(Decimal, (-1, 2**31 - 1, 2**63 - 1, 10**12)))
"""What vendors write for "no limit"."""


@dataclass(frozen=True, kw_only=True)
class ValueDraft:
    name: str
    path: str
    type: ValueType
    unlimited: Decimal | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class FieldDraft:
    text: str
    note: str = ""


@dataclass(kw_only=True)
class MeterDraft:
    """`each` is the path of the list that it fans out over, and `key` what names an item of it."""

    name: str
    kind: Kind
    unit: str = ""
    each: str | None = None
    key: str = ""
    fields: dict[str, FieldDraft] = field(default_factory=dict)


@dataclass(kw_only=True)
class Proposal:
    values: dict[str, ValueDraft] = field(default_factory=dict)
    meters: list[MeterDraft] = field(default_factory=list)
    left_over: list[tuple[str, str]] = field(default_factory=list)
    """The path of each number, date and flag that no meter reads, and which of these it is."""
    is_list: bool = False
    """Whether the whole answer is a list."""

    def add_value(self, leaf: Leaf, type_: ValueType, note: str = "", path: str = "") -> str:
        """Under its own name, or with that of its container before it; the name that it got, or has already."""
        path = path or jmespath(leaf.path)
        for name in [
            *(_snake(leaf.path[-count:]) for count in (1, 2, 3)),
            *(f"{_snake(leaf.path)}_{n}" for n in range(2, 99)),
        ]:
            taken = self.values.get(name)
            if name != "item" and (taken is None or taken.path == path):
                break
        unlimited = leaf.number if type_ is ValueType.NUMBER and leaf.number in UNLIMITED else None
        if leaf.raw is None:
            note = note or "null in the sample: its type is a guess"
        self.values[name] = ValueDraft(name=name, path=path, type=type_, unlimited=unlimited, note=note)
        return name

    def add_meter(self, meter: MeterDraft, around: Path) -> None:
        """Under another name where its own is taken: with that of its container, else numbered."""
        prefixed = _snake([*around[-1:], meter.name])
        names = [meter.name, prefixed, *(f"{meter.name}_{number}" for number in range(2, 99))]
        taken = {one.name for one in self.meters} | {CONNECTION}
        meter.name = next(name for name in names if name not in taken)
        self.meters.append(meter)


def _snake(path: Iterable[str]) -> str:
    words = [re.sub("[^a-z0-9]", "", word) for part in path for word in words_of(part)]
    text = "_".join(filter(None, words))[:60].strip("_")
    return text if text[:1].isalpha() and not is_reserved(text) else f"v_{text}"
