"""Every field of the documented answers is read, or is on the provider file's list of those that are not, on purpose.

Which are read is found out by leaving each one out: what then changes nothing of a poll is not read.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Final

import pytest

from budgetd_rules.polls import Poll
from collecting import DOCUMENTS, PROVIDERS, Json, answer, document, read

# Besides what the documents' examples show, what they name: the vendor's schema has it, or a version of the page.
ALSO_NAMED: Final[Mapping[str, Mapping[str, list[str]]]] = {
    "sonzai": {
        "contract": [
            "createdBy",
            "creditPeriodLimit",
            "notes",
            "paymentLinkUrl",
            "servicePeriodLimit",
            "stripePriceId",
            "stripeSubscriptionId",
        ]
    },
}
SPARE: Final = {"sonzai": {"contract": document("sonzai/contract_nulls") | {"creditPeriodLimit": 5}}}

# uniQOS publishes no body; what is read of it is in headers.
CASES: Final = [
    (provider, request) for provider, bodies in DOCUMENTS.items() if provider != "uniqos" for request in bodies
]


def leaves(tree: Json, here: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(tree, dict | list) and tree:
        for key, inner in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from leaves(inner, (*here, key))
    else:
        yield here


def written(place: tuple[str | int, ...]) -> str:
    """As provider files name it: `items[].name`."""
    text = ""
    for key in place:
        text += "[]" if isinstance(key, int) else f".{key}" if text and not text.endswith(".") else key
    return text


def without(tree: Json, place: tuple[str | int, ...]) -> Json:
    """The document with that field gone."""
    tree = copy.deepcopy(tree)
    parent = tree
    for key in place[:-1]:
        parent = parent[key]
    del parent[place[-1]]
    return tree


def polled(provider: str, request: str, body: Json) -> Poll:
    return read(
        provider, **({name: answer(each) for name, each in DOCUMENTS[provider].items()} | {request: answer(body)})
    )


def read_places(provider: str, request: str) -> tuple[set[str], set[str]]:
    """What is read of the documented answer, and all that it has."""
    body = DOCUMENTS[provider][request]
    places = list(leaves(body))
    # What is read only where another is missing is found out where that is missing.
    bodies = [body, *(without(body, place) for place in places if isinstance(place[-1], str))]
    are_read = set[str]()
    for one in bodies:
        before = polled(provider, request, one)
        for place in leaves(one):
            if written(place) not in are_read and polled(provider, request, without(one, place)) != before:
                are_read.add(written(place))
    return are_read, {written(place) for place in places}


@pytest.mark.parametrize(("provider", "request_"), CASES)
def test_each_documented_field_is_read_or_left_out_on_purpose(provider: str, request_: str) -> None:
    ignored = next(set(plan.ignored) for plan in PROVIDERS[provider].requests if plan.name == request_)
    are_read, there = read_places(provider, request_)
    assert not are_read & ignored
    assert there - are_read <= ignored
    also = set(ALSO_NAMED.get(provider, {}).get(request_, ()))
    assert ignored <= there | also, "a name that no document has"


def test_what_is_named_without_an_example_is_read_as_well() -> None:
    """Sonzai's optional limits of a contract."""
    names = [reading.key.meter for reading in polled("sonzai", "contract", SPARE["sonzai"]["contract"]).readings]
    assert "contract_term/credit_period_limit" in names
    assert "contract_term/service_period_limit" not in names
