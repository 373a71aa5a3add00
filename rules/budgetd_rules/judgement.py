"""A whole batch: rules on views, watches stepped, and what each change owes to which channel."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache
from types import MappingProxyType
from typing import Final

from budgetd_rules.appointments import Diary
from budgetd_rules.evaluation import Observation, decisive_values, evaluate
from budgetd_rules.handover import heir
from budgetd_rules.kinds import Kind
from budgetd_rules.memory import Change, ChangeKind, Episode, Reason, Watch, WatchKey
from budgetd_rules.meters import Account, MeterKey, View
from budgetd_rules.ourselves import OURSELVES, channel_of
from budgetd_rules.rule import Level, Rule
from budgetd_rules.schedules import Quiet
from budgetd_rules.watches import end, park, step

KEEP_PARKED: Final = timedelta(days=30)
AT_ONCE: Final = timedelta(0)
QUIET: Final = "quiet"
PARKED: Final = "parked"
OF_CONFIG: Final = frozenset({QUIET, PARKED})
"""What holds a notice in the place of a silence's id: quiet hours, or that its watch is parked. Another config may end
either."""
Heard = Mapping[str, Collection[str]]
"""episode -> the channels that were told something of it, or may have been."""
NOBODY: Final[Heard] = MappingProxyType({})


class NoticeState(StrEnum):
    WAITING = "waiting"
    HELD = "held"
    SENT = "sent"
    COLLAPSED = "collapsed"
    DROPPED = "dropped"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One change owed to one channel; `hold` is what holds it, if it is held.

    `delay`: it escalates, so it waits that long, and is told only if nobody has acked by then.
    """

    id: str
    change: str
    channel: str
    due_at: datetime
    state: NoticeState = NoticeState.WAITING
    hold: str | None = None
    delay: timedelta | None = None

    def is_early(self, now: datetime) -> bool:
        """Whether it escalates, and its time has not come. A silence holds only what is due; it may be ended sooner."""
        return self.delay is not None and self.due_at > now and self.hold in (None, QUIET)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Which changes go to which channels: whatever is given must match, and texts are globs.

    With `after` it escalates, to those who are told only later; the search goes on after it.
    """

    channels: tuple[str, ...]
    levels: frozenset[Level] = frozenset()
    kinds: frozenset[Kind] = frozenset()
    changes: frozenset[ChangeKind] = frozenset()
    rule: str = "*"
    account: str = "*"
    provider: str = "*"
    labels: Mapping[str, str] = field(default_factory=dict)
    goes_on: bool = False
    after: timedelta = AT_ONCE

    def matches(self, change: Change, account: Account, kind: Kind) -> bool:
        return (
            # Nothing that is noted is open, so there is nothing to ack.
            not (self.after and change.kind is ChangeKind.NOTED)
            and (not self.levels or change.new in self.levels)
            and (not self.kinds or kind in self.kinds)
            and (not self.changes or change.kind in self.changes)
            and fnmatchcase(change.key.rule, self.rule)
            and fnmatchcase(account.name, self.account)
            and fnmatchcase(account.provider, self.provider)
            and all(fnmatchcase(account.labels.get(name, ""), glob) for name, glob in self.labels.items())
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """The routes in order, how long each channel collects before it sends, and when it is quiet.

    Without routes, all goes to all. `fallbacks` names for a channel the one that is told instead where it can't be;
    `diaries` has those with appointments.
    """

    routes: tuple[Route, ...]
    group_wait: Mapping[str, timedelta]
    quiet: Mapping[str, Quiet] = field(default_factory=dict)
    fallbacks: Mapping[str, str] = field(default_factory=dict)
    diaries: Mapping[str, Diary] = field(default_factory=dict)

    def channels(self, change: Change, account: Account, kind: Kind) -> Mapping[str, timedelta]:
        """channel -> after how long it is told. Of several routes to a channel the soonest counts."""
        if not self.routes:
            return dict.fromkeys(self.group_wait, AT_ONCE)
        chosen: dict[str, timedelta] = {}
        for route in self.routes:
            if route.matches(change, account, kind):
                chosen |= {name: min(route.after, chosen.get(name, route.after)) for name in route.channels}
                if not (route.goes_on or route.after):
                    break
        return chosen


class Ruleset:
    """The rules and accounts of one config, and which rules watch which meter."""

    def __init__(self, rules: Iterable[Rule], accounts: Iterable[Account]) -> None:
        self.rules = {rule.name: rule for rule in rules}
        self.accounts = {account.name: account for account in accounts}
        self.watching = cache(self._watching)
        # A thousand accounts with a rule each are a million pairs, nearly all of them for nothing.
        self._of_one: dict[str, list[Rule]] = {}
        self._of_many: list[Rule] = []
        for rule in self.rules.values():
            names_one = rule.on.account in self.accounts
            (self._of_one.setdefault(rule.on.account, []) if names_one else self._of_many).append(rule)

    def _watching(self, key: MeterKey, kind: Kind) -> tuple[Rule, ...]:
        account = self.accounts[key.account]
        rules = [*self._of_many, *self._of_one.get(key.account, ())]
        return tuple(rule for rule in rules if rule.watches(account, key.meter, kind))

    def needs_history(self, key: MeterKey, kind: Kind) -> bool:
        """Whether a rule on this meter reads what only its past can tell."""
        return any(not FROM_HISTORY.isdisjoint(rule.own_names) for rule in self.watching(key, kind))


FROM_HISTORY: Final = frozenset({"burn_per_day", "runway_days"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What is to be written: only what changed. `reasons` has every watch that was looked at."""

    watches: tuple[Watch, ...] = ()
    forgotten: tuple[WatchKey, ...] = ()
    ended: tuple[Episode, ...] = ()
    changes: tuple[Change, ...] = ()
    notices: tuple[Notice, ...] = ()
    reasons: Mapping[WatchKey, Reason] = field(default_factory=dict)


def judge(
    ruleset: Ruleset,
    routing: Routing,
    views: Mapping[str, Mapping[str, View]],
    watches: Mapping[WatchKey, Watch],
    told: Mapping[str, Sequence[str]],
    now: datetime,
    heard: Heard = NOBODY,
) -> Judgement:
    """Every watch of the accounts in `views` (account -> meter -> view), judged at `now`.

    `watches` holds what is stored of these accounts, `told` the channels that were owed something of each episode
    that is open. A watch whose meter is gone ends its episode; one that no rule asks for any more is parked.
    """
    verdicts = _Verdicts(ruleset=ruleset, routing=routing, told=told, heard=heard, now=now)
    for meters in views.values():
        for view in meters.values():
            for rule in ruleset.watching(view.key, view.reading.kind):
                key = WatchKey(rule.name, *view.key)
                verdicts.step(rule, watches.get(key, Watch(key=key)), view, meters)
    for key, watch in watches.items():
        if key not in verdicts.reasons:
            verdicts.leave(watch, views.get(key.account, {}))
    return verdicts.judgement()


class _Verdicts:
    """Collects what `judge` finds, watch by watch."""

    def __init__(
        self, *, ruleset: Ruleset, routing: Routing, told: Mapping[str, Sequence[str]], heard: Heard, now: datetime
    ) -> None:
        self.ruleset, self.routing, self.told, self.heard, self.now = ruleset, routing, told, heard, now
        self.reasons: dict[WatchKey, Reason] = {}
        self.watches: list[Watch] = []
        self.forgotten: list[WatchKey] = []
        self.ended: list[Episode] = []
        self.changes: list[Change] = []
        self.notices: list[Notice] = []

    def step(self, rule: Rule, watch: Watch, view: View, siblings: Mapping[str, View]) -> None:
        account = self.ruleset.accounts[view.key.account]
        verdict = evaluate(rule, view, siblings)
        taken = step(watch, Observation(rule, verdict, view, self.now, account.stale_after))
        self.reasons[watch.key] = taken.reason
        if taken.watch is not watch and taken.watch != watch:
            self.watches.append(taken.watch)
        if taken.ended:
            self.ended.append(taken.ended)
        if taken.changes:
            values = decisive_values(rule, view, siblings)
            for change in taken.changes:
                with_values = change if change.kind is ChangeKind.NOTED else replace(change, values=values)
                self._record(with_values, account, view.reading.kind)

    def leave(self, watch: Watch, meters: Mapping[str, View]) -> None:
        """A watch that no rule and meter asked for: the meter is gone, or the config has dropped it."""
        account = self.ruleset.accounts.get(watch.key.account)
        rule = self.ruleset.rules.get(watch.key.rule)
        if account and rule and watch.key.meter not in meters:
            is_ours = account.name == OURSELVES
            taken = end(watch, Reason.UNWATCHED if is_ours else Reason.GONE, self.now)
            self.forgotten.append(watch.key)
        elif watch.parked_at and self.now - watch.parked_at > KEEP_PARKED:
            taken = end(watch, Reason.UNWATCHED, self.now, unsaid=True)
            self.forgotten.append(watch.key)
        else:
            taken = park(watch, self.now)
            if taken.watch != watch:
                self.watches.append(taken.watch)
        self.reasons[watch.key] = taken.reason
        if taken.ended:
            self.ended.append(taken.ended)
        for change in taken.changes:
            self._record(change, account, None)

    def _record(self, change: Change, account: Account | None, kind: Kind | None) -> None:
        self.changes.append(change)
        if not change.unsaid:
            self.notices.extend(owe(change, account, kind, self.routing, self.told, self.heard))

    def judgement(self) -> Judgement:
        return Judgement(
            watches=tuple(self.watches),
            forgotten=tuple(self.forgotten),
            ended=tuple(self.ended),
            changes=tuple(self.changes),
            notices=tuple(self.notices),
            reasons=self.reasons,
        )


def owe(
    change: Change,
    account: Account | None,
    kind: Kind | None,
    routing: Routing,
    told: Mapping[str, Sequence[str]],
    heard: Heard = NOBODY,
) -> list[Notice]:
    """One notice per channel of the change's route; what is over is told to exactly those who heard that it began."""
    waits: Mapping[str, timedelta] = {}
    if change.kind is ChangeKind.RESOLVED:
        waits = dict.fromkeys(told.get(change.episode or "", ()), AT_ONCE)
    elif account is not None and kind is not None:
        waits = _besides(channel_of(*change.key.of_meter), routing.channels(change, account, kind), routing)
    if change.kind is ChangeKind.REMINDED:
        # A reminder escalates nothing: it goes to those who know already.
        knowing = heard.get(change.episode or "", ())
        waits = {name: AT_ONCE for name, after in waits.items() if not after or name in knowing}
    return [_notice(change, name, after, routing.group_wait.get(name, AT_ONCE)) for name, after in waits.items()]


def _notice(change: Change, channel: str, after: timedelta, group_wait: timedelta) -> Notice:
    return Notice(
        id=f"{change.id}@{channel}",
        change=change.id,
        channel=channel,
        due_at=change.at + max(after, group_wait),
        delay=after or None,
    )


def _besides(failing: str | None, waits: Mapping[str, timedelta], routing: Routing) -> Mapping[str, timedelta]:
    """That a channel fails is never told through itself: if the routes name no other, through its fallback or any."""
    if failing is None or failing not in waits:
        return waits
    others = {channel: after for channel, after in waits.items() if channel != failing}
    instead = heir(tuple(routing.group_wait), routing.fallbacks.get(failing), {failing})
    return others or ({instead: AT_ONCE} if instead else {})
