"""The vendors of the catalogue: what is asked of each, and what its documented answers become.

A vendor is two files: the provider's, and `tests/data/NAME/cases.toml` with the answers and the readings that are
expected of them. Answers of success are the vendors' documented ones; where a vendor's error is not documented, its
status counts and the body is an ordinary one.
"""

import asyncio
import re
import tomllib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import httpx
import pytest

from budgetd.collect.poll import poll
from budgetd.collect.provider import CATALOG
from budgetd.collect.sources import make_source
from budgetd.credentials import Secret
from budgetd.http import Client
from budgetd_rules.encoding import read_value
from budgetd_rules.meters import family
from budgetd_rules.polls import Poll
from collecting import DATA, KEY, NOW, PROVIDERS, details

# The four whose documents are told at length, with tests of their own.
TOLD: Final = frozenset({"cargo", "cekura", "sonzai", "uniqos"})
README: Final = DATA.parent.parent / "README.md"
NAMES: Final = sorted(file.stem for file in CATALOG.glob("*.toml") if file.stem not in TOLD)

# What an expected meter says besides its fields.
MARKS: Final = frozenset({"kind", "unit", "rolling"})

Table = Mapping[str, Any]


class Case(NamedTuple):
    """One poll: the exchanges in their order, and what comes of them."""

    provider: str
    table: Table

    @property
    def outages(self) -> list[str]:
        return [text.replace("{hint}", PROVIDERS[self.provider].key_hint) for text in self.table.get("outages", ())]

    @property
    def meters(self) -> Mapping[str, Table]:
        meters: Mapping[str, Table] = self.table.get("meters", {})
        return meters


def load_cases(provider: str) -> list[Case]:
    file = DATA / provider / "cases.toml"
    return [Case(provider, table) for table in tomllib.loads(file.read_text(encoding="utf-8"))["case"]]


CASES: Final = {f"{name}: {case.table['name']}": case for name in NAMES for case in load_cases(name)}


def play(case: Case) -> Poll:
    """Polls a vendor that answers as the case says, and checks that the requests are those of the case."""
    exchanges = iter(case.table["exchange"])

    def vendor(request: httpx.Request) -> httpx.Response:
        exchange = next(exchanges)
        assert f"{request.method} {unquote(str(request.url))}" == f"GET {exchange['get'].format(key=KEY)}"
        sends = {name: text.format(key=KEY) for name, text in exchange.get("sends", {}).items()}
        assert {name: request.headers.get(name) for name in sends} == sends
        return httpx.Response(
            exchange.get("status", 200), headers=exchange.get("headers", {}), text=exchange.get("body", "")
        )

    source = make_source(
        "acme",
        PROVIDERS[case.provider],
        Secret(KEY),
        base_url=case.table.get("base_url"),
        params=case.table.get("params", {}),
    )
    seen = asyncio.run(poll(source, Client(httpx.MockTransport(vendor)), NOW))
    assert list(exchanges) == [], "was never asked for"
    return seen


def written(meters: Mapping[str, Table]) -> dict[str, dict[str, object]]:
    """What a case expects: numbers and times as text, `unlimited` as that word."""
    return {
        name: {"unit": "", "rolling": False}
        | {field: value if field in MARKS else read_value(field, value) for field, value in table.items()}
        for name, table in meters.items()
    }


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_vendors_answers_become_readings(case: Case) -> None:
    seen = play(case)
    readings = {
        one.key.meter: {"kind": one.kind, "unit": one.unit, "rolling": one.rolling, **one.fields}
        for one in seen.readings
    }
    assert details(seen) == case.outages
    assert readings == written(case.meters)
    assert seen.identity == case.table.get("identity")
    # The key, and what the answers themselves hold of secrets: each of them says "canary".
    assert "canary" not in repr(seen)


@pytest.mark.parametrize("name", NAMES)
def test_a_vendors_cases_show_all_that_it_has(name: str) -> None:
    """So that every path of a provider file is tested, every field of every meter has to be known in some case."""
    provider, cases = PROVIDERS[name], load_cases(name)
    assert any(not case.outages for case in cases), "no case of success"
    assert any(case.outages for case in cases), "no case of failure"
    assert all(case.outages or case.meters for case in cases), "a case that expects nothing"
    shown = {(family(meter), field) for case in cases for meter, table in case.meters.items() for field in table}
    assert {(meter.name, field) for meter in provider.meters.values() for field in meter.fields} <= shown


@pytest.mark.parametrize("name", NAMES)
def test_a_vendor_is_asked_with_the_key_and_says_which_key_it_wants(name: str) -> None:
    provider = PROVIDERS[name]
    assert provider.key_hint
    first = load_cases(name)[0].table["exchange"][0]
    assert "{key}" in first["get"] or first.get("sends")


def test_every_case_is_of_a_vendor_and_the_readme_has_them_all() -> None:
    assert {file.parent.name for file in DATA.glob("*/cases.toml")} == set(NAMES)
    vendors = README.read_text(encoding="utf-8").partition("## Vendors")[2].partition("\n## ")[0]
    assert set(NAMES) | TOLD == set(re.findall(r"`([a-z0-9-]+)`", vendors)) & PROVIDERS.keys()


@pytest.mark.parametrize("name", ["anthropic", "openai"])
def test_a_month_without_costs_has_no_meter_and_is_no_outage(name: str) -> None:
    """Without a currency there is no amount, and the vendor has said that last month's meter is gone."""
    costs = load_cases(name)[0].table["exchange"][0]["get"]
    body = '{"data": [{"results": []}], "has_more": false, "next_page": null}'
    seen = play(Case(name, {"exchange": [{"get": costs, "body": body}]}))
    assert (seen.readings, seen.outages, seen.answered) == ((), (), frozenset({"spend"}))
