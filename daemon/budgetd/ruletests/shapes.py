"""The tables of a file of rule tests. Strict like the config: a typo is an error with its key."""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from budgetd.durations import Duration, DurationOrZero, parse_duration
from budgetd.settings import Interval, Name, Table
from budgetd_rules.kinds import Kind
from budgetd_rules.memory import Reason
from budgetd_rules.polls import Cause


def _date(value: object) -> object:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, time())
    raise ValueError("expected a date, such as 2026-03-29 or 2026-03-29T01:30:00, without quotes")


def _moment(value: object) -> object:
    if isinstance(value, date):
        return _date(value)
    try:
        return parse_duration(value)
    except ValueError as error:
        raise ValueError('expected how long after the start, such as "0m" or "1d", or a date') from error


def _texts(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Date = Annotated[datetime, BeforeValidator(_date)]
Moment = Annotated[timedelta | datetime, BeforeValidator(_moment)]
"""So long after the start, or a date: with its offset, or in the zone of the test."""
Texts = Annotated[tuple[str, ...], Field(strict=False), BeforeValidator(_texts)]
KindName = Annotated[Kind, Field(strict=False)]
Scalar = Any


class AccountTable(Table):
    """What the rules and messages know of an account; as in a config, without what a poll needs."""

    provider: str = "test"
    labels: Mapping[Name, str] = {}
    owner: str | None = None
    refill: str | None = None
    at_zero: str | None = None
    stale_after: Duration | None = None


class EntryTable(Table):
    """One poll, or some that saw the same. Every other key is a field of the meter; what is not given is unknown."""

    model_config = ConfigDict(extra="allow")

    at: Moment | None = None
    times: Annotated[int, Field(ge=1, le=10_000)] = 1
    outage: Annotated[Cause, Field(strict=False)] | None = None
    gone: bool = False


class MeterKeys(Table):
    """Of which meter, and how often it is read; what a test leaves out comes from [defaults]."""

    account: Name | None = None
    meter: str | None = None
    kind: KindName | None = None
    unit: str | None = None
    rolling: bool | None = None
    every: Interval | None = None
    field: str | None = None
    fields: Mapping[str, Scalar] = {}


class MeterTable(MeterKeys):
    values: Annotated[tuple[Scalar, ...], Field(strict=False)] = ()
    series: Annotated[tuple[EntryTable, ...], Field(strict=False)] = ()


class DefaultsTable(MeterKeys):
    start: Date | None = None
    stale_after: Duration | None = None


class ChangeTable(Table):
    """What is not given is not compared; `level` of a resolve is the one it had."""

    at: Moment = Field(description='when it is told, such as "10m"')
    change: Literal["opened", "worsened", "reminded", "resolved", "noted"] = Field(description="such as opened")
    level: Literal["info", "warning", "critical"] | None = None
    rule: str | None = None
    account: str | None = None
    meter: str | None = None
    reason: Annotated[Reason, Field(strict=False)] | None = None


class MessageTable(Table):
    at: Moment = Field(description='when it is sent, such as "10m"')
    channel: str | None = None
    title: str | None = None
    contains: Texts = ()
    lacks: Texts = ()


class StateTable(Table):
    at: Moment = Field(description='such as "10m"')
    level: Literal["none", "warning", "critical"] = Field(description="the worst that is open; none, if nothing is")
    rule: str | None = None
    account: str | None = None
    meter: str | None = None


class SpanTable(Table):
    from_: Moment = Field(alias="from", description='when it begins, such as "10m"')
    until: Moment = Field(description='when it ends, such as "2h"')


class DownTable(SpanTable):
    channel: str = Field(description="which one does not work")


class SetBackTable(Table):
    at: DurationOrZero = Field(description='when, such as "1h"')
    by: Duration = Field(description='by how much, such as "1h"')


class ReloadTable(Table):
    """Rules laid over those of the test, key by key; without any, it is a restart."""

    at: Moment = Field(description='when, such as "30m"')
    rules: Mapping[Name, Mapping[str, Any]] = {}


class CaseTable(MeterTable, DefaultsTable):
    name: str = Field(description="what it shows, in a sentence")
    only: Texts = ()
    rules: Mapping[Name, Mapping[str, Any]] = {}
    meters: Annotated[tuple[MeterTable, ...], Field(strict=False)] = ()
    until: Moment | None = None
    sleeps: Annotated[tuple[SpanTable, ...], Field(strict=False)] = ()
    set_back: Annotated[tuple[SetBackTable, ...], Field(strict=False)] = ()
    down: Annotated[tuple[DownTable, ...], Field(strict=False)] = ()
    reload: Annotated[tuple[ReloadTable, ...], Field(strict=False)] = ()
    expect: Annotated[
        tuple[ChangeTable, ...], Field(strict=False, description="what is told, in order; [] where nothing is")
    ]
    messages: Annotated[tuple[MessageTable, ...], Field(strict=False)] | None = None
    state: Annotated[tuple[StateTable, ...], Field(strict=False)] = ()


class CaseFile(Table):
    """`timezone`, `include`, `rules`, `routes` and `channels` are those of a config, and checked as such."""

    config: Annotated[Path, Field(strict=False)] | None = None
    timezone: Any = None
    include: Any = None
    built_in: bool = False
    rules: Any = None
    routes: Any = None
    channels: Any = None
    accounts: Mapping[Name, AccountTable] = {}
    defaults: DefaultsTable = DefaultsTable()
    cases: Annotated[tuple[CaseTable, ...], Field(strict=False, alias="test", min_length=1)]
