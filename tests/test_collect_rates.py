"""Rate limits: requests to a limited vendor wait for their turn, and delay no other vendor."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from budgetd.collect.acting import Ending, act
from budgetd.collect.collector import AT_ONE_HOST, IN_FLIGHT, Collector
from budgetd.collect.poll import poll
from budgetd.collect.provider import Provider, load_provider
from budgetd.collect.sources import Source, make_source
from budgetd.config import load_config
from budgetd.credentials import Secret
from budgetd.http import Client, Request
from budgetd.planning import Plan, make_plan
from budgetd.probing import probe
from budgetd.store import database
from budgetd.turns import Line
from budgetd_rules.rates import Rate
from build import NOON, minutes
from collecting import HEAD, KEY, NOW, write_provider
from fasttime import FastWorker, passed, run_fast

HOUR: Final = timedelta(hours=1)
MINUTE: Final = 60.0
REST: Final = """
left = { path = "left", type = "number" }
[meters.credits]
kind = "balance"
remaining = "left"
[actions.refill]
title = "buy credits"
path = "/refill"
"""
MORE: Final = "".join(f'[requests.{name}]\npath = "/{name}"\n' for name in ("one", "two"))
PAGES: Final = 'body = "any"\npages = { items = "rows", link = "next" }\n'


def text(requests: int, per: str, rest: str = REST, pages: str = "") -> str:
    limit = f'rate_limit = {{ requests = {requests}, per = "{per}" }}\n[requests.info]'
    return HEAD.replace("[requests.info]", limit).replace('path = "/info"\n', f'path = "/info"\n{pages}') + rest


def make(folder: Path, requests: int, per: str, rest: str = REST, name: str = "acme") -> Provider:
    whole = text(requests, per, rest).replace('name = "acme"', f'name = "{name}"')
    return load_provider(write_provider(folder, whole, name))


def source(provider: Provider, account: str = "a", base_url: str | None = None, within: float = 1) -> Source:
    return make_source(account, provider, Secret(KEY), base_url=base_url, timeout=timedelta(seconds=within))


@dataclass
class Vendor:
    """What it was asked, and when. It takes `length` seconds to answer, with these or else with 7 credits left."""

    length: float = 0.1
    answers: dict[str, httpx.Response] = field(default_factory=dict)
    asked: list[tuple[float, str]] = field(default_factory=list)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append((passed(), request.url.path if request.url.host == "api.acme.example" else request.url.host))
        await asyncio.sleep(self.length)
        return self.answers.get(request.url.path) or httpx.Response(200, json={"left": 7})

    @property
    def times(self) -> list[float]:
        return [round(at, 3) for at, _ in self.asked]

    def client(self) -> Client:
        return Client(httpx.MockTransport(self))


# --- turns


def test_requests_wait_for_their_turns_and_that_is_no_timeout(tmp_path: Path) -> None:
    provider, vendor = make(tmp_path, 2, "1m", REST + MORE), Vendor()

    async def go() -> None:
        client = vendor.client()
        first, second = await asyncio.gather(
            *(poll(source(provider, name), client, NOW) for name in ("first", "second"))
        )
        assert first.outages == second.outages == ()

    run_fast(go())
    # Each counts until a minute after its answer came.
    assert vendor.times == [0, 0, 60.1, 60.1, 120.2, 120.2]


def test_one_that_gets_no_answer_counts_until_it_was_given_up(tmp_path: Path) -> None:
    provider, vendor = make(tmp_path, 1, "1m"), Vendor(length=3)

    async def go() -> list[str]:
        client = vendor.client()
        polls = await asyncio.gather(*(poll(source(provider), client, NOW) for _ in range(2)))
        return [outage.detail for one in polls for outage in one.outages]

    assert run_fast(go()) == ["no answer within 1s"] * 2
    assert vendor.times == [0, 61]


@pytest.mark.parametrize(
    ("one", "other", "times"),
    [
        pytest.param(
            ("acme", "https://api.acme.example"), ("acme", "https://api.acme.example/v2"), [0, 60.1], id="one"
        ),
        pytest.param(("acme", "https://api.acme.example"), ("acme", "https://eu.acme.example"), [0, 0], id="two hosts"),
        pytest.param(
            ("acme", "https://api.acme.example"), ("acme", "https://api.acme.example:8443"), [0, 0], id="two ports"
        ),
        pytest.param(
            ("acme", "https://api.acme.example"), ("acme2", "https://api.acme.example"), [0, 0], id="two providers"
        ),
    ],
)
def test_who_waits_for_whom(
    one: tuple[str, str], other: tuple[str, str], times: Sequence[float], tmp_path: Path
) -> None:
    vendor = Vendor()

    async def go() -> None:
        client = vendor.client()
        sources = [source(make(tmp_path, 1, "1m", name=name), base_url=url) for name, url in (one, other)]
        await asyncio.gather(*(poll(each, client, NOW) for each in sources))

    run_fast(go())
    assert vendor.times == times


def test_redirects_and_pages_take_turns_too(tmp_path: Path) -> None:
    provider = load_provider(write_provider(tmp_path, text(1, "1m", pages=PAGES)))
    moved = httpx.Response(302, headers={"Location": "/moved"})
    vendor = Vendor(
        answers={
            "/info": moved,
            "/moved": httpx.Response(200, json={"left": 7, "rows": [1], "next": "/next"}),
            "/next": httpx.Response(200, json={"rows": [2]}),
        }
    )
    seen = run_fast(poll(source(provider), vendor.client(), NOW))
    assert seen.outages == ()
    assert [path for _, path in vendor.asked] == ["/info", "/moved", "/next"]
    assert vendor.times == [0, 60.1, 120.2]


def test_an_action_takes_its_turn(tmp_path: Path) -> None:
    provider, vendor = make(tmp_path, 1, "1m"), Vendor()

    async def go() -> None:
        client = vendor.client()
        await poll(source(provider), client, NOW)
        acted = await act(source(provider), provider.actions["refill"], {}, client, NOW)
        assert acted.ending is Ending.DONE

    run_fast(go())
    assert [path for _, path in vendor.asked] == ["/info", "/refill"]
    assert vendor.times == [0, 60.1]


def test_a_probe_shows_how_long_the_vendor_took(tmp_path: Path) -> None:
    vendor = Vendor()
    probed = run_fast(probe(source(make(tmp_path, 1, "1m", REST + MORE)), vendor.client(), NOW))
    assert [round(one.exchanges[0].took.total_seconds(), 3) for one in probed.requests] == [0.1] * 3
    assert vendor.times == [0, 60.1, 120.2]


def test_what_was_sent_under_another_config_counts() -> None:
    vendor = Vendor()
    request = Request(url="https://api.acme.example")

    async def go() -> None:
        client = vendor.client()
        for requests in (2, 2, 1, 3):
            line = Line(provider="acme", place=request.place, rate=Rate(requests=requests, per=HOUR))
            await client.send(request, HOUR, line)

    run_fast(go())
    assert vendor.times == [0, 0.1, 3600.2, 3600.3]


def test_who_gives_up_waiting_leaves_the_line() -> None:
    vendor = Vendor()
    request = Request(url="https://api.acme.example")
    line = Line(provider="acme", place=request.place, rate=Rate(requests=1, per=timedelta(minutes=1)))

    async def go() -> None:
        client = vendor.client()
        tasks = [asyncio.create_task(client.send(request, HOUR, line)) for _ in range(4)]
        await asyncio.sleep(1)
        assert len(vendor.times) == 1
        for task in tasks[1:3]:  # one at the head of the line, and one behind it
            task.cancel()
        await asyncio.wait(tasks[1:3])
        assert passed() == 1
        await tasks[3]

    run_fast(go())
    assert vendor.times == [0, 60.1]


@settings(max_examples=30)
@given(
    rate=st.tuples(st.integers(1, 4), st.integers(1, 20)),
    wishes=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 10), st.booleans()), max_size=20),
)
def test_in_no_span_more_start_than_the_rate(rate: tuple[int, int], wishes: list[tuple[int, int, bool]]) -> None:
    """Each comes some seconds after the one before, is answered after some, and some are cut off."""
    count, span = rate
    started: list[float] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        started.append(passed())
        await asyncio.sleep(float(request.headers["X-Length"]))
        return httpx.Response(200)

    async def go() -> None:
        client, tasks = Client(httpx.MockTransport(answer)), []
        line = Line(provider="acme", place="", rate=Rate(requests=count, per=timedelta(seconds=span)))
        for after, length, is_cut in wishes:
            await asyncio.sleep(after)
            request = Request(url="https://api.acme.example", headers={"X-Length": str(length)})
            tasks.append(asyncio.create_task(client.send(request, timedelta(seconds=5), line)))
            if is_cut:
                asyncio.get_running_loop().call_later(3, tasks[-1].cancel)
        await asyncio.gather(*tasks, return_exceptions=True)

    run_fast(go())
    for first, one_more in zip(started, started[count:], strict=False):
        assert one_more - first >= span - 1e-5


# --- the collector

CONFIG: Final = """
[daemon]
state = "budgetd.db"
interval = "5m"
"""


@dataclass
class House:
    plan: Plan
    collector: Collector

    def read(self) -> list[str]:
        """Of whom something was read and is not recorded yet."""
        return [one.poll.account for one in self.collector._finished]


def write(folder: Path, provider: str, *accounts: str, others: Sequence[str] = ()) -> Path:
    (folder / "providers.d").mkdir(exist_ok=True)
    write_provider(folder / "providers.d", provider)
    path = folder / "config.toml"
    tables = [(name, "acme") for name in accounts] + [(name, "deepseek") for name in others]
    path.write_text(CONFIG + "".join(f'[accounts.{name}]\nprovider = "{one}"\napi_key = "x"\n' for name, one in tables))
    path.chmod(0o600)
    return path


@contextlib.asynccontextmanager
async def house(config: Path, vendor: Vendor) -> AsyncIterator[House]:
    plan = make_plan(load_config(config))
    worker = FastWorker("store of a test")
    db = await worker.run(database.open_for_daemon, plan.outline.config.state)
    collector = Collector(db, worker, vendor.client(), plan.scheduled, spawn, lambda: None)
    yield House(plan, collector)
    await worker.run(db.close)
    assert worker.stop(5)


def spawn(name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.create_task(work, name=name)


def test_polls_begin_when_their_requests_may_go_and_others_are_not_held_up(tmp_path: Path) -> None:
    """Two requests each: five in an hour are two polls, whole."""
    one_more = '[requests.one]\npath = "/one"\n'
    config = write(tmp_path, text(5, "1h", REST + one_more), "a", "b", "c", "d", others=["other"])

    async def go() -> None:
        async with house(config, vendor := Vendor()) as here:
            await here.collector.plan(NOON)
            for minute in (0, 1):
                await here.collector.poll_due(minutes(minute))
                await asyncio.sleep(MINUTE)
            assert sorted(where for _, where in vendor.asked) == ["/info", "/info", "/one", "/one", "api.deepseek.com"]
            assert here.collector.is_behind is False
            await here.collector.record()
            await asyncio.sleep(HOUR.total_seconds())
            await here.collector.poll_due(NOON + HOUR)
            await asyncio.sleep(MINUTE)
            late = [one.poll for one in here.collector._finished if one.poll.provider == "acme"]
            assert len(late) == 2
            assert all(one.at == NOON + HOUR and one.outages == () for one in late)
            await here.collector.stop()

    run_fast(go())


def test_polls_that_wait_in_their_middle_take_no_room_from_others(tmp_path: Path) -> None:
    names = [f"a{number}" for number in range(IN_FLIGHT)]
    provider = text(AT_ONE_HOST, "1h", pages=PAGES)
    page = httpx.Response(200, json={"left": 7, "rows": [], "next": "?page=2"})

    async def go() -> None:
        async with house(write(tmp_path, provider, others=["other"]), Vendor()) as before:
            await before.collector.plan(NOON)
            await before.collector.poll_due(NOON)
            await asyncio.sleep(MINUTE)
            await before.collector.stop()
        config = write(tmp_path, provider, *names, others=["other"])
        async with house(config, vendor := Vendor(answers={"/info": page})) as here:
            await here.collector.plan(NOON)
            await here.collector.poll_due(NOON)
            await asyncio.sleep(MINUTE)
            assert len(vendor.asked) == AT_ONE_HOST
            await here.collector.poll_due(minutes(6))
            await asyncio.sleep(MINUTE)
            assert here.read() == ["other"]
            began = passed()
            await here.collector.stop()
            assert passed() == began

    run_fast(go())


def test_a_process_counts_what_the_one_before_it_sent(tmp_path: Path) -> None:
    config = write(tmp_path, text(3, "1h"), "a", "b", "c", "d", "e")

    async def go() -> list[int]:
        counts = []
        for minute in (0, 10, 59, 61):
            async with house(config, vendor := Vendor()) as here:
                await here.collector.plan(minutes(minute))
                await here.collector.poll_due(minutes(minute))
                await asyncio.sleep(MINUTE)
                await here.collector.stop()
                counts.append(len(vendor.asked))
        return counts

    assert run_fast(go()) == [3, 0, 0, 3]


def test_a_pause_counts_from_when_it_was_asked_for(tmp_path: Path) -> None:
    one_more = '[requests.one]\npath = "/one"\n'
    config = write(tmp_path, text(1, "1h", REST + one_more), "a")
    refusal = httpx.Response(429, headers={"Retry-After": "600"})

    async def go() -> None:
        async with house(config, Vendor(answers={"/one": refusal})) as here:
            await here.collector.plan(NOON)
            await here.collector.poll_due(NOON)
            await asyncio.sleep(2 * HOUR.total_seconds())
            (finished,) = here.collector._finished
            assert finished.retry_until == minutes(70)
            await here.collector.stop()

    run_fast(go())
