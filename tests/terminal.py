"""A command at a real pseudo-terminal, spoken with as a person does: wait for a question, then type."""

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

LONGEST_WAIT: Final = 30.0


class Terminal:
    """`budgetd` with these words. `shown` is all that the person saw, what was echoed included."""

    def __init__(self, *words: str, environment: Mapping[str, str], folder: Path) -> None:
        self.shown = ""
        self._read_from = 0
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "budgetd", *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env={**os.environ, **environment, "COLUMNS": "250", "TERM": "dumb"},
            start_new_session=True,
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._ours)

    def expect(self, text: str) -> None:
        """Waits until it is shown, after what was expected before."""
        deadline = time.monotonic() + LONGEST_WAIT
        while text not in self.shown[self._read_from :]:
            assert self._read(deadline), f"never shown: {text!r}\n{self.shown}"
        self._read_from = self.shown.index(text, self._read_from) + len(text)

    def answer(self, question: str, said: str) -> None:
        self.expect(question)
        os.write(self._ours, f"{said}\n".encode())

    def end(self) -> int:
        deadline = time.monotonic() + LONGEST_WAIT
        while self._read(deadline):
            pass
        return self._process.wait(LONGEST_WAIT)

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], max(deadline - time.monotonic(), 0))
        try:
            more = os.read(self._ours, 65536) if ready else b""
        except OSError:  # the other end is closed
            more = b""
        self.shown += more.decode(errors="replace").replace("\r\n", "\n")
        return bool(more)
