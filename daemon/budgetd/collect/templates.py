"""Templates: texts of a provider file with names in braces, which the account's params and the clock fill.

The times, all of them UTC, are `{now_*}`, `{day_start_*}`, `{month_start_*}` and `{days_30_ago_*}` (any whole number of
days), where `*` is `unix` or `ms` (since 1970), `iso` (2026-11-01T00:00:00Z) or `date` (2026-11-01); and `{year}` and
`{month}`, without a leading zero.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

API_KEY: Final = "api_key"
PLACEHOLDER: Final = re.compile(r"\{([^{}\s]*)\}")
TIMES: Final = ("now_iso", "day_start_iso", "month_start_iso", "days_30_ago_iso", "year", "month")
"""What to offer for a name that is none."""

_TIME: Final = re.compile(r"(now|day_start|month_start|days_(\d{1,4})_ago)_(unix|ms|iso|date)", re.ASCII)
_FORMS: Final[Mapping[str, Callable[[datetime], str]]] = {
    "unix": lambda moment: str(int(moment.timestamp())),
    "ms": lambda moment: str(int(moment.timestamp()) * 1000 + moment.microsecond // 1000),
    "iso": lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
    "date": lambda moment: moment.date().isoformat(),
}


def names_in(text: str) -> list[str]:
    return PLACEHOLDER.findall(text)


def is_braced(text: str) -> bool:
    """Whether braces are left that hold no name."""
    return "{" in (rest := PLACEHOLDER.sub("", text)) or "}" in rest


def is_time(name: str) -> bool:
    return name in ("year", "month") or _TIME.fullmatch(name) is not None


def tell_times(names: Iterable[str], now: datetime) -> dict[str, str]:
    return {name: _tell_time(name, now) for name in names}


def _tell_time(name: str, now: datetime) -> str:
    if name in ("year", "month"):
        return str(getattr(now, name))
    match = _TIME.fullmatch(name)
    assert match is not None
    begin, days, form = match.groups()
    if begin != "now" and days is None:
        now = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if begin == "month_start":
        now = now.replace(day=1)
    return _FORMS[form](now - timedelta(days=int(days or 0)))


def fill(text: str, known: Mapping[str, str]) -> str | None:
    """The text without braces; None where it names what is not known."""
    names = names_in(text)
    if not all(name in known for name in names):
        return None
    return PLACEHOLDER.sub(lambda match: known[match[1]], text) if names else text


def fill_all(texts: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    """Without those that name what is not known."""
    filled = {name: fill(text, known) for name, text in texts.items()}
    return {name: text for name, text in filled.items() if text is not None}
