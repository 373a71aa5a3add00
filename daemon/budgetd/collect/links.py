"""The header Link (RFC 8288): where the next page is.

httpx reads it too, but cuts a URL at a semicolon, and overlooks a `rel` of two words or behind a text with a semicolon:
the list would end too early, and its sum be wrong. Here what is no list of links is refused.
"""

import re
from typing import Final

from budgetd.collect.values import MalformedError

_TARGET: Final = re.compile(r"[\s,]*<([^<>]*)>")
_PARAMETER: Final = re.compile(
    r"""\s*;\s*(?:([\w!#$%&'*+.^`|~-]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",;<>]*)))?)?""", re.ASCII
)
_END: Final = re.compile(r"\s*(?:,|$)")


def find_next(header: str) -> str | None:
    """The target of the link whose `rel` has `next` in it. Raises MalformedError, also where there are several."""
    targets = set[str]()
    at, whole = 0, header.rstrip(" \t,")
    while at < len(whole):
        target = _TARGET.match(whole, at)
        if target is None:
            raise _no_links()
        parameters, at = _read_parameters(whole, target.end())
        # With an anchor it is about another document than this one.
        if "next" in parameters.get("rel", "").lower().split() and "anchor" not in parameters:
            targets.add(target[1].strip())
    if len(targets) > 1:
        raise MalformedError("the header Link names several next pages")
    return next(iter(targets), None)


def _read_parameters(text: str, at: int) -> tuple[dict[str, str], int]:
    """Of those that come twice the first one counts. Gives where the next link begins, too."""
    parameters: dict[str, str] = {}
    while match := _PARAMETER.match(text, at):
        name, quoted, token = match.groups()
        if name:
            value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else (token or "").strip("'")
            parameters.setdefault(name.lower(), value)
        at = match.end()
    end = _END.match(text, at)
    if end is None:
        raise _no_links()
    return parameters, end.end()


def _no_links() -> MalformedError:
    return MalformedError("the header Link is no list of links")
