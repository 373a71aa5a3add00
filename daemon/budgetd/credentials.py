"""Where secrets come from, and the type that keeps them from being printed."""

import os
import re
from pathlib import Path
from typing import Annotated, ClassVar, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator
from pydantic_core import CoreSchema, core_schema

from budgetd.durations import Duration

SOURCES: Final = '{ env = "..." }, { file = "..." } or { credential = "..." }'
# What a shell would look up; no key is a dollar and a name in capitals.
_VARIABLE: Final = re.compile(r"\$[A-Z_][A-Z0-9_]*|\$\{[A-Za-z_][A-Za-z0-9_]*\}")
LARGEST: Final = 65_536
"""Bytes: no key is as long, and /dev/zero has no end."""


class Secret:
    """A text that is never shown in a log, message, repr or traceback. Call `reveal()` only where it is sent."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> CoreSchema:
        """Pydantic makes a text in the config a secret."""
        return core_schema.no_info_plain_validator_function(cls._validated)

    @classmethod
    def _validated(cls, value: object) -> "Secret":
        if isinstance(value, cls):
            return value
        if type(value) is not str:
            raise ValueError(f"expected {SOURCES}, or the secret itself in quotes")
        if not value.strip():
            raise ValueError("is empty")
        if _VARIABLE.fullmatch(value.strip()):
            raise ValueError('a variable is not looked up in a text: write { env = "..." } with its name, without $')
        return cls(value.strip())

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a secret is not pickled")


class SecretSource(BaseModel):
    """`{ env = "..." }`, `{ file = "..." }` or `{ credential = "..." }`: exactly one of them."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    kinds: ClassVar[tuple[str, ...]] = ("env", "file", "credential")

    env: str | None = None
    file: Path | None = None
    credential: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _no_command(cls, given: object) -> object:
        if "command" not in cls.kinds and isinstance(given, dict) and "command" in given:
            raise ValueError(f"only an api_key can come from a command; write {SOURCES}")
        return given

    @model_validator(mode="after")
    def _exactly_one(self) -> "SecretSource":
        given = [value for kind in self.kinds if (value := getattr(self, kind)) is not None]
        if len(given) != 1:
            raise ValueError(f"takes exactly one of {', '.join(self.kinds[:-1])} and {self.kinds[-1]}")
        if str(given[0]).strip() in ("", "."):  # an empty text is the path `.`
            raise ValueError(f"{self.kind} is empty")
        if self.credential is not None and ("/" in self.credential or self.credential == ".."):
            raise ValueError("credential is a name, as in LoadCredential=NAME:PATH, and no path")
        return self

    @property
    def kind(self) -> str:
        return next(kind for kind in self.kinds if getattr(self, kind) is not None)


def _words(given: object) -> object:
    if not (isinstance(given, list) and given and all(isinstance(word, str) for word in given)):
        raise ValueError('expected a list of texts, such as ["PROGRAM", "ARGUMENT"]')
    if not given[0].strip() or "\0" in "".join(given):
        raise ValueError("names no program that there could be")
    return tuple(map(Secret, given))


class KeySource(SecretSource):
    """Where an account's key comes from: also from what a program prints, whose arguments may be secrets."""

    kinds: ClassVar[tuple[str, ...]] = (*SecretSource.kinds, "command")

    command: Annotated[tuple[Secret, ...], BeforeValidator(_words)] | None = None
    ttl: Duration | None = None

    @model_validator(mode="after")
    def _what_ages(self) -> "KeySource":
        if self.ttl is not None and self.command is None:
            raise ValueError("ttl goes together with command")
        return self


class SecretUnavailableError(Exception):
    """One line that says which source gave nothing, and why."""


def read_secret(source: SecretSource, base: Path) -> Secret:
    """The secret from its source; a relative file is beside the config, in `base`.

    Raises SecretUnavailableError if it can't be read or is empty: better now than at the first alert.
    """
    if source.env is not None:
        raw, where = os.environb.get(os.fsencode(source.env)), f"the environment variable {source.env}"
        if raw is None:
            raise SecretUnavailableError(f"{where} is not set")
    else:
        raw, where = _read(source, base)
    try:
        # Editors on Windows put a byte-order mark before the key.
        secret = raw.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise SecretUnavailableError(f"{where} is not UTF-8 text") from error
    if not secret:
        raise SecretUnavailableError(f"{where} is empty")
    return Secret(secret)


def may_change(source: SecretSource, base: Path) -> bool:
    """Whether it is a file that others may write anew: what came through a pipe does not come again."""
    return source.file is not None and _path(source, base).is_file()


def _read(source: SecretSource, base: Path) -> tuple[bytes, str]:
    path = _path(source, base)
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except OSError as error:
        raise SecretUnavailableError(f"{path} can't be read: {error.strerror}") from error
    except ValueError as error:  # a NUL in the name
        raise SecretUnavailableError(f"{str(path)!r} can't be read: {error}") from error
    if len(raw) > LARGEST:
        raise SecretUnavailableError(f"{path} is longer than {LARGEST:,} bytes: no secret is")
    return raw, str(path)


def _path(source: SecretSource, base: Path) -> Path:
    if source.file is not None:
        try:
            return base / source.file.expanduser()
        except RuntimeError as error:  # `~` of a user whom the system does not know
            raise SecretUnavailableError(f"{source.file} has no home folder to begin with") from error
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise SecretUnavailableError(
            f"credential {source.credential!r}: systemd gave no $CREDENTIALS_DIRECTORY; "
            "is LoadCredential= set in the unit, and is this run by it?"
        )
    assert source.credential is not None
    return Path(folder) / source.credential
