"""One account, polled once: what is sent, and that the key is shown nowhere."""

import asyncio
import logging
import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from budgetd.collect.poll import poll
from budgetd.collect.provider import load_provider
from budgetd.collect.sources import Source, make_source
from budgetd.credentials import Secret
from budgetd.errors import ConfigError
from budgetd.http import Client
from budgetd_rules.polls import Cause, Poll
from collecting import DOCUMENTS, HEAD, KEY, NOW, PROVIDERS, document, fields, meters, write_provider

Vendor = Callable[[httpx.Request], httpx.Response]


def poll_once(source: Source, vendor: Vendor) -> Poll:
    return asyncio.run(poll(source, Client(httpx.MockTransport(vendor)), NOW))


def test_requests_carry_the_key_and_go_where_the_account_says() -> None:
    sent: list[httpx.Request] = []

    def vendor(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json=document("cargo/subscription"))

    source = make_source(
        "acme",
        PROVIDERS["cargo"],
        Secret(KEY),
        base_url="http://127.0.0.1:8080/cargo/",
        params={"path": "/v1/billing/subscriptions", "workspace_uuid": 17},
    )
    seen = poll_once(source, vendor)
    assert [str(request.url) for request in sent] == ["http://127.0.0.1:8080/cargo/v1/billing/subscriptions"]
    assert sent[0].headers["Authorization"] == f"Bearer {KEY}"
    assert sent[0].headers["selected-workspace-uuid"] == "17"
    assert (seen.account, seen.provider, seen.at) == ("acme", "cargo", NOW)
    assert {"credits", "subscription"} <= set(meters(seen))


def test_what_names_a_param_that_was_not_given_is_left_out() -> None:
    source = make_source("acme", PROVIDERS["cargo"], Secret(KEY))
    (request,) = source.requests.values()
    assert request.url == "https://api.getcargo.io/v1/billing/subscription"
    assert set(request.headers) == {"Authorization"}


PARAMS = """
[params.org]
help = "the organization's id"
required = true
[params.days]
help = "how far back"
[requests.more]
path = "/orgs/{org}/more"
query = { days = "{days}", by = "day" }
values.left = { path = "left", type = "number" }
[meters.credits]
kind = "balance"
remaining = "left"
"""


def test_params_fill_paths_and_queries_and_can_not_leave_them(tmp_path: Path) -> None:
    provider = load_provider(write_provider(tmp_path, HEAD + PARAMS))
    request = make_source("acme", provider, Secret(KEY), params={"org": "a?b@c.example#/d"}).requests["more"]
    assert str(request.ready.url) == "https://api.acme.example/orgs/a%3Fb%40c.example%23/d/more?by=day"
    request = make_source("acme", provider, Secret(KEY), params={"org": 7, "days": "1&x=2"}).requests["more"]
    assert request.ready.url.params["days"] == "1&x=2"


WRONG = {
    "required": ({}, "accounts.acme.params.org: is missing: the organization's id"),
    "unknown": ({"org": "1", "dais": 7}, "accounts.acme.params.dais: Acme takes no such thing; did you mean days?"),
}


@pytest.mark.parametrize(("params", "problem"), WRONG.values(), ids=WRONG.keys())
def test_params_that_are_wrong_are_named(tmp_path: Path, params: dict[str, str | int], problem: str) -> None:
    provider = load_provider(write_provider(tmp_path, HEAD + PARAMS))
    with pytest.raises(ConfigError) as caught:
        make_source("acme", provider, Secret(KEY), params=params)
    assert caught.value.problems == (problem,)


@pytest.mark.parametrize(
    ("key", "base_url", "path", "problem"),
    [
        (f"{KEY}\n", None, "/x", "the header Authorization would hold characters that HTTP does not allow"),
        (KEY, "api.acme.example", "/x", "the URL is none"),
        (KEY, None, "@other.example/x", "a path begins with a slash, and '%40other.example/x' does not"),
    ],
    ids=["a key with a line break", "a base that is no URL", "a path into another host"],
)
def test_what_can_not_be_sent_is_found_before_it_is(key: str, base_url: str | None, path: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_source("acme", PROVIDERS["cargo"], Secret(key), base_url=base_url, params={"path": path})
    assert problem in str(caught.value)
    assert KEY not in str(caught.value)


BY_PATH = {
    plan.path.removeprefix("/api/v1/org/"): DOCUMENTS["sonzai"][plan.name] for plan in PROVIDERS["sonzai"].requests
}


def test_a_failed_request_stops_no_other() -> None:
    def vendor(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/v1/org/billing":
            return httpx.Response(401, json={"title": "Unauthorized", "status": 401})
        return httpx.Response(200, json=BY_PATH[request.url.path.removeprefix("/api/v1/org/")])

    seen = poll_once(make_source("acme", PROVIDERS["sonzai"], Secret(KEY)), vendor)
    assert [(outage.request, outage.cause) for outage in seen.outages] == [("billing", Cause.REJECTED)]
    of_billing = {meter.name for meter in PROVIDERS["sonzai"].meters.values() if "billing" in meter.requests}
    assert seen.answered == PROVIDERS["sonzai"].meters.keys() - of_billing
    assert fields(seen, "contract")["status"] == "active"
    assert seen.identity is None


def test_a_vendor_that_can_not_be_reached_is_an_outage_for_each_request() -> None:
    def vendor(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("[Errno -2] ...") from socket.gaierror(-2, "Name or service not known")

    seen = poll_once(make_source("acme", PROVIDERS["sonzai"], Secret(KEY)), vendor)
    assert [(outage.request, outage.cause) for outage in seen.outages] == [
        (plan.name, Cause.UNREACHABLE) for plan in PROVIDERS["sonzai"].requests
    ]
    assert seen.outages[0].detail == "no connection to https://api.sonz.ai: Name or service not known"
    assert (seen.readings, seen.answered) == ((), frozenset())


def test_a_vendor_that_hangs_is_given_up() -> None:
    async def vendor(_request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        raise AssertionError

    source = make_source("acme", PROVIDERS["cekura"], Secret(KEY), timeout=timedelta(seconds=0.2))
    seen = asyncio.run(poll(source, Client(httpx.MockTransport(vendor)), NOW))
    assert [outage.detail for outage in seen.outages] == ["no answer within 200ms"]


ECHOES = {
    "in an error": httpx.Response(401, json={"detail": f"{KEY} is no key", "title": KEY}),
    "in an error's headers": httpx.Response(500, headers={"X-Request-Id": KEY, "Retry-After": KEY}),
    "in every value": httpx.Response(
        200, json={"paymentSchedule": [{"period": KEY, "amountUsd": KEY}], "status": KEY, "tenantId": f"x{KEY}"}
    ),
    "as the body": httpx.Response(200, text=KEY),
    "as a JSON text": httpx.Response(200, json=KEY),
    "in a redirect": httpx.Response(302, headers={"Location": f"https://other.example/{KEY}?key={KEY}"}),
}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES.keys())
def test_the_key_is_in_nothing_that_anybody_reads(echo: httpx.Response, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    source = make_source("acme", PROVIDERS["sonzai"], Secret(KEY))
    seen = poll_once(source, lambda _request: echo)
    assert seen.outages
    for text in (repr(seen), repr(source), str(source), repr(list(source.requests.values())), caplog.text):
        assert KEY not in text


TIMED = """
left = { path = "left", type = "number" }
[requests.costs]
path = "/costs/{year}/{month}/{site}"
query = { since = "{month_start_unix}", day = "{day_start_iso}", past = "{days_30_ago_date}", gone = "{team}" }
headers = { X-Now = "{now_ms}" }
values.spent = { path = "spent", type = "number" }
[params.site]
help = "which site"
required = true
[params.team]
help = "which team"
[meters.costs]
kind = "spend"
amount = "spent"
limit = "left"
"""


def test_times_are_those_of_the_poll(tmp_path: Path) -> None:
    sent: list[httpx.Request] = []

    def vendor(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json={"left": 9, "spent": 3})

    provider = load_provider(write_provider(tmp_path, HEAD + TIMED))
    source = make_source("acme", provider, Secret(KEY), params={"site": "a b"})
    assert set(source.requests) == {"info"}
    seen = poll_once(source, vendor)
    assert sent[0].url == "https://api.acme.example/info"
    assert sent[1].url.path == "/costs/2026/5/a b"
    assert dict(sent[1].url.params) == {"since": "1777593600", "day": "2026-05-12T00:00:00Z", "past": "2026-04-12"}
    assert sent[1].headers["X-Now"] == "1778595930000"
    assert fields(seen, "costs") == {"amount": 3, "limit": 9}


def test_a_timed_request_that_can_not_be_sent_is_found_before_it_is(tmp_path: Path) -> None:
    text = HEAD + TIMED.replace('X-Now = "{now_ms}"', 'X-Site = "{site}-{now_ms}"')
    provider = load_provider(write_provider(tmp_path, text))
    with pytest.raises(ConfigError, match=r"accounts\.acme: the header X-Site would hold characters"):
        make_source("acme", provider, Secret(KEY), params={"site": "a\nb"})
