"""Acks and silences, from the row that a command appends to what reaches a person."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from budgetd.store.holds import add_hold, end_hold
from budgetd_rules.holds import Hold, HoldKind
from budgetd_rules.rule import Clockwork, Level
from build import NOON, account, minutes, rule
from house import House

REMINDING = rule(remind=Clockwork(every=timedelta(hours=1)))
SILENCE = Hold(id="", kind=HoldKind.SILENCE, from_at=NOON, until_at=minutes(60), account="voice")


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "budgetd.db", rules=[REMINDING])


def play(house: House, course: Sequence[tuple[float, int]]) -> list[str]:
    """Judges and delivers these credits, by minutes after noon. Returns the titles of the messages."""
    before = len(house.titles)
    for at, remaining in course:
        house.balance(remaining, minutes(at))
        house.deliver(minutes(at))
    return [title.removeprefix("ops: ").partition(" voice")[0] for title in house.titles[before:]]


def acked(house: House, until_at: datetime | None = None, worse_than: Level | None = None) -> Hold:
    ((episode,),) = house.rows("SELECT id FROM episodes WHERE ended_at IS NULL")
    hold = Hold(id="", kind=HoldKind.ACK, from_at=NOON, episode=episode, until_at=until_at, worse_than=worse_than)
    return add_hold(house.db, hold)


# --- acks


@pytest.mark.parametrize(
    ("until_at", "worse_than", "course", "titles"),
    [
        pytest.param(None, None, [(60, 400), (121, 400)], [], id="no more reminders"),
        pytest.param(None, None, [(60, 400), (65, 50)], ["CRITICAL"], id="worse is told"),
        pytest.param(None, None, [(60, 9000)], ["RESOLVED"], id="over is told"),
        pytest.param(
            None,
            None,
            [(60, 9000), (65, 400), (126, 400)],
            ["RESOLVED", "WARNING", "REMINDER WARNING"],
            id="the next is another",
        ),
        pytest.param(
            None,
            Level.WARNING,
            [(60, 400), (65, 50), (126, 50)],
            ["CRITICAL", "REMINDER CRITICAL"],
            id="until worse",
        ),
        pytest.param(minutes(90), None, [(60, 400), (121, 400)], ["REMINDER WARNING"], id="until a time"),
    ],
)
def test_an_ack(
    house: House,
    until_at: datetime | None,
    worse_than: Level | None,
    course: list[tuple[float, int]],
    titles: list[str],
) -> None:
    play(house, [(0, 400)])
    acked(house, until_at, worse_than)
    assert play(house, course) == titles


def test_what_an_ack_holds_back_has_its_reason(house: House) -> None:
    play(house, [(0, 400)])
    acked(house)
    play(house, [(60, 400)])
    assert house.rows("SELECT state, reason FROM notices ORDER BY id") == [("sent", "opened"), ("dropped", "acked")]


def test_an_ack_survives_a_restart(house: House) -> None:
    play(house, [(0, 400)])
    acked(house)
    house = house.restart()
    house.judge_all(minutes(30))
    assert play(house, [(60, 400)]) == []


def test_an_ack_taken_back(house: House) -> None:
    play(house, [(0, 400)])
    hold = acked(house)
    play(house, [(60, 400)])
    end_hold(house.db, hold.id, "me", minutes(70))
    assert play(house, [(121, 400)]) == ["REMINDER WARNING"]


# --- silences


@pytest.mark.parametrize(
    ("before", "during", "after", "titles"),
    [
        pytest.param([], [(5, 400)], [(61, 400)], ["WARNING"], id="still bad after it: told once"),
        pytest.param([], [(5, 400), (10, 50)], [(61, 50)], ["CRITICAL"], id="critical is held too"),
        pytest.param([], [(5, 400), (10, 9000)], [(61, 9000)], [], id="over before the silence was: not told"),
        pytest.param([(0, 400)], [(10, 9000)], [(61, 9000)], ["RESOLVED"], id="who heard that it began hears the end"),
        pytest.param([(0, 400)], [(10, 50)], [(61, 50)], ["CRITICAL"], id="worse meanwhile"),
        pytest.param(
            [], [(5, 400), (10, 9000), (15, 400)], [(61, 400)], ["WARNING"], id="twice: only what is still bad"
        ),
    ],
)
def test_a_silence(
    before: list[tuple[float, int]],
    during: list[tuple[float, int]],
    after: list[tuple[float, int]],
    titles: list[str],
    tmp_path: Path,
) -> None:
    house = House(tmp_path / "budgetd.db")
    play(house, before)
    add_hold(house.db, SILENCE)
    assert play(house, during) == []
    assert play(house, after) == titles


def test_what_a_silence_holds_has_its_reason_and_its_end(house: House) -> None:
    hold = add_hold(house.db, replace(SILENCE, comment="moving house"))
    play(house, [(5, 400)])
    assert house.rows("SELECT state, reason, hold FROM notices") == [
        ("held", f"silence {hold.id}: moving house", hold.id)
    ]
    house.deliver(minutes(30))
    assert house.titles == []
    house.deliver(minutes(60))
    assert len(house.titles) == 1, "its end alone tells it, without a poll"


def test_a_silence_ended_sooner(house: House) -> None:
    hold = add_hold(house.db, SILENCE)
    play(house, [(5, 400)])
    end_hold(house.db, hold.id, "me", minutes(10))
    house = house.restart()
    house.deliver(minutes(11))
    assert len(house.titles) == 1


@pytest.mark.parametrize(
    ("silence", "is_silent"),
    [
        pytest.param(replace(SILENCE, account="vo*"), True, id="a pattern"),
        pytest.param(replace(SILENCE, account="other"), False, id="another account"),
        pytest.param(replace(SILENCE, account="*", rule="low-*"), True, id="the rule"),
        pytest.param(replace(SILENCE, account="*", meter="turns"), False, id="another meter"),
        pytest.param(replace(SILENCE, account="*", labels={"team": "voice"}), True, id="a label"),
        pytest.param(replace(SILENCE, account="*", labels={"team": "growth"}), False, id="another label"),
        pytest.param(replace(SILENCE, until_at=minutes(4)), False, id="over"),
    ],
)
def test_whom_a_silence_concerns(silence: Hold, is_silent: bool, tmp_path: Path) -> None:
    house = House(tmp_path / "budgetd.db", accounts=[account(team="voice")])
    add_hold(house.db, silence)
    assert play(house, [(5, 400)]) == ([] if is_silent else ["WARNING"])
