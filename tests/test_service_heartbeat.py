"""The heartbeat: a receiver on loopback that hears it, or does not, and what is said of it."""

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import pytest

from budgetd.config import load_config
from budgetd.demo.loopback import Answer, Fault, HttpServer, Request
from budgetd.errors import ConfigError
from budgetd.heartbeat import Heartbeat
from budgetd.planning import Plan, make_plan
from budgetd.service import Service
from budgetd.store import heartbeats as stored
from budgetd.wiring import Wired, wire
from budgetd_rules.encoding import at
from budgetd_rules.heartbeats import Pulse
from build import NOON, minutes

PATH: Final = "/ping/canary-3f9b27c1"
CREDITS: Final = b'{"subscription": {"subscriptionAvailableCreditsCount": 1000, "subscriptionCreditsUsedCount": 10}}'
SETTINGS: Final = """\
[daemon]
state     = "budgetd.db"
heartbeat = {{ url = "{to}", every = "{every}" }}
[accounts.growth]
provider  = "cargo"
api_key   = "key"
base_url  = "{base}"
[channels.ops]
url       = "json://127.0.0.1:1"
"""


class Outside:
    """The service outside and the vendor, on one server."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.status = HTTPStatus.OK

    def answer(self, request: Request) -> Answer | Fault:
        if request.path != PATH:
            return Answer(status=HTTPStatus.OK, body=CREDITS)
        self.heard.append(request.method)
        return Answer(status=self.status, body=b"OK")


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Outside:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return Outside()


@pytest.fixture
def plan(outside: Outside, tmp_path: Path) -> Iterator[Callable[..., Plan]]:
    with HttpServer(outside.answer) as server:

        def make(to: str = f"{server.url}{PATH}", every: str = "5m") -> Plan:
            config = tmp_path / "config.toml"
            config.write_text(SETTINGS.format(base=server.url, to=to, every=every))
            config.chmod(0o600)
            return make_plan(load_config(config))

        yield make


def test_the_service_sends_it(
    plan: Callable[..., Plan], outside: Outside, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "budgetd")

    async def run() -> None:
        async with wire(plan(every="1s")) as wired:
            service = Service(wired)
            running = asyncio.create_task(service.run())
            deadline = time.monotonic() + 20
            while not _sent_at(tmp_path):
                assert time.monotonic() < deadline, "waited in vain for a heartbeat"
                await asyncio.sleep(0.02)
            service.stop()
            await running

    asyncio.run(run())
    assert outside.heard[0] == "GET"
    assert _sent_at(tmp_path)
    assert "canary" not in caplog.text


def _sent_at(tmp_path: Path) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(tmp_path / "budgetd.db")) as db:
        try:
            return db.execute("SELECT sent_at FROM heartbeat WHERE sent_at IS NOT NULL").fetchall()
        except sqlite3.OperationalError:  # not made yet
            return []


def beats(plan: Plan, course: Callable[[Heartbeat, Wired], Any]) -> None:
    async def run() -> None:
        async with wire(plan) as wired:
            heartbeat = wired.heartbeat()
            assert heartbeat is not None
            await course(heartbeat, wired)

    asyncio.run(run())


def pulse(stuck: str | None = None) -> Pulse:
    return Pulse(stuck=stuck, polls_since=minutes(-600), sends_since=minutes(-600))


def execute(wired: Wired, sql: str) -> Callable[[], None]:
    def run() -> None:
        wired.db.execute(sql)
        wired.db.conn.commit()

    return run


OVERDUE: Final = (
    "INSERT INTO accounts (name, provider, next_poll_at) VALUES ('{name}', 'cargo', '2026-11-21T09:00:00.000000Z')"
)


def due(channel: str = "ops", *, state: str = "waiting", hold: str = "", ago: float = 60) -> str:
    return (
        "INSERT INTO notices (id, channel, due_at, owed_since, state, hold) "
        f"VALUES ('n', '{channel}', '{at(minutes(-ago))}', '{at(minutes(-ago))}', '{state}', nullif('{hold}', ''))"
    )


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        pytest.param("SELECT 1", None, id="all is well"),
        pytest.param(OVERDUE.format(name="growth"), "not polled, though due: growth", id="no polls"),
        pytest.param(OVERDUE.format(name="gone"), None, id="an account that is not polled any more"),
        pytest.param(due(), "not told what is due: ops", id="a channel that is not told"),
        pytest.param(due(ago=10), None, id="a channel that is tried again"),
        pytest.param(due("gone"), None, id="a channel that the config does not have"),
        pytest.param(due(state="dead"), None, id="what is dead"),
        pytest.param(due(state="held", hold="s1"), None, id="what a silence holds"),
        pytest.param(due(state="held", hold="quiet"), "not told what is due: ops", id="quiet hours that are over"),
        pytest.param(due(state="held", hold="quiet", ago=-60), None, id="quiet hours"),
        pytest.param("DROP TABLE accounts", "database: no such table: accounts", id="a database that does not answer"),
    ],
)
def test_it_is_sent_only_while_all_goes_well(
    sql: str, reason: str | None, plan: Callable[..., Plan], outside: Outside
) -> None:
    async def course(heartbeat: Heartbeat, wired: Wired) -> None:
        await wired.worker.run(execute(wired, sql))
        await heartbeat.beat(pulse(), NOON)
        last = await wired.worker.run(stored.load_heartbeat, wired.db)
        assert last is not None
        assert (last.sent_at, last.problem) == ((None, f"not sent: {reason}") if reason else (NOON, None))

    beats(plan(), course)
    assert outside.heard == ([] if reason else ["GET"])


def test_it_says_once_that_it_stops_and_once_that_it_goes_on(
    plan: Callable[..., Plan], outside: Outside, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "budgetd.heartbeat")

    def said() -> list[str]:
        found = [f"{record.message}: {vars(record).get('reason', '')}" for record in caplog.records]
        caplog.clear()
        return found

    async def course(heartbeat: Heartbeat, wired: Wired) -> None:
        async def beat(now: datetime, stuck: str | None = None) -> list[str]:
            await heartbeat.beat(pulse(stuck), now)
            return said()

        assert await beat(minutes(0)) == []
        assert await beat(minutes(5), "deliver") == ["no heartbeat: not sent: the room deliver does not move"]
        assert await beat(minutes(10), "deliver") == []
        assert await beat(minutes(15)) == ["the heartbeat goes out again: "]
        outside.status = HTTPStatus.NOT_FOUND
        assert await beat(minutes(20)) == ["no heartbeat: failed: answered with 404"]
        assert await beat(minutes(25)) == []
        last = await wired.worker.run(stored.load_heartbeat, wired.db)
        assert last == stored.LastHeartbeat(
            checked_at=minutes(25), sent_at=minutes(15), problem="failed: answered with 404"
        )

    beats(plan(), course)
    assert len(outside.heard) == 4


def test_one_that_nobody_takes_affects_nothing(plan: Callable[..., Plan], caplog: pytest.LogCaptureFixture) -> None:
    async def course(heartbeat: Heartbeat, wired: Wired) -> None:
        await heartbeat.beat(pulse(), NOON)
        last = await wired.worker.run(stored.load_heartbeat, wired.db)
        assert last is not None
        assert last.problem is not None
        assert last.problem.startswith("failed: ")
        assert "canary" not in last.problem

    beats(plan(f"http://127.0.0.1:1{PATH}"), course)
    (record,) = [one for one in caplog.records if one.name == "budgetd.heartbeat"]
    assert "canary" not in str(vars(record))


def test_a_url_that_is_none_is_one_line(plan: Callable[..., Plan]) -> None:
    with pytest.raises(ConfigError) as error:
        plan("hc-ping.com/canary")
    assert [problem.partition(": ")[2] for problem in error.value.problems] == [
        'daemon.heartbeat.url: expected an address such as "https://hc-ping.com/UUID"'
    ]
    assert "canary" not in str(error.value)
