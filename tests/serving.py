"""Vendors on loopback that answer as a test wants, keep what they were sent, and misbehave in every way there is."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import trustme

Script = Callable[[asyncio.StreamWriter], Awaitable[None]]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Vendor:
    """A server on loopback that answers each path with its script, and keeps what it was sent."""

    url: str = ""
    heads: list[str] = field(default_factory=list)
    connections: int = 0
    ended: int = 0


@asynccontextmanager
async def vendor(tls: ssl.SSLContext | None = None, **scripts: Script) -> AsyncIterator[Vendor]:
    self = Vendor()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.heads.append(head)
                await scripts[head.split()[1].strip("/").split("?")[0]](writer)
                await writer.drain()
        finally:
            self.ended += 1

    async with listening(serve, tls) as port:
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        yield self


@asynccontextmanager
async def listening(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The port. Whoever hangs up, and whatever is still open at the end, is no failure."""
    tasks = set[asyncio.Task[None]]()

    async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        with suppress(asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(begin, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def mute() -> AsyncIterator[tuple[int, asyncio.Event]]:
    """The port of one that says nothing, and whether somebody has hung up on it."""
    left = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while await reader.read(65_536):
                pass
        left.set()

    async with listening(say_nothing) as port:
        yield port, left


def say(body: bytes = b"{}", status: str = "200 OK", **headers: str) -> Script:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {text}" for name, text in headers.items()]
    return write("\r\n".join([*lines, "", ""]).encode() + body)


def write(raw: bytes, *, close: bool = False, reset: bool = False) -> Script:
    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        if reset:
            writer.transport.abort()
        if close or reset:
            writer.close()

    return script


async def hang(_writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def trickle(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(1000):
        writer.write(b" ")
        await asyncio.sleep(0.02)


async def flood(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(50):
        writer.write(b"f4240\r\n" + b" " * 1_000_000 + b"\r\n")
        await writer.drain()


def tls_of(certificate: trustme.LeafCert) -> ssl.SSLContext:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(tls)
    return tls
