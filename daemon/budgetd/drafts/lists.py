"""Lists of objects in a sample: one item that stands for all of them, and the field that tells them apart."""

from collections.abc import Sequence
from typing import Final

from budgetd.drafts.leaves import Leaf, Listing, Path, is_plain, is_secret, walk
from budgetd_rules.values import ValueType

Items = Sequence[dict[str, object]]

# What people call things by, best first; a date only where nothing else is there.
_CALLED: Final = (
    "name", "slug", "sku", "product", "model", "currency", "unit", "units", "type", "period", "region", "label", "id",
    "uuid", "due",
)  # fmt: skip
_BEGINS: Final = frozenset(
    ["start", "starts", "starting", "started", "begin", "begins", "date", "day", "from", "timestamp"]
)


def merge(items: Items) -> tuple[list[Leaf], list[Listing]]:
    """Every value that an item may have, taken from the first item that has it; and the lists in the items."""
    leaves: dict[Path, Leaf] = {}
    inner: dict[Path, Listing] = {}
    for item in items:
        for one in walk(item):
            if isinstance(one, Listing):
                inner.setdefault(one.path, one)
            elif one.path not in leaves or leaves[one.path].raw is None:
                leaves[one.path] = one
    return list(leaves.values()), list(inner.values())


def find_key(items: Items, leaves: Sequence[Leaf]) -> Leaf | None:
    """A text or number that every item has, different in each, and no secret."""
    return min((leaf for leaf in leaves if _could_name(leaf, items)), key=_rank, default=None)


def _could_name(leaf: Leaf, items: Items) -> bool:
    if len(leaf.path) > 1 or leaf.type is None or leaf.type is ValueType.BOOL or is_secret(leaf.words):
        return False
    seen = [item.get(leaf.name) for item in items]
    return _rank(leaf) < len(_CALLED) and None not in seen and len({str(raw) for raw in seen}) == len(items)


def _rank(leaf: Leaf) -> int:
    return next((number for number, word in enumerate(_CALLED) if word in leaf.words), len(_CALLED))


def is_dated(leaves: Sequence[Leaf]) -> bool:
    """Whether an item is a stretch of time, such as a day, and not a thing."""
    return any(leaf.type is ValueType.TIME and not _BEGINS.isdisjoint(leaf.words) for leaf in leaves)


def usable(leaves: Sequence[Leaf]) -> list[Leaf]:
    """The leaves that an expression can name."""
    return [leaf for leaf in leaves if is_plain(leaf.path)]
