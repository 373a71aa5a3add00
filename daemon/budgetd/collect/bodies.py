"""Bodies of answers: JSON of the expected shape, in which every number is a Decimal."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from budgetd.collect.plans import RequestPlan
from budgetd.collect.texts import Redact
from budgetd.collect.values import CONTRADICTION, MalformedError, describe
from budgetd.http import Answer


def _join(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Of two values under one name, Python's parser would take the last; but it is not known which one is meant."""
    table = dict(pairs)
    if len(table) < len(pairs):
        table |= {name: CONTRADICTION for name, value in pairs if table[name] != value}
    return table


# NaN and infinity, which are not JSON, become floats. No reader accepts those, so only their own value is lost.
_DECODER: Final = json.JSONDecoder(parse_float=Decimal, parse_int=Decimal, object_pairs_hook=_join)
_SHAPES: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "object": ((dict,), "an object"),
    "list": ((list,), "a list"),
    "any": ((dict, list), "an object or a list"),
}


def read_body(plan: RequestPlan, answer: Answer, redact: Redact) -> tuple[object, str]:
    """The document, and what is wrong with it if the answer is no failure."""
    try:
        document = _parse(answer.body)
    except MalformedError as error:
        return None, "" if plan.body == "none" else str(error)
    if plan.body == "list" and document is None:
        document = []
    return document, _find_fault(plan, document, redact)


def _find_fault(plan: RequestPlan, document: object, redact: Redact) -> str:
    if plan.body == "none" or (plan.optional and document is None):
        return ""
    types, noun = _SHAPES[plan.body]
    return "" if isinstance(document, types) else f"expected {noun}, got {describe(document, redact)}"


def _parse(body: bytes) -> object:
    text = body.decode("utf-8-sig", "replace").strip()
    if not text:
        raise MalformedError("expected JSON, got an empty body")
    if text.startswith("<"):
        raise MalformedError("expected JSON, got a page of HTML: is base_url right, and no proxy or login in between?")
    return _parse_json(text)


def _parse_json(text: str) -> object:
    try:
        document: object = _DECODER.decode(text)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise MalformedError("expected JSON, got something else") from error
    return document


def unwrap(document: object, name: str, redact: Redact) -> object:
    """The document with the JSON inside its text field `name` parsed.

    Raises MalformedError where the field is there and no object.
    """
    if not isinstance(document, dict) or document.get(name) in (None, ""):
        return document
    inner = document[name]
    if isinstance(inner, str):
        try:
            inner = _parse_json(inner)
        except MalformedError:
            inner = document[name]
    if inner is not None and not isinstance(inner, dict):
        raise MalformedError(f"{name}: expected an object, got {describe(inner, redact)}")
    return {**document, name: inner}
