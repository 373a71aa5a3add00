"""The rooms in this process: a clock that is given, a network that is given, and the store and the rest as they are."""

import asyncio
import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetd.collect.collector import AT_ONE_HOST, next_poll_at
from budgetd.collect.provider import load_providers
from budgetd.config import load_config
from budgetd.deliver.channels import Channel
from budgetd.demo.receivers import Inbox, Webhook
from budgetd.errors import ConfigError
from budgetd.http import Client
from budgetd.planning import Plan, _Planner, make_plan
from budgetd.service import Service, utc_now
from budgetd.store import database
from budgetd.store.polls import Finished
from budgetd.threads import Worker
from budgetd.wiring import Wired
from budgetd_rules.polls import Poll
from build import NOON, minutes, reading

PATIENCE: Final = 20.0
HOUR: Final = timedelta(hours=1)

SETTINGS: Final = """\
[daemon]
state    = "budgetd.db"
interval = "{interval}"

[accounts.growth]
provider = "cargo"
api_key  = "canary"

[channels.ops]
url        = "{url}"
group_wait = "{group_wait}"

[rules.low-credits]
on       = {{ kind = "balance" }}
warning  = "remaining < 500"
critical = "remaining < 100"
"""


@dataclass
class Vendor:
    """Cargo, as a transport: what it answers, and how often it was asked."""

    remaining: int = 400
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    asked: int = 0
    on_request: Callable[[], Awaitable[None]] | None = None

    async def __call__(self, _request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if self.on_request:
            await self.on_request()
        body = {
            "subscription": {
                "subscriptionAvailableCreditsCount": 1000,
                "subscriptionCreditsUsedCount": 1000 - self.remaining,
            }
        }
        return httpx.Response(self.status, headers=self.headers, json=body if self.status == 200 else {})

    def client(self) -> Client:
        return Client(httpx.MockTransport(self))


@dataclass
class Clock:
    """The machine's, which somebody sets."""

    offset: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return utc_now() + self.offset


def make(tmp_path: Path, *, interval: str = "1h", url: str = "json://127.0.0.1:1", group_wait: str = "0s") -> Plan:
    config = tmp_path / "config.toml"
    config.write_text(SETTINGS.format(interval=interval, url=url, group_wait=group_wait))
    config.chmod(0o600)
    return make_plan(load_config(config))


@contextlib.asynccontextmanager
async def wired(plan: Plan, vendor: Vendor) -> AsyncIterator[Wired]:
    worker = Worker("store of a test")
    db = await worker.run(database.open_for_daemon, plan.outline.config.state)
    channels = {name: Channel(name, url) for name, url in plan.urls.items()}
    yield Wired(plan=plan, db=db, worker=worker, client=vendor.client(), channels=channels)
    await worker.run(db.close)
    assert worker.stop(5)


async def until(happened: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        await asyncio.sleep(0.01)


def serve(
    plan: Plan, vendor: Vendor, story: Callable[[Service], Coroutine[Any, Any, None]], clock: Clock | None = None
) -> None:
    """The service runs while the story lasts, and is then stopped."""

    async def run() -> None:
        async with wired(plan, vendor) as parts:
            service = Service(parts, clock or Clock())
            running = asyncio.create_task(service.run())
            try:
                await story(service)
            finally:
                service.stop()
                await running

    asyncio.run(run())


def rows(plan: Plan, sql: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(plan.outline.config.state)) as db:
        return db.execute(sql).fetchall()


def change(plan: Plan, sql: str) -> None:
    with contextlib.closing(sqlite3.connect(plan.outline.config.state)) as db, db:
        db.execute(sql)


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


# --- the clock


def test_a_clock_that_is_set_back_or_forth_is_noticed_and_all_is_planned_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "100000")  # its heart beats twice as fast
    caplog.set_level(logging.INFO, "budgetd")
    vendor, clock, inbox = Vendor(), Clock(), Inbox()

    async def story(_service: Service) -> None:
        await until(lambda: rows(plan, "SELECT 1 FROM notices") != [], "a notice")
        clock.offset = -5 * HOUR
        await until(lambda: "the clock was set" in caplog.text, "the log line")
        latest = (clock() + HOUR + timedelta(minutes=1)).isoformat()
        times = "SELECT next_poll_at FROM accounts UNION SELECT due_at FROM notices"
        await until(lambda: all(at <= latest for (at,) in rows(plan, times)), "new times")
        assert (vendor.asked, inbox.received) == (1, ())
        clock.offset = timedelta(0)
        await until(lambda: vendor.asked > 1, "polls after it is put forward")
        await until(lambda: len(inbox.received) == 1, "the message")

    with Webhook("ops", inbox) as webhook:
        plan = make(tmp_path, url=webhook.url, group_wait="1h")
        serve(plan, vendor, story, clock)
    assert [received.title[:7] for received in inbox.received] == ["WARNING"]


def test_the_store_plans_what_a_clock_set_back_left_in_the_far_future(tmp_path: Path) -> None:
    """The clock was wrong, the daemon stopped, the clock was set right: nothing waits for the wrong time."""

    async def go() -> None:
        plan, vendor = make(tmp_path), Vendor(status=429, headers={"Retry-After": "3600"})
        async with wired(plan, vendor) as parts:
            collector = parts.collector(spawn, lambda: None)
            await collector.plan(NOON + 1000 * HOUR)
            await collector.poll_due(NOON + 1000 * HOUR)
            await until(lambda: vendor.asked == 1, "a poll")
            assert await collector.record()
            again = parts.collector(spawn, lambda: None)
            await again.plan(NOON)
        [(due_at, retry_until)] = rows(plan, "SELECT next_poll_at, retry_until FROM accounts")
        assert datetime.fromisoformat(due_at) <= NOON + HOUR < datetime.fromisoformat(retry_until)

    asyncio.run(go())


@given(
    now=st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC)),
    interval=st.timedeltas(timedelta(seconds=1), timedelta(days=40)),
    account=st.text(min_size=1),
)
def test_the_next_poll_is_within_an_interval_and_on_the_accounts_own_grid(
    now: datetime, interval: timedelta, account: str
) -> None:
    due = next_poll_at(now, interval, account)
    assert now < due <= now + interval
    assert next_poll_at(due, interval, account) - due == interval
    assert next_poll_at(due - timedelta(microseconds=1), interval, account) == due


def test_accounts_spread_over_the_interval() -> None:
    due = sorted(next_poll_at(NOON, HOUR, f"account-{number}") for number in range(500))
    gaps = [later - earlier for earlier, later in pairwise(due)]
    assert max(gaps) < timedelta(minutes=3)


# --- what fails


def test_a_job_that_fails_is_logged_once_and_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "budgetd")
    vendor = Vendor()

    def said(text: str) -> int:
        return sum(record.message == text and vars(record)["job"] == "judge" for record in caplog.records)

    async def story(_service: Service) -> None:
        await until(lambda: rows(plan, "SELECT 1 FROM watches") != [], "a judgement")
        change(plan, "UPDATE watches SET memory = 'no JSON'")
        await until(lambda: said("job failed") == 1, "the log line")
        asked = vendor.asked
        await until(lambda: vendor.asked >= asked + 2, "polls, and judgements that fail")
        assert said("job failed") == 1
        change(plan, "UPDATE watches SET memory = '{}'")
        await until(lambda: said("job works again") == 1, "a judgement")

    plan = make(tmp_path, interval="1s")
    serve(plan, vendor, story)
    assert "JSONDecodeError" in caplog.text


def test_a_poll_that_is_being_recorded_at_a_stop_counts_once(tmp_path: Path) -> None:
    """Else a vendor that failed once would have failed twice in a row, and a rule might say so."""
    holders: list[sqlite3.Connection] = []

    async def hold() -> None:
        """From the first poll until after the stop has begun, nothing can be recorded."""
        holders.append(sqlite3.connect(plan.outline.config.state, isolation_level=None, check_same_thread=False))
        holders[0].execute("BEGIN IMMEDIATE")

    vendor = Vendor(status=503, on_request=hold)

    async def story(service: Service) -> None:
        await until(lambda: bool(service._collector._finished), "a poll that has ended")
        loop = asyncio.get_running_loop()
        loop.call_later(0.3, service.stop)
        loop.call_later(1.0, holders[0].close)

    plan = make(tmp_path)
    serve(plan, vendor, story)
    assert (vendor.asked, rows(plan, "SELECT failures FROM accounts")) == (1, [(1,)])


def test_a_send_that_breaks_is_not_tried_each_second(tmp_path: Path) -> None:
    """Broken not by the service but by us."""
    tries: list[str] = []

    def count(name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        tries.append(name)
        return spawn(name, work)

    async def go(inbox: Inbox, plan: Plan) -> None:
        async with wired(plan, Vendor()) as parts:
            outbox = parts.outbox(count, lambda: None)

            async def deliver(seconds: float) -> int:
                await outbox.deliver(NOON + timedelta(seconds=seconds))
                results = await asyncio.gather(*outbox._sends.values(), return_exceptions=True)
                assert all(isinstance(result, ValueError | None) for result in results)
                return len(tries)

            owe(plan)
            change(plan, "INSERT INTO holds (id, kind, matcher, from_at) VALUES ('h', 'no kind', '{}', '2026')")
            assert [await deliver(seconds) for seconds in (0, 1, 2, 3)] == [1, 1, 1, 1]
            assert [await deliver(seconds) for seconds in (6, 7, 12)] == [2, 2, 2]
            assert rows(plan, "SELECT failures FROM channels") == [(2,)]
            assert rows(plan, "SELECT DISTINCT error FROM attempts") == [("budgetd itself failed: ValueError",)]
            change(plan, "DELETE FROM holds")
            await deliver(60)
            assert len(inbox.received) == 1

    inbox = Inbox()
    with Webhook("ops", inbox) as webhook:
        asyncio.run(go(inbox, make(tmp_path, url=webhook.url)))


def owe(plan: Plan) -> None:
    """A change that is owed to the channel, as judging leaves it."""
    at = "2026-11-21T12:00:00.000000Z"
    change(
        plan,
        f"""INSERT INTO episodes (id, rule, account, meter, level, peak, opened_at, count)
        VALUES ('e', 'low-credits', 'growth', 'credits', 'warning', 'warning', '{at}', 1)""",
    )
    change(
        plan,
        f"""INSERT INTO changes (id, episode, rule, account, meter, kind, new, at, reason, unsaid, "values", before)
        VALUES ('c', 'e', 'low-credits', 'growth', 'credits', 'opened', 'warning', '{at}', 'condition is true', 0,
                '{{}}', '{{}}')""",
    )
    owed = f"('n', 'c', 'ops', '{at}', '{at}', 'waiting')"
    change(plan, f"INSERT INTO notices (id, change, channel, due_at, owed_since, state) VALUES {owed}")


# --- what budgetd tells of itself


def test_a_config_that_is_refused_is_told_until_one_is_taken(tmp_path: Path) -> None:
    configs: list[Plan | ConfigError] = []

    def load() -> Plan:
        if isinstance(loaded := configs.pop(), ConfigError):
            raise loaded
        return loaded

    async def go(inbox: Inbox, plan: Plan) -> None:
        async with wired(plan, Vendor(remaining=900)) as parts:
            service = Service(parts, Clock(), load)
            running = asyncio.create_task(service.run())
            try:
                await until(lambda: rows(plan, "SELECT 1 FROM accounts") != [], "a start")
                configs.append(ConfigError(["config.toml: channels.ops.ulr: unknown key"]))
                await service.reload()
                await until(lambda: len(inbox.received) == 1, "the warning")
                configs.append(plan)
                await service.reload()
                await until(lambda: len(inbox.received) == 2, "its end")
            finally:
                service.stop()
                await running

    inbox = Inbox()
    with Webhook("ops", inbox) as webhook:
        asyncio.run(go(inbox, make(tmp_path, url=webhook.url)))
    warning, over = inbox.received
    assert warning.title == "WARNING budgetd: a new config is refused, the old one stays"
    assert "What came: config.toml: channels.ops.ulr: unknown key" in warning.body
    assert over.title == "RESOLVED budgetd: the config is in force"


def test_that_the_database_could_not_be_written_is_told_once_it_can(tmp_path: Path) -> None:
    inbox = Inbox()

    async def story(service: Service) -> None:
        await until(lambda: rows(plan, "SELECT 1 FROM latest") != [], "a poll")
        change(plan, "ALTER TABLE outages RENAME TO elsewhere")
        await until(lambda: service._store_failures >= 3, "failures")
        change(plan, "ALTER TABLE elsewhere RENAME TO outages")
        await until(lambda: len(inbox.received) == 1, "the message")
        assert service._store_failures == 0

    with Webhook("ops", inbox) as webhook:
        plan = make(tmp_path, interval="1s", url=webhook.url)
        serve(plan, Vendor(remaining=900), story)
    [message] = inbox.received
    assert message.title == "PASSED budgetd: the database works"
    assert "no such table" in message.body


def test_a_poll_that_cannot_be_recorded_holds_up_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Half of a character, as JSON can have it and SQLite can't."""

    async def go() -> None:
        plan = make(tmp_path)
        async with wired(plan, Vendor()) as parts:
            collector = parts.collector(spawn, lambda: None)
            await collector.plan(NOON)
            for name in ("first", "broken", "last"):
                seen = reading(account=name, fields={"currency": "\ud800" if name == "broken" else "USD"})
                polled = Poll(account=name, provider="cargo", at=NOON, readings=(seen,), outages=())
                collector._finished.append(Finished(poll=polled, next_poll_at=NOON + HOUR))
                collector._in_flight[name] = spawn(name, asyncio.sleep(0))
            assert await collector.record()
            assert (collector._finished, collector._in_flight) == ([], {})
        latest = "SELECT account FROM latest WHERE meter = 'credits' ORDER BY account"
        assert rows(plan, latest) == [("first",), ("last",)]
        outages = rows(plan, "SELECT account, request, cause, detail FROM outages")
        assert outages == [("broken", "answer", "malformed", "what came could not be recorded; see the log")]
        failures = "SELECT name, failures FROM accounts WHERE name <> 'growth' ORDER BY name"
        assert rows(plan, failures) == [("broken", 1), ("first", 0), ("last", 0)]

    asyncio.run(go())
    assert "UnicodeEncodeError" in caplog.text


def test_a_poll_that_breaks_is_an_outage_and_comes_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def go() -> None:
        async def fail() -> None:
            raise ArithmeticError("which nobody foresaw")

        plan, vendor = make(tmp_path), Vendor(on_request=fail)
        async with wired(plan, vendor) as parts:
            collector = parts.collector(spawn, lambda: None)
            await collector.plan(NOON)
            for number in (1, 2):
                await collector.poll_due(NOON + number * HOUR)
                await until(lambda: bool(collector._finished), "the end of the poll")
                assert await collector.record()
                assert vendor.asked == number
        outages = rows(plan, "SELECT account, request, cause, detail FROM outages")
        assert outages[-1] == ("growth", "answer", "malformed", "what came could not be read; see the log")
        assert rows(plan, "SELECT failures FROM accounts") == [(2,)]

    asyncio.run(go())
    assert "which nobody foresaw" in caplog.text


# --- polls


def test_a_pause_that_a_vendor_asks_for_is_kept_over_a_restart(tmp_path: Path) -> None:
    async def go() -> None:
        plan = make(tmp_path, interval="5m")
        vendor = Vendor(status=429, headers={"Retry-After": "3600"})
        async with wired(plan, vendor) as parts:
            collector = parts.collector(spawn, lambda: None)
            await collector.plan(NOON)
            await collector.poll_due(NOON)
            await until(lambda: bool(collector._finished), "a poll")
            assert await collector.record()
        async with wired(plan, vendor) as parts:
            collector = parts.collector(spawn, lambda: None)
            await collector.plan(minutes(10))
            for minute in (10, 30, 59):
                await collector.poll_due(minutes(minute))
            assert collector._in_flight == {}
            await collector.poll_due(minutes(60))
            await until(lambda: bool(collector._finished), "the next poll")
            await collector.stop()
        assert vendor.asked == 2

    asyncio.run(go())


def test_a_pause_of_more_than_a_day_is_a_day(tmp_path: Path) -> None:
    async def go() -> None:
        plan = make(tmp_path)
        async with wired(plan, Vendor(status=503, headers={"Retry-After": "9999999"})) as parts:
            collector = parts.collector(spawn, lambda: None)
            await collector.plan(NOON)
            await collector.poll_due(NOON)
            await until(lambda: bool(collector._finished), "a poll")
            await collector.stop()
        [(due_at,)] = rows(plan, "SELECT next_poll_at FROM accounts")
        assert datetime.fromisoformat(due_at) == NOON + 24 * HOUR

    asyncio.run(go())


def test_no_account_is_polled_more_often_than_its_provider_allows(tmp_path: Path) -> None:
    planner = _Planner(make(tmp_path, interval="1s").outline.config)
    cargo = load_providers()["cargo"]
    scheduled = planner.scheduled({"cargo": replace(cargo, min_interval=HOUR)})
    assert scheduled["growth"].interval == HOUR
    assert planner.scheduled({"cargo": cargo})["growth"].interval == timedelta(seconds=1)


def test_a_poll_never_runs_twice_at_once(tmp_path: Path) -> None:
    async def go() -> None:
        may_answer = asyncio.Event()

        async def wait() -> None:
            await may_answer.wait()

        vendor = Vendor(on_request=wait)
        async with wired(make(tmp_path, interval="1s"), vendor) as parts:
            collector = parts.collector(spawn, lambda: None)
            await collector.plan(NOON)
            for number in range(5):
                await collector.poll_due(minutes(number))
            await until(lambda: vendor.asked > 0, "a poll")
            may_answer.set()
            await until(lambda: bool(collector._finished), "its end")
            await collector.poll_due(minutes(6))  # it has ended, and is not recorded yet
            assert await collector.record()
            assert vendor.asked == 1
            await collector.poll_due(minutes(7))
            await until(lambda: vendor.asked == 2, "the next poll")
            await collector.stop()

    asyncio.run(go())


def test_the_accounts_of_one_vendor_hold_up_no_other(tmp_path: Path) -> None:
    """They are more than may be under way at once, and come first, by their time."""
    plan = make(tmp_path)
    growth = plan.scheduled["growth"]
    maker = replace(growth.source.maker, base="https://slow.example/v2")
    slow = {
        name: replace(growth, source=replace(growth.source, account=name, maker=maker))
        for name in (f"slow{number:03}" for number in range(150))
    }
    plan = replace(plan, scheduled={**slow, "growth": growth})

    async def go() -> None:
        may_answer = asyncio.Event()

        async def wait() -> None:
            await may_answer.wait()

        async with wired(plan, Vendor(on_request=wait)) as parts:
            collector = parts.collector(spawn, lambda: None)
            await collector.plan(NOON)
            await collector.poll_due(NOON + HOUR)
            assert len(collector._in_flight) == AT_ONE_HOST + 1
            assert "growth" in collector._in_flight
            assert collector.is_behind
            may_answer.set()
            await until(lambda: len(collector._finished) == AT_ONE_HOST + 1, "the end of all of them")
            await collector.record()
            await collector.poll_due(NOON + HOUR)
            assert len(collector._in_flight) == AT_ONE_HOST
            await collector.stop()

    asyncio.run(go())


def spawn(name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.create_task(work, name=name)


# --- threads


def test_a_worker_makes_its_calls_in_order_on_one_thread() -> None:
    async def go() -> None:
        worker = Worker("one")
        seen: list[int] = []

        def call(number: int) -> int:
            seen.append(number)
            return threading.get_ident()

        threads = await asyncio.gather(*(worker.run(call, number) for number in range(50)))
        assert seen == list(range(50))
        assert set(threads).isdisjoint({threading.get_ident()})
        assert len(set(threads)) == 1
        assert worker.stop(5)

    asyncio.run(go())


@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        pytest.param(ValueError("x"), ValueError, id="an exception"),
        pytest.param(StopIteration(), RuntimeError, id="one that no future takes"),
        pytest.param(asyncio.CancelledError(), asyncio.CancelledError, id="one that is not an Exception"),
    ],
)
def test_an_exception_is_the_callers_and_the_worker_goes_on(raised: BaseException, seen: type[BaseException]) -> None:
    def fail() -> None:
        raise raised

    async def go() -> None:
        worker = Worker("one")
        with pytest.raises(seen):
            async with asyncio.timeout(5):
                await worker.run(fail)
        assert await worker.run(lambda: 1) == 1
        assert worker.stop(5)

    asyncio.run(go())


def test_a_cancelled_call_that_runs_goes_on_and_one_that_waits_is_not_made() -> None:
    async def go() -> None:
        worker, may_end, has_begun = Worker("one"), threading.Event(), threading.Event()
        made: list[str] = []

        def long() -> None:
            has_begun.set()
            may_end.wait(PATIENCE)
            made.append("long")

        running = asyncio.create_task(worker.run(long))
        waiting = asyncio.create_task(worker.run(made.append, "waiting"))
        await until(has_begun.is_set, "the first call")
        running.cancel()
        waiting.cancel()
        await asyncio.gather(running, waiting, return_exceptions=True)
        may_end.set()
        await worker.run(made.append, "last")
        assert made == ["long", "last"]
        assert worker.stop(5)

    asyncio.run(go())


def test_a_stopped_worker_ends_its_calls_first_and_takes_no_more() -> None:
    async def go() -> None:
        worker, may_end = Worker("one"), threading.Event()
        last = asyncio.create_task(worker.run(may_end.wait, PATIENCE))
        await asyncio.sleep(0)
        assert not worker.stop(0.05), "it is still at it"
        may_end.set()
        assert await last
        assert worker.stop(5)
        with pytest.raises(RuntimeError, match="no calls after stop"):
            await worker.run(print)

    asyncio.run(go())


def test_a_call_that_outlives_its_loop_hurts_nobody() -> None:
    worker, may_end, ended = Worker("one"), threading.Event(), threading.Event()

    def long() -> None:
        may_end.wait(PATIENCE)

    async def go() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await worker.run(long)

    asyncio.run(go())
    may_end.set()
    worker._calls.put(ended.set)
    assert ended.wait(5)
    assert worker.stop(5)
