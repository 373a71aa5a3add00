"""The outbox: what is owed is settled, written down as an attempt, sent, and receipted."""

import asyncio
import logging
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from typing import Final

from budgetd.deliver.channels import Channel, Sent
from budgetd.errors import StoreError
from budgetd.store import notices
from budgetd.store.database import Store
from budgetd.store.notices import ChannelState, Outcome, Waiting
from budgetd.threads import Spawn, Worker
from budgetd_rules.holds import Holds
from budgetd_rules.judgement import Ruleset
from budgetd_rules.messages import Fact, Message, compose
from budgetd_rules.meters import Account, view
from budgetd_rules.schedules import Quiet
from budgetd_rules.settlement import ALWAYS_AUDIBLE, Line, Settled, Settlement, receipts, settle

logger = logging.getLogger(__name__)

FIRST_RETRY: Final = timedelta(seconds=5)
LONGEST_RETRY: Final = timedelta(minutes=15)
# From here on a channel's messages go one by one: perhaps it is one of them that the service refuses.
SINGLY_AFTER: Final = 3
RECEIPT_AGAIN: Final = timedelta(seconds=1)


class Outbox:
    """Delivers for the channels of one config. One send is in flight for a channel at a time."""

    def __init__(
        self,
        db: Store,
        worker: Worker,
        channels: Mapping[str, Channel],
        ruleset: Ruleset,
        quiet: Mapping[str, Quiet],
        spawn: Spawn,
        wake: Callable[[], None],
    ) -> None:
        self._db, self._worker, self._channels = db, worker, channels
        self._ruleset, self._quiet, self._spawn, self._wake = ruleset, quiet, spawn, wake
        self._sends: dict[str, asyncio.Task[None]] = {}
        # A send that fails in a way nobody foresaw leaves nothing in the store: this keeps it from coming each second.
        self._broken: dict[str, ChannelState] = {}

    async def plan(self, now: datetime, group_wait: Mapping[str, timedelta]) -> None:
        """At start-up, and whenever the clock was set."""
        self._broken.clear()
        await self._worker.run(notices.plan, self._db, group_wait, retry_pause, now)

    async def deliver(self, now: datetime) -> None:
        """Starts a send on every channel that has something due and is free."""
        for name in await self._worker.run(notices.due_channels, self._db, now):
            channel = self._channels.get(name)
            if channel and not channel.is_busy and name not in self._sends and not self._is_broken(name, now):
                self._sends[name] = self._spawn(f"send to {name}", self._send(channel, now))

    def _is_broken(self, name: str, now: datetime) -> bool:
        broken = self._broken.get(name)
        return broken is not None and broken.next_try_at is not None and broken.next_try_at > now

    async def finish(self, within: timedelta) -> None:
        """Waits for the sends in flight; those that are cut off stay unknown."""
        try:
            if self._sends:
                await asyncio.wait(self._sends.values(), timeout=within.total_seconds())
        finally:
            for send in self._sends.values():
                send.cancel()

    async def _send(self, channel: Channel, now: datetime) -> None:
        """1. load what waits  2. settle it  3. compose with the values of now  4. write the attempt down,
        its outcome unknown  5. send  6. write the receipt. Killed between 4 and 6, it stays unknown and is due again.
        """
        name = channel.name
        try:
            await self._settle_and_send(channel, now)
        except StoreError:  # before the attempt was written: nothing was sent
            raise
        except Exception:
            before = self._broken.get(name) or ChannelState(name=name)
            self._broken[name] = after_send(before, now, is_ok=False)
            raise
        else:
            self._broken.pop(name, None)
        finally:
            del self._sends[name]

    async def _settle_and_send(self, channel: Channel, now: datetime) -> None:
        waiting = await self._worker.run(notices.load, self._db, channel.name, now)
        quiet = self._quiet.get(channel.name, ALWAYS_AUDIBLE)
        settlement = self._settle(waiting, quiet, now)
        if settlement.settled:
            await self._worker.run(notices.settle, self._db, settlement.settled, now)
        if not settlement.lines:
            return
        message = self._compose(settlement.lines, waiting, quiet.zone, now)
        owed = [notice for line in settlement.lines for notice in line.notices]
        attempt = await self._worker.run(notices.begin, self._db, channel.name, owed, message.title, message.body, now)
        sent = await channel.send(message)
        await self._receipt(attempt, waiting.channel, settlement.lines, sent, now + sent.took)

    def _settle(self, waiting: Waiting, quiet: Quiet, now: datetime) -> Settlement:
        return settle(
            waiting.owed,
            waiting.episodes,
            waiting.heard,
            frozenset(self._ruleset.rules),
            Holds.at(now, waiting.holds, self._ruleset.accounts),
            now=now,
            quiet=quiet,
            singly=waiting.channel.failures >= SINGLY_AFTER,
        )

    def _compose(self, lines: tuple[Line, ...], waiting: Waiting, zone: tzinfo, now: datetime) -> Message:
        facts = []
        for line in lines:
            key = line.episode.key if line.episode else line.change.key
            account = self._ruleset.accounts.get(key.account) or Account(
                name=key.account, provider="", title="", stale_after=timedelta(0)
            )
            reading = waiting.readings.get(key.of_meter)
            facts.append(
                Fact(
                    line=line,
                    account=account,
                    rule=self._ruleset.rules.get(key.rule),
                    view=view(reading, now, account.stale_after) if reading else None,
                )
            )
        return compose(facts, zone, now)

    async def _receipt(
        self, attempt: int, before: ChannelState, lines: tuple[Line, ...], sent: Sent, now: datetime
    ) -> None:
        is_ok = sent.outcome is Outcome.OK
        settled = [receipt for line in lines for receipt in receipts(line)] if is_ok else []
        state = after_send(before, now, is_ok=is_ok)
        await self._write_receipt(attempt, sent, state, settled, now)
        extra = {"channel": before.name, "lines": len(lines), "seconds": round(sent.took.total_seconds(), 3)}
        if is_ok:
            logger.info("sent", extra=extra)
            # More may have become due while this one was under way.
            self._wake()
        else:
            logger.warning(
                "not sent", extra=extra | {"outcome": sent.outcome, "error": sent.error, "again": state.next_try_at}
            )

    async def _write_receipt(
        self, attempt: int, sent: Sent, state: ChannelState, settled: list[Settled], now: datetime
    ) -> None:
        """Until the store takes it: a message whose receipt is lost would be told again."""
        failed = False
        while True:
            try:
                return await self._worker.run(
                    notices.finish, self._db, attempt, sent.outcome, sent.error, sent.took, state, settled, now
                )
            except StoreError as error:
                if not failed:
                    logger.error("no receipt yet", extra={"channel": state.name, "error": error})
                failed = True
                await asyncio.sleep(RECEIPT_AGAIN.total_seconds())


def after_send(before: ChannelState, now: datetime, *, is_ok: bool) -> ChannelState:
    """A channel's state after a send: fine again, or failing and to be tried later each time."""
    if is_ok:
        return ChannelState(name=before.name, last_success=now)
    failures = before.failures + 1
    return replace(
        before,
        failures=failures,
        failing_since=before.failing_since or now,
        next_try_at=now + retry_pause(before.name, failures),
    )


def retry_pause(channel: str, failures: int) -> timedelta:
    """5 s, doubled at each failure in a row up to 15 min, less up to a quarter so that channels spread."""
    pause = min(FIRST_RETRY * (1 << min(max(failures - 1, 0), 10)), LONGEST_RETRY)
    spread = zlib.crc32(f"{channel} {failures}".encode()) / 2**32
    return pause * (1 - spread / 4)
