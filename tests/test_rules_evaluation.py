"""When the fields that a rule reads next change by the clock alone."""

from datetime import datetime, timedelta

import pytest

from budgetd_rules.evaluation import next_changes
from budgetd_rules.kinds import Kind
from budgetd_rules.values import Value
from build import NOON, STALE_AFTER, minutes, reading

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
NOW = minutes(90)


@pytest.mark.parametrize(
    ("kind", "fields", "names", "changes_at"),
    [
        pytest.param(Kind.BALANCE, {"remaining": 5}, {"remaining"}, None, id="a number stays until the next reading"),
        pytest.param(
            Kind.SUBSCRIPTION, {"expires_at": NOON + 9 * DAY}, {"days_until_expiry"}, NOON + DAY, id="days to a date"
        ),
        pytest.param(Kind.SUBSCRIPTION, {}, {"days_until_expiry"}, None, id="days to no date"),
        pytest.param(
            Kind.SUBSCRIPTION,
            {"days_until_expiry": 9, "expires_at": NOON + 9 * DAY + MINUTE},
            {"days_until_expiry"},
            NOON + DAY,
            id="the vendor's own count: by the day since the reading",
        ),
        pytest.param(
            Kind.SUBSCRIPTION, {"changes_at": minutes(91)}, {"days_until_change"}, minutes(91), id="days to a change"
        ),
        pytest.param(Kind.CHARGE, {"due_at": minutes(91)}, {"days_until_due"}, minutes(91), id="days to a charge"),
        pytest.param(
            Kind.SUBSCRIPTION, {"last_payment_at": NOON}, {"days_since_payment"}, NOON + DAY, id="days since a payment"
        ),
        pytest.param(Kind.QUOTA, {"resets_at": NOON + DAY}, {"hours_until_reset"}, NOW + MINUTE, id="hours"),
        pytest.param(
            Kind.CONNECTION,
            {"last_success_at": NOW, "retry_until": NOW + DAY},
            {"blind"},
            NOW + STALE_AFTER + timedelta.resolution,
            id="blind while the vendor asks us to wait",
        ),
        pytest.param(
            Kind.CONNECTION, {"last_success_at": NOW, "retry_until": minutes(91)}, {"blind"}, None, id="a shorter wait"
        ),
        pytest.param(Kind.CONNECTION, {"last_success_at": NOW}, {"blind"}, None, id="blind only by failed polls"),
        pytest.param(
            Kind.CONNECTION, {"last_success_at": NOON, "retry_until": NOON + DAY}, {"blind"}, None, id="blind already"
        ),
        pytest.param(
            Kind.CONNECTION,
            {"last_success_at": NOW, "retry_until": NOW + DAY},
            {"blind", "hours_since_success"},
            NOW + MINUTE,
            id="of several, the first",
        ),
    ],
)
def test_next_changes(kind: Kind, fields: dict[str, Value | int], names: set[str], changes_at: datetime | None) -> None:
    read = reading(kind=kind, as_of=NOON, fields=fields)
    assert min(next_changes(read, frozenset(names), NOW, STALE_AFTER), default=None) == changes_at
