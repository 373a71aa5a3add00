"""The composition root: a config becomes a plan, whole or not at all, and a plan becomes what the service runs.

This is where a config is checked as a whole: its accounts against the providers, its rules against the kinds, its
routes against the channels, its channels against Apprise, and that every secret can be had. All problems are found
before one is reported.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

from budgetd.collect.collector import Collector, Scheduled
from budgetd.collect.poll import Source, make_source
from budgetd.collect.provider import Provider, load_providers
from budgetd.config import (
    AccountTable,
    ClockworkTable,
    Config,
    LevelConditions,
    LevelDurations,
    RouteTable,
    RuleTable,
    StepsTable,
)
from budgetd.credentials import Secret, SecretSource, SecretUnavailableError, read_secret
from budgetd.deliver.channels import Channel, url_problem
from budgetd.deliver.outbox import Outbox
from budgetd.errors import ConfigError
from budgetd.http import Client
from budgetd.store import database
from budgetd.threads import Errands, Spawn, Worker
from budgetd.validation import did_you_mean
from budgetd_rules.judgement import FROM_HISTORY, Route, Routing, Ruleset
from budgetd_rules.meters import Account, Kind
from budgetd_rules.polls import CONNECTION
from budgetd_rules.rule import Clockwork, Level, Rule, RuleError, RuleText, Selector, Steps, build_rule

OURSELVES: Final = "budgetd"
STALE_INTERVALS: Final = 3
STORE_STOP_WITHIN: Final = timedelta(seconds=6)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What a config says, without its secrets: enough to judge and to show what is stored."""

    config: Config
    zone: ZoneInfo
    providers: Mapping[str, Provider]
    ruleset: Ruleset
    routing: Routing


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A config that holds together, secrets included: everything the service needs, and nothing opened yet."""

    outline: Outline
    scheduled: Mapping[str, Scheduled]
    urls: Mapping[str, Secret]


def make_outline(config: Config) -> Outline:
    """Raises ConfigError with a line for each thing that is wrong; secrets are not looked at."""
    planner = _Planner(config)
    outline = planner.outline()
    planner.raise_problems()
    return outline


def make_plan(config: Config) -> Plan:
    """Raises ConfigError with a line for each thing that is wrong; also where there is nothing to poll at all."""
    planner = _Planner(config)
    planner.require_accounts()
    outline = planner.outline()
    scheduled = planner.scheduled(outline.providers)
    urls = planner.channel_urls()
    planner.raise_problems()
    return Plan(outline=outline, scheduled=scheduled, urls=urls)


class _Planner:
    """Collects the problems of one config while its parts are put together."""

    def __init__(self, config: Config) -> None:
        self.config, self.file = config, config.file
        self.problems: list[str] = []

    def require_accounts(self) -> None:
        if not self.file.accounts:
            what = 'there is none: write [accounts.NAME] with provider = "..." and api_key = { env = "..." }'
            self._problem("accounts", f"{what}; `budgetd providers` lists the providers")

    def outline(self) -> Outline:
        providers = load_providers()
        found = (self._account(name, table, providers) for name, table in self.file.accounts.items())
        accounts = [account for account in found if account]
        rules = [rule for name, table in self.file.rules.items() if (rule := self._rule(name, table))]
        routes = tuple(self._route(number, table) for number, table in enumerate(self.file.routes))
        waits = {name: channel.group_wait for name, channel in self.file.channels.items()}
        return Outline(
            config=self.config,
            zone=ZoneInfo(self.file.daemon.timezone),
            providers=providers,
            ruleset=Ruleset(rules, accounts),
            routing=Routing(routes=routes, group_wait=waits),
        )

    def scheduled(self, providers: Mapping[str, Provider]) -> dict[str, Scheduled]:
        scheduled = {}
        for name, table in self.file.accounts.items():
            provider = providers.get(table.provider)
            if provider is None or not table.enabled:
                continue
            source = self._source(name, table, provider)
            if source:
                scheduled[name] = Scheduled(source=source, interval=self._interval(table, provider))
        return scheduled

    def channel_urls(self) -> dict[str, Secret]:
        found = {name: self._channel_url(name, table.url) for name, table in self.file.channels.items()}
        return {name: url for name, url in found.items() if url}

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
            return read_secret(setting, self.config.path.parent)
        except SecretUnavailableError as error:
            self._problem(f"{key}.{setting.kind}", str(error))
            return None

    # --- accounts

    def _account(self, name: str, table: AccountTable, providers: Mapping[str, Provider]) -> Account | None:
        key = f"accounts.{name}"
        if name == OURSELVES:
            self._problem(key, "the name budgetd stands for budgetd itself; take another")
        provider = providers.get(table.provider)
        if provider is None:
            hint = did_you_mean(table.provider, list(providers))
            self._problem(f"{key}.provider", f"no provider is named {table.provider!r}{hint}")
        if provider is None or not table.enabled:
            return None
        return Account(
            name=name,
            provider=provider.name,
            title=provider.title,
            labels=table.labels,
            owner=table.owner,
            refill=table.refill,
            at_zero=table.at_zero,
            stale_after=table.stale_after or STALE_INTERVALS * self._interval(table, provider),
        )

    def _source(self, name: str, table: AccountTable, provider: Provider) -> Source | None:
        key = f"accounts.{name}"
        secret = self._secret(f"{key}.api_key", table.api_key)
        if secret is None:
            return None
        try:
            return make_source(
                account=name,
                provider=provider,
                api_key=secret,
                base_url=table.base_url,
                params=table.params,
                timeout=table.timeout,
            )
        except ConfigError as error:
            self.problems += [f"{self.config.path}: {problem}" for problem in error.problems]
            return None

    def _interval(self, table: AccountTable, provider: Provider) -> timedelta:
        wanted = table.interval or provider.interval or self.file.daemon.interval
        return max(wanted, provider.min_interval or wanted)

    # --- rules

    def _rule(self, name: str, table: RuleTable) -> Rule | None:
        for key, setting in {"for": table.sustain, "clear": table.clear}.items():
            for level in _levels_named(setting):
                if getattr(table, level) is None:
                    self._problem(f"rules.{name}.{key}.{level}", f"the rule has no {level}, so this would do nothing")
        try:
            return build_rule(name, _rule_text(table))
        except RuleError as error:
            for key, what in error.problems:
                self._problem(f"rules.{name}.{key}" if key else f"rules.{name}", what)
            return None

    # --- channels and routes

    def _channel_url(self, name: str, setting: Secret | SecretSource) -> Secret | None:
        key = f"channels.{name}.url"
        url = self._secret(key, setting)
        problem = url_problem(url) if url else None
        if problem:
            self._problem(key, problem)
        return url

    def _route(self, number: int, table: RouteTable) -> Route:
        for channel in table.channels:
            if channel not in self.file.channels:
                hint = did_you_mean(channel, list(self.file.channels))
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
        )


def _rule_text(table: RuleTable) -> RuleText:
    levels = {Level.WARNING: table.warning, Level.CRITICAL: table.critical}
    conditions = {level: text for level, text in levels.items() if text is not None}
    return RuleText(
        on=Selector(
            kinds=frozenset(table.on.kind),
            meter=table.on.meter,
            account=table.on.account,
            provider=table.on.provider,
            labels=table.on.labels,
        ),
        levels=conditions,
        clear=_by_level(table.clear, conditions),
        unless=table.unless,
        sustain=_by_level(table.sustain, conditions),
        ease_for=table.ease_for,
        remind=_remind(table.remind),
    )


def _levels_named(setting: object) -> list[str]:
    named = isinstance(setting, LevelConditions | LevelDurations)
    return [level for level in ("warning", "critical") if named and getattr(setting, level) is not None]


def _by_level(setting: T | LevelConditions | LevelDurations | None, levels: Mapping[Level, str]) -> dict[Level, T]:
    """What is said once holds for every level of the rule; what is said by level, for the levels named."""
    if setting is None:
        return {}
    if isinstance(setting, LevelConditions | LevelDurations):
        named = {Level.WARNING: setting.warning, Level.CRITICAL: setting.critical}
        return {level: value for level, value in named.items() if value is not None}  # type: ignore[misc]
    return dict.fromkeys(levels, setting)


def _remind(setting: timedelta | ClockworkTable | StepsTable | None) -> Clockwork | Steps | None:
    if isinstance(setting, timedelta):
        return Clockwork(every=setting)
    if isinstance(setting, ClockworkTable):
        return Clockwork(every=setting.every, backoff=setting.backoff, longest=setting.max)
    return Steps(each=setting.each, steps=setting.steps) if setting else None


def warnings(outline: Outline) -> list[str]:
    """What is allowed, and probably not meant: rules that watch nothing, or whose meters never have the field."""
    config, routing = outline.config, outline.routing
    lines = [config.problem(*found) for rule in outline.ruleset.rules.values() for found in _in_vain(rule, outline)]
    if not outline.ruleset.rules:
        lines.append(config.problem("rules", "there is none: nobody will be told anything"))
    if not outline.ruleset.accounts:
        lines.append(config.problem("accounts", "none is enabled: nothing will be polled"))
    if not routing.group_wait:
        lines.append(config.problem("channels", "there is none: nobody will be told anything"))
    routed = {name for route in routing.routes for name in route.channels}
    unrouted = [name for name in routing.group_wait if routing.routes and name not in routed]
    lines += [config.problem(f"channels.{name}", "no route leads to it: it will be told nothing") for name in unrouted]
    return lines


def _in_vain(rule: Rule, outline: Outline) -> Iterator[tuple[str, str]]:
    """Pairs of a key and a line: the rule watches nothing, or what it reads is never there."""
    accounts = outline.ruleset.accounts.values()
    meters = [(account, meter) for account in accounts for meter in outline.providers[account.provider].meters.values()]
    watched = [meter for account, meter in meters if rule.watches(account, meter.name, meter.kind)]
    connected = any(rule.watches(account, CONNECTION, Kind.CONNECTION) for account in accounts)
    if meters and not watched and not connected:
        names = ", ".join(sorted({meter.name for _, meter in meters}))
        yield f"rules.{rule.name}.on", f"matches no meter; there are {names} and {CONNECTION}"
    never = {name for name in rule.own_names if watched and all(name not in meter.gives for meter in watched)}
    for name in sorted(never - FROM_HISTORY):
        yield f"rules.{rule.name}", f"{name} is never given by the meters that it watches"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wired:
    """What the service runs, its connections open. `close` comes with `wire`."""

    plan: Plan
    db: database.Store
    worker: Worker
    client: Client
    channels: Mapping[str, Channel]

    @property
    def ruleset(self) -> Ruleset:
        return self.plan.outline.ruleset

    @property
    def routing(self) -> Routing:
        return self.plan.outline.routing

    def collector(self, spawn: Spawn, finished: Callable[[], None]) -> Collector:
        return Collector(self.db, self.worker, self.client, self.plan.scheduled, spawn, finished)

    def outbox(self, spawn: Spawn, wake: Callable[[], None]) -> Outbox:
        return Outbox(self.db, self.worker, self.channels, self.ruleset, self.plan.outline.zone, spawn, wake)


@contextlib.asynccontextmanager
async def wire(plan: Plan) -> AsyncIterator[Wired]:
    """Opens everything that the plan needs, and closes it in the reverse order. Raises StoreError."""
    path = plan.outline.config.state
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(database.locked(path))
        worker = Worker("store")
        stack.callback(worker.stop, STORE_STOP_WITHIN.total_seconds())
        db = await worker.run(database.open_for_daemon, path)
        stack.push_async_callback(worker.run, db.close)
        asyncio.get_running_loop().set_default_executor(Errands())
        client = Client()
        stack.push_async_callback(client.aclose)
        channels = {name: Channel(name, url) for name, url in plan.urls.items()}
        yield Wired(plan=plan, db=db, worker=worker, client=client, channels=channels)
