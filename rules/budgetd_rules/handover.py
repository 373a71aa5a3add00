"""What can't be told on one channel is told on another: when, and on which."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Final

# So long a notice is owed, the time in which it was held not counted; what is not delivered by then is dead.
OWED_FOR_LONGEST: Final = timedelta(days=3)


def choose_substitute(
    channels: Sequence[str], fallback: str | None, had: Collection[str | None], failing: Collection[str] = ()
) -> str | None:
    """The channel that is told instead of another: its fallback, else the first that works, else any.

    `had` may not be it: the channels that have the change already, and the one that is in trouble.
    """
    able = [channel for channel in channels if channel not in had]
    if fallback in able:
        return fallback
    return min(able, key=lambda channel: channel in failing, default=None)
