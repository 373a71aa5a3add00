"""Vendors' texts made fit to print: one line, no control characters, short, and without secrets."""

import re
from base64 import b64encode
from collections.abc import Callable
from typing import Final
from urllib.parse import quote, quote_plus

LONGEST: Final = 200

# Of a vendor's megabytes no more is looked at; what is shown is much shorter.
_LOOKED_AT: Final = 5_000

Redact = Callable[[str], str]


def hide(*secrets: str) -> Redact:
    """A function that replaces every occurrence of the secrets, in each of the forms in which they are sent."""
    forms = {form for secret in secrets if secret for form in _forms(secret)}
    longest_first = sorted(forms, key=len, reverse=True)

    def redact(text: str) -> str:
        for form in longest_first:
            text = text.replace(form, "***")
        return text

    return redact


def _forms(secret: str) -> set[str]:
    """As it is, as URLs write it, and as Basic authentication does."""
    raw = secret.encode("utf-8", "surrogatepass")
    quoted = {quote(raw, safe=""), quote(raw), quote_plus(raw)}
    lower = {re.sub("%..", lambda match: match[0].lower(), text) for text in quoted}
    return {secret, b64encode(raw).decode(), *quoted, *lower}


def one_line(text: str, redact: Redact, longest: int = LONGEST) -> str:
    """Redacted before it is cut: half a key is a secret too."""
    seen = redact(text)[:_LOOKED_AT]
    if not seen.isprintable():
        seen = "".join(letter if letter.isprintable() else " " for letter in seen)
    line = " ".join(seen.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
