"""What may become of a condition while some of what it reads is unknown, found by trying."""

from collections.abc import Collection, Mapping
from decimal import Decimal
from itertools import islice, product
from typing import Final

from budgetd_rules.kinds import FIELD_TYPES
from budgetd_rules.operations import Expression
from budgetd_rules.values import UNKNOWN, Truth, Value, ValueType

# Beyond every threshold on either side, and between.
_FAR: Final = Decimal("1e29")
_TRIED: Final[Mapping[ValueType, tuple[Value, ...]]] = {
    ValueType.NUMBER: (-_FAR, Decimal(0), _FAR),
    ValueType.BOOL: (False, True),
    ValueType.TEXT: ("",),
}
# Of seven numbers each trial, and of more the first ones.
_MOST: Final = 3**7


def never_ends(condition: Expression, unknown: Collection[str]) -> bool:
    """It can be true while these are unknown, and can't be false: `a or b` while nobody knows b."""
    names = sorted(condition.names.difference(unknown))
    choices = [_TRIED.get(FIELD_TYPES[name.rpartition(".")[2]], (UNKNOWN,)) for name in names]
    found = {_truth(condition, dict(zip(names, values, strict=True))) for values in islice(product(*choices), _MOST)}
    return True in found and False not in found


def _truth(condition: Expression, known: Mapping[str, Value]) -> Truth:
    return condition.truth(lambda name: known.get(name, UNKNOWN))
