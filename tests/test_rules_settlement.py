"""Settlement: for each episode, one line with its current state, or none and the reason."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetd_rules.holds import Hold, HoldKind, Holds
from budgetd_rules.lines import Line, Owed, Settled, Settlement, Told, receipts
from budgetd_rules.memory import Change, ChangeKind, Episode, Reason
from budgetd_rules.notices import PARKED, QUIET, Notice, NoticeState
from budgetd_rules.rule import Level
from budgetd_rules.schedules import Quiet, parse_range
from budgetd_rules.settlement import LOOK_AT_PARKED, NO_HOLDS, settle
from build import NOON, change, episode, minutes

WARNING, CRITICAL = Level.WARNING, Level.CRITICAL
OPENED, WORSENED, REMINDED, RESOLVED = (
    ChangeKind.OPENED,
    ChangeKind.WORSENED,
    ChangeKind.REMINDED,
    ChangeKind.RESOLVED,
)
NOW = minutes(90)
OPEN = episode()
OVER = episode(ended_at=minutes(60))


def owed(of: Change, *, attempts: int = 0, unknown: bool = False, **more: Any) -> Owed:
    notice = Notice(id=f"{of.id}@ops", change=of.id, channel="ops", **{"due_at": of.at} | more)
    return Owed(notice=notice, change=of, attempts=attempts, outcome_unknown=unknown)


def owe(kinds: Sequence[ChangeKind | str], of: Episode) -> list[Owed]:
    """One notice per kind, ten minutes apart; a kind that ends in ? has a try of unknown outcome."""
    return [
        owed(
            change(ChangeKind(kind.rstrip("?")), of, number=count + 1, at=minutes(10 * count)),
            attempts=kind.endswith("?"),
            unknown=kind.endswith("?"),
        )
        for count, kind in enumerate(kinds)
    ]


def told_of(settlement: Settlement) -> str:
    """`what: notices [, may be a repeat]`, or why nothing is told."""
    if settlement.lines:
        (line,) = settlement.lines
        assert not settlement.settled
        numbers = " ".join(notice.removeprefix("e1.").removesuffix("@ops") for notice in line.notices)
        return f"{line.told} at {line.change.id}: {numbers}{', may be a repeat' if line.may_repeat else ''}"
    (reason,) = {one.reason for one in settlement.settled}
    (state,) = {one.state for one in settlement.settled}
    assert state in (NoticeState.DROPPED, NoticeState.HELD)
    return reason


@pytest.mark.parametrize(
    ("kinds", "of", "heard", "told"),
    [
        pytest.param([OPENED], OPEN, False, "opened at e1.1: 1", id="opened"),
        pytest.param(["opened?"], OPEN, True, "opened at e1.1: 1, may be a repeat", id="opened, perhaps told already"),
        pytest.param([OPENED, WORSENED], OPEN, False, "opened at e1.1: 1 2", id="opened and worsened, unheard"),
        pytest.param(
            ["opened?", WORSENED], OPEN, True, "opened at e1.1: 1 2", id="opened, perhaps told, and worsened: is news"
        ),
        pytest.param([WORSENED], OPEN, True, "worsened at e1.1: 1", id="worsened, the opening heard"),
        pytest.param([WORSENED, WORSENED], OPEN, True, "worsened at e1.2: 1 2", id="worsened twice: the newer"),
        pytest.param([REMINDED], OPEN, True, "reminded at e1.1: 1", id="reminded"),
        pytest.param([REMINDED, REMINDED], OPEN, True, "reminded at e1.2: 1 2", id="reminded twice: the newer"),
        pytest.param([OPENED, REMINDED], OPEN, False, "opened at e1.1: 1 2", id="opened and reminded, unheard"),
        pytest.param(
            ["opened?", REMINDED],
            OPEN,
            True,
            "opened at e1.1: 1 2, may be a repeat",
            id="opened, perhaps told, and reminded: no news",
        ),
        pytest.param(
            ["opened?", WORSENED, REMINDED],
            OPEN,
            True,
            "opened at e1.1: 1 2 3",
            id="worsened since, and reminded: is news",
        ),
        pytest.param(
            ["reminded?", REMINDED],
            OPEN,
            True,
            "reminded at e1.2: 1 2",
            id="reminded, perhaps told, and again: the next",
        ),
        pytest.param([REMINDED, WORSENED], OPEN, True, "worsened at e1.2: 1 2", id="reminded and worsened"),
        pytest.param(
            [WORSENED, REMINDED], OPEN, True, "worsened at e1.1: 1 2", id="worsened and reminded: worse is the news"
        ),
        pytest.param([OPENED, RESOLVED], OVER, False, "passed at e1.2: 1 2", id="opened and resolved, unheard"),
        pytest.param(
            [OPENED, WORSENED, REMINDED, RESOLVED], OVER, False, "passed at e1.4: 1 2 3 4", id="a whole life, unheard"
        ),
        pytest.param(
            ["opened?", RESOLVED], OVER, True, "resolved at e1.2: 1 2", id="opened, perhaps told, and resolved"
        ),
        pytest.param([RESOLVED], OVER, True, "resolved at e1.1: 1", id="resolved, the opening heard"),
        pytest.param(
            ["resolved?"], OVER, True, "resolved at e1.1: 1, may be a repeat", id="resolved, perhaps told already"
        ),
        pytest.param([WORSENED, RESOLVED], OVER, True, "resolved at e1.2: 1 2", id="worsened and resolved, heard"),
        pytest.param([RESOLVED], OVER, False, "resolved, and never told", id="resolved, the opening never told"),
        pytest.param(
            [OPENED],
            episode(ended_at=minutes(60), end=Reason.ROLLED_OVER),
            False,
            "superseded: a new period began",
            id="ended unsaid by a new period",
        ),
        pytest.param(
            [OPENED, WORSENED],
            episode(ended_at=minutes(60), end=Reason.UNWATCHED),
            True,
            "superseded: no longer in the config",
            id="ended unsaid after it was parked",
        ),
        pytest.param([ChangeKind.EASED], OPEN, True, "nothing to tell", id="eased is never told"),
    ],
)
def test_the_newest_truth_of_an_episode(kinds: list[ChangeKind | str], of: Episode, heard: bool, told: str) -> None:
    waiting = owe(kinds, of)
    episodes, by = {of.id: of}, frozenset({of.id} if heard else ())
    assert told_of(settle(waiting, episodes, by, now=NOW)) == told
    assert told_of(settle(waiting[::-1], episodes, by, now=NOW)) == told, "in whatever order they were loaded"


def test_what_another_episode_told_does_not_count_as_heard() -> None:
    settlement = settle(owe([RESOLVED], OVER), {"e1": OVER}, frozenset({"e2"}), now=NOW)
    assert told_of(settlement) == "resolved, and never told"


@pytest.mark.parametrize(
    "at",
    [
        pytest.param([minutes(60), NOON], id="the clock was set back"),
        pytest.param([NOON, NOON], id="in the same instant"),
    ],
)
def test_changes_are_in_the_order_of_their_numbers(at: list[datetime]) -> None:
    waiting = [owed(change(WORSENED, OPEN, number=2, at=at[0])), owed(change(WORSENED, OPEN, number=10, at=at[1]))]
    for one in (waiting, waiting[::-1]):
        settlement = settle(one, {"e1": OPEN}, frozenset({"e1"}), now=NOW)
        assert told_of(settlement) == "worsened at e1.10: 2 10"


# --- quiet hours

UNTIL = minutes(180)
QUIET_NOW = Quiet(ranges=(parse_range("13:00-15:00"),))
HELD = "quiet until 15:00 UTC (Sat)"
SILENCE = Hold(id="s1", kind=HoldKind.SILENCE, from_at=NOON, until_at=minutes(120))
SILENT = Holds(active=(SILENCE,))
WORSE = episode(level=CRITICAL)
WORST = episode(level=CRITICAL, ended_at=minutes(60))


@pytest.mark.parametrize(
    ("kinds", "of", "heard", "told"),
    [
        pytest.param([OPENED], OPEN, False, HELD, id="opened at warning"),
        pytest.param([OPENED], WORSE, False, "opened at e1.1: 1", id="opened at critical"),
        pytest.param(
            [OPENED, WORSENED], WORSE, False, "opened at e1.1: 1 2", id="worsened to critical: the whole episode"
        ),
        pytest.param([WORSENED], WORSE, True, "worsened at e1.1: 1", id="worsened to critical, the opening heard"),
        pytest.param([WORSENED], OPEN, True, HELD, id="worsened, and eased since"),
        pytest.param([REMINDED], WORSE, True, HELD, id="a reminder, of critical even"),
        pytest.param(
            ["opened?"], WORSE, True, "opened at e1.1: 1, may be a repeat", id="critical, perhaps told already"
        ),
        pytest.param([RESOLVED], WORST, True, HELD, id="what was critical is over, the opening heard"),
        pytest.param([OPENED, RESOLVED], WORST, False, HELD, id="critical came and passed, unheard"),
        pytest.param([OPENED, RESOLVED], OVER, False, HELD, id="came and passed, unheard"),
        pytest.param([RESOLVED], OVER, False, "resolved, and never told", id="what is dropped need not wait"),
    ],
)
def test_quiet_hours_hold_all_but_what_becomes_critical(
    kinds: list[ChangeKind | str], of: Episode, heard: bool, told: str
) -> None:
    by = frozenset({"e1"} if heard else ())
    settlement = settle(owe(kinds, of), {"e1": of}, by, now=NOW, quiet=QUIET_NOW)
    assert told_of(settlement) == told
    for one in settlement.settled:
        assert told != HELD or (one.state, one.hold, one.due_at) == (NoticeState.HELD, QUIET, UNTIL)


def test_a_note_waits_for_the_end_of_quiet_hours() -> None:
    noted = replace(change(ChangeKind.NOTED), episode=None)
    assert told_of(settle([owed(noted)], {}, frozenset(), now=NOW, quiet=QUIET_NOW)) == HELD
    assert told_of(settle([owed(noted)], {}, frozenset(), now=UNTIL, quiet=QUIET_NOW)).startswith("noted")


def test_a_silence_finds_an_episode_under_its_rules_new_name() -> None:
    silent = Holds(active=(replace(SILENCE, rule="new-name"),))
    renamed = episode(rule="new-name")
    assert told_of(settle(owe([OPENED], OPEN), {"e1": renamed}, frozenset(), (), silent, now=NOW)) == "silence s1"


def held_by(hold: str, kinds: Sequence[ChangeKind | str], of: Episode, until: datetime = UNTIL) -> list[Owed]:
    return [
        replace(one, notice=replace(one.notice, state=NoticeState.HELD, hold=hold, due_at=until))
        for one in owe(kinds, of)
    ]


def test_what_is_held_until_then_already_is_not_written_again() -> None:
    waiting = [*held_by(QUIET, [OPENED], OPEN), owed(change(REMINDED, OPEN, number=2))]
    settlement = settle(waiting, {"e1": OPEN}, frozenset(), now=NOW, quiet=QUIET_NOW)
    assert [one.notice for one in settlement.settled] == ["e1.2@ops"]


def test_other_quiet_hours_hold_until_another_time() -> None:
    waiting = held_by(QUIET, [OPENED], OPEN, until=minutes(600))
    (settled,) = settle(waiting, {"e1": OPEN}, frozenset(), now=NOW, quiet=QUIET_NOW).settled
    assert settled.due_at == UNTIL


PARKED_UNTIL = NOW + LOOK_AT_PARKED


@pytest.mark.parametrize(
    ("kinds", "heard"), [pytest.param([OPENED], False, id="unheard"), pytest.param([WORSENED], True, id="heard")]
)
def test_what_is_parked_is_held_with_its_watch(kinds: list[ChangeKind | str], heard: bool) -> None:
    by = frozenset({"e1"} if heard else ())
    settlement = settle(owe(kinds, OPEN), {"e1": OPEN}, by, {"e1"}, now=NOW)
    assert told_of(settlement) == "parked: its rule or account is not in the config"
    assert [(one.hold, one.due_at) for one in settlement.settled] == [(PARKED, PARKED_UNTIL)]
    waiting = held_by(PARKED, kinds, OPEN, until=PARKED_UNTIL)
    assert settle(waiting, {"e1": OPEN}, by, {"e1"}, now=NOW) == Settlement(lines=(), settled=()), "already"
    again = settle(waiting, {"e1": OPEN}, by, {"e1"}, now=PARKED_UNTIL)
    assert [one.due_at for one in again.settled] == [PARKED_UNTIL + LOOK_AT_PARKED]
    assert told_of(settle(waiting, {"e1": OPEN}, by, now=NOW)) == f"{kinds[0]} at e1.1: 1", "it is back"


@pytest.mark.parametrize(
    ("hold", "told"),
    [
        pytest.param(PARKED, "passed at e1.2: 1 2", id="parked: what passed is told once it is back"),
        pytest.param(QUIET, "passed at e1.2: 1 2", id="quiet hours: what passed is told"),
        pytest.param("s1", "over before the silence was", id="a silence: only what is still bad"),
    ],
)
def test_what_passed_while_it_was_held(hold: str, told: str) -> None:
    waiting = held_by(hold, [OPENED, RESOLVED], OVER)
    assert told_of(settle(waiting, {"e1": OVER}, frozenset(), now=UNTIL, quiet=QUIET_NOW)) == told


@pytest.mark.parametrize(
    ("kinds", "of", "told"),
    [
        pytest.param([OPENED], WORSE, "silence s1", id="a silence holds critical too"),
        pytest.param([OPENED], OPEN, "silence s1", id="and wins over the quiet hours"),
    ],
)
def test_a_silence_in_quiet_hours(kinds: list[ChangeKind | str], of: Episode, told: str) -> None:
    settlement = settle(owe(kinds, of), {"e1": of}, frozenset(), (), SILENT, now=NOW, quiet=QUIET_NOW)
    assert told_of(settlement) == told
    assert {one.due_at for one in settlement.settled} == {SILENCE.until_at}


@pytest.mark.parametrize(
    ("kinds", "of", "told"),
    [
        pytest.param([OPENED], OPEN, HELD, id="still bad: on until the morning"),
        pytest.param([OPENED, RESOLVED], OVER, "over before the silence was", id="over by then: never told"),
    ],
)
def test_a_silence_that_ends_in_quiet_hours(kinds: list[ChangeKind | str], of: Episode, told: str) -> None:
    waiting = held_by("s1", kinds, of, until=NOW)
    assert told_of(settle(waiting, {"e1": of}, frozenset(), now=NOW, quiet=QUIET_NOW)) == told


# --- escalation

LATER = minutes(120)
"""When what is delayed here is due; NOW is half an hour before."""


def delayed(kind: ChangeKind, of: Episode, number: int = 1, due_at: datetime = LATER, **more: Any) -> Owed:
    return owed(change(kind, of, number=number), due_at=due_at, delay=timedelta(hours=2), **more)


def escalate(
    waiting: Sequence[Owed], of: Episode, now: datetime, holds: Holds = NO_HOLDS, heard: bool = False
) -> Settlement:
    return settle(waiting, {"e1": of}, frozenset({"e1"} if heard else ()), (), holds, now=now)


ACKED = Holds(active=(Hold(id="a1", kind=HoldKind.ACK, from_at=NOON, episode="e1"),))


@pytest.mark.parametrize(
    ("waiting", "of", "holds", "told"),
    [
        pytest.param([delayed(OPENED, OPEN)], OPEN, NO_HOLDS, "opened at e1.1: 1", id="open, and nobody acked"),
        pytest.param([delayed(OPENED, OPEN)], OPEN, ACKED, "acked", id="acked"),
        pytest.param([delayed(OPENED, OPEN)], WORSE, NO_HOLDS, "opened at e1.1: 1", id="worse since"),
        pytest.param([delayed(OPENED, WORSE)], OPEN, NO_HOLDS, "eased before its time", id="eased since"),
        pytest.param(
            [delayed(WORSENED, WORSE)], OPEN, NO_HOLDS, "eased before its time", id="it worsened, and eased since"
        ),
        pytest.param([delayed(OPENED, OPEN)], OVER, NO_HOLDS, "over before its time", id="over, unsaid"),
        pytest.param(
            [delayed(OPENED, OPEN), delayed(WORSENED, WORSE, 2, minutes(150))],
            WORSE,
            NO_HOLDS,
            "opened at e1.1: 1 2",
            id="worse, whose own time has not come: told as it is now, once",
        ),
        pytest.param(
            [delayed(OPENED, OPEN), delayed(WORSENED, WORSE, 2, minutes(110))],
            WORSE,
            NO_HOLDS,
            "opened at e1.1: 1 2",
            id="both have come",
        ),
    ],
)
def test_an_escalation_at_its_time(waiting: list[Owed], of: Episode, holds: Holds, told: str) -> None:
    assert told_of(escalate(waiting, of, LATER, holds)) == told


@pytest.mark.parametrize(
    ("others", "of", "heard", "told"),
    [
        pytest.param([], OPEN, False, "", id="alone"),
        pytest.param(
            [change(WORSENED, WORSE, number=2)], WORSE, False, "worsened at e1.2: 1 2", id="worse is told at once"
        ),
        pytest.param(
            [change(REMINDED, OPEN, number=2)], OPEN, True, "what it reminds of is told later", id="a reminder"
        ),
        pytest.param([change(RESOLVED, OVER, number=2)], OVER, True, "resolved at e1.2: 1 2", id="over, and heard of"),
    ],
)
def test_an_escalation_before_its_time(others: list[Change], of: Episode, heard: bool, told: str) -> None:
    """It is sent along with other notices of its episode, and otherwise left to wait."""
    settlement = escalate([delayed(OPENED, OPEN), *map(owed, others)], of, NOW, heard=heard)
    assert (told_of(settlement) if others else "") == told
    assert "e1.1@ops" not in {one.notice for one in settlement.settled}


def test_what_is_due_of_another_episode_sends_no_escalation_early() -> None:
    other = episode("e2")
    waiting = [delayed(OPENED, OPEN), owed(change(OPENED, other))]
    settlement = settle(waiting, {"e1": OPEN, "e2": other}, frozenset(), now=NOW)
    assert [line.notices for line in settlement.lines] == [("e2.1@ops",)]
    assert settlement.settled == ()


def test_an_escalation_that_was_never_told_is_dropped_with_its_end() -> None:
    settlement = escalate([delayed(OPENED, OPEN), owed(change(RESOLVED, OVER, number=2))], OVER, NOW)
    assert settlement.lines == ()
    assert [(one.notice, one.reason) for one in settlement.settled] == [
        ("e1.1@ops", "over before its time"),
        ("e1.2@ops", "resolved, and never told"),
    ]


def test_neither_an_ack_nor_a_silence_touches_an_escalation_before_its_time() -> None:
    both = Holds(active=(*ACKED.active, SILENCE))
    assert escalate([delayed(OPENED, OPEN)], OPEN, NOW, both) == Settlement(lines=(), settled=())


def test_a_silence_holds_an_escalation_whose_time_has_come() -> None:
    waiting = [delayed(OPENED, OPEN), delayed(WORSENED, WORSE, 2, minutes(150))]
    (held,) = escalate(waiting, WORSE, LATER, Holds(active=(replace(SILENCE, until_at=None),))).settled
    assert (held.notice, held.state) == ("e1.1@ops", NoticeState.HELD)


@pytest.mark.parametrize(
    ("of", "told"),
    [
        pytest.param(OPEN, "opened at e1.1: 1", id="still open in the morning"),
        pytest.param(OVER, "over before its time", id="over in the night: no word of it"),
    ],
)
def test_an_escalation_that_comes_due_in_quiet_hours_waits_and_is_settled_again(of: Episode, told: str) -> None:
    due = delayed(OPENED, OPEN, due_at=NOW)
    held = settle([due], {"e1": OPEN}, frozenset(), now=NOW, quiet=QUIET_NOW)
    assert told_of(held) == HELD
    waiting = [delayed(OPENED, OPEN, due_at=UNTIL, state=NoticeState.HELD, hold=QUIET)]
    assert told_of(escalate(waiting, of, UNTIL)) == told


# --- several episodes


def lines(*episodes: Episode, kind: ChangeKind = OPENED) -> list[Owed]:
    return [owed(change(RESOLVED if one.ended_at else kind, one)) for one in episodes]


def test_the_most_urgent_comes_first() -> None:
    in_order = [
        episode("e5", CRITICAL),
        episode("e4", CRITICAL, opened_at=minutes(1)),
        episode("e3", WARNING),
        episode("e6", WARNING),
        episode("e2", CRITICAL, ended_at=minutes(60)),
        episode("e1", WARNING, ended_at=minutes(60)),
    ]
    settlement = settle(lines(*in_order), {one.id: one for one in in_order}, frozenset({"e1", "e2"}), now=NOW)
    assert [line.change.episode for line in settlement.lines] == [one.id for one in in_order]


@pytest.mark.parametrize(
    ("attempts", "chosen"),
    [
        pytest.param({"e1": 3, "e2": 3, "e3": 3}, "e1", id="all tried alike: the most urgent"),
        pytest.param({"e1": 4, "e2": 3, "e3": 3}, "e2", id="the most urgent was tried more often"),
        pytest.param({"e1": 4, "e2": 4, "e3": 3}, "e3", id="the least tried"),
        pytest.param({"e1": 3, "e2": 4, "e3": 0}, "e3", id="one that was never tried"),
    ],
)
def test_singly_is_the_least_tried_first(attempts: dict[str, int], chosen: str) -> None:
    episodes = {"e1": episode("e1", CRITICAL), "e2": episode("e2"), "e3": episode("e3", opened_at=minutes(1))}
    waiting = [owed(change(OPENED, one), attempts=attempts[one.id]) for one in episodes.values()]
    settlement = settle(waiting, episodes, frozenset(), now=NOW, singly=True)
    assert [line.change.episode for line in settlement.lines] == [chosen]


def test_singly_tries_each_in_turn() -> None:
    episodes = {"e1": episode("e1", CRITICAL), "e2": episode("e2"), "e3": episode("e3", opened_at=minutes(1))}
    waiting = {one.id: owed(change(OPENED, one)) for one in episodes.values()}
    tried = []
    for _ in range(6):
        (line,) = settle(list(waiting.values()), episodes, frozenset(), now=NOW, singly=True).lines
        tried.append(str(line.change.episode))
        waiting[tried[-1]] = replace(waiting[tried[-1]], attempts=line.attempts + 1)
    assert tried == ["e1", "e2", "e3"] * 2


def test_singly_still_drops_what_is_over() -> None:
    episodes = {"e1": OPEN, "e2": episode("e2", ended_at=NOW, end=Reason.ROLLED_OVER)}
    waiting = [owed(change(OPENED, one)) for one in episodes.values()]
    settlement = settle(waiting, episodes, frozenset(), now=NOW, singly=True)
    assert [line.change.episode for line in settlement.lines] == ["e1"]
    over = Settled(notice="e2.1@ops", state=NoticeState.DROPPED, reason="superseded: a new period began")
    assert settlement.settled == (over,)


@pytest.mark.parametrize("singly", [False, True])
def test_nothing_owed_is_nothing_to_send(singly: bool) -> None:
    assert settle([], {}, frozenset(), now=NOW, singly=singly) == Settlement(lines=(), settled=())


# --- receipts


def test_the_newest_notice_was_sent_and_the_others_went_into_it() -> None:
    (line,) = settle(owe([OPENED, WORSENED, RESOLVED], OVER), {"e1": OVER}, frozenset(), now=NOW).lines
    assert line.newest == "e1.3@ops"
    assert receipts(line) == [
        Settled(notice="e1.1@ops", state=NoticeState.COLLAPSED, reason="told together with e1.3@ops"),
        Settled(notice="e1.2@ops", state=NoticeState.COLLAPSED, reason="told together with e1.3@ops"),
        Settled(notice="e1.3@ops", state=NoticeState.SENT, reason="passed"),
    ]


def test_a_single_notice_was_sent() -> None:
    (line,) = settle(owe([OPENED], OPEN), {"e1": OPEN}, frozenset(), now=NOW).lines
    assert receipts(line) == [Settled(notice="e1.1@ops", state=NoticeState.SENT, reason="opened")]


def test_a_line_was_tried_as_often_as_its_most_tried_notice() -> None:
    waiting = [owed(change(OPENED, OPEN), attempts=3), owed(change(WORSENED, OPEN, number=2), attempts=1)]
    (line,) = settle(waiting, {"e1": OPEN}, frozenset(), now=NOW).lines
    assert line.attempts == 3


# --- properties


# At NOW some have come due, and some have not.
escalations = st.sampled_from([{}, *({"delay": timedelta(hours=2), "due_at": minutes(at)} for at in (80, 100))])


@st.composite
def outboxes(draw: st.DrawFn, *, escalating: bool = False) -> tuple[list[Owed], dict[str, Episode], frozenset[str]]:
    """Episodes in any state, of each any of its changes in any order, some heard, some of a rule that is gone."""
    ended = st.one_of(st.none(), st.integers(0, 99).map(minutes))
    levels = st.sampled_from([WARNING, CRITICAL])
    made = {
        f"e{count}": episode(
            f"e{count}",
            draw(levels),
            rule=draw(st.sampled_from(["low-credits", "old"])),
            opened_at=NOON + timedelta(minutes=draw(st.integers(0, 3))),
            ended_at=draw(ended),
        )
        for count in range(draw(st.integers(0, 6)))
    }
    kinds = st.lists(st.sampled_from([OPENED, WORSENED, REMINDED, RESOLVED]), min_size=1, max_size=12)
    waiting = [
        owed(
            change(kind, one, number=number, at=minutes(draw(st.integers(0, 60)))),
            attempts=draw(st.integers(0, 4)),
            unknown=draw(st.booleans()),
            **draw(escalations if escalating else st.just({})),
        )
        for one in made.values()
        for number, kind in enumerate(draw(kinds), start=1)
    ]
    heard = draw(st.sets(st.sampled_from(sorted(made)))) if made else set()
    return draw(st.permutations(waiting)), made, frozenset(heard)


def _over(line: Line) -> bool:
    return line.told in (Told.RESOLVED, Told.PASSED)


@given(outboxes(escalating=True), st.sampled_from([Quiet(), QUIET_NOW]), st.sampled_from([NO_HOLDS, ACKED]))
def test_all_that_is_due_is_told_or_settled_and_what_is_early_never_by_itself(
    outbox: tuple[list[Owed], dict[str, Episode], frozenset[str]], quiet: Quiet, holds: Holds
) -> None:
    waiting, episodes, heard = outbox
    parked = {name for name, one in episodes.items() if one.key.rule == "old"}
    settlement = settle(waiting, episodes, heard, parked, holds, now=NOW, quiet=quiet)
    told = [notice for line in settlement.lines for notice in line.notices]
    done = told + [one.notice for one in settlement.settled]
    assert len(set(done)) == len(done)
    due = {one.notice.id: one.change.episode for one in waiting if not one.notice.is_early(NOW)}
    assert due.keys() <= set(done)
    early = {one.notice.id: one.change.episode for one in waiting if one.notice.id not in due}
    assert {early[one] for one in done if one in early} <= set(due.values())
    assert all(one.state is NoticeState.DROPPED for one in settlement.settled if one.notice in early)
    for line in settlement.lines:
        assert not quiet.until(NOW) or (line.level is CRITICAL and not line.is_over)


@given(outboxes())
def test_every_notice_is_told_or_settled_and_an_episode_at_most_once(
    outbox: tuple[list[Owed], dict[str, Episode], frozenset[str]],
) -> None:
    waiting, episodes, heard = outbox
    settlement = settle(waiting, episodes, heard, now=NOW)
    told = [notice for line in settlement.lines for notice in line.notices]
    assert sorted(told + [one.notice for one in settlement.settled]) == sorted(one.notice.id for one in waiting)
    assert len({line.change.episode for line in settlement.lines}) == len(settlement.lines)
    assert all(line.episode and line.change.episode == line.episode.id for line in settlement.lines)
    assert [_over(line) for line in settlement.lines] == sorted(_over(line) for line in settlement.lines)


@given(outboxes())
def test_a_line_is_receipted_whole_and_told_once(
    outbox: tuple[list[Owed], dict[str, Episode], frozenset[str]],
) -> None:
    for line in settle(*outbox, now=NOW).lines:
        states = [one.state for one in receipts(line)]
        assert [one.notice for one in receipts(line)] == list(line.notices)
        assert states == [NoticeState.COLLAPSED] * (len(states) - 1) + [NoticeState.SENT]


@given(outboxes())
def test_never_a_lonely_resolve(outbox: tuple[list[Owed], dict[str, Episode], frozenset[str]]) -> None:
    _, _, heard = outbox
    for line in settle(*outbox, now=NOW).lines:
        assert line.told is not Told.RESOLVED or line.change.episode in heard
        assert line.told is not Told.PASSED or len(line.notices) > 1


@given(outboxes())
def test_singly_is_one_of_all_the_lines(outbox: tuple[list[Owed], dict[str, Episode], frozenset[str]]) -> None:
    together, singly = settle(*outbox, now=NOW), settle(*outbox, now=NOW, singly=True)
    assert singly.settled == together.settled
    assert len(singly.lines) == min(1, len(together.lines))
    assert all(line in together.lines for line in singly.lines)
