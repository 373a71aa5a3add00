"""What a channel is owed, settled: one line per episode that tells the newest truth, or none, and why."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetd_rules.judgement import Notice, NoticeState
from budgetd_rules.memory import Change, ChangeKind, Episode, Reason
from budgetd_rules.rule import Level
from budgetd_rules.settlement import Line, Owed, Settled, Settlement, Told, receipts, settle
from build import NOON, change, episode, minutes

WARNING, CRITICAL = Level.WARNING, Level.CRITICAL
OPENED, WORSENED, REMINDED, RESOLVED = (
    ChangeKind.OPENED,
    ChangeKind.WORSENED,
    ChangeKind.REMINDED,
    ChangeKind.RESOLVED,
)
RULES = frozenset({"low-credits"})
OPEN = episode()
OVER = episode(ended_at=minutes(60))


def owed(of: Change, *, attempts: int = 0, unknown: bool = False) -> Owed:
    notice = Notice(id=f"{of.id}@ops", change=of.id, channel="ops", due_at=of.at)
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
    assert {one.state for one in settlement.settled} == {NoticeState.DROPPED}
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
        pytest.param([OPENED], episode(rule="old"), False, "its rule is gone", id="its rule is gone, unheard"),
        pytest.param([WORSENED], episode(rule="old"), True, "its rule is gone", id="its rule is gone, heard"),
        pytest.param(
            [RESOLVED],
            episode(rule="old", ended_at=minutes(60)),
            True,
            "resolved at e1.1: 1",
            id="resolved is told to who heard, though its rule is gone",
        ),
        pytest.param(
            [OPENED, RESOLVED],
            episode(rule="old", ended_at=minutes(60)),
            False,
            "passed at e1.2: 1 2",
            id="what passed is told, though its rule is gone",
        ),
        pytest.param([ChangeKind.EASED], OPEN, True, "nothing to tell", id="eased is never told"),
    ],
)
def test_the_newest_truth_of_an_episode(kinds: list[ChangeKind | str], of: Episode, heard: bool, told: str) -> None:
    waiting = owe(kinds, of)
    episodes, by = {of.id: of}, frozenset({of.id} if heard else ())
    assert told_of(settle(waiting, episodes, by, RULES)) == told
    assert told_of(settle(waiting[::-1], episodes, by, RULES)) == told, "in whatever order they were loaded"


def test_what_another_episode_told_does_not_count_as_heard() -> None:
    settlement = settle(owe([RESOLVED], OVER), {"e1": OVER}, frozenset({"e2"}), RULES)
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
        settlement = settle(one, {"e1": OPEN}, frozenset({"e1"}), RULES)
        assert told_of(settlement) == "worsened at e1.10: 2 10"


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
    settlement = settle(lines(*in_order), {one.id: one for one in in_order}, frozenset({"e1", "e2"}), RULES)
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
    settlement = settle(waiting, episodes, frozenset(), RULES, singly=True)
    assert [line.change.episode for line in settlement.lines] == [chosen]


def test_singly_tries_each_in_turn() -> None:
    episodes = {"e1": episode("e1", CRITICAL), "e2": episode("e2"), "e3": episode("e3", opened_at=minutes(1))}
    waiting = {one.id: owed(change(OPENED, one)) for one in episodes.values()}
    tried = []
    for _ in range(6):
        (line,) = settle(list(waiting.values()), episodes, frozenset(), RULES, singly=True).lines
        tried.append(str(line.change.episode))
        waiting[tried[-1]] = replace(waiting[tried[-1]], attempts=line.attempts + 1)
    assert tried == ["e1", "e2", "e3"] * 2


def test_singly_still_drops_what_is_over() -> None:
    episodes = {"e1": OPEN, "e2": episode("e2", rule="old")}
    settlement = settle(lines(*episodes.values()), episodes, frozenset(), RULES, singly=True)
    assert [line.change.episode for line in settlement.lines] == ["e1"]
    assert settlement.settled == (Settled(notice="e2.1@ops", state=NoticeState.DROPPED, reason="its rule is gone"),)


@pytest.mark.parametrize("singly", [False, True])
def test_nothing_owed_is_nothing_to_send(singly: bool) -> None:
    assert settle([], {}, frozenset(), RULES, singly=singly) == Settlement(lines=(), settled=())


# --- receipts


def test_the_newest_notice_was_sent_and_the_others_went_into_it() -> None:
    (line,) = settle(owe([OPENED, WORSENED, RESOLVED], OVER), {"e1": OVER}, frozenset(), RULES).lines
    assert line.newest == "e1.3@ops"
    assert receipts(line) == [
        Settled(notice="e1.1@ops", state=NoticeState.COLLAPSED, reason="told together with e1.3@ops"),
        Settled(notice="e1.2@ops", state=NoticeState.COLLAPSED, reason="told together with e1.3@ops"),
        Settled(notice="e1.3@ops", state=NoticeState.SENT, reason="passed"),
    ]


def test_a_single_notice_was_sent() -> None:
    (line,) = settle(owe([OPENED], OPEN), {"e1": OPEN}, frozenset(), RULES).lines
    assert receipts(line) == [Settled(notice="e1.1@ops", state=NoticeState.SENT, reason="opened")]


def test_a_line_was_tried_as_often_as_its_most_tried_notice() -> None:
    waiting = [owed(change(OPENED, OPEN), attempts=3), owed(change(WORSENED, OPEN, number=2), attempts=1)]
    (line,) = settle(waiting, {"e1": OPEN}, frozenset(), RULES).lines
    assert line.attempts == 3


# --- properties


@st.composite
def outboxes(draw: st.DrawFn) -> tuple[list[Owed], dict[str, Episode], frozenset[str]]:
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
        )
        for one in made.values()
        for number, kind in enumerate(draw(kinds), start=1)
    ]
    heard = draw(st.sets(st.sampled_from(sorted(made)))) if made else set()
    return draw(st.permutations(waiting)), made, frozenset(heard)


def _over(line: Line) -> bool:
    return line.told in (Told.RESOLVED, Told.PASSED)


@given(outboxes())
def test_every_notice_is_told_or_settled_and_an_episode_at_most_once(
    outbox: tuple[list[Owed], dict[str, Episode], frozenset[str]],
) -> None:
    waiting, episodes, heard = outbox
    settlement = settle(waiting, episodes, heard, RULES)
    told = [notice for line in settlement.lines for notice in line.notices]
    assert sorted(told + [one.notice for one in settlement.settled]) == sorted(one.notice.id for one in waiting)
    assert len({line.change.episode for line in settlement.lines}) == len(settlement.lines)
    assert all(line.episode and line.change.episode == line.episode.id for line in settlement.lines)
    assert [_over(line) for line in settlement.lines] == sorted(_over(line) for line in settlement.lines)


@given(outboxes())
def test_a_line_is_receipted_whole_and_told_once(
    outbox: tuple[list[Owed], dict[str, Episode], frozenset[str]],
) -> None:
    for line in settle(*outbox, RULES).lines:
        states = [one.state for one in receipts(line)]
        assert [one.notice for one in receipts(line)] == list(line.notices)
        assert states == [NoticeState.COLLAPSED] * (len(states) - 1) + [NoticeState.SENT]


@given(outboxes())
def test_never_a_lonely_resolve(outbox: tuple[list[Owed], dict[str, Episode], frozenset[str]]) -> None:
    _, _, heard = outbox
    for line in settle(*outbox, RULES).lines:
        assert line.told is not Told.RESOLVED or line.change.episode in heard
        assert line.told is not Told.PASSED or len(line.notices) > 1


@given(outboxes())
def test_singly_is_one_of_all_the_lines(outbox: tuple[list[Owed], dict[str, Episode], frozenset[str]]) -> None:
    together, singly = settle(*outbox, RULES), settle(*outbox, RULES, singly=True)
    assert singly.settled == together.settled
    assert len(singly.lines) == min(1, len(together.lines))
    assert all(line in together.lines for line in singly.lines)
