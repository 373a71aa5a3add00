"""What somebody who misspelt a name probably meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def suggest(name: str, known: Iterable[str]) -> str:
    """`; did you mean X?`, to follow the line that says what is wrong; or nothing."""
    spelt = {one.casefold(): one for one in known}
    near = get_close_matches(name.casefold(), spelt, n=1)
    return f"; did you mean {spelt[near[0]]}?" if near else ""
