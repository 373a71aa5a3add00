"""Requests built from values of earlier answers, and bodies that are posted."""

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from budgetd.collect.answers import Reply
from budgetd.collect.poll import poll
from budgetd.collect.provider import Provider, load_provider
from budgetd.collect.sources import make_source
from budgetd.credentials import Secret
from budgetd.http import Client, RequestFailedError
from budgetd_rules.polls import Cause, Poll
from collecting import HEAD, KEY, NOW, answer, details, fields, meters, read, write_provider

REST = """
project = { path = "projects[0].id", type = "text" }
number = { path = "projects[0].number", type = "number" }
region = { header = "X-Region", type = "text" }

[requests.balance]
path = "/projects/{project}/balance"
query = { number = "{number}", since = "{month_start_date}" }
headers = { X-Region = "{region}" }
values.left = { path = "left", type = "number" }

[requests.costs]
path = "/projects/{project}/costs"
values.spent = { path = "spent", type = "number" }

[meters.project]
kind = "subscription"
plan = "project"
[meters.credits]
kind = "balance"
remaining = "left"
[meters.costs]
kind = "spend"
amount = "spent"
"""
INFO = {"projects": [{"id": "p1", "number": 17}]}
HEADERS = {"X-Region": "eu"}
LEFT = answer({"left": 5})
SPENT = answer({"spent": 3})


def make(folder: Path, text: str = HEAD + REST) -> Provider:
    return load_provider(write_provider(folder, text))


def ask(provider: Provider, vendor: Callable[[httpx.Request], httpx.Response], key: str = KEY) -> Poll:
    source = make_source("acme", provider, Secret(key))
    return asyncio.run(poll(source, Client(httpx.MockTransport(vendor)), NOW))


def test_a_request_is_made_of_an_earlier_answer(tmp_path: Path) -> None:
    sent: list[httpx.Request] = []

    def vendor(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json={**INFO, "left": 5, "spent": 3}, headers=HEADERS)

    seen = ask(make(tmp_path), vendor)
    assert [str(request.url) for request in sent] == [
        "https://api.acme.example/info",
        "https://api.acme.example/projects/p1/balance?number=17&since=2026-05-01",
        "https://api.acme.example/projects/p1/costs",
    ]
    assert sent[1].headers["X-Region"] == "eu"
    assert sent[1].headers["Authorization"] == f"Bearer {KEY}"
    assert seen.outages == ()
    assert seen.answered == {"project", "credits", "costs"}
    assert fields(seen, "credits") == {"remaining": 5}


def test_what_a_vendor_sends_can_not_leave_its_place_in_a_path(tmp_path: Path) -> None:
    sent: list[str] = []

    def vendor(request: httpx.Request) -> httpx.Response:
        sent.append(str(request.url))
        return httpx.Response(200, json={"projects": [{"id": "../a?b#c@d", "number": 1}]}, headers=HEADERS)

    ask(make(tmp_path), vendor)
    assert sent[2] == "https://api.acme.example/projects/..%2Fa%3Fb%23c%40d/costs"


GONE = "is not there, and other requests are made of it"
ODD = "is nothing to send, and other requests are made of it"
# What the first request brings, and the outages and meters that follow.
CHAINS: dict[str, tuple[Reply, list[str], set[str]]] = {
    "all there": (answer(INFO, headers=HEADERS), [], {"project", "credits", "costs"}),
    "the first failed": (
        RequestFailedError(Cause.UNREACHABLE, "no whole answer within 30s"),
        ["info unreachable: no whole answer within 30s"],
        set(),
    ),
    "the first refused, though its headers came": (answer("", 403, HEADERS), ["info rejected: HTTP 403"], set()),
    "none of its values": (
        answer({"projects": []}),
        ["info malformed: answered, but with none of the values looked for: has the API changed?"],
        set(),
    ),
    "an id that is two": (
        answer({"projects": [{"id": "p1\np2", "number": 17}]}, headers=HEADERS),
        [f"info malformed: values.project: {ODD}"],
        {"project"},
    ),
    "an id with our key in it": (
        answer({"projects": [{"id": f"p-{KEY}", "number": 17}]}, headers=HEADERS),
        [f"info malformed: values.project: {ODD}"],
        {"project"},
    ),
    "one value missing that one of them needs": (
        answer({"projects": [{"id": "p1"}]}, headers=HEADERS),
        [f"info malformed: values.number: {GONE}"],
        {"project", "costs"},
    ),
    "one value missing that all of them need": (
        answer({"projects": [{"number": 17}]}, headers=HEADERS),
        [f"info malformed: values.project: {GONE}"],
        {"project"},
    ),
    "one value malformed that all of them need": (
        answer({"projects": [{"id": ["p1"], "number": 17}]}, headers=HEADERS),
        ["info malformed: values.project: expected text, got a list"],
        {"project"},
    ),
    "a step up": (
        answer({"projects": [{"id": "..", "number": 17}]}, headers=HEADERS),
        [f"info malformed: values.project: {ODD}"],
        {"project"},
    ),
    "too long": (
        answer({"projects": [{"id": "p" * 300, "number": 17}]}, headers=HEADERS),
        [f"info malformed: values.project: {ODD}"],
        {"project"},
    ),
    "half a number": (
        answer({"projects": [{"id": "p1", "number": 1.5}]}, headers=HEADERS),
        [f"info malformed: values.number: {ODD}"],
        {"project", "costs"},
    ),
}


@pytest.mark.parametrize(("first", "outages", "answered"), CHAINS.values(), ids=CHAINS.keys())
def test_one_fault_is_one_outage(tmp_path: Path, first: Reply, outages: list[str], answered: set[str]) -> None:
    seen = read(make(tmp_path), info=first, balance=LEFT, costs=SPENT)
    assert details(seen) == outages
    assert seen.answered == answered
    assert set(meters(seen)) == answered


def test_what_depends_on_what_is_absent_is_absent(tmp_path: Path) -> None:
    provider = make(tmp_path, HEAD.replace('path = "/info"', 'path = "/info"\noptional = true') + REST)
    seen = read(provider, info=answer("", 404))
    assert (seen.outages, seen.readings) == ((), ())
    assert seen.answered == {"project", "credits", "costs"}


def test_a_dependent_request_may_fail_by_itself(tmp_path: Path) -> None:
    seen = read(make(tmp_path), info=answer(INFO, headers=HEADERS), balance=answer("", 500), costs=SPENT)
    assert details(seen) == ["balance vendor_error: HTTP 500"]
    assert seen.answered == {"project", "costs"}


def test_what_a_header_can_not_hold_is_an_outage(tmp_path: Path) -> None:
    text = HEAD + REST.replace('header = "X-Region"', 'path = "region"')

    def vendor(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={**INFO, "region": "ümlaut", "left": 5, "spent": 3})

    seen = ask(make(tmp_path, text), vendor)
    why = "the header X-Region would hold characters that HTTP does not allow, or a line break"
    assert details(seen) == [f"balance malformed: can't be sent: {why}"]
    assert seen.answered == {"project", "costs"}


# --- bodies

BODY = """
org = { path = "org", type = "number" }
[requests.costs]
method = "POST"
path = "/query"
values.spent = { path = "spent", type = "number" }
[requests.costs.json]
query = "query { costs { total } }"
org = "{org}"
since = "{month_start_unix}"
page = { size = 100 }
tags = ["{tag}", "all"]
[params.tag]
help = "which tag"
[meters.costs]
kind = "spend"
amount = "spent"
"""


@pytest.mark.parametrize(
    ("params", "tags"),
    [pytest.param({}, ["all"], id="without the param"), pytest.param({"tag": "a"}, ["a", "all"], id="with it")],
)
def test_a_body_is_posted(tmp_path: Path, params: Mapping[str, str], tags: list[str]) -> None:
    sent: list[Any] = []

    def vendor(request: httpx.Request) -> httpx.Response:
        sent.append((request.method, request.headers.get("Content-Type"), request.read()))
        return httpx.Response(200, json={"org": 7, "spent": "12.50"})

    source = make_source("acme", make(tmp_path, HEAD + BODY), Secret(KEY), params=params)
    seen = asyncio.run(poll(source, Client(httpx.MockTransport(vendor)), NOW))
    assert fields(seen, "costs") == {"amount": 12.5}
    assert sent[0] == ("GET", None, b"")
    assert sent[1][:2] == ("POST", "application/json")
    assert json.loads(sent[1][2]) == {
        "query": "query { costs { total } }",
        "org": 7,
        "since": 1777593600,
        "page": {"size": 100},
        "tags": tags,
    }


def test_a_body_that_never_changes_is_made_once(tmp_path: Path) -> None:
    text = HEAD + BODY.replace('org = "{org}"\nsince = "{month_start_unix}"\n', "")
    source = make_source("acme", make(tmp_path, text), Secret(KEY))
    assert json.loads(source.requests["costs"].json or b"")["page"] == {"size": 100}


def test_a_post_is_sent_once(tmp_path: Path) -> None:
    sent: list[str] = []

    def vendor(request: httpx.Request) -> httpx.Response:
        sent.append(request.method)
        if request.method == "POST":
            raise httpx.ReadError("reset")
        return httpx.Response(200, json={"org": 7})

    seen = ask(make(tmp_path, HEAD + BODY), vendor)
    assert sent == ["GET", "POST"]
    assert [outage.cause for outage in seen.outages] == [Cause.UNREACHABLE]
