"""Vendors on loopback that answer as a test wants, keep what they were sent, and misbehave in every way there is."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trustme

Script = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Vendor:
    """A server on loopback that answers each path with its script, and keeps what it was sent."""

    url: str = ""
    heads: list[str] = field(default_factory=list)
    connections: int = 0
    ended: int = 0


@asynccontextmanager
async def vendor(tls: ssl.SSLContext | None = None, **scripts: Script) -> AsyncIterator[Vendor]:
    self, tasks = Vendor(), set[asyncio.Task[None] | None]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.heads.append(head)
                await scripts[head.split()[1].strip("/").split("?")[0]](writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            self.ended += 1
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    self.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield self
    finally:
        server.close()
        for task in tasks:
            assert task is not None
            task.cancel()
        await asyncio.gather(*(task for task in tasks if task), return_exceptions=True)


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
