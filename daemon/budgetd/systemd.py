"""Notifications to systemd (Type=notify): ready, alive, stopping. Without systemd they do nothing."""

import os
import socket
from contextlib import suppress
from datetime import timedelta


def notify(state: str) -> None:
    """`READY=1`, `WATCHDOG=1`, `STOPPING=1`, `STATUS=...`; see sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    # If nobody listens or reads, that is no reason for the service to end, or to wait.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel, suppress(OSError):
        channel.setblocking(False)
        channel.sendto(state.encode(), address)


def watchdog_interval() -> timedelta | None:
    """The longest pause between two watchdog notifications; None if systemd does not watch this process."""
    wanted = os.environ.get("WATCHDOG_USEC", "")
    ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return timedelta(microseconds=int(wanted)) if wanted.isdecimal() and ours else None
