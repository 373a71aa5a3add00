"""Values, times and meters in words."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from decimal import ROUND_DOWN, Decimal
from typing import Final

from budgetd_rules.kinds import Kind
from budgetd_rules.meters import View
from budgetd_rules.own_account import CONFIG, JUDGING, OWN_NAME, STORE, channel_of
from budgetd_rules.sanitizing import harmless
from budgetd_rules.values import UNKNOWN, Unknown, Unlimited, Value


def describe(view: View, zone: tzinfo, now: datetime) -> str:
    """The meter in one phrase: `212 credits left (0.4 %)`."""
    return _DESCRIBE[view.reading.kind](view, zone, now)


def _balance(view: View, _zone: tzinfo, _now: datetime) -> str:
    remaining, share = view.fields["remaining"], view.fields["remaining_percent"]
    # Two balances of an account may both be in USD.
    named = "" if harmless(view.key.meter) == _unit(view) else f"{harmless(view.key.meter)}: "
    if isinstance(remaining, Decimal) and remaining < 0:
        return f"{named}{_amount(view, remaining.copy_abs())} over"
    if remaining is UNKNOWN and view.fields["used"] is not UNKNOWN:
        return f"{named}{_amount(view, view.fields['used'])} used"
    if remaining is UNKNOWN and isinstance(allowed := view.fields["overage_allowed"], bool):
        return f"{harmless(view.key.meter)}: overage is {'allowed' if allowed else 'denied'}"
    return f"{named}{_amount(view, remaining)} left" + (
        f" ({show_percent(share)})" if isinstance(share, Decimal) else ""
    )


def _quota(view: View, _zone: tzinfo, _now: datetime) -> str:
    used, limit, share = view.fields["used"], view.fields["limit"], view.fields["used_percent"]
    named = harmless(view.key.meter)
    if isinstance(share, Decimal):
        return f"{named} {show_percent(share)} used ({_number(view, used)} of {_amount(view, limit)})"
    if used is UNKNOWN and view.fields["remaining"] is not UNKNOWN:
        return f"{named} {_amount(view, view.fields['remaining'])} left"
    if limit is UNKNOWN and used is not UNKNOWN:
        return f"{named} {_amount(view, used)} used"
    return f"{named} {_number(view, used)} of {_amount(view, limit)}"


def _spend(view: View, _zone: tzinfo, _now: datetime) -> str:
    amount, limit = view.fields["amount"], view.fields["limit"]
    amounts = (
        f"{_number(view, amount)} of {_amount(view, limit)}" if isinstance(limit, Decimal) else _amount(view, amount)
    )
    return f"{harmless(view.key.meter)} {amounts} spent"


def _subscription(view: View, zone: tzinfo, now: datetime) -> str:
    named = harmless(view.key.meter)
    if view.fields["active"] is False:
        return f"{named} is not active"
    return f"{named} {_term(view, zone, now)}{_change_ahead(view, zone, now)}"


def _term(view: View, zone: tzinfo, now: datetime) -> str:
    """When it ends; if that is unknown, the plan, or when it was last paid."""
    plan, since = view.fields["plan"], view.fields["days_since_payment"]
    if view.fields["days_until_expiry"] is UNKNOWN and plan is not UNKNOWN:
        return f"is {show(plan)}"
    if view.fields["days_until_expiry"] is UNKNOWN and isinstance(since, Decimal):
        return f"last paid {_days(since)} ago"
    return _in_days(view, "days_until_expiry", "expires_at", "ends", "ended", zone, now)


def _change_ahead(view: View, zone: tzinfo, now: datetime) -> str:
    to, days = view.fields["changes_to"], view.fields["days_until_change"]
    if not isinstance(days, Decimal) or days < 0:
        return ""
    named = f" to {show(to)}" if to is not UNKNOWN else ""
    return f", changes{named} {_in_days(view, 'days_until_change', 'changes_at', '', '', zone, now).strip()}"


def _charge(view: View, zone: tzinfo, now: datetime) -> str:
    paid = view.fields["paid"] is True
    due = "is paid" if paid else _in_days(view, "days_until_due", "due_at", "is due", "was due", zone, now)
    return f"{harmless(view.key.meter)}: {_amount(view, view.fields['amount'])} {due}"


def _cap(view: View, _zone: tzinfo, _now: datetime) -> str:
    return f"{harmless(view.key.meter)} is {_amount(view, view.fields['value'])}"


def _connection(view: View, _zone: tzinfo, _now: datetime) -> str:
    if view.key.account == OWN_NAME:
        return _own(view)
    cause, failures = view.fields["cause"], view.fields["failures"]
    if failures is UNKNOWN:
        return "no poll lately"
    if failures == 0:
        return "polls succeed"
    return f"polls fail, {show(cause).replace('_', ' ')} ({_times(failures)})"


def _times(failures: Value) -> str:
    return "once" if failures == 1 else f"{show(failures)} times in a row"


def _own(view: View) -> str:
    """A meter of budgetd itself: a channel, the config or the store."""
    channel, failures = channel_of(*view.key), view.fields["failures"]
    if channel is None:
        fine, failing = _OWN.get(view.key.meter, (f"{view.key.meter} works", f"{view.key.meter} fails"))
        return failing if failures != 0 else fine
    if failures == 0:
        return f"channel {channel} works"
    said = _STATUS.search(show(view.fields["detail"]))
    why = said[0] if said else show(view.fields["cause"]).replace("_", " ")
    return f"channel {channel} fails ({_times(failures)}, {why})"


_OWN: Final[Mapping[str, tuple[str, str]]] = {
    CONFIG: ("the config is in force", "a new config is refused, the old one stays"),
    STORE: ("the database works", "the database could not be written"),
    JUDGING: ("every account is judged", "what was read can't be judged"),
}
_STATUS: Final = re.compile(r"error=\d{3}")


_DESCRIBE: Final[Mapping[Kind, Callable[[View, tzinfo, datetime], str]]] = {
    Kind.BALANCE: _balance,
    Kind.QUOTA: _quota,
    Kind.SPEND: _spend,
    Kind.SUBSCRIPTION: _subscription,
    Kind.CHARGE: _charge,
    Kind.CAP: _cap,
    Kind.CONNECTION: _connection,
}


def _amount(view: View, value: Value) -> str:
    return f"{_number(view, value)} {_unit(view)}".rstrip()


def _number(view: View, value: Value) -> str:
    return _cents(value) if _is_money(view) and isinstance(value, Decimal) else show(value)


def _cents(value: Decimal) -> str:
    """12.3 becomes 12.30; a price of 0.0045 keeps all its digits, and 500 stays 500."""
    whole, point, cents = show(value).partition(".")
    return f"{whole}.{cents.rstrip('0').ljust(2, '0')}" if point else whole


def _is_money(view: View) -> bool:
    return re.fullmatch("[A-Z]{3}", _unit(view)) is not None


_AMOUNTS: Final = frozenset(
    {"amount", "burn_per_day", "granted", "limit", "overage", "overage_price", "remaining", "used", "value"}
)


def show_field(view: View | None, name: str, value: Value) -> str:
    """A field's value; amounts of money have their currency."""
    if view is not None and name in _AMOUNTS and isinstance(value, Decimal) and _is_money(view):
        return _amount(view, value)
    return show(value)


def _unit(view: View) -> str:
    currency = view.fields.get("currency")
    return harmless(currency if isinstance(currency, str) else view.reading.unit)


def _in_days(view: View, count: str, date: str, ahead: str, behind: str, zone: tzinfo, now: datetime) -> str:
    days, at = view.fields[count], view.fields[date]
    if not isinstance(days, Decimal):
        return f"{ahead} at a time nobody knows"
    on = f" ({moment(at, zone, now)})" if isinstance(at, datetime) else ""
    number = _days(abs(days))
    if days == 0:
        # Where we derived 0 from a date, it ended less than a day ago. A vendor that says 0 means today.
        is_over = isinstance(at, datetime) and at <= now
        return f"{behind} less than a day ago{on}" if is_over else f"{ahead} today{on}"
    return f"{ahead} in {number}{on}" if days > 0 else f"{behind} {number} ago{on}"


def _days(count: Decimal) -> str:
    return f"{show(count)} day{'' if count == 1 else 's'}"


# --- values in words


def show(value: Value) -> str:
    """A value for people: 36,462.14, `unknown`, `unlimited`; at most four decimals, truncated and not rounded."""
    if isinstance(value, Unknown | Unlimited):
        return str(value.value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return f"{_cut(value):,f}"
    return harmless(str(value))


def show_percent(share: Decimal) -> str:
    """Truncated to a tenth: 4.96 is shown as 4.9, because 5.0 would seem to contradict a rule such as `< 5`."""
    if abs(share) >= _HUGE:
        return "a huge share"
    return f"{_unsigned_zero(share.quantize(Decimal('0.1'), rounding=ROUND_DOWN)):,f} %"


_HUGE: Final = 10**15


def _cut(number: Decimal) -> Decimal:
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    if exponent < -4 and abs(number) < _HUGE:
        number = number.quantize(Decimal("0.0001"), rounding=ROUND_DOWN).normalize()
    return _unsigned_zero(number)


def _unsigned_zero(number: Decimal) -> Decimal:
    return number or number.copy_abs()


def moment(at: datetime, zone: tzinfo, now: datetime) -> str:
    """In the reader's zone: 14:05 CET if it is today, else 3 Jan 2027 14:05 CET."""
    try:
        local = at.astimezone(zone)
    except OverflowError:  # a vendor's "never" is the calendar's last second, and in the east that is a day further
        local = at.astimezone(UTC)
    if local.date() == now.astimezone(zone).date():
        return f"{local:%H:%M %Z}"
    return f"{local.day} {local:%b %Y %H:%M %Z}"
