"""The providers that ship, fed with the answers that their vendors document."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from budgetd.collect.provider import Provider
from budgetd.http import Answer
from budgetd_rules.meters import family, view
from budgetd_rules.polls import Cause, Poll
from budgetd_rules.values import UNKNOWN, Value
from collecting import DOCUMENTS, NOW, PROVIDERS, answer, details, document, fields, meters, read

DAY = timedelta(days=1)


def viewed(poll: Poll, meter: str) -> dict[str, Value]:
    """The known fields of the meter, derived ones included."""
    reading = next(reading for reading in poll.readings if reading.key.meter == meter)
    return {name: value for name, value in view(reading, NOW, DAY).fields.items() if value is not UNKNOWN}


def single(poll: Poll, meter: str, field: str = "") -> dict[str, Value]:
    """One field of a meter, or of each of the meters that it fans out to; without a name, the only one."""
    found = [one for one in poll.readings if family(one.key.meter) == meter]
    return {
        one.key.meter.removeprefix(meter).removeprefix("/"): one.fields[field or next(iter(one.fields))]
        for one in found
    }


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
    assert poll.answered == {"credits", "subscription", "cap", "payment", "paid", "payments"}
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


def test_cekuras_plan_caps() -> None:
    poll = read("cekura", info=answer(document("cekura/billing_info")))
    assert single(poll, "cap") == {
        "concurrent_runs": Decimal(50),
        "concurrent_chat_runs": Decimal(50),
        "agents": Decimal(20),
        "members": Decimal(10),
        "projects": Decimal(10),
    }


PAYMENTS = document("cekura/payment_history")


@pytest.mark.parametrize(
    "pages",
    [
        pytest.param([PAYMENTS], id="a bare list, as the schema has it"),
        pytest.param([{"results": PAYMENTS, "next": None}], id="one page"),
        pytest.param(
            [
                {
                    "results": PAYMENTS[:2],
                    "next": "https://api.cekura.ai/test_framework/billing/payment-history/?page=2",
                },
                {"results": PAYMENTS[2:], "next": None},
            ],
            id="two pages",
        ),
    ],
)
def test_what_was_paid_to_cekura(pages: list[object]) -> None:
    """The amounts of 30 days, by type and currency, which are never added up; and when the last of each type came."""
    poll = read("cekura", info=answer(document("cekura/billing_info")), payments=[answer(page) for page in pages])
    assert poll.outages == ()
    assert single(poll, "paid", "amount") == {
        "subscription/USD": Decimal("4000.00"),
        "auto_pay/USD": Decimal("250.00"),
        "auto_pay/INR": Decimal("8000.00"),
    }
    assert single(poll, "paid", "currency") == {"subscription/USD": "USD", "auto_pay/USD": "USD", "auto_pay/INR": "INR"}
    assert single(poll, "payments", "used") == {"subscription": Decimal(1), "auto_pay": Decimal(3)}
    assert single(poll, "payment", "last_payment_at") == {
        "subscription": datetime(2026, 5, 10, 10, tzinfo=UTC),
        "auto_pay": datetime(2026, 5, 2, 8, 30, tzinfo=UTC),
        "other": datetime(2026, 1, 10, 10, tzinfo=UTC),
    }
    assert viewed(poll, "payment/auto_pay")["days_since_payment"] == Decimal(10)


def test_cekura_is_not_asked_for_payments_of_nobody() -> None:
    """The organization is billing info's to name."""
    poll = read("cekura", info=answer({"detail": "No"}, 403))
    assert [outage.request for outage in poll.outages] == ["info"]
    body = document("cekura/billing_info")
    poll = read("cekura", info=answer({name: body[name] for name in body if name != "organization"}))
    assert len(poll.outages) == 1
    assert "organization" in poll.outages[0].detail


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
        "topup_below": Decimal(100),
    }
    assert fields(poll, "additional") == {"remaining": Decimal(0)}
    assert fields(poll, "subscription") == {
        "status": "active",
        "plan": "self-serve, monthly",
        "expires_at": datetime(2026, 1, 1, tzinfo=UTC),
        "pending_change": True,
        "changes_at": datetime(2025, 2, 1, tzinfo=UTC),
        "changes_to": "monthly",
    }
    assert single(poll, "overage") == {"storage.records": True, "billing.credits": False}
    assert single(poll, "cap") == {
        "price": Decimal(9900),
        "next_price": Decimal(19900),
        "next_credits": Decimal(25000),
        "topup_credits": Decimal(1000),
    }


def test_cargo_with_nulls() -> None:
    poll = read("cargo", subscription=answer(document("cargo/subscription_nulls")))
    assert poll.outages == ()
    assert "overage_allowed" not in fields(poll, "credits")
    assert fields(poll, "credits")["auto_topup"] is False
    assert fields(poll, "credits")["resets_at"] == datetime(2025, 2, 1, tzinfo=UTC)
    assert fields(poll, "subscription") == {"plan": "self-serve, monthly", "pending_change": False}
    assert single(poll, "cap") == {"price": Decimal(9900)}


def test_cargo_that_allows_more_than_was_granted() -> None:
    body = document("cargo/subscription")
    body["subscription"]["creditsOverageBehaviors"][1]["action"] = "allow"
    body["subscription"]["subscriptionCreditsUsedCount"] = 10250
    seen = viewed(read("cargo", subscription=answer(body)), "credits")
    assert (seen["overage_allowed"], seen["overage"], seen["remaining"]) == (True, Decimal(250), Decimal(-250))


def test_what_was_bought_besides_is_no_missing_topup_and_no_certain_stop_at_cargo() -> None:
    body = document("cargo/subscription")
    body["subscription"] |= {"subscriptionCreditsUsedCount": 9950, "additionalAvailableCreditsCount": 1000}
    poll = read("cargo", subscription=answer(body))
    seen = viewed(poll, "credits")
    assert (seen["remaining"], seen["auto_topup"], seen["topup_below"]) == (Decimal(50), True, Decimal(-900))
    assert "overage_allowed" not in seen
    assert fields(poll, "additional") == {"remaining": Decimal(1000)}
    assert single(poll, "overage")["billing.credits"] is False


def test_cargo_without_a_subscription_is_named() -> None:
    poll = read("cargo", subscription=answer({"subscription": None}))
    assert details(poll)[0].startswith("subscription malformed: answered, but with none of the values looked for")
    assert poll.answered == frozenset()
    poll = read("cargo", subscription=answer({"errorMessage": "No", "reason": "subscriptionNotFound"}, 404))
    assert details(poll) == ["subscription not_found: HTTP 404: No"]


# --- Sonzai


def sonzai(**answers: Answer) -> Poll:
    """The documented answers, but for those given."""
    return read("sonzai", **({name: answer(body) for name, body in DOCUMENTS["sonzai"].items()} | answers))


def test_sonzai_as_documented() -> None:
    poll = sonzai()
    assert poll.outages == ()
    assert poll.answered == PROVIDERS["sonzai"].meters.keys()
    assert poll.identity == "tenant-1"
    assert fields(poll, "credits") == {"remaining": Decimal("124.35"), "currency": "USD"}
    assert viewed(poll, "postpaid")["used_percent"] == Decimal("9.1")
    assert fields(poll, "billing") == {"plan": "standard"}
    assert fields(poll, "contract") == {
        "status": "active",
        "plan": "monthly",
        "expires_at": datetime(2026, 12, 31, tzinfo=UTC),
        "auto_renew": True,
    }
    assert single(poll, "schedule", "amount") == {
        "2026-05": Decimal("1000.5"),
        "2026-05-one-time": Decimal(500),
        "2026-06": Decimal("1000.5"),
    }
    assert viewed(poll, "schedule/2026-05-one-time") == {
        "amount": Decimal(500),
        "currency": "USD",
        "due_at": datetime(2026, 5, 20, tzinfo=UTC),
        "paid": False,
        "days_until_due": Decimal(8),
    }
    assert fields(poll, "active_characters") == {"used": Decimal(7)}


@pytest.mark.parametrize(
    ("meter", "values"),
    [
        (
            "price",
            {"character_month": "0.5", "tokens_1k": "0.0015", "input_tokens_1k": "0.001", "output_tokens_1k": "0.002"},
        ),
        ("event_price", {"diary": "0.01"}),
        ("service_price", {"tts": "0.03"}),
        ("character_price", {"billed": "0.5"}),
        ("event_unit_price", {"diary": "0.01", "consolidation": "0.05"}),
        ("service_unit_price", {"tts": "0.03"}),
        ("model_input_price", {"companion-1": "0.001", "companion-1-large": "0.004"}),
        ("model_output_price", {"companion-1": "0.002", "companion-1-large": "0.012"}),
        ("agreement", {"charge-1": "250.75"}),
        ("contract_term", {"payment_usd": "1000.5", "total_value_usd": "12506"}),
    ],
)
def test_sonzais_prices_are_caps_whose_change_is_noted(meter: str, values: dict[str, str]) -> None:
    assert single(sonzai(), meter) == {key: Decimal(value) for key, value in values.items()}


@pytest.mark.parametrize(
    ("meter", "amounts"),
    [
        ("character_spend", {"": "3.5"}),
        ("event_spend", {"": "5.25"}),
        ("event", {"diary": "4.2", "consolidation": "1.05"}),
        ("service_spend", {"": "3.6"}),
        ("service", {"tts": "3.6"}),
        ("estimated_cost", {"": "42.17"}),
        ("ledger", {"debit": "-14.75", "credit": "100"}),
    ],
)
def test_what_is_spent_at_sonzai(meter: str, amounts: dict[str, str]) -> None:
    poll = sonzai()
    assert single(poll, meter, "amount") == {key: Decimal(amount) for key, amount in amounts.items()}
    assert set(single(poll, meter, "currency").values()) == {"USD"}


def test_sonzai_with_nulls() -> None:
    """Every list may be null, the ledger's whole body among them."""
    events, services = document("sonzai/events") | {"byType": None}, document("sonzai/service_usage")
    poll = sonzai(
        billing=answer(document("sonzai/billing_nulls")),
        contract=answer(document("sonzai/contract_nulls")),
        events=answer(events),
        services=answer(services | {"byOperation": None}),
        ledger=answer("null"),
        pricing=answer("null"),
        agreements=answer("null"),
    )
    assert poll.outages == ()
    assert poll.answered == PROVIDERS["sonzai"].meters.keys()
    gone = {"postpaid", "schedule", "event", "service", "ledger", "model_input_price", "agreement"}
    assert not gone & {family(meter) for meter in meters(poll)}
    assert single(poll, "event_spend", "amount") == {"": Decimal("5.25")}


@pytest.mark.parametrize("status", [403, 404])
def test_sonzai_without_a_contract(status: int) -> None:
    poll = sonzai(contract=answer({"title": "Not Found", "status": status}, status))
    assert poll.outages == ()
    assert not {"contract", "contract_term", "schedule"} & {family(meter) for meter in meters(poll)}
    assert "schedule" in poll.answered


def test_sonzais_session_that_has_expired_says_so() -> None:
    error = answer({"title": "Unauthorized", "status": 401, "detail": "token has expired"}, 401)
    poll = read("sonzai", **dict.fromkeys(DOCUMENTS["sonzai"], error))
    assert {outage.cause for outage in poll.outages} == {Cause.REJECTED}
    assert "token has expired; Sonzai's org endpoints want the session JWT" in poll.outages[0].detail


def test_sonzais_problems_are_told_in_its_own_words() -> None:
    poll = sonzai(usage=answer(document("sonzai/error"), 400))
    assert details(poll) == [
        "usage malformed: HTTP 400 (the vendor refused the request): Property foo is required but is missing."
    ]
    assert single(poll, "credits", "remaining") == {"": Decimal("124.35")}
    assert "estimated_cost" not in poll.answered


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
    assert not {"rate_limit", "turns", "relationships"} & poll.answered


@pytest.mark.parametrize("name", ["quota_exhausted", "rate_limit_exceeded"])
def test_uniqos_429_without_headers_tells_its_cause_alone(name: str) -> None:
    poll = read("uniqos", subscription=answer(document(f"uniqos/{name}"), 429))
    assert poll.readings == ()
    assert poll.outages[0].cause is (Cause.EXHAUSTED if name == "quota_exhausted" else Cause.RATE_LIMITED)


def test_uniqos_says_more_in_bodies_that_nobody_has_published() -> None:
    """What is there is read, what is not is no outage: the names are guesses."""
    here = answer(document("uniqos/subscription"), headers=RATE)
    seen = read("uniqos", subscription=here, turns=answer({"turns_used": 7, "limit": 10}), credits=answer([1, 2]))
    assert seen.outages == ()
    assert fields(seen, "usage_turns") == {"used": Decimal(7), "limit": Decimal(10)}
    assert not {"usage_relationships", "credits"} & set(meters(seen))
    seen = read("uniqos", subscription=here, turns=answer({"turns_used": {"a": 1}}), credits=answer({"balance": "4.5"}))
    assert seen.outages == ()
    assert fields(seen, "credits") == {"remaining": Decimal("4.5")}
