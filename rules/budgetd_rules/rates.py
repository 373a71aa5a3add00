"""How many requests a vendor takes in a span of time, and when the next one may go."""

from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """So many requests in any such span."""

    requests: int
    per: timedelta


@dataclass(slots=True)
class Pace:
    """The requests that count against a rate, which is given at each question, for a config may change it.

    A request counts from its start until a span after its end: when it arrived at the vendor, in between, nobody knows.
    Instants are those of a clock that never goes back.
    """

    under_way: int = 0
    ended: deque[timedelta] = field(default_factory=deque)

    def start(self) -> None:
        self.under_way += 1

    def end(self, now: timedelta) -> None:
        self.under_way -= 1
        self.ended.append(now)

    def next_at(self, rate: Rate, now: timedelta) -> timedelta | None:
        """When the next one may go; None where that depends on the end of one that is under way."""
        while self.ended and self.ended[0] + rate.per <= now:
            self.ended.popleft()
        over = self.under_way + len(self.ended) - rate.requests
        if over < 0:
            return now
        return self.ended[over] + rate.per if over < len(self.ended) else None

    def free(self, rate: Rate, at: timedelta) -> int:
        """How many may go at an instant to come, if nothing happens until then."""
        counting = sum(1 for ended in self.ended if ended + rate.per > at)
        return max(rate.requests - self.under_way - counting, 0)
