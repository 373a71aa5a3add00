"""Texts from vendors and from the config, made harmless before they are put into a message.

Services find markup, links and mentions in a text whatever format they were told that it has, each in its own way. So
characters that any of them might interpret are replaced by look-alikes, before the text is escaped for its format
(`formats`).
"""

import re
import unicodedata
from typing import Final

# Characters that are invisible, or change how others look: controls, formatting and direction marks, lone surrogates,
# private characters, separators of lines and paragraphs.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
# Look-alikes for what some service reads as markup, a link or a mention, whatever format it was told.
_MARKUP: Final = str.maketrans(
    {
        "<": "\u2039",
        ">": "\u203a",
        "@": "\uff20",
        "`": "'",
        "*": "\u2217",
        "[": "(",
        "]": ")",
        "|": "\u00a6",
        "~": "\u223c",
    }
)
# Where a space ends a link: before what makes it one, as a space behind that would be lost at the end of the text.
_LINKS: Final = re.compile(r":(?=//)|\bwww(?=\.)", re.IGNORECASE)
# Within a word, as in past_due, an underscore is no markup.
_MARKING_UNDERSCORE: Final = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
_LONGEST: Final = 120


def harmless(text: str) -> str:
    """Text from a vendor as one plain line: no control characters, mentions, links or markup; cut at 120."""
    # What will be cut off anyway need not be looked at.
    plain = _LINKS.sub(r"\g<0> ", one_line(text[: 10 * _LONGEST]).translate(_MARKUP))
    return _MARKING_UNDERSCORE.sub("\uff3f", one_line(plain, _LONGEST))


def one_line(text: str, longest: int | None = None) -> str:
    """The visible characters of the text on one line, cut at `longest`."""
    if not (text.isascii() and text.isprintable()):  # nearly all is
        text = "".join(" " if unicodedata.category(each) in _UNSEEN else each for each in text)
    line = " ".join(text.split())
    return line if longest is None or len(line) <= longest else line[: longest - 1] + "…"


# The `@` of a mail address, except where a service would mention everybody, or a user by number.
_AT: Final = re.compile(r"(?<=[\w+-])@(?!(?:everyone|here|channel|all)\b|\d{5})(?=[\w-]+\.\w)", re.IGNORECASE)


def addressed(text: str) -> str:
    """Text from the config, made harmless too, except that a mail address stays one."""
    return "@".join(harmless(part) for part in _AT.split(text))


_QUOTED: Final = re.compile(r"""(?P<mark>["'])(?P<text>.*?)(?P=mark)""")
_OPERATOR: Final = re.compile(r"\s*([<>]=?|\*)\s*")


def condition(text: str) -> str:
    """A rule's condition: its quoted texts harmless, and spaces around the signs that could be tags or emphasis."""
    pieces, done = [], 0
    line = one_line(text)
    for quoted in _QUOTED.finditer(line):
        mark = quoted["mark"]
        pieces += [_signs(line[done : quoted.start()]), mark, harmless(quoted["text"]), mark]
        done = quoted.end()
    return "".join([*pieces, _signs(line[done:])])


def _signs(text: str) -> str:
    return _OPERATOR.sub(r" \1 ", text)


_WEB_ADDRESS: Final = re.compile(r"https?://[^\s/?#@\\]+([/?#].*)?", re.IGNORECASE)
_NOT_IN_A_LINK: Final = re.compile(r"""[\s<>"'`|\\^{}@*]""")


def web_link(text: str) -> str | None:
    """The text as an address that can't break out of a link; None if it is not http(s), or hides its host."""
    line = one_line(text)
    if not _WEB_ADDRESS.fullmatch(line):
        return None
    return _NOT_IN_A_LINK.sub(lambda found: f"%{ord(found[0]):02X}", line)
