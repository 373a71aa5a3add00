"""Polls: one visit to all requests of one account, and the readings and outages that it ends in."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from budgetd_rules.kinds import Kind
from budgetd_rules.meters import MeterKey, Reading, require_utc
from budgetd_rules.values import Value

CONNECTION: Final = "connection"
NO_CAUSE: Final = "none"


class Cause(StrEnum):
    """Why a request or a value failed."""

    UNREACHABLE = "unreachable"
    """DNS, connect, TLS, time-out."""
    REJECTED = "rejected"
    """401 or 403: a wrong or expired key, or the wrong kind of key."""
    CREDENTIAL = "credential"
    """The command that fetches the key failed: the vendor was not asked."""
    NOT_FOUND = "not_found"
    RATE_LIMITED = "rate_limited"
    EXHAUSTED = "exhausted"
    """402, or a 429 whose body says that nothing is left."""
    VENDOR_ERROR = "vendor_error"
    """5xx."""
    MALFORMED = "malformed"
    """An answer, or a value in it, that is not as the provider file describes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """One request or value that failed. `detail` is one line for people and holds no secret.

    `more`: so many others of this request and cause are not told one by one.
    """

    request: str
    cause: Cause
    detail: str
    more: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """What one visit brought.

    `answered` names the meters (of lists: the families) whose requests were answered. If one of them has no reading, it
    is gone at the vendor; of a meter that is not named here, nothing is known. `identity` is the vendor's own id of
    what the key belongs to, if an answer has one.
    """

    account: str
    provider: str
    at: datetime
    readings: tuple[Reading, ...]
    outages: tuple[Outage, ...]
    answered: frozenset[str] = frozenset()
    retry_after: timedelta | None = None
    identity: str | None = None

    def __post_init__(self) -> None:
        require_utc(self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How an account's polls went: failures in a row, and when the last poll without an outage was."""

    failures: int = 0
    last_success_at: datetime | None = None


def connect(before: Connection, poll: Poll) -> Connection:
    if poll.outages:
        return Connection(failures=before.failures + 1, last_success_at=before.last_success_at)
    return Connection(failures=0, last_success_at=poll.at)


def connection_reading(connection: Connection, poll: Poll) -> Reading:
    """The meter `connection`, which every account has. No cause is the text `none`, so that rules can compare it."""
    fields: dict[str, Value] = {
        "reachable": all(outage.cause is not Cause.UNREACHABLE for outage in poll.outages),
        "failures": Decimal(connection.failures),
        "cause": worst_cause(poll.outages),
    }
    if poll.outages:
        fields["detail"] = min(poll.outages, key=_badness).detail
    if connection.last_success_at:
        fields["last_success_at"] = connection.last_success_at
    if poll.outages and poll.retry_after:
        fields["retry_until"] = poll.at + poll.retry_after
    key = MeterKey(poll.account, CONNECTION)
    return Reading(key=key, kind=Kind.CONNECTION, unit="", as_of=poll.at, fields=fields)


# Of several causes, the first of these explains most: a refused key explains the 404 beside it.
_WORST_FIRST: Final[Mapping[Cause, int]] = {
    cause: rank
    for rank, cause in enumerate(
        [
            Cause.REJECTED,
            Cause.CREDENTIAL,
            Cause.EXHAUSTED,
            Cause.UNREACHABLE,
            Cause.VENDOR_ERROR,
            Cause.RATE_LIMITED,
            Cause.NOT_FOUND,
            Cause.MALFORMED,
        ]
    )
}


def _badness(outage: Outage) -> int:
    return _WORST_FIRST[outage.cause]


def worst_cause(outages: tuple[Outage, ...]) -> str:
    return min(outages, key=_badness).cause if outages else NO_CAUSE
