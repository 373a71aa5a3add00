"""The errors that a person can fix. Each knows its exit code.

BudgetdError           exit 1    something failed while running
  UsageError           exit 2    the command line is wrong
  ConfigError          exit 78   the config, a provider file or a credential is wrong; lists every problem found
  StoreError           exit 1    the database can't be read, written or locked
  TemplateError        exit 1    a channel's template does not give a text; `check` reports it, a send survives it

Bugs are none of these: they stay ordinary exceptions, and the job wrapper in `service` logs them.
"""

from collections.abc import Iterable
from typing import ClassVar


class BudgetdError(Exception):
    exit_code: ClassVar[int] = 1


class UsageError(BudgetdError):
    exit_code = 2


class ConfigError(BudgetdError):
    """One or more problems, each a whole line: file, key and what to do."""

    exit_code = 78

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class StoreError(BudgetdError):
    pass


class TemplateError(BudgetdError):
    """What is wrong, and the line of the template where it is known."""

    def __init__(self, what: str, line: int | None = None) -> None:
        self.line = line
        super().__init__(f"line {line}: {what}" if line else what)
