"""Jobs: what fails in one is logged and ends no other, and it is counted how often it was the database."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from typing import Any

from budgetd.errors import BudgetdError, StoreError

logger = logging.getLogger(__name__)


class Jobs:
    """`store_trouble`: since when the database failed, and how. Nothing can be written down of that while it lasts."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._last_errors: dict[str, str] = {}
        self.store_failures, self.store_trouble = 0, ""

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        async def job() -> None:
            await self.run(name, work)

        return asyncio.create_task(job(), name=name)

    async def run(self, name: str, work: Awaitable[None]) -> bool:
        """Whether it worked. What fails is logged, once for each new reason, and tried again by whoever wakes next."""
        try:
            await work
        except Exception as error:  # a bug in one job must not end the others
            if isinstance(error, StoreError):
                self.store_failures += 1
                self.store_trouble = self.store_trouble or f"from {self._clock():%H:%M} UTC on: {error}"
            said = f"{type(error).__name__}: {error}"
            if self._last_errors.get(name) != said:
                self._last_errors[name] = said
                known = isinstance(error, BudgetdError)  # what a person can mend needs no traceback
                extra = {"job": name, "error": error} if known else {"job": name}
                logger.error("job failed", extra=extra, exc_info=not known)
            return False
        if self._last_errors.pop(name, None):
            logger.info("job works again", extra={"job": name})
        return True

    def forgive_store(self) -> None:
        """Its failures so far have been told."""
        self.store_failures, self.store_trouble = 0, ""
