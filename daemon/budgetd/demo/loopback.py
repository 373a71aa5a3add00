"""A small HTTP/1.1 server on 127.0.0.1, in threads of its own, that can also hang or reset as real ones do.

The demo's vendors and its webhook stand on it. They are the outside world, so they have a clock of their own.
"""

import socket
import socketserver
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Final, Self

HOST: Final = "127.0.0.1"
# Close at once and tell the peer so (RST), instead of the orderly end.
RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


def wall_clock() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)


class Fault(Enum):
    """What a server does instead of answering."""

    HANG = "hang"
    """Takes the request and says nothing for as long as the client stays."""
    RESET = "reset"
    """Takes the request and resets the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: HTTPStatus
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


Answerer = Callable[[Request], Answer | Fault]
Connection = socket.socket | tuple[bytes, socket.socket]
"""As socketserver has it; the pair is for UDP."""


class TcpServer(socketserver.ThreadingTCPServer):
    """On a free port of 127.0.0.1. Not http.server's, which looks up the host's name before it serves."""

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, handler: type[socketserver.BaseRequestHandler]) -> None:
        super().__init__((HOST, 0), handler)

    def shutdown_request(self, request: Connection) -> None:
        # Without the base class's shutdown(): its FIN would go out before the RST of a connection to be reset.
        self.close_request(request)

    def handle_error(self, request: Connection, client_address: object) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a client that is killed or gives up is no error here
            super().handle_error(request, client_address)


class Serving:
    """Runs a server in a thread of its own while the `with` block lasts."""

    def __init__(self, server: TcpServer) -> None:
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class HttpServer(Serving):
    """Answers HTTP requests. At the end of the `with` block, open connections are cut and their threads joined."""

    def __init__(self, answer: Answerer) -> None:
        super().__init__(_HttpServer(answer))

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"


class _HttpServer(TcpServer):
    def __init__(self, answer: Answerer) -> None:
        self.answer = answer
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        super().__init__(_Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        with self._lock:
            self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Connection) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        with self._lock:
            for connection in self._open:
                with suppress(OSError):  # the client left first
                    connection.shutdown(socket.SHUT_RDWR)
        super().server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One segment per answer: two would wait for the client's delayed acknowledgement, 40 ms on a kept connection.
    wbufsize = -1
    server: _HttpServer

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(method=self.command, path=self.path, headers=headers, body=body)
        answer = self.server.answer(request)
        if isinstance(answer, Fault):
            self._fail(answer)
            return
        self.send_response(answer.status)
        fixed = {"Content-Type": answer.content_type, "Content-Length": str(len(answer.body))}
        for name, value in {**fixed, **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST = _answer

    def _fail(self, fault: Fault) -> None:
        self.close_connection = True
        if fault is Fault.HANG:
            self.connection.recv(1)  # returns when the client leaves, or when this server stops
        else:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)

    def version_string(self) -> str:
        return "budgetd-demo"

    def log_message(self, format: str, *args: object) -> None:
        pass
