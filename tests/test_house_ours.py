"""budgetd's own troubles, from their cause to the message."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from budgetd.ruletests.loading import load_cases
from budgetd.store import troubles
from budgetd.store.database import write
from budgetd_rules.routing import Route
from budgetd_rules.rule import Rule
from build import NOON, account, minutes, reading, rule
from house import House

# As a config has them.
RULES: Sequence[Rule] = tuple(load_cases(Path(__file__).parent / "data/rules/builtin.toml")[0].ruleset.rules.values())


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Everything is routed to ops alone."""
    house = House(
        tmp_path / "budgetd.db",
        rules=[rule(), *RULES],
        channels=["ops", "finance"],
        routes=[Route(channels=("ops",))],
    )
    house.start(NOON)
    return house


def fail(house: House, tries: Sequence[float]) -> None:
    for minute in tries:
        house.deliver(minutes(minute))
        house.judge(minutes(minute))


def test_a_channel_that_fails_is_told_through_another_and_its_end_too(house: House) -> None:
    house.mailbox.failing.add("ops")
    house.balance(400)
    fail(house, [0, 1])
    house.deliver(minutes(1))
    assert house.titles == []
    fail(house, [2, 3])
    assert house.titles == ["finance: CRITICAL budgetd: channel ops fails (3 times in a row, error=500)"]
    assert (
        "What came: Failed to send mailbox notification: Internal server error., error=500." in house.mailbox.bodies[0]
    )
    fail(house, [10, 30, 60])
    house.mailbox.failing.clear()
    fail(house, [80, 81])
    assert house.titles[1:] == [
        "ops: WARNING voice: unknown credits left",
        "finance: RESOLVED budgetd: channel ops works",
    ]


def test_what_can_not_be_judged_keeps_back_no_other_and_is_said_over_restarts_once(tmp_path: Path) -> None:
    accounts = [account(name) for name in ("voice", "broken", "growth")]
    house = House(tmp_path / "budgetd.db", rules=[rule(), *RULES], accounts=accounts)
    house.read(*(reading(account=one.name, remaining=900) for one in accounts))
    house.start(NOON)
    with write(house.db):
        columns = "rule, account, meter, memory"
        house.db.execute(f"INSERT INTO watches ({columns}) VALUES ('low-credits', 'broken', 'credits', 'no JSON')")
    house.read(*(reading(account=one.name, remaining=50, as_of=minutes(5)) for one in accounts))
    assert [*house.judge(minutes(5)).broken] == ["broken"]
    house.judge(minutes(6))
    house.deliver(minutes(6))
    house = house.restart()
    house.start(minutes(7))
    assert house.titles == ["ops: 3 CRITICAL: growth, voice, budgetd"]
    house.judge(minutes(8))
    house.deliver(minutes(8))
    assert len(house.titles) == 1
    with write(house.db):
        house.db.execute("UPDATE watches SET memory = '{}' WHERE account = 'broken'")
    house.judge(minutes(9))
    house.judge(minutes(10))
    house.deliver(minutes(10))
    assert house.titles[1:] == ["ops: 1 CRITICAL, 1 RESOLVED: broken, budgetd"]


def test_no_rule_of_vendors_watches_it(house: House) -> None:
    house.mailbox.failing.add("ops")
    house.balance(400)
    fail(house, range(0, 300, 20))
    assert {name for (name,) in house.rows("SELECT rule FROM episodes")} == {"low-credits", "channel-failing"}


def test_nothing_is_written_where_nothing_changed(house: House) -> None:
    for at, remaining in ((0, 400), (5, 50), (10, 9000)):
        house.balance(remaining, minutes(at))
        house.deliver(minutes(at))
        house.judge(minutes(at))
    assert len(house.titles) == 3
    written = house.rows("SELECT meter, as_of FROM latest WHERE account = 'budgetd'")
    assert [(meter, as_of[:16]) for meter, as_of in written] == [("channel/ops", "2026-11-21T12:00")]
    assert house.rows("SELECT count(*) FROM watches WHERE account = 'budgetd'") == [(0,)]


def test_it_outlives_a_restart(house: House) -> None:
    house.mailbox.failing.add("ops")
    house.balance(400)
    fail(house, [0, 1, 2, 3])
    house = house.restart()
    house.start(minutes(4))
    fail(house, [20])
    assert len(house.titles) == 1, "not told again"
    house.mailbox.failing.clear()
    fail(house, [40, 41])
    assert house.titles[-1] == "finance: RESOLVED budgetd: channel ops works"


def test_a_failing_channel_that_leaves_the_config_is_over(house: House) -> None:
    house.mailbox.failing.add("ops")
    house.balance(400)
    fail(house, [0, 1, 2, 3])
    house.routing = replace(house.routing, group_wait={"finance": timedelta(0)})
    house.start(minutes(4))
    fail(house, [4])
    assert house.titles[1:] == ["finance: 1 WARNING, 1 RESOLVED: voice, budgetd"]
    assert "RESOLVED budgetd: channel ops left the config" in house.mailbox.bodies[1]
    assert "to 12:04 UTC: no longer in the config" in house.mailbox.bodies[1]
    assert house.rows("SELECT meter FROM latest WHERE account = 'budgetd' ORDER BY meter") == [("channel/finance",)]


def test_what_cannot_be_told_on_either_is_not_told_to_the_one_that_fails(house: House) -> None:
    """For three days finance can't be told that ops fails; ops itself can't be its substitute."""
    house.mailbox.failing |= {"ops", "finance"}
    house.balance(400)
    fail(house, [*range(0, 60, 2), *range(60, 4 * 24 * 60, 240)])
    sql = """
        SELECT channel, meter FROM notices JOIN changes ON changes.id = change
        WHERE account = 'budgetd' ORDER BY meter, channel
    """
    assert house.rows(sql) == [("ops", "channel/finance"), ("finance", "channel/ops")]


# --- the config


def test_a_config_that_is_refused_is_told_until_one_is_taken(house: House) -> None:
    for minute in (0, 5):
        troubles.refuse_config(
            house.db, "config.toml: channels.ops.ulr: unknown key; did you mean url?", minutes(minute)
        )
        fail(house, [minute, minute + 1])
    assert house.titles == ["ops: WARNING budgetd: a new config is refused, the old one stays"]
    assert "What came: config.toml: channels.ops.ulr: unknown key; did you mean url?" in house.mailbox.bodies[0]
    house.start(minutes(10))
    fail(house, [10])
    assert house.titles[1:] == ["ops: RESOLVED budgetd: the config is in force"]


def test_a_good_start_notes_nothing(house: House) -> None:
    house.start(minutes(10))
    assert house.rows("SELECT meter FROM latest") == []


# --- the store


@pytest.mark.parametrize(("failures", "told"), [(2, []), (12, ["ops: PASSED budgetd: the database works"])])
def test_that_writes_failed_is_told_once_they_work_again(failures: int, told: list[str], house: House) -> None:
    for count in (failures, 0):
        troubles.note_store(house.db, count, f"{failures} failures from 12:00 UTC on: disk full", minutes(5))
        house.judge(minutes(5))
    house.deliver(minutes(5))
    assert house.titles == told
    assert all("What came: 12 failures from 12:00 UTC on: disk full" in body for body in house.mailbox.bodies)


def test_killed_in_between_it_is_over_at_the_next_start(house: House) -> None:
    troubles.note_store(house.db, 12, "disk full", minutes(5))
    house.judge(minutes(5))
    house.deliver(minutes(5))
    house = house.restart()
    house.start(minutes(6))
    house.deliver(minutes(6))
    assert [title.partition(" budgetd")[0] for title in house.titles] == ["ops: WARNING", "ops: RESOLVED"]
