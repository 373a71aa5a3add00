"""Keys that change while budgetd runs: what a command prints, and what a file holds that others write.

The requests made with a key are kept until there is another. A vendor may quote any of the last keys: all are hidden.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from budgetd.collect.sources import Source
from budgetd.collect.texts import hide
from budgetd.credentials import KeySource, Secret, SecretSource, SecretUnavailableError, may_change, read_secret
from budgetd.durations import format_duration
from budgetd.errors import ConfigError
from budgetd.key_commands import WITHIN, KeyCommands, find_program

Make = Callable[[Secret], Source]
Fetch = Callable[[], Awaitable[Secret]]

NO_KEY_YET: Final = Secret("no-key-yet-5d0c1e")
"""Stands in requests that are never sent, so that all else that is wrong with them is found at the start."""
HIDDEN_KEYS: Final = 8


def first_secret(source: SecretSource, base: Path) -> Secret:
    """What stands in for a key that a command prints: it is run only when there is something to ask the vendor.

    Raises SecretUnavailableError, also where there is no such program.
    """
    if not isinstance(source, KeySource) or source.command is None:
        return read_secret(source, base)
    if find_program(source.command, base) is None:
        name = source.command[0].reveal()
        where = "beside the config" if "/" in name else "in $PATH"
        raise SecretUnavailableError(f"there is no program {name} {where}, or it can't be run")
    return NO_KEY_YET


def renewable(make: Make, setting: Secret | KeySource, secret: Secret, base: Path, commands: KeyCommands) -> Source:
    """The source made with this secret; where another can be had later, one that asks for it. Raises ConfigError."""
    if not isinstance(setting, KeySource):
        return make(secret)
    if setting.command is not None:
        return Renewal(make, partial(commands.run, setting.command, base), ttl=setting.ttl).source
    if may_change(setting, base):
        return Renewal(make, partial(read_again, setting, base), first=secret).source
    return make(secret)


async def read_again(setting: KeySource, base: Path, within: timedelta = WITHIN) -> Secret:
    """Raises SecretUnavailableError, also where the file's server does not answer."""
    try:
        async with asyncio.timeout(within.total_seconds()):
            return await asyncio.to_thread(read_secret, setting, base)
    except TimeoutError as error:
        raise SecretUnavailableError(f"{setting.file}: not read within {format_duration(within)}") from error


class Renewal:
    """The present key of an account. At most one is fetched in a poll; a poll is known by its time."""

    def __init__(self, make: Make, fetch: Fetch, ttl: timedelta | None = None, first: Secret | None = None) -> None:
        """Raises ConfigError where requests can't be made, whatever the key."""
        self._make, self._fetch, self._ttl = make, fetch, ttl
        self._key = first
        self._fetched_at: datetime | None = None
        self._tried_at: datetime | None = None
        self._problem = ""
        self._lock = asyncio.Lock()
        self._hidden: deque[tuple[str, ...]] = deque(maxlen=HIDDEN_KEYS)
        self._redact = hide()
        self.source = self._made_with(first or NO_KEY_YET)

    async def current(self, now: datetime) -> Source:
        """Raises SecretUnavailableError where there is no key."""
        if self._key is None or self._has_aged(now):
            await self._renew(now)
        return self.source

    async def after_refusal(self, now: datetime) -> Source:
        """The same source where there is no other key. Raises SecretUnavailableError where none could be fetched."""
        await self._renew(now)
        return self.source

    def redact(self, text: str) -> str:
        """Also in the hands of those who had it before the last key came."""
        return self._redact(text)

    def _has_aged(self, now: datetime) -> bool:
        if self._ttl is None or self._fetched_at is None:
            return False
        # A clock that was set back says nothing of the key's age.
        return not timedelta(0) <= now - self._fetched_at < self._ttl

    async def _renew(self, now: datetime) -> None:
        async with self._lock:
            if self._tried_at != now:
                try:
                    self._take(await self._fetch(), now)
                    self._problem = ""
                except SecretUnavailableError as error:
                    self._problem = str(error)
                self._tried_at = now
        if self._problem:
            raise SecretUnavailableError(self._problem)

    def _take(self, key: Secret, now: datetime) -> None:
        if key != self._key:
            try:
                self.source = self._made_with(key)
            except ConfigError:
                raise SecretUnavailableError("the new key holds characters that HTTP does not allow") from None
            self._key = key
        self._fetched_at = now

    def _made_with(self, key: Secret) -> Source:
        made = self._make(key)
        self._hidden.append(made.secrets)
        self._redact = hide(*(secret for secrets in self._hidden for secret in secrets))
        return replace(made, redact=self.redact, keyring=self)
