"""When a channel can't be told something: how long it is owed, and which channel is told instead."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Final

# A notice that is not delivered after this time, not counting the time in which it was held, is dead.
OWED_FOR_LONGEST: Final = timedelta(days=3)


def choose_substitute(
    channels: Sequence[str], fallback: str | None, had: Collection[str | None], failing: Collection[str] = ()
) -> str | None:
    """The channel to tell instead of another: its fallback, else the first that works, else any.

    Never one of `had`: the channels that have the change already, and the one that is in trouble.
    """
    able = [channel for channel in channels if channel not in had]
    if fallback in able:
        return fallback
    return min(able, key=lambda channel: channel in failing, default=None)
