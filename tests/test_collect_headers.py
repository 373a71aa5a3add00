"""Values in headers: of lists, of structured fields as vendors write them, and of what only a pattern finds."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetd.collect.headers import HeaderPlan
from budgetd.collect.request_tables import ValueTable
from budgetd.collect.values import MalformedError
from conftest import examples

RUNPOD = '"minute";r=0;t=12, "hour";r=2800;t=1812'
UNITY = "limit=20, remaining=19, reset=1"
POLICY = "1;w=1, 15000;w=2592000"
SALESFORCE = "api-usage=25/5000; per-app-api-usage=17/250(appName=x)"


def place(*, type: str = "number", **keys: object) -> HeaderPlan:
    table = ValueTable.model_validate({"header": "X-Left", "type": type, **keys})
    assert table.place is not None
    return table.place


FOUND: dict[str, tuple[str, HeaderPlan, object]] = {
    "the whole": ("1, 2", place(), "1, 2"),
    "the first of a list": ("1, 15000", place(item=0), "1"),
    "the second of a list": ("1, 15000", place(item=1), " 15000"),
    "an item without its parameters": ("100, 100;w=60", place(item=1), " 100"),
    "an item that is not there": ("1, 15000", place(item=2), None),
    "an empty item": ("1,", place(item=1), ""),
    "a member's parameter": (RUNPOD, place(member="hour", parameter="r"), Decimal(2800)),
    "a nought": (RUNPOD, place(member="minute", parameter="r"), Decimal(0)),
    "a member that is not there": (RUNPOD, place(member="day", parameter="r"), None),
    "a parameter that is not there": (RUNPOD, place(member="hour", parameter="q"), None),
    "a member by its bare name": ("minute;r=1, hour;r=2", place(member="hour", parameter="r"), Decimal(2)),
    "a parameter of a dictionary": (UNITY, place(parameter="remaining"), Decimal(19)),
    "a member of a dictionary": (UNITY, place(member="remaining"), Decimal(19)),
    "a parameter of neither": (UNITY, place(parameter="used"), None),
    "without white space": ("limit=20,remaining=19", place(parameter="remaining"), Decimal(19)),
    "with semicolons": ("limit=20;w=60;remaining=19", place(parameter="remaining"), Decimal(19)),
    "a parameter of the only member": ("default;r=50;t=30", place(parameter="r"), Decimal(50)),
    "a parameter of a number": ("100;w=60", place(parameter="w"), Decimal(60)),
    "an item's parameter": (POLICY, place(item=1, parameter="w"), Decimal(2592000)),
    "an item's parameter that is not there": (POLICY, place(item=2, parameter="w"), None),
    "a fraction": ("limit=20, remaining=19.5", place(parameter="remaining"), Decimal("19.5")),
    "a text": ('plan="pro", left=1', place(parameter="plan", type="text"), "pro"),
    "a word": ("plan=pro", place(parameter="plan", type="text"), "pro"),
    "true": ("paid, left=1", place(parameter="paid", type="bool"), True),
    "a date": ("reset=@1735689600", place(parameter="reset", type="time"), Decimal(1735689600)),
    "a pattern": (SALESFORCE, place(pattern=r"^api-usage=(\d+)/"), "25"),
    "a pattern in the middle": (SALESFORCE, place(pattern=r"api-usage=\d+/(\d+)\("), "250"),
}


@pytest.mark.parametrize(("text", "plan", "found"), FOUND.values(), ids=FOUND.keys())
def test_a_part_of_a_header_is_found(text: str, plan: HeaderPlan, found: object) -> None:
    assert plan.find({"x-left": text}) == found
    assert plan.find({}) is None
    assert plan.find({"x-left": ""}) is None


REFUSED: dict[str, tuple[str, HeaderPlan, str]] = {
    "no structured field": ("20 of 50", place(parameter="remaining"), "the header is no structured field"),
    "half a structured field": ("limit=20, remaining=", place(parameter="limit"), "is no structured field"),
    "another script": ("limit=20, r\u00e9st=19", place(parameter="limit"), "is no structured field"),
    "one parameter of two members": (RUNPOD, place(parameter="r"), "the header has 'r' more than once"),
    "one member twice": ("hour;r=1, hour;r=2", place(member="hour", parameter="r"), "the header has 'hour' more"),
    "one text twice": ('"hour";r=1, "hour";r=2', place(member="hour", parameter="r"), "has 'r' more than once"),
    "one parameter twice": ('"hour";r=1;r=2', place(member="hour", parameter="r"), "the header has 'r' more than once"),
    "one key twice": ("left=1, left=2", place(parameter="left"), "the header has 'left' more than once"),
    "no match": ("usage 25", place(pattern=r"api-usage=(\d+)/"), "finds nothing in the header"),
    "a group without a part": ("b", place(pattern="(a)?b"), "finds nothing in the header"),
    "too long to match": ("a" * 1001, place(pattern="(a)"), "finds nothing in the header"),
}


@pytest.mark.parametrize(("text", "plan", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_clear_is_refused(text: str, plan: HeaderPlan, why: str) -> None:
    with pytest.raises(MalformedError) as caught:
        plan.find({"x-left": text})
    assert why in str(caught.value)


def test_the_first_header_that_is_there_counts() -> None:
    plan = HeaderPlan(names=("x-left", "x-remaining"), item=0)
    assert plan.find({"x-remaining": "7, 8"}) == "7"
    assert plan.find({"x-remaining": "7", "x-left": "6"}) == "6"
    assert plan.find({"x-remaining": "7", "x-left": ""}) == "7"


PLANS = [plan for _, plan, _ in FOUND.values()]
PIECES = st.sampled_from([*'",;= ()@:?*1', "a", "r", "hour", "limit", "\xff", "-", "1.5", "9" * 17, ";r=", "@9e9"])


@examples(500)
@given(text=st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=20), plan=st.sampled_from(PLANS))
def test_any_header_is_read_or_refused(text: str, plan: HeaderPlan) -> None:
    try:
        found = plan.find({"x-left": text})
    except MalformedError:
        return
    assert found is None or isinstance(found, str | bool | Decimal | list)


@given(
    windows=st.dictionaries(
        st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=8),
        st.tuples(st.integers(0, 10**12), st.integers(0, 10**9)),
        min_size=1,
    ),
    data=st.data(),
)
def test_what_was_written_as_a_structured_field_is_read_back(
    windows: dict[str, tuple[int, int]], data: st.DataObject
) -> None:
    text = ", ".join(f'"{name}";r={left};t={seconds}' for name, (left, seconds) in windows.items())
    name = data.draw(st.sampled_from(sorted(windows)))
    assert place(member=name, parameter="r").find({"x-left": text}) == windows[name][0]
    assert place(member=name, parameter="t").find({"x-left": text}) == windows[name][1]
