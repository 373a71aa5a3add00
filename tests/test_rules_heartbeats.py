"""When a heartbeat is due to those outside, and why it is not."""

from datetime import datetime, timedelta

import pytest

from budgetd_rules.heartbeats import NextPoll, Pulse, why_unwell
from build import NOON, minutes

START = minutes(-600)


def polls(late: float, interval: float = 1, **others: float) -> dict[str, NextPoll]:
    """`late` and the others by so many minutes."""
    return {
        name: NextPoll(due_at=minutes(-count), interval=timedelta(minutes=interval))
        for name, count in {"voice": late, **others}.items()
    }


def pulse(
    *,
    stuck: str | None = None,
    store_error: str | None = None,
    polls: dict[str, NextPoll] | None = None,
    untold: dict[str, datetime] | None = None,
    since: datetime = START,
) -> Pulse:
    return Pulse(
        stuck=stuck,
        store_error=store_error,
        polls=polls or {},
        untold=untold or {},
        polls_since=since,
        sends_since=since,
    )


@pytest.mark.parametrize(
    ("now", "why"),
    [
        pytest.param(pulse(), None, id="nothing to do"),
        pytest.param(pulse(stuck="deliver"), "the room deliver does not move", id="a room"),
        pytest.param(pulse(store_error="database: disk I/O error"), "database: disk I/O error", id="the store"),
        pytest.param(pulse(polls=polls(-1)), None, id="a poll that is to come"),
        pytest.param(pulse(polls=polls(5)), None, id="five minutes late"),
        pytest.param(pulse(polls=polls(5.1)), "not polled, though due: voice", id="later"),
        pytest.param(pulse(polls=polls(30, interval=10)), None, id="three intervals late"),
        pytest.param(pulse(polls=polls(30.1, interval=10)), "not polled, though due: voice", id="later than those"),
        pytest.param(
            pulse(polls=polls(6, growth=8, fine=1)),
            "not polled, though due: growth and 1 more",
            id="several, the worst",
        ),
        pytest.param(pulse(polls=polls(500), since=minutes(-4)), None, id="just started, after a night off"),
        pytest.param(
            pulse(polls=polls(500), since=minutes(-6)), "not polled, though due: voice", id="started, no polls"
        ),
        pytest.param(pulse(untold={"ops": minutes(-15)}), None, id="fifteen minutes of retries"),
        pytest.param(pulse(untold={"ops": minutes(-16)}), "not told what is due: ops", id="a channel that fails"),
        pytest.param(pulse(untold={"ops": minutes(-500)}, since=minutes(-14)), None, id="a start with a full outbox"),
    ],
)
def test_why_unwell(now: Pulse, why: str | None) -> None:
    assert why_unwell(now, NOON) == why
