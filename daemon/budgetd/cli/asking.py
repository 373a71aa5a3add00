"""Questions to a person at a terminal. Secrets are not echoed; without a terminal nothing is ever asked."""

import getpass
import sys
from collections.abc import Callable, Mapping
from typing import TypeVar

import typer

T = TypeVar("T")


def is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def ask(question: str, default: str | None = None) -> str:
    """Until something is said, where there is no default."""
    said: str = typer.prompt(question, default=default, show_default=bool(default))
    return said.strip()


def ask_until(question: str, read: Callable[[str], T], default: str | None = None, *, secret: bool = False) -> T:
    """Until it makes sense: `read` raises ValueError for what does not."""
    while True:
        said = ask_secret(question) if secret else ask(question, default)
        try:
            return read(said)
        except ValueError as error:
            typer.echo(f"  {error}")


def ask_secret(question: str) -> str:
    """Nothing may be said as well. The echo is off before the question is shown: a key may be pasted at once."""
    try:
        return getpass.getpass(f"{question}: ").strip()
    except (EOFError, KeyboardInterrupt) as error:
        raise typer.Abort from error


def confirm(question: str, *, default: bool = True) -> bool:
    return typer.confirm(question, default=default)


def choose(question: str, choices: Mapping[str, str]) -> str:
    """One of the keys, each a letter that the word after it begins with."""
    words = ", ".join(choices.values())

    def read(said: str) -> str:
        letter = said[:1].lower()
        if letter not in choices:
            raise ValueError(f"choose one of: {words}")
        return letter

    return ask_until(f"{question} ({words})", read)
