"""Channels: one Apprise object and one thread each. The only module that knows Apprise."""

import asyncio
import logging
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType, OverflowMode

from budgetd.credentials import Secret
from budgetd.deliver.answers import outcome_of, said, secret_parts
from budgetd.errors import TemplateError
from budgetd.store.notices import Outcome
from budgetd.threads import Worker
from budgetd_rules.formats import Block, Format, Row, escaped, write
from budgetd_rules.messages import Message
from budgetd_rules.rule import Level
from budgetd_rules.sanitizing import harmless

if TYPE_CHECKING:
    from budgetd.deliver.templates import Template

logger = logging.getLogger(__name__)

TIMEOUT: Final = timedelta(seconds=30)
# Each socket operation gives up before we do, so that a send that hangs ends by itself and frees its thread.
SOCKET_TIMEOUT: Final = 10.0
# A service that trickles its answer lets none of them give up. Past this the channel is tried again on another thread,
# as the failing channel that it is; but not with ever more of them.
HUNG_AFTER: Final = timedelta(minutes=2)
MOST_HUNG: Final = 8

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
_FORMATS: Final = {
    NotifyFormat.TEXT: Format.TEXT,
    NotifyFormat.MARKDOWN: Format.MARKDOWN,
    NotifyFormat.HTML: Format.HTML,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A message as one channel sends it. `words` is its body for people who look it up later."""

    title: str
    body: str
    words: str
    level: Level | None


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


def format_of(url: Secret) -> Format:
    """What the service takes: what its URL says (`?format=text`), else what it would rather have."""
    return _FORMATS[_service(url)[0].resolve_format()]


def _service(url: Secret) -> Apprise:
    # With a time limit of its own, Apprise sends from a pool of few threads: channels that hang would hold up the
    # others, and a stop.
    service = Apprise(asset=AppriseAsset(service_timeout=0, app_id="budgetd", app_desc="budgetd"))
    service.add(url.reveal())
    return service


class Channel:
    """Sends one message at a time."""

    def __init__(
        self,
        name: str,
        url: Secret,
        timeout: timedelta = TIMEOUT,
        template: "Template | None" = None,
        hung_after: timedelta = HUNG_AFTER,
    ) -> None:
        self.name = name
        self._timeout, self._hung_after = timeout, hung_after
        # When each thread began to send that the service has not let go of yet.
        self._sending: dict[Worker, float] = {}
        self._template = template
        self._secrets = secret_parts(url)
        self._apprise = _service(url)
        service = self._apprise[0]
        service.socket_connect_timeout = min(service.socket_connect_timeout, SOCKET_TIMEOUT)
        service.socket_read_timeout = min(service.socket_read_timeout, SOCKET_TIMEOUT)
        service.retry = 0
        # Mail would wait 5.5 s between two messages; the outbox groups and paces them already.
        service.request_rate_per_sec = 0
        # A text that is too long would be refused, each time anew: Discord takes 2,000 characters, a phone 160.
        service.overflow_mode = OverflowMode.SPLIT
        self._has_titles, self._longest = service.title_maxlen > 0, service.body_maxlen
        self.format = _FORMATS[service.resolve_format()]
        self._worker = Worker(f"channel {name}")

    @property
    def is_busy(self) -> bool:
        """Past a time-out too, until the service lets go of the thread, or has had it for so long that it hangs."""
        begun = self._sending.get(self._worker)
        if begun is None:
            return False
        return len(self._sending) > MOST_HUNG or time.monotonic() - begun < self._hung_after.total_seconds()

    async def write(self, message: Message) -> Letter:
        """The message in the channel's format and words. Its template may fail: the message never does.

        A template is of changes: a digest or a drill, which tells none, has the built-in words.
        """
        self._leave_hung_thread()
        body = write(message.blocks, self.format)
        if self._template is None or not message.entries:
            return Letter(title=message.title, body=body, words=message.body, level=message.level)
        try:
            title, own = await self._worker.run(self._template.fill, message, body)
        except TemplateError as error:
            logger.warning("template failed", extra={"channel": self.name, "error": error})
            note = Block((Row("", (f"(the channel's template failed: {harmless(str(error))})",)),))
            blocks = (*message.blocks, note)
            body, words = write(blocks, self.format), write(blocks, Format.TEXT)
            return Letter(title=message.title, body=body, words=words, level=message.level)
        return Letter(title=title or message.title, body=own or body, words=own or message.body, level=message.level)

    async def send(self, letter: Letter) -> Sent:
        self._leave_hung_thread()
        started = time.monotonic()
        self._sending[self._worker] = started
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                return await self._worker.run(self._notify, letter, self._worker)
        except TimeoutError:
            took = timedelta(seconds=time.monotonic() - started)
            return Sent(outcome=Outcome.UNKNOWN, took=took, error=f"no answer within {took.total_seconds():.0f} s")

    def close(self) -> None:
        """Nothing more is sent; a send under way goes on."""
        self._worker.stop(0)

    def _leave_hung_thread(self) -> None:
        """It ends when the service lets go of it. What it sent may have arrived: its outcome stays unknown."""
        if self._worker in self._sending:
            logger.warning("a send hangs", extra={"channel": self.name, "threads": len(self._sending)})
            self._worker.stop(0)
            self._worker = Worker(f"channel {self.name}")

    def _notify(self, letter: Letter, worker: Worker) -> Sent:
        started = time.monotonic()
        try:
            result = self._apprise.notify(
                # Where there is no room for a title, it becomes the body's first line, as it stands.
                title=letter.title if self._has_titles else escaped(letter.title, self.format),
                body=letter.body,
                notify_type=_TYPES[letter.level],
                body_format=NotifyFormat(self.format.value),
                log_level=logging.DEBUG,
            )
            took = timedelta(seconds=time.monotonic() - started)
            if result:
                return Sent(outcome=Outcome.OK, took=took)
            entries = [(entry.level, entry.message) for service in result for attempt in service for entry in attempt]
            # Of a text in several pieces, some may have arrived.
            is_whole = len(letter.title) + len(letter.body) <= self._longest
            outcome = outcome_of(entries) if is_whole else Outcome.UNKNOWN
            return Sent(outcome=outcome, took=took, error=said(entries, self._secrets))
        finally:
            del self._sending[worker]
