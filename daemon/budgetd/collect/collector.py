"""The collecting room: polls what is due, some at a time and no account twice at once, and records what came."""

import asyncio
import logging
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from budgetd.collect.failures import LONGEST_PAUSE
from budgetd.collect.poll import poll
from budgetd.collect.sources import Source
from budgetd.errors import StoreError
from budgetd.http import Client
from budgetd.store import polls
from budgetd.store.database import Store
from budgetd.store.polls import Finished
from budgetd.threads import Spawn, Worker
from budgetd.turns import Line
from budgetd_rules.polls import Cause, Outage, Poll

logger = logging.getLogger(__name__)

IN_FLIGHT: Final = 100
AT_ONE_HOST: Final = 16
"""With four connections to each, the last of them has its turn after three others."""
# What is due is looked for about as often.
AHEAD: Final = timedelta(seconds=1)
LINGER: Final = timedelta(milliseconds=50)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """An account's source, and how often it is polled."""

    source: Source
    interval: timedelta


class Collector:
    """Polls the accounts of one config. `finished` is called when there is something to record."""

    def __init__(
        self,
        db: Store,
        worker: Worker,
        client: Client,
        accounts: Mapping[str, Scheduled],
        spawn: Spawn,
        finished: Callable[[], None],
    ) -> None:
        self._db, self._worker, self._client, self._accounts = db, worker, client, accounts
        self._spawn, self._call_finished = spawn, finished
        self._hosts = {name: urlsplit(one.source.maker.base).netloc for name, one in accounts.items()}
        self._in_flight: dict[str, asyncio.Task[None]] = {}
        self._finished: list[Finished] = []
        self.is_behind = False

    async def plan(self, now: datetime) -> None:
        """Every account is due by its own time at the latest: a shortened interval counts from now on."""
        due_at = {name: next_poll_at(now, one.interval, name) for name, one in self._accounts.items()}
        providers = {name: one.source.provider.name for name, one in self._accounts.items()}
        await self._worker.run(polls.plan, self._db, providers, due_at, now + LONGEST_PAUSE, now)
        self._recall(await self._worker.run(polls.load_attempts, self._db), now)

    def _recall(self, attempts: Mapping[str, datetime], now: datetime) -> None:
        """What the process before this one sent counts as well, as far as it is written down."""
        ago: dict[Line, list[timedelta]] = {}
        for name, at in attempts.items():
            source = self._accounts[name].source if name in self._accounts else None
            if source and source.line:
                ago.setdefault(source.line, []).extend([now - at] * len(source.provider.requests))
        for line, each in ago.items():
            self._client.turns.recall(line, each)

    async def poll_due(self, now: datetime) -> None:
        due = [
            name
            for name in await self._worker.run(polls.due, self._db, now)
            if name in self._accounts and name not in self._in_flight
        ]
        due = list(self._whose_turn_it_is(due))
        room = max(IN_FLIGHT - len(self._in_flight), 0)
        chosen = self._share(due)[:room]
        self.is_behind = len(due) > len(chosen)
        for name in chosen:
            self._in_flight[name] = self._spawn(f"poll {name}", self._poll(name, now))

    def _share(self, due: Sequence[str]) -> list[str]:
        """Those of one vendor that is slow would wait for each other until it was too late, and hold up all others."""
        busy = Counter(self._hosts.get(name) for name in self._in_flight)
        shared = []
        for name in due:
            busy[self._hosts[name]] += 1
            if busy[self._hosts[name]] <= AT_ONE_HOST:
                shared.append(name)
        return shared

    def _whose_turn_it_is(self, due: Sequence[str]) -> Iterator[str]:
        """Without those whose requests would have to wait: they stay due, as what a poll reads has its begin's time."""
        free: dict[Line, int] = {}
        for name in due:
            source = self._accounts[name].source
            if source.line:
                wanted = min(len(source.provider.requests), source.line.rate.requests)
                left = free.setdefault(source.line, self._client.turns.free(source.line, AHEAD))
                if left < wanted:
                    continue
                free[source.line] -= wanted
            yield name

    async def _poll(self, name: str, now: datetime) -> None:
        """An account stays in flight until its poll is recorded, so that a store that refuses can't lose readings."""
        scheduled = self._accounts[name]
        due_at = next_poll_at(now, scheduled.interval, name)
        began = asyncio.get_running_loop().time()
        try:
            seen = await self._visit(scheduled.source, now)
        except BaseException:
            del self._in_flight[name]
            raise
        retry_until = None
        if seen.retry_after:
            # Its requests may have waited for their turns. Vendors count in seconds.
            took = timedelta(seconds=int(asyncio.get_running_loop().time() - began))
            retry_until = now + min(took + seen.retry_after, LONGEST_PAUSE)
        self._finished.append(
            Finished(poll=seen, next_poll_at=max(due_at, retry_until or due_at), retry_until=retry_until)
        )
        self._call_finished()

    async def _visit(self, source: Source, now: datetime) -> Poll:
        """A poll that fails in a way nobody foresaw has that for an outage: an account may not fall silent."""
        try:
            return await poll(source, self._client, now)
        except Exception:
            logger.exception("poll broken", extra={"account": source.account})
            broken = Outage(request="answer", cause=Cause.MALFORMED, detail="what came could not be read; see the log")
            provider = source.provider.name
            return Poll(account=source.account, provider=provider, at=now, readings=(), outages=(broken,))

    async def record(self) -> bool:
        """Writes what has come since the last time, as one transaction; false where nothing has.

        It waits a moment for polls that are still under way: a transaction costs more than the polls in it.
        """
        if len(self._in_flight) > len(self._finished):
            await asyncio.wait(self._in_flight.values(), timeout=LINGER.total_seconds())
        batch = list(self._finished)
        if not batch:
            return False
        if await self._recorded(batch):
            self._take_out(batch)
            return True
        # One of them can't be recorded, and must not keep back the others.
        for one in batch:
            if not await self._recorded([one]):
                await self._recorded([_lost(one)])
            self._take_out([one])
        return True

    async def _recorded(self, batch: Sequence[Finished]) -> bool:
        """False where it failed in a way nobody foresaw. Raises StoreError: then all wait, for the store takes none."""
        try:
            await self._worker.run(polls.record, self._db, batch)
        except StoreError:
            raise
        except Exception:
            logger.exception("not recorded", extra={"accounts": [one.poll.account for one in batch]})
            return False
        return True

    def _take_out(self, batch: Sequence[Finished]) -> None:
        del self._finished[: len(batch)]
        for one in batch:
            del self._in_flight[one.poll.account]

    async def stop(self) -> None:
        """Gives up the polls in flight, and records those that have ended."""
        await asyncio.gather(*self.give_up(), return_exceptions=True)
        await self.record()

    def give_up(self) -> list[asyncio.Task[None]]:
        """Ends the polls in flight."""
        tasks = list(self._in_flight.values())
        for task in tasks:
            task.cancel()
        return tasks


def _lost(one: Finished) -> Finished:
    """What is recorded of a poll that can't be: that it was malformed, and when the next one is due."""
    lost = Outage(request="answer", cause=Cause.MALFORMED, detail="what came could not be recorded; see the log")
    return replace(one, poll=replace(one.poll, readings=(), outages=(lost,), answered=frozenset(), identity=None))


def next_poll_at(now: datetime, interval: timedelta, account: str) -> datetime:
    """The next instant of the account's own grid: its phase is always the same, so accounts spread and stay spread."""
    phase = interval * (zlib.crc32(account.encode()) / 2**32)
    return now + interval - (now - _EPOCH - phase) % interval
