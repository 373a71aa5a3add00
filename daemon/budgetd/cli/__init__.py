"""The command: verbs in `app`, what they print in `tables`. An error is one line, and an exit code that says which."""

import functools
import gc
import io
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from budgetd.errors import BudgetdError

if TYPE_CHECKING:
    from typer import TyperException

INTERRUPTED: Final = 130
"""As a shell has it: 128, and the number of SIGINT."""


def main() -> None:
    """Whatever is wrong is told in lines of its own, never in a traceback."""
    try:
        _open_streams()
        sys.exit(_run())
    except BudgetdError as error:
        for line in str(error).splitlines():
            print(line, file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # who reads through a pipe may have enough, as `head` does
            print(f"{error.filename or 'the output'}: {error.strerror}", file=sys.stderr)
        # What is still to be flushed has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)


def _run() -> int:
    app = _load()
    from typer import Abort, TyperException  # noqa: PLC0415 - as `app` is

    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except Abort:  # Ctrl-C or the end of the input, at a question
        print("\ngiven up; nothing is done", file=sys.stderr)
        return 1
    except TyperException as error:
        print(_line_of(error), file=sys.stderr)
        return error.exit_code
    return code or 0


def _open_streams() -> None:
    """A closed one is opened on nothing, or the next file would take its place.

    What the terminal's encoding has no sign for is shown as its code.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            stream = os.fdopen(os.open(os.devnull, os.O_RDWR), "w" if number else "r", encoding="utf-8")
            setattr(sys, name, stream)
        if isinstance(stream, io.TextIOWrapper) and number:
            stream.reconfigure(errors="backslashreplace")


def _line_of(error: "TyperException") -> str:
    """What is wrong with the words, and where the right ones are; the help itself, where there were no words."""
    said = error.format_message()
    if "\n" in said:
        return said
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "budgetd"
    # Typer has pydantic read what was typed.
    return f"{said.replace('Value error, ', '').rstrip('.')}: see `{command} --help`"


@functools.cache
def _load() -> Callable[..., int | None]:
    """All modules stay to the end, so none is searched for garbage: that would be a quarter of the time to start."""
    gc.disable()
    from budgetd.cli.app import app  # noqa: PLC0415 - after this module, so that `--help` alone stays quick

    gc.freeze()
    gc.enable()
    return app
