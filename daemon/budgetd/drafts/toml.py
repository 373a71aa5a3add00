"""Texts as TOML writes them."""

import json
import re
from collections.abc import Mapping
from typing import Final

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def quoted(text: str) -> str:
    """A TOML basic string, which a JSON string is too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def key_text(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else quoted(name)


def inline_table(texts: Mapping[str, str]) -> str:
    """Of values that are TOML already."""
    return "{ " + ", ".join(f"{key_text(name)} = {text}" for name, text in texts.items()) + " }"
