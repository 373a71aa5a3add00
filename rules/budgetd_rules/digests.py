"""Digests: everything in one message, also if all is well; and drills, which say only that they arrived.

Both describe the moment at which they are sent, so if several wait, only the newest is worth sending.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import Decimal
from itertools import groupby
from typing import Final

from budgetd_rules.appointments import Report
from budgetd_rules.formats import Block, Row
from budgetd_rules.kinds import Kind
from budgetd_rules.lines import Settled
from budgetd_rules.memory import Episode
from budgetd_rules.messages import Message, repeat
from budgetd_rules.meters import Account, View, family
from budgetd_rules.notices import QUIET, NoticeState
from budgetd_rules.polls import CONNECTION
from budgetd_rules.rule import Level
from budgetd_rules.sanitizing import harmless
from budgetd_rules.schedules import Quiet
from budgetd_rules.values import UNKNOWN
from budgetd_rules.wording import describe, moment

FAMILY_IN_FULL: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class OwedReport:
    """The notice of a digest or a drill. `hold` is what holds it until `due_at`, if it is held."""

    notice: str
    report: Report
    due_at: datetime
    hold: str | None = None
    attempts: int = 0
    outcome_unknown: bool = False


def settle_reports(
    owed: Sequence[OwedReport], wanted: Iterable[Report], quiet: Quiet, now: datetime
) -> tuple[OwedReport | None, list[Settled]]:
    """The one to send now, if any, and those that are settled without being sent."""
    kept, settled = [], []
    # By the day in the id: the clock may have been set back between the times.
    by_day = sorted(owed, key=lambda one: (one.report, one.notice))
    for report, group in groupby(by_day, key=lambda one: one.report):
        *older, newest = group
        settled += [_settled(one, NoticeState.COLLAPSED, f"told together with {newest.notice}") for one in older]
        if report in wanted:
            kept.append(newest)
        else:
            settled.append(_settled(newest, NoticeState.DROPPED, f"the channel has no {report} any more"))
    until = quiet.until(now)
    if until is None:
        return min(kept, key=lambda one: (one.attempts, one.report), default=None), settled
    reason = quiet.reason(until, now)
    settled += [
        Settled(notice=one.notice, state=NoticeState.HELD, reason=reason, hold=QUIET, due_at=until)
        for one in kept
        if (one.hold, one.due_at) != (QUIET, until)
    ]
    return None, settled


def _settled(one: OwedReport, state: NoticeState, reason: str) -> Settled:
    return Settled(notice=one.notice, state=state, reason=reason)


# --- the words


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFact:
    """An account with its meters as they stand now."""

    account: Account
    views: Sequence[View] = ()

    @property
    def connection(self) -> View | None:
        return next((view for view in self.views if view.key.meter == CONNECTION), None)

    @property
    def is_reachable(self) -> bool:
        """Whether the last poll succeeded; false if there was none lately."""
        return self.connection is not None and self.connection.fields["failures"] == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFact:
    """An open episode, and its meter as it stands now, where known."""

    episode: Episode
    acked: bool
    silenced: bool
    view: View | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelFact:
    """A channel, and how many notices of it are held or dead, not counting digests and drills."""

    name: str
    failing_since: datetime | None = None
    held: int = 0
    dead: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that a digest says. `may_repeat`: an earlier try of it has an unknown outcome."""

    accounts: Sequence[AccountFact]
    open: Sequence[OpenFact]
    channels: Sequence[ChannelFact]
    may_repeat: bool = False


def compose_digest(facts: Facts, zone: tzinfo, now: datetime) -> Message:
    news = _news(facts)
    accounts = _count(len(facts.accounts), "account")
    title = ", ".join([*news, accounts]) if news else f"all is well: {accounts}"
    blocks = [_summary(facts, news), _open(facts.open, zone, now), _accounts(facts, zone, now)]
    blocks += [_channels(facts.channels, zone, now)]
    return Message(
        title=f"DIGEST {title}",
        level=Level.INFO,
        blocks=tuple(block for block in blocks if block.rows),
    )


def compose_drill(may_repeat: bool) -> Message:
    text = "This is a drill, so that you know that this channel works. There is nothing to do."
    row = Row("", (text + repeat(may_repeat),))
    title = "DRILL: budgetd reaches you here"
    return Message(title=title, level=Level.INFO, blocks=(Block((row,)),))


def _news(facts: Facts) -> list[str]:
    """What is wrong, counted."""
    unread = sum(not one.is_reachable for one in facts.accounts)
    failing = sum(one.failing_since is not None for one in facts.channels)
    dead = sum(one.dead for one in facts.channels)
    counts = (
        (len(facts.open), f"{len(facts.open)} open"),
        (unread, f"{unread} not read"),
        (failing, f"{_count(failing, 'channel')} failing"),
        (dead, f"{dead} never told"),
    )
    return [said for count, said in counts if count]


def _summary(facts: Facts, news: Sequence[str]) -> Block:
    unsure = repeat(facts.may_repeat)
    if news:
        return Block((Row("", (unsure.removeprefix(" · "),)),) if unsure else ())
    text = f" {_count(len(facts.accounts), 'account')} read, nothing is open, and every channel works{unsure}"
    return Block((Row("All is well:", (text,)),))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _open(found: Iterable[OpenFact], zone: tzinfo, now: datetime) -> Block:
    by_urgency = sorted(found, key=lambda one: (-one.episode.level, one.episode.opened_at, one.episode.id))
    return Block(tuple(_episode(one, zone, now) for one in by_urgency))


def _episode(one: OpenFact, zone: tzinfo, now: datetime) -> Row:
    episode = one.episode
    state = _state(one.view, zone, now) if one.view else f"{harmless(episode.key.meter)}: nothing read"
    marks = "".join(f", {mark}" for mark, is_so in (("acked", one.acked), ("silenced", one.silenced)) if is_so)
    since = moment(episode.opened_at, zone, now)
    heading = f"{episode.level.label.upper()} {harmless(episode.key.account)}:"
    return Row(heading, (f" {state}, since {since}{marks} ({harmless(episode.key.rule)}, {episode.id})",))


def _state(view: View, zone: tzinfo, now: datetime) -> str:
    stale = f", as last read {moment(view.reading.as_of, zone, now)}" if view.stale else ""
    return describe(view, zone, now) + stale


def _accounts(facts: Facts, zone: tzinfo, now: datetime) -> Block:
    by_name = sorted(facts.accounts, key=lambda one: one.account.name)
    return Block(tuple(_account(one, zone, now) for one in by_name))


def _account(one: AccountFact, zone: tzinfo, now: datetime) -> Row:
    states = [] if one.is_reachable else [describe(one.connection, zone, now) if one.connection else "nothing read yet"]
    if one.account.same_as is not None:
        states.append(f"the same as {harmless(one.account.same_as)}")
    else:
        states += _meters(one.views, zone, now)
    return Row(f"{harmless(one.account.name)}:", (f" {'; '.join(states) or 'read, and it has no meters to tell'}",))


_TOLD: Final = frozenset({Kind.BALANCE, Kind.QUOTA, Kind.SPEND, Kind.SUBSCRIPTION, Kind.CHARGE})


def _is_told(view: View) -> bool:
    """Whether a digest mentions it: not what is paid, nor a subscription without an end."""
    if view.reading.kind is Kind.SUBSCRIPTION and view.fields["active"] is not False:
        return view.reading.time("expires_at") is not None or view.fields["days_until_expiry"] is not UNKNOWN
    return view.reading.kind in _TOLD and view.fields.get("paid") is not True


def _meters(views: Iterable[View], zone: tzinfo, now: datetime) -> Iterator[str]:
    told = filter(_is_told, views)
    for _, group in groupby(sorted(told, key=lambda view: view.key.meter), key=lambda view: family(view.key.meter)):
        siblings = sorted(group, key=_urgency)
        yield from (_state(view, zone, now) for view in siblings[:FAMILY_IN_FULL])
        if more := siblings[FAMILY_IN_FULL:]:
            yield f"and {len(more)} more"


def _urgency(view: View) -> tuple[Decimal, str]:
    """Of several meters of a family: the most used first, or the first to end."""
    used, *days = (view.fields.get(name) for name in ("used_percent", "days_until_expiry", "days_until_due"))
    if isinstance(used, Decimal):
        return -used, view.key.meter
    return next((number for number in days if isinstance(number, Decimal)), Decimal("Infinity")), view.key.meter


def _channels(channels: Iterable[ChannelFact], zone: tzinfo, now: datetime) -> Block:
    """The channels of which there is something to say."""
    said = [(one, list(_channel(one, zone, now))) for one in channels]
    return Block(
        tuple(Row(f"Channel {harmless(one.name)}:", (f" {', '.join(parts)}",)) for one, parts in said if parts)
    )


def _channel(one: ChannelFact, zone: tzinfo, now: datetime) -> Iterator[str]:
    if one.failing_since is not None:
        yield f"fails since {moment(one.failing_since, zone, now)}"
    if one.held:
        yield f"{one.held} held"
    if one.dead:
        yield f"{one.dead} never told"
