"""Templates: texts of a provider file with names in braces, filled from params, the clock and earlier answers.

The times, all of them UTC, are `{now_*}`, `{day_start_*}`, `{month_start_*}` and `{days_30_ago_*}` (any whole number of
days), where `*` is `unix` or `ms` (since 1970), `iso` (2026-11-01T00:00:00Z) or `date` (2026-11-01); and `{year}` and
`{month}`, without a leading zero.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

API_KEY: Final = "api_key"
PLACEHOLDER: Final = re.compile(r"\{([^{}\s]*)\}")
TIMES: Final = ("now_iso", "day_start_iso", "month_start_iso", "days_30_ago_iso", "year", "month")
"""What to suggest for a misspelt name."""

TemplateValue = str | int
_TIME: Final = re.compile(r"(now|day_start|month_start|days_(\d{1,4})_ago)_(unix|ms|iso|date)", re.ASCII)
_FORMS: Final[Mapping[str, Callable[[datetime], TemplateValue]]] = {
    "unix": lambda moment: int(moment.timestamp()),
    "ms": lambda moment: int(moment.timestamp()) * 1000 + moment.microsecond // 1000,
    "iso": lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
    "date": lambda moment: moment.date().isoformat(),
}


def names_in(text: str) -> list[str]:
    return PLACEHOLDER.findall(text)


def texts_in(tree: object) -> Iterator[str]:
    """All the texts of a table to be sent as JSON."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, Mapping | list):
        for inner in tree.values() if isinstance(tree, Mapping) else tree:
            yield from texts_in(inner)


def is_braced(text: str) -> bool:
    """Whether there are braces that hold no name."""
    return "{" in (rest := PLACEHOLDER.sub("", text)) or "}" in rest


def is_time(name: str) -> bool:
    return name in ("year", "month") or _TIME.fullmatch(name) is not None


def tell_times(names: Iterable[str], now: datetime) -> dict[str, TemplateValue]:
    return {name: _tell_time(name, now) for name in names}


def _tell_time(name: str, now: datetime) -> TemplateValue:
    if name in ("year", "month"):
        return now.year if name == "year" else now.month
    match = _TIME.fullmatch(name)
    assert match is not None
    begin, days, form = match.groups()
    if begin != "now" and days is None:
        now = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if begin == "month_start":
        now = now.replace(day=1)
    return _FORMS[form](now - timedelta(days=int(days or 0)))


def fill(text: str, known: Mapping[str, TemplateValue]) -> str | None:
    """The text with its names filled in; None if one of them is not known."""
    names = names_in(text)
    if not all(name in known for name in names):
        return None
    return PLACEHOLDER.sub(lambda match: str(known[match[1]]), text) if names else text


def fill_all(texts: Mapping[str, str], known: Mapping[str, TemplateValue]) -> dict[str, str]:
    """The texts filled in, without those that name something that is not known."""
    filled = {name: fill(text, known) for name, text in texts.items()}
    return {name: text for name, text in filled.items() if text is not None}


def fill_json(tree: object, known: Mapping[str, TemplateValue]) -> object:
    """The tree filled in, without what names an unknown name. A name that is the whole text keeps its type."""
    if isinstance(tree, Mapping):
        filled = {name: fill_json(inner, known) for name, inner in tree.items()}
        return {name: inner for name, inner in filled.items() if inner is not None}
    if isinstance(tree, list):
        return [inner for inner in (fill_json(inner, known) for inner in tree) if inner is not None]
    if not isinstance(tree, str):
        return tree
    alone = PLACEHOLDER.fullmatch(tree)
    return known.get(alone[1]) if alone else fill(tree, known)
