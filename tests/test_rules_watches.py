"""One watch over a series of readings: what changes, and why."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetd_rules.evaluation import Observation, Verdict, evaluate
from budgetd_rules.kinds import Kind
from budgetd_rules.memory import Change, ChangeKind, Episode, Reason, Watch, WatchKey
from budgetd_rules.meters import Reading, view
from budgetd_rules.rule import Clockwork, Level, Rule, Steps
from budgetd_rules.transitions import Step
from budgetd_rules.values import UNKNOWN, Truth, Value
from budgetd_rules.watches import end, park, step
from build import NOON, STALE_AFTER, minutes, reading, rule, viewed

KEY = WatchKey("low-credits", "voice", "credits")
WARNING, CRITICAL = Level.WARNING, Level.CRITICAL
HOUR = timedelta(hours=1)


@dataclass
class Follower:
    """Steps one watch through readings, as judging would."""

    rule: Rule
    watch: Watch = field(default_factory=lambda: Watch(key=KEY))
    changes: list[Change] = field(default_factory=list)
    ended: list[Episode] = field(default_factory=list)

    def see(self, one: Reading, now: datetime | None = None) -> Step:
        seen = view(one, now or one.as_of, STALE_AFTER)
        verdict = evaluate(self.rule, seen, {})
        taken = step(self.watch, Observation(self.rule, verdict, seen, now or one.as_of, STALE_AFTER))
        self.watch = taken.watch
        self.changes += taken.changes
        self.ended += [taken.ended] if taken.ended else []
        return taken

    def told(self) -> list[str]:
        return [f"{one.kind}{f' {one.new.label}' if one.new else ''}" for one in self.changes if not one.unsaid]


def follow(one: Rule, remaining: Sequence[int | None], every: timedelta = timedelta(minutes=10)) -> Follower:
    follower = Follower(one)
    for count, value in enumerate(remaining):
        fields: dict[str, Value | int] = {} if value is None else {"remaining": value}
        follower.see(reading(as_of=NOON + count * every, fields=fields))
    return follower


@pytest.mark.parametrize(
    ("remaining", "told"),
    [
        pytest.param([1000, 900], [], id="fine stays silent"),
        pytest.param([400], ["opened warning"], id="bad at the first poll opens at once"),
        pytest.param([400, 399, 300], ["opened warning"], id="still bad is not said twice"),
        pytest.param([1000, 50], ["opened critical"], id="a jump over several levels is one change at the worst"),
        pytest.param([400, 50], ["opened warning", "worsened critical"], id="worse is told at once"),
        pytest.param([50, 400, 400], ["opened critical"], id="a milder level is not told"),
        pytest.param(
            [50, *[400] * 8, 50], ["opened critical", "worsened critical"], id="worse again after easing is told"
        ),
        pytest.param([50, 400, 50, 400, 50], ["opened critical"], id="oscillation within ease_for is one message"),
        pytest.param([400, 1000], ["opened warning", "resolved"], id="over is told"),
        pytest.param([50, 1000], ["opened critical", "resolved"], id="over from the worst is told once"),
        pytest.param([None, None], [], id="unknown does not open"),
        pytest.param([400, None, None], ["opened warning"], id="unknown does not resolve"),
        pytest.param([400, None, 1000], ["opened warning", "resolved"], id="known again resolves"),
        pytest.param(
            [400, 1000, 400], ["opened warning", "resolved", "opened warning"], id="the next time is a new episode"
        ),
    ],
)
def test_a_series_of_balances(remaining: list[int | None], told: list[str]) -> None:
    assert follow(rule(), remaining).told() == told


def test_each_opening_has_its_own_id_and_the_same_opening_the_same() -> None:
    changes = follow(rule(), [400, 1000, 400]).changes
    assert changes[0].episode == changes[1].episode != changes[2].episode
    assert follow(rule(), [400]).changes[0].episode == changes[0].episode
    assert [change.id for change in changes[:2]] == [f"{changes[0].episode}.1", f"{changes[0].episode}.2"]


@pytest.mark.parametrize(
    ("remaining", "told"),
    [
        pytest.param([400, 550, 450, 599], ["opened warning"], id="in the band it stays open and silent"),
        pytest.param([400, 550, 601], ["opened warning", "resolved"], id="past the band it ends"),
        pytest.param([550, 599], [], id="the band alone does not open"),
    ],
)
def test_clear_is_a_band(remaining: list[int | None], told: list[str]) -> None:
    assert follow(rule(clear="remaining > 600"), remaining).told() == told


def test_clear_of_a_level_is_its_own_way_down() -> None:
    one = rule(clear={CRITICAL: "remaining > 200"}, ease_for=timedelta(0))
    follower = follow(one, [50, 150, 150, 150])
    assert follower.watch.episode is not None
    assert follower.watch.episode.level is CRITICAL
    follower = follow(one, [50, 250, 250])
    assert follower.watch.episode is not None
    assert follower.watch.episode.level is WARNING


def test_a_clear_that_overlaps_its_level_does_not_flap() -> None:
    assert follow(rule(clear="remaining > 100"), [400, 400, 400]).told() == ["opened warning"]


def test_easing_needs_two_readings_and_its_time() -> None:
    follower = follow(rule(), [50, 400])
    eased = follower.see(reading(as_of=minutes(10), remaining=400), minutes(200))
    assert eased.reason is Reason.EASING, "the same reading again is no second one"
    eased = follower.see(reading(as_of=minutes(69), remaining=400))
    assert eased.reason is Reason.EASING
    eased = follower.see(reading(as_of=minutes(70), remaining=400))
    assert [change.kind for change in eased.changes] == [ChangeKind.EASED]
    assert all(change.unsaid for change in eased.changes)


def test_easing_over_a_clock_that_was_set_back() -> None:
    follower = Follower(rule(ease_for=HOUR))
    for minute, remaining in ((600, 50), (610, 400), (640, 400), (0, 400), (29, 400), (30, 400)):
        follower.see(reading(as_of=minutes(minute), remaining=remaining))
    assert [(change.kind, change.at) for change in follower.changes[1:]] == [(ChangeKind.EASED, minutes(30))]


def test_easing_does_not_elapse_while_nobody_knows() -> None:
    """Better twice, unknown for long, and then the hour is over at a reading that says nothing."""
    follower = follow(rule(), [0, 100, None, None, None, None, 100])
    assert not follower.see(reading(as_of=minutes(80))).changes
    assert [change.kind for change in follower.see(reading(as_of=minutes(90), remaining=100)).changes] == [
        ChangeKind.EASED
    ]


@pytest.mark.parametrize("state", ["quiet", "warning", "critical"])
@pytest.mark.parametrize("warning", [True, False, UNKNOWN], ids=lambda truth: f"warning {truth}")
@pytest.mark.parametrize("critical", [True, False, UNKNOWN], ids=lambda truth: f"critical {truth}")
@pytest.mark.parametrize("clear", [True, False, UNKNOWN, None], ids=lambda truth: f"clear {truth}")
def test_three_valued(state: str, warning: Truth, critical: Truth, clear: Truth | None) -> None:
    """Every combination of truths in every state: only what is definite moves a watch."""
    one = rule(clear="remaining > 600" if clear is not None else "")
    watch = Watch(key=KEY)
    if state != "quiet":
        watch = follow(one, [400 if state == "warning" else 50]).watch
    levels = {WARNING: warning, CRITICAL: critical}
    negated = {level: UNKNOWN if truth is UNKNOWN else not truth for level, truth in levels.items()}
    left = dict.fromkeys(levels, clear) if clear is not None else negated
    verdict = Verdict(levels=levels, left=left, cleared=clear is True)
    seen = viewed(reading(as_of=minutes(10), remaining=300))
    taken = step(watch, Observation(one, verdict, seen, minutes(10), STALE_AFTER))
    assert [change.kind for change in taken.changes] == _expected(state, warning, critical, clear)


def _expected(state: str, warning: Truth, critical: Truth, clear: Truth | None) -> list[ChangeKind]:
    worst = "critical" if critical is True else "warning" if warning is True else None
    if state == "quiet":
        return [ChangeKind.OPENED] if worst else []
    if worst == "critical" and state == "warning":
        return [ChangeKind.WORSENED]
    if worst:
        return []
    told = [warning] if state == "warning" else [warning, critical]
    is_over = clear is True if clear is not None else all(truth is False for truth in told)
    return [ChangeKind.RESOLVED] if is_over else []


# --- `for`


def sustained(**levels: timedelta) -> Rule:
    return rule(sustain={Level[name.upper()]: length for name, length in levels.items()})


@pytest.mark.parametrize(
    ("remaining", "told"),
    [
        pytest.param([400, 400], [], id="not long enough"),
        pytest.param([400, 400, 400], ["opened warning"], id="long enough"),
        pytest.param([400, 1000, 400, 400], [], id="in between fine starts anew"),
        pytest.param([400, None, 400], ["opened warning"], id="in between unknown goes on"),
        pytest.param([400, None, None], [], id="unknown at the end does not open"),
        pytest.param([50], ["opened critical"], id="a level without `for` is told at once"),
    ],
)
def test_for_needs_its_time(remaining: list[int | None], told: list[str]) -> None:
    assert follow(sustained(warning=timedelta(minutes=20)), remaining).told() == told


def test_for_needs_a_second_reading_and_not_only_time() -> None:
    follower = Follower(sustained(warning=timedelta(minutes=20)))
    first = reading(as_of=NOON, remaining=400)
    assert follower.see(first).reason is Reason.NOT_LONG_ENOUGH
    assert follower.see(first, minutes(50)).reason is Reason.NOT_LONG_ENOUGH
    assert follower.see(reading(as_of=minutes(55), remaining=400)).reason is Reason.CONDITION_TRUE


def test_for_elapses_by_the_clock_once_two_readings_agree() -> None:
    follower = Follower(sustained(warning=timedelta(minutes=20)))
    follower.see(reading(as_of=NOON, remaining=400))
    follower.see(reading(as_of=minutes(15), remaining=400))
    assert follower.watch.wake_at == minutes(20)
    assert follower.see(reading(as_of=minutes(15), remaining=400), minutes(20)).reason is Reason.CONDITION_TRUE


@pytest.mark.parametrize(
    ("at", "opens"),
    [
        pytest.param([600, 605, 0, 5], 5, id="it goes on where it was"),
        pytest.param([600, 0, 10], 10, id="after one reading that is the first"),
        pytest.param([600, 605, 603, 607, 608], 608, id="by a little"),
        pytest.param([600, 605, 0, 1, 600, 605, 610], 610, id="and forth again: the time between is unknown"),
    ],
)
def test_for_over_a_clock_that_was_set_back(at: list[int], opens: int) -> None:
    """Never early, and never as late as it was set back."""
    follower = Follower(rule(sustain={WARNING: timedelta(minutes=10)}))
    for minute in at:
        follower.see(reading(as_of=minutes(minute), remaining=400))
    assert [change.at for change in follower.changes] == [minutes(opens)]


def test_for_starts_anew_after_a_gap() -> None:
    follower = Follower(sustained(warning=timedelta(minutes=20)))
    follower.see(reading(as_of=NOON, remaining=400))
    after = NOON + STALE_AFTER + timedelta(minutes=1)
    assert follower.see(reading(as_of=after, remaining=400)).reason is Reason.NOT_LONG_ENOUGH


# --- `unless`


def ends_soon(**options: Any) -> Rule:
    return rule(
        "ends",
        kind=Kind.SUBSCRIPTION,
        warning="days_until_expiry <= 30",
        critical="days_until_expiry <= 3",
        **options,
    )


@pytest.mark.parametrize(
    ("auto_renew", "told"),
    [
        pytest.param(True, [], id="definitely excused"),
        pytest.param(False, ["opened warning"], id="definitely not"),
        pytest.param(UNKNOWN, ["opened warning"], id="nobody knows: no excuse"),
    ],
)
def test_unless_excuses_only_while_it_is_true(auto_renew: Value, told: list[str]) -> None:
    follower = Follower(ends_soon(unless="auto_renew"))
    ends = NOON + timedelta(days=10)
    follower.see(reading("subscription", Kind.SUBSCRIPTION, auto_renew=auto_renew, expires_at=ends))
    assert follower.told() == told


def test_an_excuse_ends_the_episode() -> None:
    follower = Follower(ends_soon(unless="auto_renew"))
    ends = NOON + timedelta(days=10)
    for at, auto_renew in [(NOON, False), (minutes(10), True)]:
        follower.see(reading("subscription", Kind.SUBSCRIPTION, as_of=at, auto_renew=auto_renew, expires_at=ends))
    assert [change.reason for change in follower.changes] == [Reason.CONDITION_TRUE, Reason.EXCUSED]


# --- the clock alone


def test_a_deadline_comes_nearer_without_a_poll() -> None:
    follower = Follower(ends_soon())
    read = reading("subscription", Kind.SUBSCRIPTION, expires_at=NOON + timedelta(days=31))
    follower.see(read)
    assert follower.watch.wake_at == NOON + timedelta(days=1)
    follower.see(read, NOON + timedelta(days=1))
    assert follower.told() == ["opened warning"]
    follower.see(read, NOON + timedelta(days=28))
    assert follower.told() == ["opened warning", "worsened critical"]


def test_a_watch_that_the_clock_can_not_change_sleeps() -> None:
    assert follow(rule(), [1000]).watch.wake_at is None


# --- reminders


def remind(follower: Follower, at: list[float]) -> list[float]:
    """The minutes at which it reminded, of those at which it looked."""
    return [
        minute
        for minute in at
        if any(
            one.kind is ChangeKind.REMINDED
            for one in follower.see(reading(as_of=minutes(minute), remaining=400)).changes
        )
    ]


def test_reminders_by_the_clock() -> None:
    follower = Follower(rule(remind=Clockwork(every=HOUR)))
    assert remind(follower, [0, 30, 60, 90, 119, 121, 500]) == [60, 121, 500]
    assert follower.watch.wake_at == minutes(560)


def test_reminders_back_off() -> None:
    follower = Follower(rule(remind=Clockwork(every=HOUR, backoff=Decimal(2), longest=timedelta(hours=3))))
    assert remind(follower, [0, 60, 120, 180, 300, 360, 480, 540]) == [60, 180, 360, 540]


def test_a_week_asleep_is_one_reminder() -> None:
    follower = Follower(rule(remind=Clockwork(every=HOUR)))
    assert remind(follower, [0, 7 * 24 * 60, 7 * 24 * 60 + 1]) == [7 * 24 * 60]


def test_reminders_after_the_clock_was_set_back() -> None:
    follower = Follower(rule(remind=Clockwork(every=HOUR)))
    assert remind(follower, [600, 630, 0, 30, 60, 119, 120]) == [60, 120]


def test_reminders_by_steps_of_a_field() -> None:
    steps = Steps(each="days_until_expiry", steps=tuple(map(Decimal, (30, 14, 7, 3, 1, 0))))
    follower = Follower(ends_soon(remind=steps))
    read = reading("subscription", Kind.SUBSCRIPTION, expires_at=NOON + timedelta(days=20))
    days = [0, 1, 5, 6, 7, 16, 16.5, 17, 20, 21]
    said = [(day, [one.kind for one in follower.see(read, NOON + timedelta(days=day)).changes]) for day in days]
    assert [(day, kinds) for day, kinds in said if kinds] == [
        (0, [ChangeKind.OPENED]),  # the step 30 is told by the opening
        (6, [ChangeKind.REMINDED]),  # 14
        (16, [ChangeKind.REMINDED]),  # 4 left: 7 was missed, and is told once
        (17, [ChangeKind.WORSENED]),  # 3 is told by the worse level
        (20, [ChangeKind.REMINDED]),  # 1 was missed too: only 0
    ]


# --- windows


def in_window(at: datetime, used: int | None, resets_at: datetime, *, rolling: bool = False) -> Reading:
    fields: dict[str, Value | int] = {"limit": 100, "resets_at": resets_at}
    if used is not None:
        fields["used"] = used
    return reading("turns", Kind.QUOTA, as_of=at, unit="turns", rolling=rolling, fields=fields)


QUOTA = rule("quota", kind=Kind.QUOTA, warning="used_percent >= 90", critical=None)
FIRST, SECOND = NOON + timedelta(days=1), NOON + timedelta(days=31)
AFTER = FIRST + timedelta(minutes=1)


def rolled(readings: list[Reading]) -> list[tuple[str, str]]:
    follower = Follower(QUOTA)
    for one in readings:
        follower.see(one)
    return [(f"{one.kind}{' unsaid' if one.unsaid else ''}", one.reason) for one in follower.changes]


def later(by: int) -> datetime:
    return AFTER + timedelta(minutes=by)


@pytest.mark.parametrize(
    ("readings", "changes"),
    [
        pytest.param([in_window(later(0), 0, SECOND)], [], id="a placeholder right after the rollover is not believed"),
        pytest.param(
            [in_window(later(0), 0, SECOND), in_window(later(5), 95, SECOND)],
            [("resolved unsaid", Reason.ROLLED_OVER), ("opened", Reason.AGAIN_IN_NEW_WINDOW)],
            id="still bad in the new period",
        ),
        pytest.param(
            [in_window(later(0), 0, SECOND), in_window(later(5), 2, SECOND)],
            [("resolved", Reason.ROLLED_OVER)],
            id="fine in the new period",
        ),
        pytest.param(
            [in_window(later(0), None, SECOND), in_window(later(5), None, SECOND), in_window(later(9), 1, SECOND)],
            [("resolved", Reason.ROLLED_OVER)],
            id="unknown in the new period waits",
        ),
        pytest.param(
            [in_window(later(0), 95, FIRST + timedelta(seconds=7)), in_window(later(5), 95, FIRST)],
            [],
            id="a stamp that jitters by seconds is the same period",
        ),
        pytest.param(
            [in_window(NOON + timedelta(hours=2), 95, SECOND), in_window(NOON + timedelta(hours=3), 95, SECOND)],
            [],
            id="a stamp that moves before its time only corrects the period",
        ),
        pytest.param(
            [in_window(later(0), 95, FIRST), in_window(later(5), 95, FIRST)],
            [],
            id="a stamp that stays in the past is no new period",
        ),
        pytest.param(
            [in_window(later(0), 5, FIRST)], [("resolved", Reason.CLEARED)], id="back below within the period"
        ),
    ],
)
def test_a_new_period(readings: list[Reading], changes: list[tuple[str, str]]) -> None:
    opened = [("opened", Reason.CONDITION_TRUE)]
    assert rolled([in_window(NOON, 95, FIRST), *readings]) == opened + changes


def test_judging_the_first_reading_of_a_new_period_twice_does_not_make_it_believed() -> None:
    first = in_window(later(0), 0, SECOND)
    assert rolled([in_window(NOON, 95, FIRST), first, first]) == [("opened", Reason.CONDITION_TRUE)]


def test_a_rolling_limit_has_no_periods() -> None:
    times = [NOON + timedelta(minutes=10 * count) for count in range(5)]
    readings = [in_window(at, 95, at + timedelta(minutes=1), rolling=True) for at in times]
    assert rolled(readings) == [("opened", Reason.CONDITION_TRUE)]


# --- leaving


def test_what_is_gone_at_the_vendor_ends_its_episode() -> None:
    ended = end(follow(rule(), [400]).watch, Reason.GONE, minutes(10))
    assert [(one.kind, one.reason) for one in ended.changes] == [(ChangeKind.RESOLVED, Reason.GONE)]


def test_a_parked_watch_goes_on_silently() -> None:
    follower = follow(rule(), [400])
    follower.watch = park(follower.watch, minutes(5)).watch
    assert follower.watch.parked_at == minutes(5)
    assert park(follower.watch, minutes(9)).watch.parked_at == minutes(5)
    follower.see(reading(as_of=minutes(10), remaining=400))
    assert follower.told() == ["opened warning"]
    assert follower.watch.parked_at is None


def test_the_worst_value_is_kept() -> None:
    assert follow(rule(), [400, 90, 300, 1000]).ended[0].worst == 90


# --- properties

series = st.lists(st.one_of(st.none(), st.integers(-100, 1200)), max_size=40)
rules = st.sampled_from(
    [rule(), rule(clear="remaining > 600"), sustained(warning=timedelta(minutes=20)), rule(critical=None)]
)


@given(series, rules)
def test_judging_twice_changes_nothing(remaining: list[int | None], one: Rule) -> None:
    follower = Follower(one)
    for count, value in enumerate(remaining):
        fields: dict[str, Value | int] = {} if value is None else {"remaining": value}
        read = reading(as_of=minutes(10 * count), fields=fields)
        follower.see(read)
        watch = follower.watch
        assert not follower.see(read).changes
        assert follower.watch == watch


@given(series, rules)
def test_an_episode_opens_before_it_changes_and_ends_once(remaining: list[int | None], one: Rule) -> None:
    open_: str | None = None
    for change in follow(one, remaining).changes:
        if change.kind is ChangeKind.OPENED:
            assert open_ is None
            open_ = change.episode
        else:
            assert change.episode == open_
            open_ = None if change.kind is ChangeKind.RESOLVED else open_


@given(series, rules)
def test_unknown_never_changes_anything(remaining: list[int | None], one: Rule) -> None:
    follower = follow(one, remaining)
    as_of = minutes(10 * len(remaining))
    assert not follower.see(reading(as_of=as_of)).changes


@given(st.lists(st.integers(501, 600), max_size=30))
def test_oscillation_in_the_band_says_nothing_more(remaining: list[int]) -> None:
    assert follow(rule(clear="remaining > 600"), [400, *remaining]).told() == ["opened warning"]
