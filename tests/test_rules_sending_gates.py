"""The gates of the sending: which channels are quiet, and what becomes of what escalates."""

from datetime import timedelta

import pytest

from budgetd_rules.gates import Answer
from budgetd_rules.holds import Hold, HoldKind, Holds
from budgetd_rules.memory import ChangeKind, Watch
from budgetd_rules.notices import NoticeState
from budgetd_rules.rule import Level
from budgetd_rules.schedules import Quiet, parse_range
from budgetd_rules.sending_gates import Escalation, escalation_gates, quiet_gates
from budgetd_rules.settlement import NO_HOLDS
from build import NOON, episode, minutes

OPEN = episode()
ACKED = Holds(active=(Hold(id="a1", kind=HoldKind.ACK, from_at=NOON, episode="e1"),))


def hours(*texts: str) -> Quiet:
    return Quiet(ranges=tuple(parse_range(text) for text in texts))


@pytest.mark.parametrize(
    ("quiet", "gates"),
    [
        pytest.param({"ops": hours()}, [], id="no quiet hours: not asked"),
        pytest.param(
            {"ops": hours("13:00-14:00")}, [("no", "no channel is quiet now", [("ops", "audible now")])], id="audible"
        ),
        pytest.param(
            {"ops": hours("13:00-14:00"), "mail": hours("sat-sun"), "phone": hours()},
            [
                (
                    "yes",
                    "all but what becomes critical is held at mail",
                    [("ops", "audible now"), ("mail", "quiet until 00:00 UTC (Mon)")],
                )
            ],
            id="one of them is quiet",
        ),
    ],
)
def test_quiet_hours(quiet: dict[str, Quiet], gates: list[tuple[str, str, list[tuple[str, str]]]]) -> None:
    found = quiet_gates(quiet, NOON)
    assert [(one.answer, one.reason, [(part.name, part.reason) for part in one.parts]) for one in found] == gates


@pytest.mark.parametrize(
    ("level", "state", "holds", "answer"),
    [
        pytest.param(
            Level.WARNING, NoticeState.WAITING, NO_HOLDS, ("waiting", "if nobody acks, and it is no better"), id="waits"
        ),
        pytest.param(
            Level.WARNING, NoticeState.HELD, NO_HOLDS, ("waiting", "if nobody acks, and it is no better"), id="held"
        ),
        pytest.param(Level.WARNING, NoticeState.WAITING, ACKED, ("no", "acked by now"), id="acked"),
        pytest.param(Level.CRITICAL, NoticeState.WAITING, NO_HOLDS, ("no", "better by now"), id="eased"),
        pytest.param(Level.WARNING, NoticeState.DROPPED, NO_HOLDS, None, id="settled: not asked any more"),
    ],
)
def test_an_escalation(level: Level, state: NoticeState, holds: Holds, answer: tuple[str, str] | None) -> None:
    one = Escalation(
        channel="boss",
        kind=ChangeKind.OPENED,
        level=level,
        delay=timedelta(hours=2),
        due_at=minutes(120),
        state=state,
    )
    gates = list(escalation_gates([one], Watch(key=OPEN.key, episode=OPEN), holds))
    if answer is None:
        assert gates == []
        return
    (gate,) = gates
    (part,) = gate.parts
    assert (part.answer, part.reason) == (Answer(answer[0]), answer[1])
    assert gate.answer is part.answer
    assert (part.since, part.until) == (NOON if state is NoticeState.WAITING else None, minutes(120))
