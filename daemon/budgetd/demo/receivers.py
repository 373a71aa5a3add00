"""Where the demo's messages arrive: a webhook and a mailbox, real servers on loopback that can be told to fail.

Both put what they receive into one `Inbox`, in the order of arrival, so that a story can wait for it.
"""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes
from email.policy import default as modern
from enum import Enum
from http import HTTPStatus
from typing import Self
from weakref import WeakSet

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from budgetd.demo.loopback import HOST, RESET_ON_CLOSE, Answer, Fault, HttpServer, Request, wall_clock


class Reply(Enum):
    """How a receiver treats what it is sent. Only after REFUSE does the sender know that nothing arrived."""

    ACCEPT = "accept"
    REFUSE = "refuse"
    """HTTP 500, SMTP 451."""
    HANG = "hang"
    """Takes the whole message and never answers."""
    RESET = "reset"
    """Takes the whole message and resets the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One message as it came in. `type` is Apprise's word for the level; mail has none."""

    channel: str
    at: datetime
    title: str
    body: str
    type: str | None
    reply: Reply

    @property
    def arrived(self) -> bool:
        """Whether a person may have seen it, whatever the sender was told."""
        return self.reply is not Reply.REFUSE


class Inbox:
    """What all receivers got. `on_message` runs in the receiver's thread, before its answer goes out."""

    def __init__(self, on_message: Callable[[Received], None] | None = None) -> None:
        self._received: list[Received] = []
        self._news = threading.Condition()
        self._on_message = on_message

    def put(self, received: Received) -> None:
        with self._news:
            self._received.append(received)
            if self._on_message:
                self._on_message(received)
            self._news.notify_all()

    @property
    def received(self) -> tuple[Received, ...]:
        with self._news:
            return tuple(self._received)

    def wait_for(self, wanted: Callable[[Received], bool], timeout: float, skip: int = 0) -> Received | None:
        """The first one wanted after the first `skip`; none if it has not come within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        with self._news:
            while True:
                found = next((received for received in self._received[skip:] if wanted(received)), None)
                left = deadline - time.monotonic()
                if found is not None or left <= 0:
                    return found
                self._news.wait(left)


class Webhook:
    """Takes what Apprise's `json://` posts."""

    def __init__(self, name: str, inbox: Inbox, clock: Callable[[], datetime] = wall_clock) -> None:
        self.reply = Reply.ACCEPT
        self._name = name
        self._inbox = inbox
        self._clock = clock
        self._http = HttpServer(self._answer)

    def __enter__(self) -> Self:
        self._http.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.__exit__()

    @property
    def url(self) -> str:
        """For Apprise; `cto` and `rto` are its seconds to connect and to read."""
        return f"json://{HOST}:{self._http.port}/?cto=2&rto=4"

    def _answer(self, request: Request) -> Answer | Fault:
        posted = json.loads(request.body)
        reply = self.reply
        self._inbox.put(
            Received(
                channel=self._name,
                at=self._clock(),
                title=posted["title"],
                body=posted["message"],
                type=posted["type"],
                reply=reply,
            )
        )
        return _ANSWERS[reply]


_ANSWERS: dict[Reply, Answer | Fault] = {
    Reply.ACCEPT: Answer(status=HTTPStatus.OK, body=b"{}"),
    Reply.REFUSE: Answer(status=HTTPStatus.INTERNAL_SERVER_ERROR),
    Reply.HANG: Fault.HANG,
    Reply.RESET: Fault.RESET,
}


class Mailbox:
    """Takes mail over plain SMTP."""

    def __init__(self, name: str, inbox: Inbox, clock: Callable[[], datetime] = wall_clock) -> None:
        self.reply = Reply.ACCEPT
        self._name = name
        self._inbox = inbox
        self._clock = clock
        self._smtp = _SmtpServer(self)

    def __enter__(self) -> Self:
        self._smtp.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._smtp.stop()

    @property
    def url(self) -> str:
        """For Apprise, without TLS and login: `user@` only names the sender. SMTP heeds `cto` for every step."""
        to = "to=team@budgetd.example&from=budgetd@budgetd.example"
        return f"mailto://{HOST}:{self._smtp.port}/?smtp={HOST}&mode=insecure&format=text&cto=4&{to}"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:
        assert envelope.original_content is not None
        mail = message_from_bytes(envelope.original_content, policy=modern)
        text = mail.get_body(("plain",))
        reply = self.reply
        self._inbox.put(
            Received(
                channel=self._name,
                at=self._clock(),
                title=str(mail["Subject"]),
                body="\n".join(text.get_content().splitlines()) if text else "",
                type=None,
                reply=reply,
            )
        )
        if reply is Reply.ACCEPT:
            return "250 OK"
        if reply is Reply.REFUSE:
            return "451 Requested action aborted: try again later"
        if reply is Reply.RESET:
            _reset(server)
        await asyncio.Event().wait()  # until the connection is gone, which cancels this
        raise AssertionError("unreachable")


def _reset(session: SMTP) -> None:
    assert isinstance(session.transport, asyncio.Transport)
    connection: socket.socket = session.transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    session.transport.abort()


class _SmtpServer(Controller):
    """A Controller that takes a port from the system, and that doesn't leave connections open when it stops."""

    def __init__(self, mailbox: Mailbox) -> None:
        super().__init__(mailbox, hostname=HOST, port=0)
        self._sessions: WeakSet[SMTP] = WeakSet()

    def factory(self) -> SMTP:
        session = SMTP(self.handler, **self.SMTP_kwargs)
        self._sessions.add(session)
        return session

    def _trigger_server(self) -> None:
        # The base class connects to the port that it was asked for, which is 0.
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]  # aiosmtpd gives it no types

    def stop(self, no_assert: bool = False) -> None:
        self.loop.call_soon_threadsafe(self._cut_connections)
        super().stop(no_assert)

    def _cut_connections(self) -> None:
        for session in list(self._sessions):
            if isinstance(session.transport, asyncio.Transport):
                session.transport.abort()
