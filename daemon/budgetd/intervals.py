"""How often each account is polled: as it says, its provider or [daemon], and not more often than the vendor takes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Final

from budgetd.collect.provider import Provider
from budgetd.collect.sources import line_of
from budgetd.config import ConfigFile
from budgetd.durations import LONGEST
from budgetd.turns import Line

_GRAIN: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Accounts that would send more than their line takes: `load` requests in the span of its rate. They are polled
    less often, and by the same factor each.
    """

    line: Line
    load: Fraction
    intervals: Mapping[str, timedelta]


def find_intervals(file: ConfigFile, providers: Mapping[str, Provider]) -> dict[str, timedelta]:
    """Of the enabled accounts whose provider is known."""
    slowed = {name: length for crowd in find_crowds(file, providers) for name, length in crowd.intervals.items()}
    return _wanted(file, providers) | slowed


def find_crowds(file: ConfigFile, providers: Mapping[str, Provider]) -> list[Crowd]:
    wanted = _wanted(file, providers)
    lines: dict[Line, dict[str, timedelta]] = {}
    for name, interval in wanted.items():
        table = file.accounts[name]
        provider = providers[table.provider]
        try:
            line = line_of(provider, table.base_url or provider.base_url)
        except ValueError:  # the URL is none, which is said elsewhere
            continue
        if line:
            lines.setdefault(line, {})[name] = interval
    crowds = []
    for line, intervals in lines.items():
        polls = sum((Fraction(line.rate.per // _GRAIN, one // _GRAIN) for one in intervals.values()), Fraction())
        load = polls * len(providers[line.provider].requests)
        if load > line.rate.requests:
            slower = {name: _stretch(one, load / line.rate.requests) for name, one in intervals.items()}
            crowds.append(Crowd(line=line, load=load, intervals=slower))
    return crowds


def _wanted(file: ConfigFile, providers: Mapping[str, Provider]) -> dict[str, timedelta]:
    intervals = {}
    for name, table in file.accounts.items():
        provider = providers.get(table.provider)
        if provider and table.enabled:
            wanted = table.interval or provider.interval or file.daemon.interval
            intervals[name] = max(wanted, provider.min_interval or wanted)
    return intervals


def _stretch(interval: timedelta, factor: Fraction) -> timedelta:
    """In whole seconds, and no longer than a duration may be."""
    seconds = math.ceil(Fraction(interval // _GRAIN, 1_000_000) * factor)
    return timedelta(seconds=min(seconds, LONGEST // timedelta(seconds=1)))
