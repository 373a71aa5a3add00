"""Loading a file of rule tests: each test with its rules, its polls and what it expects, all of it checked."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from budgetd.errors import ConfigError
from budgetd.planning import STALE_INTERVALS
from budgetd.rulefiles import read_tables
from budgetd.ruletests.courses import Clock, Course, Keys, Reader, make_course, make_polls, utc
from budgetd.ruletests.layers import Layers
from budgetd.ruletests.shapes import AccountTable, CaseFile, CaseTable, Moment, SpanTable
from budgetd.validation import did_you_mean, key_path, problem_lines
from budgetd_rules.judgement import Ruleset
from budgetd_rules.meters import Account
from budgetd_rules.replay import Down, Event, Jump, Reload
from budgetd_rules.routing import Routing

START: Final = datetime(2026, 1, 5, 12, tzinfo=UTC)
"""A Monday's noon, if a test does not say when it begins."""
EVERY: Final = timedelta(minutes=5)
"""Between two polls, if neither a test nor a config says."""

Timed = tuple[timedelta, Event]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test, ready to be replayed."""

    file: Path
    table: CaseTable
    clock: Clock
    ruleset: Ruleset
    routing: Routing
    events: tuple[Event, ...]
    until: datetime
    down: tuple[Down, ...]


def load_cases(path: Path) -> list[Case]:
    """Raises ConfigError with a line for each problem."""
    tables, _ = read_tables(path)
    try:
        file = CaseFile.model_validate(tables)
    except ValidationError as error:
        raise ConfigError(problem_lines(error, CaseFile, str(path))) from error
    layers = Layers(path, file, tables)
    loaders = [_Loader(path, file, layers, number) for number in range(len(file.cases))]
    cases = [loader.case() for loader in loaders]
    problems = [problem for loader in loaders for problem in loader.problems]
    if problems:
        raise ConfigError(problems)
    return cases


class _Loader:
    """Builds one test, and collects what is wrong with it."""

    def __init__(self, path: Path, file: CaseFile, layers: Layers, number: int) -> None:
        self.path, self.file, self.layers = path, file, layers
        self.known = layers.outline.accounts
        self.table = file.cases[number]
        self.where: Keys = ("test", number)
        self.clock = self._clock()
        self.problems: list[str] = []

    def case(self) -> Case:
        courses = self._courses()
        accounts = self._accounts(courses)
        ruleset = self._ruleset([], self.where, accounts)
        reader = Reader(self.clock)
        seen = [one for course in courses for one in reader.read(course)]
        for problem in reader.problems:
            self._wrong(problem.keys, problem.what)
        polls = make_polls(seen, self.clock, {account.name: account.provider for account in accounts})
        events = sorted([*self._reloads(accounts), *self._jumps(), *polls], key=lambda event: event[0])
        self._check_times([at for at, _ in polls])
        return Case(
            file=self.path,
            table=self.table,
            clock=self.clock,
            ruleset=ruleset,
            routing=self.layers.outline.routing,
            events=tuple(event for _, event in events),
            until=self.clock.at(max([at for at, _ in events] + self._named_times(), default=timedelta(0))),
            down=self._down(),
        )

    def _wrong(self, keys: Keys, what: str) -> None:
        self.problems.append(f"{self.path}: {key_path(keys)}: {what}")

    # --- when

    def _clock(self) -> Clock:
        start, zone = self.table.start or self.file.defaults.start, self.layers.outline.zone
        return Clock(
            start=utc(start, zone) if start else START,
            zone=zone,
            set_backs=tuple((one.at, one.by) for one in self.table.set_back),
        )

    def _named_times(self) -> list[timedelta]:
        """Until when the clock has to run: as far as the test says anything."""
        table = self.table
        named: list[Moment] = [one.at for one in table.expect] + [one.at for one in table.messages or ()]
        named += [one.at for one in table.state] + [one.until for one in (*table.sleeps, *table.down)]
        return [self.clock.elapsed(moment) for moment in named + ([table.until] if table.until else [])]

    def _check_times(self, polls: Iterable[timedelta]) -> None:
        for number, one in enumerate(self.table.sleeps):
            from_, until = self._span(one)
            if any(from_ <= at < until for at in polls):
                self._wrong((*self.where, "sleeps", number), "there is a poll in it: nobody polls while it sleeps")

    def _span(self, span: SpanTable) -> tuple[timedelta, timedelta]:
        return self.clock.elapsed(span.from_), self.clock.elapsed(span.until)

    # --- of what

    def _courses(self) -> list[Course]:
        table, defaults = self.table, self.file.defaults
        names = list(self.known or self.file.accounts)
        account = names[0] if len(names) == 1 else "test"
        every = min((one.stale_after / STALE_INTERVALS for one in self.known.values()), default=EVERY)
        own = [make_course(table, self.where, [defaults], account, every)] if table.values or table.series else []
        return own + [
            make_course(one, (*self.where, "meters", number), [table, defaults], account, every)
            for number, one in enumerate(table.meters)
        ]

    def _accounts(self, courses: list[Course]) -> list[Account]:
        """Those of the config; else those of the file, and those that only the courses name."""
        stale_after = self.table.stale_after or self.file.defaults.stale_after
        if self.file.config:
            for course in courses:
                if course.key.account not in self.known:
                    hint = did_you_mean(course.key.account, list(self.known))
                    self._wrong((*course.where, "account"), f"the config enables no {course.key.account!r}{hint}")
            known = {course.key.account: _account(course.key.account, AccountTable(), EVERY) for course in courses}
            named = [replace(one, stale_after=stale_after or one.stale_after) for one in self.known.values()]
            return list({**known, **{one.name: one for one in named}}.values())
        longest = dict.fromkeys(self.file.accounts, EVERY)
        for course in courses:
            name = course.key.account
            longest[name] = max(course.every, longest[name]) if name in longest else course.every
        return [
            _account(name, self.file.accounts.get(name, AccountTable()), stale_after or STALE_INTERVALS * every)
            for name, every in longest.items()
        ]

    # --- by which rules

    def _ruleset(self, overlays: list[Mapping[str, Any]], where: Keys, accounts: list[Account]) -> Ruleset:
        only = self.table.only
        try:
            rules = self.layers.rules([self.table.rules, *overlays], f"{self.path}: {key_path(where)}")
        except ConfigError as error:
            self.problems += error.problems
            return Ruleset([], accounts)
        for name in only:
            if name not in rules and not overlays:
                self._wrong((*self.where, "only"), f"no rule is named {name!r}{did_you_mean(name, list(rules))}")
        return Ruleset((rule for rule in rules.values() if not only or rule.name in only), accounts)

    def _reloads(self, accounts: list[Account]) -> list[Timed]:
        reloads: list[Timed] = []
        overlays: list[Mapping[str, Any]] = []
        for number, one in enumerate(self.table.reload):
            overlays.append(one.rules)
            ruleset = self._ruleset(overlays, (*self.where, "reload", number), accounts)
            at = self.clock.at(one.at)
            reload = Reload(at=at, ruleset=ruleset, routing=self.layers.outline.routing)
            reloads.append((self.clock.elapsed(one.at), reload))
        return reloads

    # --- in which circumstances

    def _jumps(self) -> list[Timed]:
        """A sleep is a jump forward; setting the clock back is one as well, from what it had shown until then."""
        spans = [self._span(one) for one in self.table.sleeps]
        forward = [(from_, Jump(at=self.clock.at(from_), to=self.clock.at(until))) for from_, until in spans]
        set_back = [
            (one.at, Jump(at=self.clock.at(one.at) + one.by, to=self.clock.at(one.at))) for one in self.table.set_back
        ]
        return [*forward, *set_back]

    def _down(self) -> tuple[Down, ...]:
        channels = self.layers.outline.routing.group_wait
        for number, one in enumerate(self.table.down):
            if one.channel not in channels:
                hint = did_you_mean(one.channel, list(channels))
                self._wrong((*self.where, "down", number, "channel"), f"no channel is named {one.channel!r}{hint}")
        return tuple(
            Down(channel=one.channel, from_at=self.clock.at(one.from_), until_at=self.clock.at(one.until))
            for one in self.table.down
        )


def _account(name: str, table: AccountTable, stale_after: timedelta) -> Account:
    return Account(
        name=name,
        provider=table.provider,
        title=table.provider,
        labels=table.labels,
        owner=table.owner,
        refill=table.refill,
        at_zero=table.at_zero,
        stale_after=table.stale_after or stale_after,
    )
