"""One daemon thread that runs blocking calls in order, awaited from asyncio.

SQLite and Apprise block. Each has its own thread: a connection belongs to its thread, and a hanging send must hold
up nothing else. The thread is a daemon, unlike an executor's, so that it can't keep a stopping process alive.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

# Starts a coroutine under a name, as a task whose failure is logged.
Spawn = Callable[[str, Coroutine[Any, Any, None]], asyncio.Task[None]]


class Worker:
    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def run(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The call's result or exception. Cancelling stops the waiting, not the call."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()

        def work() -> None:
            try:
                result = call(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - it is the caller's, and is raised there
                _deliver(loop, future.set_exception, future, error)
            else:
                _deliver(loop, future.set_result, future, result)

        self._calls.put(work)
        return await future

    def stop(self, timeout: float) -> bool:
        """Ends the thread after the calls already given; false where it did not end within `timeout` seconds."""
        self._calls.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


def _deliver(
    loop: asyncio.AbstractEventLoop, setter: Callable[[Any], None], future: asyncio.Future[Any], value: object
) -> None:
    def settle() -> None:
        if not future.done():
            setter(value)

    # The loop may be closed by now: then nobody waits any more.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(settle)
