"""However a documented answer is damaged, its values are right, unknown, or reported as an outage: never wrong.

For every provider that ships, one of the documented answers is damaged so that it is not another valid answer. The new
readings are compared with the readings before.
"""

import copy
import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from budgetd.collect.answers import Reply
from budgetd.collect.extract import interview
from budgetd.collect.plans import Meter
from budgetd.collect.provider import Provider
from budgetd.collect.texts import hide
from budgetd.http import Answer, RequestFailedError
from budgetd_rules.meters import family
from budgetd_rules.polls import Cause, Poll
from budgetd_rules.values import UNLIMITED
from collecting import DATA, DOCUMENTS, KEY, NOW, PROVIDERS, Json, answer, check, document, places
from conftest import examples

Place = tuple[str, int]


class Sample(NamedTuple):
    """One poll as documented: its answers, by request and page, and what they say."""

    provider: Provider
    answers: Mapping[Place, Answer]
    poll: Poll


def play(provider: Provider, respond: Callable[[Place], Reply]) -> Poll:
    pages: Counter[str] = Counter()
    talk = interview(provider, "acme", NOW, hide(KEY))
    try:
        ask = next(talk)
        while True:
            pages[ask.plan.name] += 1
            ask = talk.send(respond((ask.plan.name, pages[ask.plan.name])))
    except StopIteration as end:
        seen: Poll = end.value
        return seen


def make_sample(provider: Provider, answers: Sequence[Answer]) -> Sample:
    left, asked = iter(answers), {}

    def respond(place: Place) -> Reply:
        asked[place] = next(left)
        return asked[place]

    return Sample(provider, asked, play(provider, respond))


def list_answers(name: str) -> list[list[Answer]]:
    """The successful polls that the vendor's cases show, and of those told at length their documents."""
    file = DATA / name / "cases.toml"
    if not file.exists():
        return [[answer(TOLD[name][request.name], headers=HEADERS) for request in PROVIDERS[name].requests]]
    cases = tomllib.loads(file.read_text(encoding="utf-8"))["case"]
    return [
        [answer(one.get("body", ""), one.get("status", 200), one.get("headers")) for one in case["exchange"]]
        for case in cases
        if not case.get("outages")
    ]


TOLD: Final = DOCUMENTS | {"uniqos": DOCUMENTS["uniqos"] | {"subscription": document("uniqos/subscription")}}
HEADERS: Final = {
    "X-RateLimit-Limit": "50",
    "X-RateLimit-Remaining": "49",
    "X-RateLimit-Reset": "2026-05-12T14:25:31Z",
    "X-Quota-Turns-Used": "10000",
    "X-Quota-Turns-Limit": "12000",
    "X-Quota-Reset": "2026-06-01T00:00:00Z",
}
SAMPLES: Final = {
    name: [make_sample(provider, answers) for answers in list_answers(name)] for name, provider in PROVIDERS.items()
}


# --- damage

LOST: Final[list[Json]] = [None, ""]
"""What stands for nothing said."""
GARBLED: Final[list[Json]] = [
    *("1,234.50", "$5", "n/a", "NaN", "1e31", "--5", "5 5", "0x1F"),
    *(10**31, -(10**400), float("nan"), float("inf"), [[]], {"amount": {}}),
]
"""What no number is, and no time either."""


def spoil(draw: st.DrawFn, tree: Json) -> Json:
    """The document with one of its parts lost, garbled, put elsewhere, or written in another way."""
    root = {"root": copy.deepcopy(tree)}
    place = draw(st.sampled_from([place for place in places(root) if len(place) > 1]))
    parent: Json = root
    for key in place[:-1]:
        parent = parent[key]
    key, old = place[-1], parent[place[-1]]
    match draw(st.sampled_from(["lose", "drop", "garble", "wrap", "stringify"])):
        case "drop" if isinstance(parent, dict):
            del parent[key]
        case "garble" if is_number(old):
            parent[key] = draw(st.sampled_from(GARBLED))
        case "wrap" if not isinstance(old, list):
            parent[key] = draw(st.sampled_from([[old], {"value": old}, [[old]]]))
        case "stringify" if is_number(old):
            parent[key] = str(old) if isinstance(old, int | Decimal) else old
        case _:
            # An empty list is a list without items, which is an answer of its own: null is none.
            parent[key] = None if isinstance(old, list) else draw(st.sampled_from(LOST))
    return root["root"]


def is_number(part: Json) -> bool:
    return isinstance(part, int | Decimal) and not isinstance(part, bool)


def spoil_bytes(draw: st.DrawFn, body: bytes) -> bytes:
    """What is no whole JSON any more, or the same JSON in another encoding."""
    text = body.decode()
    match draw(st.sampled_from(["cut", "utf-16", "bom", "noise", "html", "twice", "another"])):
        case "cut":
            return body[: draw(st.integers(0, max(len(body.rstrip()) - 1, 0)))]
        case "utf-16":
            return text.encode("utf-16")
        case "bom":
            return b"\xef\xbb\xbf" + body
        case "noise":
            return body + b"\x00\xff"
        case "html":
            return b"<!doctype html><title>" + body
        case "another":
            # The first of all names once more, with another value.
            return re.sub(rb'(\{\s*("[^"]*").*)\}', rb"\1, \2: 987654321}", body, flags=re.DOTALL)
        case _:
            return body + body


@st.composite
def damaged(draw: st.DrawFn, one: Answer) -> Answer:
    body, headers = one.body, dict(one.headers)
    is_header = bool(headers) and draw(st.sampled_from([True, False]))
    if is_header:
        name = draw(st.sampled_from(sorted(headers)))
        headers[name] = draw(st.sampled_from(["", "n/a", "1.234.50", "NaN", "\x00", "é", '"']))
        return Answer(status=one.status, headers=headers, body=body)
    try:
        tree = json.loads(body, parse_float=Decimal)
    except ValueError:
        return Answer(status=one.status, headers=headers, body=body)
    if tree and isinstance(tree, dict | list) and draw(st.integers(0, 3)):
        raw = dump(spoil(draw, tree))
    else:
        raw = spoil_bytes(draw, body)
    return Answer(status=one.status, headers=headers, body=raw)


def dump(tree: Json) -> bytes:
    """JSON that keeps every digit."""
    texts: list[str] = []

    def keep(number: Decimal) -> str:
        texts.append(str(number))
        return f"<{len(texts) - 1}>"

    raw = json.dumps(tree, default=keep)
    for index, text in enumerate(texts):
        raw = raw.replace(f'"<{index}>"', text)
    return raw.encode()


# --- what is read


def compare(sample: Sample, after: Poll) -> None:
    known = {reading.key.meter: reading for reading in sample.poll.readings}
    for reading in after.readings:
        was, meter = known.get(reading.key.meter), sample.provider.meters[family(reading.key.meter)]
        for name, value in reading.fields.items():
            is_number = isinstance(value, Decimal | datetime) or value is UNLIMITED
            if is_number and not reads_silence(sample.provider, meter, name):
                right = {was.fields.get(name)} if was else among(sample.poll, reading.key.meter, name)
                assert value in right, f"{reading.key.meter}.{name} is {value}, and was {right}"


def reads_silence(provider: Provider, meter: Meter, name: str) -> bool:
    """Whether the file itself says what stands for something that is missing, as in `a || b` or `coalesce(a, 0)`."""
    plan, texts = meter.fields[name], [meter.fields[name].expression.text]
    texts += [part.path.text for part in plan.items.values()]
    texts += [
        value.path.text
        for request in provider.requests
        for value in request.values
        if value.path and value.name in plan.expression.names
    ]
    if meter.each:
        texts += [meter.each.path.text, meter.each.key.text if meter.each.group else ""]
    return any(sign in text for text in texts for sign in ("||", "&&", "?", "!", "null", "coalesce"))


def among(poll: Poll, meter: str, name: str) -> set[object]:
    """An item that has lost its name may have got another, but no other numbers than the items had."""
    return {one.fields.get(name) for one in poll.readings if family(one.key.meter) == family(meter)}


def damage(sample: Sample, data: st.DataObject) -> Poll:
    place = data.draw(st.sampled_from(sorted(sample.answers)))
    answers = {**sample.answers, place: data.draw(damaged(sample.answers[place]))}
    more = RequestFailedError(Cause.UNREACHABLE, "no whole answer within 30s")
    return play(sample.provider, lambda place: answers.get(place, more))


@pytest.mark.parametrize("name", SAMPLES)
def test_each_provider_has_documented_answers(name: str) -> None:
    assert SAMPLES[name]
    for sample in SAMPLES[name]:
        assert sample.poll.readings
        assert sample.poll.outages == ()
        check(sample.poll)


@pytest.mark.parametrize("name", SAMPLES)
@examples(40)
@given(data=st.data())
def test_a_damaged_answer_makes_no_wrong_number(name: str, data: st.DataObject) -> None:
    sample = data.draw(st.sampled_from(SAMPLES[name]))
    after = damage(sample, data)
    check(after)
    compare(sample, after)


ANYTHING: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)
ANSWERS: Final = st.builds(
    answer,
    st.binary(max_size=60) | ANYTHING.map(lambda tree: json.dumps(tree).encode()),
    st.sampled_from([200, 200, 200, 204, 304, 401, 403, 404, 429, 500]),
)


@pytest.mark.parametrize("name", SAMPLES)
@examples(20)
@given(data=st.data())
def test_any_answers_are_read(name: str, data: st.DataObject) -> None:
    """The documented ones, or anything else, in any order and however many."""
    documented = [one for sample in SAMPLES[name] for one in sample.answers.values()]
    answers = st.sampled_from(documented) | ANSWERS
    check(play(PROVIDERS[name], lambda _place: data.draw(answers)))


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLES)
@settings(max_examples=500)
@given(data=st.data())
def test_no_damage_makes_a_wrong_number(name: str, data: st.DataObject) -> None:
    sample = data.draw(st.sampled_from(SAMPLES[name]))
    after = damage(sample, data)
    check(after)
    compare(sample, after)
