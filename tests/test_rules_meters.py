"""Readings and views: derived fields, whole days, what ages and what goes stale."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetd_rules.kinds import FIELD_TYPES, KINDS, Kind
from budgetd_rules.meters import (
    DAY,
    HOUR,
    MeterKey,
    Reading,
    View,
    days_until,
    family,
    is_stale,
    require_utc,
    view,
    whole_days_since,
)
from budgetd_rules.values import UNKNOWN, UNLIMITED, Number, Value, ValueType

D = Decimal
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
STALE_AFTER = timedelta(minutes=15)


def read(kind: Kind, fields: Mapping[str, Value], as_of: datetime = NOW) -> Reading:
    return Reading(key=MeterKey("acme", "credits"), kind=kind, unit="credits", as_of=as_of, fields=fields)


def see(
    kind: Kind,
    fields: Mapping[str, Value],
    *,
    age: timedelta = timedelta(0),
    stale_after: timedelta = STALE_AFTER,
    burn_per_day: Number = UNKNOWN,
) -> View:
    return view(read(kind, fields, NOW - age), NOW, stale_after, burn_per_day)


def pick(seen: View, names: Mapping[str, Value]) -> dict[str, Value]:
    return {name: seen.fields[name] for name in names}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(
            {"remaining": D(20), "granted": D(80)},
            {"remaining_percent": D(25), "used_percent": D(75), "overage": D(0), "used": UNKNOWN},
            id="remaining of granted",
        ),
        pytest.param(
            {"used": D(60), "granted": D(80)},
            {"remaining": UNKNOWN, "remaining_percent": UNKNOWN, "used_percent": D(75), "overage": D(0)},
            id="used of granted, remaining unsaid",
        ),
        pytest.param(
            {"used": D(100), "granted": D(80)},
            {"used_percent": D(125), "overage": D(20)},
            id="used more than granted, remaining unsaid",
        ),
        pytest.param(
            {"remaining": D(10), "used": D(100), "granted": D(80)},
            {"remaining_percent": D("12.5"), "used_percent": D("87.5"), "overage": D(0)},
            id="what remains counts more than what was used",
        ),
        pytest.param(
            {"remaining": D(-5), "granted": D(20)},
            {"remaining_percent": D(-25), "used_percent": D(125), "overage": D(5)},
            id="overdrawn",
        ),
        pytest.param(
            {"remaining": D(0), "granted": D(20)},
            {"remaining_percent": D(0), "used_percent": D(100), "overage": D(0)},
            id="nothing left",
        ),
        pytest.param(
            {"remaining": D(5), "granted": D(0)},
            {"remaining_percent": UNKNOWN, "used_percent": UNKNOWN, "overage": D(0)},
            id="nothing granted",
        ),
        pytest.param(
            {"remaining": D(5), "granted": D(-10)},
            {"remaining_percent": UNKNOWN, "used_percent": UNKNOWN},
            id="less than nothing granted",
        ),
        pytest.param(
            {"remaining": D(5)},
            {"remaining_percent": UNKNOWN, "used_percent": UNKNOWN, "overage": D(0)},
            id="remaining only",
        ),
        pytest.param(
            {"used": D(5)},
            {"remaining_percent": UNKNOWN, "used_percent": UNKNOWN, "overage": UNKNOWN},
            id="used only",
        ),
        pytest.param(
            {"granted": UNLIMITED, "used": D(5), "remaining": UNLIMITED},
            {"remaining": UNLIMITED, "remaining_percent": UNKNOWN, "used_percent": D(0)},
            id="unlimited",
        ),
        pytest.param(
            {"remaining": D(20), "granted": D(80), "remaining_percent": D(26), "overage": D(1)},
            {"remaining_percent": D(26), "overage": D(1)},
            id="the vendor's own figures are taken",
        ),
        pytest.param(
            {"remaining": "20", "granted": D(80)},
            {"remaining_percent": UNKNOWN, "used_percent": UNKNOWN, "overage": UNKNOWN},
            id="a number that is text is unknown",
        ),
        pytest.param(
            {"remaining": D("12345678901234567.89"), "granted": D("12345678901234567.89")},
            {"remaining": D("12345678901234567.89"), "remaining_percent": D(100)},
            id="more digits than a float has",
        ),
        pytest.param({}, dict.fromkeys(KINDS[Kind.BALANCE].all, UNKNOWN), id="nothing said"),
    ],
)
def test_balance(fields: Mapping[str, Value], expected: Mapping[str, Value]) -> None:
    assert pick(see(Kind.BALANCE, fields), expected) == expected


@pytest.mark.parametrize(
    ("remaining", "burn_per_day", "expected"),
    [
        pytest.param(D(30), D(12), D("2.5"), id="lasts two days and a half"),
        pytest.param(D(0), D(12), D(0), id="is gone"),
        pytest.param(D(-30), D(12), D(0), id="is overdrawn"),
        pytest.param(D(30), D(0), UNKNOWN, id="nothing burns"),
        pytest.param(D(30), D(-12), UNKNOWN, id="it grows"),
        pytest.param(D(30), UNKNOWN, UNKNOWN, id="no history"),
        pytest.param(UNLIMITED, D(12), UNLIMITED, id="unlimited"),
        pytest.param(UNKNOWN, D(12), UNKNOWN, id="remaining unsaid"),
    ],
)
def test_runway(remaining: Number, burn_per_day: Number, expected: Number) -> None:
    seen = see(Kind.BALANCE, {"remaining": remaining}, burn_per_day=burn_per_day)
    assert (seen.fields["burn_per_day"], seen.fields["runway_days"]) == (burn_per_day, expected)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(
            {"used": D(30), "limit": D(40)},
            {"remaining": D(10), "used_percent": D(75), "overage": D(0)},
            id="used of limit",
        ),
        pytest.param(
            {"limit": D(40), "remaining": D(10)},
            {"used": D(30), "remaining": D(10), "used_percent": D(75), "overage": D(0)},
            id="limit and remaining only",
        ),
        pytest.param(
            {"used": D(30), "remaining": D(10)},
            {"limit": UNKNOWN, "used_percent": UNKNOWN, "overage": UNKNOWN},
            id="no limit said",
        ),
        pytest.param(
            {"used": D(50), "limit": D(40)},
            {"remaining": D(-10), "used_percent": D(125), "overage": D(10)},
            id="over the limit",
        ),
        pytest.param(
            {"used": D(40), "limit": D(40)},
            {"remaining": D(0), "used_percent": D(100), "overage": D(0)},
            id="at the limit",
        ),
        pytest.param(
            {"used": D(5), "limit": UNLIMITED},
            {"remaining": UNLIMITED, "used_percent": D(0), "overage": D(0)},
            id="unlimited",
        ),
        pytest.param(
            {"limit": UNLIMITED, "remaining": D(5)},
            {"used": UNKNOWN, "remaining": D(5), "used_percent": UNKNOWN, "overage": D(0)},
            id="unlimited, and used unsaid",
        ),
        pytest.param(
            {"used": D(5), "limit": D(0)},
            {"remaining": D(-5), "used_percent": UNKNOWN, "overage": D(5)},
            id="a limit of nothing",
        ),
        pytest.param(
            {"used": D(0), "limit": D(0)}, {"used_percent": UNKNOWN, "overage": D(0)}, id="nothing used of nothing"
        ),
        pytest.param({"used": D(5), "limit": D(-1)}, {"used_percent": UNKNOWN}, id="a limit below nothing"),
        pytest.param(
            {"used": D(30), "limit": D(40), "remaining": D(9)},
            {"remaining": D(9), "used_percent": D(75)},
            id="the vendor's own remaining is taken",
        ),
        pytest.param({}, dict.fromkeys(KINDS[Kind.QUOTA].all, UNKNOWN), id="nothing said"),
    ],
)
def test_quota(fields: Mapping[str, Value], expected: Mapping[str, Value]) -> None:
    assert pick(see(Kind.QUOTA, fields), expected) == expected


@pytest.mark.parametrize(
    ("resets_in", "expected"),
    [
        pytest.param(timedelta(hours=5), D(5), id="five hours"),
        pytest.param(timedelta(minutes=90), D("1.5"), id="an hour and a half"),
        pytest.param(SECOND, D(0), id="a second is less than a hundredth"),
        pytest.param(timedelta(0), D(0), id="now"),
        pytest.param(-timedelta(minutes=30), D("-0.5"), id="past"),
    ],
)
def test_hours_until_reset(resets_in: timedelta, expected: Decimal) -> None:
    assert see(Kind.QUOTA, {"resets_at": NOW + resets_in}).fields["hours_until_reset"] == expected


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        pytest.param(Kind.SPEND, {"amount": D(30), "limit": D(40)}, {"used_percent": D(75)}, id="spend of a limit"),
        pytest.param(Kind.SPEND, {"amount": D(30)}, {"used_percent": UNKNOWN, "limit": UNKNOWN}, id="spend, no limit"),
        pytest.param(Kind.SPEND, {"amount": D(30), "limit": UNLIMITED}, {"used_percent": D(0)}, id="spend, unlimited"),
        pytest.param(Kind.SPEND, {"amount": D(30), "limit": D(0)}, {"used_percent": UNKNOWN}, id="spend of nothing"),
        pytest.param(Kind.SPEND, {"amount": D(-5), "limit": D(10)}, {"used_percent": D(-50)}, id="spend, credited"),
        pytest.param(
            Kind.SUBSCRIPTION,
            {"last_payment_at": NOW - 3 * DAY - SECOND, "status": "active", "trial": False},
            {"days_since_payment": D(3), "status": "active", "trial": False, "plan": UNKNOWN},
            id="subscription paid",
        ),
        pytest.param(
            Kind.SUBSCRIPTION,
            {"changes_at": NOW + 3 * DAY, "changes_to": "Free"},
            {"days_until_change": D(3), "changes_to": "Free", "plan": UNKNOWN},
            id="subscription about to change",
        ),
        pytest.param(
            Kind.SUBSCRIPTION,
            {},
            {"days_since_payment": UNKNOWN, "days_until_change": UNKNOWN},
            id="subscription, nothing said",
        ),
        pytest.param(Kind.CHARGE, {"due_at": NOW + 3 * DAY}, {"days_until_due": D(3)}, id="charge due"),
        pytest.param(Kind.CHARGE, {"due_at": NOW - 3 * DAY}, {"days_until_due": D(-3)}, id="charge overdue"),
        pytest.param(Kind.CHARGE, {"amount": D(9)}, {"days_until_due": UNKNOWN}, id="charge without a date"),
        pytest.param(Kind.CAP, {"value": D(9)}, {"value": D(9), "currency": UNKNOWN}, id="cap"),
        pytest.param(
            Kind.CONNECTION,
            {"reachable": False, "failures": D(4), "cause": "rejected", "last_success_at": NOW - 90 * HOUR / 60},
            {"hours_since_success": D("1.5"), "reachable": False, "cause": "rejected"},
            id="connection lost",
        ),
        pytest.param(Kind.CONNECTION, {}, {"hours_since_success": UNKNOWN}, id="connection that never was"),
    ],
)
def test_the_other_kinds(kind: Kind, fields: Mapping[str, Value], expected: Mapping[str, Value]) -> None:
    assert pick(see(kind, fields), expected) == expected


AT_WHOLE_DAYS = [
    pytest.param(3 * DAY + SECOND, D(4), id="a second before three days are left"),
    pytest.param(3 * DAY, D(3), id="three days left"),
    pytest.param(3 * DAY - SECOND, D(3), id="a second after three days were left"),
    pytest.param(SECOND, D(1), id="a second before the end"),
    pytest.param(timedelta(0), D(0), id="at the end"),
    pytest.param(-SECOND, D(0), id="a second after the end"),
    pytest.param(-DAY + SECOND, D(0), id="a second before a day has passed"),
    pytest.param(-DAY, D(-1), id="a day has passed"),
]


@pytest.mark.parametrize(("left", "expected"), AT_WHOLE_DAYS)
@pytest.mark.parametrize(
    ("kind", "end", "days"),
    [
        (Kind.BALANCE, "expires_at", "days_until_expiry"),
        (Kind.SUBSCRIPTION, "expires_at", "days_until_expiry"),
        (Kind.SUBSCRIPTION, "changes_at", "days_until_change"),
        (Kind.CHARGE, "due_at", "days_until_due"),
    ],
)
def test_days_are_whole(kind: Kind, end: str, days: str, left: timedelta, expected: Decimal) -> None:
    assert days_until(NOW + left, NOW) == expected
    assert see(kind, {end: NOW + left}).fields[days] == expected


@pytest.mark.parametrize(
    ("passed", "expected"),
    [
        pytest.param(timedelta(0), D(0), id="just now"),
        pytest.param(DAY - SECOND, D(0), id="a second before a day"),
        pytest.param(DAY, D(1), id="a day"),
        pytest.param(DAY + SECOND, D(1), id="a second after a day"),
    ],
)
def test_days_since_are_whole(passed: timedelta, expected: Decimal) -> None:
    assert whole_days_since(NOW - passed, NOW) == expected


@pytest.mark.parametrize(
    ("fields", "age", "expected"),
    [
        pytest.param({"days_until_expiry": D(10)}, timedelta(0), D(10), id="as read"),
        pytest.param({"days_until_expiry": D(10)}, DAY - SECOND, D(10), id="a second before a day"),
        pytest.param({"days_until_expiry": D(10)}, DAY, D(9), id="a day"),
        pytest.param({"days_until_expiry": D(10)}, DAY + SECOND, D(9), id="a second after a day"),
        pytest.param({"days_until_expiry": D(1)}, 3 * DAY, D(-2), id="past the end"),
        pytest.param({"days_until_expiry": D(10)}, -3 * DAY, D(10), id="the clock stepped back"),
        pytest.param(
            {"days_until_expiry": D(10), "expires_at": NOW + 5 * DAY}, DAY, D(9), id="counts more than a date"
        ),
        pytest.param({"days_until_expiry": UNKNOWN, "expires_at": NOW + 5 * DAY}, DAY, D(5), id="unsaid, but a date"),
        pytest.param({"days_until_expiry": "soon", "expires_at": NOW + 5 * DAY}, DAY, D(5), id="no number, but a date"),
        pytest.param({}, DAY, UNKNOWN, id="neither count nor date"),
    ],
)
@pytest.mark.parametrize("kind", [Kind.BALANCE, Kind.SUBSCRIPTION])
@pytest.mark.parametrize("stale_after", [STALE_AFTER, timedelta(days=30)])
def test_the_vendors_own_count_of_days_ages(
    kind: Kind, fields: Mapping[str, Value], age: timedelta, stale_after: timedelta, expected: Value
) -> None:
    assert see(kind, fields, age=age, stale_after=stale_after).fields["days_until_expiry"] == expected


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        pytest.param(STALE_AFTER - SECOND, False, id="a second before"),
        pytest.param(STALE_AFTER, False, id="at"),
        pytest.param(STALE_AFTER + SECOND, True, id="a second after"),
        pytest.param(-DAY, False, id="the clock stepped back"),
    ],
)
def test_a_reading_goes_stale(age: timedelta, expected: bool) -> None:
    assert is_stale(read(Kind.CAP, {}, NOW - age), NOW, STALE_AFTER) is expected
    assert see(Kind.CAP, {"value": D(5)}, age=age).fields["value"] == (UNKNOWN if expected else D(5))


@pytest.mark.parametrize(
    ("kind", "fields", "known"),
    [
        pytest.param(
            Kind.BALANCE,
            {
                "remaining": D(5),
                "granted": D(9),
                "used_percent": D(44),
                "expires_at": NOW + 2 * DAY,
                "resets_at": NOW,
                "currency": "USD",
            },
            {"expires_at": NOW + 2 * DAY, "resets_at": NOW, "currency": "USD", "days_until_expiry": D(2)},
            id="balance",
        ),
        pytest.param(
            Kind.QUOTA,
            {"used": D(5), "limit": D(9), "resets_at": NOW + 2 * HOUR},
            {"resets_at": NOW + 2 * HOUR, "hours_until_reset": D(2)},
            id="quota",
        ),
        pytest.param(
            Kind.SPEND,
            {"amount": D(5), "limit": D(9), "period_end": NOW + DAY},
            {"period_end": NOW + DAY},
            id="spend",
        ),
        pytest.param(
            Kind.SUBSCRIPTION,
            {"status": "active", "active": True, "auto_renew": True, "days_until_expiry": D(9), "last_payment_at": NOW},
            {"auto_renew": True, "days_until_expiry": D(9), "last_payment_at": NOW, "days_since_payment": D(0)},
            id="subscription",
        ),
        pytest.param(
            Kind.SUBSCRIPTION,
            {"plan": "Pro", "pending_change": True, "changes_at": NOW + DAY, "changes_to": "Free"},
            {"changes_at": NOW + DAY, "changes_to": "Free", "days_until_change": D(1)},
            id="subscription that changes",
        ),
        pytest.param(
            Kind.CHARGE,
            {"amount": D(5), "due_at": NOW + DAY, "paid": False},
            {"due_at": NOW + DAY, "paid": False, "days_until_due": D(1)},
            id="charge",
        ),
        pytest.param(
            Kind.CONNECTION,
            {"reachable": True, "failures": D(0), "cause": "none", "last_success_at": NOW - HOUR},
            {"last_success_at": NOW - HOUR, "hours_since_success": D(1), "blind": False},
            id="connection",
        ),
    ],
)
def test_only_dates_and_what_follows_from_them_outlast_staleness(
    kind: Kind, fields: Mapping[str, Value], known: Mapping[str, Value]
) -> None:
    seen = see(kind, fields, age=STALE_AFTER + SECOND, burn_per_day=D(3))
    assert seen.stale
    assert {name: value for name, value in seen.fields.items() if value is not UNKNOWN} == known


@pytest.mark.parametrize("kind", Kind)
def test_a_view_has_every_field_of_its_kind(kind: Kind) -> None:
    seen = see(kind, {})
    assert tuple(seen.fields) == KINDS[kind].all
    assert seen.headline is UNKNOWN
    assert seen.key == MeterKey("acme", "credits")


@pytest.mark.parametrize("kind", Kind)
def test_every_field_of_a_kind_has_a_type(kind: Kind) -> None:
    assert set(KINDS[kind].all) <= set(FIELD_TYPES)
    assert KINDS[kind].headline in KINDS[kind].all
    assert len(set(KINDS[kind].all)) == len(KINDS[kind].all)


def test_every_typed_field_belongs_to_a_kind() -> None:
    assert {name for fields in KINDS.values() for name in fields.all} == set(FIELD_TYPES)


def test_the_headline_is_the_kinds() -> None:
    assert see(Kind.QUOTA, {"used": D(30), "limit": D(40)}).headline == D(75)


NOT_UTC = [
    pytest.param(NOW.replace(tzinfo=None), id="naive"),
    pytest.param(NOW.astimezone(timezone(timedelta(hours=2))), id="an offset"),
    pytest.param(NOW.astimezone(ZoneInfo("Europe/Berlin")), id="a zone"),
    pytest.param(NOW.astimezone(ZoneInfo("Etc/UTC")), id="a zone that is UTC by another name"),
]


@pytest.mark.parametrize("moment", NOT_UTC)
def test_times_that_are_not_utc_are_refused(moment: datetime) -> None:
    with pytest.raises(ValueError, match="a record takes aware UTC times"):
        require_utc(moment)
    with pytest.raises(ValueError, match="a record takes aware UTC times"):
        read(Kind.CAP, {}, moment)


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(datetime.fromisoformat("2026-07-01T12:00:00Z"), id="read from ISO text"),
        pytest.param(datetime.fromisoformat("2026-07-01T12:00:00+00:00"), id="read from ISO text with an offset"),
        pytest.param(datetime.fromtimestamp(1782907200, UTC), id="read from seconds"),
    ],
)
def test_utc_is_utc_however_it_was_read(moment: datetime) -> None:
    require_utc(moment)


@pytest.mark.parametrize(
    ("meter", "expected"), [("schedule/2026-07", "schedule"), ("credits", "credits"), ("a/b/c", "a")]
)
def test_family(meter: str, expected: str) -> None:
    assert family(meter) == expected


OF_TYPE: Mapping[ValueType, st.SearchStrategy[Value]] = {
    ValueType.NUMBER: st.decimals() | st.sampled_from([UNKNOWN, UNLIMITED, D(0)]),
    ValueType.BOOL: st.booleans() | st.just(UNKNOWN),
    ValueType.TEXT: st.text(max_size=3) | st.just(UNKNOWN),
    ValueType.TIME: st.datetimes(timezones=st.just(UTC)) | st.just(UNKNOWN),
}


@given(data=st.data(), kind=st.sampled_from(Kind), age=st.timedeltas(-DAY, 9 * DAY))
def test_a_view_of_any_reading_is_of_the_declared_types(data: st.DataObject, kind: Kind, age: timedelta) -> None:
    names = KINDS[kind].measured
    fields = data.draw(st.fixed_dictionaries({}, optional={name: OF_TYPE[FIELD_TYPES[name]] for name in names}))
    burns: list[Number] = [UNKNOWN, D(0), D(3)]
    seen = see(kind, fields, age=age, burn_per_day=data.draw(st.sampled_from(burns)))
    for name in KINDS[kind].derived:
        value = seen.fields[name]
        if FIELD_TYPES[name] is ValueType.BOOL:
            assert isinstance(value, bool)
        else:
            assert value in (UNKNOWN, UNLIMITED) or (isinstance(value, Decimal) and value.is_finite())


@pytest.mark.parametrize(
    ("failures", "success", "retry", "age", "is_blind"),
    [
        pytest.param(0, timedelta(0), None, timedelta(0), False, id="polls succeed"),
        pytest.param(0, 9 * DAY, None, 9 * DAY, False, id="long ago, but nothing failed since: a sleep"),
        pytest.param(3, STALE_AFTER, None, timedelta(0), False, id="fails, and readings are still fresh"),
        pytest.param(3, STALE_AFTER + SECOND, None, timedelta(0), True, id="fails, and readings are stale"),
        pytest.param(2, STALE_AFTER + SECOND, None, timedelta(0), False, id="twice, after a sleep: a hiccup"),
        pytest.param(3, 9 * DAY, None, 9 * DAY - STALE_AFTER, False, id="failed, and then a sleep"),
        pytest.param(3, 9 * DAY, None, 9 * DAY - STALE_AFTER - SECOND, True, id="blind, and then a sleep"),
        pytest.param(1, STALE_AFTER, HOUR, STALE_AFTER, False, id="is to wait, and readings are still fresh"),
        pytest.param(
            1, STALE_AFTER + SECOND, HOUR, STALE_AFTER, True, id="is to wait for longer than readings are fresh"
        ),
        pytest.param(1, 9 * DAY, -9 * DAY + STALE_AFTER, 9 * DAY, False, id="was to wait, and then a sleep"),
        pytest.param(2, None, None, timedelta(0), False, id="never succeeded, and tried twice"),
        pytest.param(3, None, None, timedelta(0), True, id="never succeeded, and tried three times"),
    ],
)
def test_blind(
    failures: int, success: timedelta | None, retry: timedelta | None, age: timedelta, is_blind: bool
) -> None:
    """`success` and `age` (of the last poll) lie back, `retry` lies ahead."""
    fields: dict[str, Value] = {"failures": D(failures)}
    if success is not None:
        fields["last_success_at"] = NOW - success
    if retry is not None:
        fields["retry_until"] = NOW + retry
    assert see(Kind.CONNECTION, fields, age=age).fields["blind"] is is_blind
