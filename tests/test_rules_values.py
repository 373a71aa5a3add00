"""Arithmetic and order of numbers, of what is unlimited and of what is unknown."""

import operator
from collections.abc import Callable
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetd_rules.values import (
    UNKNOWN,
    UNLIMITED,
    Number,
    Truth,
    Value,
    absolute,
    add,
    as_number,
    at_least_zero,
    compare,
    divide,
    multiply,
    negate,
    percent,
    subtract,
)

D = Decimal
HUGE = D("9e999999999999999999")


@pytest.mark.parametrize(
    ("calculate", "left", "right", "expected"),
    [
        pytest.param(add, D(2), D(3), D(5), id="2 + 3"),
        pytest.param(add, D("0.1"), D("0.2"), D("0.3"), id="tenths are exact"),
        pytest.param(add, D("12345678901234567.89"), D("0.01"), D("12345678901234567.90"), id="cents of quadrillions"),
        pytest.param(add, UNLIMITED, D(-5), UNLIMITED, id="unlimited + -5"),
        pytest.param(add, D(5), UNLIMITED, UNLIMITED, id="5 + unlimited"),
        pytest.param(add, UNLIMITED, UNLIMITED, UNLIMITED, id="unlimited + unlimited"),
        pytest.param(add, UNKNOWN, D(5), UNKNOWN, id="unknown + 5"),
        pytest.param(add, UNLIMITED, UNKNOWN, UNKNOWN, id="unlimited + unknown"),
        pytest.param(add, HUGE, HUGE, UNKNOWN, id="sum that overflows"),
        pytest.param(subtract, D(2), D(3), D(-1), id="2 - 3"),
        pytest.param(subtract, UNLIMITED, D(5), UNLIMITED, id="unlimited - 5"),
        pytest.param(subtract, D(5), UNLIMITED, UNKNOWN, id="5 - unlimited"),
        pytest.param(subtract, UNLIMITED, UNLIMITED, UNKNOWN, id="unlimited - unlimited"),
        pytest.param(subtract, UNLIMITED, UNKNOWN, UNKNOWN, id="unlimited - unknown"),
        pytest.param(subtract, UNKNOWN, D(5), UNKNOWN, id="unknown - 5"),
        pytest.param(multiply, D(2), D("-1.5"), D(-3), id="2 * -1.5"),
        pytest.param(multiply, UNLIMITED, D(2), UNLIMITED, id="unlimited * 2"),
        pytest.param(multiply, D("0.01"), UNLIMITED, UNLIMITED, id="0.01 * unlimited"),
        pytest.param(multiply, UNLIMITED, UNLIMITED, UNLIMITED, id="unlimited * unlimited"),
        pytest.param(multiply, UNLIMITED, D(0), UNKNOWN, id="unlimited * 0"),
        pytest.param(multiply, D(-1), UNLIMITED, UNKNOWN, id="-1 * unlimited"),
        pytest.param(multiply, UNKNOWN, D(0), UNKNOWN, id="unknown * 0"),
        pytest.param(multiply, HUGE, D(2), UNKNOWN, id="product that overflows"),
        pytest.param(divide, D(1), D(8), D("0.125"), id="1 / 8"),
        pytest.param(divide, D(1), D(3), D("0.3333333333333333333333333333333333"), id="1 / 3"),
        pytest.param(divide, D(1), D(0), UNKNOWN, id="1 / 0"),
        pytest.param(divide, D(0), D(0), UNKNOWN, id="0 / 0"),
        pytest.param(divide, D(5), UNLIMITED, D(0), id="5 / unlimited"),
        pytest.param(divide, UNLIMITED, D(5), UNLIMITED, id="unlimited / 5"),
        pytest.param(divide, UNLIMITED, D(0), UNKNOWN, id="unlimited / 0"),
        pytest.param(divide, UNLIMITED, D(-5), UNKNOWN, id="unlimited / -5"),
        pytest.param(divide, UNLIMITED, UNLIMITED, UNKNOWN, id="unlimited / unlimited"),
        pytest.param(divide, UNKNOWN, UNLIMITED, UNKNOWN, id="unknown / unlimited"),
        pytest.param(divide, D(5), UNKNOWN, UNKNOWN, id="5 / unknown"),
        pytest.param(percent, D(5), D(20), D(25), id="5 of 20"),
        pytest.param(percent, D(30), D(20), D(150), id="30 of 20"),
        pytest.param(percent, D(-5), D(20), D(-25), id="-5 of 20"),
        pytest.param(percent, D(0), D(20), D(0), id="0 of 20"),
        pytest.param(percent, D(5), D(0), UNKNOWN, id="5 of nothing"),
        pytest.param(percent, D(0), D(0), UNKNOWN, id="nothing of nothing"),
        pytest.param(percent, D(5), D(-20), UNKNOWN, id="5 of less than nothing"),
        pytest.param(percent, D(5), UNLIMITED, D(0), id="5 of unlimited"),
        pytest.param(percent, UNLIMITED, D(20), UNLIMITED, id="unlimited of 20"),
        pytest.param(percent, UNLIMITED, UNLIMITED, UNKNOWN, id="unlimited of unlimited"),
        pytest.param(percent, UNKNOWN, D(20), UNKNOWN, id="unknown of 20"),
        pytest.param(percent, D(5), UNKNOWN, UNKNOWN, id="5 of unknown"),
    ],
)
def test_two_numbers(
    calculate: Callable[[Number, Number], Number], left: Number, right: Number, expected: Number
) -> None:
    assert calculate(left, right) == expected


@pytest.mark.parametrize(
    ("calculate", "number", "expected"),
    [
        pytest.param(negate, D(5), D(-5), id="negate 5"),
        pytest.param(negate, UNLIMITED, UNKNOWN, id="negate unlimited"),
        pytest.param(negate, UNKNOWN, UNKNOWN, id="negate unknown"),
        pytest.param(absolute, D(-5), D(5), id="absolute of -5"),
        pytest.param(absolute, UNLIMITED, UNLIMITED, id="absolute of unlimited"),
        pytest.param(absolute, UNKNOWN, UNKNOWN, id="absolute of unknown"),
        pytest.param(at_least_zero, D(-5), D(0), id="-5 at least zero"),
        pytest.param(at_least_zero, D(5), D(5), id="5 at least zero"),
        pytest.param(at_least_zero, UNLIMITED, UNLIMITED, id="unlimited at least zero"),
        pytest.param(at_least_zero, UNKNOWN, UNKNOWN, id="unknown at least zero"),
    ],
)
def test_one_number(calculate: Callable[[Number], Number], number: Number, expected: Number) -> None:
    assert calculate(number) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(D("12345678901234567.89"), D("12345678901234567.89"), id="a number"),
        pytest.param(UNLIMITED, UNLIMITED, id="unlimited"),
        pytest.param(UNKNOWN, UNKNOWN, id="unknown"),
        pytest.param(D("NaN"), UNKNOWN, id="not a number"),
        pytest.param(D("sNaN"), UNKNOWN, id="signalling not a number"),
        pytest.param(D("-Infinity"), UNKNOWN, id="infinity"),
        pytest.param(True, UNKNOWN, id="a bool"),
        pytest.param("5", UNKNOWN, id="a text"),
        pytest.param((D(5),), UNKNOWN, id="a list"),
    ],
)
def test_as_number(value: Value, expected: Number) -> None:
    assert as_number(value) == expected


@pytest.mark.parametrize(
    ("left", "right", "less", "equal"),
    [
        pytest.param(D(1), D(2), True, False, id="1 and 2"),
        pytest.param(D(2), D("2.0"), False, True, id="2 and 2.0"),
        pytest.param(D("12345678901234567.88"), D("12345678901234567.89"), True, False, id="in the last digit"),
        pytest.param(HUGE, UNLIMITED, True, False, id="the largest and unlimited"),
        pytest.param(UNLIMITED, D(2), False, False, id="unlimited and 2"),
        pytest.param(UNLIMITED, UNLIMITED, False, True, id="unlimited and unlimited"),
        pytest.param(UNKNOWN, D(2), UNKNOWN, UNKNOWN, id="unknown and 2"),
        pytest.param(UNLIMITED, UNKNOWN, UNKNOWN, UNKNOWN, id="unlimited and unknown"),
        pytest.param(UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, id="unknown and unknown"),
    ],
)
def test_compare(left: Number, right: Number, less: Truth, equal: Truth) -> None:
    assert compare(operator.lt, left, right) is less
    assert compare(operator.gt, right, left) is less
    assert compare(operator.eq, left, right) is equal
    assert compare(operator.ne, left, right) is (UNKNOWN if equal is UNKNOWN else not equal)


def test_what_is_no_number_shows_its_name() -> None:
    assert (repr(UNKNOWN), repr(UNLIMITED)) == ("unknown", "unlimited")


NUMBERS: st.SearchStrategy[Number] = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False),
    st.sampled_from([UNKNOWN, UNLIMITED, HUGE, D("-9e999999999999999999")]),
)


@given(left=NUMBERS, right=NUMBERS)
@pytest.mark.parametrize("calculate", [add, subtract, multiply, divide, percent])
def test_arithmetic_ends_in_a_finite_number_or_says_that_it_cannot(
    calculate: Callable[[Number, Number], Number], left: Number, right: Number
) -> None:
    result = calculate(left, right)
    assert not isinstance(result, Decimal) or result.is_finite()
    assert result is UNKNOWN or UNKNOWN not in (left, right)


@given(left=NUMBERS, right=NUMBERS)
def test_order_has_no_gaps(left: Number, right: Number) -> None:
    holds = [compare(each, left, right) for each in (operator.lt, operator.eq, operator.gt)]
    assert holds == [UNKNOWN] * 3 or holds.count(True) == 1


def test_arithmetic_does_not_depend_on_the_threads_context() -> None:
    with localcontext() as context:
        context.prec = 3
        assert add(D("12345678901234567.89"), D(0)) == D("12345678901234567.89")
        assert negate(D("12345678901234567.89")) == D("-12345678901234567.89")
