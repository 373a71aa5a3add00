"""Times as vendors write them: ISO-8601, dates, seconds since 1970 or from now, Go durations and HTTP dates."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final

from budgetd.collect.numbers import parse_number

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Before there were APIs to ask: what a vendor's empty time looks like (0, 1970-01-01, Go's 0001-01-01).
_EARLIEST: Final = datetime(1990, 1, 1, tzinfo=UTC)

# From these sizes on a number can't be seconds from now, or seconds since 1970: vendors' own numbers lie far apart.
_LEAST_EPOCH: Final = Decimal("1e9")
_LEAST_EPOCH_MS: Final = Decimal("1e11")

# 20260701 or 20260701120000: a date, or seconds from now, or milliseconds since 1970? Looks alone do not tell.
_COMPACT: Final = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(\d{6})?", re.ASCII)

_HTTP_DATE: Final = re.compile(r"[A-Za-z]{3}, \d{1,2} [A-Za-z]{3} \d{4} \d\d:\d\d:\d\d (GMT|UTC|[+-]\d{4})", re.ASCII)
_GO_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)", re.ASCII)
_GO_DURATION: Final = re.compile(rf"(?:{_GO_PART.pattern})+", re.ASCII)
_GO_SECONDS: Final = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "µs": Decimal("1e-6"),
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
}


class Encoding(StrEnum):
    """How a value's time is written; AUTO tells by its looks."""

    AUTO = "auto"
    ISO = "iso"
    EPOCH = "epoch"
    EPOCH_MS = "epoch_ms"
    DELTA = "delta"
    GO_DURATION = "go_duration"
    HTTP_DATE = "http_date"


def parse_time(raw: object, encoding: Encoding, now: datetime) -> datetime | None:
    """The time in UTC, one without a zone being UTC; None where `raw` is no time."""
    try:
        moment = _PARSE[encoding](raw.strip() if isinstance(raw, str) else raw, now)
        return moment if moment and moment >= _EARLIEST else None
    except (ValueError, ArithmeticError):
        return None


def _parse_auto(raw: object, now: datetime) -> datetime | None:
    number = parse_number(raw)
    if number is not None:
        if _COMPACT.fullmatch(str(number)):
            return None
        if number >= _LEAST_EPOCH_MS:
            return _parse_epoch_ms(number, now)
        return _parse_epoch(number, now) if number >= _LEAST_EPOCH else _parse_delta(number, now)
    return _parse_http_date(raw, now) or _parse_go_duration(raw, now) or _parse_iso(raw, now)


def _parse_iso(raw: object, _now: datetime) -> datetime | None:
    if not isinstance(raw, str):
        return None
    return _to_utc(datetime.fromisoformat(raw.removesuffix(" UTC")))


def _parse_epoch(raw: object, _now: datetime) -> datetime | None:
    number = parse_number(raw)
    return None if number is None else _EPOCH + _seconds(number)


def _parse_epoch_ms(raw: object, _now: datetime) -> datetime | None:
    number = parse_number(raw)
    return None if number is None else _EPOCH + _seconds(number / 1000)


def _parse_delta(raw: object, now: datetime) -> datetime | None:
    number = parse_number(raw)
    if number is None or number < 0:
        return None
    # To the second: what is left of it is the time that the answer took.
    return (now + _seconds(number)).replace(microsecond=0)


def _parse_go_duration(raw: object, now: datetime) -> datetime | None:
    if not isinstance(raw, str) or not _GO_DURATION.fullmatch(raw):
        return None
    parts = (Decimal(count) * _GO_SECONDS[unit] for count, unit in _GO_PART.findall(raw))
    return _parse_delta(sum(parts, Decimal(0)), now)


def _parse_http_date(raw: object, _now: datetime) -> datetime | None:
    if not isinstance(raw, str) or not _HTTP_DATE.fullmatch(raw):
        return None
    return _to_utc(parsedate_to_datetime(raw))


def _to_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _seconds(number: Decimal) -> timedelta:
    return timedelta(microseconds=int(number * 1_000_000))


_PARSE: Final[Mapping[Encoding, Callable[[object, datetime], datetime | None]]] = {
    Encoding.AUTO: _parse_auto,
    Encoding.ISO: _parse_iso,
    Encoding.EPOCH: _parse_epoch,
    Encoding.EPOCH_MS: _parse_epoch_ms,
    Encoding.DELTA: _parse_delta,
    Encoding.GO_DURATION: _parse_go_duration,
    Encoding.HTTP_DATE: _parse_http_date,
}
