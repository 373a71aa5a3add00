"""What the verbs print for people: tables on a terminal, the same text without colour elsewhere."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Final

from rich.console import Console
from rich.text import Text

from budgetd.cli.layout import make_table, print_table
from budgetd.collect.plans import Meter, Param
from budgetd.collect.provider import Provider
from budgetd.durations import format_duration
from budgetd.store.actions import Started
from budgetd.store.outbox import OutboxEntry
from budgetd.store.pulse import LastHeartbeat
from budgetd.store.status import AccountStatus, ChannelStatus, EpisodeStatus, NoticeStatus
from budgetd_rules.appointments import Report
from budgetd_rules.holds import Hold, HoldKind
from budgetd_rules.kinds import KINDS
from budgetd_rules.meters import MeterKey, View, family
from budgetd_rules.notices import NoticeState
from budgetd_rules.polls import Outage, Poll
from budgetd_rules.rule import Level
from budgetd_rules.sanitizing import harmless, one_line
from budgetd_rules.values import UNKNOWN
from budgetd_rules.wording import describe, moment, show

_STYLES: Mapping[Level, str] = {Level.CRITICAL: "bold red", Level.WARNING: "yellow", Level.INFO: "cyan"}
_STATE_STYLES: Mapping[NoticeState, str] = {
    NoticeState.DEAD: "bold red",
    NoticeState.HELD: "cyan",
    NoticeState.WAITING: "yellow",
}
_LONGEST_WHY: Final = 120
# Of a list's meters that are more than so many, one fewer is shown: a vendor may have hundreds of prices.
_MANY: Final = 4


class Printer:
    """Prints in the reader's zone, at one instant."""

    def __init__(self, console: Console, zone: tzinfo, now: datetime) -> None:
        self._console, self._zone, self._now = console, zone, now

    def say(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style=style), soft_wrap=True)

    def _when(self, at: datetime | None) -> str:
        return moment(at, self._zone, self._now) if at else "never"

    def started(self, started: Iterable[Started]) -> None:
        table = make_table("when", "account", "action", "with", "by", "ended", "detail")
        for one in started:
            args = ", ".join(f"{name} {value}" for name, value in one.args.items())
            table.add_row(self._when(one.at), one.account, one.action, args, one.by, one.ending, one.detail)
        print_table(self._console, table)

    def poll(self, poll: Poll, views: Sequence[View]) -> None:
        """Every field that is known, in the order of the kind; of many meters of one list the first."""
        self.say(f"{poll.account} ({poll.provider})", "bold")
        table = make_table("meter", "kind", "field", "value")
        for view, more in _shorten(views):
            if more:
                table.add_row(f"{family(view.key.meter)}/…", view.reading.kind, "", _more(more))
                continue
            for number, name in enumerate(KINDS[view.reading.kind].all):
                value = view.fields[name]
                text = self._when(value) if isinstance(value, datetime) else show(value)
                if value is not UNKNOWN or number == 0:
                    table.add_row(harmless(view.key.meter), view.reading.kind, name, text)
        if views:
            print_table(self._console, table)
        self._outages(poll.outages)
        self.say("")

    def _outages(self, outages: Iterable[Outage]) -> None:
        for outage in outages:
            self.say(f"  {outage.cause} at {outage.request}: {outage.detail}", "red")

    def accounts(
        self, accounts: Iterable[tuple[AccountStatus, str | None, Sequence[View]]], episodes: Iterable[EpisodeStatus]
    ) -> None:
        """Each with the account that it is the same as, if any; a meter with an episode is always shown."""
        alarming = {one.episode.key.of_meter for one in episodes}
        table = make_table("account", "last poll", "meter", "state")
        for account, same_as, views in accounts:
            name, polled = account.name, self._when(account.last_poll)
            if same_as is not None:
                table.add_row(name, polled, "", f"the same as {same_as}, where its meters are judged")
                name = polled = ""
            for view, more in _shorten(views, alarming):
                if more:
                    table.add_row(name, polled, f"{family(view.key.meter)}/…", _more(more))
                    continue
                as_last = "last" if view.headline is UNKNOWN else "as last"
                stale = f", {as_last} read {self._when(view.reading.as_of)}" if view.stale else ""
                meter = harmless(view.key.meter)
                # Its name stands beside it already.
                state = describe(view, self._zone, self._now).removeprefix(meter).lstrip(": ")
                table.add_row(name, polled, meter, state + stale)
                name = polled = ""
            for outage in account.outages:
                others = f" (and {outage.more} more: see `budgetd poll {account.name}`)" if outage.more else ""
                table.add_row(name, polled, Text(outage.cause, "red"), outage.detail + others)
                name = polled = ""
            if name:
                table.add_row(name, polled, "", "nothing read yet")
        print_table(self._console, table)

    def episodes(self, episodes: Iterable[EpisodeStatus]) -> None:
        table = make_table("episode", "level", "rule", "account", "meter", "since", "until")
        for one in episodes:
            episode = one.episode
            level = Text(episode.level.label, _STYLES[episode.level] if not episode.ended_at else "dim")
            marks = (", acked" if one.acked else "") + (", silenced" if one.silenced else "")
            until = self._when(episode.ended_at) if episode.ended_at else ("parked" if one.parked else "open") + marks
            since = self._when(episode.opened_at)
            table.add_row(episode.id, level, *episode.key[:2], harmless(episode.key.meter), since, until)
        print_table(self._console, table)

    def course(self, one: EpisodeStatus) -> None:
        """One episode whole: what happened, whom it was told, and in which words."""
        self.episodes([one])
        for change in one.changes:
            values = ", ".join(f"{name} {show(value)}" for name, value in change.values.items())
            level = f" {change.new.label}" if change.new else ""
            self.say(f"{self._when(change.at)}  {change.kind}{level}: {change.reason}  ({values})")
            for notice in one.notices:
                if notice.change == change.id:
                    self._notice(notice)

    def _notice(self, notice: NoticeStatus) -> None:
        sent = f" at {self._when(notice.sent_at)}" if notice.sent_at else ""
        tries = f" after {notice.attempts} attempts ({', '.join(notice.outcomes)})" if notice.attempts > 1 else ""
        reason = f": {notice.reason}" if notice.reason and notice.state is not NoticeState.SENT else ""
        if notice.state is NoticeState.WAITING and notice.delay and notice.due_at > self._now:
            self.say(f"    {notice.channel}: waits until {self._when(notice.due_at)}: only if nobody acks")
            return
        self.say(f"    {notice.channel}: {notice.state}{sent}{tries}{reason}")
        if notice.said and notice.state is NoticeState.SENT:
            for line in "\n".join(notice.said).splitlines():
                self.say(f"        {line}", "dim")

    def holds(self, holds: Iterable[Hold]) -> None:
        table = make_table("hold", "kind", "of", "until", "by", "comment")
        for hold in holds:
            until = self._when(hold.until_at) if hold.until_at else "worse" if hold.worse_than else "resolved"
            ended = f"ended {self._when(hold.ended_at)}" if hold.ended_at else until
            table.add_row(hold.id, hold.kind, _matcher(hold), ended, hold.by, harmless(hold.comment))
        print_table(self._console, table)

    def channels(
        self,
        channels: Iterable[ChannelStatus],
        quiet: Mapping[str, datetime],
        coming: Mapping[str, Mapping[Report, datetime]],
    ) -> None:
        """`quiet` has those that are quiet now, and until when; `coming` those with appointments."""
        table = make_table("channel", "last success", "waiting", "held", "dead", "last error")
        if coming:
            table.add_column("next")
        for one in channels:
            waiting = f"{one.waiting} ({one.later} later)" if one.later else str(one.waiting)
            held = f"{one.held}, quiet until {self._when(quiet[one.name])}" if one.name in quiet else str(one.held)
            counts = (waiting, held, Text(str(one.dead), "bold red" if one.dead else ""))
            next_ = ", ".join(f"{report} {self._when(at)}" for report, at in coming.get(one.name, {}).items())
            cells = [one.last_error or "", next_] if coming else [one.last_error or ""]
            table.add_row(one.name, self._when(one.last_success), *counts, *cells)
        print_table(self._console, table)

    def heartbeat(self, last: LastHeartbeat | None) -> None:
        sent = self._when(last.sent_at) if last else "never"
        self.say(f"\nheartbeat: last sent {sent}")
        if last and last.problem:
            self.say(f"{last.problem} (at {self._when(last.checked_at)})", "bold red")

    def outbox(self, entries: Iterable[OutboxEntry]) -> None:
        table = make_table("notice", "what", "state", "since", "tries", "next try", "why, or the last error")
        for one in entries:
            state = Text(one.state, _STATE_STYLES.get(one.state, ""))
            next_ = self._when(one.next_try_at) if one.next_try_at else ""
            why = one.reason or one.last_error or ("only if nobody acks" if one.delay and one.next_try_at else "")
            # As it stands: ids in it are there to be typed.
            told = Text(one_line(why, _LONGEST_WHY))
            table.add_row(one.id, _what(one), state, self._when(one.since), str(one.tries), next_, told)
        print_table(self._console, table)

    def providers(self, providers: Iterable[Provider]) -> None:
        table = make_table("provider", "vendor", "what is read", "evidence")
        for one in providers:
            names = list(map(_name, one.meters.values()))
            more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
            table.add_row(one.name, one.title, ", ".join(names[:_MOST_NAMED]) + more, one.evidence)
        print_table(self._console, table)

    def provider(self, one: Provider) -> None:
        self.say(f"{one.name}: {one.title}", "bold")
        self.say(f"  key:      {one.key_hint}")
        for name, param in one.params.items():
            self.say(f"  param:    {name}{_demand(param)}: {param.help}")
        self.say(f"  base_url: {one.base_url}")
        if one.rate_limit:
            span = format_duration(one.rate_limit.per)
            self.say(f"  takes:    {one.rate_limit.requests} requests in {span}, of all accounts together")
        self.say(f"  docs:     {one.docs}")
        self.say(f"  evidence: {_EVIDENCE[one.evidence]}")
        self.say("")
        table = make_table("meter", "kind", "unit", "fields")
        for meter in one.meters.values():
            fields = [name for name in KINDS[meter.kind].all if name in meter.gives]
            table.add_row(_name(meter), meter.kind, meter.unit, ", ".join(fields))
        print_table(self._console, table)


_MOST_NAMED = 6


def _what(one: OutboxEntry) -> str:
    if one.kind is None or one.meter is None:
        return one.report or ""
    level = f" {one.level.label}" if one.level is not None else ""
    return f"{one.kind}{level} {one.account} {harmless(one.meter)}"


_EVIDENCE: Mapping[str, str] = {
    "confirmed": "confirmed by the vendor's own documents",
    "secondary": "secondary: from others' documents and code",
}


def _shorten(views: Sequence[View], kept: Collection[MeterKey] = ()) -> Iterator[tuple[View, int]]:
    """Each view to show, and 0; in place of those that a long list leaves out, the first of them and how many."""
    sizes = Counter(family(view.key.meter) for view in views)
    shown: Counter[str] = Counter()
    left_out: dict[str, list[View]] = {}
    rows: list[View] = []
    for view in views:
        name = family(view.key.meter)
        if sizes[name] <= _MANY or shown[name] < _MANY - 1 or view.key in kept:
            shown[name] += 1
            rows.append(view)
        else:
            left_out.setdefault(name, []).append(view)
    last = {family(view.key.meter): view for view in rows}
    for view in rows:
        yield view, 0
        name = family(view.key.meter)
        if name in left_out and last[name] is view:
            yield left_out[name][0], len(left_out[name])


def _more(count: int) -> str:
    return f"and {count} more: --json has all"


def _name(meter: Meter) -> str:
    """One that fans out stands for several: `schedule/…`."""
    return f"{meter.name}/…" if meter.each else meter.name


def _demand(param: Param) -> str:
    demands = ["required"] * param.required + ["secret"] * param.secret
    demands += [f"default {param.default}"] if param.default is not None else []
    return f" ({', '.join(demands)})" if demands else ""


def _matcher(hold: Hold) -> str:
    if hold.kind is HoldKind.ACK:
        return f"episode {hold.episode}"
    parts = {"rule": hold.rule, "account": hold.account, "meter": hold.meter} | dict(hold.labels)
    return ", ".join(f"{name} {glob}" for name, glob in parts.items() if glob != "*") or "everything"
