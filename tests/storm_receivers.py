"""Receivers in a storm: two webhooks and a mailbox on loopback, which treat each message as the weather wants it."""

import asyncio
import json
import socket
from collections.abc import Callable
from email import message_from_bytes
from email.policy import default as modern
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Final
from urllib.parse import parse_qs

from aiosmtpd.smtp import SMTP, Envelope, Session

from budgetd.demo.loopback import HOST, RESET_ON_CLOSE, Serving, TcpServer
from budgetd.demo.receivers import Inbox, Mailbox
from storm_world import MAIL, Came, Chronicle, Mood, Weather

Read = Callable[[bytes], tuple[str, str]]


class WebReceiver(Serving):
    """A webhook on loopback; `read` makes a title and a body of what was posted."""

    def __init__(self, name: str, chronicle: Chronicle, weather: Weather, read: Read) -> None:
        super().__init__(_WebServer(self))
        self.name, self.chronicle, self.weather, self.read = name, chronicle, weather, read

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"


class _WebServer(TcpServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, receiver: WebReceiver) -> None:
        self.receiver = receiver
        super().__init__(_WebHandler)


class _WebHandler(BaseHTTPRequestHandler):
    server: _WebServer

    def do_POST(self) -> None:
        receiver = self.server.receiver
        mood = receiver.weather.mood()
        if mood is Mood.RESET_EARLY:
            self._reset()
            return
        length = int(self.headers["Content-Length"])
        posted = self.rfile.read(length)
        if len(posted) < length:
            return  # it was killed in the middle
        title, body = receiver.read(posted)
        receiver.chronicle.put(Came(channel=receiver.name, title=title, body=body, mood=mood))
        receiver.weather.on_read()
        if mood is Mood.HANG:
            self.connection.recv(1)  # returns when the client leaves
        elif mood is Mood.RESET:
            self._reset()
        elif mood is not Mood.DROP:
            self.send_response(_STATUS.get(mood, HTTPStatus.OK))
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)

    def log_message(self, format: str, *args: object) -> None:
        pass


_STATUS: Final = {
    Mood.ERROR: HTTPStatus.INTERNAL_SERVER_ERROR,
    Mood.BUSY: HTTPStatus.TOO_MANY_REQUESTS,
    Mood.FORBIDDEN: HTTPStatus.FORBIDDEN,
}


def read_json(posted: bytes) -> tuple[str, str]:
    """What `json://` posts."""
    said = json.loads(posted)
    return said["title"], said["message"]


def read_form(posted: bytes) -> tuple[str, str]:
    """What `form://` posts."""
    said = parse_qs(posted.decode())
    return said["title"][0], said["message"][0]


class MailReceiver(Mailbox):
    def __init__(self, name: str, chronicle: Chronicle, weather: Weather) -> None:
        super().__init__(name, Inbox())
        self._chronicle, self._weather = chronicle, weather

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        mood = self._weather.mood()
        vars(session)["mood"] = mood
        if mood is Mood.RESET_EARLY:
            _hang_up(server, reset=True)
        envelope.mail_from = address
        return "421 4.7.0 Too busy" if mood is Mood.BUSY else "250 OK"

    async def handle_RCPT(
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if vars(session)["mood"] is Mood.FORBIDDEN:
            return "550 5.7.1 Not for you"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert envelope.original_content is not None
        mail = message_from_bytes(envelope.original_content, policy=modern)
        text = mail.get_body(("plain",))
        assert text is not None
        mood: Mood = vars(session)["mood"]
        body = "\n".join(text.get_content().splitlines())
        self._chronicle.put(Came(channel=MAIL, title=str(mail["Subject"]), body=body, mood=mood))
        self._weather.on_read()
        if mood is Mood.ERROR:
            return "451 4.3.0 Try again later"
        if mood is Mood.LEAVE:
            await server.push("250 OK")
        if mood is not Mood.ACCEPT and mood is not Mood.HANG:
            _hang_up(server, reset=mood is Mood.RESET)
        return "250 OK" if mood is Mood.ACCEPT else await _silence()


async def _silence() -> str:
    """Waits until the connection is closed, which cancels this."""
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


def _hang_up(session: SMTP, *, reset: bool) -> None:
    assert isinstance(session.transport, asyncio.Transport)
    if reset:
        connection: socket.socket = session.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        session.transport.abort()
    else:
        session.transport.close()
