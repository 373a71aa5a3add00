"""The config read anew, whole, before anything is touched. One that is wrong is reported, and the old one stays."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from budgetd.errors import ConfigError
from budgetd.planning import Plan
from budgetd.store import troubles
from budgetd.wiring import Wired

logger = logging.getLogger(__name__)


class Reloads:
    def __init__(self, wired: Wired, load: Callable[[], Plan]) -> None:
        """`load` raises ConfigError. The database of `wired` is that of every config to come."""
        self._state = wired.plan.outline.config.state
        self._db, self._worker, self._load = wired.db, wired.worker, load
        self._one_at_a_time = asyncio.Lock()

    async def read(self, now: datetime) -> Plan | None:
        async with self._one_at_a_time:  # what is asked for last is read last
            try:
                plan = await asyncio.to_thread(self._load)
                if plan.outline.config.state != self._state:
                    raise ConfigError([f"daemon.state: the database stays {self._state} until a restart"])
            except ConfigError as error:
                for problem in error.problems:
                    logger.error("config not taken, the old one stays", extra={"problem": problem})
                await self._worker.run(troubles.refuse_config, self._db, error.problems[0], now)
                return None
            return plan
