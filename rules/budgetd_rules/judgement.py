"""A whole batch judged: rules on views, a step of each watch, and the notices that the changes owe."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Final

from budgetd_rules.evaluation import Observation, decisive_values, evaluate
from budgetd_rules.kinds import Kind
from budgetd_rules.memory import Change, ChangeKind, Episode, Reason, Watch, WatchKey
from budgetd_rules.meters import Account, MeterKey, View
from budgetd_rules.notices import NOBODY, Audience, Notice, owe
from budgetd_rules.own_account import OWN_NAME
from budgetd_rules.routing import Routing
from budgetd_rules.rule import Rule
from budgetd_rules.watches import end, park, step

KEEP_PARKED: Final = timedelta(days=30)
FROM_HISTORY: Final = frozenset({"burn_per_day", "runway_days"})


class Ruleset:
    """The rules and accounts of one config, and which rules watch which meter."""

    def __init__(self, rules: Iterable[Rule], accounts: Iterable[Account]) -> None:
        self.rules = {rule.name: rule for rule in rules}
        self.accounts = {account.name: account for account in accounts}
        self.watching = cache(self._watching)
        self.needs_history = cache(self._needs_history)
        # Rules for one account each are looked up by it: a thousand of both would be a million pairs to match.
        self._of_one: dict[str, list[Rule]] = {}
        self._of_many: list[Rule] = []
        for rule in self.rules.values():
            names_one = rule.on.account in self.accounts
            (self._of_one.setdefault(rule.on.account, []) if names_one else self._of_many).append(rule)

    def _watching(self, key: MeterKey, kind: Kind) -> tuple[Rule, ...]:
        account = self.accounts[key.account]
        rules = [*self._of_many, *self._of_one.get(key.account, ())]
        return tuple(rule for rule in rules if rule.watches(account, key.meter, kind))

    def _needs_history(self, key: MeterKey, kind: Kind) -> bool:
        """Whether a rule on this meter reads a field that is computed from its history."""
        return any(not FROM_HISTORY.isdisjoint(rule.own_names) for rule in self.watching(key, kind))


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What is to be written: only what changed. `reasons` has every watch that was judged, `broken` the accounts that
    could not be judged at all.
    """

    watches: tuple[Watch, ...] = ()
    forgotten: tuple[WatchKey, ...] = ()
    ended: tuple[Episode, ...] = ()
    changes: tuple[Change, ...] = ()
    notices: tuple[Notice, ...] = ()
    reasons: Mapping[WatchKey, Reason] = field(default_factory=dict)
    broken: Mapping[str, Exception] = field(default_factory=dict)


def judge(
    ruleset: Ruleset,
    routing: Routing,
    views: Mapping[str, Mapping[str, View]],
    watches: Mapping[WatchKey, Watch],
    now: datetime,
    audience: Audience = NOBODY,
) -> Judgement:
    """Every watch of the accounts in `views` (account -> meter -> view), judged at `now`.

    `watches` holds what is stored of these accounts. A watch whose meter is gone ends its episode; one that no rule
    asks for any more is parked.
    """
    batch = _Batch(ruleset, routing, audience, now)
    for meters in views.values():
        for view in meters.values():
            for rule in ruleset.watching(view.key, view.reading.kind):
                key = WatchKey(rule.name, *view.key)
                batch.step(rule, watches.get(key) or Watch(key=key), view, meters)
    for key, watch in watches.items():
        if key not in batch.reasons:
            batch.leave(watch, views.get(key.account, {}))
    return batch.judgement()


class _Batch:
    """Collects what `judge` finds, watch by watch."""

    def __init__(self, ruleset: Ruleset, routing: Routing, audience: Audience, now: datetime) -> None:
        self.ruleset, self.routing, self.audience, self.now = ruleset, routing, audience, now
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
        """A watch for which there is no rule and meter any more: gone at the vendor, or no longer in the config."""
        account = self.ruleset.accounts.get(watch.key.account)
        rule = self.ruleset.rules.get(watch.key.rule)
        if account and rule and watch.key.meter not in meters:
            is_ours = account.name == OWN_NAME
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
            self.notices.extend(owe(change, account, kind, self.routing, self.audience))

    def judgement(self) -> Judgement:
        return Judgement(
            watches=tuple(self.watches),
            forgotten=tuple(self.forgotten),
            ended=tuple(self.ended),
            changes=tuple(self.changes),
            notices=tuple(self.notices),
            reasons=self.reasons,
        )
