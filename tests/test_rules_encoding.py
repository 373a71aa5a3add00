"""How values are written: what was read comes back, and the text of a time sorts as the time does."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetd_rules.encoding import Written, at, maybe_at, maybe_when, read_value, when, write_value
from budgetd_rules.kinds import FIELD_TYPES
from budgetd_rules.meters import require_utc
from budgetd_rules.values import UNKNOWN, UNLIMITED, Value, ValueType
from build import NOON

decimals = st.decimals(allow_nan=False, allow_infinity=False).filter(lambda number: abs(number.adjusted()) < 500)
moments = st.datetimes(timezones=st.just(UTC))
VALUES: dict[ValueType, st.SearchStrategy[Value]] = {
    ValueType.NUMBER: st.one_of(decimals, st.just(UNLIMITED), st.just(UNKNOWN)),
    ValueType.BOOL: st.one_of(st.booleans(), st.just(UNKNOWN)),
    ValueType.TEXT: st.one_of(st.text(), st.sampled_from(["unlimited", "", "true", "1"]), st.just(UNKNOWN)),
    ValueType.TIME: st.one_of(moments, st.just(UNKNOWN)),
}


@pytest.mark.parametrize("name", [*sorted(FIELD_TYPES), "turns.used", "a.b.plan"])
@given(data=st.data())
def test_every_field_comes_back(name: str, data: st.DataObject) -> None:
    value = data.draw(VALUES[FIELD_TYPES[name.rpartition(".")[2]]])
    written: Written = json.loads(json.dumps(write_value(value)))
    back = read_value(name, written)
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        pytest.param(UNKNOWN, None, id="unknown is null"),
        pytest.param(UNLIMITED, "unlimited", id="unlimited"),
        pytest.param(True, True, id="true"),
        pytest.param(False, False, id="false"),
        pytest.param("Enterprise", "Enterprise", id="text"),
        pytest.param(Decimal("36462.10"), "36462.10", id="the vendor's digits, also a last nought"),
        pytest.param(Decimal("-0.5"), "-0.5", id="below zero"),
        pytest.param(Decimal("1E+30"), "1" + 30 * "0", id="huge, without an exponent"),
        pytest.param(Decimal("1E-30"), "0." + 29 * "0" + "1", id="tiny, without an exponent"),
        pytest.param(Decimal("12345678901234567890.123456789012345678"), "12345678901234567890.123456789012345678",
                     id="more digits than arithmetic keeps"),
        pytest.param((Decimal(1), Decimal("2.50")), "1,2.50", id="a list"),
        pytest.param(NOON, "2026-11-21T12:00:00.000000Z", id="a time"),
        pytest.param(datetime(990, 1, 2, 3, 4, 5, 6, tzinfo=UTC), "0990-01-02T03:04:05.000006Z", id="an early time"),
    ],
)  # fmt: skip
def test_how_a_value_is_written(value: Value, written: Written) -> None:
    assert write_value(value) == written


@given(moments, moments)
def test_times_sort_as_text(one: datetime, other: datetime) -> None:
    assert (at(one) < at(other)) is (one < other)
    assert len(at(one)) == len("2026-11-21T12:00:00.000000Z")


@given(st.one_of(st.none(), moments))
def test_a_time_comes_back_in_utc(moment: datetime | None) -> None:
    back = maybe_when(maybe_at(moment))
    assert back == moment
    if back is not None:
        require_utc(back)
        assert when(at(back)) == back
