"""How fast a balance is used up, from the runs of its history."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetd_rules.burn import Run, burn_per_day
from budgetd_rules.meters import View, view
from budgetd_rules.values import UNKNOWN, UNLIMITED, Number, Value
from build import NOON, STALE_AFTER, reading

Remaining = int | Number


def runs(*points: tuple[float, Remaining]) -> list[Run]:
    """One run per point (days before noon, remaining), each until the next begins, and the last until noon."""
    starts = [NOON - timedelta(days=days) for days, _ in points]
    return [
        Run(from_at=start, until_at=until, remaining=Decimal(left) if isinstance(left, int) else left)
        for start, until, (_, left) in zip(starts, [*starts, NOON][1:], points, strict=True)
    ]


@pytest.mark.parametrize(
    ("points", "burn"),
    [
        pytest.param([], None, id="no history"),
        pytest.param([(4, 100)], 0, id="nothing was used"),
        pytest.param([(4, 100), (2, 60)], 10, id="what went down, by the days"),
        pytest.param([(4, 100), (3, 90), (2, 70), (1, 60)], 10, id="several steps"),
        pytest.param([(4, 100), (2, 500), (1, 460)], 10, id="a top-up counts for nothing"),
        pytest.param([(4, 10), (3, -10), (2, -30)], 10, id="below zero it goes on"),
        pytest.param([(4, 100), (3, UNKNOWN), (2, 60)], 10, id="unknown in between is bridged"),
        pytest.param([(4, 100), (3, UNLIMITED), (2, 60)], 10, id="unlimited in between is bridged"),
        pytest.param([(4, UNKNOWN), (2, UNLIMITED)], None, id="no number at all"),
        pytest.param([(0.9, 100), (0.5, 60)], None, id="less than a day says nothing"),
        pytest.param([(1, 100), (0.5, 60)], 40, id="a day says something"),
        pytest.param([(20, 500), (6, 480), (1, 430)], 10, id="only seven days count, also of a longer run"),
        pytest.param([(20, 900), (10, 500), (1, 430)], 10, id="what went down before them does not"),
    ],
)
def test_burn_per_day(points: list[tuple[float, Remaining]], burn: int | None) -> None:
    assert burn_per_day(runs(*points), NOON) == (UNKNOWN if burn is None else Decimal(burn))


def test_a_history_that_ended_counts_to_its_end() -> None:
    """Nobody knows what was used since: the burn stays that of the days that were read."""
    assert burn_per_day(runs((4, 100), (2, 60)), NOON + timedelta(days=1)) == 10


def test_a_history_that_ended_before_the_look_back_says_nothing() -> None:
    assert burn_per_day(runs((4, 100), (2, 60)), NOON + timedelta(days=8)) is UNKNOWN


def seen(remaining: Value | int, burn: Number) -> View:
    return view(reading(remaining=remaining), NOON, STALE_AFTER, burn)


@pytest.mark.parametrize(
    ("remaining", "burn", "runway"),
    [
        pytest.param(50, Decimal(10), 5, id="what is left by the burn"),
        pytest.param(-50, Decimal(10), 0, id="nothing left is no runway"),
        pytest.param(50, Decimal(0), UNKNOWN, id="nothing used: no runway to tell"),
        pytest.param(50, UNKNOWN, UNKNOWN, id="burn unknown"),
        pytest.param(UNKNOWN, Decimal(10), UNKNOWN, id="remaining unknown"),
        pytest.param(UNLIMITED, Decimal(10), UNLIMITED, id="unlimited"),
    ],
)
def test_the_runway(remaining: Value | int, burn: Number, runway: Value | int) -> None:
    assert seen(remaining, burn).fields["runway_days"] == runway


@given(st.lists(st.tuples(st.floats(0, 20), st.decimals(-1000, 1000, places=2)), max_size=20))
def test_a_burn_is_never_negative(points: list[tuple[float, Decimal]]) -> None:
    burn = burn_per_day(runs(*sorted(points, reverse=True)), NOON)
    assert burn is UNKNOWN or (isinstance(burn, Decimal) and burn >= 0)
