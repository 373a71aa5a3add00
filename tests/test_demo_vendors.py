"""The demo's vendors answer as the documents say, and fail as they are told to."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from typing import Any

import httpx
import pytest

from budgetd.demo.books import Vendor
from budgetd.demo.loopback import Fault
from budgetd.demo.vendors import KEYS, VendorServer

NOW = datetime(2026, 5, 12, 14, 25, 30, tzinfo=UTC)
PATHS = {
    Vendor.CEKURA: "/test_framework/billing/info/",
    Vendor.CARGO: "/v1/billing/subscription",
    Vendor.SONZAI: "/api/v1/org/billing",
    Vendor.UNIQOS: "/v1/billing/subscription",
}


@pytest.fixture
def vendors() -> Iterator[VendorServer]:
    with VendorServer(clock=lambda: NOW) as server:
        yield server


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=5, trust_env=False) as client:
        yield client


def credentials(vendor: Vendor, key: str | None = None) -> dict[str, str]:
    key = key or KEYS[vendor]
    return {"X-CEKURA-API-KEY": key} if vendor is Vendor.CEKURA else {"Authorization": f"Bearer {key}"}


def get(
    client: httpx.Client, vendors: VendorServer, vendor: Vendor, path: str | None = None, key: str | None = None
) -> httpx.Response:
    url = vendors.base_url(vendor) + (path or PATHS[vendor])
    return client.get(url, headers=credentials(vendor, key))


def body(response: httpx.Response) -> Any:
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    return response.json()


def test_cekura_answers_with_the_documented_example(client: httpx.Client, vendors: VendorServer) -> None:
    info = body(get(client, vendors, Vendor.CEKURA))
    assert info.keys() == {
        "balance_expiry",
        "organization",
        "credits_remaining",
        "credits_used",
        "initial_balance",
        "subscription_status",
        "created_at",
        "updated_at",
    }
    assert (info["credits_remaining"], info["credits_used"], info["initial_balance"]) == (
        "7436.08",
        "36462.14",
        "50000.00",
    )
    subscription = info["subscription_status"]
    assert (subscription["status"], subscription["pack_name"]) == ("active", "Enterprise")
    assert (subscription["days_until_expiry"], subscription["expire_at"]) == (34, "2026-06-15T13:55:30Z")
    assert subscription["pack"]["subscription_overage"] == "0.08"


def test_cekura_counts_days_past_the_end_as_negative(client: httpx.Client, vendors: VendorServer) -> None:
    with vendors.books() as books:
        books.cekura_expires_at = NOW - timedelta(days=2)
    subscription = body(get(client, vendors, Vendor.CEKURA))["subscription_status"]
    assert (subscription["status"], subscription["is_active"], subscription["days_until_expiry"]) == (
        "expired",
        False,
        -2,
    )


def test_cekura_spends_credits_and_counts_them_as_used(client: httpx.Client, vendors: VendorServer) -> None:
    with vendors.books() as books:
        books.spend_cekura(down_to="212.00")
    info = body(get(client, vendors, Vendor.CEKURA))
    assert Decimal(info["credits_remaining"]) == Decimal("212.00")
    assert Decimal(info["credits_used"]) == Decimal("36462.14") + Decimal("7436.08") - Decimal("212.00")


def test_cargo_answers_with_the_documented_example(client: httpx.Client, vendors: VendorServer) -> None:
    subscription = body(get(client, vendors, Vendor.CARGO))["subscription"]
    assert len(subscription) == 24
    assert subscription["subscriptionAvailableCreditsCount"] == 10000
    assert subscription["subscriptionCreditsUsedCount"] == 3200
    assert subscription["creditsOverageBehaviors"] == [{"unit": "billing.credits", "action": "deny"}]
    assert (subscription["endAt"], subscription["futureChange"], subscription["topup"]) == (None, None, None)
    assert subscription["resetAt"] == "2026-05-26T00:00:00Z"


def test_sonzai_answers_profile_and_contract(client: httpx.Client, vendors: VendorServer) -> None:
    profile = body(get(client, vendors, Vendor.SONZAI))
    assert profile["$schema"] == "/api/v1/schemas/TenantBillingProfile.json"
    assert (profile["outstandingUsd"], profile["postpaidLimitUsd"]) == (412.5, 5000.0)
    contract = body(get(client, vendors, Vendor.SONZAI, "/api/v1/org/contract"))
    assert contract["autoRenew"] is True
    assert [(payment["period"], payment["paid"]) for payment in contract["paymentSchedule"]] == [
        ("2026-04", True),
        ("2026-05", False),
    ]


def test_uniqos_says_everything_in_headers(client: httpx.Client, vendors: VendorServer) -> None:
    response = get(client, vendors, Vendor.UNIQOS)
    assert body(response) == {}
    assert len(response.headers["X-Request-Id"]) == 26
    assert response.headers["X-RateLimit-Reset"] == "2026-05-12T14:25:31Z"
    assert (response.headers["X-Quota-Turns-Used"], response.headers["X-Quota-Turns-Limit"]) == ("41200", "50000")
    assert "Retry-After" not in response.headers


@pytest.mark.parametrize("vendor", Vendor)
def test_a_wrong_key_is_refused(client: httpx.Client, vendors: VendorServer, vendor: Vendor) -> None:
    assert get(client, vendors, vendor, key="wrong").status_code == 401
    assert client.get(vendors.base_url(vendor) + PATHS[vendor]).status_code == 401


def trouble(client: httpx.Client, vendors: VendorServer, vendor: Vendor, status: HTTPStatus) -> httpx.Response:
    with vendors.books() as books:
        books.trouble[vendor] = status
    response = get(client, vendors, vendor)
    assert response.status_code == status
    return response


def test_cekura_says_why_it_refuses(client: httpx.Client, vendors: VendorServer) -> None:
    refused = trouble(client, vendors, Vendor.CEKURA, HTTPStatus.FORBIDDEN)
    missing = trouble(client, vendors, Vendor.CEKURA, HTTPStatus.NOT_FOUND)
    assert refused.json() == {"detail": "Project-scoped API keys are not allowed"}
    assert missing.json() == {"detail": "Billing information not found"}


def test_cargo_says_why_or_nothing_at_all(client: httpx.Client, vendors: VendorServer) -> None:
    missing = trouble(client, vendors, Vendor.CARGO, HTTPStatus.NOT_FOUND)
    assert missing.json() == {"errorMessage": "Subscription not found", "reason": "subscriptionNotFound"}
    assert trouble(client, vendors, Vendor.CARGO, HTTPStatus.TOO_MANY_REQUESTS).content == b""


def test_sonzai_answers_errors_as_problem_json(client: httpx.Client, vendors: VendorServer) -> None:
    response = trouble(client, vendors, Vendor.SONZAI, HTTPStatus.BAD_REQUEST)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json().keys() == {"$schema", "title", "status", "detail", "instance", "type", "errors"}


@pytest.mark.parametrize(
    ("turns", "status", "code", "headers"),
    [
        pytest.param(1, HTTPStatus.FORBIDDEN, "permission_denied", {"X-Quota-Turns-Used": "1"}, id="forbidden"),
        pytest.param(1, HTTPStatus.TOO_MANY_REQUESTS, "rate_limit_exceeded", {"Retry-After": "1"}, id="too fast"),
        pytest.param(
            50000, HTTPStatus.TOO_MANY_REQUESTS, "quota_exhausted", {"X-Quota-Turns-Used": "50000"}, id="used up"
        ),
        pytest.param(1, HTTPStatus.PAYMENT_REQUIRED, "payment_required", {}, id="unpaid"),
        pytest.param(1, HTTPStatus.SERVICE_UNAVAILABLE, "service_unavailable", {}, id="down"),
    ],
)
def test_uniqos_answers_errors_in_its_envelope(
    client: httpx.Client, vendors: VendorServer, turns: int, status: HTTPStatus, code: str, headers: dict[str, str]
) -> None:
    with vendors.books() as books:
        books.uniqos_turns = turns
    response = trouble(client, vendors, Vendor.UNIQOS, status)
    error = response.json()["error"]
    assert error.keys() == {"code", "message", "type", "request_id", "details", "documentation_url"}
    assert (error["code"], error["request_id"]) == (code, response.headers["X-Request-Id"])
    assert headers.items() <= {name: response.headers.get(name) for name in headers}.items()
    assert error["details"] == ({"component": "turns"} if code == "quota_exhausted" else None)


def test_a_reset_connection_is_an_error_of_the_transport(client: httpx.Client, vendors: VendorServer) -> None:
    with vendors.books() as books:
        books.trouble[Vendor.CARGO] = Fault.RESET
    with pytest.raises(httpx.ReadError):
        get(client, vendors, Vendor.CARGO)
    with vendors.books() as books:
        del books.trouble[Vendor.CARGO]
    assert get(client, vendors, Vendor.CARGO).status_code == 200


def test_a_hanging_vendor_holds_only_its_own_clients(client: httpx.Client, vendors: VendorServer) -> None:
    with vendors.books() as books:
        books.trouble[Vendor.SONZAI] = Fault.HANG
    with pytest.raises(httpx.ReadTimeout):
        client.get(vendors.base_url(Vendor.SONZAI) + PATHS[Vendor.SONZAI], timeout=0.1)
    assert get(client, vendors, Vendor.CARGO).status_code == 200


def test_a_connection_is_kept_and_each_request_counted(client: httpx.Client, vendors: VendorServer) -> None:
    for _ in range(3):
        get(client, vendors, Vendor.CARGO)
    get(client, vendors, Vendor.CEKURA, key="wrong")
    assert [vendors.requests(vendor) for vendor in Vendor] == [1, 3, 0, 0]
    kept = get(client, vendors, Vendor.CARGO).extensions["network_stream"].get_extra_info("client_addr")
    assert get(client, vendors, Vendor.CARGO).extensions["network_stream"].get_extra_info("client_addr") == kept


def test_a_stopped_server_refuses_and_leaves_no_connection(client: httpx.Client) -> None:
    with VendorServer() as vendors:
        url = vendors.base_url(Vendor.CARGO) + PATHS[Vendor.CARGO]
        client.get(url)
    with pytest.raises(httpx.ConnectError):
        client.get(url)


def test_every_body_is_json_with_the_digits_as_documented(client: httpx.Client, vendors: VendorServer) -> None:
    text = get(client, vendors, Vendor.CEKURA).text
    assert json.loads(text, parse_float=Decimal)["credits_remaining"] == "7436.08"
    assert get(client, vendors, Vendor.CARGO, "/v1/nowhere").status_code == 404
    assert client.get(vendors.base_url(Vendor.CARGO).replace("cargo", "unknown")).status_code == 404
