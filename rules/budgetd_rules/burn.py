"""How fast a balance is used up, from its history."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Final

from budgetd_rules.meters import DAY
from budgetd_rules.values import UNKNOWN, Number, compare

LOOK_BACK: Final = timedelta(days=7)
# Over less than a day, the burn would depend on the hour.
SHORTEST: Final = DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A stretch of readings in which `remaining` stayed the same."""

    from_at: datetime
    until_at: datetime
    remaining: Number


def burn_per_day(runs: Sequence[Run], now: datetime) -> Number:
    """How much the balance fell during the look-back, by day. Rises are top-ups and are left out."""
    known = [run for run in runs if isinstance(run.remaining, Decimal) and run.until_at >= now - LOOK_BACK]
    if not known:
        return UNKNOWN
    elapsed = known[-1].until_at - max(known[0].from_at, now - LOOK_BACK)
    if elapsed < SHORTEST:
        return UNKNOWN
    used = sum((_drop(before.remaining, after.remaining) for before, after in pairwise(known)), Decimal(0))
    return used * Decimal(DAY // timedelta(microseconds=1)) / Decimal(elapsed // timedelta(microseconds=1))


def _drop(before: Number, after: Number) -> Decimal:
    if compare(operator.gt, before, after) is True and isinstance(before, Decimal) and isinstance(after, Decimal):
        return before - after
    return Decimal(0)
