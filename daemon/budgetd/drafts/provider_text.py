"""A proposal as the text of a provider file, with what was guessed as comments. No value of the sample is in it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from budgetd.drafts.addresses import Address
from budgetd.drafts.proposal import MeterDraft, Proposal, ValueDraft
from budgetd.drafts.toml import inline_table, quoted

REQUEST: Final = "info"
_HEAD: Final = """\
# A first draft, by `budgetd providers new {name}`. What the values mean was guessed from their names alone, so compare
# them with the vendor's documents, and with what `budgetd probe` shows. docs/providers.md explains every key.
name = {name_text}
title = {title}
docs = "not known yet" # where the vendor documents this answer
evidence = "secondary" # "confirmed" once the vendor's own documents say all that stands here
"""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the person said: the provider's name, where it is asked, and the header that carries the key."""

    name: str
    address: Address | None
    header: str | None


def provider_text(wanted: Wanted, proposal: Proposal) -> str:
    return "\n".join(_lines(wanted, proposal)) + "\n"


def _lines(wanted: Wanted, proposal: Proposal) -> Iterator[str]:
    title = " ".join(part.capitalize() for part in wanted.name.replace("_", "-").split("-"))
    yield _HEAD.format(name=wanted.name, name_text=quoted(wanted.name), title=quoted(title)).rstrip()
    yield from _way_there(wanted)
    yield f"\n[requests.{REQUEST}]"
    yield f"path = {quoted(wanted.address.path if wanted.address else '/')}"
    if wanted.address and wanted.address.query:
        yield f"query = {_table(wanted.address.query)}"
    if proposal.is_list:
        yield 'body = "list"'
    yield f"\n[requests.{REQUEST}.values]"
    yield from map(_value, proposal.values.values())
    for meter in proposal.meters:
        yield from _meter(meter)
    if proposal.left_over:
        yield "\n# What else the sample has. Nothing reads these:"
        yield from (f"#   not mapped: {path} ({noun})" for path, noun in proposal.left_over)


def _way_there(wanted: Wanted) -> Iterator[str]:
    address = wanted.address
    if address is None:
        yield f'base_url = "https://api.{wanted.name}.example" # CHANGE THIS, and the path below: no --url was given'
    else:
        yield f"base_url = {quoted(address.base_url)}"
    auth, is_guessed = _auth(wanted)
    yield f"auth = {auth}{' # GUESS: the most usual way' if is_guessed else ''}"
    for name, help_ in address.params.items() if address else ():
        yield f"\n[params.{name}]\nhelp = {quoted(help_)}\nrequired = true"
        if address and name in address.secret_params:
            yield "secret = true"


def _auth(wanted: Wanted) -> tuple[str, bool]:
    """How requests carry the key, as a table in braces; and whether that is only a guess."""
    query = wanted.address.auth if wanted.address else {}
    header = wanted.header or (None if query else "Authorization")
    parts = []
    if header:
        value = "Bearer {api_key}" if header.lower() == "authorization" else "{api_key}"
        parts.append(f"header = {quoted(header)}, value = {quoted(value)}")
    if query:
        parts.append(f"query = {_table(query)}")
    return f"{{ {', '.join(parts)} }}", not wanted.header and not query


def _value(value: ValueDraft) -> str:
    unlimited = f", unlimited = [{value.unlimited}]" if value.unlimited is not None else ""
    note = "GUESS: this number means no limit" if unlimited else value.note
    return f"{value.name} = {{ path = {quoted(value.path)}, type = {quoted(value.type)}{unlimited} }}{_comment(note)}"


def _meter(meter: MeterDraft) -> Iterator[str]:
    yield f"\n[meters.{meter.name}]"
    yield f"kind = {quoted(meter.kind)}"
    if meter.unit:
        yield f"unit = {quoted(meter.unit)}"
    if meter.each is not None:
        where = REQUEST if meter.each == "@" else f"{REQUEST}.{meter.each}"
        yield f"each = {quoted(where)} # a meter for each item of this list"
        yield f"key = {quoted(meter.key)}"
    for name, field in meter.fields.items():
        yield f"{name} = {quoted(field.text)}{_comment(field.note)}"


def _comment(note: str) -> str:
    return f" # {note}" if note else ""


def _table(texts: dict[str, str]) -> str:
    return inline_table({name: quoted(text) for name, text in texts.items()})
