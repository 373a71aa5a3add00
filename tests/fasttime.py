"""An event loop with simulated time: when all tasks wait, it jumps to the next timer."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from budgetd.threads import Worker

P = ParamSpec("P")
T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    passed = 0.0
    working = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.working and timeout:
            return super().select()
        self.passed += timeout or 0
        return super().select(timeout and 0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.fast = _Selector()
        super().__init__(self.fast)

    def time(self) -> float:
        return self.fast.passed


class FastWorker(Worker):
    """A worker during whose calls no simulated time passes."""

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, _Loop)
        loop.fast.working += 1
        try:
            return await super().run(call, *args, **kwargs)
        finally:
            loop.fast.working -= 1


def run_fast(story: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(story)


def passed() -> float:
    """The simulated seconds since the loop began."""
    return asyncio.get_running_loop().time()
