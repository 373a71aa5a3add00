"""Threads for calls that block, awaited from asyncio: one that makes them in order, or one for each.

SQLite has one, as a connection belongs to its thread; each send through Apprise has its own, as one that hangs must
hold up nothing else. They are daemons, unlike an executor's, so that they can't keep a stopping process alive.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

# Starts a coroutine under a name, as a task whose failure is logged.
Spawn = Callable[[str, Coroutine[Any, Any, None]], asyncio.Task[None]]


class Worker:
    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._is_stopped = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def run(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The call's result or exception. Cancelled, a call that has not begun is not made; one that has goes on."""
        if self._is_stopped:
            raise RuntimeError(f"{self._thread.name}: no calls after stop")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()

        def work() -> None:
            if future.cancelled():
                return
            try:
                result = call(*args, **kwargs)
            except StopIteration as error:  # which no future takes, so that its waiter would wait for ever
                _deliver(loop, future.set_exception, future, RuntimeError(f"{call} raised {error!r}"))
            except BaseException as error:  # noqa: BLE001 - it is the caller's, and is raised there
                _deliver(loop, future.set_exception, future, error)
            else:
                _deliver(loop, future.set_result, future, result)

        self._calls.put(work)
        return await future

    def stop(self, timeout: float) -> bool:
        """Ends the thread after the calls already given; false where it did not end within `timeout` seconds."""
        self._is_stopped = True
        self._calls.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


def begin(name: str, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
    """The call, on a thread of its own."""
    future: Future[R] = Future()

    def work() -> None:
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(call(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - it is the caller's, and is raised there
                future.set_exception(error)

    threading.Thread(target=work, name=name, daemon=True).start()
    return future


class DaemonThreads(ThreadPoolExecutor):
    """asyncio's own blocking calls, which are look-ups of names: a daemon thread for each.

    In asyncio's default pool some that hang would hold up all others, and a stop until they end.
    """

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        return begin("errand", fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """There is nothing to wait for."""


def _deliver(
    loop: asyncio.AbstractEventLoop, setter: Callable[[Any], None], future: asyncio.Future[Any], value: object
) -> None:
    def settle() -> None:
        if not future.done():
            setter(value)

    # The loop may be closed by now: then nobody waits any more.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(settle)
