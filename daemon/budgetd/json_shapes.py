"""The JSON shapes of `--json`, which scripts rely on: times UTC ISO-8601, decimals as text, unknown null."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from budgetd.store.actions import Started
from budgetd.store.heartbeats import LastHeartbeat
from budgetd.store.outbox import OutboxEntry
from budgetd.store.status import AccountStatus, ChannelStatus, EpisodeStatus, NoticeStatus
from budgetd_rules.appointments import Report
from budgetd_rules.encoding import at, maybe_at, write_value
from budgetd_rules.holds import Hold, HoldKind
from budgetd_rules.memory import Change
from budgetd_rules.meters import View
from budgetd_rules.notices import NoticeState
from budgetd_rules.polls import Outage, Poll

Json = dict[str, Any]


def poll_json(poll: Poll, views: Iterable[View]) -> Json:
    return {
        "account": poll.account,
        "provider": poll.provider,
        "at": at(poll.at),
        "readings": [reading_json(view) for view in views],
        "outages": [outage_json(outage) for outage in poll.outages],
    }


def reading_json(view: View) -> Json:
    """Derived fields included."""
    return {
        "meter": view.key.meter,
        "kind": view.reading.kind,
        "unit": view.reading.unit,
        "as_of": at(view.reading.as_of),
        "fields": {name: write_value(value) for name, value in view.fields.items()},
    }


def outage_json(outage: Outage) -> Json:
    return {"request": outage.request, "cause": outage.cause, "detail": outage.detail}


def account_json(account: AccountStatus, provider: str, same_as: str | None, views: Iterable[View]) -> Json:
    return {
        "account": account.name,
        "provider": provider,
        "same_as": same_as,
        "last_poll": maybe_at(account.last_poll),
        "last_success": maybe_at(account.last_success),
        "next_poll": maybe_at(account.next_poll),
        "outages": [outage_json(outage) | {"more": outage.more} for outage in account.outages],
        "readings": [reading_json(view) for view in views],
    }


def episode_json(status: EpisodeStatus) -> Json:
    episode = status.episode
    return {
        "id": episode.id,
        **episode.key._asdict(),
        "level": episode.level.label,
        "state": "ended" if episode.ended_at else "parked" if status.parked else "open",
        "opened_at": at(episode.opened_at),
        "ended_at": maybe_at(episode.ended_at),
        "acked": status.acked,
        "silenced": status.silenced,
    }


def course_json(status: EpisodeStatus) -> Json:
    """An episode with what happened, and whom it was told."""
    return episode_json(status) | {
        "changes": [_change_json(change) for change in status.changes],
        "notices": [_notice_json(notice) for notice in status.notices],
    }


def _change_json(change: Change) -> Json:
    return {
        "id": change.id,
        "at": at(change.at),
        "change": change.kind,
        "from": change.old.label if change.old is not None else None,
        "to": change.new.label if change.new is not None else None,
        "reason": change.reason,
        "unsaid": change.unsaid,
        "values": {name: write_value(value) for name, value in change.values.items()},
    }


def _notice_json(notice: NoticeStatus) -> Json:
    return {
        "change": notice.change,
        "channel": notice.channel,
        "state": notice.state,
        "reason": notice.reason,
        "attempts": notice.attempts,
        "outcomes": list(notice.outcomes),
        "sent_at": maybe_at(notice.sent_at),
        "due_at": at(notice.due_at) if notice.state in (NoticeState.WAITING, NoticeState.HELD) else None,
        "after": notice.delay.total_seconds() if notice.delay is not None else None,
        "title": notice.said[0] if notice.said else None,
        "body": notice.said[1] if notice.said else None,
    }


def hold_json(hold: Hold) -> Json:
    shape: Json = {"id": hold.id, "kind": hold.kind, "from": at(hold.from_at), "until": maybe_at(hold.until_at)}
    shape |= {"ended": maybe_at(hold.ended_at), "by": hold.by, "comment": hold.comment}
    if hold.kind is HoldKind.ACK:
        return shape | {
            "episode": hold.episode,
            "worse_than": hold.worse_than.label if hold.worse_than is not None else None,
        }
    return shape | {
        "rule": hold.rule,
        "account": hold.account,
        "meter": hold.meter,
        "labels": dict(hold.labels),
    }


def entry_json(entry: OutboxEntry) -> Json:
    return {
        "id": entry.id,
        "channel": entry.channel,
        "state": entry.state,
        "reason": entry.reason,
        "report": entry.report,
        "episode": entry.episode,
        "rule": entry.rule,
        "account": entry.account,
        "meter": entry.meter,
        "change": entry.kind,
        "level": entry.level.label if entry.level is not None else None,
        "since": at(entry.since),
        "settled_at": maybe_at(entry.settled_at),
        "tries": entry.tries,
        "last_error": entry.last_error,
        "next_try": maybe_at(entry.next_try_at),
        "after": entry.delay.total_seconds() if entry.delay is not None else None,
    }


def channel_json(
    channel: ChannelStatus, quiet_until: datetime | None, coming: Mapping[Report, datetime] | None
) -> Json:
    """`coming` says when its digest and its drill are the next time."""
    return {
        "channel": channel.name,
        "last_success": maybe_at(channel.last_success),
        "failing_since": maybe_at(channel.failing_since),
        "waiting": channel.waiting,
        "later": channel.later,
        "held": channel.held,
        "quiet_until": maybe_at(quiet_until),
        "dead": channel.dead,
        "last_error": channel.last_error,
        "next_digest": maybe_at((coming or {}).get(Report.DIGEST)),
        "next_drill": maybe_at((coming or {}).get(Report.DRILL)),
    }


def status_json(
    accounts: Iterable[Json],
    episodes: Iterable[EpisodeStatus],
    channels: Iterable[Json],
    heartbeat: Json | None,
) -> Json:
    return {
        "accounts": list(accounts),
        "episodes": [episode_json(episode) for episode in episodes],
        "channels": list(channels),
        "heartbeat": heartbeat,
    }


def heartbeat_json(last: LastHeartbeat | None) -> Json:
    """All null where none was to be sent yet."""
    return {
        "last_sent": maybe_at(last.sent_at) if last else None,
        "last_checked": maybe_at(last.checked_at) if last else None,
        "problem": last.problem if last else None,
    }


def started_json(started: Started) -> Json:
    return {
        "account": started.account,
        "action": started.action,
        "args": dict(started.args),
        "by": started.by,
        "at": at(started.at),
        "ending": started.ending,
        "detail": started.detail,
    }
