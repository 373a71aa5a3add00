"""What stands in braces in a provider file: the times, in all their forms."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetd.collect.templates import TemplateValue, fill, fill_json, is_time, tell_times

NOW = datetime(2026, 3, 1, 0, 30, 15, 250_000, tzinfo=UTC)
TOLD: dict[str, TemplateValue] = {
    "now_unix": 1772325015,
    "now_ms": 1772325015250,
    "now_iso": "2026-03-01T00:30:15Z",
    "now_date": "2026-03-01",
    "day_start_unix": 1772323200,
    "day_start_ms": 1772323200000,
    "day_start_iso": "2026-03-01T00:00:00Z",
    "month_start_iso": "2026-03-01T00:00:00Z",
    "month_start_date": "2026-03-01",
    "days_1_ago_date": "2026-02-28",
    "days_1_ago_iso": "2026-02-28T00:30:15Z",
    "days_0_ago_unix": 1772325015,
    "days_365_ago_date": "2025-03-01",
    "days_9999_ago_date": "1998-10-15",
    "year": 2026,
    "month": 3,
}


@pytest.mark.parametrize(("name", "text"), TOLD.items(), ids=TOLD)
def test_a_time_is_told(name: str, text: TemplateValue) -> None:
    assert is_time(name)
    assert tell_times([name], NOW) == {name: text}


@pytest.mark.parametrize(
    "name",
    ["", "now", "now_utc", "month_start", "days_ago_iso", "days_-1_ago_iso", "days_10000_ago_iso", "day", "Now_iso"],
)
def test_a_name_that_is_no_time(name: str) -> None:
    assert not is_time(name)


def test_the_year_changes_with_the_month() -> None:
    new_year = datetime(2027, 1, 1, tzinfo=UTC)
    assert tell_times(["days_1_ago_date", "year", "month"], new_year) == {
        "days_1_ago_date": "2026-12-31",
        "year": 2027,
        "month": 1,
    }


@given(text=st.text(), known=st.dictionaries(st.sampled_from(["a", "b"]), st.text()))
def test_what_holds_no_name_stays_as_it_is(text: str, known: dict[str, str]) -> None:
    plain = text.replace("{", "(")
    assert fill(plain, known) == plain
    assert fill(f"{plain}{{a}}", known) == (plain + known["a"] if "a" in known else None)


def test_a_name_that_stands_alone_keeps_its_type() -> None:
    known: dict[str, TemplateValue] = {"since": 1772325015, "site": "eu"}
    tree = {
        "a": "{since}",
        "b": "{since}s",
        "c": ["{site}", "{gone}", 7, True],
        "d": {"e": "x-{gone}"},
        "f": "{ site }",
    }
    assert fill_json(tree, known) == {
        "a": 1772325015,
        "b": "1772325015s",
        "c": ["eu", 7, True],
        "d": {},
        "f": "{ site }",
    }
