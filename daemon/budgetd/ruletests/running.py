"""Running the tests: each is replayed, and what came is compared with what was expected."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from budgetd.durations import format_duration
from budgetd.ruletests.courses import Clock
from budgetd.ruletests.loading import Case
from budgetd.ruletests.shapes import ChangeTable, MessageTable, StateTable
from budgetd_rules.memory import Change, ChangeKind, WatchKey
from budgetd_rules.replay import Replay, Sent, replay
from budgetd_rules.rule import Level
from budgetd_rules.wording import show

Wanted = TypeVar("Wanted")
Got = TypeVar("Got")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """`differences` are lines: `-` what was expected and did not come, `+` what came and was not expected."""

    file: Path
    name: str
    differences: tuple[str, ...]
    replayed: Replay


def run_case(case: Case) -> Result:
    done = replay(case.ruleset, case.routing, case.clock.zone, case.events, case.until, case.down)
    told = [change for change in done.changes if not change.unsaid]
    comparison = _Comparison(case.clock)
    lines = comparison.told(case.table.expect, told)
    if case.table.messages is not None:
        lines += comparison.sent(case.table.messages, done.sent)
    lines += comparison.states(case.table.state, done.changes)
    return Result(file=case.file, name=case.table.name, differences=tuple(lines), replayed=done)


class _Comparison:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def told(self, wanted: Sequence[ChangeTable], got: Sequence[Change]) -> list[str]:
        def fits(one: ChangeTable, change: Change) -> bool:
            level = change.old if change.kind is ChangeKind.RESOLVED else change.new
            return (
                self.clock.at(one.at) == change.at
                and one.change == change.kind
                and (one.level is None or (level is not None and one.level == level.label))
                and _is_of(one, change.key)
                and one.reason in (None, change.reason)
            )

        return _beside("changes", wanted, got, fits, self._wanted_change, self._change)

    def sent(self, wanted: Sequence[MessageTable], got: Sequence[Sent]) -> list[str]:
        def fits(one: MessageTable, sent: Sent) -> bool:
            text = f"{sent.message.title}\n{sent.message.body}"
            return (
                self.clock.at(one.at) == sent.at
                and one.channel in (None, sent.channel)
                and one.title in (None, sent.message.title)
                and all(part in text for part in one.contains)
                and not any(part in text for part in one.lacks)
            )

        return _beside("messages", wanted, got, fits, self._wanted_message, self._message)

    def states(self, wanted: Sequence[StateTable], changes: Sequence[Change]) -> list[str]:
        lines = []
        for one in wanted:
            worst = _worst_open(one, changes, self.clock.at(one.at))
            if worst != one.level:
                at = self._at(self.clock.at(one.at))
                lines += [f"- {at}  {_named(one.level, one)}", f"+ {at}  {worst}"]
        return ["state:", *lines] if lines else []

    # --- in words

    def _at(self, at: datetime) -> str:
        return f"{format_duration(at - self.clock.start):>6}  {at.astimezone(self.clock.zone):%Y-%m-%d %H:%M:%S}"

    def _wanted_change(self, one: ChangeTable) -> str:
        reason = f": {one.reason}" if one.reason else ""
        what = f"{one.change} {one.level}" if one.level else one.change
        return f"{self._at(self.clock.at(one.at))}  {_named(what, one)}{reason}"

    def _change(self, one: Change) -> str:
        level = one.old if one.kind is ChangeKind.RESOLVED else one.new
        values = ", ".join(f"{name} {show(value)}" for name, value in one.values.items())
        named = f"{one.kind} {level.label if level else ''}  {one.key.rule}  {one.key.account}/{one.key.meter}"
        return f"{self._at(one.at)}  {named}: {one.reason}" + (f" ({values})" if values else "")

    def _wanted_message(self, one: MessageTable) -> str:
        said = [*([repr(one.title)] if one.title else []), *(f"with {part!r}" for part in one.contains)]
        said += [f"without {part!r}" for part in one.lacks]
        return "  ".join([self._at(self.clock.at(one.at)), one.channel or "any channel", *said])

    def _message(self, one: Sent) -> str:
        body = "".join(f"\n      {line}" for line in one.message.body.splitlines())
        return f"{self._at(one.at)}  {one.channel}  {one.message.title!r}{body}"


def _is_of(one: ChangeTable | StateTable, key: WatchKey) -> bool:
    return one.rule in (None, key.rule) and one.account in (None, key.account) and one.meter in (None, key.meter)


def _named(what: str, one: ChangeTable | StateTable) -> str:
    meter = "/".join(part for part in (one.account, one.meter) if part)
    return "  ".join(part for part in (what, one.rule, meter) if part)


def _beside(
    title: str,
    wanted: Iterable[Wanted],
    got: Sequence[Got],
    fits: Callable[[Wanted, Got], bool],
    say_wanted: Callable[[Wanted], str],
    say_got: Callable[[Got], str],
) -> list[str]:
    """Nothing if all that is wanted came, in order, and nothing else; otherwise both as one list, like a diff."""
    lines: list[str] = []
    left = list(got)
    for one in wanted:
        place = next((number for number, came in enumerate(left) if fits(one, came)), None)
        if place is None:
            lines.append(f"- {say_wanted(one)}")
            continue
        lines += [f"+ {say_got(came)}" for came in left[:place]]
        lines.append(f"  {say_got(left[place])}")
        left = left[place + 1 :]
    lines += [f"+ {say_got(came)}" for came in left]
    return [f"{title}:", *lines] if any(line[0] in "+-" for line in lines) else []


def _worst_open(one: StateTable, changes: Iterable[Change], at: datetime) -> str:
    """The worst level at that instant of the episodes that the line is about."""
    levels: dict[WatchKey, Level] = {}
    for change in changes:
        if change.at <= at and change.episode and _is_of(one, change.key):
            levels.pop(change.key, None)
            if change.new is not None:
                levels[change.key] = change.new
    return max(levels.values()).label if levels else "none"
