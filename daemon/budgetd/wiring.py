"""The composition root: opens what the service needs for a plan, and closes it in the reverse order."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from budgetd.collect.collector import Collector
from budgetd.deliver.channels import Channel
from budgetd.deliver.outbox import Outbox
from budgetd.heartbeat import Heartbeat
from budgetd.http import Client
from budgetd.planning import Plan
from budgetd.store import database
from budgetd.threads import DaemonThreads, Spawn, Worker
from budgetd_rules.judgement import Ruleset
from budgetd_rules.routing import Routing

STORE_STOP_WITHIN: Final = timedelta(seconds=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wired:
    """What the service runs on. `wire` opens and closes it."""

    plan: Plan
    db: database.Store
    worker: Worker
    client: Client
    channels: Mapping[str, Channel]

    @property
    def ruleset(self) -> Ruleset:
        return self.plan.outline.ruleset

    @property
    def routing(self) -> Routing:
        return self.plan.outline.routing

    def collector(self, spawn: Spawn, finished: Callable[[], None]) -> Collector:
        return Collector(self.db, self.worker, self.client, self.plan.scheduled, spawn, finished)

    def outbox(self, spawn: Spawn, wake: Callable[[], None]) -> Outbox:
        return Outbox(self.db, self.worker, self.channels, self.ruleset, self.routing, spawn, wake)

    def heartbeat(self) -> Heartbeat | None:
        receiver = self.plan.receiver
        if receiver is None:
            return None
        intervals = {name: one.interval for name, one in self.plan.scheduled.items()}
        return Heartbeat(self.db, self.worker, self.client, receiver, intervals, tuple(self.channels))


def rewire(wired: Wired, plan: Plan) -> Wired:
    """The same store and client under another config. A channel that leads where it led before is the same, and as busy
    as it is; one that leads elsewhere or is gone ends with the send that it is at.
    """
    return replace(wired, plan=plan, channels=_channels(plan, wired.channels))


def _channels(plan: Plan, before: Mapping[str, Channel]) -> dict[str, Channel]:
    channels = {}
    for name, url in plan.urls.items():
        old = before.get(name)
        channels[name] = old if old and old.url == url else Channel(name, url)
        channels[name].template = plan.templates.get(name)
    return channels


@contextlib.asynccontextmanager
async def wire(plan: Plan) -> AsyncIterator[Wired]:
    """Opens everything that the plan needs, and closes it in the reverse order. Raises StoreError."""
    path = plan.outline.config.state
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(database.locked(path))
        worker = Worker("store")
        stack.callback(worker.stop, STORE_STOP_WITHIN.total_seconds())
        db = await worker.run(database.open_for_daemon, path)
        stack.push_async_callback(worker.run, db.close)
        asyncio.get_running_loop().set_default_executor(DaemonThreads())
        client = Client()
        stack.push_async_callback(client.aclose)
        yield Wired(plan=plan, db=db, worker=worker, client=client, channels=_channels(plan, {}))
