"""Vendors' text made fit to print: one line, no control characters, not long, and never with the key in it."""

from collections.abc import Callable
from typing import Final

LONGEST: Final = 200

# Of a vendor's megabytes no more is looked at; what is shown is far shorter.
_LOOKED_AT: Final = 5_000

Redact = Callable[[str], str]


def hide(key: str) -> Redact:
    """What replaces every occurrence of the key, which alone knows it."""
    return lambda text: text.replace(key, "***") if key else text


def one_line(text: str, redact: Redact, longest: int = LONGEST) -> str:
    """Redacted whole and before it is cut: half a key is a secret as well."""
    seen = redact(text)[:_LOOKED_AT]
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in seen).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
