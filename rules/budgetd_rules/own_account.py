"""budgetd itself as an account: its channels, config, store and judging are meters of the kind `connection`.

So its own troubles are told by ordinary rules, episodes and routes, but never through the channel that is in trouble.
"""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from budgetd_rules.kinds import Kind
from budgetd_rules.meters import Account, MeterKey, Reading
from budgetd_rules.polls import NO_CAUSE, Cause
from budgetd_rules.values import Value

OWN_NAME: Final = "budgetd"
CONFIG: Final = "config"
STORE: Final = "store"
JUDGING: Final = "judging"
_CHANNEL: Final = "channel/"
# Nobody polls these meters: a reading is written when something happens, and holds until the next one.
NEVER_STALE: Final = timedelta(days=36_500)
OWN_ACCOUNT: Final = Account(name=OWN_NAME, provider=OWN_NAME, title="", stale_after=NEVER_STALE)


def channel_meter(channel: str) -> str:
    return f"{_CHANNEL}{channel}"


def channel_of(account: str, meter: str) -> str | None:
    """The channel that this meter is about, if it is one of our own meters of channels."""
    is_one = account == OWN_NAME and meter.startswith(_CHANNEL)
    return meter.removeprefix(_CHANNEL) if is_one else None


def own_meters(channels: Iterable[str]) -> list[str]:
    return [*map(channel_meter, channels), CONFIG, STORE, JUDGING]


def own_reading(
    meter: str,
    now: datetime,
    *,
    failures: int = 0,
    cause: str = NO_CAUSE,
    detail: str | None = None,
    last_success_at: datetime | None = None,
) -> Reading:
    """`last_success_at` counts only while it fails: a channel with nothing to send for weeks is not in trouble."""
    fields: dict[str, Value] = {
        "reachable": cause != Cause.UNREACHABLE,
        "failures": Decimal(failures),
        "cause": cause,
    }
    if detail:
        fields["detail"] = detail
    if failures and last_success_at:
        fields["last_success_at"] = last_success_at
    return Reading(key=MeterKey(OWN_NAME, meter), kind=Kind.CONNECTION, unit="", as_of=now, fields=fields)


_HTTP_STATUS: Final = re.compile(r"error=(\d{3})")
_SMTP_STATUS: Final = re.compile(r"\((\d{3}), b")
_REFUSED_LOGIN: Final = frozenset({"401", "403", "530", "534", "535"})
_BY_HTTP_STATUS: Final = {"404": Cause.NOT_FOUND, "410": Cause.NOT_FOUND, "429": Cause.RATE_LIMITED}
# How the errors begin that are our own fault and not the service's.
NOT_COMPOSED: Final = "could not be composed"
BROKEN: Final = "budgetd itself failed"


def send_cause(error: str) -> Cause:
    """Why a send failed, from what the service said."""
    if error.startswith((NOT_COMPOSED, BROKEN)):
        return Cause.MALFORMED
    found = _HTTP_STATUS.search(error) or _SMTP_STATUS.search(error)
    if found is None:
        return Cause.UNREACHABLE
    status = found[1]
    if status in _REFUSED_LOGIN:
        return Cause.REJECTED
    return _BY_HTTP_STATUS.get(status, Cause.VENDOR_ERROR)
