"""The providers that ship, fed with the answers that their vendors document."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from budgetd.collect.provider import Provider
from budgetd_rules.meters import view
from budgetd_rules.polls import Cause, Poll
from budgetd_rules.values import UNKNOWN, Value
from collecting import NOW, PROVIDERS, answer, details, document, fields, meters, read

DAY = timedelta(days=1)


def viewed(poll: Poll, meter: str) -> dict[str, Value]:
    """The known fields of the meter, derived ones included."""
    reading = next(reading for reading in poll.readings if reading.key.meter == meter)
    return {name: value for name, value in view(reading, NOW, DAY).fields.items() if value is not UNKNOWN}


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS.keys())
def test_a_provider_that_ships_says_where_its_facts_are_from(provider: Provider) -> None:
    assert "." in provider.docs
    assert provider.title
    assert provider.base_url.startswith("https://")
    assert provider.meters


# --- Cekura


def test_cekura_as_documented() -> None:
    poll = read("cekura", info=answer(document("cekura/billing_info")))
    assert poll.outages == ()
    assert poll.answered == {"credits", "subscription"}
    assert poll.identity == "37"
    assert {name: str(value) for name, value in fields(poll, "credits").items()} == {
        "remaining": "7436.08",
        "granted": "50000.00",
        "used": "36462.14",
        "expires_at": "2026-06-23 10:00:00+00:00",
        "overage_price": "0.08",
    }
    assert viewed(poll, "credits")["remaining_percent"] == Decimal("14.87216")
    assert fields(poll, "subscription") == {
        "status": "active",
        "active": True,
        "trial": False,
        "plan": "Enterprise",
        "expires_at": datetime(2026, 6, 15, 10, tzinfo=UTC),
        "days_until_expiry": Decimal(34),
        "last_payment_at": datetime(2026, 5, 15, 10, tzinfo=UTC),
    }


def test_cekura_without_a_subscription() -> None:
    poll = read("cekura", info=answer(document("cekura/billing_info_nulls")))
    assert poll.outages == ()
    assert viewed(poll, "credits") == {
        "remaining": Decimal("0.00"),
        "granted": Decimal("0.00"),
        "used": Decimal("36462.14"),
        "overage": Decimal(0),
    }
    assert fields(poll, "subscription") == {"status": "inactive", "active": False, "trial": False}


STATE = {"is_active": False, "is_trial": False, "days_until_expiry": None}
STATUSES = {
    "said": ({"status": "trial", "is_active": True}, "trial"),
    "expired": (STATE | {"days_until_expiry": -3}, "expired"),
    "trial": (STATE | {"is_trial": True, "is_active": True}, "trial"),
    "active": (STATE | {"is_active": True, "days_until_expiry": 34}, "active"),
    "inactive": (STATE, "inactive"),
    "unknown": ({"pack_name": "Pro"}, None),
    "a JSON text": ('{"status": "active"}', "active"),
    "null": (None, None),
    "the text null": ("null", None),
    "empty": ("", None),
}


@pytest.mark.parametrize(("state", "status"), STATUSES.values(), ids=STATUSES.keys())
def test_cekura_says_its_status_in_several_ways(state: object, status: str | None) -> None:
    body = document("cekura/billing_info") | {"subscription_status": state}
    poll = read("cekura", info=answer(body))
    assert fields(poll, "subscription").get("status") == status
    assert poll.outages == ()


def test_cekuras_status_that_is_just_a_word_is_named() -> None:
    poll = read("cekura", info=answer(document("cekura/billing_info") | {"subscription_status": "active"}))
    assert details(poll) == ["info malformed: subscription_status: expected an object, got the text 'active'"]
    assert fields(poll, "subscription") == {}
    assert fields(poll, "credits")["remaining"] == Decimal("7436.08")


def test_cekura_wants_the_organizations_key() -> None:
    poll = read("cekura", info=answer({"detail": "Project-scoped API keys are not allowed"}, 403))
    assert details(poll)[0].startswith("info rejected: HTTP 403: Project-scoped API keys are not allowed; Cekura's")


# --- Cargo


def test_cargo_as_documented() -> None:
    poll = read("cargo", subscription=answer(document("cargo/subscription")))
    assert poll.outages == ()
    assert poll.identity == "0b1c2d3e-0000-4000-8000-000000000002"
    assert viewed(poll, "credits") == {
        "granted": Decimal(10000),
        "used": Decimal(3200),
        "remaining": Decimal(6800),
        "remaining_percent": Decimal(68),
        "used_percent": Decimal(32),
        "overage": Decimal(0),
        "resets_at": datetime(2025, 2, 1, tzinfo=UTC),
        "overage_allowed": False,
        "auto_topup": True,
    }
    assert fields(poll, "subscription") == {
        "status": "active",
        "plan": "self-serve",
        "expires_at": datetime(2026, 1, 1, tzinfo=UTC),
        "pending_change": True,
    }


def test_cargo_with_nulls() -> None:
    poll = read("cargo", subscription=answer(document("cargo/subscription_nulls")))
    assert poll.outages == ()
    assert "overage_allowed" not in fields(poll, "credits")
    assert fields(poll, "credits")["auto_topup"] is False
    assert fields(poll, "credits")["resets_at"] == datetime(2025, 2, 1, tzinfo=UTC)
    assert fields(poll, "subscription") == {"plan": "self-serve", "pending_change": False}


def test_cargo_that_allows_more_than_was_granted() -> None:
    body = document("cargo/subscription")
    body["subscription"]["creditsOverageBehaviors"][1]["action"] = "allow"
    body["subscription"]["subscriptionCreditsUsedCount"] = 10250
    seen = viewed(read("cargo", subscription=answer(body)), "credits")
    assert (seen["overage_allowed"], seen["overage"], seen["remaining"]) == (True, Decimal(250), Decimal(-250))


def test_cargo_without_a_subscription_is_named() -> None:
    poll = read("cargo", subscription=answer({"subscription": None}))
    assert details(poll)[0].startswith("subscription malformed: answered, but with none of the values looked for")
    assert poll.answered == frozenset()
    poll = read("cargo", subscription=answer({"errorMessage": "No", "reason": "subscriptionNotFound"}, 404))
    assert details(poll) == ["subscription not_found: HTTP 404: No"]


# --- Sonzai


def test_sonzai_as_documented() -> None:
    poll = read("sonzai", billing=answer(document("sonzai/billing")), contract=answer(document("sonzai/contract")))
    assert poll.outages == ()
    assert poll.answered == {"credits", "postpaid", "contract", "schedule"}
    assert poll.identity == "tenant-1"
    assert fields(poll, "credits") == {"remaining": Decimal("124.35"), "currency": "USD"}
    assert viewed(poll, "postpaid")["used_percent"] == Decimal("9.1")
    assert fields(poll, "contract") == {
        "status": "active",
        "expires_at": datetime(2026, 12, 31, tzinfo=UTC),
        "auto_renew": True,
    }
    assert meters(poll)[3:] == ["schedule/2026-05", "schedule/2026-05-one-time", "schedule/2026-06"]
    assert viewed(poll, "schedule/2026-05-one-time") == {
        "amount": Decimal(500),
        "currency": "USD",
        "due_at": datetime(2026, 5, 20, tzinfo=UTC),
        "paid": False,
        "days_until_due": Decimal(8),
    }


def test_sonzai_with_nulls() -> None:
    poll = read(
        "sonzai",
        billing=answer(document("sonzai/billing_nulls")),
        contract=answer(document("sonzai/contract_nulls")),
    )
    assert poll.outages == ()
    assert meters(poll) == ["credits", "contract"]
    assert poll.answered == {"credits", "postpaid", "contract", "schedule"}


@pytest.mark.parametrize("status", [403, 404])
def test_sonzai_without_a_contract(status: int) -> None:
    none = answer({"title": "Not Found", "status": status}, status)
    poll = read("sonzai", billing=answer(document("sonzai/billing")), contract=none)
    assert poll.outages == ()
    assert meters(poll) == ["credits", "postpaid"]
    assert "schedule" in poll.answered


def test_sonzais_session_that_has_expired_says_so() -> None:
    error = answer({"title": "Unauthorized", "status": 401, "detail": "token has expired"}, 401)
    poll = read("sonzai", billing=error, contract=error)
    assert [outage.cause for outage in poll.outages] == [Cause.REJECTED, Cause.REJECTED]
    assert "token has expired; Sonzai's org endpoints want the session JWT" in poll.outages[0].detail


# --- uniqOS

RATE = {
    "X-RateLimit-Limit": "50",
    "X-RateLimit-Remaining": "49",
    "X-RateLimit-Reset": "2026-05-12T14:25:31Z",
    "X-Request-Id": "01J9ZK8Q5T3E9RJ5Q1V2W3X4Y5",
}
QUOTA = {
    "X-Quota-Turns-Used": "10000",
    "X-Turns-Limit": "10000",
    "x-quota-active-relationships": "80",
    "X-Quota-Relationships-Limit": "100",
    "X-Quota-Reset": "2026-06-01T00:00:00Z",
}


def test_uniqos_as_documented() -> None:
    poll = read("uniqos", subscription=answer(document("uniqos/subscription"), headers=RATE))
    assert poll.outages == ()
    assert viewed(poll, "rate_limit") == {
        "limit": Decimal(50),
        "remaining": Decimal(49),
        "used": Decimal(1),
        "used_percent": Decimal(2),
        "overage": Decimal(0),
        "resets_at": datetime(2026, 5, 12, 14, 25, 31, tzinfo=UTC),
        "hours_until_reset": Decimal(0),
    }
    assert fields(poll, "turns") == fields(poll, "relationships") == {}
    assert [reading.rolling for reading in poll.readings] == [True, False, True]


@pytest.mark.parametrize(
    ("status", "error", "cause"),
    [
        (429, "quota_exhausted", Cause.EXHAUSTED),
        (429, "rate_limit_exceeded", Cause.RATE_LIMITED),
        (403, "permission_denied", Cause.REJECTED),
        (402, "payment_required", Cause.EXHAUSTED),
    ],
)
def test_uniqos_says_its_quota_in_errors(status: int, error: str, cause: Cause) -> None:
    body = {"error": {"code": error, "message": "What happened"}}
    headers = RATE | QUOTA | {"Retry-After": "30"} if status == 429 else RATE | QUOTA
    poll = read("uniqos", subscription=answer(body, status, headers))
    assert [outage.cause for outage in poll.outages] == [cause]
    assert f"HTTP {status}: What happened [01J9ZK8Q5T3E9RJ5Q1V2W3X4Y5]" in poll.outages[0].detail
    assert poll.retry_after == (timedelta(seconds=30) if status == 429 else None)
    assert viewed(poll, "turns")["used_percent"] == Decimal(100)
    assert fields(poll, "turns")["resets_at"] == datetime(2026, 6, 1, tzinfo=UTC)
    assert fields(poll, "relationships") == {"used": Decimal(80), "limit": Decimal(100)}
    assert poll.answered == frozenset()


@pytest.mark.parametrize("name", ["quota_exhausted", "rate_limit_exceeded"])
def test_uniqos_429_without_headers_tells_its_cause_alone(name: str) -> None:
    poll = read("uniqos", subscription=answer(document(f"uniqos/{name}"), 429))
    assert poll.readings == ()
    assert poll.outages[0].cause is (Cause.EXHAUSTED if name == "quota_exhausted" else Cause.RATE_LIMITED)
