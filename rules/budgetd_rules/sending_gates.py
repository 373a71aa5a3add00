"""Gates of the sending: what is asked of a change before it is sent. Acks, silences, quiet hours and escalations."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from budgetd_rules.gates import Answer, Gate
from budgetd_rules.holds import Hold, Holds
from budgetd_rules.memory import ChangeKind, Watch, WatchKey
from budgetd_rules.notices import NoticeState
from budgetd_rules.rule import Level
from budgetd_rules.schedules import Quiet


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """A notice of a route with `after`: how long it waits, and what became of it."""

    channel: str
    kind: ChangeKind
    level: Level | None
    delay: timedelta
    due_at: datetime
    state: NoticeState

    @property
    def is_open(self) -> bool:
        return self.state in (NoticeState.WAITING, NoticeState.HELD)


def hold_gates(key: WatchKey, watch: Watch | None, holds: Holds) -> Iterator[Gate]:
    """Whether the episode is acked, and whether the meter is silenced."""
    for name, hold in {"ack": _ack(watch, holds), "silence": holds.silence_of(key)}.items():
        if hold:
            comment = f": {hold.comment}" if hold.comment else ""
            by = f" by {hold.by}" if hold.by else ""
            reason = f"{hold.id}{by}{comment}"
            yield Gate(name=name, answer=Answer.YES, reason=reason, since=hold.from_at, until=hold.until_at)
        else:
            yield Gate(name=name, answer=Answer.NO, reason="none")


def _ack(watch: Watch | None, holds: Holds) -> Hold | None:
    return holds.ack_of(watch.episode) if watch and watch.episode else None


def quiet_gates(channels: Mapping[str, Quiet], now: datetime) -> Iterator[Gate]:
    """Which of the channels with quiet hours are quiet now, and until when."""
    parts = [_quiet(name, quiet, now) for name, quiet in channels.items() if quiet.ranges]
    if parts:
        held = [part.name for part in parts if part.answer is Answer.YES]
        reason = f"all but what becomes critical is held at {', '.join(held)}" if held else "no channel is quiet now"
        yield Gate(name="quiet", answer=Answer.YES if held else Answer.NO, reason=reason, parts=tuple(parts))


def _quiet(channel: str, quiet: Quiet, now: datetime) -> Gate:
    until = quiet.until(now)
    if until is None:
        return Gate(name=channel, answer=Answer.NO, reason="audible now")
    return Gate(name=channel, answer=Answer.YES, reason=quiet.reason(until, now))


def escalation_gates(escalations: Sequence[Escalation], watch: Watch | None, holds: Holds) -> Iterator[Gate]:
    """The escalations, and whether those that still wait would be told if nothing changed until then."""
    ack = _ack(watch, holds)
    level = watch.episode.level if watch and watch.episode else None
    parts = []
    for one in escalations:
        if one.is_open:
            is_better = level is None or (one.level is not None and one.level > level)
            reason = "acked by now" if ack else "better by now" if is_better else "if nobody acks, and it is no better"
            answer = Answer.NO if ack or is_better else Answer.WAITING
            # Once it is held, its time has come, and it is due when the hold ends.
            since = one.due_at - one.delay if one.state is NoticeState.WAITING else None
            named = f"{one.channel}, {one.kind}"
            parts.append(
                Gate(
                    name=named,
                    level=one.level,
                    answer=answer,
                    reason=reason,
                    needs=one.delay,
                    since=since,
                    until=one.due_at,
                )
            )
    if parts:
        waits = any(part.answer is Answer.WAITING for part in parts)
        reason = "told later, if it is still to be told then" if waits else "as it is now, it will not be told"
        yield Gate(name="after", answer=Answer.WAITING if waits else Answer.NO, reason=reason, parts=tuple(parts))
