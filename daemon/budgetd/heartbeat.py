"""The heartbeat: a GET to an outside service while all goes well, so that it alerts somebody when the GETs stop."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from budgetd.errors import StoreError
from budgetd.http import Client, Request, RequestFailedError
from budgetd.store import heartbeats
from budgetd.store.database import Store, read
from budgetd.threads import Worker
from budgetd_rules.heartbeats import Pulse, why_unwell

logger = logging.getLogger(__name__)

TIMEOUT: Final = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Where it goes, and how often. The URL is a secret and is never shown."""

    request: Request = field(repr=False)
    every: timedelta


class Heartbeat:
    """The heartbeat of one config. Its failures affect nothing else."""

    def __init__(
        self,
        db: Store,
        worker: Worker,
        client: Client,
        receiver: Receiver,
        intervals: Mapping[str, timedelta],
        channels: tuple[str, ...],
    ) -> None:
        self.every = receiver.every
        self._db, self._worker, self._client, self._request = db, worker, client, receiver.request
        self._intervals, self._channels = intervals, channels
        self._problem: str | None = None

    async def beat(self, begun: Pulse, now: datetime) -> None:
        """Sends one, or notes why not. `begun` is the part of the pulse that is known without the database."""
        why = why_unwell(await self._look(begun, now), now)
        problem = f"not sent: {why}" if why else await self._send()
        if problem and problem != self._problem:
            logger.warning("no heartbeat", extra={"reason": problem})
        elif self._problem and not problem:
            logger.info("the heartbeat goes out again")
        self._problem = problem
        await self._write_down(problem, now)

    async def _look(self, begun: Pulse, now: datetime) -> Pulse:
        def load() -> Pulse:
            with read(self._db):
                polls = heartbeats.load_polls(self._db, self._intervals)
                return replace(begun, polls=polls, untold=heartbeats.load_untold(self._db, self._channels, now))

        try:
            return await self._worker.run(load)
        except StoreError as error:
            return replace(begun, store_error=str(error))

    async def _send(self) -> str | None:
        """Why it failed, if it did."""
        try:
            answer = await self._client.send(self._request, TIMEOUT)
        except RequestFailedError as error:
            return f"failed: {error.detail}"
        return None if 200 <= answer.status < 300 else f"failed: answered with {answer.status}"

    async def _write_down(self, problem: str | None, now: datetime) -> None:
        try:
            await self._worker.run(heartbeats.write_heartbeat, self._db, None if problem else now, problem, now)
        except StoreError as error:
            logger.debug("no note of the heartbeat", extra={"error": error})
