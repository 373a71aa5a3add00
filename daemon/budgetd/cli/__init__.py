"""The command: verbs in `app`, what they print in `tables`. An error is one line, and an exit code that says which."""

import sys

from budgetd.errors import BudgetdError


def main() -> None:
    from budgetd.cli.app import app  # noqa: PLC0415 - after this module, so that `--help` alone stays quick

    try:
        app()
    except BudgetdError as error:
        for line in str(error).splitlines():
            print(line, file=sys.stderr)
        sys.exit(error.exit_code)
