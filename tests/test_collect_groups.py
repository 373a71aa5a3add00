"""Lists whose items share keys: one meter for each group, and sums that are whole or unknown."""

from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetd.collect.provider import Provider, load_provider
from collecting import HEAD, NOW, answer, details, fields, meters, read, write_provider

REST = """
[meters.payments]
kind = "spend"
each = "info.results || @"
key = "kind || 'other'"
group = true
within = { time = "at", last = "30d" }
amount = "sum(item.cents) / 100"
currency = "item.currency"
period_end = "item.at"
limit = "item.limit"
when = "item.active"
"""
TEXT = HEAD.replace("[requests.info.values]", 'body = "any"') + REST


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Provider:
    return load_provider(write_provider(tmp_path_factory.mktemp("provider"), TEXT))


def payment(cents: object = 100, kind: object = "card", at: object = "2026-05-01", **rest: object) -> dict[str, Any]:
    return {"cents": cents, "kind": kind, "at": at, "currency": "EUR", "limit": 50, "active": True} | rest


PAID = {"currency": "EUR", "limit": Decimal(50)}
GROUPS: dict[str, tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]] = {
    "two of one": ([payment(150), payment("50.5")], {"card": PAID | {"amount": Decimal("2.005")}}),
    "one each": (
        [payment(), payment(200, "bank"), payment(1, None)],
        {
            "card": PAID | {"amount": Decimal(1)},
            "bank": PAID | {"amount": Decimal(2)},
            "other": PAID | {"amount": Decimal("0.01")},
        },
    ),
    "some too old": (
        [payment(), payment(9, at="2026-04-01"), payment(9, "bank", "2026-04-01")],
        {"card": PAID | {"amount": Decimal(1)}},
    ),
    "two currencies": ([payment(), payment(currency="USD")], {"card": {"amount": Decimal(2), "limit": Decimal(50)}}),
    "a currency and none": (
        [payment(), payment(currency=None)],
        {"card": {"amount": Decimal(2), "limit": Decimal(50)}},
    ),
    "two limits": ([payment(), payment(limit=60)], {"card": {"amount": Decimal(2), "currency": "EUR"}}),
    "one limit in two spellings": (
        [payment(), payment(limit="50.00")],
        {"card": PAID | {"amount": Decimal(2)}},
    ),
    "an amount unsaid": ([payment(), payment(None)], {"card": PAID}),
    "all of them inactive": (
        [payment(active=False), payment(active=False), payment(1, "bank")],
        {"bank": PAID | {"amount": Decimal("0.01")}},
    ),
    "some of them inactive": ([payment(), payment(active=False)], {"card": PAID | {"amount": Decimal(2)}}),
    "none": ([], {}),
}


@pytest.mark.parametrize(("payments", "groups"), GROUPS.values(), ids=GROUPS.keys())
def test_a_group_is_one_meter(
    provider: Provider, payments: list[dict[str, Any]], groups: dict[str, dict[str, Any]]
) -> None:
    seen = read(provider, info=answer({"results": payments}))
    assert seen.outages == ()
    assert seen.answered == {"payments"}
    found = {reading.key.meter: dict(reading.fields) for reading in seen.readings}
    for each in found.values():
        assert each.pop("period_end") == NOW.replace(day=1, hour=0, minute=0, second=0)
    assert found == {f"payments/{name}": each for name, each in groups.items()}


def test_a_bare_list_is_as_good(provider: Provider) -> None:
    assert fields(read(provider, info=answer([payment()])), "payments/card")["amount"] == 1


def test_of_times_it_is_the_latest(provider: Provider) -> None:
    dates = ["2026-05-03", "2026-05-09", "2026-05-01"]
    seen = read(provider, info=answer([payment(at=date) for date in dates]))
    assert fields(seen, "payments/card")["period_end"] == NOW.replace(day=9, hour=0, minute=0, second=0)


# What one item of a group may have that spoils it, and whether the group can still be read in part.
SPOILT: dict[str, tuple[object, str, set[str]]] = {
    "no amount": (
        payment("many"),
        "meters.payments/card.amount: expected a number, got the text 'many'",
        {"payments/card", "payments/bank"},
    ),
    "an odd currency": (
        payment(currency=7),
        "meters.payments/card.currency: expected text, got the number 7",
        {"payments/card", "payments/bank"},
    ),
    "no key": (payment(kind=["card"]), "meters.payments: item 1 has no key", set()),
    "no time": (payment(at=None), "meters.payments: item 1 has no time, so that nobody knows whether it counts", set()),
    "no object": ("card", "meters.payments: item 1 has no time, so that nobody knows", set()),
}


@pytest.mark.parametrize(("item", "outage", "left"), SPOILT.values(), ids=SPOILT.keys())
def test_half_a_sum_is_none(provider: Provider, item: object, outage: str, left: set[str]) -> None:
    seen = read(provider, info=answer([payment(), item, payment(1, "bank")]))
    assert details(seen)[0].startswith(f"info malformed: {outage}")
    assert set(meters(seen)) == left
    if left:
        assert len(fields(seen, "payments/card")) == 3
        assert fields(seen, "payments/bank")["amount"] == Decimal("0.01")
    else:
        assert seen.answered == frozenset()


def test_a_group_may_have_many_items_but_there_may_not_be_many_groups(provider: Provider) -> None:
    seen = read(provider, info=answer([payment(1)] * 5000))
    assert fields(seen, "payments/card")["amount"] == 50
    seen = read(provider, info=answer([payment(kind=str(number)) for number in range(1001)]))
    assert details(seen) == [
        "info malformed: meters.payments.each: has 1,001 items; 1,000 are as many as one can watch"
    ]
    assert meters(seen) == []
    seen = read(provider, info=answer([payment(1)] * 10_001))
    assert details(seen)[0].startswith("info malformed: meters.payments.each: has 10,001 items")


@given(payments=st.lists(st.tuples(st.sampled_from("abc"), st.integers(-(10**15), 10**15)), max_size=20))
def test_groups_add_up(provider: Provider, payments: list[tuple[str, int]]) -> None:
    sums: dict[str, int] = defaultdict(int)
    for kind, cents in payments:
        sums[kind] += cents
    seen = read(provider, info=answer([payment(cents, kind) for kind, cents in payments]))
    assert seen.outages == ()
    found = {reading.key.meter: reading.fields["amount"] for reading in seen.readings}
    assert found == {f"payments/{kind}": Decimal(cents) / 100 for kind, cents in sums.items()}
