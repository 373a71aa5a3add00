"""The kinds of meters and the fields of each: their types, and whether the vendor gives them or we derive them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Final

from budgetd_rules.values import ValueType


class Kind(StrEnum):
    BALANCE = "balance"
    QUOTA = "quota"
    SPEND = "spend"
    SUBSCRIPTION = "subscription"
    CHARGE = "charge"
    CAP = "cap"
    CONNECTION = "connection"


# A name means one type in every kind, so that an expression can be checked before its meter is known.
FIELD_TYPES: Final[Mapping[str, ValueType]] = MappingProxyType(
    {
        "active": ValueType.BOOL,
        "amount": ValueType.NUMBER,
        "auto_renew": ValueType.BOOL,
        "auto_topup": ValueType.BOOL,
        "blind": ValueType.BOOL,
        "burn_per_day": ValueType.NUMBER,
        "cause": ValueType.TEXT,
        "changes_at": ValueType.TIME,
        "changes_to": ValueType.TEXT,
        "currency": ValueType.TEXT,
        "days_since_payment": ValueType.NUMBER,
        "days_until_change": ValueType.NUMBER,
        "days_until_due": ValueType.NUMBER,
        "days_until_expiry": ValueType.NUMBER,
        "detail": ValueType.TEXT,
        "due_at": ValueType.TIME,
        "expires_at": ValueType.TIME,
        "failures": ValueType.NUMBER,
        "granted": ValueType.NUMBER,
        "hours_since_success": ValueType.NUMBER,
        "hours_until_reset": ValueType.NUMBER,
        "last_payment_at": ValueType.TIME,
        "last_success_at": ValueType.TIME,
        "limit": ValueType.NUMBER,
        "overage": ValueType.NUMBER,
        "overage_allowed": ValueType.BOOL,
        "overage_price": ValueType.NUMBER,
        "paid": ValueType.BOOL,
        "pending_change": ValueType.BOOL,
        "period_end": ValueType.TIME,
        "period_start": ValueType.TIME,
        "plan": ValueType.TEXT,
        "reachable": ValueType.BOOL,
        "remaining": ValueType.NUMBER,
        "remaining_percent": ValueType.NUMBER,
        "resets_at": ValueType.TIME,
        "retry_until": ValueType.TIME,
        "runway_days": ValueType.NUMBER,
        "status": ValueType.TEXT,
        "topup_below": ValueType.NUMBER,
        "trial": ValueType.BOOL,
        "used": ValueType.NUMBER,
        "used_percent": ValueType.NUMBER,
        "value": ValueType.NUMBER,
    }
)


@dataclass(frozen=True)
class KindFields:
    """The fields of a kind: measured by the vendor, derived by us, and the one to show if there is room for one."""

    measured: tuple[str, ...]
    derived: tuple[str, ...]
    headline: str

    @cached_property
    def all(self) -> tuple[str, ...]:
        return self.measured + self.derived

    @property
    def given(self) -> tuple[str, ...]:
        """What a provider file may map: also a derived field that the vendor computes itself, unless it ages."""
        return tuple(name for name in self.all if name not in _ALWAYS_DERIVED)


# From the clock or from our own history: a vendor's number would be wrong a day later.
_ALWAYS_DERIVED: Final = frozenset(
    {
        "blind",
        "burn_per_day",
        "days_since_payment",
        "days_until_change",
        "days_until_due",
        "hours_since_success",
        "hours_until_reset",
        "runway_days",
    }
)


KINDS: Final[Mapping[Kind, KindFields]] = MappingProxyType(
    {
        Kind.BALANCE: KindFields(
            (
                "remaining",
                "granted",
                "used",
                "expires_at",
                "resets_at",
                "overage_allowed",
                "overage_price",
                "auto_topup",
                "topup_below",
                "currency",
            ),
            ("remaining_percent", "used_percent", "overage", "days_until_expiry", "burn_per_day", "runway_days"),
            "remaining",
        ),
        Kind.QUOTA: KindFields(
            ("used", "limit", "remaining", "resets_at"),
            ("used_percent", "overage", "hours_until_reset"),
            "used_percent",
        ),
        Kind.SPEND: KindFields(
            ("amount", "currency", "period_start", "period_end", "limit"), ("used_percent",), "amount"
        ),
        Kind.SUBSCRIPTION: KindFields(
            (
                "status",
                "active",
                "trial",
                "plan",
                "expires_at",
                "auto_renew",
                "pending_change",
                "changes_at",
                "changes_to",
                "last_payment_at",
            ),
            ("days_until_expiry", "days_until_change", "days_since_payment"),
            "days_until_expiry",
        ),
        Kind.CHARGE: KindFields(("amount", "currency", "due_at", "paid"), ("days_until_due",), "days_until_due"),
        Kind.CAP: KindFields(("value", "currency"), (), "value"),
        Kind.CONNECTION: KindFields(
            ("reachable", "failures", "cause", "detail", "last_success_at", "retry_until"),
            ("hours_since_success", "blind"),
            "cause",
        ),
    }
)

# What stays known when a reading is stale: dates, because they do not move while the vendor is silent, and what decides
# whether a date matters (an automatic renewal, a charge that was paid) or what happens on it.
OUTLASTS_STALENESS: Final = frozenset(
    {name for name, type_ in FIELD_TYPES.items() if type_ is ValueType.TIME}
    | {"auto_renew", "changes_to", "paid", "currency"}
)
