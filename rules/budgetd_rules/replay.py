"""Replay: from a timeline of polls to changes and messages, by the functions of the service, in memory, with a clock
of its own.

So a rule can be tried on polls that somebody wrote down. The only difference from the service: a channel either works
or is down, is not retried in between, and gets what waited as one message at the instant at which it works again.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from types import MappingProxyType
from typing import Final

from budgetd_rules.burn import Run, burn_per_day
from budgetd_rules.entries import Fact
from budgetd_rules.judgement import Ruleset, judge
from budgetd_rules.lines import Line, Owed, Settled, Settlement
from budgetd_rules.memory import Change, Episode, Watch, WatchKey
from budgetd_rules.messages import Message, compose
from budgetd_rules.meters import Account, MeterKey, Reading, View, family, view
from budgetd_rules.notices import OF_CONFIG, Audience, Notice, NoticeState
from budgetd_rules.polls import CONNECTION, Connection, Poll, connect, connection_reading
from budgetd_rules.routing import AT_ONCE, Routing
from budgetd_rules.schedules import Quiet
from budgetd_rules.settlement import settle
from budgetd_rules.values import UNKNOWN, Number

JUDGE_EVERY: Final = timedelta(minutes=1)
"""How often the service looks for watches whose `wake_at` has come; the first look is at the first event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reload:
    """A new config; the same again is a restart."""

    at: datetime
    ruleset: Ruleset
    routing: Routing


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """The clock jumps: forward if the machine slept or the service was down, back if it was set back."""

    at: datetime
    to: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Down:
    """A stretch in which a channel does not work."""

    channel: str
    from_at: datetime
    until_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One message as it went out, and what it told."""

    at: datetime
    channel: str
    lines: tuple[Line, ...]
    message: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What the service would have recorded and sent; `watches` as they are at the end."""

    changes: tuple[Change, ...]
    sent: tuple[Sent, ...]
    watches: Mapping[WatchKey, Watch]


Event = Poll | Reload | Jump


def replay(
    ruleset: Ruleset,
    routing: Routing,
    zone: tzinfo,
    events: Sequence[Event],
    until: datetime,
    down: Sequence[Down] = (),
) -> Replay:
    """The events in their order, which is that of their times except for jumps back, and what is due between."""
    house = _House(ruleset, routing, zone, down, start=events[0].at if events else until)
    for event in events:
        house.pass_time(event.at)
        house.take(event)
    house.pass_time(until)
    house.look()
    return Replay(changes=tuple(house.changes), sent=tuple(house.sent), watches=MappingProxyType(house.watches))


class _House:
    """The service in memory: the tables of the store as dictionaries, and what the rooms do with them."""

    def __init__(
        self, ruleset: Ruleset, routing: Routing, zone: tzinfo, down: Sequence[Down], *, start: datetime
    ) -> None:
        self.ruleset, self.routing, self.zone, self.down = ruleset, routing, zone, down
        self.start = self.now = start
        self.connections: dict[str, Connection] = {}
        self.latest: dict[MeterKey, Reading] = {}
        self.history: dict[MeterKey, dict[datetime, Run]] = {}
        self.watches: dict[WatchKey, Watch] = {}
        self.episodes: dict[str, Episode] = {}
        self.changes: list[Change] = []
        self.owed_to: dict[str, list[str]] = {}
        self.owed: list[Owed] = []
        self.heard: set[tuple[str, str | None]] = set()
        self.sent: list[Sent] = []

    # --- the clock

    def pass_time(self, until: datetime) -> None:
        """Does what is due before this instant. What is due at it comes after the events of the instant."""
        while (instant := self._next_instant()) is not None and instant < until:
            self.now = instant
            self.look()
        self.now = until

    def look(self) -> None:
        """Does what is due now: first the watches to be judged again, then the channels."""
        woken = self._woken(self._tick)
        if woken:
            self._judge(woken)
        for channel in self.routing.group_wait:
            if any(self._goes_at(one) <= self.now for one in self._waiting(channel)):
                self._deliver(channel)

    def _next_instant(self) -> datetime | None:
        wakes = [self._tick(watch.wake_at) for watch in self.watches.values() if watch.wake_at]
        sends = [self._goes_at(one) for one in self.owed if one.notice.channel in self.routing.group_wait]
        return max(self.now, min(wakes + sends)) if wakes or sends else None

    def _tick(self, moment: datetime) -> datetime:
        return moment + (self.start - moment) % JUDGE_EVERY

    def _woken(self, seen_at: Callable[[datetime], datetime] = lambda wake_at: wake_at) -> set[str]:
        wakes = ((key.account, watch.wake_at) for key, watch in self.watches.items() if watch.wake_at)
        return {account for account, wake_at in wakes if seen_at(wake_at) <= self.now}

    def _plan(self) -> None:
        """As the service does at a start and when the clock was set: nothing waits longer than if it were owed now."""
        for number, one in enumerate(self.owed):
            notice = one.notice
            wait = max(self.routing.group_wait.get(notice.channel, AT_ONCE), notice.delay or AT_ONCE)
            latest = self.now if notice.hold in OF_CONFIG else self.now + wait
            self.owed[number] = replace(one, notice=replace(notice, due_at=min(notice.due_at, latest)))

    # --- collect

    def take(self, event: Event) -> None:
        if isinstance(event, Poll):
            self._record(event)
            self._judge({event.account} | self._woken())
            return
        if isinstance(event, Reload):
            self.ruleset, self.routing = event.ruleset, event.routing
            self._rename()
        else:
            self.now = event.to
        self._plan()
        self._judge({*self.connections, *(key.account for key in self.watches)})

    def _record(self, poll: Poll) -> None:
        connection = connect(self.connections.get(poll.account, Connection()), poll)
        self.connections[poll.account] = connection
        here = {reading.key.meter for reading in poll.readings}
        for key in [key for key in self.latest if key.account == poll.account]:
            if family(key.meter) in poll.answered and key.meter not in here:
                del self.latest[key]
        for reading in (*poll.readings, connection_reading(connection, poll)):
            self._note_run(reading)
            self.latest[reading.key] = reading

    def _note_run(self, reading: Reading) -> None:
        runs, before = self.history.setdefault(reading.key, {}), self.latest.get(reading.key)
        if reading.key.meter == CONNECTION:
            return
        goes_on = before is not None and before.fields == reading.fields
        from_at = next(reversed(runs)) if goes_on else reading.as_of
        runs[from_at] = Run(from_at=from_at, until_at=reading.as_of, remaining=reading.number("remaining"))

    # --- judge

    def _rename(self) -> None:
        """Watches of a rule that was renamed go on under the new name."""
        new_names = {rule.was: rule.name for rule in self.ruleset.rules.values() if rule.was}
        for key, watch in list(self.watches.items()):
            renamed = key._replace(rule=new_names.get(key.rule, key.rule))
            if renamed in self.watches or key.rule in self.ruleset.rules:
                continue
            episode = replace(watch.episode, key=renamed) if watch.episode else None
            del self.watches[key]
            self.watches[renamed] = replace(watch, key=renamed, episode=episode)
            self.episodes |= {episode.id: episode} if episode else {}

    def _judge(self, accounts: Iterable[str]) -> None:
        accounts = sorted(accounts)
        views: dict[str, dict[str, View]] = {name: {} for name in accounts if name in self.ruleset.accounts}
        for key, reading in self.latest.items():
            if key.account in views:
                views[key.account][key.meter] = self._view(reading)
        watches = {key: watch for key, watch in self.watches.items() if key.account in accounts}
        heard: dict[str, list[str]] = {}
        for channel, episode in self.heard:
            heard.setdefault(episode or "", []).append(channel)
        audience = Audience(owed=self.owed_to, heard=heard)
        judgement = judge(self.ruleset, self.routing, views, watches, self.now, audience)
        self.watches |= {watch.key: watch for watch in judgement.watches}
        for forgotten in judgement.forgotten:
            self.watches.pop(forgotten, None)
        open_ones = (watch.episode for watch in judgement.watches if watch.episode)
        self.episodes |= {episode.id: episode for episode in (*judgement.ended, *open_ones)}
        self.changes += judgement.changes
        changes = {change.id: change for change in judgement.changes}
        for notice in judgement.notices:
            change = changes[notice.change]
            self.owed.append(Owed(notice=notice, change=change))
            channels = self.owed_to.setdefault(change.episode or change.id, [])
            channels += [notice.channel] if notice.channel not in channels else []

    def _view(self, reading: Reading) -> View:
        burn: Number = UNKNOWN
        if self.ruleset.needs_history(reading.key, reading.kind):
            runs = self.history[reading.key]
            burn = burn_per_day([runs[from_at] for from_at in sorted(runs)], self.now)
        return view(reading, self.now, self.ruleset.accounts[reading.key.account].stale_after, burn)

    # --- deliver

    def _waiting(self, channel: str) -> list[Owed]:
        return [one for one in self.owed if one.notice.channel == channel]

    def _goes_at(self, owed: Owed) -> datetime:
        """The first instant at which it is due and its channel works."""
        moment = max(owed.notice.due_at, self.now)
        for stretch in sorted(self.down, key=lambda one: one.from_at):
            if stretch.channel == owed.notice.channel and stretch.from_at <= moment < stretch.until_at:
                moment = stretch.until_at
        return moment

    def _deliver(self, channel: str) -> None:
        heard = frozenset(episode for name, episode in self.heard if name == channel and episode)
        waiting = self._waiting(channel)
        quiet = self.routing.quiet.get(channel, Quiet(zone=self.zone))
        parked = {watch.episode.id for watch in self.watches.values() if watch.parked_at and watch.episode}
        settlement = settle(waiting, self.episodes, heard, parked, now=self.now, quiet=quiet)
        self._receipt(settlement)
        if settlement.lines:
            message = compose([self._fact(line) for line in settlement.lines], quiet.zone, self.now)
            self.sent.append(Sent(at=self.now, channel=channel, lines=settlement.lines, message=message))
            self.heard |= {(channel, line.change.episode) for line in settlement.lines}

    def _receipt(self, settlement: Settlement) -> None:
        """What is held, or escalates later, stays owed."""
        held = {one.notice: one for one in settlement.settled if one.state is NoticeState.HELD}
        done = {one.notice for one in settlement.settled} | {one for line in settlement.lines for one in line.notices}
        self.owed = [
            replace(one, notice=_hold(one.notice, held[one.notice.id])) if one.notice.id in held else one
            for one in self.owed
            if one.notice.id in held or one.notice.id not in done
        ]

    def _fact(self, line: Line) -> Fact:
        key = line.change.key
        nobody = Account(name=key.account, provider="", title="", stale_after=timedelta(0))
        account = self.ruleset.accounts.get(key.account, nobody)
        reading = self.latest.get(key.of_meter)
        seen = view(reading, self.now, account.stale_after) if reading else None
        return Fact(line=line, account=account, rule=self.ruleset.rules.get(key.rule), view=seen)


def _hold(notice: Notice, settled: Settled) -> Notice:
    return replace(notice, state=settled.state, hold=settled.hold, due_at=settled.due_at or notice.due_at)
