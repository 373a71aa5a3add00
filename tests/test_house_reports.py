"""Digests and drills, from the appointment to what arrives, over restarts, crashes, nights and days without power."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from budgetd.deliver.templates import Template
from budgetd.store.outbox import load_entries
from budgetd.store.requests import Request, RequestKind, add_requests
from budgetd_rules.appointments import Report
from budgetd_rules.formats import Format
from budgetd_rules.judgement import Ruleset
from build import account
from house import House, diary

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
DIGEST = {Report.DIGEST: "mon 09:00"}
BOTH = {Report.DIGEST: "mon 09:00", Report.DRILL: "mon 09:00"}
WELL = "ops: DIGEST all is well: 1 account"
DRILL = "ops: DRILL: budgetd reaches you here"


def at(clock: str, days: int = 0) -> datetime:
    """On that Monday, or so many days later."""
    hour, minute = map(int, clock.split(":"))
    return MONDAY + timedelta(days=days, hours=hour, minutes=minute)


def make(tmp_path: Path, reports: dict[Report, str] | None = None, **more: Any) -> House:
    """A house that was started on the Saturday before, and has polled since."""
    house = House(tmp_path / "budgetd.db", reports=reports or DIGEST, **more)
    house.start(at("12:00", -2))
    house.balance(9000, at("08:59"))
    return house


def configure(house: House, now: datetime, reports: dict[Report, str]) -> None:
    """Applies a new config, as a reload does."""
    house.routing = replace(house.routing, diaries={"ops": diary(reports)} if reports else {})
    house.start(now)


def states(house: House) -> list[tuple[str, str]]:
    return house.rows("SELECT id, state FROM notices ORDER BY id")


def test_a_digest_is_told_once_at_its_time(tmp_path: Path) -> None:
    house = make(tmp_path)
    house.deliver(at("08:59"))
    assert house.titles == []
    for clock in ("09:00", "09:01", "12:00"):
        house.deliver(at(clock))
    assert house.titles == [WELL]
    assert "voice: 9,000 credits left" in house.mailbox.bodies[0]
    house = house.restart()
    house.start(at("13:00"))
    house.deliver(at("13:01"), planned_at=at("13:00"))
    assert house.titles == [WELL]
    assert states(house) == [("digest-2026-11-23@ops", "sent")]


def test_a_first_start_owes_nothing_for_the_past(tmp_path: Path) -> None:
    house = House(tmp_path / "budgetd.db", reports=DIGEST)
    house.start(at("09:01"))
    house.deliver(at("09:01"))
    assert states(house) == []
    house.deliver(at("09:00", 7))
    assert states(house) == [("digest-2026-11-30@ops", "sent")]


@pytest.mark.parametrize(
    ("now", "reports", "later", "told"),
    [
        pytest.param("09:30", {Report.DIGEST: "mon 10:00"}, "10:00", [WELL], id="another time on the same day"),
        pytest.param("08:59", {Report.DIGEST: "mon 08:00"}, "09:00", [], id="a time that has passed"),
        pytest.param("09:30", {Report.DIGEST: "mon-tue 9:00"}, "10:00", [WELL], id="other days"),
        pytest.param("09:30", BOTH, "10:00", [WELL], id="a drill as well, from next time on"),
        pytest.param("09:30", DIGEST, "10:00", [WELL], id="nothing else"),
    ],
)
def test_a_reload(now: str, reports: dict[Report, str], later: str, told: list[str], tmp_path: Path) -> None:
    house = make(tmp_path)
    house.deliver(at(now))
    configure(house, at(now), reports)
    house.deliver(at(later))
    assert house.titles == told


def test_a_digest_that_left_the_config_and_comes_back_counts_anew(tmp_path: Path) -> None:
    house = make(tmp_path)
    configure(house, at("08:59"), {})
    configure(house, at("09:30"), DIGEST)
    house.deliver(at("09:30"))
    assert states(house) == []


def test_after_days_without_power_only_the_last_is_told(tmp_path: Path) -> None:
    house = make(tmp_path, {Report.DIGEST: "09:00", Report.DRILL: "mon 10:00"})
    house.deliver(at("09:00"))
    house = house.restart()
    house.start(at("14:00", 5))
    house.deliver(at("14:01", 5), planned_at=at("14:00", 5))
    house.deliver(at("14:02", 5))
    assert [title.partition(" ")[2].partition(" ")[0] for title in house.titles] == ["DIGEST", "DIGEST", "DRILL:"]
    assert states(house) == [
        ("digest-2026-11-23@ops", "sent"),
        ("digest-2026-11-28@ops", "sent"),
        ("drill-2026-11-23@ops", "sent"),
    ]


def test_after_a_start_it_waits_for_the_first_polls(tmp_path: Path) -> None:
    house = make(tmp_path, {Report.DIGEST: "09:00"})
    house.mailbox.failing.add("ops")
    house.deliver(at("09:00"))
    house = house.restart()
    house.mailbox.failing.clear()
    house.start(at("14:00", 2))
    house.deliver(at("14:00", 2), planned_at=at("14:00", 2))
    assert (house.titles, states(house)) == ([], [("digest-2026-11-23@ops", "waiting")])
    house.balance(7000, at("14:00", 2))
    house.deliver(at("14:01", 2), planned_at=at("14:00", 2))
    assert house.titles == [WELL]
    assert states(house) == [("digest-2026-11-23@ops", "collapsed"), ("digest-2026-11-25@ops", "sent")]


@pytest.mark.parametrize(
    ("dies", "titles"),
    [
        pytest.param("before the send", [WELL], id="before the send"),
        pytest.param("after the send", [WELL, WELL], id="before anybody wrote it down"),
    ],
)
def test_a_crash(dies: str, titles: list[str], tmp_path: Path) -> None:
    house = make(tmp_path)
    house.deliver(at("09:00"), dies=dies)
    house = house.restart()
    house.start(at("09:05"))
    house.deliver(at("09:06"), planned_at=at("09:05"))
    assert house.titles == titles
    assert "may be a repeat" in house.mailbox.bodies[-1]
    assert states(house) == [("digest-2026-11-23@ops", "sent")]


def test_what_failed_is_tried_again_after_a_restart(tmp_path: Path) -> None:
    house = make(tmp_path)
    house.mailbox.failing.add("ops")
    house.deliver(at("09:00"))
    house.mailbox.failing.clear()
    house = house.restart()
    house.deliver(at("09:05"))
    assert house.titles == [WELL]
    assert "may be a repeat" not in house.mailbox.bodies[0]


def test_quiet_hours_hold_it_and_it_says_what_is_so_then(tmp_path: Path) -> None:
    house = make(tmp_path, quiet=["08:00-11:00"])
    house.deliver(at("09:00"))
    assert (house.titles, states(house)) == ([], [("digest-2026-11-23@ops", "held")])
    house.balance(8000, at("10:59"))
    house.deliver(at("11:00"))
    assert house.titles == [WELL]
    assert "8,000 credits left" in house.mailbox.bodies[0]


def test_what_is_parked_is_not_in_it(tmp_path: Path) -> None:
    house = make(tmp_path)
    house.balance(400, at("08:59"))
    house.deliver(at("08:59"))
    house.ruleset = Ruleset([], [account()])
    house.start(at("08:59"))
    house.deliver(at("09:00"))
    assert house.titles[1:] == [WELL]


def test_changes_go_first_and_alone(tmp_path: Path) -> None:
    house = make(tmp_path)
    house.balance(90, at("09:00"))
    house.deliver(at("09:00"))
    house.deliver(at("09:00"))
    first, second = house.titles
    assert first.startswith("ops: CRITICAL voice")
    assert second == "ops: DIGEST 1 open, 1 account"
    assert "CRITICAL voice: 90 credits left, since 09:00 UTC" in house.mailbox.bodies[1]
    assert "DIGEST" not in house.mailbox.bodies[0]


def test_a_message_that_the_service_refuses_does_not_hold_it_back(tmp_path: Path) -> None:
    house = make(tmp_path)
    house.mailbox.refused = "episode"
    house.balance(90, at("09:00"))
    for minute in range(0, 60, 5):
        house.deliver(at(f"09:{minute:02}"))
    assert house.titles == ["ops: DIGEST 1 open, 1 account"]


def test_several_that_wait_become_the_newest(tmp_path: Path) -> None:
    house = make(tmp_path, {Report.DIGEST: "09:00"})
    house.mailbox.failing.add("ops")
    for day in (0, 1):
        house.deliver(at("09:00", day))
    house.mailbox.failing.clear()
    house.deliver(at("12:00", 1))
    assert len(house.titles) == 1
    assert states(house) == [("digest-2026-11-23@ops", "collapsed"), ("digest-2026-11-24@ops", "sent")]


def test_it_dies_after_three_days_and_is_told_nowhere_else(tmp_path: Path) -> None:
    house = make(tmp_path, channels=("ops", "boss"))
    house.routing = replace(house.routing, diaries={"ops": diary(DIGEST)})
    house.mailbox.failing.add("ops")
    house.deliver(at("09:00"))
    house.deliver(at("09:01", 3))
    ((reason,),) = house.rows("SELECT reason FROM notices WHERE state = 'dead'")
    assert reason.startswith("not delivered for 3 days, and the next digest says the same: Failed to send")
    assert house.titles == []
    (entry,) = load_entries(house.db)
    assert (entry.report, entry.kind, entry.state) == ("digest", None, "dead")

    house.mailbox.failing.clear()
    retry = Request(kind=RequestKind.RETRY, target=entry.id, at=at("10:00", 3))
    add_requests(house.db, [retry])
    house.deliver(at("10:00", 3))
    assert len(house.titles) == 1


def test_a_channel_that_left_the_config_is_owed_no_digest(tmp_path: Path) -> None:
    house = make(tmp_path, channels=("ops", "boss"))
    house.routing = replace(house.routing, diaries={"ops": diary(DIGEST)})
    house.mailbox.failing.add("ops")
    house.deliver(at("09:00"))
    house.routing = replace(house.routing, group_wait={"boss": timedelta(0)}, diaries={})
    house.deliver(at("09:01"))
    assert house.titles == []
    assert house.rows("SELECT state, reason FROM notices") == [("dropped", "the channel left the config")]


def test_a_drill_that_fails_is_a_failing_channel(tmp_path: Path) -> None:
    house = make(tmp_path, {Report.DRILL: "mon 09:00"})
    house.mailbox.failing.add("ops")
    house.deliver(at("09:00"))
    assert house.rows("SELECT failures FROM channels WHERE name = 'ops'") == [(1,)]
    house.mailbox.failing.clear()
    house.deliver(at("09:01"))
    assert house.titles == [DRILL]


def test_a_channels_own_words_are_for_changes(tmp_path: Path) -> None:
    own = Template(body="{% for line in lines %}{{ line.account }}{% endfor %}", to=Format.TEXT)
    house = make(tmp_path, templates={"ops": own})
    house.deliver(at("09:00"))
    assert house.titles == [WELL]
    assert "template failed" not in house.mailbox.bodies[0]


def test_in_the_zone_of_the_channel_where_summer_ends(tmp_path: Path) -> None:
    """02:30 comes twice on 25 October: told once."""
    house = House(tmp_path / "budgetd.db", reports={Report.DIGEST: "02:30"}, zone=ZoneInfo("Europe/Berlin"))
    house.start(datetime(2026, 10, 24, 12, tzinfo=UTC))
    for hour, minute in ((0, 29), (0, 30), (1, 30), (1, 31)):
        house.deliver(datetime(2026, 10, 25, hour, minute, tzinfo=UTC))
    assert states(house) == [("digest-2026-10-25@ops", "sent")]


def test_a_clock_that_was_set_back_owes_no_day_twice(tmp_path: Path) -> None:
    house = make(tmp_path, {Report.DIGEST: "09:00"})
    house.deliver(at("09:00", 1))
    house.deliver(at("09:00"), planned_at=at("08:00"))
    house.deliver(at("09:00", 1))
    assert states(house) == [("digest-2026-11-23@ops", "sent"), ("digest-2026-11-24@ops", "sent")]


def test_a_row_that_makes_no_sense_holds_up_no_digest(tmp_path: Path) -> None:
    house = make(tmp_path)
    house.db.execute("UPDATE latest SET fields = 'no JSON' WHERE meter = 'credits'")
    house.db.conn.commit()
    house.deliver(at("09:00"))
    assert house.titles == [WELL]
