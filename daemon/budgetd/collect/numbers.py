"""Numbers as vendors write them, digit by digit: never through binary floating point, and never guessed."""

import re
from decimal import Decimal
from typing import Final

LARGEST: Final = Decimal("1e30")
# Nobody bills in smaller parts, and an exponent of a million would be a million digits in a message.
_MOST_PLACES: Final = 60
_NUMBER: Final = re.compile(r"[+-]?(?:\d{1,60}(?:\.\d{0,60})?|\.\d{1,60})(?:[eE][+-]?\d{1,3})?", re.ASCII)


def parse_number(raw: object) -> Decimal | None:
    """The value of a JSON number or of a decimal text; None for anything else: `true`, NaN, `1,234.50`, 1e31."""
    if isinstance(raw, str):
        text = raw.strip()
        raw = Decimal(text) if _NUMBER.fullmatch(text) else None
    if not isinstance(raw, Decimal) or not raw.is_finite():
        return None
    exponent = raw.as_tuple().exponent
    assert isinstance(exponent, int)
    if not -_MOST_PLACES <= exponent <= _MOST_PLACES or raw.copy_abs() > LARGEST:
        return None
    return raw
