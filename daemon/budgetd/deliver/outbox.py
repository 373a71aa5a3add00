"""The outbox: settles the notices that are due, records an attempt, sends the message, and records its receipt."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from budgetd.deliver.channels import Channel, Letter, Sent
from budgetd.deliver.desk import Desk
from budgetd.deliver.errands import Errand
from budgetd.deliver.retries import LONGEST_RETRY, after_send, retry_pause
from budgetd.errors import StoreError
from budgetd.store import due_times, handover, notices, reports, requests
from budgetd.store.database import Store
from budgetd.store.notices import ChannelState, Outcome
from budgetd.threads import Spawn, Worker
from budgetd_rules.judgement import Ruleset
from budgetd_rules.lines import Settled
from budgetd_rules.own_account import BROKEN, NOT_COMPOSED
from budgetd_rules.routing import Routing

logger = logging.getLogger(__name__)

# After a start or a sleep, no notice dies of age before its channel has been tried for this long.
PATIENCE: Final = 2 * LONGEST_RETRY
# A longer gap between rounds, which come each second, means that the machine was asleep.
ASLEEP: Final = timedelta(minutes=1)
# After a start or a sleep, digests wait for the first polls, or they would say that nothing was read lately.
SETTLED_AFTER: Final = timedelta(minutes=1)
RECEIPT_AGAIN: Final = timedelta(seconds=1)


# Why a channel is not tried although its pause is over.
STILL_HANGS: Final = "the service has not let go of an earlier send"


class Outbox:
    """Delivers to the channels of the current config. Each has at most one send in flight, even across configs."""

    def __init__(
        self,
        db: Store,
        worker: Worker,
        channels: Mapping[str, Channel],
        ruleset: Ruleset,
        routing: Routing,
        spawn: Spawn,
        wake: Callable[[], None],
    ) -> None:
        self._db, self._worker, self._spawn, self._wake = db, worker, spawn, wake
        self.take_over(channels, ruleset, routing)
        self._sends: dict[str, asyncio.Task[None]] = {}
        self._last_round: datetime | None = None
        self._patient_until: datetime | None = None
        self._reports_from: datetime | None = None
        self._next_report: datetime | None = None

    def take_over(self, channels: Mapping[str, Channel], ruleset: Ruleset, routing: Routing) -> None:
        """Switches to a new config. Sends in flight go on, and their channels stay busy until they have ended."""
        self._channels, self._routing = channels, routing
        self._desk = Desk(db=self._db, worker=self._worker, channels=list(channels), ruleset=ruleset, routing=routing)

    async def plan(self, now: datetime) -> None:
        """Called at start-up, for a new config, and after the clock was set."""
        if self._last_round is None or self._has_slept(now):
            self._patient_until = now + PATIENCE
        await self._worker.run(due_times.plan, self._db, self._routing.group_wait, retry_pause, now)
        await self._worker.run(handover.remember, self._db, list(self._channels), self._routing.fallbacks)
        await self._worker.run(reports.remember, self._db, self._routing.diaries, now)
        self._reports_from = now + SETTLED_AFTER
        self._next_report = None

    async def deliver(self, now: datetime) -> None:
        """1. carry out requests of commands  2. hand over what a channel can't be told any more
        3. add the digests and drills that are due
        4. start a send on every free channel that has something due.
        """
        if self._has_slept(now):
            await self.plan(now)
        self._last_round = now
        try:
            await self._carry_out(now)
            await self._hand_over(now)
            await self._owe_reports(now)
        finally:
            await self._start_sends(now)

    def _has_slept(self, now: datetime) -> bool:
        return self._last_round is not None and abs(now - self._last_round) > ASLEEP

    async def _start_sends(self, now: datetime) -> None:
        for name in await self._worker.run(due_times.due_channels, self._db, now):
            channel = self._channels.get(name)
            if channel and name not in self._sends:
                self._sends[name] = self._spawn(f"send to {name}", self._send(channel, now))

    async def _owe_reports(self, now: datetime) -> None:
        """Queries the database only when the next digest or drill is due."""
        diaries = self._routing.diaries
        if diaries and not self._is_settling(now) and (self._next_report is None or self._next_report <= now):
            await self._worker.run(reports.owe, self._db, diaries, now)
            self._next_report = min(at for diary in diaries.values() for at in diary.coming(now).values())

    def _is_settling(self, now: datetime) -> bool:
        return self._reports_from is not None and now < self._reports_from

    async def _carry_out(self, now: datetime) -> None:
        for request in await self._worker.run(requests.carry_out, self._db, list(self._channels), now):
            logger.info(
                "outbox %s", request.kind, extra={"what": request.target, "by": request.by, "comment": request.comment}
            )

    async def _hand_over(self, now: datetime) -> None:
        is_patient = self._patient_until is not None and now < self._patient_until
        dead = await self._worker.run(
            handover.hand_over, self._db, list(self._channels), list(self._sends), now, spare_aged=is_patient
        )
        for one in dead:
            level = logging.WARNING if one.told or one.report else logging.ERROR
            extra = {"notice": one.notice, "channel": one.channel, "reason": one.reason}
            logger.log(level, "a notice is dead", extra=extra)

    async def finish(self, within: timedelta) -> None:
        """Waits for the sends in flight. Those cut off keep the outcome unknown."""
        try:
            if self._sends:
                await asyncio.wait(self._sends.values(), timeout=within.total_seconds())
        finally:
            for send in self._sends.values():
                send.cancel()

    async def _send(self, channel: Channel, now: datetime) -> None:
        """1. load the waiting notices  2. settle them  3. compose a message with the current values  4. record the
        attempt, its outcome unknown  5. send  6. record the receipt. After a crash between 4 and 6 the outcome stays
        unknown, and the notices are due again.
        """
        name = channel.name
        try:
            if channel.is_busy:
                await self._count_as_failed(name, STILL_HANGS, now)
            else:
                await self._settle_and_send(channel, now)
        except StoreError:  # the attempt was not recorded, so nothing was sent
            raise
        except Exception as error:
            await self._count_as_failed(name, f"{BROKEN}: {type(error).__name__}", now)
            raise
        finally:
            del self._sends[name]

    async def _count_as_failed(self, name: str, error: str, now: datetime) -> None:
        """Records a failed attempt without a send, so that the channel pauses and the others are told."""
        before = await self._worker.run(notices.channel_state, self._db, name)
        attempt = await self._worker.run(notices.begin, self._db, name, [], "", "", now)
        failed = Sent(outcome=Outcome.FAILED, took=timedelta(0), error=error)
        await self._write_receipt(attempt, failed, after_send(before, now, is_ok=False), [], now)
        self._wake()

    async def _settle_and_send(self, channel: Channel, now: datetime) -> None:
        name = channel.name
        waiting = await self._worker.run(notices.load, self._db, name, now)
        if not waiting.is_judged:
            return  # until the next round
        errand = await self._desk.settle(waiting, now, with_reports=not self._is_settling(now))
        if errand is None:
            return
        letter = await self._write_or_fail(channel, errand)
        title, words = (letter.title, letter.words) if isinstance(letter, Letter) else ("", "")
        attempt = await self._worker.run(notices.begin, self._db, name, errand.notices, title, words, now)
        sent = await channel.send(letter) if isinstance(letter, Letter) else letter
        await self._receipt(attempt, waiting.channel, errand, sent, now + sent.took)

    async def _write_or_fail(self, channel: Channel, errand: Errand) -> Letter | Sent:
        """A message that can't be composed counts as a failed attempt, so its faulty line is isolated and dies."""
        try:
            return await channel.write(errand.compose())
        except Exception as error:
            logger.exception("not composed", extra={"channel": channel.name})
            why = f"{NOT_COMPOSED}: {type(error).__name__}"
            return Sent(outcome=Outcome.FAILED, took=timedelta(0), error=why)

    async def _receipt(self, attempt: int, before: ChannelState, errand: Errand, sent: Sent, now: datetime) -> None:
        is_ok = sent.outcome is Outcome.OK
        settled = errand.receipts if is_ok else []
        state = after_send(before, now, is_ok=is_ok)
        await self._write_receipt(attempt, sent, state, settled, now)
        extra = {"channel": before.name, "what": errand.what, "seconds": round(sent.took.total_seconds(), 3)}
        # More notices may be due by now, and the state of the channel has changed.
        self._wake()
        if is_ok:
            logger.info("sent", extra=extra)
        else:
            logger.warning(
                "not sent", extra=extra | {"outcome": sent.outcome, "error": sent.error, "again": state.next_try_at}
            )

    async def _write_receipt(
        self, attempt: int, sent: Sent, state: ChannelState, settled: list[Settled], now: datetime
    ) -> None:
        """Retries until the database accepts it: without its receipt, the message would be sent again."""
        failed = False
        while True:
            try:
                finish = partial(notices.finish, is_gone=state.name not in self._channels)
                return await self._worker.run(
                    finish, self._db, attempt, sent.outcome, sent.error, sent.took, state, settled, now
                )
            except StoreError as error:
                if not failed:
                    logger.error("no receipt yet", extra={"channel": state.name, "error": error})
                failed = True
                await asyncio.sleep(RECEIPT_AGAIN.total_seconds())
