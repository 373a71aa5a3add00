"""Shared by the tests of `collect`: the documented answers, and functions that read one."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from budgetd.collect.answers import Reply
from budgetd.collect.extract import interview
from budgetd.collect.provider import Provider, load_provider, load_shelf
from budgetd.collect.texts import hide
from budgetd.http import Answer
from budgetd_rules.kinds import FIELD_TYPES
from budgetd_rules.polls import Poll
from budgetd_rules.values import Unlimited, Value, ValueType

NOW: Final = datetime(2026, 5, 12, 14, 25, 30, tzinfo=UTC)
DATA: Final = Path(__file__).parent / "data"
PROVIDERS: Final = load_shelf().providers
KEY: Final = "canary-4f1d2c3b5a"


Json = Any


def document(name: str) -> Json:
    return json.loads((DATA / f"{name}.json").read_bytes())


def answer(body: object = "", status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """A response. `body` is sent as it is if it is bytes or text, else as JSON."""
    if isinstance(body, str):
        body = body.encode("utf-8", "surrogatepass")
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status=status, headers={name.lower(): text for name, text in (headers or {}).items()}, body=raw)


def read(provider: str | Provider, **outcomes: Reply | Sequence[Reply]) -> Poll:
    """A poll to whose requests these are the answers, each under the request's name: one, or its pages.

    The vendor has nothing to say to optional requests that are not named.
    """
    chosen = PROVIDERS[provider] if isinstance(provider, str) else provider
    left = {name: iter(each if isinstance(each, Sequence) else [each]) for name, each in outcomes.items()}
    talk = interview(chosen, "acme", NOW, hide(KEY))
    try:
        ask = next(talk)
        while True:
            nothing = iter([answer("", 404)] if ask.plan.optional else [])
            ask = talk.send(_take(left.get(ask.plan.name, nothing)))
    except StopIteration as end:
        seen: Poll = end.value
        return seen


def _take(outcomes: Iterator[Reply]) -> Reply:
    outcome = next(outcomes, None)
    assert outcome is not None, "more was asked for than this test has answers"
    return outcome


def fields(poll: Poll, meter: str) -> Mapping[str, Value]:
    return next(reading.fields for reading in poll.readings if reading.key.meter == meter)


def meters(poll: Poll) -> list[str]:
    return [reading.key.meter for reading in poll.readings]


def details(poll: Poll) -> list[str]:
    return [f"{outage.request} {outage.cause}: {outage.detail}" for outage in poll.outages]


def places(tree: Json, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all parts of a document."""
    yield here
    if isinstance(tree, dict | list):
        for key, inner in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from places(inner, (*here, key))


def check(poll: Poll) -> None:
    """Asserts what is true of every poll: typed fields, outages in one printable line, and no key anywhere."""
    kinds: dict[ValueType, Any] = {
        ValueType.NUMBER: Decimal | Unlimited,
        ValueType.BOOL: bool,
        ValueType.TEXT: str,
        ValueType.TIME: datetime,
    }
    for reading in poll.readings:
        for name, value in reading.fields.items():
            assert isinstance(value, kinds[FIELD_TYPES[name]]), (name, value)
            assert not isinstance(value, Decimal) or abs(value) <= Decimal("1e32")
        assert reading.key.meter.split("/")[0] in PROVIDERS[poll.provider].meters
    for outage in poll.outages:
        assert 0 < len(outage.detail) <= 500
        assert outage.detail.isprintable()
    assert len({reading.key for reading in poll.readings}) == len(poll.readings)
    assert KEY not in repr(poll)
    repr(poll).encode()


def write_provider(folder: Path, text: str, name: str = "acme") -> Path:
    file = folder / f"{name}.toml"
    file.write_text(text, encoding="utf-8")
    return file


def make_provider(folder: Path, rest: str) -> Provider:
    """A provider with one request, `info`; `rest` begins with the values of that request."""
    return load_provider(write_provider(folder, HEAD + rest))


DOCUMENTS: dict[str, Json] = {
    "cekura": {"info": document("cekura/billing_info"), "payments": document("cekura/payment_history")},
    "cargo": {"subscription": document("cargo/subscription")},
    "sonzai": {
        "billing": document("sonzai/billing"),
        "contract": document("sonzai/contract"),
        "characters": document("sonzai/characters"),
        "events": document("sonzai/events"),
        "services": document("sonzai/service_usage"),
        "usage": document("sonzai/usage_summary"),
        "ledger": document("sonzai/ledger"),
        "pricing": document("sonzai/model_pricing"),
        "agreements": document("sonzai/service_agreements"),
    },
    # What the others answer is published nowhere.
    "uniqos": {"subscription": document("uniqos/quota_exhausted"), "turns": {}, "relationships": {}, "credits": {}},
}
"""What the vendors document, by provider and request."""

HEAD: Final = """
name = "acme"
title = "Acme"
docs = "docs.acme.example"
evidence = "confirmed"
base_url = "https://api.acme.example"
auth = { header = "Authorization", value = "Bearer {api_key}" }

[requests.info]
path = "/info"
[requests.info.values]
"""
