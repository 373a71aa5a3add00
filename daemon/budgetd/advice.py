"""What a config may say, and probably does not mean."""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from budgetd.collect.plans import Meter
from budgetd.commands import find_program
from budgetd.credentials import KeySource
from budgetd.planning import Outline
from budgetd.validation import did_you_mean
from budgetd_rules.judgement import FROM_HISTORY
from budgetd_rules.meters import Kind, family
from budgetd_rules.polls import CONNECTION
from budgetd_rules.rule import Rule


def warnings(outline: Outline) -> list[str]:
    """What is allowed, and probably not meant: rules that watch nothing, or whose meters never have the field."""
    config, routing = outline.config, outline.routing
    rules = outline.ruleset.rules.values()
    own = [rule for rule in rules if rule.name in config.own_rules]
    lines = [config.problem(*found) for rule in own for found in _in_vain(rule, outline)]
    if not own and all(rule.on.kinds == {Kind.CONNECTION} for rule in rules):
        what = "there is none but the built-in ones: nobody will be told what runs out"
        lines.append(config.problem("rules", what))
    if not outline.ruleset.accounts:
        lines.append(config.problem("accounts", "none is enabled: nothing will be polled"))
    if not routing.group_wait:
        lines.append(config.problem("channels", "there is none: nobody will be told anything"))
    routed = {name for route in routing.routes for name in route.channels}
    unrouted = [name for name in routing.group_wait if routing.routes and name not in routed]
    lines += [config.problem(f"channels.{name}", "no route leads to it: it will be told nothing") for name in unrouted]
    return lines


def programs(outline: Outline) -> list[str]:
    """Whose keys come from a command, and from which program: nothing is run to find out."""
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


def _in_vain(rule: Rule, outline: Outline) -> Iterator[tuple[str, str]]:
    """Pairs of a key and a line: the rule watches nothing, or what it reads is never there."""
    accounts = outline.ruleset.accounts.values()
    meters = [(account, meter) for account in accounts for meter in outline.providers[account.provider].meters.values()]
    watched = [meter for account, meter in meters if rule.watches(account, _example(rule, meter), meter.kind)]
    connected = any(rule.watches(account, CONNECTION, Kind.CONNECTION) for account in accounts)
    if meters and not watched and not connected:
        yield f"rules.{rule.name}.on", f"matches no meter{_nearest(rule, outline)}"
    given = sorted(frozenset[str]().union(*(meter.gives for meter in watched)))
    for name in sorted(rule.own_names - FROM_HISTORY) if watched else ():
        if name not in given:
            hint = did_you_mean(name, given)
            yield f"rules.{rule.name}", f"{name} is never given by the meters that it watches{hint}"


def _example(rule: Rule, meter: Meter) -> str:
    """A name that the meter may have: where it fans out, of the item that the rule itself names."""
    item = rule.on.meter.partition("/")[2]
    return f"{meter.name}/{item}" if meter.each and item else meter.name


def _nearest(rule: Rule, outline: Outline) -> str:
    """What was probably meant, for the first name that is none; else what meters there are."""
    accounts = outline.ruleset.accounts
    providers = {account.provider for account in accounts.values()}
    meters = sorted({meter for provider in providers for meter in outline.providers[provider].meters})
    for name, known in ((rule.on.account, accounts), (rule.on.provider, providers), (rule.on.meter, meters)):
        if not any(fnmatchcase(one, family(name)) for one in known):
            return f": none is called {name}{did_you_mean(name, list(known))}"
    return f"; there are {', '.join(meters)} and {CONNECTION}"
