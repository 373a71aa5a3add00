"""What is wrong with a TOML file, from pydantic's errors: lines with the file, the key, the problem and the fix."""

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from types import UnionType
from typing import Annotated, Any, Final, TypeGuard, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from budgetd_rules.suggestions import suggest

# Tags of discriminated unions begin with this. They appear in pydantic's locations, but not in the file.
TAG: Final = "~"
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_.-]+")
_LONGEST_SHOWN: Final = 60

Keys = Sequence[str | int]
Found = Mapping[str, Any]


def problem_lines(error: ValidationError, model: type[BaseModel], file: str) -> list[str]:
    """One line for each problem: `FILE: accounts.voice.intervall: unknown key; did you mean interval?`

    A value is shown only where it had to be one of a list: any other may be a secret in the wrong place.
    """
    lines = []
    for found in error.errors(include_url=False):
        if found["type"] == "too_short" and found["input"]:
            continue  # not empty: what is in the list is wrong, and has a line of its own
        keys = _keys(found["loc"], found["type"])
        where = key_path(keys)
        lines.append(f"{file}: {where}: {_what(found, model, keys)}" if where else f"{file}: {_what(found, model, ())}")
    return lines


def key_path(keys: Iterable[str | int]) -> str:
    """`accounts.voice.interval`; the items of a list are counted from one: `routes#2.channels`."""
    text = ""
    for key in keys:
        if isinstance(key, int):
            text += f"#{key + 1}"
        else:
            text += ("." if text else "") + (key if _BARE_KEY.fullmatch(key) else _quoted(key))
    return text


def toml_problem(error: tomllib.TOMLDecodeError) -> str:
    """`line 2, column 4: Invalid value; text stands in quotes`: as our other lines, with a place instead of a key."""
    what, _, place = str(error).rstrip(")").rpartition(" (at ")
    twice = _TWICE.fullmatch(what)
    if what == "Cannot overwrite a value":
        what = "the key just before is written twice"
    elif twice:
        what = f"{key_path(re.findall(_QUOTED_WORD, twice[0]))} is written twice"
    return f"{place.replace('end of document', 'the end')}: {what}{_TOML_HINTS.get(what, '')}"


_QUOTED_WORD: Final = r"'([^']*)'"
_TWICE: Final = re.compile(r"Cannot declare \(.*\) twice|Duplicate inline table key .*")
_TOML_HINTS: Final[Mapping[str, str]] = {
    "Invalid value": "; text stands in quotes",
    "Expected newline or end of document after a statement": "; text stands in quotes",
    "Invalid initial character for a key part": "; a table in braces is written on one line, or as a [table]",
    "Unclosed inline table": "; a table in braces is written on one line, or as a [table]",
}


def did_you_mean(name: str, known: Sequence[str], else_: str = "") -> str:
    """`; did you mean X?`, or the list to choose from where it is short, or what else there is to say."""
    if hint := suggest(name, known):
        return hint
    if 0 < len(known) <= 12:
        return f"; known: {', '.join(sorted(known))}"
    return else_ and f"; {else_}"


def _quoted(text: str) -> str:
    """On one line, and short."""
    shown = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
    return json.dumps(shown, ensure_ascii=not shown.isprintable())


def _keys(location: Sequence[str | int], type_: str) -> Keys:
    """Without what pydantic adds: tags, the mark of a key, and the index of a list item whose value is shown anyway."""
    keys = [part for part in location if not str(part).startswith(TAG)]
    if keys and (keys[-1] == "[key]" or (type_ in ("enum", "literal_error") and isinstance(keys[-1], int))):
        keys.pop()
    return keys


# --- what is wrong


def _what(found: Found, model: type[BaseModel], keys: Keys) -> str:
    say = _SAY.get(found["type"])
    if say is not None:
        return say(found, model, keys)
    if found["type"] in _EXPECTED:
        return f"expected {_EXPECTED[found['type']]}, not {_kind_of(found['input'])}"
    message = str(found["msg"])
    return message[0].lower() + message[1:]


def _no_mapping(found: Found, model: type[BaseModel], keys: Keys) -> str:
    held = "a table, { name = value }"
    if any(_fields(model, [*keys, "NAME"])):
        held = f"tables of their own, [{key_path(keys)}.NAME] each"
    return f"expected {held}, not {_kind_of(found['input'])}"


_EXPECTED: Final[Mapping[str, str]] = {
    "string_type": "text in quotes",
    "path_type": "text in quotes",
    "bool_type": "true or false, without quotes",
    "decimal_type": "a number",
    "decimal_parsing": "a number",
    "int_type": "a whole number",
}


def _kind_of(value: object) -> str:
    match value:
        case bool():
            return "true or false"
        case int() | float() | Decimal():
            return "a number"
        case str():
            return "text" if value.strip() else "an empty text"
        case list():
            return "a list"
        case date() | time():
            return "a date or time"
        case _:
            return "a table"


def _unknown(_found: Found, model: type[BaseModel], keys: Keys) -> str:
    known = [field.alias or name for name, field in _fields(model, keys[:-1])]
    if keys[-1] in known:
        # One form of the table has it, and the other keys belong to another form.
        return "does not go together with the table's other keys"
    return f"unknown key{did_you_mean(str(keys[-1]), known)}"


def _missing(_found: Found, model: type[BaseModel], keys: Keys) -> str:
    described = [field.description for name, field in _fields(model, keys[:-1]) if keys[-1] in (name, field.alias)]
    return f"is missing: {described[0]}" if described and described[0] else "is missing"


def _no_table(found: Found, model: type[BaseModel], keys: Keys) -> str:
    held = ", ".join(field.alias or name for name, field in _fields(model, keys))
    return f"expected a table, not {_kind_of(found['input'])}; its keys are {held}"


def _no_list(found: Found, model: type[BaseModel], keys: Keys) -> str:
    if isinstance(found["input"], dict) and any(_fields(model, [*keys, 0])):
        return f"expected a list of tables, not one table: write [[{key_path(keys)}]], in double brackets"
    return f"expected a list in brackets, not {_kind_of(found['input'])}"


def _none_of(found: Found, _model: type[BaseModel], _keys: Keys) -> str:
    choices = re.findall(_QUOTED_WORD, str(found["ctx"]["expected"]))
    value = found["input"]
    if not isinstance(value, str):
        return f"expected one of {', '.join(choices)}, not {_kind_of(value)}"
    return f"there is no {_quoted(value)} here{did_you_mean(value, choices)}"


_SAY: Final[Mapping[str, Callable[[Found, type[BaseModel], Keys], str]]] = {
    "extra_forbidden": _unknown,
    "missing": _missing,
    "model_type": _no_table,
    "model_attributes_type": _no_table,
    "tuple_type": _no_list,
    "list_type": _no_list,
    "dict_type": _no_mapping,
    "mapping_type": _no_mapping,
    "enum": _none_of,
    "literal_error": _none_of,
    "value_error": lambda found, _model, _keys: str(found["ctx"]["error"]),
    "finite_number": lambda _found, _model, _keys: "must be finite",
    "too_short": lambda _found, _model, _keys: "is empty; give at least one",
    "string_too_short": lambda _found, _model, _keys: "is empty",
    "string_too_long": lambda found, _model, _keys: f"is longer than {found['ctx']['max_length']} characters",
    "greater_than_equal": lambda found, _model, _keys: f"must be at least {found['ctx']['ge']}",
    "less_than_equal": lambda found, _model, _keys: f"must be at most {found['ctx']['le']}",
    "string_pattern_mismatch": lambda found, _model, _keys: f"does not have the form {found['ctx']['pattern']}",
}


# --- the tables that a key leads to


def _fields(model: type[BaseModel], keys: Keys) -> Iterator[tuple[str, FieldInfo]]:
    """The keys that the table at this path takes; those of all its forms, where it may have several."""
    annotations: list[object] = [model]
    for key in keys:
        annotations = [inner for one in annotations for form in _forms(one) for inner in _below(form, key)]
    for one in annotations:
        for form in _forms(one):
            if _is_model(form):
                yield from form.model_fields.items()


def _forms(annotation: object) -> Iterator[object]:
    """The types that an annotation stands for, without Annotated, Union and the like."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _forms(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for part in get_args(annotation):
            yield from _forms(part)
    else:
        yield annotation


def _below(form: object, key: str | int) -> Iterator[object]:
    """What is below this key: of a table its field, of a mapping or a list its items."""
    if _is_model(form):
        yield from (field.annotation for name, field in form.model_fields.items() if key in (name, field.alias))
    elif arguments := get_args(form):
        yield arguments[0] if isinstance(key, int) else arguments[-1]


def _is_model(form: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(form, type) and issubclass(form, BaseModel)
