"""`make bench`: what a poll costs, against a bare GET in the same run; memory; and how fast a crossing is told.

Ratios are what counts: absolute times drift with the machine, from one tenth of a second to the next where others work
on it too. So polls and GETs take turns, in one process and in bursts that last no longer, and each burst of polls is
compared with the GETs right before and after it. The process's own CPU time is counted; the vendor is another process.
"""

import asyncio
import contextlib
import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil

from budgetd import log
from budgetd.config import load_config
from budgetd.demo.receivers import Inbox, Webhook
from budgetd.judge import judge_all, judge_due
from budgetd.planning import make_plan
from budgetd.service import TICK, Service, utc_now
from budgetd.wiring import Wired, wire
from budgetd_rules.judgement import Ruleset, judge
from budgetd_rules.kinds import Kind
from budgetd_rules.meters import Account
from budgetd_rules.routing import Routing
from budgetd_rules.rule import Selector
from build import NOON, reading, rule, viewed

ACCOUNTS, VENDORS = 1000, 20
INTERVAL = 10
ROUNDS = 100
WARM_UP_ROUNDS = 20
GETS = 100
"""In each round: about as many as the polls that are due in a second."""
GETS_IN_FLIGHT = 10
"""The cheapest number: with one it is the same, with fifty a third more."""
IDLE_AFTER, IDLE_FOR = 8.0, 10.0
CROSSINGS = 15
LOW = 9_000

GRANTED = 500_000

BILLING = {
    "uuid": "0b1c2d3e-0000-4000-8000-000000000001",
    "workspaceUuid": "0b1c2d3e-0000-4000-8000-000000000002",
    "provider": "stripe",
    "customerStripeId": "cus_123",
    "subscriptionStatus": "active",
    "subscriptionAvailableCreditsCount": GRANTED,
    "additionalAvailableCreditsCount": 0,
    "hasCredits": True,
    "creditsOverageBehaviors": [{"unit": "billing.credits", "action": "deny"}],
    "createdAt": "2025-01-01T00:00:00.000Z",
    "updatedAt": "2025-01-15T08:00:00.000Z",
    "plan": "self-serve",
    "cadence": "monthly",
    "fixedPrice": 9900,
    "conversionRate": 1,
    "startAt": "2025-01-01T00:00:00.000Z",
    "resetAt": "2030-02-01T00:00:00.000Z",
    "endAt": "2031-01-01T00:00:00.000Z",
    "hasPendingChange": False,
    "futureChange": None,
    "topup": None,
}

RULES = """
[rules.low-credits]
on = { kind = "balance" }
warning = "remaining_percent < 10"
critical = "remaining_percent < 2"
clear = "remaining_percent > 12"
[rules.subscription-ends]
on = { kind = "subscription" }
warning = "days_until_expiry <= 14"
unless = "auto_renew"
[rules.vendor-down]
on = { kind = "connection" }
warning = "failures >= 3"
"""


class Vendor:
    """All vendors, in one process of their own: `/set/AMOUNT` sets the balance, anything else is the subscription.

    Until it is set, a request costs a credit: every poll brings a balance that is to be written down and judged.
    """

    def __init__(self) -> None:
        self.balance, self.cost, self.low_since = 450_000, 1, 0.0

    async def run(self) -> None:
        servers = [await asyncio.start_server(self.serve, "127.0.0.1", 0) for _ in range(VENDORS)]
        print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
        await asyncio.gather(*(server.serve_forever() for server in servers))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while request := await reader.readline():
                while (await reader.readline()) not in (b"\r\n", b""):
                    pass
                body = json.dumps(self.answer(request.split()[1].decode())).encode()
                head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()
        writer.close()

    def answer(self, path: str) -> dict[str, object]:
        if path.startswith("/set/"):
            self.balance, self.cost, self.low_since = int(path.removeprefix("/set/")), 0, 0.0
        if path.startswith("/set/") or path == "/state":
            return {"low_since": self.low_since}
        self.balance -= self.cost
        if self.balance == LOW and not self.low_since:
            self.low_since = time.monotonic()
        return {"subscription": BILLING | {"subscriptionCreditsUsedCount": GRANTED - self.balance}}


def write_config(folder: Path, bases: Sequence[str], accounts: int, interval: int, channel: str) -> Path:
    account = '[accounts.account-{}]\nprovider = "cargo"\napi_key = "key"\nbase_url = "{}"\ninterval = "{}s"\n'
    parts = [f'[daemon]\nstate = "{folder}/budgetd.db"\n', RULES, channel]
    parts += [account.format(number, bases[number % len(bases)], interval) for number in range(accounts)]
    path = folder / "config.toml"
    path.write_text("\n".join(parts))
    path.chmod(0o600)
    return path


class Rooms:
    """The service's rooms of one config, woken by rounds instead of by the clock, which is a second on in each."""

    def __init__(self, wired: Wired) -> None:
        self.wired, self.now = wired, utc_now()
        self.polls: list[asyncio.Task[None]] = []
        self.finished = asyncio.Event()
        self.collector = wired.collector(self.spawn, self.finished.set)

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        self.polls.append(asyncio.create_task(work, name=name))
        return self.polls[-1]

    async def start(self) -> None:
        await self.wired.worker.run(judge_all, self.wired.db, self.wired.ruleset, self.wired.routing, self.now)
        await self.collector.plan(self.now)

    async def tick(self) -> int:
        """Polls what is due, records and judges it; how many that was."""
        self.polls, self.now = [], self.now + TICK
        self.collector.is_behind = True
        while self.collector.is_behind:
            await self.collector.poll_due(self.now)
            while self.finished.is_set() or not all(poll.done() for poll in self.polls):
                await self.finished.wait()
                self.finished.clear()
                await self.collector.record()
                await self.wired.worker.run(judge_due, self.wired.db, self.wired.ruleset, self.wired.routing, self.now)
        return len(self.polls)


@dataclass(frozen=True, slots=True)
class Round:
    """CPU seconds of one GET and of one poll."""

    get: float
    poll: float


async def take_turns(bases: Sequence[str], folder: Path) -> list[Round]:
    plan = make_plan(load_config(write_config(folder, bases, ACCOUNTS, INTERVAL, "")))
    # All to one vendor: to many, the one pool of a plain client costs more.
    url = bases[0] + next(iter(plan.scheduled.values())).source.requests["subscription"].ready.url.path
    async with httpx.AsyncClient() as client, wire(plan) as wired:

        async def get_some(count: int) -> None:
            for _ in range(count):
                (await client.get(url, headers={"Authorization": "Bearer key"})).json()

        async def get_half() -> None:
            await asyncio.gather(*(get_some(GETS // 2 // GETS_IN_FLIGHT) for _ in range(GETS_IN_FLIGHT)))

        rooms = Rooms(wired)
        await rooms.start()
        rounds = []
        for number in range(WARM_UP_ROUNDS + ROUNDS):
            if number == WARM_UP_ROUNDS:
                # Else it is chance whether the search of the whole heap, 2 % of the polls' CPU, falls into a GET.
                gc.collect()
                gc.freeze()
            began = time.process_time()
            await get_half()
            before = time.process_time()
            polls = await rooms.tick()
            after = time.process_time()
            await get_half()
            gets = time.process_time() - after + before - began
            rounds.append(Round(gets / GETS, (after - before) / polls))
    return rounds[WARM_UP_ROUNDS:]


async def idle(bases: Sequence[str], folder: Path) -> tuple[float, float]:
    """Of the whole service while nothing is due: CPU seconds a second, and its RSS in MB."""
    plan = make_plan(load_config(write_config(folder, bases, ACCOUNTS, 3600, "")))
    async with wire(plan) as wired:
        service = Service(wired)
        running = asyncio.create_task(service.run())
        # All are due at the start.
        await asyncio.sleep(IDLE_AFTER)
        began = time.process_time()
        await asyncio.sleep(IDLE_FOR)
        spent = time.process_time() - began
        rss = psutil.Process().memory_info().rss / 1e6
        service.stop()
        await running
    return spent / IDLE_FOR, rss


async def arrivals(base: str, folder: Path) -> list[float]:
    """Seconds from the answer that crosses the threshold to the webhook's arrival."""
    with Webhook("hook", inbox := Inbox()) as webhook:
        channel = f'[channels.hook]\nurl = "{webhook.url}"\ngroup_wait = "0s"\n'
        plan = make_plan(load_config(write_config(folder, [base], 1, 1, channel)))
        took = []
        async with httpx.AsyncClient() as client, wire(plan) as wired:
            service = Service(wired)
            running = asyncio.create_task(service.run())
            for number in range(CROSSINGS):
                await client.get(f"{base}/set/{LOW}")
                await wait_for_messages(inbox, 2 * number + 1)
                arrived = time.monotonic()
                took.append(arrived - (await client.get(f"{base}/state")).json()["low_since"])
                await client.get(f"{base}/set/400000")
                await wait_for_messages(inbox, 2 * number + 2)
            service.stop()
            await running
    return took


async def wait_for_messages(inbox: Inbox, count: int) -> None:
    """The webhook's thread fills the inbox: a look each millisecond is exact enough."""
    while len(inbox.received) < count:  # noqa: ASYNC110 - of another thread
        await asyncio.sleep(0.001)


def judging() -> float:
    """Seconds to judge a thousand accounts with a thousand rules, a rule for each account, in memory."""
    names = [f"account-{number}" for number in range(ACCOUNTS)]
    accounts = [Account(name=name, provider="cekura", title="Cekura", stale_after=timedelta(hours=1)) for name in names]
    rules = [rule(name, on=Selector(kinds=frozenset({Kind.BALANCE}), account=name)) for name in names]
    ruleset, routing = Ruleset(rules, accounts), Routing(routes=(), group_wait={})
    kinds = {"credits": Kind.BALANCE, "subscription": Kind.SUBSCRIPTION, "connection": Kind.CONNECTION}
    views = {
        name: {meter: viewed(reading(meter, kind, account=name)) for meter, kind in kinds.items()} for name in names
    }
    began = time.process_time()
    judge(ruleset, routing, views, {}, NOON)
    return time.process_time() - began


def show_ratio(label: str, rounds: Sequence[Round]) -> None:
    low, median, high = statistics.quantiles([one.poll / one.get for one in rounds], n=4)
    print(f"{label:24} {median:7.2f}          aim: below 1.5   (half of all rounds {low:.2f} to {high:.2f})")


def report(many: Sequence[Round], alone: Sequence[Round], spent: float, rss: float, took: Sequence[float]) -> None:
    get, poll = (statistics.median(getattr(one, side) for one in many) * 1000 for side in ("get", "poll"))
    arrival = statistics.median(took) * 1000
    print("A poll is asked, read, recorded and judged, in the service's own batches, its every answer another balance.")
    print(f"A bare GET is `httpx.AsyncClient.get(...).json()` of the same answer, {GETS_IN_FLIGHT} in flight.")
    print(f"They take turns, about {GETS} of each a round; CPU time of this process, medians of {len(many)} rounds.")
    print()
    print(f"bare GET and JSON        {get:7.3f} ms CPU")
    print(f"whole poll               {poll:7.3f} ms CPU   ({ACCOUNTS} accounts, {VENDORS} vendors, each {INTERVAL} s)")
    show_ratio("ratio", many)
    show_ratio("ratio, all at one vendor", alone)
    print(f"nothing due              {spent * 1000:7.1f} ms CPU a second")
    print(f"memory (RSS)             {rss:7.0f} MB       aim: below 120")
    print(f"judging                  {judging() * 1000:7.0f} ms CPU   ({ACCOUNTS} rules on {ACCOUNTS} accounts)")
    print(f"crossing to webhook      {arrival:7.0f} ms       aim: below 200   (slowest {max(took) * 1000:.0f})")


async def main() -> None:
    log.set_up("warning")
    server = await asyncio.create_subprocess_exec(sys.executable, __file__, "vendor", stdout=asyncio.subprocess.PIPE)
    assert server.stdout
    bases = [f"http://127.0.0.1:{int(port)}" for port in (await server.stdout.readline()).split()]
    try:
        with tempfile.TemporaryDirectory() as folder:
            places = [Path(folder, name) for name in ("idle", "many", "alone", "arrivals")]
            for place in places:
                place.mkdir()
            spent, rss = await idle(bases, places[0])
            many = await take_turns(bases, places[1])
            # Few accounts of one vendor are asked at a time, so that fewer polls share a transaction.
            alone = await take_turns(bases[:1], places[2])
            report(many, alone, spent, rss, await arrivals(bases[0], places[3]))
    finally:
        server.terminate()
        await server.wait()


if __name__ == "__main__":
    asyncio.run(Vendor().run() if sys.argv[1:] == ["vendor"] else main())
