"""Replaying a history gives the changes and messages that the live run stored: the same functions, another memory."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetd.store import polls, rows
from budgetd.store.polls import Finished
from budgetd_rules.encoding import maybe_at
from budgetd_rules.judgement import Ruleset
from budgetd_rules.kinds import Kind
from budgetd_rules.lines import Told
from budgetd_rules.memory import Change, ChangeKind
from budgetd_rules.meters import Reading
from budgetd_rules.polls import Cause, Outage, Poll
from budgetd_rules.replay import Down, Event, Jump, Reload, Replay, replay
from budgetd_rules.routing import Route, Routing
from budgetd_rules.rule import Clockwork, Level, Steps
from budgetd_rules.schedules import Quiet, parse_range
from budgetd_rules.values import Value
from build import NOON, STALE_AFTER, account, minutes, reading, rule
from conftest import examples
from house import House

MINUTE = timedelta(minutes=1)
ACCOUNTS = (account(), account("search"))
RULES = (
    rule(clear="remaining > 600", ease_for=timedelta(minutes=20)),
    rule(
        "lasting",
        sustain={Level.WARNING: timedelta(minutes=25)},
        critical=None,
        remind=Clockwork(every=timedelta(minutes=45), backoff=Decimal(2)),
    ),
    rule("burning", warning="runway_days < 3", critical=None),
    rule(
        "ends",
        kind=Kind.SUBSCRIPTION,
        warning="days_until_expiry <= 2",
        critical=None,
        remind=Steps(each="days_until_expiry", steps=(Decimal(1), Decimal(0))),
        on_change=("plan",),
    ),
    rule("blind", kind=Kind.CONNECTION, warning="blind", critical='cause == "rejected" and failures >= 2'),
)
ROUTING = Routing(routes=(), group_wait={"ops": timedelta(0), "mail": timedelta(seconds=10)})

NIGHT = Quiet(ranges=tuple(parse_range(text) for text in ("18:00-09:30", "sun")), zone=ZoneInfo("Europe/Berlin"))
WITH_NIGHTS = Routing(
    routes=(Route(channels=("boss",), after=timedelta(hours=2)), Route(channels=("ops", "mail"))),
    group_wait={"ops": timedelta(0), "mail": timedelta(seconds=10), "boss": timedelta(0)},
    quiet={"ops": NIGHT, "boss": NIGHT},
)


def polled(
    at: datetime, name: str, readings: Sequence[Reading], causes: Sequence[Cause] = (), gone: bool = False
) -> Poll:
    return Poll(
        account=name,
        provider="cekura",
        at=at,
        readings=tuple(readings),
        outages=tuple(Outage(request="info", cause=cause, detail="no") for cause in causes),
        answered=frozenset({"credits"} if gone else ()),
    )


@st.composite
def courses(draw: st.DrawFn) -> list[Poll]:
    """Polls of two accounts, whole minutes apart, sometimes after a long silence."""
    found: list[Poll] = []
    at = NOON
    for _ in range(draw(st.integers(1, 14))):
        at += MINUTE * draw(st.sampled_from([1, 5, 10, 10, 10, 30, 70, 1500]))
        name = draw(st.sampled_from(["voice", "voice", "search"]))
        readings = [reading(account=name, as_of=at, fields=draw(balances))] if draw(st.integers(0, 4)) else []
        if draw(st.booleans()):
            readings.append(reading("plan", Kind.SUBSCRIPTION, account=name, as_of=at, fields=draw(subscriptions)))
        causes = draw(st.sampled_from([[], [], [], [Cause.UNREACHABLE], [Cause.REJECTED]]))
        found.append(polled(at, name, readings, causes, gone=draw(st.integers(0, 5)) == 0))
    return found


amounts = st.sampled_from([Decimal(number) for number in ("-1", "50", "99.5", "400", "550", "601", "9000", "9000.0")])
balances = st.one_of(
    st.just(dict[str, Value]()),
    amounts.map(lambda left: dict[str, Value](remaining=left)),
    st.tuples(amounts, st.sampled_from(["USD", "EUR"])).map(
        lambda one: dict[str, Value](remaining=one[0], currency=one[1])
    ),
    amounts.map(lambda left: dict[str, Value](remaining=left, resets_at=NOON + timedelta(days=2))),
    amounts.map(lambda left: dict[str, Value](remaining=left, resets_at=NOON + timedelta(days=9))),
)
subscriptions = st.builds(
    lambda days, plan: dict[str, Value](expires_at=NOON + timedelta(days=days), plan=plan),
    st.integers(0, 5),
    st.sampled_from(["Pro", "Scale"]),
)


ROUTED = Ruleset(RULES, ACCOUNTS)


def live(house: House, course: Sequence[Poll], until: datetime) -> None:
    """Recorded and judged through the store: at each poll, and in each minute that has something to look at again."""
    now = course[0].at
    for poll in course:
        wait(house, now, poll.at)
        polls.record(house.db, [Finished(poll=poll, next_poll_at=poll.at + MINUTE)])
        house.judge(poll.at)
        now = poll.at
    wait(house, now, until)
    house.judge(until)


def wait(house: House, now: datetime, until: datetime) -> None:
    """The other minutes are left out: judging would find nothing that is due."""
    while wake_at := house.rows("SELECT min(wake_at) FROM watches")[0][0]:
        woken = max(datetime.fromisoformat(wake_at), now + MINUTE)
        now = woken + (NOON - woken) % MINUTE
        if now >= until:
            return
        house.judge(now)


def replayed(events: Sequence[Event], until: datetime, down: Sequence[Down] = (), routing: Routing = ROUTING) -> Replay:
    return replay(ROUTED, routing, UTC, events, until, down)


@examples(60)
@given(courses())
def test_a_replay_gives_what_the_live_run_stored(course: list[Poll]) -> None:
    until = course[-1].at + timedelta(hours=5)
    with TemporaryDirectory() as folder:
        house = House(Path(folder) / "budgetd.db", rules=RULES, accounts=ACCOUNTS)
        house.routing = ROUTING
        live(house, course, until)
        stored = [rows.change(row) for row in house.db.query("SELECT * FROM changes")]
        watches = house.rows("SELECT rule, account, meter, episode, wake_at FROM watches ORDER BY 1, 2, 3")
        house.db.close()
    done = replayed(course, until)
    assert sorted(done.changes, key=_id) == sorted(stored, key=_id)
    assert [
        (*key, watch.episode.id if watch.episode else None, maybe_at(watch.wake_at))
        for key, watch in sorted(done.watches.items())
    ] == watches


def _id(change: Change) -> str:
    return change.id


@given(courses())
def test_a_replay_is_the_same_each_time(course: list[Poll]) -> None:
    until = course[-1].at + timedelta(hours=5)
    assert replayed(course, until) == replayed(course, until)


@given(courses(), st.data())
def test_restarts_change_nothing(course: list[Poll], data: st.DataObject) -> None:
    """At each poll after which the service is restarted, everything is judged once more."""
    until = course[-1].at + timedelta(hours=5)
    events: list[Event] = []
    for poll in course:
        events.append(poll)
        if data.draw(st.booleans()):
            events.append(Reload(at=poll.at, ruleset=ROUTED, routing=ROUTING))
    assert replayed(events, until).changes == replayed(course, until).changes


@given(courses())
def test_each_channel_is_told_each_episode_once_at_a_time(course: list[Poll]) -> None:
    """Never a lonely end, never two openings of one episode, and what was told as open ends where it resolved."""
    done = replayed(course, course[-1].at + timedelta(hours=5))
    for channel in ROUTING.group_wait:
        told: dict[str | None, list[Told]] = {}
        for line in (line for sent in done.sent if sent.channel == channel for line in sent.lines):
            told.setdefault(line.change.episode, []).append(line.told)
        for episode, lines in told.items():
            if episode is not None:
                assert lines[0] in (Told.OPENED, Told.PASSED)
                assert not {Told.OPENED, Told.PASSED} & set(lines[1:])
                assert Told.RESOLVED not in lines[:-1]


@given(courses())
def test_quiet_hours_and_escalations_change_when_is_told_and_not_what_is_known(course: list[Poll]) -> None:
    until = course[-1].at + timedelta(days=3)
    plain, done = replayed(course, until), replayed(course, until, routing=WITH_NIGHTS)
    assert done.changes == plain.changes
    by_mail = [[sent.message for sent in one.sent if sent.channel == "mail"] for one in (plain, done)]
    assert by_mail[0] == by_mail[1], "a channel without quiet hours is told as if no other had any"
    for sent in done.sent:
        for line in sent.lines if sent.channel != "mail" and NIGHT.until(sent.at) else ():
            assert (line.told in (Told.OPENED, Told.WORSENED), line.level) == (True, Level.CRITICAL)


@given(courses())
def test_who_is_told_later_or_in_the_morning_is_told_once_too(course: list[Poll]) -> None:
    done = replayed(course, course[-1].at + timedelta(days=3), routing=WITH_NIGHTS)
    episodes = {change.id: change.episode for change in done.changes}
    for channel in ("ops", "boss"):
        told: dict[str, list[Told]] = {}
        for line in (line for sent in done.sent if sent.channel == channel for line in sent.lines):
            told.setdefault(episodes[line.change.id] or line.change.id, []).append(line.told)
        for lines in told.values():
            assert not {Told.OPENED, Told.PASSED, Told.NOTED} & set(lines[1:])
            assert lines[0] not in (Told.RESOLVED, Told.REMINDED)
            assert Told.RESOLVED not in lines[:-1]
            assert channel == "ops" or Told.PASSED not in lines


# --- what is said


def credits_poll(at: datetime, remaining: int) -> Poll:
    return polled(at, "voice", [reading(as_of=at, remaining=remaining)])


def test_messages_are_those_of_the_outbox(tmp_path: Path) -> None:
    course = [credits_poll(minutes(at), left) for at, left in [(0, 400), (10, 90), (20, 9000)]]
    house = House(tmp_path / "budgetd.db", rules=RULES[:1], accounts=ACCOUNTS)
    for poll in course:
        polls.record(house.db, [Finished(poll=poll, next_poll_at=poll.at)])
        house.judge(poll.at)
        house.deliver(poll.at)
    done = replay(house.ruleset, house.routing, UTC, course, minutes(30))
    assert [f"{sent.channel}: {sent.message.title}" for sent in done.sent] == house.titles
    assert [sent.message.body for sent in done.sent] == house.mailbox.bodies


def test_a_channel_that_was_down_hears_the_newest_truth() -> None:
    course = [credits_poll(minutes(at), left) for at, left in [(0, 400), (10, 90), (20, 9000)]]
    down = [Down(channel="ops", from_at=minutes(5), until_at=minutes(15))]
    sent = replayed(course, minutes(30), down).sent
    assert [(one.at, one.lines[0].told) for one in sent if one.channel == "ops"] == [
        (minutes(0), Told.OPENED),
        (minutes(15), Told.WORSENED),
        (minutes(20), Told.RESOLVED),
    ]


# --- the clock


@pytest.mark.parametrize(
    ("retry_after", "wake_at"),
    [
        pytest.param(None, None, id="not by the clock"),
        pytest.param(STALE_AFTER - timedelta(minutes=1), None, id="no longer than readings stay fresh"),
        pytest.param(timedelta(hours=1), NOON + STALE_AFTER + timedelta.resolution, id="for longer: once"),
    ],
)
def test_an_account_is_looked_at_only_where_the_vendor_asks_to_wait(
    retry_after: timedelta | None, wake_at: datetime | None
) -> None:
    """Polls decide what is blind: a thousand accounts would else be judged in every minute."""
    failed = replace(polled(minutes(1), "voice", [], [Cause.RATE_LIMITED]), retry_after=retry_after)
    watches = replayed([credits_poll(NOON, 9000), failed], minutes(1)).watches
    assert [watch.wake_at for key, watch in watches.items() if key.rule == "blind"] == ([wake_at] if wake_at else [])


def test_a_sleep_is_no_burst() -> None:
    """Whatever came due during the sleep is judged once, when it is over."""
    jump = Jump(at=minutes(30), to=minutes(10_000))
    course: list[Event] = [
        *(credits_poll(minutes(at), 400) for at in (0, 20)),
        jump,
        credits_poll(minutes(10_001), 400),
    ]
    told = [change for change in replayed(course, minutes(10_002)).changes if change.key.rule == "lasting"]
    assert [(change.kind, change.at) for change in told] == [
        (ChangeKind.OPENED, minutes(25)),
        (ChangeKind.REMINDED, minutes(10_000)),
    ]


def test_nothing_happens_without_events() -> None:
    assert replayed([], NOON) == Replay(changes=(), sent=(), watches={})
