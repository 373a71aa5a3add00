"""Turns: requests to a vendor that takes only so many wait for theirs, first come, first served.

The accounts of one provider at one host share a line, whatever their keys: vendors count by organization, or by the
address that asks.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from budgetd_rules.rates import Pace, Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Where requests to `place`, a scheme and a host, wait for their turn."""

    provider: str
    place: str
    rate: Rate


@dataclass(slots=True)
class _Gate:
    pace: Pace = field(default_factory=Pace)
    queue: asyncio.Lock = field(default_factory=asyncio.Lock)
    has_ended: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0


class Turns:
    """One for the whole process: it outlives a config, and what was sent under the last one counts."""

    def __init__(self) -> None:
        self._gates: dict[tuple[str, str], _Gate] = {}

    def free(self, line: Line, within: timedelta) -> int:
        """How many more requests would be sent within that time."""
        gate = self._gate(line)
        return max(gate.pace.free(line.rate, _now() + within) - gate.waiting, 0)

    def recall(self, line: Line, ago: Iterable[timedelta]) -> None:
        """Requests of the process before this one, which ended so long ago. A line that is known has its own."""
        if (line.provider, line.place) not in self._gates:
            now = _now()
            self._gate(line).pace.ended.extend(sorted(now - max(each, timedelta(0)) for each in ago))

    @asynccontextmanager
    async def turn(self, line: Line | None) -> AsyncIterator[None]:
        """Begins when a request may be sent, which is at once where there is no line, and lasts while it is sent."""
        if line is None:
            yield
            return
        gate = self._gate(line)
        await _wait(gate, line.rate)
        try:
            yield
        finally:
            gate.pace.end(_now())
            gate.has_ended.set()

    def _gate(self, line: Line) -> _Gate:
        return self._gates.setdefault((line.provider, line.place), _Gate())


async def _wait(gate: _Gate, rate: Rate) -> None:
    gate.waiting += 1
    try:
        async with gate.queue:
            while (at := gate.pace.next_at(rate, _now())) is None or at > _now():
                if at is None:
                    gate.has_ended.clear()
                    await gate.has_ended.wait()
                else:
                    await asyncio.sleep((at - _now()).total_seconds())
            gate.pace.start()
    finally:
        gate.waiting -= 1


def _now() -> timedelta:
    """Monotonic: a clock that is set must hold nobody up."""
    return timedelta(seconds=asyncio.get_running_loop().time())
