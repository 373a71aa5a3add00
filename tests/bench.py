"""`make bench`: what a poll costs, against a bare GET in the same run; memory; and how fast a crossing is told.

Ratios are what counts: absolute times drift with the machine.
"""

import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import httpx
import psutil

from budgetd import log
from budgetd.config import load_config
from budgetd.demo.receivers import Inbox, Webhook
from budgetd.planning import make_plan
from budgetd.service import Service
from budgetd.wiring import wire
from budgetd_rules.judgement import Ruleset, judge
from budgetd_rules.kinds import Kind
from budgetd_rules.meters import Account
from budgetd_rules.routing import Routing
from budgetd_rules.rule import Selector
from build import NOON, reading, rule, viewed

ACCOUNTS = 1000
BARE_GETS = 3000
IN_FLIGHT = 10
INTERVAL = 10
WARM_UP = 12.0
MEASURED = 20.0
CROSSINGS = 15
LOW = 900

GRANTED = 50_000

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
    """The vendor, in a process of its own: `/set/AMOUNT` sets the balance, anything else is the subscription."""

    def __init__(self) -> None:
        self.balance, self.requests, self.low_since = 7436, 0, 0.0

    async def run(self) -> None:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

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
            self.balance, self.low_since = int(path.removeprefix("/set/")), 0.0
        if path.startswith("/set/") or path == "/state":
            return {"requests": self.requests, "low_since": self.low_since}
        self.requests += 1
        if self.balance == LOW and not self.low_since:
            self.low_since = time.monotonic()
        return {"subscription": BILLING | {"subscriptionCreditsUsedCount": GRANTED - self.balance}}


async def bare(url: str) -> float:
    """CPU seconds of a GET with JSON parsed, by a plain client."""
    async with httpx.AsyncClient() as client:

        async def get(count: int) -> None:
            for _ in range(count):
                (await client.get(url, headers={"Authorization": "Bearer key"})).json()

        await get(50)
        began = time.process_time()
        await asyncio.gather(*(get(BARE_GETS // IN_FLIGHT) for _ in range(IN_FLIGHT)))
        return (time.process_time() - began) / BARE_GETS


def write_config(folder: Path, base: str, accounts: int, interval: int, channel: str) -> Path:
    account = '[accounts.account-{}]\nprovider = "cargo"\napi_key = "key"\nbase_url = "{}"\ninterval = "{}s"\n'
    parts = [f'[daemon]\nstate = "{folder}/budgetd.db"\n', RULES, channel]
    parts += [account.format(number, base, interval) for number in range(accounts)]
    path = folder / "config.toml"
    path.write_text("\n".join(parts))
    path.chmod(0o600)
    return path


async def pipeline(base: str, folder: Path) -> tuple[float, float, int]:
    """CPU seconds a poll of the whole service, its RSS in MB, and how many polls that was."""
    plan = make_plan(load_config(write_config(folder, base, ACCOUNTS, INTERVAL, "")))
    async with httpx.AsyncClient() as client, wire(plan) as wired:
        service = Service(wired)
        running = asyncio.create_task(service.run())
        await asyncio.sleep(WARM_UP)
        before, began = (await client.get(f"{base}/state")).json()["requests"], time.process_time()
        await asyncio.sleep(MEASURED)
        spent = time.process_time() - began
        polls = (await client.get(f"{base}/state")).json()["requests"] - before
        rss = psutil.Process().memory_info().rss / 1e6
        service.stop()
        await running
    return spent / polls, rss, polls


async def arrivals(base: str, folder: Path) -> list[float]:
    """Seconds from the answer that crosses the threshold to the webhook's arrival."""
    with Webhook("hook", inbox := Inbox()) as webhook:
        channel = f'[channels.hook]\nurl = "{webhook.url}"\ngroup_wait = "0s"\n'
        plan = make_plan(load_config(write_config(folder, base, 1, 1, channel)))
        took = []
        async with httpx.AsyncClient() as client, wire(plan) as wired:
            service = Service(wired)
            running = asyncio.create_task(service.run())
            for number in range(CROSSINGS):
                await client.get(f"{base}/set/{LOW}")
                await wait_for_messages(inbox, 2 * number + 1)
                arrived = time.monotonic()
                took.append(arrived - (await client.get(f"{base}/state")).json()["low_since"])
                await client.get(f"{base}/set/40000")
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


def report(get: float, poll: float, rss: float, polls: int, took: Sequence[float]) -> None:
    arrival = statistics.median(took) * 1000
    print(f"bare GET and JSON        {get * 1000:7.3f} ms CPU")
    print(f"whole poll               {poll * 1000:7.3f} ms CPU   ({polls} polls of {ACCOUNTS} accounts)")
    print(f"ratio                    {poll / get:7.2f}          aim: below 1.5")
    print(f"memory (RSS)             {rss:7.0f} MB       aim: below 120")
    print(f"judging                  {judging() * 1000:7.0f} ms CPU   ({ACCOUNTS} rules on {ACCOUNTS} accounts)")
    print(f"crossing to webhook      {arrival:7.0f} ms       aim: below 200   (slowest {max(took) * 1000:.0f})")


async def main() -> None:
    log.set_up("warning")
    server = await asyncio.create_subprocess_exec(sys.executable, __file__, "vendor", stdout=asyncio.subprocess.PIPE)
    assert server.stdout
    base = f"http://127.0.0.1:{int(await server.stdout.readline())}"
    try:
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
            get = await bare(f"{base}/bare")
            poll, rss, polls = await pipeline(base, Path(one))
            report(get, poll, rss, polls, await arrivals(base, Path(two)))
    finally:
        server.terminate()
        await server.wait()


if __name__ == "__main__":
    asyncio.run(Vendor().run() if sys.argv[1:] == ["vendor"] else main())
