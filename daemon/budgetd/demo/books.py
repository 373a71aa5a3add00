"""The demo's four vendors and what they have on their books about the customer."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from budgetd.demo.loopback import Fault


class Vendor(StrEnum):
    CEKURA = "cekura"
    CARGO = "cargo"
    SONZAI = "sonzai"
    UNIQOS = "uniqos"


DAY: Final = timedelta(days=1)


@dataclass(slots=True, kw_only=True)
class Books:
    """All that a story may change at the vendors. The defaults are the documents' examples, where they have one."""

    opened_at: datetime
    cekura_remaining: Decimal = Decimal("7436.08")
    cekura_used: Decimal = Decimal("36462.14")
    cekura_granted: Decimal = Decimal("50000.00")
    cekura_expires_at: datetime
    cargo_granted: int = 10000
    cargo_used: int = 3200
    sonzai_balance: float = 184.2
    sonzai_outstanding: float = 412.5
    sonzai_postpaid_limit: float = 5000.0
    sonzai_contract_ends_at: datetime
    sonzai_contract_renews: bool = True
    uniqos_turns: int = 41200
    uniqos_turns_limit: int = 50000
    uniqos_relationships: int = 310
    uniqos_relationships_limit: int = 1000
    uniqos_period_ends_at: datetime
    trouble: dict[Vendor, HTTPStatus | Fault] = field(default_factory=dict)
    """By vendor, what it does instead of answering well: an error of its documents, or a fault of its server."""

    def spend_cekura(self, down_to: str) -> None:
        remaining = Decimal(down_to)
        self.cekura_used += self.cekura_remaining - remaining
        self.cekura_remaining = remaining


def fresh_books(now: datetime) -> Books:
    return Books(
        opened_at=now,
        # Half an hour less than a whole number of days, so that no count changes while a story is told.
        cekura_expires_at=now + 34 * DAY - timedelta(minutes=30),
        sonzai_contract_ends_at=now + 300 * DAY - timedelta(minutes=30),
        uniqos_period_ends_at=now + 16 * DAY - timedelta(minutes=30),
    )
