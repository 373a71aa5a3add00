"""When a channel that failed is tried again, and with how much at once."""

import zlib
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from budgetd.store.notices import ChannelState

FIRST_RETRY: Final = timedelta(seconds=5)
LONGEST_RETRY: Final = timedelta(minutes=15)
# After this many failures, each failed message is followed at once by one of its lines alone, as the service may refuse
# only one of them. After each longer pause the whole message is tried, so that a recovered channel gets one message.
SINGLY_AFTER: Final = 3


def after_send(before: ChannelState, now: datetime, *, is_ok: bool) -> ChannelState:
    """The channel's state after a send: fine, or failing, with a longer pause each time."""
    if is_ok:
        return ChannelState(name=before.name, last_success=now)
    failures = before.failures + 1
    return replace(
        before,
        failures=failures,
        failing_since=before.failing_since or now,
        next_try_at=now + retry_pause(before.name, failures),
    )


def is_singly(failures: int) -> bool:
    """Whether the next attempt, after this many failures in a row, sends one line alone."""
    return failures >= SINGLY_AFTER and failures % 2 == SINGLY_AFTER % 2


def retry_pause(channel: str, failures: int) -> timedelta:
    """5 s, doubled at each failure in a row up to 15 min, shortened by up to a quarter to spread the channels."""
    doublings = 0 if is_singly(failures) else max(failures - 1, 0)
    pause = min(FIRST_RETRY * (1 << min(doublings, 10)), LONGEST_RETRY)
    spread = zlib.crc32(f"{channel} {failures}".encode()) / 2**32
    return pause * (1 - spread / 4)
