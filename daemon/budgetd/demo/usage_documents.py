"""What Sonzai answers about usage, prices and the ledger, and Cekura about payments: as documented, and unchanging."""

from datetime import datetime
from typing import Any, Final

from budgetd.demo.books import DAY

_SCHEMAS: Final = "/api/v1/schemas"


def cekura_payments(opened_at: datetime) -> list[dict[str, Any]]:
    return [
        {
            "id": 901,
            "amount": "4000.00",
            "currency": "USD",
            "payment_type": "subscription",
            "description": "Enterprise",
            "stripe_payment_intent_id": "pi_demo",
            "created_at": (opened_at - 12 * DAY).isoformat(),
        }
    ]


def sonzai_usage(path: str, now: datetime) -> object:
    """The answer to one of the endpoints besides the billing profile and the contract; None where there is none."""
    month = f"{now:%Y-%m}"
    answers: dict[str, object] = {
        "characters": {
            "$schema": f"{_SCHEMAS}/ActiveCharacterSummary.json",
            "billedAt": now.isoformat(),
            "charChargeUsd": 0.7,
            "highWaterMark": 7,
            "month": month,
            "pricePerCharUsd": 0.1,
        },
        "events": {
            "$schema": f"{_SCHEMAS}/ContextEngineEventSummary.json",
            "byType": [{"chargeUsd": 4.2, "count": 42, "eventType": "diary", "unitPriceUsd": 0.1}],
            "month": month,
            "totalChargeUsd": 4.2,
            "totalEvents": 42,
        },
        "service-usage": {
            "$schema": f"{_SCHEMAS}/ServiceUsageSummary.json",
            "byOperation": [{"chargeUsd": 1.2, "count": 12, "operation": "tts", "unitPriceUsd": 0.1}],
            "month": month,
            "totalChargeUsd": 1.2,
            "totalEvents": 12,
        },
        "usage-summary": {
            "$schema": f"{_SCHEMAS}/OrgUsageSummaryBody.json",
            "charPricePerMonthUsd": 0.1,
            "creditBalanceUsd": 124.35,
            "estimatedCostUsd": 42.17,
            "inputTokenPricePer1KUsd": 0.1,
            "outputTokenPricePer1KUsd": 0.1,
            "tokenPricePer1KUsd": 0.1,
            "totalCharacters": 7,
            "totalInputTokens": 182000,
            "totalMessages": 530,
            "totalOutputTokens": 99000,
            "totalProjects": 1,
            "totalSessions": 61,
            "totalTokens": 281000,
        },
        "ledger": None,  # nullable, as lists are here
        "model-pricing": [{"inputPricePer1K": 0.1, "model": "companion-1", "outputPricePer1K": 0.1}],
        "service-agreements": [],
    }
    return answers[path.rpartition("/")[2]]
