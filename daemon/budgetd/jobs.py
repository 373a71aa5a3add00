"""Jobs: an error in one is logged and does not stop the others. Failures of the database are counted."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import datetime
from typing import Any

from budgetd.errors import BudgetdError, StoreError

logger = logging.getLogger(__name__)


class Jobs:
    """`store_trouble`: since when and how the database has failed. It is kept here until it can be written again."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._last_errors: dict[str, str] = {}
        self._broken = set[str]()
        self.store_failures, self.store_trouble = 0, ""

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        async def job() -> None:
            await self.run(name, work)

        return asyncio.create_task(job(), name=name)

    async def run(self, name: str, work: Awaitable[None]) -> bool:
        """Returns whether it worked. A failure is logged once for each new reason; the next wake-up tries again."""
        try:
            await work
        except Exception as error:  # noqa: BLE001 - a bug in one job must not end the others; it is logged
            self.failed(name, error)
            return False
        self.worked(name)
        return True

    def failed(self, name: str, error: Exception) -> None:
        if isinstance(error, StoreError):
            self.store_failures += 1
            self.store_trouble = self.store_trouble or f"from {self._clock():%H:%M} UTC on: {error}"
        said = f"{type(error).__name__}: {error}"
        if self._last_errors.get(name) != said:
            self._last_errors[name] = said
            known = isinstance(error, BudgetdError)  # errors that a user can fix need no traceback
            extra = {"job": name, "error": error} if known else {"job": name}
            logger.error("job failed", extra=extra, exc_info=None if known else error)

    def worked(self, name: str) -> None:
        if self._last_errors.pop(name, None):
            logger.info("job works again", extra={"job": name})

    def note_broken(self, broken: Mapping[str, Exception]) -> None:
        """Logs which accounts can't be judged, and which can be again. All are tried at every judgement."""
        for account, error in broken.items():
            self.failed(f"judge {account}", error)
        for account in self._broken - broken.keys():
            self.worked(f"judge {account}")
        self._broken = {*broken}

    def forgive_store(self) -> None:
        """Resets the count once the failures have been recorded."""
        self.store_failures, self.store_trouble = 0, ""
