"""The rooms, run in this process with a fake clock and network; the database and the rest are real."""

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
from budgetd.collect.provider import load_shelf
from budgetd.config import load_config
from budgetd.credentials import Secret
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
from serving import Script, say, trickle, vendor

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
    """The machine's clock, with a settable offset."""

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
    vendor, inbox = Vendor(remaining=900), Inbox()

    def said(text: str) -> int:
        return sum(record.message == text and vars(record)["job"] == "judge growth" for record in caplog.records)

    async def story(_service: Service) -> None:
        await until(lambda: rows(plan, "SELECT 1 FROM latest WHERE account = 'growth'") != [], "a poll")
        columns = "rule, account, meter, memory"
        change(plan, f"INSERT INTO watches ({columns}) VALUES ('blind', 'growth', 'connection', 'no JSON')")
        await until(lambda: said("job failed") == 1, "the log line")
        await until(lambda: len(inbox.received) == 1, "the message")
        asked = vendor.asked
        await until(lambda: vendor.asked >= asked + 2, "polls, and judgements that fail")
        assert said("job failed") == 1
        change(plan, "UPDATE watches SET memory = '{}' WHERE account = 'growth'")
        await until(lambda: said("job works again") == 1, "a judgement")
        await until(lambda: len(inbox.received) == 2, "the message")

    with Webhook("ops", inbox) as webhook:
        plan = make(tmp_path, interval="1s", url=webhook.url)
        serve(plan, vendor, story)
    assert "JSONDecodeError" in caplog.text
    critical, over = inbox.received
    assert critical.title == "CRITICAL budgetd: what was read can't be judged"
    assert "What came: growth: JSONDecodeError" in critical.body
    assert over.title == "RESOLVED budgetd: every account is judged"


def test_a_poll_that_is_being_recorded_at_a_stop_counts_once(tmp_path: Path) -> None:
    """Otherwise one failure would count twice in a row, and a rule might report it."""
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
    """The error is in our code, not in the service."""
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
    async def go(inbox: Inbox, plan: Plan) -> None:
        refused = ConfigError(["config.toml: channels.ops.ulr: unknown key"])
        async with under(plan, Vendor(remaining=900), [refused, plan]) as service:
            await service.reload()
            await until(lambda: len(inbox.received) == 1, "the warning")
            await service.reload()
            await until(lambda: len(inbox.received) == 2, "its end")

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
        await until(lambda: service._jobs.store_failures >= 3, "failures")
        change(plan, "ALTER TABLE elsewhere RENAME TO outages")
        await until(lambda: len(inbox.received) == 1, "the message")
        assert service._jobs.store_failures == 0

    with Webhook("ops", inbox) as webhook:
        plan = make(tmp_path, interval="1s", url=webhook.url)
        serve(plan, Vendor(remaining=900), story)
    [message] = inbox.received
    assert message.title == "PASSED budgetd: the database works"
    assert "no such table" in message.body


def test_a_poll_that_cannot_be_recorded_holds_up_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A lone surrogate, which JSON may contain but SQLite can't store."""

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


# --- another config


@dataclass
class Desk:
    """Where messages arrive: each waits until `is_open`, and is then answered."""

    status: str = "200 OK"
    is_open: asyncio.Event = field(default_factory=asyncio.Event)
    paths: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    def at(self, path: str) -> Script:
        async def answer(writer: asyncio.StreamWriter) -> None:
            self.paths.append(path)
            self.at_once += 1
            self.most_at_once = max(self.at_once, self.most_at_once)
            await self.is_open.wait()
            self.at_once -= 1
            await say(status=self.status if path == "ops" else "200 OK")(writer)

        return answer


@contextlib.asynccontextmanager
async def under(plan: Plan, vendor: Vendor, configs: list[Plan | ConfigError]) -> AsyncIterator[Service]:
    """The service, which finds the next of `configs` at each reload."""

    def load() -> Plan:
        if isinstance(loaded := configs.pop(0), ConfigError):
            raise loaded
        return loaded

    async with wired(plan, vendor) as parts:
        service = Service(parts, Clock(), load)
        running = asyncio.create_task(service.run())
        try:
            await until(lambda: bool(service._progress), "a start")
            yield service
        finally:
            service.stop()
            await running


def edited(plan: Plan, old: str, new: str) -> Plan:
    """As the config says with other words in it."""
    path = plan.outline.config.path
    path.write_text(path.read_text().replace(old, new))
    return make_plan(load_config(path))


def test_over_configs_too_one_send_is_in_flight_for_a_channel(tmp_path: Path) -> None:
    """With the same definition, with other words, and even where it leads elsewhere now."""

    async def go() -> None:
        desk, about = Desk(), Vendor()
        async with vendor(ops=desk.at("ops"), other=desk.at("other")) as service_of_ops:
            url = service_of_ops.url.replace("http", "json")
            plan = make(tmp_path, interval="1s", url=f"{url}/ops?rto=20")
            worded = edited(plan, "group_wait", "title = 'new words'\ngroup_wait")
            moved = edited(plan, "/ops", "/other")
            async with under(plan, about, [plan, worded, moved]) as service:
                await until(lambda: desk.at_once == 1, "a send")
                about.remaining = 50
                for number in range(3):
                    await service.reload()
                    asked = about.asked
                    await until(lambda asked=asked: about.asked > asked, f"a poll under config {number + 2}")  # type: ignore[misc]  # of the default
                assert rows(plan, "SELECT outcome FROM attempts") == [("unknown",)]
                desk.is_open.set()
                await until(lambda: len(desk.paths) == 2, "the next message")
                await until(lambda: ("waiting",) not in rows(plan, "SELECT state FROM notices"), "the receipts")
        assert (desk.paths, desk.most_at_once) == (["ops", "other"], 1)
        assert rows(plan, "SELECT outcome, title LIKE 'new words' FROM attempts") == [("ok", 0), ("ok", 1)]

    asyncio.run(go())


@pytest.mark.parametrize(
    ("status", "paths"),
    [
        pytest.param("200 OK", ["ops"], id="it arrived: nobody else is told"),
        pytest.param("500 No", ["ops", "finance"], id="it did not: another is told"),
    ],
)
def test_a_channel_that_leaves_the_config_ends_its_send_before_it_hands_over(
    status: str, paths: list[str], tmp_path: Path
) -> None:
    async def go() -> None:
        desk = Desk(status=status)
        async with vendor(ops=desk.at("ops"), finance=desk.at("finance")) as services:
            url = services.url.replace("http", "json")
            before = make(tmp_path, interval="1s", url=f"{url}/ops?rto=20")
            finance = f'[channels.finance]\nurl = "{url}/finance"\n[[routes]]\nchannels = ["ops"]\n[rules.low-credits]'
            plan = edited(before, "[rules.low-credits]", finance)
            ops = f'[channels.ops]\nurl        = "{url}/ops?rto=20"\ngroup_wait = "0s"'
            left = edited(edited(plan, '["ops"]', '["finance"]'), ops, "")
            about = Vendor()
            async with under(plan, about, [left]) as service:
                await until(lambda: desk.at_once == 1, "a send")
                await service.reload()
                asked = about.asked
                await until(lambda: about.asked > asked + 1, "polls under the new config")
                assert desk.paths == ["ops"]
                desk.is_open.set()
                await until(lambda: ("waiting",) not in rows(plan, "SELECT state FROM notices"), "the receipts")
                await until(lambda: desk.paths == paths, "the messages")
            assert rows(plan, "SELECT meter FROM latest WHERE meter = 'channel/ops'") == []

    asyncio.run(go())


def test_of_reloads_in_a_row_the_last_counts(tmp_path: Path) -> None:
    async def go() -> None:
        plan = make(tmp_path)
        plans = [edited(plan, 'interval = "1h"', f'interval = "{hours}h"') for hours in (2, 3)]
        async with under(plan, Vendor(), [*plans]) as service:
            await asyncio.gather(service.reload(), service.reload())
            await until(lambda: service._wired.plan is plans[1], "the last config")

    asyncio.run(go())


def test_a_config_that_meets_a_database_in_use_waits_for_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "budgetd")
    inbox = Inbox()

    def said(what: str) -> int:
        return sum(record.message == what and vars(record)["job"] == "new config" for record in caplog.records)

    async def go(url: str) -> None:
        plan, about = make(tmp_path, interval="1s", url=url), Vendor(remaining=900)
        critical = edited(plan, "remaining < 100", "remaining < 1000")
        async with under(plan, about, [critical]) as service:
            store = service._wired
            await store.worker.run(store.db.execute, "PRAGMA busy_timeout = 20")
            with contextlib.closing(sqlite3.connect(plan.outline.config.state, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                await service.reload()
                await until(lambda: said("job failed") == 1, "the log line")
            await until(lambda: said("job works again") == 1, "the new config")
            await until(
                lambda: any("CRITICAL growth" in one.title + one.body for one in inbox.received), "what it says"
            )

    with Webhook("ops", inbox) as webhook:
        asyncio.run(go(webhook.url))
    assert any("database is locked" in str(vars(record).get("error")) for record in caplog.records)


def test_a_service_that_does_not_let_go_is_a_channel_that_fails(tmp_path: Path) -> None:
    """The earlier message may still arrive until then, so nothing else is sent."""

    async def slowly(writer: asyncio.StreamWriter) -> None:
        answering.append(writer)
        await (trickle(writer) if len(answering) == 1 else say()(writer))

    answering: list[asyncio.StreamWriter] = []

    async def go() -> None:
        async with vendor(ops=slowly) as service:
            url = f"{service.url.replace('http', 'json')}/ops"
            plan = make(tmp_path, url=url)
            channel = Channel("ops", Secret(url), timeout=timedelta(seconds=1))
            async with wired(plan, Vendor()) as parts:
                outbox = replace(parts, channels={"ops": channel}).outbox(spawn, lambda: None)
                owe(plan)
                for seconds in (0, 6, 20, 60):
                    await outbox.deliver(NOON + timedelta(seconds=seconds))
                    await outbox.finish(timedelta(seconds=5))
                    if seconds == 20:
                        assert len(answering) == 1
                        answering[0].close()
                        await until(lambda: not channel.is_busy, "the end of the first")
        hangs = ("failed", "the service has not let go of an earlier send")
        tries = [("unknown", "no answer within 1 s"), hangs, hangs, ("ok", None)]
        assert rows(plan, "SELECT outcome, error FROM attempts") == tries
        assert rows(plan, "SELECT state FROM notices") == [("sent",)]

    asyncio.run(go())


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
    cargo = load_shelf().providers["cargo"]
    scheduled = planner.scheduled({"cargo": replace(cargo, min_interval=HOUR)}, ["growth"])
    assert scheduled["growth"].interval == HOUR
    assert planner.scheduled({"cargo": cargo}, ["growth"])["growth"].interval == timedelta(seconds=1)


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
