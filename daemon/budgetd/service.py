"""The service: four rooms that wake each other, APScheduler as their metronome, signals, and an ordered stop.

    collect --finished--> record --recorded--> judge --owed--> deliver

Each room is a loop that sleeps until something wakes it. The rooms meet in SQLite alone; waking only saves waiting.
APScheduler wakes them by the clock: collect and deliver each second, judge each minute.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from budgetd import systemd
from budgetd.errors import BudgetdError, ConfigError, StoreError
from budgetd.heartbeat import Heartbeat
from budgetd.judge import judge_all, judge_due
from budgetd.planning import Plan
from budgetd.store import troubles
from budgetd.store.database import check
from budgetd.wiring import Wired, rewire
from budgetd_rules.heartbeats import Pulse
from budgetd_rules.judgement import Judgement

logger = logging.getLogger(__name__)

TICK: Final = timedelta(seconds=1)
JUDGE_EVERY: Final = timedelta(minutes=1)
PULSE: Final = timedelta(seconds=10)
# The first polls have been made by then, and the heartbeat is not late.
FIRST_HEARTBEAT: Final = timedelta(seconds=10)
# Between two beats of it wall clock and monotonic clock may drift apart by this much; more means the clock was set.
CLOCK_STEP: Final = timedelta(seconds=30)
# What is still in flight after this is cut off, and stays unknown. A database that another process holds adds its
# BUSY_TIMEOUT; systemd waits longer than both together (TimeoutStopSec).
STOP_WITHIN: Final = timedelta(seconds=4)


def utc_now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the one place where the service reads the clock


class Service:
    """Runs what `wiring` built, until it is told to stop."""

    def __init__(
        self, wired: Wired, clock: Callable[[], datetime] = utc_now, load: Callable[[], Plan] | None = None
    ) -> None:
        """`load` reads the config anew, for SIGHUP; it raises ConfigError."""
        self._wired, self._clock, self._load = wired, clock, load
        self._wakes = {name: asyncio.Event() for name in ("collect", "record", "judge", "deliver")}
        # A shift is the time under one config: a stop ends it, or the next config.
        self._shift_ends = asyncio.Event()
        self._next: Plan | None = None
        self._last_errors: dict[str, str] = {}
        # Nothing can be written down of these while they last.
        self._store_failures, self._store_failing = 0, ""
        self._progress: dict[str, float] = {}
        # From when on what is late is our fault: a start, a shift, or a clock that was set.
        self._sends_since = self._polls_since = clock()
        self._collector = wired.collector(self.spawn, self._wakes["record"].set)
        self._outbox = wired.outbox(self.spawn, self._wake_after_sending)
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )

    async def run(self) -> None:
        """Shift after shift, until one ends without a next config."""
        self._catch_signals()
        self._start_metronome()
        pulse = asyncio.create_task(self._feel_pulse())
        await self._shift()
        while self._next is not None:
            self._take_over(self._next)
            await self._shift()
        systemd.notify("STOPPING=1")
        self._scheduler.shutdown(wait=False)
        pulse.cancel()
        logger.info("stopped")

    async def _shift(self) -> None:
        """1. judge what is stored  2. start the rooms  3. say ready  4. wait for a signal  5. stop in order."""
        wired, now = self._wired, self._clock()
        await wired.worker.run(troubles.begin, wired.db, list(wired.channels), now)
        await self._judge(judge_all, now)
        await self._plan()
        self._polls_since = now
        rooms = [
            asyncio.create_task(self._room("collect", self._collect)),
            asyncio.create_task(self._room("record", self._record)),
            asyncio.create_task(self._room("judge", self._judge_due)),
            asyncio.create_task(self._room("deliver", self._outbox.deliver)),
        ]
        for wake in self._wakes.values():
            wake.set()
        logger.info("ready", extra={"accounts": len(self._wired.plan.scheduled), "channels": len(self._wired.channels)})
        systemd.notify("READY=1")
        heartbeat = asyncio.create_task(self._beat(wired.heartbeat()))
        await self._shift_ends.wait()
        heartbeat.cancel()
        logger.info("stopping" if self._next is None else "taking over the new config")
        await self._stop_in_order(rooms)

    def _take_over(self, plan: Plan) -> None:
        self._wired = rewire(self._wired, plan)
        self._collector = self._wired.collector(self.spawn, self._wakes["record"].set)
        self._outbox = self._wired.outbox(self.spawn, self._wake_after_sending)
        self._next = None
        self._shift_ends.clear()

    async def reload(self) -> None:
        """Reads the config whole before anything is touched; one that is wrong is reported, and the old one stays."""
        if self._load is None:
            return
        try:
            plan = await asyncio.to_thread(self._load)
            state = self._wired.plan.outline.config.state
            if plan.outline.config.state != state:
                raise ConfigError([f"daemon.state: the database stays {state} until a restart"])
        except ConfigError as error:
            for problem in error.problems:
                logger.error("config not taken, the old one stays", extra={"problem": problem})
            wired = self._wired
            await wired.worker.run(troubles.refuse_config, wired.db, error.problems[0], self._clock())
            self._wakes["judge"].set()
            return
        if not self._shift_ends.is_set():
            self._next = plan
            self._shift_ends.set()

    def stop(self) -> None:
        """Asks for an orderly stop; `run` returns when it is done."""
        self._next = None
        self._shift_ends.set()

    async def _stop_in_order(self, rooms: Iterable[asyncio.Task[None]]) -> None:
        """1. every room ends what it is at  2. what was polled is recorded  3. the sends in flight may end."""
        try:
            async with asyncio.timeout(STOP_WITHIN.total_seconds()):
                for wake in self._wakes.values():
                    wake.set()
                await asyncio.gather(*rooms)
                await self._guarded("stop", self._collector.stop())
                await self._outbox.finish(STOP_WITHIN)
        except TimeoutError:
            logger.warning("cut off", extra={"after_seconds": round(STOP_WITHIN.total_seconds())})
            await self._outbox.finish(timedelta(0))

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.create_task(self._guarded(name, work), name=name)

    # --- the rooms

    async def _room(self, name: str, work: Callable[[datetime], Awaitable[None]]) -> None:
        wake = self._wakes[name]
        while not self._shift_ends.is_set():
            self._progress[name] = time.monotonic()
            await wake.wait()
            wake.clear()
            if not self._shift_ends.is_set():
                await self._guarded(name, work(self._clock()))

    async def _guarded(self, name: str, work: Awaitable[None]) -> None:
        """Whatever fails is logged, once for each new reason, and tried again by whoever wakes next."""
        try:
            await work
        except Exception as error:  # a bug in one job must not end the others
            if isinstance(error, StoreError):
                self._store_failures += 1
                self._store_failing = self._store_failing or f"from {self._clock():%H:%M} UTC on: {error}"
            said = f"{type(error).__name__}: {error}"
            if self._last_errors.get(name) != said:
                self._last_errors[name] = said
                known = isinstance(error, BudgetdError)  # what a person can mend needs no traceback
                extra = {"job": name, "error": error} if known else {"job": name}
                logger.error("job failed", extra=extra, exc_info=not known)
        else:
            if self._last_errors.pop(name, None):
                logger.info("job works again", extra={"job": name})

    async def _collect(self, now: datetime) -> None:
        await self._collector.poll_due(now)

    async def _record(self, _now: datetime) -> None:
        if await self._collector.record():
            self._wakes["judge"].set()
            if self._collector.is_behind:
                self._wakes["collect"].set()

    async def _judge_due(self, now: datetime) -> None:
        if self._store_failures:
            await self._note_store(now)
        await self._judge(judge_due, now)

    async def _note_store(self, now: datetime) -> None:
        """That writes failed can be told only once they work again: it has begun and is over, which is one message."""
        wired, detail = self._wired, f"{self._store_failures} failures {self._store_failing}"
        await wired.worker.run(troubles.note_store, wired.db, self._store_failures, detail, now)
        await self._judge(judge_due, now)
        await wired.worker.run(troubles.note_store, wired.db, 0, detail, now)
        self._store_failures, self._store_failing = 0, ""

    async def _judge(self, judging: Callable[..., Judgement], now: datetime) -> None:
        wired = self._wired
        judgement = await wired.worker.run(judging, wired.db, wired.ruleset, wired.routing, now)
        for change in judgement.changes:
            logger.info(
                "episode %s",
                change.kind,
                extra={"episode": change.episode, **change.key._asdict(), "reason": change.reason},
            )
        if judgement.notices:
            self._wakes["deliver"].set()

    def _wake_after_sending(self) -> None:
        self._wakes["deliver"].set()
        self._wakes["judge"].set()

    # --- the clock and signals

    def _start_metronome(self) -> None:
        for name, every in {"collect": TICK, "record": TICK, "judge": JUDGE_EVERY, "deliver": TICK}.items():
            self._scheduler.add_job(
                self._wakes[name].set, "interval", seconds=every.total_seconds(), id=name, next_run_time=utc_now()
            )
        self._scheduler.start()

    async def _feel_pulse(self) -> None:
        """Monotonic, because APScheduler's times are wall clock: after a step back it would sleep until they come."""
        offset = self._wall_offset()
        wanted = systemd.watchdog_interval()
        every = min(PULSE, wanted / 2) if wanted else PULSE
        while True:
            await asyncio.sleep(every.total_seconds())
            step = self._wall_offset() - offset
            if abs(step) > CLOCK_STEP:
                logger.warning("the clock was set", extra={"by_seconds": round(step.total_seconds())})
                await self._guarded("plan", self._plan_anew())
                offset = self._wall_offset()
            await self._guarded("watchdog", self._feed_watchdog())

    def _wall_offset(self) -> timedelta:
        return timedelta(seconds=self._clock().timestamp() - time.monotonic())

    async def _plan_anew(self) -> None:
        for job in self._scheduler.get_jobs():
            job.modify(next_run_time=utc_now())  # the scheduler's own clock is the machine's
        await self._plan()
        self._sends_since = self._polls_since = self._clock()
        self._wakes["judge"].set()

    async def _plan(self) -> None:
        now = self._clock()
        await self._collector.plan(now)
        await self._outbox.plan(now, self._wired.routing)

    async def _feed_watchdog(self) -> None:
        """Only while the store answers and every room has moved lately."""
        await self._wired.worker.run(check, self._wired.db)
        if self._stuck() is None:
            systemd.notify("WATCHDOG=1")

    def _stuck(self) -> str | None:
        """A room that has not moved lately."""
        limit = time.monotonic() - 2 * JUDGE_EVERY.total_seconds()
        return next((name for name, moved in self._progress.items() if moved <= limit), None)

    async def _beat(self, heartbeat: Heartbeat | None) -> None:
        if heartbeat is None:
            return
        await asyncio.sleep(min(FIRST_HEARTBEAT, heartbeat.every).total_seconds())
        while True:
            pulse = Pulse(stuck=self._stuck(), polls_since=self._polls_since, sends_since=self._sends_since)
            await self._guarded("heartbeat", heartbeat.beat(pulse, self._clock()))
            await asyncio.sleep(heartbeat.every.total_seconds())

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for caught in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(caught, self._on_signal, caught)
        loop.add_signal_handler(signal.SIGHUP, lambda: self.spawn("reload", self.reload()))

    def _on_signal(self, caught: signal.Signals) -> None:
        """The first asks for an orderly stop; the second is not caught any more, and ends the process at once."""
        self.stop()
        loop = asyncio.get_running_loop()
        for one in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(one)
            signal.signal(one, signal.SIG_DFL)
        logger.info("signal", extra={"signal": caught.name})
