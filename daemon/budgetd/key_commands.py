"""Commands that print a key: run without a shell, limited in time and output, and killed with all their children.

Neither their arguments nor their output ever appear in a text of ours: both may hold secrets.
"""

import asyncio
import os
import shutil
import signal
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

from budgetd.credentials import LARGEST, Secret, SecretUnavailableError
from budgetd.durations import format_duration

WITHIN: Final = timedelta(seconds=30)
REAPED_WITHIN: Final = timedelta(seconds=1)
AT_ONCE: Final = 8
"""Commands that run at once, for all accounts together: each may be a hundred megabytes of Python."""


def find_program(words: Sequence[Secret], base: Path) -> str | None:
    """The path of the command's program: relative to the config's folder `base` if it has a slash, else in $PATH."""
    name = words[0].reveal()
    if "/" not in name:
        return shutil.which(name)
    with suppress(RuntimeError):  # `~` of somebody whom the system does not know
        return shutil.which(str(base.absolute() / Path(name).expanduser()))
    return None


def program_name(words: Sequence[Secret]) -> str:
    """The only part of a command that may be shown."""
    return Path(words[0].reveal()).name


class KeyCommands:
    """Runs the commands of one config, some at a time."""

    def __init__(self, within: timedelta = WITHIN) -> None:
        self._within = within
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def run(self, words: Sequence[Secret], base: Path) -> Secret:
        """What it prints, trimmed. Raises SecretUnavailableError, with a line that names only the program."""
        try:
            async with self._turns:
                return _read_key(await self._output(words, base))
        except _FailedError as error:
            line = f"the command for the key failed: {error} ({program_name(words)})"
            raise SecretUnavailableError(line) from None  # what caused it may quote what was printed

    async def _output(self, words: Sequence[Secret], base: Path) -> bytes:
        program = find_program(words, base)
        if program is None:
            raise _FailedError("there is no such program")
        starting = asyncio.ensure_future(_start(program, words))
        try:
            transport, process = await asyncio.shield(starting)
        except OSError as error:
            raise _FailedError(error.strerror or "it can't be run") from error
        except asyncio.CancelledError:
            # asyncio would kill the program only, and not its children.
            with suppress(OSError):
                await _end(*await starting)
            raise
        try:
            async with asyncio.timeout(self._within.total_seconds()):
                await process.is_done.wait()
        except TimeoutError as error:
            raise _FailedError(f"not done within {format_duration(self._within)}") from error
        finally:
            await _end(transport, process)
        return process.result(transport.get_returncode())


class _FailedError(Exception):
    """Why there is no key."""


class _Process(asyncio.SubprocessProtocol):
    """Done when it has ended and nothing holds its output open any more, or when it has printed too much."""

    def __init__(self) -> None:
        self.is_done, self.has_exited = asyncio.Event(), asyncio.Event()
        self.is_closed = False
        self._output = bytearray()

    def pipe_data_received(self, _fd: int, data: bytes) -> None:
        if len(self._output) <= LARGEST:
            self._output += data
        else:
            self.is_done.set()

    def process_exited(self) -> None:
        self.has_exited.set()

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_closed = True
        self.is_done.set()

    def result(self, code: int | None) -> bytes:
        if len(self._output) > LARGEST:
            raise _FailedError(f"it printed more than {LARGEST:,} bytes")
        if code:
            raise _FailedError(f"exit code {code}" if code > 0 else f"ended by signal {-code}")
        return bytes(self._output)


async def _start(program: str, words: Sequence[Secret]) -> tuple[asyncio.SubprocessTransport, _Process]:
    return await asyncio.get_running_loop().subprocess_exec(
        _Process,
        program,
        *(word.reveal() for word in words[1:]),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # a process group of its own, to be killed as a whole
    )


async def _end(transport: asyncio.SubprocessTransport, process: _Process) -> None:
    if not process.is_closed:
        with suppress(OSError):  # it has just ended, or belongs to another user now
            os.killpg(transport.get_pid(), signal.SIGKILL)
        # If the transport is closed before the exit is known, asyncio waits for it twice, and logs a warning.
        with suppress(TimeoutError):
            async with asyncio.timeout(REAPED_WITHIN.total_seconds()):
                await process.has_exited.wait()
    transport.close()


def _read_key(output: bytes) -> Secret:
    try:
        text = output.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise _FailedError("it printed what is no UTF-8 text") from error
    if not text:
        raise _FailedError("it printed nothing")
    if not text.isprintable():
        raise _FailedError("it printed more than one line, or control characters")
    return Secret(text)
