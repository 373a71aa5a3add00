"""One text in three formats: plain, Markdown and HTML.

A text is made of blocks of rows. A row has a strong beginning and a rest, which may hold code and links. What is put
into them can't become markup: it was made harmless before (`sanitizing`), and is escaped here for the format.
"""

import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Format(StrEnum):
    TEXT = "text"
    MARKDOWN = "markdown"
    HTML = "html"


@dataclass(frozen=True, slots=True)
class Code:
    """Something to be typed: a command, a condition. It has no backtick."""

    text: str


@dataclass(frozen=True, slots=True)
class Link:
    """An address that is shown in full; see `sanitizing.web_link`."""

    url: str


Part = str | Code | Link


@dataclass(frozen=True, slots=True)
class Row:
    strong: str
    rest: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    rows: tuple[Row, ...]


# Harmless text has only brackets, backslashes and comparison signs left to escape. Slack knows no escapes and shows the
# backslashes that Apprise does not remove, so no more is escaped than is needed.
_MARKDOWN: Final = re.compile(r"[\\`*\[\]<>]|^#|^[-+](?=\s)")


def escaped(text: str, to: Format) -> str:
    if to is Format.HTML:
        return html.escape(text)
    return _MARKDOWN.sub(r"\\\g<0>", text) if to is Format.MARKDOWN else text


@dataclass(frozen=True, slots=True)
class _Marks:
    """A format's marks around what is strong, code or a link, and between rows and blocks."""

    strong: str
    code: str
    link: str
    row: str
    block: str
    whole: str


_MARKS: Final[Mapping[Format, _Marks]] = {
    Format.TEXT: _Marks("{}", "{}", "{}", "\n", "\n\n", "{}"),
    # Two spaces force a line break where a single newline is none, and are invisible elsewhere.
    Format.MARKDOWN: _Marks("**{}**", "`{}`", "<{}>", "  \n", "\n\n", "{}"),
    # <code> would begin a new line in the plain part that Apprise makes of an HTML mail, and <br> before a new line
    # would indent the next one.
    Format.HTML: _Marks("<b>{}</b>", "<tt>{}</tt>", '<a href="{0}">{0}</a>', "<br/>", "</p>\n<p>", "<p>{}</p>"),
}


def write(blocks: Iterable[Block], to: Format) -> str:
    marks = _MARKS[to]
    whole = marks.block.join(marks.row.join(_row(row, to) for row in block.rows) for block in blocks)
    return marks.whole.format(whole)


def _row(row: Row, to: Format) -> str:
    strong = _MARKS[to].strong.format(escaped(row.strong, to)) if row.strong else ""
    return strong + "".join(_part(part, to) for part in row.rest)


def _part(part: Part, to: Format) -> str:
    if isinstance(part, str):
        return escaped(part, to)
    text = part.text if isinstance(part, Code) else part.url
    mark = _MARKS[to].code if isinstance(part, Code) else _MARKS[to].link
    return mark.format(html.escape(text) if to is Format.HTML else text)
