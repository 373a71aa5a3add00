"""Appointments: when they are, over the year and where the clock is put forward and back."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetd_rules.appointments import Appointment, parse_appointment

BERLIN = ZoneInfo("Europe/Berlin")
EVERY_DAY = frozenset(range(7))
EXPECTED = 'expected when to tell it, such as "mon 09:00", "mon-fri 08:30", or "09:00" for every day'


def utc(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00").astimezone(UTC)


@pytest.mark.parametrize(
    ("text", "weekdays", "minutes"),
    [
        pytest.param("mon 09:00", {0}, 540, id="weekly"),
        pytest.param("09:00", EVERY_DAY, 540, id="daily"),
        pytest.param("mon-fri 08:30", {0, 1, 2, 3, 4}, 510, id="some days"),
        pytest.param("sat-mon 0:00", {5, 6, 0}, 0, id="over the end of the week"),
        pytest.param("  SUN   23:59 ", {6}, 1439, id="written otherwise"),
    ],
)
def test_what_people_write(text: str, weekdays: set[int], minutes: int) -> None:
    assert parse_appointment(text) == Appointment(weekdays=frozenset(weekdays), at=timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", EXPECTED, id="nothing"),
        pytest.param("mon", EXPECTED, id="no time"),
        pytest.param("09:00 mon", EXPECTED, id="the time first"),
        pytest.param("mon tue 09:00", EXPECTED, id="two days"),
        pytest.param("mon 09:00-10:00", EXPECTED, id="a range"),
        pytest.param(9, EXPECTED, id="a number"),
        pytest.param("24:00", "24:00: a day goes from 00:00 to 23:59", id="midnight at the end"),
        pytest.param("9:60", "9:60: a day goes from 00:00 to 23:59", id="sixty minutes"),
        pytest.param("moon 09:00", "expected one of mon, tue, wed, thu, fri, sat, sun, or two", id="no day"),
    ],
)
def test_what_is_none(text: object, said: str) -> None:
    with pytest.raises(ValueError, match="^" + said.partition("(")[0]):
        parse_appointment(text)


def test_the_same_appointment_is_the_same_text() -> None:
    assert str(parse_appointment("mon-sun 9:00")) == str(parse_appointment("09:00"))
    assert str(parse_appointment("mon 9:00")) != str(parse_appointment("tue 9:00"))


@pytest.mark.parametrize(
    ("text", "now", "day", "latest", "coming"),
    [
        pytest.param(
            "mon 09:00", "2026-11-23T08:00", "2026-11-23", "2026-11-23T08:00", "2026-11-30T08:00", id="to the second"
        ),
        pytest.param(
            "mon 09:00", "2026-11-23T07:59", "2026-11-16", "2026-11-16T08:00", "2026-11-23T08:00", id="just before"
        ),
        pytest.param(
            "mon-fri 08:30", "2026-11-22T12:00", "2026-11-20", "2026-11-20T07:30", "2026-11-23T07:30", id="a weekend"
        ),
        pytest.param(
            "sun 09:00", "2026-03-30T12:00", "2026-03-29", "2026-03-29T07:00", "2026-04-05T07:00", id="summer begins"
        ),
        pytest.param(
            "02:30",
            "2026-03-29T12:00",
            "2026-03-29",
            "2026-03-29T01:00",
            "2026-03-30T00:30",
            id="left out: after the gap",
        ),
        pytest.param(
            "02:30", "2026-10-25T01:40", "2026-10-25", "2026-10-25T00:30", "2026-10-26T01:30", id="twice: the first"
        ),
        pytest.param(
            "00:30", "2026-11-22T23:10", "2026-11-22", "2026-11-21T23:30", "2026-11-22T23:30", id="local midnight"
        ),
    ],
)
def test_the_latest_and_the_next_in_berlin(text: str, now: str, day: str, latest: str, coming: str) -> None:
    appointment = parse_appointment(text)
    assert appointment.latest(utc(now), BERLIN) == (date.fromisoformat(day), utc(latest))
    assert appointment.next(utc(now), BERLIN) == utc(coming)


def test_a_clock_that_is_put_back_over_midnight() -> None:
    """On 17 February 2018 Brazil came to 24:00, and then it was 23:00 of the 17th again."""
    brazil = ZoneInfo("America/Sao_Paulo")
    appointment = parse_appointment("00:00")
    day, came_at = appointment.latest(utc("2018-02-18T02:30"), brazil)
    assert (day, came_at) == (date(2018, 2, 17), utc("2018-02-17T02:00"))
    assert appointment.next(utc("2018-02-18T02:30"), brazil) == utc("2018-02-18T03:00")


@given(
    st.builds(
        Appointment,
        weekdays=st.sets(st.integers(0, 6), min_size=1).map(frozenset),
        at=st.integers(0, 1439).map(lambda count: timedelta(minutes=count)),
    ),
    st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC)),
    st.sampled_from(["Europe/Berlin", "America/Sao_Paulo", "Pacific/Apia", "Australia/Lord_Howe", "UTC"]).map(ZoneInfo),
)
def test_no_appointment_lies_between_the_latest_and_the_next(when: Appointment, now: datetime, zone: ZoneInfo) -> None:
    (day, latest), coming = when.latest(now, zone), when.next(now, zone)
    assert latest <= now < coming
    assert when.latest(coming - timedelta(microseconds=1), zone) == (day, latest)
    assert when.next(latest, zone) == coming
    assert when.latest(coming, zone)[1] == coming
