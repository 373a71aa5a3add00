"""The service: four loops ("rooms") that wake each other, their timer, signals, and an orderly stop.

    collect --finished--> record --recorded--> judge --owed--> deliver

Each room sleeps until something wakes it. Rooms share data only through SQLite; waking each other just saves time.
APScheduler wakes them too: collect, record and deliver each second, judge each minute.
"""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from budgetd import systemd
from budgetd.heartbeat import Heartbeat
from budgetd.jobs import Jobs
from budgetd.judge import judge_all, judge_due
from budgetd.planning import Plan
from budgetd.reloads import Reloads
from budgetd.store import troubles
from budgetd.store.database import check
from budgetd.wiring import Wired, rewire
from budgetd_rules.heartbeats import Pulse
from budgetd_rules.judgement import Judgement

logger = logging.getLogger(__name__)

TICK: Final = timedelta(seconds=1)
JUDGE_EVERY: Final = timedelta(minutes=1)
PULSE: Final = timedelta(seconds=10)
# By then the first polls have been made, and the heartbeat is not late yet.
FIRST_HEARTBEAT: Final = timedelta(seconds=10)
# The wall clock and the monotonic clock may drift apart by this much; more means that the clock was set.
CLOCK_STEP: Final = timedelta(seconds=30)
# Sends still in flight after this are cut off, and their outcome stays unknown. A locked database may add its
# BUSY_TIMEOUT; systemd waits longer than both together (TimeoutStopSec).
STOP_WITHIN: Final = timedelta(seconds=4)


def utc_now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the one place where the service reads the clock


class Service:
    """Runs what `wiring` built, until it is stopped."""

    def __init__(
        self, wired: Wired, clock: Callable[[], datetime] = utc_now, load: Callable[[], Plan] | None = None
    ) -> None:
        """`load` reads the config again on SIGHUP. It raises ConfigError."""
        self._wired, self._clock = wired, clock
        self._reloads = Reloads(wired, load) if load else None
        self._wakes = {name: asyncio.Event() for name in ("collect", "record", "judge", "deliver")}
        # A shift is the time under one config; a stop or a new config ends it.
        self._shift_ends = asyncio.Event()
        self._next: Plan | None = None
        self._jobs = Jobs(clock)
        self._progress: dict[str, float] = {}
        # Lateness counts only from here on: from a start, a new config, or a clock that was set.
        self._sends_since = self._polls_since = clock()
        self._collector = wired.collector(self._jobs.spawn, self._wakes["record"].set)
        self._outbox = wired.outbox(self._jobs.spawn, self._wake_after_sending)
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )

    async def run(self) -> None:
        """Runs one shift after another, until one ends without a new config."""
        self._catch_signals()
        self._start_metronome()
        pulse = asyncio.create_task(self._feel_pulse())
        await self._begin()
        await self._shift()
        while self._next is not None:
            self._take_over(self._next)
            await self._begin_in_time()
            await self._shift()
        systemd.notify("STOPPING=1")
        self._scheduler.shutdown(wait=False)
        pulse.cancel()
        logger.info("stopped")

    async def _begin(self) -> None:
        """Judges the stored readings under the current config. Raises StoreError."""
        wired, now = self._wired, self._clock()
        await wired.worker.run(troubles.begin, wired.db, list(wired.channels), now)
        await self._judge(judge_all, now)
        await self._plan()
        self._polls_since = now

    async def _begin_in_time(self) -> None:
        """Retries while the database can't be written: the rooms could do nothing without it."""
        while not await self._jobs.run("new config", self._begin()):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._shift_ends.wait(), TICK.total_seconds())
                return

    async def _shift(self) -> None:
        """1. start the rooms  2. report ready  3. wait for a signal  4. stop in order."""
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
        heartbeat = asyncio.create_task(self._beat(self._wired.heartbeat()))
        await self._shift_ends.wait()
        heartbeat.cancel()
        logger.info("stopping" if self._next is None else "taking over the new config")
        await self._stop_in_order(rooms)

    def _take_over(self, plan: Plan) -> None:
        self._wired = rewire(self._wired, plan)
        self._collector = self._wired.collector(self._jobs.spawn, self._wakes["record"].set)
        self._outbox.take_over(self._wired.channels, self._wired.ruleset, self._wired.routing)
        self._progress.clear()
        self._next = None
        self._shift_ends.clear()

    async def reload(self) -> None:
        """Reads and checks the whole config first. An invalid one is reported, and the old one stays."""
        if self._reloads is None:
            return
        plan = await self._reloads.read(self._clock())
        if plan is None:
            self._wakes["judge"].set()
        elif self._next or not self._shift_ends.is_set():  # otherwise the service is stopping
            self._next = plan
            self._shift_ends.set()

    def stop(self) -> None:
        """Requests an orderly stop; `run` returns when it is done."""
        self._next = None
        self._shift_ends.set()

    async def _stop_in_order(self, rooms: Iterable[asyncio.Task[None]]) -> None:
        """1. every room finishes its work  2. finished polls are recorded  3. sends in flight may finish; a new config
        does not wait for them.
        """
        try:
            async with asyncio.timeout(STOP_WITHIN.total_seconds()):
                for wake in self._wakes.values():
                    wake.set()
                await asyncio.gather(*rooms)
                await self._jobs.run("stop", self._collector.stop())
                if self._next is None:
                    await self._outbox.finish(STOP_WITHIN)
        except TimeoutError:
            logger.warning("cut off", extra={"after_seconds": round(STOP_WITHIN.total_seconds())})
            self._collector.give_up()
            if self._next is None:
                await self._outbox.finish(timedelta(0))

    # --- the rooms

    async def _room(self, name: str, work: Callable[[datetime], Awaitable[None]]) -> None:
        wake = self._wakes[name]
        while not self._shift_ends.is_set():
            self._progress[name] = time.monotonic()
            await wake.wait()
            wake.clear()
            if not self._shift_ends.is_set():
                await self._jobs.run(name, work(self._clock()))

    async def _collect(self, now: datetime) -> None:
        await self._collector.poll_due(now)

    async def _record(self, _now: datetime) -> None:
        if await self._collector.record():
            self._wakes["judge"].set()
            if self._collector.is_behind:
                self._wakes["collect"].set()

    async def _judge_due(self, now: datetime) -> None:
        if self._jobs.store_failures:
            await self._note_store(now)
        await self._judge(judge_due, now)

    async def _note_store(self, now: datetime) -> None:
        """Failed writes can be recorded only once writing works again: as begun and over, which makes one message."""
        wired, detail = self._wired, f"{self._jobs.store_failures} failures {self._jobs.store_trouble}"
        await wired.worker.run(troubles.note_store, wired.db, self._jobs.store_failures, detail, now)
        await self._judge(judge_due, now)
        await wired.worker.run(troubles.note_store, wired.db, 0, detail, now)
        self._jobs.forgive_store()

    async def _judge(self, judging: Callable[..., Judgement], now: datetime) -> None:
        wired = self._wired
        judgement = await wired.worker.run(judging, wired.db, wired.ruleset, wired.routing, now)
        self._jobs.note_broken(judgement.broken)
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
        for every, rooms in {TICK: ("collect", "record", "deliver"), JUDGE_EVERY: ("judge",)}.items():
            self._scheduler.add_job(self._wake, "interval", rooms, seconds=every.seconds, next_run_time=utc_now())
        self._scheduler.start()

    async def _wake(self, *rooms: str) -> None:
        """A coroutine, because APScheduler runs plain functions in other threads, and the events belong to the loop."""
        for name in rooms:
            self._wakes[name].set()

    async def _feel_pulse(self) -> None:
        """Sleeps by the monotonic clock: APScheduler uses the wall clock, and would oversleep if that is set back."""
        offset = self._wall_offset()
        wanted = systemd.watchdog_interval()
        every = min(PULSE, wanted / 2) if wanted else PULSE
        while True:
            await asyncio.sleep(every.total_seconds())
            step = self._wall_offset() - offset
            if abs(step) > CLOCK_STEP:
                logger.warning("the clock was set", extra={"by_seconds": round(step.total_seconds())})
                await self._jobs.run("plan", self._plan_anew())
                offset = self._wall_offset()
            await self._jobs.run("watchdog", self._feed_watchdog())

    def _wall_offset(self) -> timedelta:
        return timedelta(seconds=self._clock().timestamp() - time.monotonic())

    async def _plan_anew(self) -> None:
        for job in self._scheduler.get_jobs():
            job.modify(next_run_time=utc_now())  # the scheduler reads the real clock, not ours
        await self._plan()
        self._sends_since = self._polls_since = self._clock()
        self._wakes["judge"].set()

    async def _plan(self) -> None:
        now = self._clock()
        await self._collector.plan(now)
        await self._outbox.plan(now)

    async def _feed_watchdog(self) -> None:
        """Notifies systemd only while the database answers and every room makes progress."""
        await self._wired.worker.run(check, self._wired.db)
        if self._stuck() is None:
            systemd.notify("WATCHDOG=1")

    def _stuck(self) -> str | None:
        """The name of a room without recent progress, or None."""
        limit = time.monotonic() - 2 * JUDGE_EVERY.total_seconds()
        return next((name for name, moved in self._progress.items() if moved <= limit), None)

    async def _beat(self, heartbeat: Heartbeat | None) -> None:
        if heartbeat is None:
            return
        await asyncio.sleep(min(FIRST_HEARTBEAT, heartbeat.every).total_seconds())
        while True:
            pulse = Pulse(stuck=self._stuck(), polls_since=self._polls_since, sends_since=self._sends_since)
            await self._jobs.run("heartbeat", heartbeat.beat(pulse, self._clock()))
            await asyncio.sleep(heartbeat.every.total_seconds())

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for caught in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(caught, self._on_signal, caught)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._jobs.spawn("reload", self.reload()))

    def _on_signal(self, caught: signal.Signals) -> None:
        """The first signal requests an orderly stop; the second is not caught, and ends the process at once."""
        self.stop()
        loop = asyncio.get_running_loop()
        for one in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(one)
            signal.signal(one, signal.SIG_DFL)
        logger.info("signal", extra={"signal": caught.name})
