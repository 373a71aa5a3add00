"""Prompts at a terminal. Secrets are not echoed; without a terminal nothing is asked."""

import getpass
import sys
from collections.abc import Callable, Mapping
from typing import TypeVar

import typer

T = TypeVar("T")


def is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def ask(question: str, default: str | None = None) -> str:
    """Without a default, asks until the answer is not empty."""
    said: str = typer.prompt(question, default=default, show_default=bool(default))
    return said.strip()


def ask_until(question: str, read: Callable[[str], T], default: str | None = None, *, secret: bool = False) -> T:
    """Asks until the answer is valid: `read` raises ValueError for an invalid one."""
    while True:
        said = ask_secret(question) if secret else ask(question, default)
        try:
            return read(said)
        except ValueError as error:
            typer.echo(f"  {error}")


def ask_secret(question: str) -> str:
    """The answer may be empty. The echo is off before the prompt appears, as a key may be pasted right away."""
    try:
        return getpass.getpass(f"{question}: ").strip()
    except (EOFError, KeyboardInterrupt) as error:
        raise typer.Abort from error


def confirm(question: str, *, default: bool = True) -> bool:
    return typer.confirm(question, default=default)


def choose(question: str, choices: Mapping[str, str]) -> str:
    """Asks for one of the keys, each the first letter of its word."""
    words = ", ".join(choices.values())

    def read(said: str) -> str:
        letter = said[:1].lower()
        if letter not in choices:
            raise ValueError(f"choose one of: {words}")
        return letter

    return ask_until(f"{question} ({words})", read)
