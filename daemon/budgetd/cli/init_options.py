"""The options of `init`, which answer its questions in advance."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from budgetd.cli.invocation import read_pairs
from budgetd.drafts.kept import FORMS, Kept, keep, make_source, read_reference
from budgetd.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretWish:
    """The source of a secret, from options of which at most one may be given. `option` is their common prefix."""

    option: str
    env: str | None = None
    file: str | None = None
    credential: str | None = None
    stdin: bool = False

    @property
    def is_given(self) -> bool:
        return self.stdin or any(part is not None for part in (self.env, self.file, self.credential))

    def kept(self, file: str) -> Kept | None:
        """`file` is where to keep a secret that is read from standard input. Raises UsageError."""
        if not self.is_given:
            return None
        named = {"env": self.env, "file": self.file, "credential": self.credential}
        given = {kind: name for kind, name in named.items() if name is not None}
        if len(given) + self.stdin > 1:
            raise UsageError(f"{self.option}: give one of -env, -file, -credential and -stdin alone")
        try:
            if self.stdin:
                return keep(sys.stdin.readline(), file)
            ((kind, name),) = given.items()
            return Kept(source=make_source(kind, name))
        except ValueError as error:
            where = "standard input" if self.stdin else self.option
            raise UsageError(f"{where}: {_one_line(error)}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """All options of `init`. `asks`: whether to ask for the rest at the terminal."""

    asks: bool
    provider: str | None
    account: str | None
    key: SecretWish
    params: Mapping[str, str]
    base_url: str | None
    channel: SecretWish
    channel_name: str | None
    sends_test: bool
    polls: bool
    force: bool
    adds: bool
    config: Path | None


def read_params(given: Sequence[str]) -> dict[str, str]:
    params = read_pairs(given, "--param")
    for name, value in params.items():
        if not value:
            raise UsageError(f"--param: expected NAME=VALUE, not {name!r} alone")
    return params


def keep_param(name: str, value: str) -> Kept:
    """A secret param: only a reference, as other processes can read command lines. Raises UsageError."""
    try:
        source = read_reference(value)
    except ValueError as error:
        raise UsageError(f"--param {name}: {error}") from error
    if source is None:
        raise UsageError(f"--param {name}: is a secret, so not for the command line: give {FORMS}")
    return Kept(source=source)


def _one_line(error: ValueError) -> str:
    """Pydantic's message without the input, which may be a secret."""
    found = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
    return found.removeprefix("Value error, ")
