"""A realistic mail server on loopback, with STARTTLS or TLS, a password, and configurable failures."""

import asyncio
import ssl
import threading
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as modern
from pathlib import Path
from typing import Self

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from budgetd.demo.loopback import HOST

USER, PASSWORD = "budgetd@acme.example", "canary/pass word"
ACCEPT = "250 OK"


class MailServer:
    """`mails` came in whole. `after_...` says how a recipient and a text are answered; None drops the connection."""

    def __init__(self, *, tls: bool = True, at_once: bool = False) -> None:
        self.mails: list[EmailMessage] = []
        self.accept()
        self.ca = trustme.CA()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert("localhost", HOST).configure_cert(self._context)
        self._tls, self._at_once = tls, at_once
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = 0

    def accept(self) -> None:
        self.after_rcpt = ACCEPT
        self.after_data: str | None = ACCEPT

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(5)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def _listen(self) -> asyncio.Server:
        return await self._loop.create_server(self._session, HOST, 0, ssl=self._context if self._at_once else None)

    def _session(self) -> SMTP:
        starttls = self._context if self._tls and not self._at_once else None
        return SMTP(
            self,
            hostname="mail.test",
            loop=self._loop,
            tls_context=starttls,
            require_starttls=starttls is not None,
            auth_required=starttls is not None,
            auth_require_tls=starttls is not None,
            authenticator=self._is_known,
        )

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _stop(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def trust(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        """Makes this process trust the server's CA."""
        self.ca.cert_pem.write_to_path(folder / "mail-ca.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(folder / "mail-ca.pem"))

    @staticmethod
    def _is_known(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, login: object) -> AuthResult:
        assert isinstance(login, LoginPassword)
        if (login.login, login.password) == (USER.encode(), PASSWORD.encode()):
            return AuthResult(success=True)
        return AuthResult(success=False, handled=False, message="535 5.7.8 Username and Password not accepted")

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return self.after_rcpt

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:
        assert envelope.original_content is not None
        if self.after_data is None:
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
            return ""
        if self.after_data == ACCEPT:
            mail = message_from_bytes(envelope.original_content, policy=modern)
            assert isinstance(mail, EmailMessage)
            self.mails.append(mail)
        return self.after_data
