"""Vendors' text made fit to print: one line, no control characters, not long, and never with the key in it."""

import re
from collections.abc import Callable
from typing import Final

LONGEST: Final = 200

# White space and controls, what turns the direction of writing or takes no room, and halves of characters.
_UNPRINTABLE: Final = re.compile(
    r"[\s\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff0-\uffff]+"
)

Redact = Callable[[str], str]


def hide(key: str) -> Redact:
    """What replaces every occurrence of the key, which alone knows it."""
    return lambda text: text.replace(key, "***") if key else text


def one_line(text: str, redact: Redact, longest: int = LONGEST) -> str:
    """Redacted once whole and before it is cut: half a key is a secret as well."""
    line = redact(_UNPRINTABLE.sub(" ", text).strip())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
