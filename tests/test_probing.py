"""`probe`: where each value came from, what did not match, and that nothing but names leaves what is not mapped."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from budgetd.cli.app import app
from budgetd.collect.overrides import override_headers
from budgetd.collect.provider import Provider, load_provider
from budgetd.collect.sources import make_source
from budgetd.config import load_config
from budgetd.credentials import Secret
from budgetd.demo.loopback import Answer, Fault, HttpServer, Request
from budgetd.errors import ConfigError
from budgetd.http import Client
from budgetd.planning import make_plan
from budgetd.probing import Found, ListSeen, Probe, RequestSeen, probe
from budgetd_rules.polls import Cause
from collecting import HEAD, KEY, NOW, PROVIDERS, make_provider
from conftest import WriteConfig

CANARY = "canary-3f9b27c1"
BALANCE = """
left = { path = "credits.left", type = "number" }
granted = { path = "credits.granted", type = "number" }
used = { header = ["X-Used", "X-Used-Now"], type = "number" }
resets = { header = "X-Reset", type = "time" }
[meters.credits]
kind = "balance"
remaining = "left"
granted = "granted"
used = "used"
resets_at = "resets"
"""
Answering = Callable[[httpx.Request], httpx.Response]


def look(folder: Path, rest: str, answering: Answering, head: str = HEAD) -> Probe:
    (folder / "acme.toml").unlink(missing_ok=True)
    provider = make_provider(folder, rest) if head == HEAD else _load(folder, head + rest)
    source = make_source(account="acme", provider=provider, api_key=Secret(KEY))
    return asyncio.run(probe(source, Client(httpx.MockTransport(answering)), NOW))


def _load(folder: Path, text: str) -> Provider:
    (folder / "acme.toml").write_text(text)
    return load_provider(folder / "acme.toml")


def answers(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answering:
    return lambda _request: httpx.Response(status, json=body, headers=headers)


def unread_of(seen: RequestSeen) -> list[str]:
    return [f"{field.name} {field.type}" for field in seen.unread]


def only(found: Probe) -> RequestSeen:
    (one,) = found.requests
    return one


@pytest.mark.parametrize(
    ("body", "headers", "name", "found"),
    [
        pytest.param({"credits": {"left": 5}}, {}, "left", "read credits.left", id="read"),
        pytest.param({"credits": {"left": None}}, {}, "left", "null credits.left", id="null"),
        pytest.param({"credits": {}}, {}, "left", "absent credits.left", id="absent"),
        pytest.param({"credits": None}, {}, "left", "absent credits.left", id="no place for it"),
        pytest.param({"credits": {"left": "5,0"}}, {}, "left", "malformed credits.left", id="malformed"),
        pytest.param({}, {"x-used-now": "3"}, "used", "read x-used-now", id="the second header"),
        pytest.param({}, {"X-Used": "3", "x-used-now": "4"}, "used", "read x-used", id="the first header"),
        pytest.param({}, {}, "used", "absent ", id="no header"),
        pytest.param({}, {"X-Used": "many"}, "used", "malformed x-used", id="a malformed header"),
    ],
)
def test_what_became_of_a_value(body: object, headers: dict[str, str], name: str, found: str, tmp_path: Path) -> None:
    seen = only(look(tmp_path, BALANCE, answers(body, headers=headers)))
    assert [f"{value.found} {value.place}" for value in seen.values if value.name == name] == [found]


def test_an_error_leaves_the_body_unread_and_reads_the_headers(tmp_path: Path) -> None:
    found = look(tmp_path, BALANCE, answers({"error": {"message": "no"}}, 403, {"X-Used": "3"}))
    seen = only(found)
    assert {value.name: value.found for value in seen.values} == {
        "left": Found.ABSENT,
        "granted": Found.ABSENT,
        "used": Found.READ,
        "resets": Found.ABSENT,
    }
    assert (seen.exchanges[0].status, found.poll.outages[0].cause) == (403, Cause.REJECTED)


def test_no_answer(tmp_path: Path) -> None:
    def fail(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    seen = only(look(tmp_path, BALANCE, fail))
    (exchange,) = seen.exchanges
    assert (exchange.status, exchange.size) == (None, None)
    assert exchange.failure.startswith("unreachable: no connection")
    assert [value.found for value in seen.values[:2]] == [Found.NOT_ANSWERED] * 2


def test_the_poll_is_the_one_that_a_poll_would_have_been(tmp_path: Path) -> None:
    found = look(tmp_path, BALANCE, answers({"credits": {"left": 5, "granted": 9}}))
    (reading,) = found.poll.readings
    assert {name: str(value) for name, value in reading.fields.items()} == {"remaining": "5", "granted": "9"}


@pytest.mark.parametrize(
    ("name", "perhaps"),
    [
        *(
            pytest.param(name, True, id=name)
            for name in (
                "x-quota-left",
                "x-ratelimit-limit",
                "x-rate-limit-1",
                "x-turns",
                "active-relationships",
                "x-usage",
                "x-left-over",
            )
        ),
        *(
            pytest.param(name, False, id=name)
            for name in ("x-request-id", "server-timing", "x-runtime", "x-xss-protection", "age", "content-length")
        ),
        pytest.param("x-generated=soon", False, id="a text"),
        pytest.param("x-used", False, id="one that is mapped"),
    ],
)
def test_which_headers_are_perhaps_a_quota(name: str, perhaps: bool, tmp_path: Path) -> None:
    name, _, text = name.partition("=")
    seen = only(look(tmp_path, BALANCE, answers({"credits": {"left": 5}}, headers={name: text or "7"})))
    assert {header.name: header.perhaps for header in seen.headers}[name] is perhaps


@pytest.mark.parametrize(
    ("body", "unread"),
    [
        pytest.param({"credits": {"left": 5}}, [], id="all is read"),
        pytest.param(
            {"credits": {"left": 5, "bonus": {"a": 1}}, "plan": "x"},
            ["credits.bonus object", "plan text"],
            id="some is not",
        ),
        pytest.param({"other": [1]}, ["other list"], id="none is"),
        pytest.param(
            {"a": 1.5, "b": "1.5", "c": False, "d": None},
            ["a number", "b number as text", "c true or false", "d null"],
            id="of which type they are",
        ),
        pytest.param(
            {f"{CANARY}@acme.example": 1, "4f1d2c3b5a": 2}, ["(2 more, whose names look like data) "], id="data"
        ),
        pytest.param(json.loads('{"left": ' * 90 + '{"new": 1}' + "}" * 90), [], id="deeper than anything is"),
    ],
)
def test_fields_that_nothing_reads(body: object, unread: list[str], tmp_path: Path) -> None:
    assert unread_of(only(look(tmp_path, BALANCE, answers(body)))) == unread


@pytest.mark.parametrize(
    ("body", "headers", "name", "near"),
    [
        pytest.param({"credits": {"left_now": 5}}, {}, "left", "credits.left_now", id="a field of a like name"),
        pytest.param({"credits": {"left": None, "left_now": 5}}, {}, "left", None, id="it came, and is null"),
        pytest.param({"owner": 5}, {}, "left", None, id="nothing like it"),
        pytest.param({"credits": {"left": 5}}, {"x-used-mow": "5"}, "used", "x-used-mow", id="a header of a like name"),
        pytest.param({"credits": {"left": 5}}, {"x-reset-id": "5"}, "resets", None, id="a header of no quota"),
    ],
)
def test_what_came_under_another_name(
    body: object, headers: dict[str, str], name: str, near: str | None, tmp_path: Path
) -> None:
    seen = only(look(tmp_path, BALANCE, answers(body, headers=headers)))
    assert [value.near for value in seen.values if value.name == name] == [near]


LIST = """
[meters.pots]
kind = "balance"
each = "info.pots"
key = "name"
remaining = "item.left.exactly"
currency = "'EUR'"
"""


def test_lists_and_the_fields_of_their_items(tmp_path: Path) -> None:
    body = {"pots": [{"name": "a", "left": {"exactly": 5, "about": 5}, "size": 1}, {"name": "b"}]}
    seen = only(look(tmp_path, LIST, answers(body)))
    assert seen.lists == (ListSeen(meter="pots", place="pots", items=2, parts={"left.exactly": 1}),)
    assert unread_of(seen) == ["pots[].left.about number", "pots[].size number"]


@pytest.mark.parametrize(
    ("body", "items"),
    [
        pytest.param({"pots": None}, None, id="null"),
        pytest.param({"pots": 5}, None, id="no list"),
        pytest.param({"pots": []}, 0, id="an empty one"),
        pytest.param({"pots": [5, {"left": {"exactly": "x"}}]}, 2, id="items of another shape"),
    ],
)
def test_lists_that_give_nothing(body: object, items: int | None, tmp_path: Path) -> None:
    (listed,) = only(look(tmp_path, LIST, answers(body))).lists
    assert (listed.items, listed.parts) == (items, {"left.exactly": 0})


def test_what_is_ignored_by_name_and_the_names_of_an_object_are_no_news(tmp_path: Path) -> None:
    head = HEAD.replace("path =", 'ignored = ["id", "owners[].mail"]\npath =', 1)
    rest = """
[meters.price]
kind = "cap"
each = "info.prices"
key = "key"
value = "item.value"
"""
    body = {"id": 1, "prices": {"call": 1, "token": 2, "gone": None}, "fresh": {"id": 3}}
    seen = only(look(tmp_path, rest, answers(body), head))
    assert seen.lists == (ListSeen(meter="price", place="prices", items=2, parts={"value": 2}),)
    assert unread_of(seen) == ["fresh object"]


CHAIN = """
name = "acme"
title = "Acme"
docs = "docs.acme.example"
evidence = "confirmed"
base_url = "https://api.acme.example"
auth = { query = { api_key = "{api_key}" } }
[requests.who]
path = "/who"
query = { expand = "id" }
[requests.who.values]
org = { path = "id", type = "text" }
[requests.costs]
path = "/orgs/{org}/costs"
pages = { items = "data", cursor = "next", query = "page" }
[requests.costs.values]
costs = { path = "data[].cost", type = "numbers" }
[meters.spend]
kind = "spend"
amount = "sum(costs)"
"""


def test_chains_and_pages_are_shown_as_they_were_sent_without_secrets(tmp_path: Path) -> None:
    def answering(request: httpx.Request) -> httpx.Response:
        assert request.url.params["api_key"] == KEY
        if request.url.path == "/who":
            return httpx.Response(200, json={"id": "o1"})
        is_first = "page" not in request.url.params
        return httpx.Response(200, json={"data": [{"cost": 1}], "next": CANARY if is_first else None})

    found = look(tmp_path, "", answering, head=CHAIN)
    assert [exchange.url for one in found.requests for exchange in one.exchanges] == [
        "https://api.acme.example/who?expand=id&api_key=***",
        "https://api.acme.example/orgs/o1/costs?api_key=***",
        "https://api.acme.example/orgs/o1/costs?api_key=***&page=…",
    ]
    assert str(found.poll.readings[0].fields["amount"]) == "2"


def test_a_request_that_waits_in_vain_was_not_sent(tmp_path: Path) -> None:
    found = look(tmp_path, "", answers({"detail": "no"}, 401), head=CHAIN)
    assert [len(one.exchanges) for one in found.requests] == [1, 0]


# --- the command


@pytest.fixture
def vendor(write_config: WriteConfig, tmp_path: Path) -> Iterator[Path]:
    """Repeats the key, and has a secret wherever nothing is mapped."""
    body = {"credits": {"left": 5, "secret": CANARY}, CANARY: CANARY, "owner": f"{CANARY}@acme.example"}
    headers = {"X-Used": "many " + KEY, "Set-Cookie": f"session={CANARY}", "X-Quota-Left": CANARY, "X-Key": KEY}

    def answer(_request: Request) -> Answer | Fault:
        return Answer(status=HTTPStatus.OK, body=json.dumps(body).encode(), headers=headers)

    (tmp_path / "providers.d").mkdir()
    (tmp_path / "providers.d" / "acme.toml").write_text(HEAD + BALANCE)
    with HttpServer(answer) as server:
        account = f'[accounts.a]\nprovider = "acme"\napi_key = "{KEY}"\nbase_url = "{server.url}"\n'
        yield write_config(f'[daemon]\nstate = "x.db"\n{account}')


@pytest.mark.parametrize("words", [[], ["--json"]], ids=["for people", "as JSON"])
def test_nothing_but_names_is_shown_of_what_is_not_mapped(words: list[str], vendor: Path) -> None:
    ran = CliRunner().invoke(app, ["probe", "a", "-c", str(vendor), *words])
    assert ran.exit_code == 1  # a header is malformed
    assert KEY not in ran.output
    assert CANARY not in ran.output
    assert "x-quota-left" in ran.output
    assert not vendor.with_name("x.db").exists()


def test_for_people(vendor: Path) -> None:
    out = CliRunner().invoke(app, ["probe", "a", "-c", str(vendor)]).output
    assert re.search(r"info: GET http://127.0.0.1:\d+/info\n  HTTP 200 in \d+ ms, \d+ bytes\n", out)
    assert re.search(r"left +5 +credits.left", out)
    assert re.search(r"granted +absent +credits.granted", out)
    assert re.search(
        r"used +malformed: expected a number, got the text 'many \*\*\*' +header x-used \(not x-used-now\)", out
    )
    assert re.search(r"resets +absent +header x-reset", out)
    assert "perhaps a quota: map it? x-quota-left\n" in out
    assert "fields that nothing reads: credits.secret (text), " in out
    assert re.search(r"credits +balance +remaining +5", out)


def test_as_json(vendor: Path) -> None:
    shape = json.loads(CliRunner().invoke(app, ["probe", "a", "-c", str(vendor), "--json"]).output)
    (request,) = shape["requests"]
    assert {value["value"]: value["found"] for value in request["values"]} == {
        "left": "read",
        "granted": "absent",
        "used": "malformed",
        "resets": "absent",
    }
    assert request["values"][2]["tried"] == ["x-used", "x-used-now"]
    assert shape["outages"][0]["cause"] == "malformed"


def test_an_account_that_is_none(vendor: Path) -> None:
    ran = CliRunner().invoke(app, ["probe", "b", "-c", str(vendor)])
    assert str(ran.exception) == "no account is named 'b'; known: a"


# --- header names that the account knows better

ACCOUNT = '[accounts.d]\nprovider = "uniqos"\napi_key = "k"\nheaders = {}\n'


def names(path: Path, value: str) -> tuple[str, ...]:
    provider = make_plan(load_config(path)).scheduled["d"].source.provider
    return next(
        one.header.names for plan in provider.requests for one in plan.values if one.name == value and one.header
    )


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param('{ turns_used = "X-Real" }', ("x-real",), id="one"),
        pytest.param('{ turns_used = ["X-Real", "X-Other"] }', ("x-real", "x-other"), id="several"),
    ],
)
def test_the_header_names_of_the_account_count(
    headers: str, expected: tuple[str, ...], write_config: WriteConfig
) -> None:
    path = write_config(ACCOUNT.replace("{}", headers))
    assert names(path, "turns_used") == expected
    assert names(path, "turns_limit")[0] == "x-quota-turns-limit"


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        pytest.param(
            '{ turn_used = "X" }', "headers.turn_used: uniqOS has no such value; did you mean turns_used?", id="near"
        ),
        pytest.param(
            '{ turns_used = "X Y" }', "headers.turns_used#1: expected the name of a header, such as", id="no name"
        ),
        pytest.param("{ turns_used = [] }", "headers.turns_used: is empty; give at least one", id="none"),
        pytest.param(
            "{ turns_used = 5 }", "headers.turns_used#1: expected text in quotes, not a number", id="a number"
        ),
    ],
)
def test_header_names_that_make_no_sense(headers: str, problem: str, write_config: WriteConfig) -> None:
    with pytest.raises(ConfigError) as failed:
        make_plan(load_config(write_config(ACCOUNT.replace("{}", headers))))
    assert f"accounts.d.{problem}" in failed.value.problems[0]
    assert len(failed.value.problems) == 1


def test_a_value_of_the_body_has_no_header() -> None:
    with pytest.raises(ConfigError, match=r"accounts\.a\.headers\.remaining: stands in the body, not in a header"):
        override_headers("a", PROVIDERS["cekura"], {"remaining": ("X-Left",)})
