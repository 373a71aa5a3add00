"""What a poll says of the connection: whether it works, since when it does not, and the cause worth telling."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from budgetd_rules.encoding import read_value, write_value
from budgetd_rules.kinds import Kind
from budgetd_rules.meters import MeterKey, view
from budgetd_rules.polls import Cause, Connection, Outage, Poll, connect, connection_reading, worst_cause
from budgetd_rules.values import UNKNOWN, Value
from build import NOON, STALE_AFTER, minutes


def outages(*causes: Cause) -> tuple[Outage, ...]:
    return tuple(Outage(request="billing", cause=cause, detail="HTTP") for cause in causes)


def poll(*causes: Cause, at: datetime = NOON) -> Poll:
    return Poll(account="voice", provider="cekura", at=at, readings=(), outages=outages(*causes))


def fields(connection: Connection, of: Poll, now: datetime | None = None) -> dict[str, Value]:
    return dict(view(connection_reading(connection, of), now or of.at, STALE_AFTER).fields)


@pytest.mark.parametrize(
    ("causes", "failures", "last_success_at"),
    [
        pytest.param([], 0, minutes(10), id="it succeeded"),
        pytest.param([Cause.REJECTED], 4, NOON, id="it failed"),
        pytest.param([Cause.MALFORMED, Cause.NOT_FOUND], 4, NOON, id="two outages are one failure"),
    ],
)
def test_failures_are_counted_in_a_row(causes: list[Cause], failures: int, last_success_at: datetime) -> None:
    after = connect(Connection(failures=3, last_success_at=NOON), poll(*causes, at=minutes(10)))
    assert after == Connection(failures=failures, last_success_at=last_success_at)


def test_a_first_poll_that_fails_leaves_the_last_success_unknown() -> None:
    connection = connect(Connection(), poll(Cause.UNREACHABLE))
    assert connection == Connection(failures=1, last_success_at=None)
    assert fields(connection, poll(Cause.UNREACHABLE)) == {
        "reachable": False,
        "failures": 1,
        "cause": "unreachable",
        "detail": "HTTP",
        "last_success_at": UNKNOWN,
        "retry_until": UNKNOWN,
        "hours_since_success": UNKNOWN,
        "blind": False,
    }


def test_a_poll_that_succeeds_says_so() -> None:
    reading = connection_reading(connect(Connection(failures=7), poll()), poll())
    assert (reading.key, reading.kind, reading.as_of) == (MeterKey("voice", "connection"), Kind.CONNECTION, NOON)
    assert reading.fields == {"reachable": True, "failures": 0, "cause": "none", "last_success_at": NOON}


def test_hours_since_success_grow() -> None:
    failing = poll(Cause.VENDOR_ERROR, at=minutes(90))
    seen = fields(connect(Connection(last_success_at=NOON), failing), failing)
    assert (seen["hours_since_success"], seen["reachable"]) == (Decimal("1.5"), True)


@pytest.mark.parametrize("cause", [pytest.param(cause, id=cause) for cause in Cause])
def test_only_unreachable_is_not_reachable(cause: Cause) -> None:
    seen = fields(Connection(failures=1), poll(cause))
    assert seen["reachable"] is (cause is not Cause.UNREACHABLE)
    assert seen["cause"] == cause.value


def test_one_request_that_does_not_get_through_is_enough() -> None:
    assert fields(Connection(failures=1), poll(Cause.NOT_FOUND, Cause.UNREACHABLE))["reachable"] is False


WORST_FIRST = [
    Cause.REJECTED,
    Cause.CREDENTIAL,
    Cause.EXHAUSTED,
    Cause.UNREACHABLE,
    Cause.VENDOR_ERROR,
    Cause.RATE_LIMITED,
    Cause.NOT_FOUND,
    Cause.MALFORMED,
]


def test_every_cause_has_its_rank() -> None:
    assert set(WORST_FIRST) == set(Cause)


@pytest.mark.parametrize(
    ("worse", "other"), [pytest.param(*pair, id=f"{pair[0]} before {pair[1]}") for pair in pairwise(WORST_FIRST)]
)
def test_the_worst_cause_is_told(worse: Cause, other: Cause) -> None:
    assert worst_cause(outages(worse, other)) == worst_cause(outages(other, worse, other)) == worse


def test_no_outage_is_no_cause() -> None:
    assert worst_cause(()) == "none"


@pytest.mark.parametrize("causes", [[], [Cause.RATE_LIMITED]], ids=["none", "one"])
def test_a_cause_is_stored_as_the_text_that_rules_compare(causes: list[Cause]) -> None:
    cause = connection_reading(Connection(), poll(*causes)).fields["cause"]
    assert read_value("cause", write_value(cause)) == cause


@pytest.mark.parametrize("at", [NOON.replace(tzinfo=None), NOON.astimezone()], ids=["naive", "of another zone"])
def test_a_poll_takes_utc_only(at: datetime) -> None:
    with pytest.raises(ValueError, match="aware UTC"):
        Poll(account="voice", provider="cekura", at=at, readings=(), outages=())


def test_a_stale_connection_is_not_known_to_work() -> None:
    seen = fields(connect(Connection(), poll()), poll(), NOON + STALE_AFTER + timedelta(seconds=1))
    assert (seen["reachable"], seen["failures"], seen["cause"]) == (UNKNOWN, UNKNOWN, UNKNOWN)
    assert seen["last_success_at"] == NOON


def test_a_failure_stands_until_a_poll_succeeds() -> None:
    failing = poll(Cause.MALFORMED)
    seen = fields(connect(Connection(failures=1), failing), failing, NOON + STALE_AFTER + timedelta(seconds=1))
    assert (seen["reachable"], seen["failures"], seen["cause"], seen["detail"]) == (UNKNOWN, 2, "malformed", "HTTP")


def test_how_long_the_vendor_asks_to_wait_is_known() -> None:
    failing = replace(poll(Cause.RATE_LIMITED), retry_after=timedelta(hours=2))
    assert fields(connect(Connection(), failing), failing)["retry_until"] == minutes(120)
