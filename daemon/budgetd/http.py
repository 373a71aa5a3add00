"""The one way out to the vendors: plain GETs, and POSTs of those that are asked so, bounded in time and in size.

It stays below `httpx.AsyncClient`, on its transports. A client's cookies, redirects and event hooks are what must not
happen to an API key, and leaving them out saves a third of the CPU of a GET: 0.33 instead of 0.51 ms.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from importlib.metadata import version
from typing import Final, Literal

import httpx

from budgetd.compression import CompressionError, unpack
from budgetd.journey import Journey, Phase
from budgetd.pools import KEEP_ALIVE, OnePool, Pools, origin_of
from budgetd.turns import Line, Turns
from budgetd_rules.polls import Cause

MAX_BYTES: Final = 5_000_000
MAX_REDIRECTS: Final = 3
LAST_PORT: Final = 65_535

_DEFAULT_HEADERS: Final = {
    "User-Agent": f"budgetd/{version('budgetd')}",
    "Accept": "application/json",
    # Answers are a kilobyte or so: unpacking them costs more than it saves.
    "Accept-Encoding": "identity",
}


class RequestFailedError(Exception):
    """A request that got no usable answer: its cause, and one line for people without the key or the URL's query."""

    def __init__(self, cause: Cause, detail: str) -> None:
        self.cause = cause
        self.detail = detail
        super().__init__(detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One GET, or a POST of JSON, sent at every poll; headers, URL and body may hold secrets, so none is shown.

    Raises ValueError where the URL or a header can't be sent.
    """

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False, default_factory=dict)
    params: Mapping[str, str] = field(repr=False, default_factory=dict)
    method: Literal["GET", "POST"] = "GET"
    json: bytes | None = field(repr=False, default=None)
    ready: httpx.Request = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, value in self.headers.items():
            if not (value.isascii() and value.isprintable()):
                raise ValueError(f"the header {name} would hold characters that HTTP does not allow, or a line break")
        headers = httpx.Headers(_DEFAULT_HEADERS)
        if self.json is not None:
            headers["Content-Type"] = "application/json"
        headers.update(self.headers)
        try:
            url = httpx.URL(self.url, params=self.params) if self.params else httpx.URL(self.url)
        except httpx.InvalidURL as error:
            raise ValueError("the URL is none") from error
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError("the URL is none: it begins with https:// and a host")
        if url.port is not None and not 1 <= url.port <= LAST_PORT:
            raise ValueError(f"the URL is none: its port lies between 1 and {LAST_PORT}")
        object.__setattr__(self, "ready", httpx.Request(self.method, url, headers=headers, content=self.json))

    @property
    def place(self) -> str:
        """Scheme, host and port."""
        return _place(self.ready.url)

    def at(self, link: str, params: Mapping[str, str]) -> "Request":
        """The same request where the link of an answer leads, with `params` in the query whatever the link has there.

        Raises RequestFailedError where that is another origin.
        """
        try:
            target = _join(self.ready.url, link, "its next page is at")
        except httpx.InvalidURL as error:
            raise RequestFailedError(Cause.MALFORMED, "the link to its next page is no URL") from error
        return replace(self, url=str(target.copy_merge_params(params) if params else target), params={})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. The names of `headers` are in lower case; `header` takes them in any. `took` is without the time
    that it waited for its turn.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    took: timedelta = timedelta(0)

    def header(self, name: str) -> str | None:
        return self.headers.get(name.lower())


class Client:
    """Sends requests. One for the whole process; `transport` replaces the network in tests.

    Proxies and authorities are those of the environment. Raises ConfigError where it names what can't be used.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport | None = None, keep_alive: timedelta = KEEP_ALIVE) -> None:
        for name in ("httpx", "httpcore"):
            # They log URLs and headers.
            logging.getLogger(name).setLevel(logging.WARNING)
        self._pools = Pools(keep_alive) if transport is None else OnePool(transport)
        self.turns = Turns()

    async def send(self, request: Request, within: timedelta, line: Line | None = None) -> Answer:
        """The whole answer, of whatever status; raises RequestFailedError where there is none in time.

        The time begins when it is its turn.
        """
        journey = Journey(host=_show_host(request.ready.url))
        with _translated(journey, within):
            return await self._follow(request.ready, journey, within.total_seconds(), line)

    async def aclose(self) -> None:
        await self._pools.aclose()

    async def _follow(self, request: httpx.Request, journey: Journey, within: float, line: Line | None) -> Answer:
        took = 0.0
        for _ in range(MAX_REDIRECTS + 1):
            async with self.turns.turn(line):
                started = asyncio.get_running_loop().time()
                # httpx's own timeouts are for each read: an answer that trickles in would never end.
                async with asyncio.timeout(within - took):
                    answer = await self._exchange(request, journey)
                took += asyncio.get_running_loop().time() - started
            location = answer.header("location")
            if answer.status not in (301, 302, 303, 307, 308) or not location:
                return replace(answer, took=timedelta(seconds=took))
            if request.method != "GET" and answer.status in (301, 302, 303):
                raise RequestFailedError(Cause.MALFORMED, f"it redirects a {request.method} as if it were a GET")
            target = _join(request.url, location, "it redirects to")
            request = httpx.Request(request.method, target, headers=request.headers, stream=request.stream)
        raise RequestFailedError(Cause.MALFORMED, f"it redirects more than {MAX_REDIRECTS} times")

    async def _exchange(self, request: httpx.Request, journey: Journey) -> Answer:
        async with self._pools.connected(request.url) as pool:
            journey.via = pool.proxy
            response = await _begin(pool.transport, request, journey)
            try:
                # To a request over http, which an HTTP proxy passes on as it is.
                if pool.proxy and not pool.proxy.is_socks and response.status_code == 407:
                    raise RequestFailedError(Cause.UNREACHABLE, journey.refused(407))
                body = await _read_or_leave(response)
            finally:
                await response.aclose()
        return Answer(status=response.status_code, headers=_lower_headers(response.headers), body=body)


def _join(url: httpx.URL, place: str, words: str) -> httpx.URL:
    target = url.join(place)
    if origin_of(target) != origin_of(url):
        raise RequestFailedError(
            Cause.MALFORMED,
            f"{words} {_show_host(target)}, and the key goes nowhere but {_show_host(url)}: is base_url right?",
        )
    return target


def _show_host(url: httpx.URL) -> str:
    return _place(url)[:100]


def _place(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"


def _lower_headers(headers: httpx.Headers) -> dict[str, str]:
    lower: dict[str, str] = {}
    for raw_name, raw_value in headers.raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        lower[name] = f"{lower[name]}, {value}" if name in lower else value
    return lower


async def _begin(transport: httpx.AsyncBaseTransport, request: httpx.Request, journey: Journey) -> httpx.Response:
    """Sends the request; its answer up to the body."""
    journey.phase = Phase.ANSWER
    traced = httpx.Request(
        request.method,
        request.url,
        headers=request.headers,
        stream=request.stream,
        extensions={"trace": journey.note},
    )
    try:
        response = await transport.handle_async_request(traced)
    except BaseException:
        await journey.hang_up()
        raise
    journey.phase = Phase.BODY
    return response


async def _read_or_leave(response: httpx.Response) -> bytes:
    """Of an error the status and the headers tell enough: what else it says may be left out if it is odd."""
    try:
        return await _read(response)
    except RequestFailedError:
        if response.status_code < 400:
            raise
        return b""


async def _read(response: httpx.Response) -> bytes:
    length = response.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length[:20]) > MAX_BYTES:
        raise _too_large()
    assert isinstance(response.stream, httpx.AsyncByteStream)
    chunks, size = [], 0
    async for chunk in response.stream:
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BYTES:
            raise _too_large()
    body = b"".join(chunks)
    encoding = response.headers.get("content-encoding", "identity").lower()
    return body if encoding == "identity" or not body else _unpack(body, encoding)


def _unpack(body: bytes, encoding: str) -> bytes:
    try:
        whole = unpack(body, encoding, MAX_BYTES + 1)
    except CompressionError as error:
        raise RequestFailedError(Cause.MALFORMED, str(error)) from error
    if len(whole) > MAX_BYTES:
        raise _too_large()
    return whole


def _too_large() -> RequestFailedError:
    return RequestFailedError(Cause.MALFORMED, f"its answer is larger than {MAX_BYTES // 1_000_000} MB")


@contextmanager
def _translated(journey: Journey, limit: timedelta) -> Iterator[None]:
    """Every failure as RequestFailedError, in our words: theirs quote headers, the key among them, or strangers."""
    try:
        yield
    except TimeoutError as error:
        raise RequestFailedError(Cause.UNREACHABLE, journey.late(limit)) from error
    except httpx.ProxyError as error:
        is_socks = journey.via is not None and journey.via.is_socks
        said = journey.refused_by_socks(str(error)) if is_socks else journey.refused(_status(error))
        raise RequestFailedError(Cause.UNREACHABLE, said) from error
    except httpx.ConnectError as error:
        raise RequestFailedError(Cause.UNREACHABLE, journey.no_connection(error)) from error
    except (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeError) as error:
        detail = "can't be sent: its URL or one of its headers is not as HTTP wants it"
        raise RequestFailedError(Cause.MALFORMED, detail) from error
    except (httpx.HTTPError, OSError) as error:
        raise RequestFailedError(Cause.UNREACHABLE, journey.broken()) from error
    except Exception as error:
        if journey.phase is not Phase.TUNNEL:
            raise
        # What is no SOCKS, httpcore meets with whatever comes of it.
        raise RequestFailedError(Cause.UNREACHABLE, journey.broken()) from error


def _status(error: httpx.ProxyError) -> int:
    """`407 Proxy Authentication Required`: the number alone, as the rest is the proxy's own."""
    number = str(error).partition(" ")[0]
    return int(number) if number.isdecimal() else 0
