"""A channel that stays down or leaves the config: its notices go to another channel, once, and none is lost."""

import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from budgetd.store import heartbeats
from budgetd.store.database import read, write
from budgetd.store.holds import add_hold, end_hold
from budgetd.store.requests import Request, RequestKind, add_requests
from budgetd_rules.holds import Hold, HoldKind
from budgetd_rules.routing import Route, Routing
from budgetd_rules.rule import Clockwork, Level, Rule
from build import NOON, account, minutes, reading, rule
from house import House

DAY: Final = 24 * 60
TO_OPS: Final = (Route(channels=("ops",)),)
ERROR: Final = (
    "Failed to send mailbox notification: Internal server error., error=500. "
    "Failed to send Custom - mailbox notification."
)


def make(
    tmp_path: Path,
    *,
    channels: Sequence[str] = ("ops", "finance", "mail"),
    routes: Sequence[Route] = TO_OPS,
    fallbacks: dict[str, str] | None = None,
    failing: Sequence[str] = ("ops",),
    rules: Sequence[Rule] | None = None,
) -> House:
    """Everything is routed to ops, which is down."""
    house = House(tmp_path / "budgetd.db", rules, channels=channels, routes=routes, fallbacks=fallbacks)
    house.start(NOON)
    house.mailbox.failing.update(failing)
    return house


def keep_trying(house: House, until: float, since: float = 0) -> None:
    """Runs a delivery round every four hours, and at the end."""
    for minute in [*range(round(since), round(until), 240), until]:
        house.deliver(minutes(minute))


def states(house: House) -> dict[str, str]:
    """channel -> state and reason of its last notice, without notices about budgetd itself."""
    sql = """
        SELECT notices.channel, notices.state || coalesce(': ' || notices.reason, '')
        FROM notices JOIN changes ON changes.id = change WHERE changes.account <> 'budgetd' ORDER BY changes.at
    """
    return dict(house.rows(sql))


@pytest.mark.parametrize(
    ("fallbacks", "failing", "told"),
    [
        pytest.param({}, ["ops"], "finance", id="without a fallback: any other"),
        pytest.param({"ops": "mail"}, ["ops"], "mail", id="its fallback"),
        pytest.param({"ops": "mail", "mail": "ops"}, ["ops"], "mail", id="a circle of fallbacks"),
        pytest.param({"finance": "mail"}, ["ops"], "finance", id="the fallback of another does not count"),
    ],
)
def test_after_three_days_it_is_told_elsewhere(
    fallbacks: dict[str, str], failing: list[str], told: str, tmp_path: Path
) -> None:
    house = make(tmp_path, fallbacks=fallbacks, failing=failing)
    house.balance(400)
    keep_trying(house, 3 * DAY - 60)
    assert house.titles == []
    house.deliver(minutes(3 * DAY))
    assert house.titles == [f"{told}: WARNING voice: unknown credits left"]
    assert "could not be told on ops for 3 days" in house.mailbox.bodies[0]
    assert states(house) == {
        "ops": f"dead: not delivered for 3 days, handed over to {told}: {ERROR}",
        told: "sent: opened",
    }
    keep_trying(house, 8 * DAY, since=3 * DAY)
    assert len(house.titles) == 1, "once"


def test_it_is_told_as_it_is_now(tmp_path: Path) -> None:
    house = make(tmp_path)
    house.balance(400)
    house.deliver(minutes(0))
    house.balance(50, minutes(3 * DAY - 10))
    house.deliver(minutes(3 * DAY))
    assert house.titles == ["finance: CRITICAL voice: 50 credits left"]


def test_what_passed_meanwhile_is_told_as_passed(tmp_path: Path) -> None:
    house = make(tmp_path)
    house.balance(400)
    house.deliver(minutes(0))
    house.balance(9000, minutes(5))
    keep_trying(house, 3 * DAY + 60)
    assert house.titles == ["finance: PASSED voice: unknown credits left"]


def test_the_end_of_what_was_told_is_told_as_a_whole_to_who_never_heard_of_it(tmp_path: Path) -> None:
    house = make(tmp_path, failing=())
    house.balance(400)
    house.deliver(minutes(0))
    house.mailbox.failing.add("ops")
    house.balance(9000, minutes(5))
    keep_trying(house, 3 * DAY + 60)
    assert house.titles[1:] == ["finance: PASSED voice: unknown credits left"]
    assert "Was warning from 12:00" in house.mailbox.bodies[1].replace("21 Nov 2026 ", "")


def test_an_heir_hears_the_end_too(tmp_path: Path) -> None:
    house = make(tmp_path)
    house.balance(400)
    keep_trying(house, 3 * DAY)
    house.balance(9000, minutes(3 * DAY + 5))
    house.deliver(minutes(3 * DAY + 5))
    assert house.titles[1:] == ["finance: RESOLVED voice: 9,000 credits left"]


def test_a_channel_that_comes_back_in_time_is_told_itself(tmp_path: Path) -> None:
    house = make(tmp_path)
    house.balance(400)
    keep_trying(house, 2 * DAY)
    house.mailbox.failing.clear()
    house.deliver(minutes(3 * DAY - 1))
    assert house.titles == ["ops: WARNING voice: unknown credits left"]
    assert states(house) == {"ops": "sent: opened"}


@pytest.mark.parametrize("is_back", [True, False])
def test_no_notice_dies_before_its_channel_was_tried_again_after_a_start(is_back: bool, tmp_path: Path) -> None:
    """The service or the machine was off for days, and the network may come up a little later."""
    house = make(tmp_path)
    house.balance(400)
    house.deliver(minutes(0))
    at = 5 * DAY
    house.deliver(minutes(at), planned_at=minutes(at))
    house.deliver(minutes(at + 15), planned_at=minutes(at))
    assert states(house) == {"ops": "waiting"}
    if is_back:
        house.mailbox.failing.clear()
    house.deliver(minutes(at + 29), planned_at=minutes(at))
    house.deliver(minutes(at + 31), planned_at=minutes(at))
    assert states(house)["ops"].startswith("sent: opened" if is_back else "dead")


def test_a_channel_that_nobody_could_try_is_tried_first(tmp_path: Path) -> None:
    house = make(tmp_path, failing=())
    house.balance(400)
    house.deliver(minutes(5 * DAY))
    assert states(house) == {"ops": "sent: opened"}


def test_each_channel_gets_a_change_once_along_the_fallbacks(tmp_path: Path) -> None:
    house = make(tmp_path, fallbacks={"ops": "finance", "finance": "ops"}, failing=("ops", "finance", "mail"))
    house.balance(400)
    keep_trying(house, 10 * DAY)
    assert {channel: reason.partition(":")[2].partition(":")[0] for channel, reason in states(house).items()} == {
        "ops": " not delivered for 3 days, handed over to finance",
        "finance": " not delivered for 3 days, handed over to mail",
        "mail": " not delivered for 3 days, and by no other channel",
    }


def test_a_channel_that_works_is_rather_taken(tmp_path: Path) -> None:
    house = make(
        tmp_path, routes=(Route(channels=("ops",), levels=frozenset({Level.WARNING})), Route(channels=("finance",)))
    )
    house.mailbox.failing.add("finance")
    house.balance(400)
    house.balance(50, minutes(DAY))
    keep_trying(house, 3 * DAY, since=DAY)
    assert house.titles == ["mail: CRITICAL voice: unknown credits left"]


def test_without_another_channel_it_is_dead_and_said_loudly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    house = make(tmp_path, channels=["ops"])
    house.balance(400)
    keep_trying(house, 3 * DAY + 60)
    assert states(house) == {"ops": f"dead: not delivered for 3 days, and by no other channel: {ERROR}"}
    assert [record.levelno for record in caplog.records if record.message == "a notice is dead"] == [logging.ERROR]
    with read(house.db):
        assert list(heartbeats.load_untold(house.db, ["ops"], minutes(4 * DAY))) == ["ops"], "so no heartbeat either"


@pytest.mark.parametrize(
    ("meanwhile", "told"),
    [
        pytest.param([], ["ops: WARNING voice: unknown credits left"], id="still so"),
        pytest.param([(4 * DAY, 50)], ["ops: CRITICAL voice: 50 credits left"], id="worse by now"),
        pytest.param([(4 * DAY, 9000)], ["ops: PASSED voice: 9,000 credits left"], id="over by now"),
    ],
)
def test_what_nobody_could_be_told_is_told_once_its_channel_works_again(
    meanwhile: list[tuple[int, int]], told: list[str], tmp_path: Path
) -> None:
    """The notice is dead and shown as such, but its channel is still tried."""
    house = make(tmp_path, channels=["ops"])
    house.balance(400)
    keep_trying(house, 4 * DAY - 60)
    assert states(house)["ops"].startswith("dead")
    for at, left in meanwhile:
        house.balance(left, minutes(at))
    house.mailbox.failing.clear()
    keep_trying(house, 4 * DAY + 60, since=4 * DAY)
    assert house.titles == told
    keep_trying(house, 9 * DAY, since=5 * DAY)
    assert house.titles == told


@pytest.mark.parametrize("works", ["ops", "finance"])
def test_whoever_works_again_first_is_told_what_nobody_could_be(works: str, tmp_path: Path) -> None:
    """Either the channel itself, or its fallback."""
    house = make(tmp_path, channels=["ops", "finance"], failing=["ops", "finance"])
    house.balance(400)
    keep_trying(house, 8 * DAY)
    house.mailbox.failing.remove(works)
    keep_trying(house, 9 * DAY, since=8 * DAY)
    assert house.titles == [f"{works}: WARNING voice: unknown credits left"]


def test_what_its_service_alone_refuses_stays_dead(tmp_path: Path) -> None:
    house = House(tmp_path / "budgetd.db", accounts=[account(), account("loud")])
    house.mailbox.refused = "Account voice"
    house.balance(400)
    keep_trying(house, DAY)
    house.read(reading(account="loud", remaining=50, as_of=minutes(DAY)))
    house.judge(minutes(DAY))
    keep_trying(house, 6 * DAY, since=DAY)
    assert house.titles == ["ops: CRITICAL loud: unknown credits left"]
    assert house.rows("SELECT state, hold FROM notices WHERE id LIKE '%.1@ops' ORDER BY state") == [
        ("dead", None),
        ("sent", None),
    ]


def test_of_a_dead_one_that_is_tried_by_hand_it_is_the_same_again(tmp_path: Path) -> None:
    house = make(tmp_path, channels=["ops"])
    house.balance(400)
    keep_trying(house, 3 * DAY + 60)
    add_requests(house.db, [Request(kind=RequestKind.RETRY, target="ops", at=minutes(4 * DAY))])
    house.deliver(minutes(4 * DAY))
    assert house.rows("SELECT state, hold FROM notices WHERE id LIKE '%@ops'") == [("waiting", None)]
    house.mailbox.failing.clear()
    house.deliver(minutes(4 * DAY + 60))
    assert house.titles == ["ops: WARNING voice: unknown credits left"]


def test_an_episode_goes_over_whole(tmp_path: Path) -> None:
    """Its reminders go with it, so that they do not follow one by one, each three days late."""
    house = make(tmp_path, rules=[rule(remind=Clockwork(every=timedelta(days=1)))])
    for day in range(8):
        house.balance(400, minutes(day * DAY))
        house.deliver(minutes(day * DAY + 1))
    assert [title.partition(" voice")[0] for title in house.titles] == ["finance: WARNING", "finance: REMINDER WARNING"]


def test_who_was_told_by_its_own_route_is_not_told_again(tmp_path: Path) -> None:
    both = Route(channels=("ops", "finance"), levels=frozenset({Level.CRITICAL}))
    house = make(tmp_path, channels=["ops", "finance"], routes=[both, *TO_OPS])
    house.balance(400)
    house.deliver(minutes(0))
    house.balance(50, minutes(10))
    house.deliver(minutes(10))
    keep_trying(house, 4 * DAY, since=60)
    assert house.titles == ["finance: CRITICAL voice: 50 credits left"]
    assert house.rows("SELECT reason FROM notices WHERE id LIKE '%.1@ops'") == [
        (f"not delivered for 3 days, finance knows already: {ERROR}",)
    ]


def test_the_others_of_the_route_are_told_as_ever(tmp_path: Path) -> None:
    house = make(tmp_path, channels=["ops", "finance"], routes=())
    house.balance(400)
    keep_trying(house, 3 * DAY)
    assert house.titles == ["finance: WARNING voice: 400 credits left"]
    assert states(house)["ops"].startswith("dead: not delivered for 3 days, finance knows already")


# --- held time does not count


SILENCE: Final = Hold(id="", kind=HoldKind.SILENCE, from_at=NOON, until_at=minutes(5 * DAY), account="voice")


@pytest.mark.parametrize(
    ("ends", "alive", "dead"),
    [
        pytest.param(None, 8 * DAY - 60, 8 * DAY, id="to its end"),
        pytest.param(2 * DAY, 5 * DAY - 60, 5 * DAY, id="ended sooner"),
    ],
)
def test_held_time_does_not_count(ends: int | None, alive: int, dead: int, tmp_path: Path) -> None:
    house = make(tmp_path)
    hold = add_hold(house.db, SILENCE)
    house.balance(400)
    house.deliver(minutes(0))
    if ends:
        end_hold(house.db, hold.id, "me", minutes(ends))
    keep_trying(house, alive, since=ends or 5 * DAY)
    assert states(house) == {"ops": "waiting"}
    house.deliver(minutes(dead))
    assert states(house)["ops"].startswith("dead")


def test_after_a_silence_that_ended_sooner_it_is_tried_like_any_other(tmp_path: Path) -> None:
    house = make(tmp_path)
    hold = add_hold(house.db, SILENCE)
    house.balance(400)
    house.deliver(minutes(0))
    end_hold(house.db, hold.id, "me", minutes(10))
    house.deliver(minutes(10))
    house.mailbox.failing.clear()
    house.deliver(minutes(11))
    assert house.titles == ["ops: WARNING voice: 400 credits left"]


def test_a_clock_that_was_set_back_makes_nothing_younger_for_long(tmp_path: Path) -> None:
    """A notice with a due time now in the far future counts from its corrected time on."""
    house = make(tmp_path)
    house.balance(400, minutes(100 * DAY))
    house.deliver(minutes(0), planned_at=minutes(0))
    keep_trying(house, 3 * DAY, since=60)
    assert states(house)["ops"].startswith("dead")


def test_time_before_it_was_held_counts(tmp_path: Path) -> None:
    """Owed for two days, held for one, and owed for another: then it is dead."""
    house = make(tmp_path)
    house.balance(400)
    keep_trying(house, 2 * DAY)
    add_hold(house.db, replace(SILENCE, until_at=minutes(3 * DAY)))
    add_hold(house.db, replace(SILENCE, until_at=minutes(3 * DAY + 1)))
    keep_trying(house, 4 * DAY - 60, since=2 * DAY + 60)
    assert states(house) == {"ops": "waiting"}
    keep_trying(house, 4 * DAY + 120, since=4 * DAY)
    assert states(house)["ops"].startswith("dead")


# --- a channel leaves the config


def without(house: House, *channels: str) -> None:
    kept = {name: wait for name, wait in house.routing.group_wait.items() if name not in channels}
    house.routing = Routing(routes=(), group_wait=kept, fallbacks={})


@pytest.mark.parametrize(
    ("fallbacks", "told"),
    [
        pytest.param({"ops": "mail"}, "mail", id="to the fallback that it had"),
        pytest.param({}, "finance", id="to any other"),
    ],
)
def test_what_a_channel_that_left_was_owed_is_told_at_once(
    fallbacks: dict[str, str], told: str, tmp_path: Path
) -> None:
    house = make(tmp_path, fallbacks=fallbacks)
    house.balance(400)
    house.deliver(minutes(0))
    without(house, "ops")
    house.start(minutes(1))
    house.deliver(minutes(1))
    assert house.titles == [f"{told}: WARNING voice: 400 credits left"]
    assert "could not be told on ops: the channel left the config" in house.mailbox.bodies[0]
    assert states(house) == {"ops": f"dead: the channel left the config, handed over to {told}", told: "sent: opened"}


def test_what_was_held_for_it_is_held_for_the_other(tmp_path: Path) -> None:
    house = make(tmp_path)
    add_hold(house.db, SILENCE)
    house.balance(400)
    house.deliver(minutes(0))
    without(house, "ops")
    house.deliver(minutes(1))
    assert house.titles == []
    house.deliver(minutes(5 * DAY + 1))
    assert house.titles == ["finance: WARNING voice: unknown credits left"]


def test_no_channel_is_left(tmp_path: Path) -> None:
    house = make(tmp_path)
    house.balance(400)
    without(house, "ops", "finance", "mail")
    house.deliver(minutes(1))
    assert states(house) == {"ops": "dead: the channel left the config, and by no other channel"}


def test_a_channel_that_comes_back_goes_on(tmp_path: Path) -> None:
    house = make(tmp_path, failing=())
    routing = house.routing
    house.balance(400)
    house.deliver(minutes(0))
    without(house, "ops")
    house.deliver(minutes(1))
    house.routing = routing
    house.balance(50, minutes(5))
    house.deliver(minutes(5))
    assert house.titles == ["ops: WARNING voice: 400 credits left", "ops: CRITICAL voice: 50 credits left"]


# --- the process dies


def test_the_handing_over_is_one_transaction(tmp_path: Path) -> None:
    house = make(tmp_path)
    house.balance(400)
    house.deliver(minutes(0))
    without(house, "ops")
    refuse = "CREATE TRIGGER refuse BEFORE UPDATE ON notices BEGIN SELECT RAISE(FAIL, 'no'); END"
    with write(house.db):
        house.db.execute(refuse)
    with pytest.raises(sqlite3.IntegrityError, match="no"):
        house.deliver(minutes(1))
    assert states(house) == {"ops": "waiting"}, "neither dead here nor owed there"
    with write(house.db):
        house.db.execute("DROP TRIGGER refuse")
    house = house.restart()
    without(house, "ops")
    house.deliver(minutes(2))
    assert house.titles == ["finance: WARNING voice: 400 credits left"]


def test_killed_between_the_handing_over_and_the_send(tmp_path: Path) -> None:
    house = make(tmp_path)
    house.balance(400)
    house.deliver(minutes(0))
    without(house, "ops")
    house.deliver(minutes(1), dies="before the send")
    house = house.restart()
    without(house, "ops")
    house.deliver(minutes(2))
    house.deliver(minutes(3))
    assert house.titles == ["finance: WARNING voice: 400 credits left"]
    assert "may be a repeat" in house.mailbox.bodies[0]


# --- what is critical and new does not wait for a failing channel's pause


def tries(house: House) -> int:
    return int(house.rows("SELECT count(*) FROM attempts")[0][0])


@pytest.mark.parametrize(
    ("remaining", "after", "tried"),
    [
        # The whole, and then one line alone, as after any try that fails.
        pytest.param(50, 60, (1, 2, 2), id="critical, a minute after the last try: at once, and once"),
        pytest.param(50, 59, (0, 1, 2), id="critical, sooner: after that minute"),
        pytest.param(390, 60, (0, 0, 0), id="no worse"),
    ],
)
def test_a_new_critical_probes(remaining: int, after: int, tried: tuple[int, ...], tmp_path: Path) -> None:
    house = make(tmp_path)
    house.balance(400)
    keep_trying(house, 2 * DAY)
    house.deliver(last := minutes(2 * DAY + 1))  # one line alone; now the pause is long
    before = tries(house)
    assert house.rows("SELECT last_try_at FROM channels WHERE name = 'ops'") == [(f"{last:%FT%T.%f}Z",)]
    at = last + timedelta(seconds=after)
    house.balance(remaining, at)
    for wait, so_many in zip((0, 60, 125), tried, strict=True):
        house.deliver(at + timedelta(seconds=wait))
        assert tries(house) - before == so_many


# --- what people ask for


def ask(house: House, kind: RequestKind, target: str, at: datetime, comment: str = "") -> None:
    add_requests(house.db, [Request(kind=kind, target=target, at=at, by="kim", comment=comment)])


@pytest.mark.parametrize("target", ["*", "ops", "the notice"])
def test_the_dead_are_tried_again_when_somebody_asks(target: str, tmp_path: Path) -> None:
    house = make(tmp_path, channels=["ops"])
    house.balance(400)
    keep_trying(house, 3 * DAY + 60)
    house.mailbox.failing.clear()
    (notice,) = house.rows("SELECT id FROM notices WHERE state = 'dead'")[0]
    at = minutes(3 * DAY + 61)
    ask(house, RequestKind.RETRY, notice if target == "the notice" else target, at)
    house.deliver(at)
    assert house.titles == ["ops: WARNING voice: unknown credits left"]
    assert house.rows("SELECT kind, done_at IS NULL FROM requests") == [("retry", 0)]


def test_what_another_version_asks_for_is_left_to_it(tmp_path: Path) -> None:
    house = make(tmp_path, failing=())
    with write(house.db):
        house.db.execute("INSERT INTO requests (kind, target, at) VALUES ('dance', '*', '2026')")
    house.balance(400)
    house.deliver(minutes(0))
    assert len(house.titles) == 1
    assert house.rows("SELECT kind, done_at IS NULL FROM requests") == [("dance", 1)]


def test_tried_again_in_vain_it_is_owed_for_three_more_days(tmp_path: Path) -> None:
    house = make(tmp_path, channels=["ops"])
    house.balance(400)
    keep_trying(house, 3 * DAY + 60)
    ask(house, RequestKind.RETRY, "*", minutes(4 * DAY))
    keep_trying(house, 7 * DAY - 60, since=4 * DAY)
    assert states(house) == {"ops": "waiting"}
    keep_trying(house, 7 * DAY + 60, since=7 * DAY)
    assert states(house)["ops"].startswith("dead")


def test_a_failing_channel_is_tried_at_once_when_somebody_asks(tmp_path: Path) -> None:
    house = make(tmp_path)
    house.balance(400)
    keep_trying(house, 20 * 60)
    house.mailbox.failing.clear()
    at = minutes(20 * 60) + timedelta(seconds=5)
    house.deliver(at)
    assert house.titles == []
    ask(house, RequestKind.RETRY, "ops", at)
    house.deliver(at)
    assert house.titles == ["ops: WARNING voice: unknown credits left"]


def test_what_somebody_drops_is_never_told_and_says_who_and_why(tmp_path: Path) -> None:
    house = make(tmp_path, failing=())
    house.balance(400)
    (notice,) = house.rows("SELECT id FROM notices")[0]
    ask(house, RequestKind.DROP, notice, minutes(1), "known since Monday")
    house.deliver(minutes(1))
    assert house.titles == []
    assert states(house) == {"ops": "dropped: dropped by kim: known since Monday"}


def test_what_was_sent_is_sent_whatever_somebody_asks(tmp_path: Path) -> None:
    house = make(tmp_path, failing=())
    house.balance(400)
    house.deliver(minutes(0))
    (notice,) = house.rows("SELECT id FROM notices")[0]
    for kind in RequestKind:
        ask(house, kind, notice, minutes(1))
    house.deliver(minutes(1))
    assert states(house) == {"ops": "sent: opened"}


# --- what nobody foresaw


def test_what_cannot_be_composed_holds_up_no_other_and_dies_where_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    noting = rule("noting", warning=None, critical=None, on_change=("remaining",))
    house = make(tmp_path, rules=[rule(), noting], failing=())
    house.balance(900)
    house.balance(400, minutes(5))
    with write(house.db):
        house.db.execute("""UPDATE changes SET "values" = '{"remaining":"NaN"}' WHERE kind = 'noted'""")
    for second in (0, 5, 15, 35):
        house.deliver(minutes(5) + timedelta(seconds=second))
    assert house.titles == ["ops: WARNING voice: 400 credits left"]
    keep_trying(house, 3 * DAY + 60, since=60)
    reason = "not delivered for 3 days, and by no other channel: could not be composed: AssertionError"
    assert house.rows("SELECT reason FROM notices WHERE state = 'dead'") == [(reason,)]
    assert house.rows("SELECT DISTINCT title FROM attempts WHERE error = 'could not be composed: AssertionError'") == [
        ("",)
    ]
    assert "a notice is dead" in caplog.text


def test_what_makes_no_sense_is_dead_and_holds_up_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    house = make(tmp_path, failing=())
    house.balance(400)
    with write(house.db):
        house.db.execute("UPDATE changes SET \"values\" = 'no JSON'")
    house.balance(50, minutes(5))
    house.deliver(minutes(5))
    assert house.titles == ["ops: CRITICAL voice: 50 credits left"]
    reasons = house.rows("SELECT reason FROM notices WHERE state = 'dead'")
    assert reasons == [("what the database has of it makes no sense",)]
    assert "a notice is dead" in caplog.text
