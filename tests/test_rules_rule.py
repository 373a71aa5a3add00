"""Rules: what a selector watches, what is wrong with a rule and how it is said, and when a reminder is due."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetd_rules.kinds import KINDS, Kind
from budgetd_rules.rule import Clockwork, Level, Rule, RuleError, RuleText, Selector, Steps, build_rule
from build import account, rule

WARNING, CRITICAL = Level.WARNING, Level.CRITICAL
DAY = timedelta(days=1)
ACCOUNT = account("voice-prod", "cekura", team="voice", stage="prod")
METER = "schedule/2026-07"


def kinds(*names: Kind) -> frozenset[Kind]:
    return frozenset(names)


def numbers(*values: float) -> tuple[Decimal, ...]:
    return tuple(Decimal(str(value)) for value in values)


# --- selectors


@pytest.mark.parametrize(
    ("selector", "is_watched"),
    [
        pytest.param(Selector(), True, id="nothing given is everything"),
        pytest.param(Selector(kinds=kinds(Kind.CHARGE)), True, id="the kind"),
        pytest.param(Selector(kinds=kinds(Kind.BALANCE)), False, id="another kind"),
        pytest.param(Selector(kinds=kinds(Kind.BALANCE, Kind.CHARGE)), True, id="one of several kinds"),
        pytest.param(Selector(kinds=kinds(Kind.BALANCE, Kind.QUOTA)), False, id="none of several kinds"),
        pytest.param(Selector(meter=METER), True, id="the meter"),
        pytest.param(Selector(meter="schedule"), True, id="its family"),
        pytest.param(Selector(meter="sched*"), True, id="a glob of the meter"),
        pytest.param(Selector(meter="schedule/2027-*"), False, id="a glob of other meters"),
        pytest.param(Selector(meter="sched"), False, id="a part of the name is no family"),
        pytest.param(Selector(meter="Schedule"), False, id="capitals count"),
        pytest.param(Selector(account="voice-*"), True, id="a glob of the account"),
        pytest.param(Selector(account="voice"), False, id="a part of the account's name is no glob"),
        pytest.param(Selector(provider="ce?ura"), True, id="a glob of the provider"),
        pytest.param(Selector(provider="cargo"), False, id="another provider"),
        pytest.param(Selector(labels={"team": "voice"}), True, id="a label"),
        pytest.param(Selector(labels={"team": "v*", "stage": "pro[dx]"}), True, id="globs of two labels"),
        pytest.param(Selector(labels={"team": "voice", "stage": "test"}), False, id="one label of two is not enough"),
        pytest.param(Selector(labels={"owner": "voice"}), False, id="a label that is not there"),
        pytest.param(Selector(labels={"owner": "*"}), True, id="a label that is not there is empty text"),
        pytest.param(
            Selector(kinds=kinds(Kind.CHARGE), meter="schedule", account="v*", provider="c*", labels={"team": "voice"}),
            True,
            id="all of them together",
        ),
        pytest.param(
            Selector(kinds=kinds(Kind.CHARGE), meter="schedule", account="v*", provider="s*", labels={"team": "voice"}),
            False,
            id="all of them but one",
        ),
    ],
)
def test_a_selector_watches_what_matches_all_of_it(selector: Selector, is_watched: bool) -> None:
    assert selector.matches(ACCOUNT, METER, Kind.CHARGE) is is_watched


@pytest.mark.parametrize(
    ("warning", "watched"),
    [
        pytest.param("overage > 0", {Kind.BALANCE, Kind.QUOTA}, id="the kinds that have the field"),
        pytest.param("overage > 0 and granted > 9", {Kind.BALANCE}, id="the kinds that have all fields"),
        pytest.param("turns.used > 9", set(Kind), id="a sibling's field is no own one"),
        pytest.param("amount > 1 and turns.used > 9", {Kind.SPEND, Kind.CHARGE}, id="own fields beside a sibling's"),
    ],
)
def test_without_a_kind_a_rule_watches_the_kinds_that_have_its_fields(warning: str, watched: set[Kind]) -> None:
    one = rule(warning=warning, critical=None, on=Selector())
    assert {kind for kind in KINDS if one.watches(ACCOUNT, "any", kind)} == watched


def test_a_rule_reads_the_names_of_all_its_parts() -> None:
    one = rule(
        warning="remaining < 5 or turns.used > 9",
        critical="remaining_percent < 5",
        clear="runway_days > 7",
        unless="auto_topup",
        remind=Steps(each="used_percent", steps=numbers(80, 90)),
    )
    own = {"remaining", "remaining_percent", "runway_days", "auto_topup", "used_percent"}
    assert one.names == own | {"turns.used"}
    assert one.own_names == own


# --- what is wrong with a rule


def text(
    on: Selector | None = None,
    levels: Mapping[Level, str] | None = None,
    clear: Mapping[Level, str] | None = None,
    unless: str | None = None,
    remind: Clockwork | Steps | None = None,
) -> RuleText:
    return RuleText(
        on=on or Selector(kinds=kinds(Kind.BALANCE)),
        levels={WARNING: "remaining < 5"} if levels is None else levels,
        clear=clear or {},
        unless=unless,
        sustain={},
        ease_for=timedelta(hours=1),
        remind=remind,
    )


def on(*names: Kind) -> Selector:
    return Selector(kinds=kinds(*names))


WHICH_METERS = "a rule watches meters of a kind that has every field it reads"
QUOTA_FIELDS = "hours_until_reset, limit, overage, remaining, resets_at, used, used_percent"


@pytest.mark.parametrize(
    ("wrong", "problems"),
    [
        pytest.param(
            text(levels={WARNING: "remainig < 5"}),
            [("warning", "there is no remainig here; did you mean remaining?")],
            id="no such field",
        ),
        pytest.param(
            text(levels={WARNING: "zzz < 5"}), [("warning", "there is no zzz here")], id="no such field and none near"
        ),
        pytest.param(
            text(levels={CRITICAL: "turns.usedd < 5"}),
            [("critical", "there is no turns.usedd here")],
            id="no such field of a sibling",
        ),
        pytest.param(
            text(on(Kind.QUOTA), {WARNING: "remaining_percent < 5"}),
            [("warning", "remaining_percent is no field of the kind quota; did you mean remaining?")],
            id="a field that the kind lacks",
        ),
        pytest.param(
            text(on(Kind.QUOTA), {WARNING: "days_until_due < 5"}),
            [("warning", f"days_until_due is no field of the kind quota; there are {QUOTA_FIELDS}")],
            id="a field that the kind lacks and none near",
        ),
        pytest.param(
            text(on(Kind.BALANCE, Kind.QUOTA, Kind.SPEND), {WARNING: "overage > 0"}),
            [("warning", "overage is no field of the kind spend; there are used_percent")],
            id="a field that one of several kinds lacks",
        ),
        pytest.param(
            text(on(Kind.CAP, Kind.SPEND), {WARNING: "overage > 0"}),
            [("warning", "overage is no field of the kind cap or spend; there are currency")],
            id="a field that two kinds lack",
        ),
        pytest.param(
            text(Selector(), {WARNING: "remaining < 5 and days_until_due < 3"}),
            [
                (
                    "warning",
                    f"no kind has all of days_until_due, remaining: {WHICH_METERS}",
                )
            ],
            id="no kind has all fields",
        ),
        pytest.param(
            text(levels={}),
            [("", "says neither `warning` nor `critical` nor `on_change`: give at least one")],
            id="no level",
        ),
        pytest.param(
            text(levels={WARNING: "remaining"}),
            [("warning", "remaining is a number; a condition compares it: remaining < 20")],
            id="no condition",
        ),
        pytest.param(
            text(unless="auto_topup and"), [("unless", "the end: invalid syntax: auto_topup and")], id="no expression"
        ),
        pytest.param(
            text(levels={WARNING: "remaining < 5", CRITICAL: "remaining < 1"}, clear=dict.fromkeys(Level, "x > 9")),
            [("clear", "there is no x here")],
            id="one clear for all levels is one problem",
        ),
        pytest.param(
            text(clear={WARNING: "x > 9", CRITICAL: "y > 9"}),
            [("clear.warning", "there is no x here"), ("clear.critical", "there is no y here")],
            id="a clear per level",
        ),
        pytest.param(
            text(levels={WARNING: "x > 9"}, clear={WARNING: "y > 9"}, unless="z", remind=Steps(each="w", steps=())),
            [
                ("warning", "there is no x here"),
                ("clear", "there is no y here"),
                ("unless", "there is no z here"),
                ("remind", "each = 'w' is no number of the watched kinds"),
                ("remind", "steps are missing: name at least one, such as [30, 14, 7]"),
            ],
            id="everything at once",
        ),
        pytest.param(
            text(remind=Steps(each="remaining", steps=numbers(30, 14, 20))),
            [("remind", "steps must fall or rise all the way: [30, 14, 7] or [80, 90, 95]")],
            id="steps up and down",
        ),
        pytest.param(
            text(remind=Steps(each="remaining", steps=numbers(30, 30))),
            [("remind", "steps must fall or rise all the way: [30, 14, 7] or [80, 90, 95]")],
            id="a step twice",
        ),
        pytest.param(
            text(remind=Steps(each="expires_at", steps=numbers(3, 2))),
            [("remind", "each = 'expires_at' is no number of the watched kinds")],
            id="steps of a time",
        ),
        pytest.param(
            text(remind=Steps(each="remaining_pct", steps=numbers(3, 2))),
            [("remind", "each = 'remaining_pct' is no number of the watched kinds; did you mean remaining_percent?")],
            id="steps of no field",
        ),
        pytest.param(
            text(remind=Steps(each="amount", steps=numbers(3, 2))),
            [("remind", "each = 'amount' is no number of the watched kinds")],
            id="steps of a field that the kind lacks",
        ),
        pytest.param(
            text(remind=Steps(each="turns.used", steps=numbers(3, 2))),
            [("remind", "each = 'turns.used' is no number of the watched kinds")],
            id="steps of a sibling's field",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line_each(wrong: RuleText, problems: list[tuple[str, str]]) -> None:
    with pytest.raises(RuleError) as raised:
        build_rule("low", wrong)
    assert list(raised.value.problems) == problems
    assert str(raised.value) == "; ".join(f"{key}: {what}" for key, what in problems)


def test_a_clear_per_level_stays_one_per_level() -> None:
    one = build_rule("low", text(clear={WARNING: "remaining > 9", CRITICAL: "remaining > 6"}))
    assert {level: condition.text for level, condition in one.clear.items()} == {
        WARNING: "remaining > 9",
        CRITICAL: "remaining > 6",
    }


# --- reminders


def pauses(clockwork: Clockwork, count: int) -> list[timedelta]:
    return [clockwork.pause(reminders) for reminders in range(count)]


@pytest.mark.parametrize(
    ("clockwork", "days"),
    [
        pytest.param(Clockwork(every=DAY), [1, 1, 1, 1], id="evenly"),
        pytest.param(Clockwork(every=DAY, backoff=Decimal(2)), [1, 2, 4, 8], id="growing"),
        pytest.param(Clockwork(every=DAY, backoff=Decimal(2), longest=3 * DAY), [1, 2, 3, 3], id="up to the longest"),
        pytest.param(Clockwork(every=DAY, backoff=Decimal("1.5")), [1, 1.5, 2.25, 3.375], id="growing by half"),
        pytest.param(Clockwork(every=7 * DAY, longest=3 * DAY), [3, 3, 3, 3], id="the longest is the longest"),
        pytest.param(Clockwork(every=200 * DAY, backoff=Decimal(10)), [200, 365, 365, 365], id="once a year at least"),
        pytest.param(Clockwork(every=500 * DAY, backoff=Decimal(10)), [500, 500, 500, 500], id="unless asked for less"),
    ],
)
def test_the_pause_between_reminders(clockwork: Clockwork, days: list[float]) -> None:
    assert pauses(clockwork, 4) == [timedelta(days=count) for count in days]


@pytest.mark.parametrize("backoff", ["1", "1.001", "2", "10"])
def test_the_ten_thousandth_reminder_is_due_at_a_time_that_exists(backoff: str) -> None:
    clockwork = Clockwork(every=timedelta(minutes=1), backoff=Decimal(backoff))
    assert timedelta(0) < clockwork.pause(10_000) <= timedelta(days=365)


def test_a_small_growth_reaches_the_longest_pause() -> None:
    assert Clockwork(every=DAY, backoff=Decimal("1.1"), longest=7 * DAY).pause(30) == 7 * DAY


@given(st.decimals(1, 10, places=3), st.integers(0, 10_000), st.timedeltas(timedelta(seconds=1), 400 * DAY))
def test_a_pause_never_shrinks(backoff: Decimal, reminders: int, every: timedelta) -> None:
    clockwork = Clockwork(every=every, backoff=backoff, longest=400 * DAY)
    first, second = clockwork.pause(reminders), clockwork.pause(reminders + 1)
    # A factor of a pause passes through binary fractions: to the millisecond is what a reminder needs.
    assert every - timedelta(milliseconds=1) <= first <= second + timedelta(milliseconds=1)
    assert second <= 400 * DAY + timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("each", "steps", "value", "passed"),
    [
        pytest.param("days_until_expiry", (30, 14, 7), 31, (), id="falling: none yet"),
        pytest.param("days_until_expiry", (30, 14, 7), 30, (30,), id="falling: at the first"),
        pytest.param("days_until_expiry", (30, 14, 7), 13.5, (30, 14), id="falling: past the second"),
        pytest.param("days_until_expiry", (30, 14, 7), -3, (30, 14, 7), id="falling: past all"),
        pytest.param("used_percent", (80, 90, 95), 79.9, (), id="rising: none yet"),
        pytest.param("used_percent", (80, 90, 95), 80, (80,), id="rising: at the first"),
        pytest.param("used_percent", (80, 90, 95), 99, (80, 90, 95), id="rising: past all"),
        pytest.param("days_until_expiry", (7,), 8, (), id="a single step of what falls: not yet"),
        pytest.param("days_until_expiry", (7,), 7, (7,), id="a single step of what falls: passed"),
        pytest.param("used_percent", (90,), 85, (), id="a single step of what rises: not yet"),
        pytest.param("used_percent", (90,), 91, (90,), id="a single step of what rises: passed"),
    ],
)
def test_which_steps_are_passed(each: str, steps: tuple[float, ...], value: float, passed: tuple[float, ...]) -> None:
    assert Steps(each=each, steps=numbers(*steps)).passed(Decimal(str(value))) == set(numbers(*passed))


def test_levels_are_ordered_and_named() -> None:
    assert Level.INFO < WARNING < CRITICAL
    assert [level.label for level in Level] == ["info", "warning", "critical"]


def test_a_rule_builds_from_its_text() -> None:
    clockwork = Clockwork(every=DAY)
    built: Rule = build_rule("low", text(unless="auto_topup", remind=clockwork))
    assert (built.name, built.remind, built.ease_for) == ("low", clockwork, timedelta(hours=1))
    assert built.unless is not None
    assert built.unless.text == "auto_topup"
