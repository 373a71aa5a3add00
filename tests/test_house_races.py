"""Races: things that happen during a send, a poll or a sleep."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from budgetd.deliver.outbox import ASLEEP, PATIENCE, Outbox
from budgetd.store import database, due_times, notices
from budgetd.store.holds import add_hold, end_hold
from budgetd.store.notices import ChannelState, Outcome
from budgetd.store.requests import Request, RequestKind, add_requests, carry_out
from budgetd.threads import Worker
from budgetd_rules.holds import Hold, HoldKind
from budgetd_rules.lines import Settled
from budgetd_rules.notices import NoticeState
from build import NOON, minutes, reading
from house import House

DAY = 24 * 60


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "budgetd.db")


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        pytest.param(Outcome.OK, ["ops: RESOLVED voice: 9,000 credits left"], id="it arrived"),
        pytest.param(Outcome.FAILED, [], id="it did not"),
    ],
)
def test_what_is_dropped_while_it_is_sent_was_told_if_it_arrived(
    outcome: Outcome, told: list[str], house: House
) -> None:
    """It may have arrived, so its end is told too."""
    house.balance(400)
    (owed,) = notices.load(house.db, "ops", NOON).owed
    attempt = notices.begin(house.db, "ops", [owed.notice.id], "WARNING voice", "", NOON)
    add_requests(house.db, [Request(kind=RequestKind.DROP, target=owed.notice.id, at=NOON)])
    carry_out(house.db, ["ops"], NOON)
    settled = [Settled(notice=owed.notice.id, state=NoticeState.SENT, reason="opened")] if outcome is Outcome.OK else []
    notices.finish(house.db, attempt, outcome, None, timedelta(0), ChannelState(name="ops"), settled, NOON)
    house.balance(9000, minutes(5))
    house.deliver(minutes(5))
    assert house.titles == told


def test_nothing_is_told_beside_numbers_that_nobody_has_judged(house: House) -> None:
    """A poll is recorded just before the send, and judged just after it."""
    house.balance(400)
    house.read(reading(remaining=9000, as_of=minutes(5)))
    house.deliver(minutes(5))
    assert house.titles == [], "no WARNING with 9,000 credits"
    house.judge(minutes(5))
    house.deliver(minutes(5))
    assert house.titles == ["ops: PASSED voice: 9,000 credits left"]


def test_a_judgement_that_does_not_come_keeps_back_nothing_for_long(house: House) -> None:
    house.balance(400)
    house.read(reading(remaining=50, as_of=minutes(5)))
    house.deliver(minutes(6.5))
    assert house.titles == ["ops: WARNING voice: 50 credits left"]


def test_what_can_not_be_judged_keeps_back_nothing(house: House) -> None:
    """Otherwise an account that is polled each second would block its channel."""
    house.balance(400)
    with database.write(house.db):
        house.db.execute("UPDATE watches SET memory = 'no JSON'")
    house.read(reading(remaining=50, as_of=minutes(5)))
    house.judge(minutes(5))
    house.deliver(minutes(5))
    assert house.titles == ["ops: WARNING voice: 50 credits left"]


def test_what_a_silence_without_an_end_holds_is_not_looked_at_each_second(house: House) -> None:
    silence = add_hold(house.db, Hold(id="", kind=HoldKind.SILENCE, from_at=NOON, account="voice"))
    house.balance(400)
    assert due_times.due_channels(house.db, NOON) == ["ops"]
    house.deliver(NOON)
    assert due_times.due_channels(house.db, minutes(1)) == []
    end_hold(house.db, silence.id, "me", minutes(2))
    house.deliver(minutes(2))
    assert house.titles == ["ops: WARNING voice: 400 credits left"]


def test_after_a_sleep_nothing_dies_before_it_was_tried_again(tmp_path: Path) -> None:
    """The machine slept for a week with a failing channel: it is looked at before anybody notices the clock."""
    house = House(tmp_path / "budgetd.db", channels=["ops", "finance"])
    house.mailbox.failing = {"ops"}
    house.balance(400)

    async def rounds(*at: float) -> list[str]:
        """Delivery rounds of one outbox, which is not restarted."""
        worker = Worker("store of a test")
        db = await worker.run(database.open_for_daemon, house.path)
        channels = dict.fromkeys(house.routing.group_wait)
        outbox = Outbox(db, worker, channels, house.ruleset, house.routing, _spawn, lambda: None)  # type: ignore[arg-type]  # none is sent to
        found = []
        for minute in at:
            await outbox.deliver(minutes(minute))
            found += [state for (state,) in house.rows("SELECT state FROM notices WHERE channel = 'ops'")]
        await worker.run(db.close)
        return found

    house.deliver(NOON)
    awake, patient = ASLEEP / timedelta(minutes=1), PATIENCE / timedelta(minutes=1)
    week = 7 * DAY
    steady = [1 + awake * count for count in range(3)]
    looks = [week + awake * count for count in range(round(patient / awake) + 1)]
    assert asyncio.run(rounds(*steady, *looks)) == [*["waiting"] * (len(steady) + len(looks) - 1), "dead"]


def _spawn(name: str, _work: object) -> asyncio.Task[None]:
    raise AssertionError(name)
