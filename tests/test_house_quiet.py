"""Quiet hours and escalation, from the store to what reaches a person, through nights of every kind."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from budgetd.store.holds import add_hold, end_hold
from budgetd_rules.holds import Hold, HoldKind
from budgetd_rules.routing import Route, Routing
from budgetd_rules.rule import Clockwork, Level
from budgetd_rules.schedules import Quiet, parse_range
from build import rule
from house import House

NIGHT = ["22:00-07:00"]
BERLIN = ZoneInfo("Europe/Berlin")
Course = Sequence[tuple[str, int]]


def night(text: str) -> datetime:
    """`23:00` is of the evening of 23 November 2026, a Monday; what is before noon is of the morning after it."""
    day = "2026-11-23" if text >= "12:00" else "2026-11-24"
    return datetime.fromisoformat(f"{day}T{text}+00:00")


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "budgetd.db", quiet=NIGHT)


def play(house: House, course: Course) -> list[str]:
    """Judges and delivers these credits, by time. Returns the messages, with their times."""
    return [line for at, left in course for line in tell(house, at, left)]


def tell(house: House, at: str, left: int | None = None) -> list[str]:
    """Polls if there are credits, and delivers. Returns the messages."""
    before = len(house.titles)
    if left is not None:
        house.balance(left, night(at))
    house.deliver(night(at))
    titles = [title.partition(" voice")[0].replace("ops: ", "") for title in house.titles[before:]]
    return [f"{at} {title}" for title in titles]


def states(house: House) -> list[tuple[str, str, str]]:
    return house.rows("SELECT state, reason, coalesce(hold, '') FROM notices ORDER BY id")


# --- what a night holds


@pytest.mark.parametrize(
    ("course", "told"),
    [
        pytest.param([("23:00", 400), ("06:59", 400), ("07:00", 400)], ["07:00 WARNING"], id="a warning waits"),
        pytest.param([("23:00", 90), ("07:00", 90)], ["23:00 CRITICAL"], id="critical breaks through"),
        pytest.param(
            [("23:00", 400), ("03:00", 90), ("05:00", 9000), ("07:00", 9000)],
            ["03:00 CRITICAL", "07:00 RESOLVED"],
            id="it worsens to critical at three: told then, once; its end waits",
        ),
        pytest.param(
            [("23:00", 400), ("03:00", 9000), ("07:00", 9000)],
            ["07:00 PASSED"],
            id="fires and resolves in the night: one line",
        ),
        pytest.param(
            [("21:00", 400), ("23:00", 9000), ("07:00", 9000)], ["21:00 WARNING", "07:00 RESOLVED"], id="a top-up"
        ),
        pytest.param(
            [("23:00", 400), ("00:00", 9000), ("01:00", 400), ("07:00", 400)],
            ["07:00 1 WARNING, 1 PASSED:"],
            id="twice: what is still true and what passed, in one message",
        ),
        pytest.param(
            [("21:00", 90), ("23:00", 400), ("23:45", 400), ("00:30", 400), ("02:00", 90), ("07:00", 90)],
            ["21:00 CRITICAL", "02:00 CRITICAL"],
            id="eased in the night, and critical again",
        ),
    ],
)
def test_a_night(course: Course, told: list[str], house: House) -> None:
    assert play(house, course) == told
    assert {state for state, _, _ in states(house)} <= {"sent", "collapsed"}
    assert tell(house, "08:00") == []


def test_reminders_of_a_night_are_one_in_the_morning(tmp_path: Path) -> None:
    house = House(tmp_path / "budgetd.db", rules=[rule(remind=Clockwork(every=timedelta(hours=2)))], quiet=NIGHT)
    course = [("21:00", 90), ("23:00", 90), ("01:00", 90), ("03:00", 90), ("05:00", 90), ("07:00", 90)]
    assert play(house, course) == ["21:00 CRITICAL", "07:00 REMINDER CRITICAL"]


def test_a_note_waits(tmp_path: Path) -> None:
    noting = rule(warning=None, critical=None, on_change=("remaining",))
    house = House(tmp_path / "budgetd.db", rules=[noting], quiet=NIGHT)
    assert play(house, [("21:00", 900), ("23:00", 800), ("07:00", 800)]) == ["07:00 NOTED"]


def test_what_is_held_has_its_reason_and_its_end_in_the_zone_of_the_channel(tmp_path: Path) -> None:
    house = House(tmp_path / "budgetd.db", quiet=NIGHT, zone=BERLIN)
    assert play(house, [("23:00", 400)]) == []
    assert states(house) == [("held", "quiet until 07:00 CET (Tue)", "quiet")]
    assert house.rows("SELECT due_at FROM notices") == [("2026-11-24T06:00:00.000000Z",)]
    assert tell(house, "06:00") == ["06:00 WARNING"]
    assert "Since 00:00 CET" in house.mailbox.bodies[0], "the times of its messages too"


def test_what_is_held_is_not_written_again_each_second(house: House) -> None:
    play(house, [("23:00", 400)])
    before = house.rows("PRAGMA data_version")
    assert tell(house, "23:00") + tell(house, "06:59") == []
    assert house.rows("PRAGMA data_version") == before


# --- restarts, other hours, another clock


def test_a_restart_in_the_night_repeats_nothing_and_tells_nothing(house: House) -> None:
    assert play(house, [("21:00", 50), ("23:00", 9000), ("01:00", 400)]) == ["21:00 CRITICAL"]
    for at in ("02:00", "03:00"):
        house = house.restart()
        house.judge_all(night(at))
        house.plan(night(at))
        assert tell(house, at) == []
    assert play(house, [("07:00", 400)]) == ["07:00 1 WARNING, 1 RESOLVED:"]


@pytest.mark.parametrize(
    ("hours", "told"),
    [
        pytest.param([], ["00:00 WARNING"], id="none any more: at once"),
        pytest.param(["22:00-23:30"], ["00:00 WARNING"], id="over by now: at once"),
        pytest.param(["22:00-01:00"], ["01:00 WARNING"], id="an earlier end"),
        pytest.param(["22:00-08:00"], ["08:00 WARNING"], id="a later end"),
    ],
)
def test_other_quiet_hours_hold_at_once(hours: list[str], told: list[str], house: House) -> None:
    play(house, [("23:00", 400)])
    quiet = {"ops": Quiet(ranges=tuple(parse_range(text) for text in hours))}
    house.routing = replace(house.routing, quiet=quiet)
    house.judge_all(night("00:00"))
    house.plan(night("00:00"))
    assert [line for at in ("00:00", "01:00", "07:00", "08:00") for line in tell(house, at)] == told


def test_the_clock_is_set_back_out_of_the_night(house: House) -> None:
    """No notice waits for a morning computed from the wrong clock."""
    play(house, [("23:00", 400)])
    house.plan(night("15:00"))
    assert tell(house, "15:00") == ["15:00 WARNING"]


def test_the_clock_is_set_back_within_the_night(house: House) -> None:
    play(house, [("05:00", 400)])
    house.plan(night("01:00"))
    assert [line for at in ("01:00", "06:59", "07:00", "07:30") for line in tell(house, at)] == ["07:00 WARNING"]


@pytest.mark.parametrize(
    ("day", "until"),
    [
        pytest.param("2026-03-28", "2026-03-29T05:00", id="a short night"),
        pytest.param("2026-10-24", "2026-10-25T06:00", id="a long night"),
    ],
)
def test_the_night_in_which_the_clock_is_put_forward_or_back(day: str, until: str, tmp_path: Path) -> None:
    house = House(tmp_path / "budgetd.db", quiet=NIGHT, zone=BERLIN)
    morning = datetime.fromisoformat(until).replace(tzinfo=UTC)
    house.balance(400, datetime.fromisoformat(f"{day}T23:00").replace(tzinfo=BERLIN).astimezone(UTC))
    house.deliver(morning - timedelta(minutes=1))
    assert house.titles == []
    house.deliver(morning)
    assert [title.partition(" voice")[0] for title in house.titles] == ["ops: WARNING"]


def test_the_night_begins_while_a_notice_waits_for_another_try(house: House) -> None:
    house.mailbox.failing.add("ops")
    assert play(house, [("21:59", 400)]) == []
    house.mailbox.failing.clear()
    assert tell(house, "22:05") == []
    assert states(house) == [("held", "quiet until 07:00 UTC (Tue)", "quiet")]
    assert tell(house, "07:00") == ["07:00 WARNING"]


def test_the_night_begins_while_the_outcome_of_a_send_is_unknown(house: House) -> None:
    house.balance(400, night("21:59"))
    house.deliver(night("21:59"), dies="after the send")
    house = house.restart()
    assert play(house, [("22:05", 9000), ("07:00", 9000)]) == ["07:00 RESOLVED"]


# --- with silences and acks


def silence(house: House, begin: str, end: str) -> Hold:
    return add_hold(
        house.db, Hold(id="", kind=HoldKind.SILENCE, from_at=night(begin), until_at=night(end), account="voice")
    )


@pytest.mark.parametrize(
    ("course", "told"),
    [
        pytest.param(
            [("22:30", 400), ("02:00", 400), ("07:00", 400)], ["07:00 WARNING"], id="still bad: in the morning"
        ),
        pytest.param([("22:30", 400), ("01:00", 9000), ("02:00", 9000), ("07:00", 9000)], [], id="over before it was"),
        pytest.param(
            [("22:30", 400), ("02:00", 400), ("03:00", 9000), ("07:00", 9000)], ["07:00 PASSED"], id="over after it was"
        ),
        pytest.param([("22:30", 90), ("02:00", 90)], ["02:00 CRITICAL"], id="critical breaks through once it ends"),
    ],
)
def test_a_silence_that_ends_in_the_night(course: Course, told: list[str], house: House) -> None:
    silence(house, "22:00", "02:00")
    assert play(house, course) == told


def test_a_silence_that_is_ended_in_the_night(house: House) -> None:
    hold = silence(house, "22:00", "12:00")
    assert play(house, [("22:30", 400)]) == []
    end_hold(house.db, hold.id, "me", night("23:00"))
    assert [line for at in ("23:00", "07:00") for line in tell(house, at)] == ["07:00 WARNING"]


# --- escalation

ESCALATING = (Route(channels=("boss",), after=timedelta(hours=2)), Route(channels=("ops",)))


@pytest.fixture
def office(tmp_path: Path) -> House:
    """Routes to ops at once, and to the boss after two hours."""
    rules = [rule(ease_for=timedelta(minutes=30), remind=Clockwork(every=timedelta(hours=3)))]
    return House(tmp_path / "budgetd.db", rules=rules, channels=["ops", "boss"], routes=ESCALATING)


def to_boss(house: House, course: Course) -> list[str]:
    return [line.replace("boss: ", "") for line in play(house, course) if "boss: " in line]


def ack(house: House) -> Hold:
    ((episode,),) = house.rows("SELECT id FROM episodes WHERE ended_at IS NULL")
    return add_hold(house.db, Hold(id="", kind=HoldKind.ACK, from_at=night("12:00"), episode=episode))


@pytest.mark.parametrize(
    ("course", "told"),
    [
        pytest.param(
            [("12:00", 400), ("13:59", 400), ("14:00", 400)], ["14:00 WARNING"], id="still so two hours later"
        ),
        pytest.param([("12:00", 400), ("13:00", 9000), ("14:00", 9000)], [], id="over before"),
        pytest.param(
            [("12:00", 400), ("13:00", 9000), ("13:30", 400), ("14:00", 400), ("15:30", 400)],
            ["15:30 WARNING"],
            id="over and again: from then on",
        ),
        pytest.param(
            [("12:00", 90), ("12:30", 400), ("13:30", 400), ("14:00", 400)], [], id="eased before: no word of critical"
        ),
        pytest.param(
            [("12:00", 400), ("13:00", 90), ("14:00", 90), ("15:00", 90)],
            ["14:00 CRITICAL"],
            id="worse before: as it is then, and once",
        ),
        pytest.param(
            [("12:00", 400), ("14:00", 400), ("14:30", 90), ("16:30", 90)],
            ["14:00 WARNING", "16:30 CRITICAL"],
            id="worse afterwards: two hours later again",
        ),
        pytest.param(
            [("12:00", 400), ("14:00", 400), ("14:30", 9000)],
            ["14:00 WARNING", "14:30 RESOLVED"],
            id="who was told hears the end at once",
        ),
        pytest.param(
            [("12:00", 400), ("14:00", 400), ("15:00", 400), ("18:00", 400)],
            ["14:00 WARNING", "15:00 REMINDER WARNING", "18:00 REMINDER WARNING"],
            id="who was told is reminded",
        ),
        pytest.param(
            [("12:00", 400), ("14:00", 400), ("14:30", 90), ("16:00", 9000), ("16:30", 9000)],
            ["14:00 WARNING", "16:00 RESOLVED"],
            id="worse, and over before its time",
        ),
    ],
)
def test_an_escalation(course: Course, told: list[str], office: House) -> None:
    assert to_boss(office, course) == told
    assert not office.rows(
        "SELECT id FROM notices WHERE channel = 'boss' AND state NOT IN ('sent', 'collapsed', 'dropped')"
    )


def test_a_reminder_escalates_nothing(tmp_path: Path) -> None:
    rules = [rule(remind=Clockwork(every=timedelta(hours=1)))]
    house = House(tmp_path / "budgetd.db", rules=rules, channels=["ops", "boss"], routes=ESCALATING)
    assert to_boss(house, [("12:00", 400), ("13:00", 400)]) == []
    assert house.rows("SELECT count(*) FROM notices WHERE channel = 'boss'") == [(1,)]


@pytest.mark.parametrize("acked_at", [0, 1], ids=["at once", "just before"])
def test_an_ack_stops_an_escalation(acked_at: int, office: House) -> None:
    course: Course = [("12:00", 400), ("13:59", 400), ("14:00", 400)]
    assert to_boss(office, course[: acked_at + 1]) == []
    ack(office)
    assert to_boss(office, course[acked_at + 1 :]) == []
    assert office.rows("SELECT reason FROM notices WHERE channel = 'boss'") == [("acked",)]
    assert to_boss(office, [("14:30", 90), ("16:30", 90)]) == [], "it is acked until it is over"


def test_an_ack_that_was_taken_back_in_time_stops_nothing(office: House) -> None:
    play(office, [("12:00", 400)])
    end_hold(office.db, ack(office).id, "me", night("13:00"))
    assert to_boss(office, [("14:00", 400)]) == ["14:00 WARNING"]


@pytest.mark.parametrize(
    ("ended_at", "told"),
    [
        pytest.param(None, ["16:00 WARNING"], id="until its end"),
        pytest.param("13:00", ["14:00 WARNING"], id="ended before its time"),
        pytest.param("15:00", ["15:00 WARNING"], id="ended after its time: told then"),
    ],
)
def test_a_silence_over_the_time_of_an_escalation(ended_at: str | None, told: list[str], office: House) -> None:
    play(office, [("12:00", 400)])
    hold = silence(office, "12:30", "16:00")
    lines = []
    for at in ("13:00", "14:00", "15:00", "16:00", "17:00"):
        if at == ended_at:
            end_hold(office.db, hold.id, "me", night(at))
        lines += to_boss(office, [(at, 400)])
    assert [line for line in lines if "REMINDER" not in line] == told


def test_an_escalation_whose_first_try_failed_is_dropped_once_it_is_over(office: House) -> None:
    play(office, [("12:00", 400)])
    office.mailbox.failing.add("boss")
    assert to_boss(office, [("14:00", 400)]) == []
    office.mailbox.failing.clear()
    assert to_boss(office, [("14:10", 9000)]) == []
    assert office.rows("SELECT reason FROM notices WHERE channel = 'boss' ORDER BY id") == [
        ("over before its time",),
        ("resolved, and never told",),
    ]


def test_an_escalation_survives_a_restart_and_keeps_its_time(office: House) -> None:
    play(office, [("12:00", 400)])
    office = office.restart()
    office.judge_all(night("13:00"))
    office.plan(night("13:00"))
    assert to_boss(office, [("13:59", 400), ("14:00", 400)]) == ["14:00 WARNING"]


def test_the_clock_is_set_back_while_an_escalation_waits(office: House) -> None:
    """It waits its two hours from then on, and no longer."""
    play(office, [("20:00", 400)])
    office.plan(night("12:00"))
    assert to_boss(office, [("13:59", 400), ("14:00", 400)]) == ["14:00 WARNING"]


@pytest.mark.parametrize(
    ("course", "told"),
    [
        pytest.param([("21:00", 400), ("23:00", 400), ("07:00", 400)], ["07:00 WARNING"], id="due in the night: waits"),
        pytest.param([("21:00", 400), ("23:00", 400), ("03:00", 9000), ("07:00", 9000)], [], id="over in the night"),
        pytest.param([("21:00", 90), ("23:00", 90)], ["23:00 CRITICAL"], id="critical breaks through at its time"),
        pytest.param(
            [("21:00", 400), ("23:00", 400), ("02:00", 90), ("04:00", 90)],
            ["04:00 CRITICAL"],
            id="worse in the night: at the time of the worsening, all of it",
        ),
    ],
)
def test_an_escalation_in_quiet_hours(course: Course, told: list[str], office: House) -> None:
    hours = Quiet(ranges=tuple(parse_range(text) for text in NIGHT))
    office.routing = replace(office.routing, quiet={"boss": hours})
    assert to_boss(office, course) == told


def test_an_ack_in_the_night_stops_an_escalation_that_waits_for_the_morning(office: House) -> None:
    office.routing = replace(office.routing, quiet={"boss": Quiet(ranges=(parse_range(NIGHT[0]),))})
    play(office, [("21:00", 400), ("23:00", 400)])
    ack(office)
    assert to_boss(office, [("07:00", 400)]) == []
    assert office.rows("SELECT state, reason FROM notices WHERE id LIKE '%.1@boss'") == [("dropped", "acked")]


def test_only_what_is_critical_escalates(tmp_path: Path) -> None:
    routes = (replace(ESCALATING[0], levels=frozenset({Level.CRITICAL})), ESCALATING[1])
    house = House(tmp_path / "budgetd.db", channels=["ops", "boss"], routes=routes)
    assert to_boss(house, [("12:00", 400), ("14:00", 400), ("14:30", 90), ("16:30", 90)]) == ["16:30 CRITICAL"]


def test_a_channel_that_is_both_soon_and_late_is_told_at_once_and_once(tmp_path: Path) -> None:
    house = House(tmp_path / "budgetd.db")
    house.routing = Routing(
        routes=(Route(channels=("ops",), after=timedelta(hours=2)), Route(channels=("ops",))),
        group_wait={"ops": timedelta(0)},
    )
    assert play(house, [("12:00", 400), ("14:00", 400)]) == ["12:00 WARNING"]
