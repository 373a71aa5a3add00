"""The config is edited while an episode is open: nothing is told twice, and nothing is forgotten."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from budgetd_rules.judgement import Ruleset
from budgetd_rules.rule import Rule, RuleText, Selector, build_rule
from build import account, minutes, rule
from house import House


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A house with an open episode that was told."""
    house = House(tmp_path / "budgetd.db")
    house.balance(400)
    house.deliver(minutes(0))
    return house


def reload(house: House, rules: Sequence[Rule], at: float) -> list[str]:
    """Switches to other rules. Returns the messages that this causes."""
    before = len(house.titles)
    house.ruleset = Ruleset(rules, [account()])
    house.judge_all(minutes(at))
    house.deliver(minutes(at))
    return [title.partition(" voice")[0].removeprefix("ops: ") for title in house.titles[before:]]


@pytest.mark.parametrize(
    ("edited", "told"),
    [
        pytest.param([rule()], [], id="nothing"),
        pytest.param([rule(warning="remaining < 450")], [], id="a threshold, and still bad"),
        pytest.param([rule(warning="remaining < 300")], ["RESOLVED"], id="a threshold, and not bad any more"),
        pytest.param([rule(critical="remaining < 450")], ["CRITICAL"], id="a threshold, and worse"),
        pytest.param([rule(clear="remaining > 600")], [], id="a clear"),
        pytest.param([rule("empty-credits")], ["WARNING"], id="another name is another rule"),
        pytest.param([], [], id="the rule is deleted"),
        pytest.param([rule(on=Selector(account="other"))], [], id="the rule watches another account"),
        pytest.param([rule(), rule("second", warning="remaining < 1000")], ["WARNING"], id="one more rule"),
    ],
)
def test_an_edit(edited: list[Rule], told: list[str], house: House) -> None:
    assert reload(house, edited, 5) == told
    assert reload(house, edited, 6) == []


def test_a_rule_that_is_gone_for_a_moment_goes_on_silently(house: House) -> None:
    """For example, rules.d is empty for a second while files are copied."""
    assert reload(house, [], 5) == []
    assert reload(house, [rule()], 6) == []
    house.balance(90, minutes(10))
    house.deliver(minutes(10))
    assert house.titles[1:] == ["ops: CRITICAL voice: 90 credits left"]


@pytest.mark.parametrize(
    ("rules", "accounts"),
    [
        pytest.param([], ["voice"], id="its rule is switched off"),
        pytest.param([rule(on=Selector(account="other"))], ["voice"], id="its rule watches another account"),
        pytest.param([rule()], [], id="its account is disabled"),
    ],
)
@pytest.mark.parametrize(
    ("left", "told"),
    [
        pytest.param(400, ["ops: WARNING voice: 400 credits left"], id="still bad"),
        pytest.param(90, ["ops: CRITICAL voice: 90 credits left"], id="worse"),
        pytest.param(9000, ["ops: PASSED voice: 9,000 credits left"], id="over by then"),
    ],
)
def test_an_opening_that_nobody_heard_is_not_lost_by_parking(
    rules: list[Rule], accounts: list[str], left: int, told: list[str], tmp_path: Path
) -> None:
    """The channel is down meanwhile; and no day of the absence counts as one in which it could not be told."""
    house = House(tmp_path / "budgetd.db")
    house.mailbox.failing = {"ops"}
    house.balance(400)
    house.deliver(minutes(0))
    ruleset = house.ruleset
    house.ruleset = Ruleset(rules, [account(name) for name in accounts])
    house.judge_all(minutes(1))
    house.mailbox.failing = set()
    for day in range(5):
        house.deliver(minutes(2 + day * 24 * 60), planned_at=minutes(2 + day * 24 * 60))
    assert house.titles == []
    assert house.rows("SELECT state, hold FROM notices") == [("held", "parked")]
    back = 5 * 24 * 60
    house.ruleset = ruleset
    house.judge_all(minutes(back))
    house.balance(left, minutes(back))
    house.deliver(minutes(back), planned_at=minutes(back))
    assert house.titles == told
    house.deliver(minutes(back + 60))
    assert house.titles == told


def test_what_is_parked_for_too_long_is_dropped(tmp_path: Path) -> None:
    house = House(tmp_path / "budgetd.db")
    house.balance(400)
    house.ruleset = Ruleset([], [account()])
    house.judge_all(minutes(1))
    house.deliver(minutes(1))
    later = 31 * 24 * 60
    house.judge_all(minutes(later))
    house.deliver(minutes(later))
    dropped = [("dropped", "superseded: no longer in the config")]
    assert (house.titles, house.rows("SELECT state, reason FROM notices")) == ([], dropped)


def test_a_renamed_rule_goes_on_silently(house: House) -> None:
    before = rule("empty-credits")
    renamed = build_rule("empty-credits", _with_was(before))
    assert reload(house, [renamed], 5) == []
    house.balance(9000, minutes(10))
    house.deliver(minutes(10))
    assert house.titles[1:] == ["ops: RESOLVED voice: 9,000 credits left"]
    assert house.rows("SELECT rule FROM episodes") == [("empty-credits",)]


def _with_was(one: Rule) -> RuleText:
    return RuleText(
        on=one.on,
        levels={level: condition.text for level, condition in one.levels.items()},
        clear={},
        unless=None,
        sustain={},
        ease_for=one.ease_for,
        remind=None,
        was="low-credits",
    )
