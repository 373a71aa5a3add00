"""What four vendors answer, as their public documents show it: every field, with their own example values.

Dates are moved to now. Three things the documents do not show, so what stands here is the demo's assumption:

- uniqOS: quota headers on a 200. The documents list them under 403 and 429 only, and name none of them.
- uniqOS: the body of a 200, which is published nowhere. Here it is `{}`.
- Cekura: the body of an error, of which only the texts of 403 and 404 are known.
"""

import json
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from budgetd.demo.books import DAY, Books, Vendor
from budgetd.demo.loopback import Answer
from budgetd.demo.usage_documents import cekura_payments, sonzai_usage

ASSUMPTION: Final = (
    "uniqOS documents its quota headers on 403 and 429 only, without their names: "
    "that a 200 has them too, and what they are called, is this demo's assumption."
)


def _cekura(books: Books, status: HTTPStatus, path: str, now: datetime) -> Answer:
    if status is not HTTPStatus.OK:
        return _json(status, {"detail": _CEKURA_SAYS.get(status, status.phrase)})
    return _json(status, _cekura_info(books, now) if "info" in path else cekura_payments(books.opened_at))


_CEKURA_SAYS: Final[Mapping[HTTPStatus, str]] = {
    HTTPStatus.UNAUTHORIZED: "Authentication credentials were not provided or are invalid.",
    HTTPStatus.FORBIDDEN: "Project-scoped API keys are not allowed",
    HTTPStatus.NOT_FOUND: "Billing information not found",
}


def _cekura_info(books: Books, now: datetime) -> dict[str, Any]:
    days = -((now - books.cekura_expires_at) // DAY)
    return {
        "balance_expiry": _iso(books.opened_at + 42 * DAY),
        "organization": 37,
        "credits_remaining": str(books.cekura_remaining),
        "credits_used": str(books.cekura_used),
        "initial_balance": str(books.cekura_granted),
        "subscription_status": {
            "status": "active" if days > 0 else "expired",
            "is_active": days > 0,
            "is_trial": False,
            "pack_name": "Enterprise",
            "expire_at": _iso(books.cekura_expires_at),
            "last_payment_at": _iso(books.cekura_expires_at - 46 * DAY),
            "days_until_expiry": days,
            "created_at": "2025-08-01T09:00:00Z",
            "pack": {
                "name": "Enterprise",
                "max_concurrent_runs_limit": 50,
                "max_concurrent_chat_runs_limit": 50,
                "max_agents_limit": 20,
                "max_members_limit": 10,
                "max_projects_limit": 10,
                "billing_type": "subscription",
                "subscription_overage": "0.08",
            },
        },
        "created_at": "2024-01-15T10:30:00Z",
        "updated_at": _iso(now),
    }


def _cargo(books: Books, status: HTTPStatus, _path: str, now: datetime) -> Answer:
    if status is HTTPStatus.OK:
        return _json(status, {"subscription": _cargo_subscription(books, now)})
    if status is HTTPStatus.NOT_FOUND:
        return _json(status, {"errorMessage": "Subscription not found", "reason": "subscriptionNotFound"})
    return Answer(status=status)  # others may come without a body


def _cargo_subscription(books: Books, now: datetime) -> dict[str, Any]:
    return {
        "uuid": "8d9f1b62-6a0e-4a58-9a5c-1f6f0f4a2b10",
        "workspaceUuid": "5b0c8a34-77d2-4f0e-8a0d-0f3b9f1c7e55",
        "provider": "stripe",
        "customerOrbId": None,
        "customerStripeId": "cus_demo",
        "subscriptionStatus": "active",
        "subscriptionStripeId": "sub_demo",
        "subscriptionAvailableCreditsCount": books.cargo_granted,
        "subscriptionCreditsUsedCount": books.cargo_used,
        "additionalAvailableCreditsCount": 0,
        "hasCredits": books.cargo_used < books.cargo_granted,
        "creditsOverageBehaviors": [{"unit": "billing.credits", "action": "deny"}],
        "createdAt": "2025-01-01T00:00:00.000Z",
        "updatedAt": _iso(now),
        "plan": "self-serve",
        "cadence": "monthly",
        "fixedPrice": 9900,
        "conversionRate": 1,
        "startAt": _iso(_midnight(books.opened_at) - 17 * DAY),
        "resetAt": _iso(_midnight(books.opened_at) + 14 * DAY),
        "endAt": None,
        "hasPendingChange": False,
        "futureChange": None,
        "topup": None,
    }


def _sonzai(books: Books, status: HTTPStatus, path: str, now: datetime) -> Answer:
    if status is HTTPStatus.OK:
        if path.endswith("billing"):
            return _json(status, _sonzai_profile(books, now))
        return _json(status, _sonzai_contract(books, now) if path.endswith("contract") else sonzai_usage(path, now))
    problem = {
        "$schema": "/api/v1/schemas/ErrorModel.json",
        "title": status.phrase,
        "status": status.value,
        "detail": status.description or status.phrase,
        "instance": f"/{path}",
        "type": "about:blank",
        "errors": None,
    }
    return _json(status, problem, content_type="application/problem+json")


def _sonzai_profile(books: Books, now: datetime) -> dict[str, Any]:
    return {
        "$schema": "/api/v1/schemas/TenantBillingProfile.json",
        "billingMode": "standard",
        "charPricePerMonthUsd": 0.1,
        "creditBalance": books.sonzai_balance,
        "currency": "USD",
        "eventPrices": {"diary": 0.1, "consolidation": 0.1},
        "freeCreditGranted": True,
        "inputTokenPricePer1KUsd": 0.1,
        "outputTokenPricePer1KUsd": 0.1,
        "outstandingUsd": books.sonzai_outstanding,
        "postpaidLimitUsd": books.sonzai_postpaid_limit,
        "servicePrices": {"tts_minute": 0.1},
        "tenantId": "tenant-demo",
        "tokenPricePer1KUsd": 0.1,
        "updatedAt": _iso(now),
    }


def _sonzai_contract(books: Books, now: datetime) -> dict[str, Any]:
    ends_at = books.sonzai_contract_ends_at
    return {
        "$schema": "/api/v1/schemas/EnterpriseContract.json",
        "autoRenew": books.sonzai_contract_renews,
        "bonusCreditsPaid": True,
        "bonusCreditsUsd": 0,
        "contractId": "3e2f6a54-4f0e-4f39-9d6c-5a3a5f0f9c01",
        "createdAt": _iso(ends_at - 365 * DAY),
        "creditPortionUsd": 9000,
        "endDate": _iso(ends_at),
        "onetimeAmountUsd": 0,
        "onetimeCreditUsd": 0,
        "onetimeServiceUsd": 0,
        "paymentAmountUsd": 1000,
        "paymentCreditUsd": 750,
        "paymentFrequency": "monthly",
        "paymentSchedule": [
            _sonzai_payment(books.opened_at, due_in=-12 * DAY, paid=True),
            _sonzai_payment(books.opened_at, due_in=+19 * DAY, paid=False),
        ],
        "paymentServiceUsd": 250,
        "servicePortionUsd": 3000,
        "startDate": _iso(ends_at - 365 * DAY),
        "status": "active",
        "tenantId": "tenant-demo",
        "totalValueUsd": 12000,
        "updatedAt": _iso(now),
    }


def _sonzai_payment(opened_at: datetime, *, due_in: timedelta, paid: bool) -> dict[str, Any]:
    due_at = _midnight(opened_at) + due_in
    return {
        "amountUsd": 1000,
        "creditUsd": 750,
        "dueDate": _iso(due_at),
        "isOneTime": False,
        "paid": paid,
        "period": f"{due_at:%Y-%m}",
        "serviceUsd": 250,
    }


def _uniqos(books: Books, status: HTTPStatus, _path: str, now: datetime) -> Answer:
    request_id = _ulid(now)
    headers = {"X-Request-Id": request_id}
    if status in (HTTPStatus.OK, HTTPStatus.TOO_MANY_REQUESTS):
        limited = status is not HTTPStatus.OK
        headers |= {
            "X-RateLimit-Limit": "10",
            "X-RateLimit-Remaining": "0" if limited else "9",
            "X-RateLimit-Reset": _iso(now + timedelta(seconds=1)),
        }
    if status in (HTTPStatus.OK, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS):
        headers |= _uniqos_quota(books)
    if status is HTTPStatus.TOO_MANY_REQUESTS:
        headers |= {"Retry-After": "1"}
    body = {} if status is HTTPStatus.OK else {"error": _uniqos_error(books, status, request_id)}
    return _json(status, body, headers=headers)


def _uniqos_quota(books: Books) -> dict[str, str]:
    return {
        "X-Quota-Turns-Used": str(books.uniqos_turns),
        "X-Quota-Turns-Limit": str(books.uniqos_turns_limit),
        "X-Quota-Relationships-Used": str(books.uniqos_relationships),
        "X-Quota-Relationships-Limit": str(books.uniqos_relationships_limit),
        "X-Quota-Reset": _iso(books.uniqos_period_ends_at),
    }


def _uniqos_error(books: Books, status: HTTPStatus, request_id: str) -> dict[str, Any]:
    code, kind = _UNIQOS_CODES.get(status, ("internal_error", "internal"))
    details = None
    if status is HTTPStatus.TOO_MANY_REQUESTS and books.uniqos_turns >= books.uniqos_turns_limit:
        code, kind, details = "quota_exhausted", "quota", {"component": "turns"}
    return {
        "code": code,
        "message": status.description or status.phrase,
        "type": kind,
        "request_id": request_id,
        "details": details,
        "documentation_url": f"https://docs.uniqos.ai/errors#{code}",
    }


_UNIQOS_CODES: Final[Mapping[HTTPStatus, tuple[str, str]]] = {
    HTTPStatus.BAD_REQUEST: ("validation_error", "validation"),
    HTTPStatus.UNAUTHORIZED: ("authentication_error", "authentication"),
    HTTPStatus.PAYMENT_REQUIRED: ("payment_required", "billing"),
    HTTPStatus.FORBIDDEN: ("permission_denied", "permission"),
    HTTPStatus.NOT_FOUND: ("not_found", "not_found"),
    HTTPStatus.TOO_MANY_REQUESTS: ("rate_limit_exceeded", "rate_limit"),
    HTTPStatus.SERVICE_UNAVAILABLE: ("service_unavailable", "internal"),
}

ANSWERS: Final[Mapping[Vendor, Callable[[Books, HTTPStatus, str, datetime], Answer]]] = {
    Vendor.CEKURA: _cekura,
    Vendor.CARGO: _cargo,
    Vendor.SONZAI: _sonzai,
    Vendor.UNIQOS: _uniqos,
}


def _json(
    status: HTTPStatus,
    body: object,
    *,
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    return Answer(status=status, body=json.dumps(body).encode(), content_type=content_type, headers=headers or {})


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def _ulid(now: datetime) -> str:
    """48 bits of milliseconds, 80 of chance, in 26 characters."""
    number = int(now.timestamp() * 1000) << 80 | secrets.randbits(80)
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))
