"""From answers to readings and outages: each value is right, unknown, or named as what is wrong."""

import copy
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetd.collect.answers import Reply
from budgetd.collect.provider import load_provider
from budgetd.collect.texts import hide, one_line
from budgetd.collect.times import Encoding
from budgetd.collect.values import MalformedError, Reader
from budgetd.http import Answer, RequestFailedError
from budgetd_rules.polls import Cause
from budgetd_rules.values import UNKNOWN, UNLIMITED, Value, ValueType
from collecting import (
    DOCUMENTS,
    HEAD,
    KEY,
    NOW,
    PROVIDERS,
    answer,
    check,
    details,
    document,
    fields,
    make_provider,
    meters,
    places,
    read,
    write_provider,
)
from conftest import examples

Json = Any
INFO = document("cekura/billing_info")


# --- values


def utc(year: int, month: int, day: int, *rest: int) -> datetime:
    hour, minute, second, microsecond = (*rest, 0, 0, 0, 0)[:4]
    return datetime(year, month, day, hour, minute, second, microsecond, tzinfo=UTC)


UNLIMITED_BY: frozenset[Decimal | str] = frozenset({Decimal(-1), Decimal(2147483647), "unlimited"})
RIGHT: dict[str, tuple[ValueType, object, Value]] = {
    "an integer": (ValueType.NUMBER, Decimal(3200), Decimal(3200)),
    "a decimal text, digit for digit": (ValueType.NUMBER, "50000.00", Decimal("50000.00")),
    "more digits than a float has": (ValueType.NUMBER, "12345678901234567.89", Decimal("12345678901234567.89")),
    "a negative text": (ValueType.NUMBER, " -0.5 ", Decimal("-0.5")),
    "an exponent": (ValueType.NUMBER, "1e3", Decimal(1000)),
    "the largest": (ValueType.NUMBER, "1e30", Decimal("1e30")),
    "nothing": (ValueType.NUMBER, None, UNKNOWN),
    "an empty text": (ValueType.NUMBER, "", UNKNOWN),
    "white space": (ValueType.TEXT, " \t", UNKNOWN),
    "unlimited by number": (ValueType.NUMBER, Decimal("-1.0"), UNLIMITED),
    "unlimited by decimal text": (ValueType.NUMBER, "2147483647", UNLIMITED),
    "unlimited by word": (ValueType.NUMBER, "Unlimited", UNLIMITED),
    "true": (ValueType.BOOL, True, True),
    "true as text": (ValueType.BOOL, "True", True),
    "text": (ValueType.TEXT, "Enterprise", "Enterprise"),
    "text with controls": (ValueType.TEXT, "a\x00\nb\u202e c\ud800", "a b c"),
    "text of controls": (ValueType.TEXT, "\x00", UNKNOWN),
    "numbers": (ValueType.NUMBERS, [Decimal(1), "2.50"], (Decimal(1), Decimal("2.50"))),
    "no numbers": (ValueType.NUMBERS, [], ()),
    "ISO": (ValueType.TIME, "2026-06-23T10:00:00Z", utc(2026, 6, 23, 10)),
    "ISO with an offset": (ValueType.TIME, "2026-06-23T10:00:00+02:00", utc(2026, 6, 23, 8)),
    "ISO with nanoseconds": (ValueType.TIME, "2026-06-23T10:00:00.123456789Z", utc(2026, 6, 23, 10, 0, 0, 123456)),
    "naive": (ValueType.TIME, "2014-07-18 15:31:01", utc(2014, 7, 18, 15, 31, 1)),
    "naive, but for its words": (ValueType.TIME, "2014-07-18 15:31:01 UTC", utc(2014, 7, 18, 15, 31, 1)),
    "a date": (ValueType.TIME, "2025-02-01", utc(2025, 2, 1)),
    "never": (ValueType.TIME, "9999-12-31T23:59:59Z", utc(9999, 12, 31, 23, 59, 59)),
    "epoch": (ValueType.TIME, Decimal(1735689600), utc(2025, 1, 1)),
    "epoch as text": (ValueType.TIME, "1735689600", utc(2025, 1, 1)),
    "epoch in ms": (ValueType.TIME, Decimal(1714780920000), utc(2024, 5, 4, 0, 2)),
    "seconds from now": (ValueType.TIME, "30", NOW + timedelta(seconds=30)),
    "now": (ValueType.TIME, Decimal(0), NOW),
    "a Go duration": (ValueType.TIME, "6m0s", NOW + timedelta(minutes=6)),
    "a short Go duration": (ValueType.TIME, "1012ms", NOW + timedelta(seconds=1)),
    "an HTTP date": (ValueType.TIME, "Sun, 06 Nov 1994 08:49:37 GMT", utc(1994, 11, 6, 8, 49, 37)),
}


@pytest.mark.parametrize(("type_", "raw", "value"), RIGHT.values(), ids=RIGHT.keys())
def test_a_value_is_right_or_unknown(type_: ValueType, raw: object, value: Value) -> None:
    found = Reader(type=type_, unlimited=UNLIMITED_BY).read(raw, NOW, hide(KEY))
    assert found == value
    assert str(found) == str(value) or isinstance(value, Decimal)


def test_a_number_keeps_the_vendors_digits() -> None:
    assert str(Reader(type=ValueType.NUMBER).read("50000.00", NOW, hide(KEY))) == "50000.00"


CENTS = Reader(type=ValueType.NUMBER, factor=Decimal("0.01"))
OWED = Reader(type=ValueType.NUMBER, factor=Decimal("-0.01"), unlimited=frozenset({Decimal(-1)}))
SCALED: dict[str, tuple[Reader, object, str]] = {
    "cents": (CENTS, Decimal(1234), "12.34"),
    "cents as text": (CENTS, "-1000", "-10.00"),
    "digit for digit": (CENTS, "12345678901234567890123456789.123456789", "123456789012345678901234567.89123456789"),
    "negated": (OWED, "-1000", "10.00"),
    "nothing, negated": (OWED, Decimal(0), "0.00"),
    "no limit is neither scaled nor negated": (OWED, "-1.0", "unlimited"),
    "a factor above one": (Reader(type=ValueType.NUMBER, factor=Decimal(1000)), "1.50", "1500.00"),
}


@pytest.mark.parametrize(("reader", "raw", "value"), SCALED.values(), ids=SCALED.keys())
def test_a_number_is_scaled_exactly(reader: Reader, raw: object, value: str) -> None:
    found = reader.read(raw, NOW, hide(KEY))
    assert ("unlimited" if found is UNLIMITED else str(found)) == value


def test_numbers_are_scaled_one_by_one() -> None:
    reader = Reader(type=ValueType.NUMBERS, factor=Decimal("0.01"))
    assert reader.read([Decimal(5), "250"], NOW, hide(KEY)) == (Decimal("0.05"), Decimal("2.50"))


def test_a_number_that_is_too_large_once_it_is_scaled_is_refused() -> None:
    with pytest.raises(MalformedError, match="expected a number, got the number 9E"):
        Reader(type=ValueType.NUMBER, factor=Decimal(1000)).read(Decimal("9e29"), NOW, hide(KEY))


WRONG: dict[str, tuple[ValueType, object, str]] = {
    "thousands": (ValueType.NUMBER, "1,234.50", "expected a number, got the text '1,234.50'"),
    "a currency": (ValueType.NUMBER, "$5", "got the text '$5'"),
    "a word": (ValueType.NUMBER, "NaN", "got the text 'NaN'"),
    "Arabic digits": (ValueType.NUMBER, "١٢", "got the text"),
    "an underscore": (ValueType.NUMBER, "1_000", "got the text"),
    "no JSON number": (ValueType.NUMBER, float("nan"), "got no value of JSON"),
    "too large": (ValueType.NUMBER, Decimal("1.1e30"), "got the number 1.1E+30"),
    "far too large": (ValueType.NUMBER, Decimal("1e999999"), "got the number 1E+999999"),
    "far too small": (ValueType.NUMBER, "1e-999", "got the text '1e-999'"),
    "true for a number": (ValueType.NUMBER, True, "got true"),
    "a list for a number": (ValueType.NUMBER, [Decimal(1)], "got a list"),
    "an object for a number": (ValueType.NUMBER, {"a": 1}, "got an object"),
    "a number for true": (ValueType.BOOL, Decimal(1), "expected true or false, got the number 1"),
    "yes": (ValueType.BOOL, "yes", "got the text 'yes'"),
    "a number for text": (ValueType.TEXT, Decimal(7), "expected text, got the number 7"),
    "a number for numbers": (ValueType.NUMBERS, Decimal(1), "expected a list of numbers, got the number 1"),
    "a hole in a list": (ValueType.NUMBERS, [Decimal(1), None], "expected a list of numbers, got a list"),
    "a word for a time": (ValueType.TIME, "soon", "expected a time, got the text 'soon'"),
    "a JavaScript date": (ValueType.TIME, "Fri May 22 2026 10:00:00 GMT+0000", "got the text"),
    "the 30th of February": (ValueType.TIME, "2026-02-30", "got the text '2026-02-30'"),
    "before the epoch": (ValueType.TIME, Decimal(-5), "got the number -5"),
    "Go's zero": (ValueType.TIME, "0001-01-01T00:00:00Z", "got the text"),
    "an offset beyond the calendar": (ValueType.TIME, "9999-12-31T23:59:59-05:00", "got the text"),
    "a date, or seconds from now": (ValueType.TIME, "20260701", "got the text '20260701'"),
    "a date, or seconds from now, as a number": (ValueType.TIME, Decimal(20260701), "got the number 20260701"),
    "a date and time, or milliseconds": (ValueType.TIME, "20260701120000", "got the text '20260701120000'"),
    "a Go duration beyond all numbers": (ValueType.TIME, f"{'9' * 1_000_000}h", "expected a time, got the text '999"),
    "an epoch beyond the calendar": (ValueType.TIME, Decimal("1e20"), "got the number"),
    "long text": (ValueType.NUMBER, "x" * 300, f"got the text '{'x' * 39}…'"),
    "controls": (ValueType.NUMBER, "a\x1b[31m\nb", "got the text 'a [31m b'"),
    "the key": (ValueType.NUMBER, f"{KEY}!", "got the text '***!'"),
}


@pytest.mark.parametrize(("type_", "raw", "why"), WRONG.values(), ids=WRONG.keys())
def test_a_value_of_another_type_is_refused(type_: ValueType, raw: object, why: str) -> None:
    with pytest.raises(MalformedError) as caught:
        Reader(type=type_).read(raw, NOW, hide(KEY))
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("encoding", "raw", "time"),
    [
        (Encoding.ISO, "2026-06-23", utc(2026, 6, 23)),
        (Encoding.ISO, "20260623", utc(2026, 6, 23)),
        (Encoding.ISO, "1735689600", None),
        (Encoding.EPOCH, Decimal("1735689600.5"), utc(2025, 1, 1, 0, 0, 0, 500000)),
        (Encoding.EPOCH, "2026-06-23", None),
        (Encoding.EPOCH, Decimal(0), None),
        (Encoding.EPOCH_MS, "1714780920000", utc(2024, 5, 4, 0, 2)),
        (Encoding.EPOCH_MS, Decimal(0), None),
        (Encoding.DELTA, Decimal(2592000), NOW + timedelta(days=30)),
        (Encoding.DELTA, "20260701", NOW + timedelta(seconds=20260701)),
        (Encoding.DELTA, Decimal(-1), None),
        (Encoding.GO_DURATION, "1h0.5m", NOW + timedelta(hours=1, seconds=30)),
        (Encoding.GO_DURATION, "30", None),
        (Encoding.HTTP_DATE, "Sun, 06 Nov 1994 08:49:37 -0000", utc(1994, 11, 6, 8, 49, 37)),
        (Encoding.HTTP_DATE, "Sun, 99 Nov 1994 08:49:37 GMT", None),
    ],
)
def test_a_time_whose_encoding_is_named_is_of_no_other(encoding: Encoding, raw: object, time: datetime | None) -> None:
    reader = Reader(type=ValueType.TIME, encoding=encoding)
    if time:
        assert reader.read(raw, NOW, hide(KEY)) == time
    else:
        with pytest.raises(MalformedError):
            reader.read(raw, NOW, hide(KEY))


def test_half_a_key_is_not_left_at_the_end_of_a_line() -> None:
    assert one_line("x" * 195 + KEY, hide(KEY)) == "x" * 195 + "***"
    assert KEY[:4] not in one_line("x" * 198 + KEY, hide(KEY))


# --- answers that are failures

CAUSES: dict[str, tuple[Reply, str]] = {
    "unreachable": (RequestFailedError(Cause.UNREACHABLE, "no whole answer within 30s"), "unreachable: no whole"),
    "401": (answer({"detail": "Invalid key"}, 401), "rejected: HTTP 401: Invalid key; Cekura's billing wants"),
    "403": (answer("", 403), "rejected: HTTP 403; Cekura's billing wants an organization-scoped API key"),
    "402": (answer({"message": "Pay first"}, 402), "exhausted: HTTP 402: Pay first"),
    "404": (answer({"detail": "Billing information not found"}, 404), "not_found: HTTP 404: Billing information"),
    "410": (answer("", 410), "not_found: HTTP 410"),
    "429": (answer("slow down", 429), "rate_limited: HTTP 429"),
    "400": (answer({"title": "Bad"}, 400), "malformed: HTTP 400 (the vendor refused the request): Bad"),
    "422": (answer({"errorMessage": "no"}, 422), "malformed: HTTP 422 (the vendor refused the request): no"),
    "304": (answer("", 304), "malformed: HTTP 304"),
    "408": (answer("", 408), "vendor_error: HTTP 408"),
    "500": (
        answer({"error": {"message": "Oops"}}, 500, {"X-Request-Id": "01J9"}),
        "vendor_error: HTTP 500: Oops [01J9]",
    ),
    "503": (answer("<html>", 503), "vendor_error: HTTP 503"),
    "long-winded": (answer({"detail": "a\nb" * 200}, 500), "vendor_error: HTTP 500: a ba ba b"),
    "HTML": (answer("<!doctype html><p>Log in", 200), "malformed: HTTP 200: expected JSON, got a page of HTML"),
    "empty": (answer(" \n", 200), "malformed: HTTP 200: expected JSON, got an empty body"),
    "no content": (answer("", 204), "malformed: HTTP 204: expected JSON, got an empty body"),
    "half": (answer('{"credits_remaining": "1'), "malformed: HTTP 200: expected JSON, got something else"),
    "not text": (answer(b"\xff\xfe\x00"), "malformed: HTTP 200: expected JSON"),
    "too deep": (answer("[" * 100_000), "malformed: HTTP 200: expected JSON"),
    "no exponent has it": (answer('{"a": 1e99999999999999999999}'), "malformed: HTTP 200: expected JSON"),
    "null": (answer("null"), "malformed: HTTP 200: expected an object, got null"),
    "a list": (answer("[]"), "malformed: HTTP 200: expected an object, got a list"),
    "a text": (answer('"ok"'), "malformed: HTTP 200: expected an object, got the text 'ok'"),
    "another shape": (answer({"data": INFO}), "malformed: answered, but with none of the values looked for"),
}


@pytest.mark.parametrize(("outcome", "outage"), CAUSES.values(), ids=CAUSES.keys())
def test_a_failure_is_one_outage_and_no_reading(outcome: Reply, outage: str) -> None:
    poll = read("cekura", info=outcome)
    assert len(poll.outages) == 1
    assert details(poll)[0].startswith(f"info {outage}")
    assert len(poll.outages[0].detail) < 400
    assert poll.outages[0].detail.isprintable()
    assert poll.readings == ()
    assert poll.answered == frozenset()


ENVELOPE = HEAD.replace(
    "auth =",
    "success = 'code == `0`'\ncauses = { rejected = \"msg == 'bad key'\" }\nkey_hint = 'an org key'\nauth =",
)
LEFT = 'left = { path = "data.left", type = "number" }\n[meters.credits]\nkind = "balance"\nremaining = "left"\n'
GOOD = {"code": 0, "data": {"left": 7}}
ENVELOPES: dict[str, tuple[Reply, str]] = {
    "a success": (answer(GOOD), ""),
    "a failure": (
        answer(GOOD | {"code": 7, "message": "No such team"}),
        "vendor_error: HTTP 200 (and yet a failure, by its body): No such team",
    ),
    "a failure that says why": (
        answer({"code": 7, "msg": "bad key"}),
        "rejected: HTTP 200 (and yet a failure, by its body); an org key",
    ),
    "no word of it": (answer({"data": {"left": 7}}), "vendor_error: HTTP 200 (and yet a failure, by its body)"),
    "not quite true": (answer(GOOD | {"code": False}), "vendor_error: HTTP 200 (and yet a failure"),
    "a list": (answer([1]), "vendor_error: HTTP 200 (and yet a failure"),
    "nothing": (answer("null"), "malformed: HTTP 200: expected an object, got null"),
    "no JSON": (answer("<p>"), "malformed: HTTP 200: expected JSON, got a page of HTML"),
    "another failure": (answer(GOOD, 503), "vendor_error: HTTP 503"),
}


@pytest.mark.parametrize(("outcome", "outage"), ENVELOPES.values(), ids=ENVELOPES.keys())
def test_an_envelope_says_whether_it_is_a_success(tmp_path: Path, outcome: Reply, outage: str) -> None:
    poll = read(load_provider(write_provider(tmp_path, ENVELOPE + LEFT)), info=outcome)
    if outage:
        assert details(poll)[0].startswith(f"info {outage}")
        assert (poll.readings, poll.answered) == ((), frozenset())
    else:
        assert poll.outages == ()
        assert fields(poll, "credits") == {"remaining": Decimal(7)}


def test_a_request_may_have_an_envelope_of_its_own(tmp_path: Path) -> None:
    text = ENVELOPE.replace('path = "/info"', 'path = "/info"\nsuccess = "ok"') + LEFT
    provider = load_provider(write_provider(tmp_path, text))
    assert read(provider, info=answer({"ok": True, "data": {"left": 7}})).outages == ()
    assert [outage.cause for outage in read(provider, info=answer(GOOD)).outages] == [Cause.VENDOR_ERROR]


def test_what_is_optional_may_be_empty_whatever_a_success_is(tmp_path: Path) -> None:
    text = ENVELOPE.replace('path = "/info"', 'path = "/info"\noptional = true') + LEFT
    poll = read(load_provider(write_provider(tmp_path, text)), info=answer({}))
    assert (poll.outages, poll.readings) == ((), ())
    assert poll.answered == {"credits"}


PAUSES: dict[str, tuple[int, str, timedelta | None]] = {
    "seconds": (429, "30", timedelta(seconds=30)),
    "of a 503": (503, "120", timedelta(minutes=2)),
    "a date": (429, "Tue, 12 May 2026 14:26:30 GMT", timedelta(minutes=1)),
    "capped": (429, "999999", timedelta(hours=24)),
    "a date far away": (429, "Wed, 12 May 2027 14:26:30 GMT", timedelta(hours=24)),
    "zero": (429, "0", None),
    "negative": (429, "-5", None),
    "a date that has passed": (429, "Tue, 12 May 2026 14:00:00 GMT", None),
    "garbage": (429, "soon", None),
    "none": (429, "", None),
    "of an answer": (200, "30", None),
}


@pytest.mark.parametrize(("status", "text", "pause"), PAUSES.values(), ids=PAUSES.keys())
def test_retry_after(status: int, text: str, pause: timedelta | None) -> None:
    assert read("cekura", info=answer(INFO, status, {"Retry-After": text})).retry_after == pause


# --- meters


def test_a_malformed_value_is_named_and_the_others_are_untouched() -> None:
    poll = read("cekura", info=answer(INFO | {"credits_used": "1,234.50"}))
    assert details(poll) == ["info malformed: values.used: expected a number, got the text '1,234.50'"]
    assert fields(poll, "credits")["remaining"] == Decimal("7436.08")
    assert "used" not in fields(poll, "credits")
    assert fields(poll, "subscription")["plan"] == "Enterprise"
    assert poll.answered == PROVIDERS["cekura"].meters.keys()


def test_nan_loses_its_value_alone() -> None:
    raw = json.dumps(INFO).replace('"36462.14"', "NaN")
    poll = read("cekura", info=answer(raw))
    assert details(poll) == ["info malformed: values.used: expected a number, got no value of JSON"]
    assert fields(poll, "credits")["granted"] == Decimal("50000.00")


def test_a_name_with_two_values_loses_its_value_alone() -> None:
    raw = json.dumps(INFO).replace('"36462.14"', '"36462.14", "credits_used": "3"')
    poll = read("cekura", info=answer(raw))
    assert details(poll) == ["info malformed: values.used: expected a number, got two values under one name"]
    assert fields(poll, "credits")["granted"] == Decimal("50000.00")
    same = json.dumps(INFO).replace('"36462.14"', '"36462.14", "credits_used": "36462.14"')
    assert read("cekura", info=answer(same)) == read("cekura", info=answer(INFO))


def test_what_is_below_a_name_with_two_values_is_no_empty_list(tmp_path: Path) -> None:
    text = LIST.replace("info.items", "info.data.items")
    twice = f'{{"at": "2026-05-12", "data": {json.dumps(ITEMS)}, "data": {{}}}}'
    poll = read(make_provider(tmp_path, text), info=answer(twice))
    assert details(poll) == ["info malformed: meters.pay.each: two values under one name on the way to data.items"]
    assert poll.answered == frozenset()


COMPUTED: dict[str, tuple[str, Json, str | None]] = {
    "the length of a list": ("length(a)", [5, 6], "2"),
    "a number for what is not there": ("b || `5`", [], "5"),
    "a decimal fraction": ("a[?n == `0.1`].n | [0]", [{"n": 0.1}], "0.1"),
    "more than a decimal fraction": ("a[?n > `0.1`].n | [0]", [{"n": 0.1}, {"n": 0.2}], "0.2"),
    "the largest": ("max(a)", [9, 10], "10"),
    "the largest of texts": ("max(a)", ["9", "10.50"], "10.50"),
    "the smallest of both": ("min(a)", ["10", 9.5], "9.5"),
    "the first in order": ("sort(a)[0]", ["10", "9"], "9"),
    "of the latest": ("max_by(a, &at).n", [{"at": 20, "n": 1}, {"at": 100, "n": 2}], "2"),
    "of the least": ("min_by(a, &n).n", [{"n": "10"}, {"n": "9"}], "9"),
    "of the last by its date": ("sort_by(a, &at)[-1].n", [{"at": "2026-05-02", "n": 1}, {"at": "2026-05-01"}], "1"),
    "a number as text": ("to_string(a)", 12, "12"),
    "of a type": ("a[?type(@) == 'number'] | [0]", ["x", 7], "7"),
    "of nothing": ("max(a)", [], None),
    "no order of both": ("max(a)", ["9", "many"], None),
    "no order with a hole": ("max_by(a, &n).n", [{"n": 1}, {}], None),
    "no order of anything else": ("max(a)", [True, False], None),
    "no order of NaN": ("max(a)", [1, float("nan")], None),
}


@pytest.mark.parametrize(("path", "document", "number"), COMPUTED.values(), ids=COMPUTED.keys())
def test_what_a_path_computes_is_decimal(tmp_path: Path, path: str, document: Json, number: str | None) -> None:
    left = LEFT.replace("data.left", path)
    poll = read(make_provider(tmp_path, left), info=answer({"a": document}))
    found = [str(value) for reading in poll.readings for value in reading.fields.values()]
    assert found == ([number] if number else [])
    assert bool(poll.outages) is (number is None)


TWO = """
limit = { header = ["X-Limit", "X-Max"], type = "number" }
used = { path = "used", type = "number" }
windows = { header = "X-Windows", type = "numbers" }
[requests.more]
path = "/more"
optional = true
values.plan = { path = "plan", type = "text" }
[meters.calls]
kind = "quota"
used = "used"
limit = "limit"
[meters.plan]
kind = "subscription"
plan = "plan"
active = "used > 0"
[meters.tightest]
kind = "cap"
value = "min(windows)"
currency = "'USD'"
when = "used >= 0"
"""
LIMITS = {"X-Max": "10", "x-windows": "1, 15000", "X-LIMIT": ""}


def test_headers_count_in_errors_and_bodies_do_not(tmp_path: Path) -> None:
    provider = make_provider(tmp_path, TWO)
    poll = read(provider, info=answer({"used": 3}, 429, LIMITS), more=answer({"plan": "pro"}))
    assert fields(poll, "calls") == {"limit": Decimal(10)}
    assert fields(poll, "plan") == {"plan": "pro"}
    assert fields(poll, "tightest") == {"value": Decimal(1), "currency": "USD"}
    assert poll.answered == frozenset()
    assert [outage.cause for outage in poll.outages] == [Cause.RATE_LIMITED]


def test_constants_are_no_reading_of_a_failed_request(tmp_path: Path) -> None:
    poll = read(make_provider(tmp_path, TWO), info=answer({"used": 3}, 500), more=answer({}))
    assert meters(poll) == []
    assert poll.answered == frozenset()


@pytest.mark.parametrize(
    "more", [answer("", 404), answer("", 403), answer("", 204), answer("null"), answer("{}")], ids=repr
)
def test_what_is_optional_may_be_absent(tmp_path: Path, more: Answer) -> None:
    poll = read(make_provider(tmp_path, TWO), info=answer({"used": 3}, headers=LIMITS), more=more)
    assert meters(poll) == ["calls", "tightest"]
    assert poll.answered == {"calls", "plan", "tightest"}
    assert poll.outages == ()


def test_what_is_optional_may_still_fail(tmp_path: Path) -> None:
    poll = read(make_provider(tmp_path, TWO), info=answer({"used": 3}, headers=LIMITS), more=answer("", 500))
    assert meters(poll) == ["calls", "plan", "tightest"]
    assert poll.answered == {"calls", "tightest"}


def test_a_meter_is_absent_while_its_condition_is_false(tmp_path: Path) -> None:
    poll = read(make_provider(tmp_path, TWO), info=answer({"used": -3}, headers=LIMITS), more=answer({"plan": "x"}))
    assert "tightest" not in meters(poll)
    assert "tightest" in poll.answered


LIST = """
at = { path = "at", type = "time" }
[meters.pay]
kind = "charge"
unit = "USD"
each = "info.items"
key = "id"
amount = "item.cents / 100"
currency = "item.money.name"
due_at = "item.due"
paid = "item.paid"
"""
ITEMS: Json = {
    "at": "2026-05-12",
    "items": [
        {"id": "a", "cents": 1250, "money": {"name": "EUR"}, "due": "2026-06-01", "paid": False},
        {"id": 17, "cents": "99.5", "money": None, "due": None, "paid": None},
    ],
}


def test_a_list_fans_out(tmp_path: Path) -> None:
    poll = read(make_provider(tmp_path, LIST), info=answer(ITEMS))
    assert poll.outages == ()
    assert poll.answered == {"pay"}
    assert meters(poll) == ["pay/a", "pay/17"]
    assert fields(poll, "pay/a") == {
        "amount": Decimal("12.5"),
        "currency": "EUR",
        "due_at": utc(2026, 6, 1),
        "paid": False,
    }
    assert fields(poll, "pay/17") == {"amount": Decimal("0.995")}


@pytest.mark.parametrize("items", [None, []])
def test_an_empty_list_was_read(tmp_path: Path, items: object) -> None:
    poll = read(make_provider(tmp_path, LIST), info=answer({"at": "2026-05-12", "items": items}))
    assert poll.readings == ()
    assert poll.outages == ()
    assert poll.answered == {"pay"}


@pytest.mark.parametrize(
    ("items", "outage"),
    [
        ("gone", "meters.pay.each: expected a list, got the text 'gone'"),
        ({"a": 1}, "meters.pay.each: expected a list, got an object"),
        ([{"id": str(number)} for number in range(1001)], "meters.pay.each: has 1,001 items"),
        ([{"id": "a"}, {"cents": 1}], "meters.pay: item 1 has no key"),
        ([{"id": "a"}, {"id": ""}], "meters.pay: item 1 has no key"),
        ([{"id": "a"}, {"id": "x\ny"}], "meters.pay: item 1 has no key"),
        ([{"id": "a"}, {"id": KEY}], "meters.pay: item 1 has no key"),
        ([{"id": "a"}, {"id": 1.5}], "meters.pay: item 1 has no key"),
        ([{"id": "a"}, {"id": ["b"]}], "meters.pay: item 1 has no key"),
        ([{"id": "a"}, 7], "meters.pay: item 1 has no key"),
        ([{"id": "a"}, None], "meters.pay: item 1 has no key"),
        ([{"id": "a"}, {"id": "b"}, {"id": "b"}], "meters.pay: item 1 has the key 'b', which another has too"),
        ({}, "meters.pay.each: expected a list, got an object"),
    ],
)
def test_a_list_that_can_not_be_read_ends_nothing(tmp_path: Path, items: object, outage: str) -> None:
    poll = read(make_provider(tmp_path, LIST), info=answer({"at": "2026-05-12", "items": items}))
    assert details(poll)[0].startswith(f"info malformed: {outage}")
    assert meters(poll) in ([], ["pay/a"])
    assert poll.answered == frozenset()


OBJECT = """
at = { path = "at", type = "time" }
[meters.price]
kind = "cap"
each = "info.prices"
key = "key"
value = "item.value.cents / 100"
"""


@pytest.mark.parametrize(
    ("prices", "caps"),
    [
        pytest.param({"sms": {"cents": 5}, "call": {"cents": "12.5"}}, {"sms": "0.05", "call": "0.125"}, id="named"),
        pytest.param([{"key": "sms", "value": {"cents": 5}}], {"sms": "0.05"}, id="a list of the same"),
        pytest.param({"sms": {"cents": None}}, {"sms": None}, id="nothing said"),
        pytest.param({}, {}, id="empty"),
        pytest.param([], {}, id="an empty list"),
        pytest.param(None, {}, id="null"),
    ],
)
def test_an_object_fans_out_by_its_names(tmp_path: Path, prices: object, caps: dict[str, str | None]) -> None:
    poll = read(make_provider(tmp_path, OBJECT), info=answer({"at": "2026-05-12", "prices": prices}))
    assert poll.outages == ()
    assert poll.answered == {"price"}
    found = {reading.key.meter: reading.fields for reading in poll.readings}
    assert found == {f"price/{name}": {"value": Decimal(text)} if text else {} for name, text in caps.items()}


def test_a_name_that_is_no_key_is_named(tmp_path: Path) -> None:
    poll = read(make_provider(tmp_path, OBJECT), info=answer({"prices": {"a": {"cents": 1}, "": {"cents": 1}}}))
    assert details(poll) == ["info malformed: meters.price: item 1 has no key"]
    assert meters(poll) == ["price/a"]
    assert poll.answered == frozenset()


WITHIN = LIST.replace('key = "id"', 'key = "id"\nwithin = { time = "made.at", last = "30d" }')
DAYS = [
    pytest.param(NOW.isoformat(), True, id="now"),
    pytest.param((NOW - timedelta(days=30)).isoformat(), True, id="thirty days ago"),
    pytest.param((NOW - timedelta(days=30, seconds=1)).isoformat(), False, id="a second before"),
    pytest.param((NOW + timedelta(minutes=1)).isoformat(), True, id="by a clock that is ahead of ours"),
    pytest.param((NOW + timedelta(hours=1)).isoformat(), False, id="an hour ahead"),
    pytest.param("2026-05-12", True, id="today"),
    pytest.param(NOW.timestamp() - 86400, True, id="yesterday, in seconds since 1970"),
]


@pytest.mark.parametrize(("at", "counts"), DAYS)
def test_only_items_of_the_last_days_count(tmp_path: Path, at: object, counts: bool) -> None:
    items = [{"id": "old", "cents": 1, "made": {"at": "2020-01-01"}}, {"id": "a", "cents": 1, "made": {"at": at}}]
    poll = read(make_provider(tmp_path, WITHIN), info=answer(ITEMS | {"items": items}))
    assert meters(poll) == (["pay/a"] if counts else [])
    assert poll.outages == ()
    assert poll.answered == {"pay"}


@pytest.mark.parametrize(
    ("made", "why"),
    [
        pytest.param(None, "has no time, so that nobody knows whether it counts", id="null"),
        pytest.param({"at": "soon"}, "has no time: expected a time, got the text 'soon'", id="a word"),
        pytest.param({"at": True}, "has no time: expected a time, got true", id="true"),
        pytest.param("2026-05-01", "has no time, so that nobody knows whether it counts", id="elsewhere"),
    ],
)
def test_an_item_without_a_time_is_named(tmp_path: Path, made: object, why: str) -> None:
    items = [{"id": "b", "cents": 1, "made": made}, {"id": "a", "cents": 1, "made": {"at": "2026-05-01"}}]
    poll = read(make_provider(tmp_path, WITHIN), info=answer(ITEMS | {"items": items}))
    assert details(poll) == [f"info malformed: meters.pay: item 0 {why}"]
    assert meters(poll) == ["pay/a"]
    assert poll.answered == frozenset()


def test_a_malformed_part_of_an_item_is_named(tmp_path: Path) -> None:
    items = [ITEMS["items"][0] | {"cents": "many", "paid": "perhaps"}]
    poll = read(make_provider(tmp_path, LIST), info=answer(ITEMS | {"items": items}))
    assert details(poll) == [
        "info malformed: meters.pay/a.amount: expected a number, got the text 'many'",
        "info malformed: meters.pay/a.paid: expected true or false, got the text 'perhaps'",
    ]
    assert fields(poll, "pay/a") == {"currency": "EUR", "due_at": utc(2026, 6, 1)}
    assert poll.answered == {"pay"}


def test_a_thousand_complaints_are_fifty(tmp_path: Path) -> None:
    items = [{"id": str(number), "cents": "many"} for number in range(1000)]
    poll = read(make_provider(tmp_path, LIST), info=answer(ITEMS | {"items": items}))
    assert len(poll.outages) == 50
    assert poll.outages[-1].detail == "and 951 more"
    assert len(poll.outages) + poll.outages[-1].more == 1000


def test_a_body_that_is_a_list_may_be_null(tmp_path: Path) -> None:
    text = HEAD.replace("[requests.info.values]", 'body = "list"') + LIST.replace('"info.items"', '"info"')
    text = text.replace('at = { path = "at", type = "time" }\n', "")
    provider = load_provider(write_provider(tmp_path, text))
    assert meters(read(provider, info=answer(ITEMS["items"]))) == ["pay/a", "pay/17"]
    assert read(provider, info=answer("null")).answered == {"pay"}
    assert details(read(provider, info=answer("{}"))) == ["info malformed: HTTP 200: expected a list, got an object"]


ODD = """
names = { path = "join(', ', names)", type = "text" }
left = { path = "left", type = "number" }
[meters.credits]
kind = "balance"
remaining = "left"
currency = "names"
[meters.caps]
kind = "cap"
each = "info.caps[?contains(id, 'x')]"
key = "join('-', [id, zone])"
value = "item.max"
when = "item.on"
"""


def test_a_path_that_can_not_be_followed_is_named(tmp_path: Path) -> None:
    text = HEAD.replace("auth =", "causes = { exhausted = \"contains(code, 'x')\" }\nauth =") + ODD
    provider = load_provider(write_provider(tmp_path, text))
    poll = read(provider, info=answer({"names": 7, "left": 5, "caps": [{"id": 7}]}))
    assert details(poll) == [
        "info malformed: values.names: the path \"join(', ', names)\" can't be followed here",
        "info malformed: meters.caps.each: the path \"caps[?contains(id, 'x')]\" can't be followed here",
    ]
    assert fields(poll, "credits") == {"remaining": Decimal(5)}
    poll = read(provider, info=answer({"left": 5, "names": [], "caps": [{"id": "x", "zone": 1}, {"id": "y"}]}))
    assert details(poll) == ["info malformed: meters.caps: item 0 has no key"]
    poll = read(provider, info=answer({"names": [], "caps": [{"id": 7}]}))
    assert [outage.detail.split(":")[0] for outage in poll.outages] == ["meters.caps.each"]
    poll = read(provider, info=answer({"names": [], "caps": "x"}))
    assert details(poll)[0].startswith("info malformed: answered, but with none of the values looked for")


COST = {"amount": {"value": 1}}
SUMS = """
left = { path = "left", type = "number" }
spent = { path = "days[].costs[].amount.value", type = "numbers" }
[meters.credits]
kind = "balance"
remaining = "left"
[meters.costs]
kind = "spend"
amount = "sum(spent)"
"""


@pytest.mark.parametrize(
    ("days", "amount"),
    [
        pytest.param([{"costs": [COST]}, {"costs": [COST, {"amount": {"value": "1.50"}}]}], "3.50", id="all"),
        pytest.param([], "0", id="no days"),
        pytest.param([{"costs": []}], "0", id="a day without costs"),
        pytest.param([{"costs": [COST, {"amount": None}]}], None, id="one amount missing"),
        pytest.param([{"costs": [COST]}, {"cost": []}], None, id="one day of another shape"),
        pytest.param([{"cost": [COST]}], None, id="all days of another shape"),
        pytest.param([{"costs": [COST]}, None], None, id="a day that is none"),
    ],
)
def test_a_sum_is_whole_or_unknown(tmp_path: Path, days: object, amount: str | None) -> None:
    poll = read(make_provider(tmp_path, SUMS), info=answer({"left": 1, "days": days}))
    assert fields(poll, "costs") == ({} if amount is None else {"amount": Decimal(amount)})
    why = "info malformed: values.spent: expected a list of numbers, got a list"
    assert details(poll) == ([why] if amount is None else [])


def test_an_item_is_absent_while_its_condition_is_false(tmp_path: Path) -> None:
    caps = [{"id": "x1", "zone": "a", "max": 1, "on": True}, {"id": "x2", "zone": "a", "max": 1, "on": False}]
    poll = read(make_provider(tmp_path, ODD), info=answer({"left": 5, "names": ["a"], "caps": caps}))
    assert meters(poll) == ["credits", "caps/x1-a"]
    assert poll.outages == ()
    assert poll.answered == {"credits", "caps"}


# --- whatever comes

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["", "1,234.50", "1e31", "-1", "NaN", "2026-02-30", KEY, 10**400, -(10**31), 1e308, "\ud800"]),
)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)


@st.composite
def mutated(draw: st.DrawFn, tree: Json) -> Json:
    """The document with some of its parts dropped, replaced, or nested elsewhere."""
    tree = {"root": copy.deepcopy(tree)}
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.sampled_from([place for place in places(tree) if place]))
        parent: Json = tree
        for key in place[:-1]:
            parent = parent[key]
        match draw(st.sampled_from(["drop", "replace", "wrap", "stringify"])):
            case "drop" if isinstance(parent, dict) and len(place) > 1:
                del parent[place[-1]]
            case "wrap":
                parent[place[-1]] = draw(st.sampled_from([[parent[place[-1]]], {"data": parent[place[-1]]}]))
            case "stringify":
                parent[place[-1]] = json.dumps(parent[place[-1]])
            case _:
                parent[place[-1]] = draw(ANYTHING)
    return tree["root"]


@pytest.mark.parametrize("provider", DOCUMENTS)
@examples(150)
@given(data=st.data())
def test_a_changed_answer_is_right_unknown_or_named(provider: str, data: st.DataObject) -> None:
    outcomes: dict[str, Reply] = {
        name: answer(
            data.draw(mutated(body)),
            data.draw(st.sampled_from([200, 200, 200, 403, 429, 500])),
            {name: data.draw(SCALARS.map(str)) for name in ("X-RateLimit-Limit", "X-Quota-Reset", "Retry-After")},
        )
        for name, body in DOCUMENTS[provider].items()
    }
    check(read(provider, **outcomes))


@pytest.mark.parametrize("provider", DOCUMENTS)
@examples(50)
@given(body=st.binary(max_size=60) | ANYTHING.map(lambda tree: json.dumps(tree).encode()), status=st.integers(100, 599))
def test_any_answer_is_read(provider: str, body: bytes, status: int) -> None:
    check(read(provider, **{name: answer(body, status) for name in DOCUMENTS[provider]}))


NUMBERS = {
    "credits_remaining": ("credits", "remaining"),
    "credits_used": ("credits", "used"),
    "initial_balance": ("credits", "granted"),
}


@pytest.mark.parametrize("name", NUMBERS)
@examples(50)
@given(raw=ANYTHING)
def test_one_changed_value_changes_no_other(name: str, raw: object) -> None:
    before = read("cekura", info=answer(INFO))
    after = read("cekura", info=answer(INFO | {name: raw}))
    meter, field = NUMBERS[name]
    for reading in before.readings:
        for other, value in reading.fields.items():
            if (reading.key.meter, other) != (meter, field):
                assert fields(after, reading.key.meter)[other] == value
    is_known = field in fields(after, meter)
    is_empty = raw is None or (isinstance(raw, str) and not raw.strip())
    assert [is_known, is_empty, bool(after.outages)].count(True) == 1
