"""The address of the sample request. What is secret in it, or belongs to one account only, becomes params."""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from budgetd.drafts.leaves import is_made, is_secret, words_of

_KEY: Final = "{api_key}"
_PLAIN: Final = re.compile(r"[\w.,:+-]{1,64}", re.ASCII)
# How a time may be written, as a template writes it.
_TIMES: Final = (
    (re.compile(r"\d{10}"), "unix"),
    (re.compile(r"\d{13}"), "ms"),
    (re.compile(r"\d{4}-\d\d-\d\d"), "date"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ].*"), "iso"),
)
_FROM: Final = frozenset(["start", "starting", "from", "since", "begin", "after"])


@dataclass(kw_only=True)
class Address:
    """`auth` is the part of the query that carries secrets; `params` are what an account gives, with their help."""

    base_url: str
    path: str = "/"
    query: dict[str, str] = field(default_factory=dict)
    auth: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    secret_params: set[str] = field(default_factory=set)

    def add_param(self, name: str, help_: str, *, secret: bool = False) -> str:
        """Adds a param and returns the template that stands for it."""
        stem = "_".join(words_of(name)) or "id"
        stem = stem if stem[0].isalpha() and stem != "api_key" else f"the_{stem}"
        param = next(each for each in (stem, *(f"{stem}_{n}" for n in range(2, 99))) if each not in self.params)
        self.params[param] = help_
        if secret:
            self.secret_params.add(param)
        return f"{{{param}}}"


def read_address(url: str, *, has_header: bool) -> Address:
    """Raises ValueError, which does not quote the address. If a header carries the key, the query does not."""
    split = _split(url)
    address = Address(base_url=f"{split.scheme}://{split.netloc}")
    parts = split.path.split("/")
    for number, part in enumerate(parts):
        if part and not _is_plain(unquote(part)):
            owner = "_".join(words_of(parts[number - 1])).removesuffix("s")
            parts[number] = address.add_param(f"{owner}_id", f"what the path has after {parts[number - 1] or '/'}")
    address.path = "/".join(parts) or "/"
    for name, text in parse_qsl(split.query, keep_blank_values=True):
        _add_to_query(address, name, text, has_header=has_header)
    return address


def _split(url: str) -> SplitResult:
    try:
        split = urlsplit(url.strip())
        is_whole = split.scheme in ("http", "https") and bool(split.hostname)
    except ValueError:
        is_whole = False
    if not is_whole:
        raise ValueError("expected the address that was asked, such as https://api.acme.example/v1/usage")
    if "@" in split.netloc:
        raise ValueError("leave out the user before the @; auth = { basic = ... } in the file is for that")
    return split


def _add_to_query(address: Address, name: str, text: str, *, has_header: bool) -> None:
    if is_secret(words_of(name)):
        is_the_key = not has_header and _KEY not in address.auth.values()
        help_ = f"the secret {name} of the query"
        address.auth[name] = _KEY if is_the_key else address.add_param(name, help_, secret=True)
        return
    form = next((form for pattern, form in _TIMES if pattern.fullmatch(text)), None)
    if form:
        address.query[name] = f"{{{'now' if _FROM.isdisjoint(words_of(name)) else 'month_start'}_{form}}}"
    else:
        address.query[name] = text if _is_plain(text) else address.add_param(name, f"{name} in the query")


def _is_plain(text: str) -> bool:
    """Whether it is a word or a number that is the same for everybody, such as v1, usage or 100."""
    parts = re.split(r"[_.,:+-]", text)
    return bool(_PLAIN.fullmatch(text)) and not any(
        is_made(part) or (part.isdigit() and len(part) > 4) for part in parts
    )
