"""A channel that is down for a day: how often it is tried, and what it is told when it is back."""

from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from budgetd_rules.rule import Clockwork
from build import NOON, account, reading, rule
from house import House

HOUR = timedelta(hours=1)
DOWN_FOR = 24 * HOUR


def remaining(number: int, hour: int) -> int:
    """What is left of an account's credits in an hour of the outage: 40 changes on 10 episodes in all.

    Four open, worsen and are over; four open, worsen and ease; two were open before, and one of these is open still.
    """
    if number < 4:
        return 9000 + number if hour >= 20 or hour < 1 else 90 - number if hour >= 3 else 400
    if number < 8:
        return 9000 if hour < 2 else 400 if hour < 4 else 90 if hour < 16 else 300 + number
    if number == 8:
        return 400 if hour < 5 else 80 if hour < 16 else 300 if hour < 18 else 9008
    return 400 if hour < 5 else 85 if hour < 16 else 300 if hour < 19 else 70


def deliver_when_due(house: House, begin: datetime, end: datetime) -> None:
    """Delivers at each time at which the channel may be tried, while anything is owed."""
    now = begin
    while now < end and house.rows("SELECT 1 FROM notices WHERE state = 'waiting'"):
        house.deliver(now)
        ((again,),) = house.rows("SELECT max(next_try_at) FROM channels")
        now = max(now + timedelta(seconds=1), datetime.fromisoformat(again) if again else now)


class Day(House):
    """Ten accounts, polled each hour, with a channel that is down from noon on for 24 hours."""

    def __init__(self, path: Path) -> None:
        names = [f"a{number}" for number in range(10)]
        low = rule(remind=Clockwork(every=10 * HOUR))
        super().__init__(path, rules=[low], accounts=[account(name) for name in names])
        self.poll_all(NOON - HOUR, 0)
        self.deliver(NOON - HOUR)

    def poll_all(self, now: datetime, hour: int) -> None:
        readings = [reading(account=f"a{number}", as_of=now, remaining=remaining(number, hour)) for number in range(10)]
        self.read(*readings)
        self.judge(now)

    def go_down(self) -> None:
        self.mailbox.failing.add("ops")
        for hour in range(24):
            self.poll_all(NOON + hour * HOUR, hour)
            deliver_when_due(self, NOON + hour * HOUR, NOON + (hour + 1) * HOUR)

    def come_back(self) -> None:
        self.mailbox.failing.clear()
        self.mailbox.titles.clear()
        self.mailbox.bodies.clear()
        self.poll_all(NOON + DOWN_FOR - timedelta(minutes=10), 23)
        deliver_when_due(self, NOON + DOWN_FOR, NOON + DOWN_FOR + HOUR)


def test_back_after_a_day_a_channel_gets_one_message_with_the_truth_of_now(tmp_path: Path) -> None:
    day = Day(tmp_path / "budgetd.db")
    assert day.titles == ["ops: 2 WARNING: a8, a9"]
    day.go_down()
    assert day.titles == ["ops: 2 WARNING: a8, a9"]
    since = f"at >= '{NOON:%Y-%m-%dT%H:%M}'"
    assert day.rows(f"SELECT count(*), count(DISTINCT episode) FROM changes WHERE {since}") == [(40, 10)]
    # It is tried all the time, and not too often: each quarter of an hour the whole, and then one line alone.
    ((tries, last),) = day.rows("SELECT count(*), max(started_at) FROM attempts WHERE outcome = 'failed'")
    assert 2 * 24 * 4 < tries < 2 * 24 * 4 * 4 / 3 + 20
    assert datetime.fromisoformat(last) > NOON + DOWN_FOR - timedelta(minutes=16)
    day.come_back()
    episodes = dict(day.rows("SELECT account, id FROM episodes"))
    assert day.titles == ["ops: 1 CRITICAL, 4 WARNING, 4 PASSED, 1 RESOLVED: a9, a4, a5 and 7 more"]
    over = "topped up"
    assert day.mailbox.bodies[0].splitlines() == [
        f"{line} [{episodes[line.split()[1][:2]]}]"
        for line in (
            f"PASSED a0: 9,000 credits left, was critical from 21 Nov 2026 13:00 UTC to 08:00 UTC (worst 90): {over}",
            f"PASSED a1: 9,001 credits left, was critical from 21 Nov 2026 13:00 UTC to 08:00 UTC (worst 89): {over}",
            f"PASSED a2: 9,002 credits left, was critical from 21 Nov 2026 13:00 UTC to 08:00 UTC (worst 88): {over}",
            f"PASSED a3: 9,003 credits left, was critical from 21 Nov 2026 13:00 UTC to 08:00 UTC (worst 87): {over}",
            "WARNING a4: 304 credits left",
            "WARNING a5: 305 credits left",
            "WARNING a6: 306 credits left",
            "WARNING a7: 307 credits left",
            f"RESOLVED a8: 9,008 credits left, was critical from 21 Nov 2026 11:00 UTC to 06:00 UTC (worst 80): {over}",
            "CRITICAL a9: 70 credits left",
        )
    ]
    assert day.rows("SELECT count(*) FROM notices WHERE state = 'waiting'") == [(0,)]


def test_what_the_service_refuses_for_ever_does_not_keep_the_rest_back(tmp_path: Path) -> None:
    names = [f"a{number}" for number in range(4)]
    house = House(tmp_path / "budgetd.db", accounts=[account(name) for name in names])
    house.read(*(reading(account=name, remaining=400) for name in names))
    house.judge(NOON)
    house.mailbox.refused = "a1"
    deliver_when_due(house, NOON, NOON + HOUR)
    assert sorted(house.titles) == [f"ops: WARNING {name}: 400 credits left" for name in ("a0", "a2", "a3")]
    house.mailbox.refused = None
    deliver_when_due(house, NOON + HOUR, NOON + 2 * HOUR)
    assert house.titles[-1] == "ops: WARNING a1: unknown credits left"
    assert house.rows("SELECT DISTINCT state FROM notices") == [("sent",)]


def test_of_many_that_are_critical_and_new_one_a_minute_probes(tmp_path: Path) -> None:
    """In any order, a failing channel is not tried too often."""
    house = House(tmp_path / "budgetd.db", accounts=[account(f"a{number}") for number in range(30)])
    house.mailbox.failing.add("ops")
    house.read(reading(account="a0", remaining=50))
    house.judge(NOON)
    deliver_when_due(house, NOON, NOON + HOUR)
    ((begin, before),) = house.rows("SELECT max(started_at), count(*) FROM attempts")
    for number in range(1, 30):
        now = datetime.fromisoformat(begin) + timedelta(seconds=30 + 10 * number)
        house.read(reading(account=f"a{number}", as_of=now, remaining=50))
        house.judge(now)
        house.deliver(now)
        house.deliver(now + timedelta(seconds=6))
    tries = house.rows(f"SELECT started_at FROM attempts ORDER BY id LIMIT -1 OFFSET {before}")
    probes = [datetime.fromisoformat(at) for (at,) in tries[::2]]  # after each comes one line alone
    assert len(probes) == 4
    assert all(later - sooner > timedelta(minutes=1) for sooner, later in pairwise(probes))
