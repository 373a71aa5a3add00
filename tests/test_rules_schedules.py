"""Quiet hours: what may be written, and until when they last, over midnights, weekends and the clock's two Sundays."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetd_rules.schedules import WEEKDAYS, Quiet, Range, is_never_audible, parse_range

BERLIN = ZoneInfo("Europe/Berlin")
WORK = ("mon-fri 20:00-07:00", "sat-sun")
MINUTE = timedelta(minutes=1)


def quiet(*texts: str, zone: tzinfo = BERLIN) -> Quiet:
    return Quiet(ranges=tuple(parse_range(text) for text in texts), zone=zone)


def local(text: str, zone: tzinfo = BERLIN, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).astimezone(UTC)


# --- what may be written


@pytest.mark.parametrize(
    ("text", "begin", "end", "days"),
    [
        pytest.param("mon-fri 20:00-07:00", 20, 31, "mon tue wed thu fri", id="over midnight"),
        pytest.param("sat-sun", 0, 24, "sat sun", id="days alone are whole"),
        pytest.param("wed", 0, 24, "wed", id="one day"),
        pytest.param("sat-mon 08:00-12:00", 8, 12, "sat sun mon", id="over the end of the week"),
        pytest.param("22:00-07:00", 22, 31, "mon tue wed thu fri sat sun", id="times alone are every day"),
        pytest.param("mon 18:00-24:00", 18, 24, "mon", id="until the end of the day"),
        pytest.param("mon 18:00-00:00", 18, 24, "mon", id="until midnight"),
        pytest.param("mon 00:00-24:00", 0, 24, "mon", id="a whole day by its times"),
        pytest.param("  Mon-FRI   7:00-9:00 ", 7, 9, "mon tue wed thu fri", id="capitals, blanks, one digit"),
    ],
)
def test_days_of_the_week(text: str, begin: int, end: int, days: str) -> None:
    weekdays = frozenset(WEEKDAYS.index(day) for day in days.split())
    assert parse_range(text) == Range(begin=timedelta(hours=begin), end=timedelta(hours=end), weekdays=weekdays)


@pytest.mark.parametrize(
    ("text", "begin", "end", "dates"),
    [
        pytest.param("2026-12-24", 0, 24, (24, 24), id="a date alone is a whole day"),
        pytest.param("2026-12-24..2026-12-26", 0, 24, (24, 26), id="dates"),
        pytest.param("2026-12-31 18:00-10:00", 18, 34, (31, 31), id="a date with times"),
        pytest.param("2026-12-24..2026-12-26 18:00-10:00", 18, 34, (24, 26), id="dates with times, each of them"),
    ],
)
def test_dates(text: str, begin: int, end: int, dates: tuple[int, int]) -> None:
    first, last = (date(2026, 12, day) for day in dates)
    assert parse_range(text) == Range(begin=timedelta(hours=begin), end=timedelta(hours=end), dates=(first, last))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "expected quiet hours such as", id="nothing"),
        pytest.param(date(2026, 12, 24), "expected quiet hours such as", id="a date without quotes"),
        pytest.param(["sat"], "expected quiet hours such as", id="a list"),
        pytest.param("mon 20:00-07:00 tue", "expected quiet hours such as", id="words after the times"),
        pytest.param("sat sun", "expected quiet hours such as", id="days without a dash"),
        pytest.param("mon 20:00", "expected quiet hours such as", id="no end"),
        pytest.param("mon 20-07", "expected quiet hours such as", id="hours without minutes"),
        pytest.param("22-7", "expected quiet hours such as", id="hours alone"),
        pytest.param("monday", "expected one of mon, tue, wed", id="a day's whole name"),
        pytest.param("mon-", "expected one of mon, tue, wed", id="no last day"),
        pytest.param("mon-fri-sun", "expected one of mon, tue, wed", id="three days"),
        pytest.param("20:00-25:00", "20:00-25:00: a day goes from 00:00 to 24:00", id="an hour that there is not"),
        pytest.param("20:60-21:00", "20:60-21:00: a day goes from 00:00 to 24:00", id="a minute that there is not"),
        pytest.param("24:00-07:00", "24:00-07:00: a day goes from 00:00 to 24:00", id="begins after its day"),
        pytest.param("20:00-24:01", "20:00-24:01: a day goes from 00:00 to 24:00", id="more than a day"),
        pytest.param("mon 20:00-20:00", "20:00-20:00 ends when it begins; for the whole day leave", id="no length"),
        pytest.param(
            "2026-02-30", "expected a date such as 2026-12-24, or two with .. between", id="a date that there is not"
        ),
        pytest.param("2026-12-24..", "expected a date such as", id="no last date"),
        pytest.param("2026-12-24-2026-12-26", "expected a date such as", id="a dash for dots"),
        pytest.param("2026-12-26..2026-12-24", "2026-12-26..2026-12-24 ends before it begins", id="backwards"),
        pytest.param("2026-01-01..2027-01-02", "2026-01-01..2027-01-02 is longer than a year", id="too long"),
    ],
)
def test_what_is_no_range(text: object, said: str) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        parse_range(text)
    assert str(error.value).startswith(said)


@pytest.mark.parametrize(
    ("texts", "is_never"),
    [
        pytest.param([], False, id="no quiet hours"),
        pytest.param(["mon-sun"], True, id="all days"),
        pytest.param(["00:00-24:00"], True, id="all hours"),
        pytest.param(["mon-fri", "sat-sun"], True, id="all days in two"),
        pytest.param(["20:00-07:00", "07:00-20:00"], True, id="all hours in two"),
        pytest.param(["mon-sat", "sun 00:00-23:59"], False, id="a minute is left"),
        pytest.param(["mon-sat", "sat 12:00-24:00", "sun 00:00-24:00"], True, id="overlapping"),
        pytest.param(["sun 20:00-19:00", "mon-sat"], False, id="an hour of Sunday is left"),
        pytest.param(["2026-01-01..2026-12-31"], False, id="a year of dates passes"),
    ],
)
def test_a_channel_has_to_be_audible_at_some_time(texts: list[str], is_never: bool) -> None:
    assert is_never_audible(parse_range(text) for text in texts) is is_never


# --- until when


@pytest.mark.parametrize(
    ("texts", "now", "until"),
    [
        pytest.param(WORK, "2026-11-23T12:00", None, id="a Monday's noon"),
        pytest.param(WORK, "2026-11-23T19:59", None, id="a minute before"),
        pytest.param(WORK, "2026-11-23T20:00", "2026-11-24T07:00", id="at its beginning"),
        pytest.param(WORK, "2026-11-24T03:00", "2026-11-24T07:00", id="in the night, by the day before"),
        pytest.param(WORK, "2026-11-24T07:00", None, id="at its end it is over"),
        pytest.param(WORK, "2026-11-27T21:00", "2026-11-30T00:00", id="Friday evening: the weekend touches it"),
        pytest.param(WORK, "2026-11-30T03:00", None, id="Sunday's whole day ends at midnight"),
        pytest.param(
            ["mon-sun 20:00-07:00", "sat-sun"], "2026-11-28T12:00", "2026-11-30T07:00", id="overlapping and touching"
        ),
        pytest.param(["12:00-13:00", "13:00-14:00"], "2026-11-23T12:30", "2026-11-23T14:00", id="one touches the next"),
        pytest.param(["12:00-13:00", "13:01-14:00"], "2026-11-23T12:30", "2026-11-23T13:00", id="a minute between"),
        pytest.param(["12:00-18:00", "13:00-14:00"], "2026-11-23T13:30", "2026-11-23T18:00", id="one within another"),
        pytest.param(["2026-12-24..2026-12-26"], "2026-12-25T12:00", "2026-12-27T00:00", id="dates are one stretch"),
        pytest.param(["2026-12-31 18:00-10:00"], "2027-01-01T09:59", "2027-01-01T10:00", id="into the next year"),
        pytest.param(["2026-12-31 18:00-10:00"], "2026-12-31T09:00", None, id="not before it begins"),
        pytest.param(["2026-12-31 18:00-10:00"], "2027-12-31T19:00", None, id="a date is not every year"),
        pytest.param(
            ["2026-12-24..2027-12-23", "2027-12-24..2028-12-20"],
            "2026-12-24T00:00",
            "2028-12-21T00:00",
            id="two years of dates",
        ),
        pytest.param(["mon-sat", "sun 00:00-23:59"], "2026-11-23T12:00", "2026-11-29T23:59", id="all but a minute"),
        # The night of 29 March 2026 has no 02:00 to 03:00, that of 25 October has it twice.
        pytest.param(["20:00-07:00"], "2026-03-28T23:00", "2026-03-29T07:00", id="a short night"),
        pytest.param(["20:00-02:30"], "2026-03-28T23:00", "2026-03-29T03:00", id="ends in the gap: right after it"),
        pytest.param(["02:30-07:00"], "2026-03-29T03:00", "2026-03-29T07:00", id="begins in the gap: right after it"),
        pytest.param(["02:30-07:00"], "2026-03-29T01:59", None, id="begins in the gap: not before it"),
        pytest.param(["02:10-02:50"], "2026-03-29T03:00", None, id="all of it in the gap: never"),
        pytest.param(["01:00-02:30", "02:45-04:00"], "2026-03-29T01:30", "2026-03-29T04:00", id="the gap joins them"),
        pytest.param(["sun 03:00-02:00"], "2026-03-29T12:00", "2026-03-30T02:00", id="by the clock, not by its length"),
    ],
)
def test_until(texts: Sequence[str], now: str, until: str | None) -> None:
    assert quiet(*texts).until(local(now)) == (local(until) if until else None)


@pytest.mark.parametrize(
    ("texts", "fold", "until"),
    [
        pytest.param(["20:00-02:30"], 0, "02:30 CET", id="ends within: at the second coming"),
        pytest.param(["20:00-02:30"], 1, "02:30 CET", id="ends within, and it is the second already"),
        pytest.param(["02:10-07:00"], 0, "07:00 CET", id="begins within: at the first coming"),
        pytest.param(["02:10-02:30"], 0, "02:30 CET", id="all of it within: from the first to the second"),
        pytest.param(["02:10-02:15"], 1, None, id="within, and over"),
        pytest.param(["02:20-02:40"], 1, "02:40 CET", id="between its first and its second coming"),
    ],
)
def test_until_where_an_hour_comes_twice(texts: list[str], fold: int, until: str | None) -> None:
    now = local("2026-10-25T02:20", fold=fold)
    end = quiet(*texts).until(now)
    assert (f"{end.astimezone(BERLIN):%H:%M %Z}" if end else None) == until


@pytest.mark.parametrize(
    ("zone", "until"),
    [
        pytest.param(UTC, "2026-11-24T07:00+00:00", id="UTC"),
        pytest.param(ZoneInfo("Asia/Kolkata"), "2026-11-24T01:30+00:00", id="half an hour"),
        pytest.param(timezone(timedelta(hours=-11)), None, id="morning there"),
    ],
)
def test_until_in_another_zone(zone: tzinfo, until: str | None) -> None:
    found = quiet("20:00-07:00", zone=zone).until(datetime(2026, 11, 23, 20, 30, tzinfo=UTC))
    assert (found.isoformat(timespec="minutes") if found else None) == until


def test_a_day_that_a_zone_left_out() -> None:
    """Samoa went over the date line: after 29 December 2011 came the 31st."""
    samoa = ZoneInfo("Pacific/Apia")
    assert quiet("2011-12-30 10:00-20:00", zone=samoa).until(local("2011-12-31T00:00", samoa)) is None
    found = quiet("2011-12-29 20:00-07:00", zone=samoa).until(local("2011-12-29T23:00", samoa))
    assert found == local("2011-12-31T00:00", samoa)


def test_a_clock_that_is_put_back_over_midnight() -> None:
    """In St. John's 29 October 2006 began, and a minute later it was 23:01 of the 28th again."""
    st_johns = ZoneInfo("America/St_Johns")
    hours = quiet("2006-10-29 00:00-06:00", zone=st_johns)
    assert hours.until(local("2006-10-28T23:30", st_johns)) is None
    assert hours.until(local("2006-10-28T23:30", st_johns, fold=1)) == local("2006-10-29T06:00", st_johns)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        pytest.param(["20:00-07:00"], "quiet until 07:00 CET (Tue)", id="tomorrow"),
        pytest.param(["mon-thu", "fri 00:00-12:00"], "quiet until 12:00 CET (Fri)", id="within the week"),
        pytest.param(["2026-11-20..2026-12-01"], "quiet until 2 Dec 2026 00:00 CET", id="later: the date"),
    ],
)
def test_the_reason_in_the_zone_of_the_channel(texts: list[str], said: str) -> None:
    hours, now = quiet(*texts), local("2026-11-23T21:00")
    until = hours.until(now)
    assert until
    assert hours.reason(until, now) == said


# --- properties

ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # half an hour
    "America/Havana",  # back over midnight
    "Asia/Beirut",  # forward at midnight
    "Asia/Kolkata",
]
# St. John's put its clock back at one minute past midnight until 2011.
WEEKS = [
    *((zone, day) for zone in ZONES for day in (date(2026, 3, 1), date(2026, 3, 26), date(2026, 10, 24))),
    ("Europe/Berlin", date(2026, 11, 20)),
    ("Australia/Lord_Howe", date(2026, 4, 2)),
    ("Australia/Lord_Howe", date(2026, 10, 1)),
    ("America/Havana", date(2026, 3, 6)),
    ("America/New_York", date(2026, 3, 5)),
    ("America/St_Johns", date(2006, 10, 26)),
    ("Pacific/Apia", date(2011, 12, 28)),
]
LENGTH = timedelta(days=6)


@cache
def walls(zone: str, first: date) -> tuple[datetime, ...]:
    """What the clock shows in each minute, from two days before on: without a zone, so with gaps and repeats."""
    begin = datetime.combine(first, time(), UTC) - timedelta(days=2)
    count = (LENGTH + timedelta(days=4)) // MINUTE
    return tuple((begin + MINUTE * n).astimezone(ZoneInfo(zone)).replace(tzinfo=None) for n in range(count))


def is_quiet_by_the_minute(ranges: Sequence[Range], zone: str, first: date) -> list[bool]:
    """By looking at the clock alone: from the first minute that shows the beginning to the last that shows the end."""
    seen = walls(zone, first)
    found = [False] * len(seen)
    for one in ranges:
        for day in (first + timedelta(days=n) for n in range(-3, LENGTH.days + 3)):
            if one.begins_on(day):
                midnight = datetime.combine(day, time())
                begin = next((n for n, wall in enumerate(seen) if wall >= midnight + one.begin), len(seen))
                last = next((n for n in reversed(range(len(seen))) if seen[n] <= midnight + one.end), -1)
                end = last if seen[last] == midnight + one.end else last + 1
                found[begin:end] = [True] * (end - begin)
    return found


clock_times = st.one_of(st.integers(0, 1439), st.sampled_from([0, 30, 60, 120, 150, 180, 1410]))


@st.composite
def ranges(draw: st.DrawFn) -> Range:
    begin, end = draw(clock_times), draw(clock_times)
    end += 1440 if end <= begin else 0
    weekdays = draw(st.frozensets(st.integers(0, 6), min_size=1))
    return Range(begin=begin * MINUTE, end=end * MINUTE, weekdays=weekdays)


@given(st.lists(ranges(), min_size=1, max_size=3).filter(lambda them: not is_never_audible(them)), st.data())
def test_until_is_what_the_clock_shows_minute_by_minute(them: list[Range], data: st.DataObject) -> None:
    zone, first = data.draw(st.sampled_from(WEEKS))
    hours, by_minute = Quiet(ranges=tuple(them), zone=ZoneInfo(zone)), is_quiet_by_the_minute(them, zone, first)
    begin = datetime.combine(first, time(), UTC) - timedelta(days=2)
    for number in data.draw(st.lists(st.integers(2 * 1440, 6 * 1440), min_size=1, max_size=8)):
        until = hours.until(begin + MINUTE * number)
        assert (until is not None) == by_minute[number]
        if until is not None and (until - begin) // MINUTE < len(by_minute):
            last = (until - begin) // MINUTE
            assert all(by_minute[number:last])
            assert last >= len(by_minute) - 2 * 1440 or not by_minute[last]


@given(
    st.lists(ranges(), max_size=4).filter(lambda them: not is_never_audible(them)),
    st.sampled_from([*ZONES, "America/St_Johns", "Africa/Casablanca"]),
    st.integers(0, 40 * 365 * 24 * 3600).map(
        lambda seconds: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    ),
)
def test_quiet_lasts_until_an_instant_that_is_not_quiet(them: list[Range], zone: str, now: datetime) -> None:
    hours = Quiet(ranges=tuple(them), zone=ZoneInfo(zone))
    until = hours.until(now)
    if until is not None:
        assert until > now
        assert until.tzinfo is UTC
        assert hours.until(until) is None
        assert hours.until(until - timedelta.resolution) == until
        assert hours.until(now + (until - now) / 2) == until
