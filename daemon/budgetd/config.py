"""The TOML file: what it may say. Strict, so that a typo is an error and never a silent default.

This is the shape of the file alone. Whether its parts fit each other, the providers and Apprise, is checked in
`wiring`, so that all that is wrong is said at once.
"""

import os
import re
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import platformdirs
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, ValidationError

from budgetd.credentials import SOURCES, KeySource, Secret, SecretSource
from budgetd.durations import Duration, DurationOrZero, QuietHours
from budgetd.errors import ConfigError
from budgetd.rulefiles import lay_under, read_tables
from budgetd.validation import TAG, did_you_mean, problem_lines
from budgetd_rules.memory import ChangeKind
from budgetd_rules.meters import Kind
from budgetd_rules.rule import EASE_FOR

SHORTEST_INTERVAL: Final = timedelta(seconds=1)

LevelName = Literal["warning", "critical"]
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
    if not text.startswith(("https://", "http://")) or any(character.isspace() for character in text):
        raise ValueError('expected an address such as "https://api.example"')
    return text.rstrip("/")


def _interval(length: timedelta) -> timedelta:
    if length < SHORTEST_INTERVAL:
        raise ValueError("is shorter than a second")
    return length


def _one_or_more(value: object) -> object:
    return tuple(value) if isinstance(value, list) else (value,)


def _number(value: object) -> object:
    """Pydantic would take text and true for numbers as well."""
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


def _text_or_table(value: object) -> str:
    return f"{TAG}table" if isinstance(value, dict | BaseModel) else f"{TAG}text"


Name = Annotated[str, AfterValidator(_name)]
Labels = Mapping[Name, str]
Number = Annotated[Decimal, Field(strict=False), BeforeValidator(_number)]
KeySetting = Annotated[
    Annotated[Secret, Tag(f"{TAG}text")] | Annotated[KeySource, Tag(f"{TAG}table")], Discriminator(_text_or_table)
]
SecretSetting = Annotated[
    Annotated[Secret, Tag(f"{TAG}text")] | Annotated[SecretSource, Tag(f"{TAG}table")], Discriminator(_text_or_table)
]
PlainParam = Annotated[str | int, BeforeValidator(_param), Tag(f"{TAG}text")]
ParamSetting = Annotated[PlainParam | Annotated[SecretSource, Tag(f"{TAG}table")], Discriminator(_text_or_table)]
Interval = Annotated[Duration, AfterValidator(_interval)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
Levels = Annotated[tuple[RouteLevel, ...], BeforeValidator(_one_or_more)]
Kinds = Annotated[tuple[Annotated[Kind, Field(strict=False)], ...], BeforeValidator(_one_or_more)]
HeaderNames = Annotated[
    tuple[Annotated[str, AfterValidator(_header)], ...], BeforeValidator(_one_or_more), Field(min_length=1)
]
Changes = Annotated[tuple[Annotated[ChangeKind, Field(strict=False)], ...], BeforeValidator(_one_or_more)]


class DaemonTable(Table):
    state: Annotated[Path, Field(strict=False), AfterValidator(_database)] | None = None
    timezone: Annotated[str, AfterValidator(_zone)] = "UTC"
    interval: Interval = timedelta(minutes=5)
    include: Annotated[tuple[str, ...], Field(strict=False)] = ()


class AccountTable(Table):
    provider: str = Field(description='the vendor, such as "cekura"; `budgetd providers` lists them all')
    api_key: KeySetting = Field(description=f"write {SOURCES}")
    enabled: bool = True
    base_url: WebAddress | None = None
    params: Mapping[str, ParamSetting] = {}
    interval: Interval | None = None
    timeout: Duration = timedelta(seconds=30)
    stale_after: Duration | None = None
    labels: Labels = {}
    owner: str | None = None
    refill: str | None = None
    at_zero: str | None = None
    same_as: str | None = None
    headers: Mapping[str, HeaderNames] = {}


class TemplateFile(Table):
    file: Annotated[Path, Field(strict=False, description='the template\'s file, such as "ops.md"')]


class ChannelTable(Table):
    url: SecretSetting = Field(description=f"an Apprise URL, best as {SOURCES}")
    group_wait: DurationOrZero = timedelta(seconds=5)
    quiet: Annotated[QuietHours, BeforeValidator(_one_or_more)] = ()
    timezone: Annotated[str, AfterValidator(_zone)] | None = None
    fallback: str | None = None
    title: str | None = None
    body: (
        Annotated[
            Annotated[str, Tag(f"{TAG}text")] | Annotated[TemplateFile, Tag(f"{TAG}table")],
            Discriminator(_text_or_table),
        ]
        | None
    ) = None


class MatchTable(Table):
    level: Levels = ()
    kind: Kinds = ()
    change: Changes = ()
    rule: str = "*"
    account: str = "*"
    provider: str = "*"
    labels: Labels = {}


class RouteTable(Table):
    match: MatchTable = MatchTable()
    channels: Annotated[
        tuple[str, ...], Field(strict=False, min_length=1, description='where to tell it, such as ["ops"]')
    ]
    goes_on: bool = Field(default=False, alias="continue")
    after: Duration | None = None


class SelectorTable(Table):
    kind: Kinds = ()
    meter: str = "*"
    account: str = "*"
    provider: str = "*"
    labels: Labels = {}


class LevelConditions(Table):
    warning: str | None = None
    critical: str | None = None


class LevelDurations(Table):
    warning: Duration | None = None
    critical: Duration | None = None


class ClockworkTable(Table):
    every: Duration = Field(description='how long to wait, such as "1d"; or give each and steps')
    backoff: Annotated[Number, Field(ge=1, le=10)] = Decimal(1)
    max: Duration | None = None


class StepsTable(Table):
    each: str = Field(description='the field that is stepped through, such as "days_until_expiry"')
    steps: Annotated[
        tuple[Number, ...], Field(strict=False, min_length=1, description="where to remind, such as [30, 14, 7]")
    ]


def _remind_form(value: object) -> str:
    if isinstance(value, dict):
        return f"{TAG}steps" if {"each", "steps"} & value.keys() else f"{TAG}clockwork"
    return f"{TAG}text"


class RuleTable(Table):
    enabled: bool = True
    on: SelectorTable = Field(description='which meters it watches, such as { kind = "balance" }')
    warning: str | None = None
    critical: str | None = None
    clear: (
        Annotated[
            Annotated[str, Tag(f"{TAG}text")] | Annotated[LevelConditions, Tag(f"{TAG}table")],
            Discriminator(_text_or_table),
        ]
        | None
    ) = None
    unless: str | None = None
    sustain: (
        Annotated[
            Annotated[Duration, Tag(f"{TAG}text")] | Annotated[LevelDurations, Tag(f"{TAG}table")],
            Discriminator(_text_or_table),
        ]
        | None
    ) = Field(default=None, alias="for")
    ease_for: DurationOrZero = EASE_FOR
    remind: (
        Annotated[
            Annotated[Duration, Tag(f"{TAG}text")]
            | Annotated[ClockworkTable, Tag(f"{TAG}clockwork")]
            | Annotated[StepsTable, Tag(f"{TAG}steps")],
            Discriminator(_remind_form),
        ]
        | None
    ) = None
    on_change: Annotated[tuple[str, ...], BeforeValidator(_one_or_more)] = ()
    was: Name | None = None


class ConfigFile(Table):
    daemon: DaemonTable = DaemonTable()
    accounts: Mapping[Name, AccountTable] = {}
    channels: Mapping[Name, ChannelTable] = {}
    routes: Annotated[tuple[RouteTable, ...], Field(strict=False)] = ()
    rules: Mapping[Name, RuleTable] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A config file that was read. `own_rules` are those that it names itself.

    `is_private`: only its owner can read it, so that it may hold secrets.
    """

    path: Path
    file: ConfigFile
    is_private: bool
    own_rules: frozenset[str] = frozenset()

    @property
    def state(self) -> Path:
        """The database: `[daemon] state`, else in systemd's $STATE_DIRECTORY, else in the platform's state folder."""
        if self.file.daemon.state is not None:
            return self.path.parent / self.file.daemon.state
        folder = os.environ.get("STATE_DIRECTORY")
        return Path(folder.partition(":")[0] if folder else platformdirs.user_state_dir("budgetd")) / "budgetd.db"

    def problem(self, key: str, what: str) -> str:
        return f"{self.path}: {key}: {what}"


def load_config(path: Path) -> Config:
    """The file, its shape checked, over the layers of rules below it. Raises ConfigError, a line for each problem."""
    tables, is_private = read_tables(path)
    try:
        file = ConfigFile.model_validate(lay_under(tables, path))
    except ValidationError as error:
        raise ConfigError(problem_lines(error, ConfigFile, str(path))) from error
    return Config(path=path, file=file, is_private=is_private, own_rules=frozenset(tables.get("rules", {})))
