"""Settings: the types of single values in the config. A value of another type is refused, never converted."""

import re
import zoneinfo
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from budgetd.credentials import KeySource, Secret, SecretSource
from budgetd.durations import Duration
from budgetd.validation import TAG, did_you_mean
from budgetd_rules.appointments import Appointment, parse_appointment
from budgetd_rules.kinds import Kind
from budgetd_rules.memory import ChangeKind

SHORTEST_INTERVAL: Final = timedelta(seconds=1)

RouteLevel = Literal["info", "warning", "critical"]


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, strict=True)


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", text):
        raise ValueError("a name has up to 64 letters, digits, dots, dashes and underscores, and begins with no sign")
    return text


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        hint = did_you_mean(name, sorted(zoneinfo.available_timezones()))
        hint = hint or "; take one such as Europe/Berlin or UTC"
        raise ValueError(f"no time zone is named {name!r}{hint}") from error
    return name


def _database(path: Path) -> Path:
    if path == Path() or "\0" in str(path):
        raise ValueError("expected the database's file, such as /var/lib/budgetd/budgetd.db")
    try:
        return path.expanduser()
    except RuntimeError as error:  # `~` of somebody whom the system does not know
        raise ValueError(f"{path} has no home folder to begin with") from error


def _web_address(text: str) -> str:
    if any(sign in text for sign in "?#@"):  # a path is put behind it, and a user's password would be shown
        raise ValueError("takes neither a query nor a user: only https://host, and a path where all paths are below it")
    try:
        parts = urlsplit(text)
        is_web = parts.scheme in ("https", "http") and parts.hostname
        if not is_web or parts.port == 0 or any(map(str.isspace, text)):
            raise ValueError
    except ValueError as error:  # also for a port that can be none
        raise ValueError('expected an address such as "https://api.example", or "http://127.0.0.1:8080/v2"') from error
    return text.rstrip("/")


def _interval(length: timedelta) -> timedelta:
    if length < SHORTEST_INTERVAL:
        raise ValueError("is shorter than a second")
    return length


def one_or_more(value: object) -> object:
    return tuple(value) if isinstance(value, list) else (value,)


def _number(value: object) -> object:
    """Refuses text and booleans, which pydantic would accept as numbers."""
    if type(value) not in (int, Decimal):
        raise ValueError("expected a number, without quotes")
    return value


def _param(value: object) -> object:
    if type(value) not in (str, int):
        raise ValueError("expected text in quotes, or a whole number")
    return value


def _header(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
        raise ValueError('expected the name of a header, such as "X-Quota-Used"')
    return name


def text_or_table(value: object) -> str:
    return f"{TAG}table" if isinstance(value, dict | BaseModel) else f"{TAG}text"


Name = Annotated[str, AfterValidator(_name)]
Zone = Annotated[str, AfterValidator(_zone)]
Database = Annotated[Path, Field(strict=False), AfterValidator(_database)]
Number = Annotated[Decimal, Field(strict=False), BeforeValidator(_number)]
KeySetting = Annotated[
    Annotated[Secret, Tag(f"{TAG}text")] | Annotated[KeySource, Tag(f"{TAG}table")], Discriminator(text_or_table)
]
SecretSetting = Annotated[
    Annotated[Secret, Tag(f"{TAG}text")] | Annotated[SecretSource, Tag(f"{TAG}table")], Discriminator(text_or_table)
]
PlainParam = Annotated[str | int, BeforeValidator(_param), Tag(f"{TAG}text")]
ParamSetting = Annotated[PlainParam | Annotated[SecretSource, Tag(f"{TAG}table")], Discriminator(text_or_table)]
Interval = Annotated[Duration, AfterValidator(_interval)]
When = Annotated[Appointment, BeforeValidator(parse_appointment)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
Levels = Annotated[tuple[RouteLevel, ...], BeforeValidator(one_or_more)]
Kinds = Annotated[tuple[Annotated[Kind, Field(strict=False)], ...], BeforeValidator(one_or_more)]
HeaderNames = Annotated[
    tuple[Annotated[str, AfterValidator(_header)], ...], BeforeValidator(one_or_more), Field(min_length=1)
]
Changes = Annotated[tuple[Annotated[ChangeKind, Field(strict=False)], ...], BeforeValidator(one_or_more)]
