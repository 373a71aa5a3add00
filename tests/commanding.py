"""Running commands in this process, on the config of a test."""

from collections.abc import Callable
from pathlib import Path

from typer.testing import CliRunner

from budgetd.cli.app import app

Command = Callable[..., tuple[int, str]]
"""The words of a command -> its exit code, and what it printed or the error that it ended with."""


def command_on(config: Path) -> Command:
    def run(*words: str, answer: str = "") -> tuple[int, str]:
        ran = CliRunner().invoke(app, [*words, "--config", str(config)], input=answer)
        if ran.exit_code == 0 or isinstance(ran.exception, SystemExit):
            return ran.exit_code, ran.output
        return getattr(ran.exception, "exit_code", 1), str(ran.exception)

    return run
