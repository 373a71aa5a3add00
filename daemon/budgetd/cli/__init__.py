"""The command: verbs in `app`, what they print in `tables`. An error is one line, and an exit code that says which."""

import functools
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path

from budgetd.errors import BudgetdError


def main() -> None:
    app = _load()
    with Path(os.devnull).open(encoding="utf-8") as nothing:
        # `<&-` closes it, and what is opened next would get its number.
        sys.stdin = sys.stdin or nothing
        try:
            app()
        except BudgetdError as error:
            for line in str(error).splitlines():
                print(line, file=sys.stderr)
            sys.exit(error.exit_code)


@functools.cache
def _load() -> Callable[[], None]:
    """All modules stay to the end, so none is searched for garbage: that would be a quarter of the time to start."""
    gc.disable()
    from budgetd.cli.app import app  # noqa: PLC0415 - after this module, so that `--help` alone stays quick

    gc.freeze()
    gc.enable()
    return app
