"""The process dies between any two steps from poll to message: nothing is lost, and every repeat says so."""

from datetime import timedelta
from pathlib import Path

import pytest

from budgetd_rules.polls import Cause, Outage
from build import NOON, minutes, reading
from house import House

OPENED = "ops: WARNING voice: 400 credits left"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "budgetd.db")


def test_nothing_dies(house: House) -> None:
    house.balance(400)
    house.deliver(minutes(1))
    house.deliver(minutes(2))
    assert house.titles == [OPENED]
    assert house.rows("SELECT state, reason FROM notices") == [("sent", "opened")]


def test_between_recording_and_judging(house: House) -> None:
    house.read(reading(remaining=400))
    house = house.restart()
    house.judge_all(minutes(1))
    house.deliver(minutes(1))
    assert house.titles == [OPENED]


def test_between_judging_and_the_attempt(house: House) -> None:
    house.balance(400)
    house = house.restart()
    house.judge_all(minutes(1))
    house.deliver(minutes(1))
    assert house.titles == [OPENED]


def test_between_the_attempt_and_the_send(house: House) -> None:
    house.balance(400)
    house.deliver(minutes(1), dies="before the send")
    assert house.titles == []
    house = house.restart()
    house.judge_all(minutes(2))
    house.deliver(minutes(2))
    assert house.titles == [OPENED]
    assert "may be a repeat" in house.mailbox.bodies[0]
    assert house.rows("SELECT outcome FROM attempts ORDER BY id") == [("unknown",), ("ok",)]


def test_between_the_send_and_its_receipt(house: House) -> None:
    house.balance(400)
    house.deliver(minutes(1), dies="after the send")
    house = house.restart()
    house.judge_all(minutes(2))
    house.deliver(minutes(2))
    house.deliver(minutes(3))
    assert house.titles == [OPENED, OPENED]
    assert ["may be a repeat" in body for body in house.mailbox.bodies] == [False, True]
    assert house.rows("SELECT outcome FROM attempts ORDER BY id") == [("unknown",), ("ok",)]


def test_after_the_receipt(house: House) -> None:
    house.balance(400)
    house.deliver(minutes(1))
    house = house.restart()
    house.judge_all(minutes(2))
    house.deliver(minutes(2))
    house.balance(390, minutes(5))
    house.deliver(minutes(5))
    assert house.titles == [OPENED]


def test_over_while_the_outcome_was_unknown_is_told_as_over(house: House) -> None:
    """The opening may have arrived, so the end has to be sent too."""
    house.balance(400)
    house.deliver(minutes(1), dies="after the send")
    house = house.restart()
    house.balance(9000, minutes(5))
    house.deliver(minutes(5))
    assert house.titles == [OPENED, "ops: RESOLVED voice: 9,000 credits left"]
    assert house.rows("SELECT state FROM notices ORDER BY id") == [("collapsed",), ("sent",)]


def test_went_bad_while_down(house: House) -> None:
    house.balance(900)
    house = house.restart()
    house.judge_all(minutes(60))
    house.balance(90, minutes(61))
    house.deliver(minutes(61))
    assert house.titles == ["ops: CRITICAL voice: 90 credits left"]


def test_a_failing_channel_is_tried_again_and_holds_up_no_other(tmp_path: Path) -> None:
    house = House(tmp_path / "budgetd.db", channels=["ops", "mail", "phone"])
    house.mailbox.failing.add("mail")
    house.balance(400)
    house.deliver(minutes(1))
    assert sorted(house.titles) == [OPENED, OPENED.replace("ops", "phone")]
    house.deliver(minutes(1) + timedelta(seconds=1))
    assert len(house.titles) == 2, "not before its pause is over"
    house.mailbox.failing.clear()
    house.deliver(minutes(2))
    assert house.titles[2:] == [OPENED.replace("ops", "mail")]


def test_opened_and_over_while_the_channel_was_down_is_one_line(house: House) -> None:
    house.mailbox.failing.add("ops")
    house.balance(400)
    house.deliver(minutes(1))
    house.balance(90, minutes(5))
    house.deliver(minutes(5))
    house.balance(9120, minutes(10))
    house.mailbox.failing.clear()
    house.deliver(minutes(40))
    assert house.titles == ["ops: PASSED voice: 9,120 credits left"]
    assert "Was critical from 12:00 UTC to 12:10 UTC (worst 90)" in house.mailbox.bodies[0]
    assert house.rows("SELECT DISTINCT state FROM notices ORDER BY state") == [("collapsed",), ("sent",)]


def test_an_outage_neither_resolves_nor_repeats(house: House) -> None:
    house.balance(400)
    house.deliver(minutes(1))
    down = Outage(request="info", cause=Cause.UNREACHABLE, detail="no answer")
    house.poll("voice", (), minutes(5), [down])
    house.judge(minutes(5))
    house.judge(minutes(600))
    house.deliver(minutes(600))
    assert house.titles == [OPENED]
    assert house.rows("SELECT cause, until_at FROM outages") == [("unreachable", None)]


def test_an_item_that_is_gone_from_its_list_ends_its_episode(house: House) -> None:
    house.read(reading("packs/a", remaining=400), reading("packs/b", remaining=400))
    house.judge(NOON)
    house.deliver(NOON)
    house.read(reading("packs/a", as_of=minutes(5), remaining=400), answered=["packs"])
    house.judge(minutes(5))
    house.deliver(minutes(5))
    assert house.titles[-1] == "ops: RESOLVED voice: packs/b is gone"
    assert house.rows("SELECT meter FROM latest WHERE kind = 'balance'") == [("packs/a",)]
    assert house.rows("SELECT meter FROM watches") == [("packs/a",)]
