"""Five hundred accounts cross a threshold at once: one message on each channel, and another when it is over."""

from datetime import datetime, timedelta
from pathlib import Path

from budgetd.store import polls
from budgetd.store.polls import Finished
from budgetd_rules.polls import Poll
from build import NOON, account, minutes, reading
from house import House

NAMES = [f"a{number:03}" for number in range(500)]
CHANNELS = ("ops", "mail", "phone")


def read_all(house: House, remaining: int, at: datetime) -> None:
    """One poll of each, recorded together."""
    found = [
        Poll(account=name, provider="cekura", at=at, readings=(one,), outages=())
        for name in NAMES
        for one in [reading(account=name, as_of=at, remaining=remaining)]
    ]
    polls.record(house.db, [Finished(poll=poll, next_poll_at=at + timedelta(minutes=5)) for poll in found])
    house.judge(at)


def test_five_hundred_at_once_are_one_message_on_each_channel(tmp_path: Path) -> None:
    house = House(tmp_path / "budgetd.db", channels=CHANNELS, accounts=[account(name) for name in NAMES])
    read_all(house, 400, NOON)
    house.deliver(minutes(1))
    assert {title.partition(" WARNING: ")[0] for title in house.titles} == {f"{name}: 500" for name in CHANNELS}
    assert len(house.titles) == len(CHANNELS)
    for body in house.mailbox.bodies:
        assert [line.split(" [")[0] for line in body.splitlines()] == [
            f"WARNING {name}: 400 credits left" for name in NAMES
        ]
    assert house.rows("SELECT state, count(*), count(DISTINCT channel) FROM notices GROUP BY state") == [
        ("sent", 1500, 3)
    ]
    read_all(house, 9000, minutes(5))
    house.deliver(minutes(6))
    house.deliver(minutes(7))
    assert len(house.titles) == 2 * len(CHANNELS)
    assert house.rows("SELECT outcome, count(*) FROM attempts GROUP BY outcome") == [("ok", 6)]
    assert house.rows("SELECT state, count(*) FROM notices GROUP BY state") == [("sent", 3000)]
