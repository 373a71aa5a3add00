"""Secrets for a config that is being written: how the config refers to them, and the file that a literal one gets."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from budgetd.credentials import Secret, SecretSource
from budgetd.drafts.files import PRIVATE, require_free, write_file
from budgetd.drafts.toml import quoted

FORMS: Final = "ENV:NAME, FILE:PATH or CREDENTIAL:NAME"
_KINDS: Final = ("env", "file", "credential")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A secret as a config names it. A literal one goes into `file`, beside the config."""

    source: SecretSource
    literal: Secret | None = None

    @property
    def text(self) -> str:
        value = self.source.env or self.source.credential or str(self.source.file)
        return f"{{ {self.source.kind} = {quoted(value)} }}"

    @property
    def setting(self) -> Secret | SecretSource:
        """What a config that is not written yet can be tried with."""
        return self.literal or self.source


def read_reference(text: str) -> SecretSource | None:
    """`ENV:NAME` and the like; None for what is the secret itself. Raises ValueError for half of one.

    A file is looked for from where the person stands, and the config from wherever it will: so its path is made whole.
    """
    kind, colon, rest = text.strip().partition(":")
    if not colon or kind.lower() not in _KINDS or kind != kind.upper():
        return None
    if not rest.strip():
        raise ValueError(f"nothing follows {kind}:")
    return make_source(kind.lower(), rest.strip())


def make_source(kind: str, name: str) -> SecretSource:
    """Raises ValueError."""
    if kind == "file":
        return SecretSource(file=Path(name).expanduser().absolute())
    return SecretSource(env=name) if kind == "env" else SecretSource(credential=name)


def keep(given: str, file: str) -> Kept:
    """A reference, or the secret itself, for which the file is. Raises ValueError, which does not quote it."""
    source = read_reference(given)
    if source:
        return Kept(source=source)
    if not given.strip():
        raise ValueError("is empty")
    return Kept(source=SecretSource(file=Path(file)), literal=Secret(given.strip()))


def write_kept(all_kept: list[Kept], folder: Path, *, force: bool) -> list[Path]:
    """The files of the literal secrets, which nobody else can read. Raises UsageError where one is there already."""
    files = [(folder / kept.source.file, kept.literal) for kept in all_kept if kept.literal and kept.source.file]
    for path, _ in files:
        require_free(path, force=force)
    for path, secret in files:
        write_file(path, secret.reveal() + "\n", PRIVATE, force=force)
    return [path for path, _ in files]
