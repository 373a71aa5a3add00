"""Connections to the vendors: a small pool for each origin, because the cost of one for all grows quadratically."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Final

import httpx

from budgetd.network import Proxies, Proxy, make_tls

MAX_CONNECTIONS: Final = 4
KEEP_ALIVE: Final = timedelta(minutes=1)

Origin = tuple[str, str, int | None]


def origin_of(url: httpx.URL) -> Origin:
    return url.scheme, url.host, url.port


@dataclass(slots=True)
class Pool:
    """The connections to one origin, all of them through `proxy` where there is one."""

    transport: httpx.AsyncBaseTransport
    proxy: Proxy | None = None
    in_flight: int = 0
    used_at: float = 0.0
    # Requests queue here and not in httpcore, which searches its whole queue at each request and each answer.
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_CONNECTIONS))


class OnePool:
    """The pool that replaces the network in tests."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._pool = Pool(transport)

    @asynccontextmanager
    async def connected(self, _url: httpx.URL) -> AsyncIterator[Pool]:
        yield self._pool

    async def aclose(self) -> None:
        """Nothing to do: the transport belongs to the test."""


@cache
def _default_tls() -> ssl.SSLContext:
    """One for all: each costs 20 ms and 0.8 MiB."""
    return httpx.create_ssl_context()


class Pools:
    """A pool for each origin. Raises ConfigError if a proxy or an authority in the environment can't be used."""

    def __init__(self, keep_alive: timedelta) -> None:
        self._keep_alive = keep_alive.total_seconds()
        self._proxies = Proxies()
        self._tls = make_tls() or _default_tls()
        self._pools: dict[Origin, Pool] = {}

    @asynccontextmanager
    async def connected(self, url: httpx.URL) -> AsyncIterator[Pool]:
        """A pool with a connection to spare."""
        origin = origin_of(url)
        pool = self._pools.pop(origin, None) or self._open(origin)
        self._pools[origin] = pool  # The pools are in the order of their last use.
        pool.in_flight += 1
        try:
            await self._close_idle()
            async with pool.slots:
                yield pool
        finally:
            pool.in_flight -= 1
            pool.used_at = asyncio.get_running_loop().time()

    async def aclose(self) -> None:
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            await pool.transport.aclose()

    def _open(self, origin: Origin) -> Pool:
        limits = httpx.Limits(
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_CONNECTIONS,
            keepalive_expiry=self._keep_alive,
        )
        proxy = self._proxies.find(*origin)
        through = httpx.Proxy(proxy.url, ssl_context=self._tls if proxy.has_tls else None) if proxy else None
        return Pool(httpx.AsyncHTTPTransport(verify=self._tls, limits=limits, proxy=through), proxy=proxy)

    async def _close_idle(self) -> None:
        """Close the pool unused for longest, if for too long: one at each request keeps their number bounded."""
        origin, pool = next(iter(self._pools.items()))
        idle = asyncio.get_running_loop().time() - pool.used_at
        if not pool.in_flight and idle > self._keep_alive:
            del self._pools[origin]
            await pool.transport.aclose()
