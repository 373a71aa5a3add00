"""The kinds of texts that the keys of a provider file take, each with what may be wrong with it."""

import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from budgetd.collect.paths import compile_path
from budgetd.collect.templates import API_KEY, is_time
from budgetd.http import Request
from budgetd_rules.polls import CONNECTION, Cause


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _check_path(text: str) -> str:
    compile_path(text)
    return text


def _check_base_url(text: str) -> str:
    Request(url=text)
    if "?" in text or "#" in text or "@" in text:
        raise ValueError("takes neither a query nor a user: only https://host, and a path where all paths are below it")
    return text.rstrip("/")


def _check_meter_name(name: str) -> str:
    if name == CONNECTION:
        raise ValueError("is the name of a meter that every account has: choose another")
    return name


def _check_param_name(name: str) -> str:
    if name == API_KEY or is_time(name):
        raise ValueError("is what templates call the key or a time: choose another")
    return name


def _check_cause(cause: Cause) -> Cause:
    if cause is Cause.CREDENTIAL:
        raise ValueError("credential is for a key that we can't get hold of, so no vendor says it")
    return cause


def _check_pattern(text: str) -> str:
    try:
        groups = re.compile(text).groups
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error.msg}") from error
    if groups != 1:
        raise ValueError(f"{text!r} has {groups} groups in round brackets; it takes one, for the value")
    return text


def _check_scale(scale: Decimal) -> Decimal:
    if not Decimal("1e-12") <= scale <= Decimal("1e12"):
        raise ValueError("is a factor between 1e-12 and 1e12")
    return scale


def _check_json(tree: dict[str, Any]) -> dict[str, Any]:
    pending: list[object] = [tree]
    while pending:
        match pending.pop():
            case dict() as table:
                pending += table.values()
            case list() as items:
                pending += items
            case str() | bool() | int():
                pass
            case _:
                raise ValueError("holds texts, whole numbers, true, false, lists and tables")
    return tree


Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
ProviderName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]
MeterName = Annotated[Name, AfterValidator(_check_meter_name)]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]
ParamName = Annotated[Name, AfterValidator(_check_param_name)]
PathText = Annotated[str, AfterValidator(_check_path)]
PatternText = Annotated[str, AfterValidator(_check_pattern)]
BaseUrl = Annotated[str, AfterValidator(_check_base_url)]
Scale = Annotated[Decimal, AfterValidator(_check_scale)]
JsonTable = Annotated[dict[str, Any], AfterValidator(_check_json)]
CauseName = Annotated[Cause, AfterValidator(_check_cause)]
Evidence = Literal["confirmed", "secondary"]
