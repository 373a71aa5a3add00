"""What pydantic found wrong with a TOML file, as lines that a person can act on: file, key, what, and the fix."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

# A tag of a discriminated union begins with this; it stands in pydantic's locations, and not in the file.
TAG: Final = "~"


def problem_lines(error: ValidationError, model: type[BaseModel], file: str) -> list[str]:
    """One line for each problem: `FILE: accounts.voice.intervall: unknown key; did you mean interval?`"""
    lines = []
    for found in error.errors(include_input=False, include_url=False, include_context=True):
        keys = [str(part) for part in found["loc"] if not str(part).startswith(TAG)]
        where = ".".join(keys)
        lines.append(
            f"{file}: {where}: {_what(found, model, keys)}" if where else f"{file}: {_what(found, model, keys)}"
        )
    return lines


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """`; did you mean X?`, or the list to choose from where it is short, or nothing."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; known: {', '.join(sorted(known))}" if 0 < len(known) <= 12 else ""


def _what(found: Mapping[str, Any], model: type[BaseModel], keys: Sequence[str]) -> str:
    if found["type"] == "extra_forbidden":
        return f"unknown key{did_you_mean(keys[-1], _known_keys(model, keys[:-1]))}"
    if found["type"] == "missing":
        return "is missing"
    if found["type"] == "value_error":
        return str(found["ctx"]["error"])
    message = str(found["msg"])
    return message[0].lower() + message[1:]


def _known_keys(model: type[BaseModel], keys: Sequence[str]) -> list[str]:
    """The keys of the table at this path; of all tables, where a union allows several."""
    models: list[type[BaseModel]] = [model]
    for key in keys:
        inner: list[type[BaseModel]] = []
        for one in models:
            field = _field(one, key)
            inner.extend(_models(field) if field is not None else [one])
        models = inner
    return [field.alias or name for one in models for name, field in one.model_fields.items()]


def _field(model: type[BaseModel], key: str) -> object:
    for name, field in model.model_fields.items():
        if key in (name, field.alias):
            return field.annotation
    # A name that the user chose, or an index: the table below it is of the model that the walk is in.
    return None


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    """The models that an annotation holds, however it wraps them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Annotated, Union, UnionType) or get_args(annotation):
        for part in get_args(annotation):
            yield from _models(part)
