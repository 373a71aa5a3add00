"""Services far away, on loopback: a proxy that answers for every host that it is asked to connect to.

What is under test talks to https://hooks.slack.com as ever: through $HTTPS_PROXY, and with a CA of the test's own.
"""

import json
import socket
import socketserver
import ssl
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import trustme

from budgetd.demo.loopback import HOST, Answer, Request, Serving, TcpServer


class Faraway(Serving):
    """`requests` came in, each to `host/path`; `answer` says what goes back."""

    def __init__(self, *hosts: str) -> None:
        self.requests: list[tuple[str, Request]] = []
        self.answer: Callable[[Request], Answer] = lambda _: Answer(status=HTTPStatus.OK, body=b"ok")
        self.ca = trustme.CA()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*hosts).configure_cert(self._context)
        super().__init__(_Server(self))

    def point(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        """Directs this process's outgoing requests here."""
        self.ca.cert_pem.write_to_path(folder / "ca.pem")
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, f"http://{HOST}:{self.port}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "127.0.0.1")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(folder / "ca.pem"))

    @property
    def payloads(self) -> list[Any]:
        return [json.loads(request.body) for _, request in self.requests]

    def secure(self, connection: socket.socket) -> ssl.SSLSocket:
        return self._context.wrap_socket(connection, server_side=True)


class _Server(TcpServer):
    daemon_threads = True

    def __init__(self, faraway: Faraway) -> None:
        self.faraway = faraway
        super().__init__(_Proxy)


class _Proxy(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        asked = b""
        while not asked.endswith(b"\r\n\r\n"):
            asked += self.request.recv(1)
        host = asked.split()[1].decode()
        self.request.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        with suppress(OSError), self.server.faraway.secure(self.request) as connection:
            _Host(connection, (host, 0), self.server)


class _Host(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(method=self.command, path=self.path, headers=headers, body=body)
        self.server.faraway.requests.append((f"{self.client_address[0]}{self.path}", request))
        answer = self.server.faraway.answer(request)
        self.send_response(answer.status)
        for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:
        pass
