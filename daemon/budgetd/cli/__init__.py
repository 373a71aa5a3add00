"""The command line: commands are in `app`, printing in `tables`. An error is one line, and an exit code."""

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
"""The shell's convention: 128 plus the number of SIGINT."""


def main() -> None:
    """Prints errors as plain lines, never as a traceback."""
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
        if not isinstance(error, BrokenPipeError):  # the reader of a pipe may close it early, as `head` does
            print(f"{error.filename or 'the output'}: {error.strerror}", file=sys.stderr)
        # The rest of the output can't be flushed to stdout any more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)


def _run() -> int:
    app = _load()
    from typer import Abort, TyperException  # noqa: PLC0415 - as `app` is

    try:
        code = app(prog_name="budgetd", standalone_mode=False)  # else as it was started: `python -m ...`
        sys.stdout.flush()
    except Abort:  # Ctrl-C, or end of input, at a prompt
        print("\ngiven up; nothing is done", file=sys.stderr)
        return 1
    except TyperException as error:
        print(_line_of(error), file=sys.stderr)
        return error.exit_code
    return code or 0


def _open_streams() -> None:
    """Opens closed standard streams on /dev/null, or the next opened file would take their descriptors.

    Characters that the encoding of the terminal lacks are printed as escapes.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            stream = os.fdopen(os.open(os.devnull, os.O_RDWR), "w" if number else "r", encoding="utf-8")
            setattr(sys, name, stream)
        if isinstance(stream, io.TextIOWrapper) and number:
            stream.reconfigure(errors="backslashreplace")


def _line_of(error: "TyperException") -> str:
    """A usage error with a pointer to `--help`; the help itself if no arguments were given."""
    said = error.format_message()
    if "\n" in said:
        return said
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "budgetd"
    # Typer parses values with pydantic, which adds this prefix.
    return f"{said.replace('Value error, ', '').rstrip('.')}: see `{command} --help`"


@functools.cache
def _load() -> Callable[..., int | None]:
    """Imports with garbage collection off: modules are never freed, and collecting takes a quarter of the start-up."""
    gc.disable()
    from budgetd.cli.app import app  # noqa: PLC0415 - with the garbage collector off

    gc.freeze()
    gc.enable()
    return app
