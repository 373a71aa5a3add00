"""Channels: one Apprise object each, and a thread for each send. The only module that knows Apprise."""

import asyncio
import logging
import time
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType, OverflowMode

from budgetd.credentials import Secret
from budgetd.deliver.send_failures import LogEntry, outcome_of, said, secret_parts
from budgetd.errors import TemplateError
from budgetd.store.notices import Outcome
from budgetd.threads import begin
from budgetd_rules.formats import Block, Format, Row, escaped, write
from budgetd_rules.messages import Message
from budgetd_rules.rule import Level
from budgetd_rules.sanitizing import harmless

if TYPE_CHECKING:
    from budgetd.deliver.templates import Template

logger = logging.getLogger(__name__)

TIMEOUT: Final = timedelta(seconds=30)
# Socket operations time out before the send does, so that a hanging send ends by itself and frees its channel, unless
# the service keeps trickling bytes.
SOCKET_TIMEOUT: Final = 10.0

# Characters. Apprise takes more than quadratic time to parse Markdown: half a minute for 2,000 lines.
_LONGEST_MARKDOWN: Final = 15_000
# Slack's limits are 150 and 3,000 characters, and each & counts as five.
_LONGEST_HEADER: Final = 120
_LONGEST_SECTION: Final = 3000

# At this level Apprise adds the reasons of a failure to its results. They go nowhere else, because they contain URLs.
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
    """A message as one channel sends it. `words` is the body to store, for `episodes`."""

    title: str
    body: str
    words: str
    level: Level | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The result of a send. `error` is the service's message, without secrets."""

    outcome: Outcome
    took: timedelta
    error: str | None = None


def url_problem(url: Secret) -> str | None:
    """What is wrong with a channel's URL, or None."""
    service = Apprise()
    if not service.add(url.reveal()):
        return "Apprise does not accept this URL; its wiki lists the form of each service's"
    # The length of a service is its number of targets: rooms of a Slack URL, phones of an SMS URL.
    targets = sum(len(one) for one in service)
    if targets != 1:
        return f"names {targets} targets; give each target a channel of its own, so that each has its own receipt"
    return None


def format_of(url: Secret) -> Format:
    """The format that the URL asks for (`?format=text`), or the one that the service prefers."""
    return _FORMATS[_service(url)[0].resolve_format()]


def _service(url: Secret) -> Apprise:
    # With its own time limit, Apprise would send from a small thread pool, where hanging channels delay the others
    # and the stop.
    service = Apprise(asset=AppriseAsset(service_timeout=0, app_id="budgetd", app_desc="budgetd"))
    service.add(url.reveal())
    return service


class Channel:
    """Sends one message at a time. `template` may be replaced between two of them."""

    def __init__(
        self, name: str, url: Secret, timeout: timedelta = TIMEOUT, template: "Template | None" = None
    ) -> None:
        self.name, self.url, self.template = name, url, template
        self._timeout = timeout
        self._sending: Future[Sent] | None = None
        self._secrets = secret_parts(url)
        self._apprise = _service(url)
        service = self._apprise[0]
        service.socket_connect_timeout = min(service.socket_connect_timeout, SOCKET_TIMEOUT)
        service.socket_read_timeout = min(service.socket_read_timeout, SOCKET_TIMEOUT)
        service.retry = 0
        # Otherwise mail waits 5.5 s between messages; the outbox already groups and paces them.
        service.request_rate_per_sec = 0
        # A text that is too long would be refused at every attempt: Discord takes 2,000 characters, an SMS 160.
        service.overflow_mode = OverflowMode.SPLIT
        if getattr(service, "use_blocks", False):  # Slack, whose blocks hold less than Apprise assumes
            service.title_maxlen, service.body_maxlen = _LONGEST_HEADER, _LONGEST_SECTION
        self._has_titles, self._longest = service.title_maxlen > 0, service.body_maxlen
        self.format = _FORMATS[service.resolve_format()]

    @property
    def is_busy(self) -> bool:
        """True even after a time-out, until the send has really ended: until then the message may still arrive."""
        return self._sending is not None and not self._sending.done()

    async def write(self, message: Message) -> Letter:
        """The message in the channel's format, with its template. If the template fails, the built-in text is used.

        Templates are for changes; digests and drills always have the built-in text.
        """
        body = write(message.blocks, self.format)
        if self.template is None or not message.entries:
            return Letter(title=message.title, body=body, words=message.body, level=message.level)
        try:
            filling = begin(f"template of {self.name}", self.template.fill, message, body)
            title, own = await asyncio.wrap_future(filling)
        except TemplateError as error:
            logger.warning("template failed", extra={"channel": self.name, "error": error})
            note = Block((Row("", (f"(the channel's template failed: {harmless(str(error))})",)),))
            blocks = (*message.blocks, note)
            body, words = write(blocks, self.format), write(blocks, Format.TEXT)
            return Letter(title=message.title, body=body, words=words, level=message.level)
        return Letter(title=title or message.title, body=own or body, words=own or message.body, level=message.level)

    async def send(self, letter: Letter) -> Sent:
        started = time.monotonic()
        self._sending = begin(f"channel {self.name}", self._notify, letter)
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                return await asyncio.wrap_future(self._sending)
        except TimeoutError:
            took = timedelta(seconds=time.monotonic() - started)
            return Sent(outcome=Outcome.UNKNOWN, took=took, error=f"no answer within {took.total_seconds():.0f} s")

    def _notify(self, letter: Letter) -> Sent:
        """Sends the pieces in order, until one fails."""
        started = time.monotonic()
        pieces = _pieces(letter.body) if self.format is Format.MARKDOWN else [letter.body]
        error, outcome = None, Outcome.OK
        for number, piece in enumerate(pieces, 1):
            title = letter.title if len(pieces) == 1 else f"{letter.title} [{number}/{len(pieces)}]"
            if entries := self._say(title, piece, letter.level):
                # If the text was split, some pieces may have arrived.
                is_whole = len(letter.title) + len(letter.body) <= self._longest and len(pieces) == 1
                outcome = outcome_of(entries) if is_whole else Outcome.UNKNOWN
                error = said(entries, self._secrets)
                break
        return Sent(outcome=outcome, took=timedelta(seconds=time.monotonic() - started), error=error)

    def _say(self, title: str, body: str, level: Level | None) -> list[LogEntry]:
        """Sends one piece. Returns Apprise's log entries if it failed, else nothing."""
        result = self._apprise.notify(
            # Without a title field, Apprise puts the title, unescaped, before the body.
            title=title if self._has_titles else escaped(title, self.format),
            body=body,
            notify_type=_TYPES[level],
            body_format=NotifyFormat(self.format.value),
            log_level=logging.DEBUG,
        )
        entries = [(entry.level, entry.message) for service in result for attempt in service for entry in attempt]
        return [] if result else entries or [("ERROR", "Apprise gave no reason")]


def _pieces(body: str) -> list[str]:
    """Splits the body between lines, into pieces that Apprise parses quickly."""
    pieces = [""]
    for line in body.splitlines(keepends=True):
        if len(pieces[-1]) + len(line) > _LONGEST_MARKDOWN and pieces[-1]:
            pieces.append("")
        pieces[-1] += line
    return pieces
