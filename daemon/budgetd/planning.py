"""A config becomes a plan, whole or not at all.

This is where a config is checked as a whole: its accounts against the providers, its rules against the kinds, its
routes against the channels, its channels against Apprise, and that every secret can be had. All problems are found
before one is reported.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from budgetd.channel_plans import ChannelPlanner
from budgetd.collect.collector import Scheduled
from budgetd.collect.overrides import override_headers
from budgetd.collect.provider import Provider, Shelf, load_shelf
from budgetd.collect.renewal import first_secret, renewable
from budgetd.collect.sources import Setting, Source, make_source
from budgetd.config import (
    AccountTable,
    Config,
    RouteTable,
    RuleTable,
)
from budgetd.config_paths import own_providers
from budgetd.credentials import Secret, SecretSource, SecretUnavailableError
from budgetd.errors import ConfigError
from budgetd.heartbeat import Receiver
from budgetd.http import Request
from budgetd.intervals import find_intervals
from budgetd.key_commands import KeyCommands
from budgetd.rule_texts import levels_named, rule_text
from budgetd.same_as import same_as_problem
from budgetd.validation import did_you_mean
from budgetd_rules.judgement import Ruleset
from budgetd_rules.meters import Account
from budgetd_rules.own_account import OWN_ACCOUNT, OWN_NAME
from budgetd_rules.routing import AT_ONCE, Route, Routing
from budgetd_rules.rule import Level, Rule, RuleError, build_rule

if TYPE_CHECKING:
    from budgetd.deliver.templates import Template

STALE_INTERVALS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What a config says, without its secrets: enough to judge and to show what is stored."""

    config: Config
    zone: ZoneInfo
    shelf: Shelf
    ruleset: Ruleset
    routing: Routing

    @property
    def providers(self) -> Mapping[str, Provider]:
        return self.shelf.providers

    @property
    def accounts(self) -> Mapping[str, Account]:
        """Those of the config; the ruleset has budgetd itself as well."""
        return {name: account for name, account in self.ruleset.accounts.items() if name != OWN_NAME}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A config that holds together, secrets included: everything the service needs, and nothing opened yet."""

    outline: Outline
    scheduled: Mapping[str, Scheduled]
    urls: Mapping[str, Secret]
    templates: "Mapping[str, Template]"
    receiver: Receiver | None = None


def make_outline(config: Config) -> Outline:
    """Raises ConfigError with a line for each thing that is wrong; secrets are not looked at."""
    planner = _Planner(config)
    outline = planner.outline()
    planner.raise_problems()
    return outline


def make_sources(outline: Outline, names: Collection[str]) -> dict[str, Source]:
    """Of these accounts alone, with their secrets and nobody else's. Raises ConfigError."""
    planner = _Planner(outline.config)
    planner.require_accounts(names)
    scheduled = planner.scheduled(outline.providers, names)
    planner.raise_problems()
    return {name: one.source for name, one in scheduled.items()}


def make_channel(outline: Outline, name: str) -> "tuple[Secret, Template | None]":
    """Where one channel leads, and its own words if any; the others' secrets are not looked at. Raises ConfigError."""
    planner = _Planner(outline.config)
    urls = planner.channel_urls({name})
    templates = planner.templates(urls)
    planner.raise_problems()
    return urls[name], templates.get(name)


def make_plan(config: Config) -> Plan:
    """Raises ConfigError with a line for each thing that is wrong; also where there is nothing to poll at all."""
    planner = _Planner(config)
    planner.require_accounts(config.file.accounts)
    outline = planner.outline()
    scheduled = planner.scheduled(outline.providers, config.file.accounts)
    urls = planner.channel_urls(config.file.channels)
    templates = planner.templates(urls)
    receiver = planner.receiver()
    planner.raise_problems()
    return Plan(outline=outline, scheduled=scheduled, urls=urls, templates=templates, receiver=receiver)


class _Planner:
    """Collects the problems of one config while its parts are put together."""

    def __init__(self, config: Config) -> None:
        self.config, self.file = config, config.file
        self.commands = KeyCommands()
        self.shelf = load_shelf(own_providers(config.path))
        self.problems = self.shelf.problem_lines
        self._channels = ChannelPlanner(config, self._secret, self._problem)

    def require_accounts(self, names: Collection[str]) -> None:
        if not self.file.accounts:
            what = 'there is none: write [accounts.NAME] with provider = "..." and api_key = { env = "..." }'
            self._problem("accounts", f"{what}; `budgetd providers` lists the providers")
        elif not names:
            self._problem("accounts", "none is enabled: there is nothing to poll")

    def outline(self) -> Outline:
        every = find_intervals(self.file, self.shelf.providers)
        found = (self._account(name, table, every.get(name)) for name, table in self.file.accounts.items())
        accounts = [account for account in found if account]
        rules = [rule for name, table in self.file.rules.items() if table.enabled and (rule := self._rule(name, table))]
        routes = tuple(self._route(number, table) for number, table in enumerate(self.file.routes))
        return Outline(
            config=self.config,
            zone=ZoneInfo(self.file.daemon.timezone),
            shelf=self.shelf,
            ruleset=Ruleset(rules, [*accounts, OWN_ACCOUNT]),
            routing=self._channels.routing(routes),
        )

    def scheduled(self, providers: Mapping[str, Provider], names: Collection[str]) -> dict[str, Scheduled]:
        scheduled = {}
        for name, interval in find_intervals(self.file, providers).items():
            table = self.file.accounts[name]
            if name in names and (source := self._source(name, table, providers[table.provider])):
                scheduled[name] = Scheduled(source=source, interval=interval)
        return scheduled

    def channel_urls(self, names: Collection[str]) -> dict[str, Secret]:
        return self._channels.urls(names)

    def templates(self, urls: Mapping[str, Secret]) -> "dict[str, Template]":
        return self._channels.templates(urls)

    def receiver(self) -> Receiver | None:
        """Of the heartbeat, where there is one."""
        table, key = self.file.daemon.heartbeat, "daemon.heartbeat.url"
        url = self._secret(key, table.url) if table else None
        if table is None or url is None:
            return None
        try:
            return Receiver(request=Request(url=url.reveal()), every=table.every)
        except ValueError:
            self._problem(key, 'expected an address such as "https://hc-ping.com/UUID"')
            return None

    def raise_problems(self) -> None:
        if self.problems:
            raise ConfigError(self.problems)

    def _problem(self, key: str, what: str) -> None:
        self.problems.append(self.config.problem(key, what))

    # --- secrets

    def _secret(self, key: str, setting: Secret | SecretSource) -> Secret | None:
        if isinstance(setting, Secret):
            if not self.config.is_private:
                fix = 'or write { env = "..." }, { file = "..." } or { credential = "..." } instead'
                what = f"a secret stands in a file that others can read: `chmod 600 {self.config.path}`, {fix}"
                self._problem(key, what)
            return setting
        try:
            return first_secret(setting, self.config.path.parent)
        except SecretUnavailableError as error:
            self._problem(f"{key}.{setting.kind}", str(error))
            return None

    # --- accounts

    def _account(self, name: str, table: AccountTable, interval: timedelta | None) -> Account | None:
        """Without an interval it is not polled."""
        key = f"accounts.{name}"
        if name == OWN_NAME:
            self._problem(key, "the name budgetd stands for budgetd itself; take another")
        provider = self.shelf.providers.get(table.provider)
        if provider is None and table.provider not in self.shelf.problems:
            hint = did_you_mean(table.provider, list(self.shelf.providers), "`budgetd providers` lists them")
            self._problem(f"{key}.provider", f"no provider is named {table.provider!r}{hint}")
        if problem := same_as_problem(name, self.file.accounts):
            self._problem(f"{key}.same_as", problem)
        if provider is None or interval is None:
            return None
        return Account(
            name=name,
            provider=provider.name,
            title=provider.title,
            labels=table.labels,
            owner=table.owner,
            refill=table.refill,
            at_zero=table.at_zero,
            same_as=table.same_as,
            stale_after=table.stale_after or STALE_INTERVALS * interval,
        )

    def _source(self, name: str, table: AccountTable, provider: Provider) -> Source | None:
        key = f"accounts.{name}"
        secret = self._secret(f"{key}.api_key", table.api_key)
        params = self._params(f"{key}.params", table, provider)
        if secret is None or params is None:
            return None
        try:
            provider = override_headers(name, provider, table.headers)
            make = partial(make_source, name, provider, base_url=table.base_url, params=params, timeout=table.timeout)
            return renewable(make, table.api_key, secret, self.config.path.parent, self.commands)
        except ConfigError as error:
            self.problems += [f"{self.config.path}: {problem}" for problem in error.problems]
            return None

    def _params(self, key: str, table: AccountTable, provider: Provider) -> dict[str, Setting] | None:
        """None where one of them can't be had; a name that the provider does not know is its to refuse."""
        params: dict[str, Setting | None] = {}
        for name, setting in table.params.items():
            param = provider.params.get(name)
            if param and param.secret:
                source = setting if isinstance(setting, SecretSource) else Secret(str(setting))
                params[name] = self._secret(f"{key}.{name}", source)
            elif not isinstance(setting, SecretSource):
                params[name] = setting
            elif param:
                self._problem(f"{key}.{name}", "is no secret: give it as text in quotes, or as a whole number")
                params[name] = None
            else:
                params[name] = "?"
        found = {name: setting for name, setting in params.items() if setting is not None}
        return found if len(found) == len(params) else None

    # --- rules

    def _rule(self, name: str, table: RuleTable) -> Rule | None:
        for key, setting in {"for": table.sustain, "clear": table.clear}.items():
            for level in levels_named(setting):
                if getattr(table, level) is None:
                    self._problem(f"rules.{name}.{key}.{level}", f"the rule has no {level}, so this would do nothing")
        try:
            return build_rule(name, rule_text(table))
        except RuleError as error:
            for key, what in error.problems:
                self._problem(f"rules.{name}.{key}" if key else f"rules.{name}", what)
            return None

    # --- routes

    def _route(self, number: int, table: RouteTable) -> Route:
        for channel in table.channels:
            if channel not in self.file.channels:
                hint = did_you_mean(channel, list(self.file.channels), f"write [channels.{channel}]")
                self._problem(f"routes#{number + 1}.channels", f"no channel is named {channel!r}{hint}")
        match = table.match
        return Route(
            channels=table.channels,
            levels=frozenset(Level[name.upper()] for name in match.level),
            kinds=frozenset(match.kind),
            changes=frozenset(match.change),
            rule=match.rule,
            account=match.account,
            provider=match.provider,
            labels=match.labels,
            goes_on=table.goes_on,
            after=table.after or AT_ONCE,
        )
