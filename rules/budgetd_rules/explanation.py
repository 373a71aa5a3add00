"""Explanations: why a rule tells something of a meter or not, what judging it now would change, and who would hear.

Nothing is decided here a second time: what would happen now is what `judge` makes of the stored watch, and who would
hear of it is what `owe` and the routing say.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from budgetd_rules.evaluation import evaluate, look_up
from budgetd_rules.gates import Case, Gate, fields_gate, judged_gates, same_as_gates, selector_gate
from budgetd_rules.holds import Holds
from budgetd_rules.judgement import Judgement, Ruleset, judge
from budgetd_rules.kinds import Kind
from budgetd_rules.memory import Change, ChangeKind, Episode, Reason, Watch, WatchKey
from budgetd_rules.meters import Account, View
from budgetd_rules.notices import NOBODY, Audience, owe
from budgetd_rules.routing import AT_ONCE, Routing
from budgetd_rules.rule import Level, Rule
from budgetd_rules.sending_gates import Escalation, escalation_gates, hold_gates, quiet_gates


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """Where a change goes: `entries` are the numbers of the routes that take it, counted from one, and `waits` says how
    long each channel that is owed it waits.

    `is_now`: judging now would make this change. Otherwise it could come next.
    """

    change: Change
    is_now: bool
    entries: tuple[int, ...]
    waits: Mapping[str, timedelta]

    @property
    def channels(self) -> tuple[str, ...]:
        return tuple(self.waits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is stored of one account: what judging needs, the holds, and by meter the escalations."""

    views: Mapping[str, View] = field(default_factory=dict)
    watches: Mapping[WatchKey, Watch] = field(default_factory=dict)
    audience: Audience = NOBODY
    escalations: Mapping[str, Sequence[Escalation]] = field(default_factory=dict)
    holds: Holds = field(default_factory=Holds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A rule on one meter. `before` is the watch as it is stored, `after` the watch if it were judged now."""

    key: WatchKey
    kind: Kind
    is_watched: bool
    gates: tuple[Gate, ...]
    view: View | None
    before: Watch | None
    after: Watch | None
    reason: Reason | None
    routed: tuple[Routed, ...]


def explain(
    ruleset: Ruleset,
    routing: Routing,
    rule: str,
    account: str,
    meters: Mapping[str, Kind],
    known: Known,
    now: datetime,
) -> tuple[Explanation, ...]:
    """What judging the account now would make of the rule's watches, and why. Asking changes nothing."""
    judgement = judge(ruleset, routing, {account: known.views}, known.watches, now, known.audience)
    owed: dict[str, tuple[str, ...]] = {episode: tuple(names) for episode, names in known.audience.owed.items()}
    episodes = {change.id: change.episode for change in judgement.changes}
    for notice in judgement.notices:
        if episode := episodes[notice.change]:
            owed[episode] = tuple(dict.fromkeys((*owed.get(episode, ()), notice.channel)))
    then = replace(known, audience=replace(known.audience, owed=owed))
    asking = _Asking(ruleset=ruleset, routing=routing, known=then, judgement=judgement, now=now)
    return tuple(asking.explain(WatchKey(rule, account, meter), kind) for meter, kind in meters.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asking:
    """One judgement of one account, asked about watch by watch."""

    ruleset: Ruleset
    routing: Routing
    known: Known
    judgement: Judgement
    now: datetime

    def explain(self, key: WatchKey, kind: Kind) -> Explanation:
        rule, account = self.ruleset.rules[key.rule], self.ruleset.accounts[key.account]
        is_watched, after = rule.watches(account, key.meter, kind), self._after(key)
        changes = [change for change in self.judgement.changes if change.key == key]
        coming = supposed(rule, after or Watch(key=key), self.now) if is_watched else ()
        routed = (
            *(self._route(change, account, kind, is_now=True) for change in changes),
            *(self._route(change, account, kind, is_now=False) for change in coming),
        )
        return Explanation(
            key=key,
            kind=kind,
            is_watched=is_watched,
            gates=(
                selector_gate(rule, account, key.meter, kind),
                fields_gate(rule, kind),
                *same_as_gates(account, kind),
                *(self._gates(rule, account, key, changes, after) if is_watched else ()),
                *(self._sending(key, routed) if is_watched else ()),
            ),
            view=self.known.views.get(key.meter),
            before=self.known.watches.get(key),
            after=after,
            reason=self.judgement.reasons.get(key),
            routed=routed,
        )

    def _after(self, key: WatchKey) -> Watch | None:
        """None if the watch would be forgotten, or if there never was one."""
        if key in self.judgement.forgotten or key not in self.judgement.reasons:
            return None
        changed = {watch.key: watch for watch in self.judgement.watches}
        return changed.get(key) or self.known.watches.get(key) or Watch(key=key)

    def _gates(
        self, rule: Rule, account: Account, key: WatchKey, changes: Sequence[Change], after: Watch | None
    ) -> Iterator[Gate]:
        view, before = self.known.views.get(key.meter), self.known.watches.get(key)
        if view and after:
            case = Case(
                rule=rule,
                account=account,
                view=view,
                lookup=look_up(view, self.known.views),
                verdict=evaluate(rule, view, self.known.views),
                before=before or Watch(key=key),
                after=after,
                changes={change.kind: change for change in changes},
                now=self.now,
            )
            yield from judged_gates(case)

    def _sending(self, key: WatchKey, routed: Sequence[Routed]) -> Iterator[Gate]:
        before, quiet = self.known.watches.get(key), self.routing.quiet
        concerned = dict.fromkeys(channel for one in routed for channel in one.channels if channel in quiet)
        yield from hold_gates(key, before, self.known.holds)
        yield from quiet_gates({name: quiet[name] for name in concerned}, self.now)
        yield from escalation_gates(self.known.escalations.get(key.meter, ()), before, self.known.holds)

    def _route(self, change: Change, account: Account, kind: Kind, *, is_now: bool) -> Routed:
        # With its number as its only channel, each route that takes the change is named by the routing itself.
        routes = enumerate(self.routing.routes, 1)
        numbered = tuple(replace(route, channels=(str(number),)) for number, route in routes)
        takes = replace(self.routing, routes=numbered).channels(change, account, kind) if numbered else ()
        owed = () if change.unsaid else owe(change, account, kind, self.routing, self.known.audience)
        unheard = self._unheard(change) if change.kind is ChangeKind.RESOLVED else ()
        return Routed(
            change=change,
            is_now=is_now,
            entries=() if change.unsaid or change.kind is ChangeKind.RESOLVED else tuple(map(int, takes)),
            waits={one.channel: one.delay or AT_ONCE for one in owed if one.channel not in unheard},
        )

    def _unheard(self, change: Change) -> Collection[str]:
        """The channels to which the episode would have escalated, but has not: they do not hear of its end."""
        heard = self.known.audience.heard.get(change.episode or "", ())
        escalations = self.known.escalations.get(change.key.meter, ())
        return {one.channel for one in escalations if one.channel not in heard}


def supposed(rule: Rule, watch: Watch, now: datetime) -> Iterator[Change]:
    """The changes that could come next, as far as routing looks at them."""

    def change(kind: ChangeKind, level: Level | None, episode: Episode | None) -> Change:
        return Change(
            id="",
            episode=episode.id if episode else None,
            key=watch.key,
            kind=kind,
            old=None,
            new=level,
            at=now,
            reason=Reason.CONDITION_TRUE,
        )

    episode = watch.episode
    for level in sorted(rule.levels):
        if episode is None or level > episode.level:
            yield change(ChangeKind.WORSENED if episode else ChangeKind.OPENED, level, episode)
    if episode and rule.remind:
        yield change(ChangeKind.REMINDED, episode.level, episode)
    if episode:
        yield change(ChangeKind.RESOLVED, None, episode)
    if rule.on_change:
        yield change(ChangeKind.NOTED, Level.INFO, None)
