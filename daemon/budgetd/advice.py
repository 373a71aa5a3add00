"""Advice on a config: what is allowed, but probably not what somebody meant."""

import math
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Final

from budgetd.collect.plans import Meter
from budgetd.credentials import KeySource
from budgetd.durations import format_duration
from budgetd.intervals import Crowd, find_crowds
from budgetd.key_commands import find_program
from budgetd.planning import Outline
from budgetd.same_as import find_twins
from budgetd.validation import did_you_mean
from budgetd_rules.explanation import supposed
from budgetd_rules.judgement import FROM_HISTORY
from budgetd_rules.kinds import Kind
from budgetd_rules.memory import ChangeKind, Watch, WatchKey
from budgetd_rules.meters import Account, family
from budgetd_rules.own_account import OWN_ACCOUNT, OWN_NAME, own_meters
from budgetd_rules.polls import CONNECTION
from budgetd_rules.prospects import never_ends
from budgetd_rules.routing import Route
from budgetd_rules.rule import Level, Rule


def warnings(outline: Outline) -> list[str]:
    """Rules that watch nothing, routes that are never reached, levels that nobody is told of: a line for each."""
    config, routing = outline.config, outline.routing
    rules = outline.ruleset.rules.values()
    own = [rule for rule in rules if rule.name in config.own_rules]
    lines = [config.problem(*found) for rule in own for found in (*_in_vain(rule, outline), *_endless(rule, outline))]
    if not own and all(rule.on.kinds == {Kind.CONNECTION} for rule in rules):
        what = "there is none but the built-in ones: nobody will be told what runs out"
        lines.append(config.problem("rules", what))
    if not outline.accounts:
        lines.append(config.problem("accounts", "none is enabled: nothing will be polled"))
    lines += [
        config.problem("accounts", _slower(crowd, outline)) for crowd in find_crowds(config.file, outline.providers)
    ]
    if not routing.group_wait:
        lines.append(config.problem("channels", "there is none: nobody will be told anything"))
    routed = {name for route in routing.routes for name in route.channels} | set(routing.fallbacks.values())
    unrouted = [name for name in routing.group_wait if routing.routes and name not in routed]
    lines += [config.problem(f"channels.{name}", "no route leads to it: it will be told nothing") for name in unrouted]
    lines += [config.problem(*found) for found in _idle_routes(routing.routes)]
    lines += [config.problem(*found) for found in _lost_routes(outline)]
    lines += [config.problem(*found) for rule in rules if routing.routes for found in _unheard(rule, outline)]
    return lines


def _slower(crowd: Crowd, outline: Outline) -> str:
    rate, title = crowd.line.rate, outline.providers[crowd.line.provider].title
    first, interval = next(iter(crowd.intervals.items()))
    load = f"{math.ceil(crowd.load)} requests in {format_duration(rate.per)}, and it takes {rate.requests}"
    slower = f"they are polled less often, {first} every {format_duration(interval)}"
    return f"at their intervals {_some(crowd.intervals)} would send {title} {load}: {slower}"


def programs(outline: Outline) -> list[str]:
    """A line for each account whose key comes from a command, with the program. Nothing is run to find out."""
    config = outline.config
    commands = {
        name: table.api_key.command
        for name, table in config.file.accounts.items()
        if table.enabled and isinstance(table.api_key, KeySource) and table.api_key.command
    }
    return [
        config.problem(f"accounts.{name}.api_key", f"will come from {find_program(words, config.path.parent)}")
        for name, words in commands.items()
    ]


def twins(
    outline: Outline, identities: Mapping[str, str | None], keys: Mapping[str, Hashable] = MappingProxyType({})
) -> list[str]:
    """Accounts that are one and the same at the vendor, but judged separately, so that everything is told twice.

    `identities` is what the polls found: account -> the vendor's own id of it.
    """
    accounts = outline.accounts
    return [
        outline.config.problem(
            f"accounts.{name}",
            f'at {accounts[name].title} this is the same as {first}; same_as = "{first}" would have it told only once',
        )
        for name, first in find_twins(accounts, identities, keys).items()
    ]


# --- rules that watch nothing


def _in_vain(rule: Rule, outline: Outline) -> Iterator[tuple[str, str]]:
    """Pairs of a key and a line: the rule watches no meter, or reads a field that no meter has."""
    watched = [meter for _, meter in _watched(rule, outline)]
    connected = any(_connections(rule, outline))
    if outline.accounts and not watched and not connected:
        yield f"rules.{rule.name}.on", f"matches no meter{_nearest(rule, outline)}"
    given = sorted(frozenset[str]().union(*(meter.gives for meter in watched)))
    for name in sorted(rule.own_names - FROM_HISTORY) if watched else ():
        if name not in given:
            hint = did_you_mean(name, given)
            yield f"rules.{rule.name}", f"{name} is never given by the meters that it watches{hint}"


def _endless(rule: Rule, outline: Outline) -> Iterator[tuple[str, str]]:
    """Episodes that one part of a condition begins, and another keeps open for as long as nobody knows it."""
    if min(rule.levels, default=None) in rule.clear:
        return
    given = {frozenset(meter.gives) for _, meter in _watched(rule, outline)}
    for level in sorted(rule.levels.keys() - rule.clear.keys()):
        condition = rule.levels[level]
        own = condition.names & rule.own_names
        unsure = [own & FROM_HISTORY | own - fields for fields in given]
        if found := sorted(frozenset[str]().union(*(some for some in unsure if never_ends(condition, some)))):
            what = f"an episode stays open while {' or '.join(found)} is unknown"
            yield f"rules.{rule.name}.{level.label}", f"{what}: `clear` says what ends it all the same"


def _accounts(rule: Rule, outline: Outline) -> Collection[Account]:
    """The accounts that it may watch. A rule that names one is not tried on all: there may be a thousand of both."""
    accounts = outline.accounts
    return [accounts[rule.on.account]] if rule.on.account in accounts else accounts.values()


def _watched(rule: Rule, outline: Outline) -> Iterator[tuple[Account, Meter]]:
    for account in _accounts(rule, outline):
        for meter in outline.providers[account.provider].meters.values():
            if rule.watches(account, _example(rule, meter), meter.kind):
                yield account, meter


def _connections(rule: Rule, outline: Outline) -> Iterator[tuple[Account, str]]:
    """The connections that it watches: those of accounts, and budgetd's own meters."""
    connections = [(account, CONNECTION) for account in _accounts(rule, outline)]
    connections += [(OWN_ACCOUNT, meter) for meter in own_meters(outline.routing.group_wait)]
    return (one for one in connections if rule.watches(*one, Kind.CONNECTION))


def _example(rule: Rule, meter: Meter) -> str:
    """A name that the meter may have. If it is one of a list, that of the item that the rule names."""
    item = rule.on.meter.partition("/")[2]
    return f"{meter.name}/{item}" if meter.each and item else meter.name


def _nearest(rule: Rule, outline: Outline) -> str:
    """What was probably meant by the first name that does not exist; else which meters there are."""
    providers = {account.provider for account in outline.accounts.values()}
    meters = sorted({meter for provider in providers for meter in outline.providers[provider].meters})
    named = outline.ruleset.accounts
    for name, known in ((rule.on.account, named), (rule.on.provider, providers), (rule.on.meter, meters)):
        if not any(fnmatchcase(one, family(name)) for one in known):
            return f": none is called {name}{did_you_mean(name, list(known))}"
    return f"; there are {', '.join(meters)} and {CONNECTION}"


# --- routes and rules of which nobody hears

_NEVER_ROUTED: Final = {
    ChangeKind.EASED: "eased is recorded and not told, so this never matches",
    ChangeKind.RESOLVED: "resolved goes to whom its beginning was told, so this never matches",
}
_AT_ANY_TIME: Final = datetime.min.replace(tzinfo=UTC)
_MOST_NAMED: Final = 3


def _idle_routes(routes: Sequence[Route]) -> Iterator[tuple[str, str]]:
    """Routes for changes that are never routed, and those behind a route that takes everything."""
    ends_at = None
    for number, route in enumerate(routes, 1):
        for change in sorted(route.changes):
            if change in _NEVER_ROUTED:
                yield f"routes#{number}.match.change", _NEVER_ROUTED[change]
            elif change is ChangeKind.NOTED and route.after:
                yield (
                    f"routes#{number}.match.change",
                    "noted is nothing that can be acked: with `after` it never matches",
                )
        if ends_at is not None:
            what = f"is never reached: routes#{ends_at} takes everything"
            yield f"routes#{number}", f"{what}; put it before that one, or write continue = true there"
        elif _takes_everything(route):
            ends_at = number


def _lost_routes(outline: Outline) -> Iterator[tuple[str, str]]:
    """Routes that ask for a name that nothing has. What is switched off, but in the config, has its name."""
    file = outline.config.file
    known = {
        "rule": outline.ruleset.rules.keys() | outline.config.own_rules,
        "account": file.accounts.keys() | {OWN_NAME},
        "provider": {account.provider for account in file.accounts.values()} | {OWN_NAME},
    }
    for number, route in enumerate(outline.routing.routes, 1):
        for key, asked in (("rule", route.rule), ("account", route.account), ("provider", route.provider)):
            if not any(fnmatchcase(name, asked) for name in known[key]):
                what = f"matches nothing: none is called {asked}{did_you_mean(asked, sorted(known[key]))}"
                yield f"routes#{number}.match.{key}", what


def _takes_everything(route: Route) -> bool:
    """Whether it matches every change and ends the search."""
    texts = (route.rule, route.account, route.provider, *route.labels.values())
    return (
        not (route.goes_on or route.after)
        and all(set(text) == {"*"} for text in texts)
        and (not route.levels or route.levels == frozenset(Level))
        and (not route.kinds or route.kinds == frozenset(Kind))
        and (not route.changes or route.changes | _NEVER_ROUTED.keys() == frozenset(ChangeKind))
    )


def _unheard(rule: Rule, outline: Outline) -> Iterator[tuple[str, str]]:
    """The levels of the rule that no route takes to a channel, with the accounts if it is only some of them."""
    watched = [(account, _example(rule, meter), meter.kind) for account, meter in _watched(rule, outline)]
    watched += [(account, meter, Kind.CONNECTION) for account, meter in _connections(rule, outline)]
    unheard: dict[Level, dict[str, None]] = {}
    for account, meter, kind in watched:
        for change in supposed(rule, Watch(key=WatchKey(rule.name, account.name, meter)), _AT_ANY_TIME):
            if change.new is not None and not outline.routing.channels(change, account, kind):
                unheard.setdefault(change.new, {})[account.name] = None
    every = {account.name for account, _, _ in watched}
    levels = [
        level.label if unheard[level].keys() == every else f"{level.label} ({_some(unheard[level])})"
        for level in sorted(unheard)
    ]
    if levels:
        yield f"rules.{rule.name}", f"nobody will be told of {' and '.join(levels)}: no route takes it to a channel"


def _some(names: Collection[str]) -> str:
    first, more = list(names)[:_MOST_NAMED], len(names) - _MOST_NAMED
    return ", ".join(first) + (f" and {more} more" if more > 0 else "")
