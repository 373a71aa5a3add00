"""Channels: one Apprise object and one thread each. The only module that knows Apprise.

Apprise never raises for a failed send; why it failed stands in the log entries of its result. A send is *failed*
only where those entries prove that nothing arrived (an answer with an error, or no connection at all). Everything
else that went wrong may have arrived, so its outcome is *unknown*.
"""

import asyncio
import logging
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType

from budgetd.credentials import Secret
from budgetd.store.notices import Outcome
from budgetd.threads import Worker
from budgetd_rules.messages import Message
from budgetd_rules.rule import Level

TIMEOUT: Final = timedelta(seconds=30)
# Each socket operation gives up before we do, so that a send that hangs ends by itself and frees its thread.
SOCKET_TIMEOUT: Final = 10.0

# The reasons of a failure reach the results only from this level on; they go nowhere else, for they hold URLs.
_log: Final = logging.getLogger("apprise")
_log.setLevel(logging.DEBUG)
_log.propagate = False

_TYPES: Final = {
    Level.CRITICAL: NotifyType.FAILURE,
    Level.WARNING: NotifyType.WARNING,
    Level.INFO: NotifyType.INFO,
    None: NotifyType.SUCCESS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """How a send went; `error` is what the service said, without secrets."""

    outcome: Outcome
    took: timedelta
    error: str | None = None


def url_problem(url: Secret) -> str | None:
    """What is wrong with a channel's URL, or nothing."""
    service = Apprise()
    if not service.add(url.reveal()):
        return "Apprise does not accept this URL; its wiki lists the form of each service's"
    # A service counts its own targets: the channels of a Slack URL, the phones of an SMS one.
    targets = sum(len(one) for one in service)
    if targets != 1:
        return f"names {targets} targets; give each target a channel of its own, so that each has its own receipt"
    return None


class Channel:
    """Sends one message at a time. `is_busy` stays true past a time-out, until the service lets go of the thread."""

    def __init__(self, name: str, url: Secret, timeout: timedelta = TIMEOUT) -> None:
        self.name = name
        self.is_busy = False
        self._timeout = timeout
        self._secrets = _secret_parts(url)
        # With a time limit of its own, Apprise sends from a pool of few threads: channels that hang would hold up the
        # others, and a stop.
        self._apprise = Apprise(asset=AppriseAsset(service_timeout=0))
        self._apprise.add(url.reveal())
        for service in self._apprise:
            service.socket_connect_timeout = min(service.socket_connect_timeout, SOCKET_TIMEOUT)
            service.socket_read_timeout = min(service.socket_read_timeout, SOCKET_TIMEOUT)
            service.retry = 0
            # Mail would wait 5.5 s between two messages; the outbox groups and paces them already.
            service.request_rate_per_sec = 0
        self._worker = Worker(f"channel {name}")

    async def send(self, message: Message) -> Sent:
        self.is_busy = True
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                return await self._worker.run(self._notify, message)
        except TimeoutError:
            took = timedelta(seconds=time.monotonic() - started)
            return Sent(outcome=Outcome.UNKNOWN, took=took, error=f"no answer within {took.total_seconds():.0f} s")

    def close(self) -> None:
        """Nothing more is sent; a send under way goes on."""
        self._worker.stop(0)

    def _notify(self, message: Message) -> Sent:
        started = time.monotonic()
        try:
            result = self._apprise.notify(
                title=message.title,
                body=message.body,
                notify_type=_TYPES[message.level],
                body_format=NotifyFormat.TEXT,
                log_level=logging.DEBUG,
            )
            took = timedelta(seconds=time.monotonic() - started)
            if result:
                return Sent(outcome=Outcome.OK, took=took)
            entries = [(entry.level, entry.message) for service in result for attempt in service for entry in attempt]
            said = " ".join(text for level, text in entries if level in _LOUD)
            return Sent(
                outcome=outcome_of(entries),
                took=took,
                error=self._without_secrets(said) or "Apprise gave no reason",
            )
        finally:
            self.is_busy = False

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return " ".join(text.split())[:500]


# What proves that nothing arrived: an answer with an error, or no connection to begin with. A mail server's refusal
# stands in a tuple (or by recipient), a connection that never was in what urllib3 says of its retries.
_REFUSED: Final = re.compile(
    r"""
    error=\d{3}
    | ^Connection\ error\ while\ submitting\ email
    | ^Socket\ Exception:\ \(\d{3},\ b
    | ^Socket\ Exception:\ \{.*:\ \(\d{3},\ b
    | ^Socket\ Exception:\ \w+Pool\(.*Max\ retries\ exceeded\ with\ url:\ .*\(Caused\ by\ (
        NewConnectionError | ConnectTimeoutError | NameResolutionError
        | ProxyError\('Unable\ to\ connect | SSLError\(SSL(Error|CertVerificationError)\(1
      )
    """,
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)
_SOCKET: Final = "Socket Exception: "
_LOUD: Final = frozenset({"WARNING", "ERROR", "CRITICAL"})


def outcome_of(entries: Iterable[tuple[str, str]]) -> Outcome:
    """Failed or unknown, from the log entries (level, text) of a send that did not succeed.

    Quiet entries hold our own message and the service's answer, where any words may stand: they prove nothing.
    """
    text = "\n".join(text for level, text in entries if level in _LOUD or text.startswith(_SOCKET))
    return Outcome.FAILED if _REFUSED.search(text) else Outcome.UNKNOWN


def _secret_parts(url: Secret) -> list[str]:
    """The pieces of a channel's URL that may be credentials: all that is long enough to be one, longest first."""
    pieces = re.split(r"[/?&=:@#,]+", url.reveal())
    return sorted({url.reveal(), *(piece for piece in pieces[1:] if len(piece) >= 8)}, key=len, reverse=True)
