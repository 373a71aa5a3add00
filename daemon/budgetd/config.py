"""The config file: its tables and keys. Strict, so that a typo is an error and never a silent default.

Only the shape of the file is checked here. Whether its parts fit each other, the providers and Apprise is checked in
`planning`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Generic, TypeVar

from pydantic import BeforeValidator, Discriminator, Field, Tag, ValidationError

from budgetd.config_paths import state_folder
from budgetd.credentials import SOURCES
from budgetd.durations import Duration, DurationOrZero, QuietHours
from budgetd.errors import ConfigError
from budgetd.rulefiles import lay_under, read_tables
from budgetd.settings import (
    Changes,
    Database,
    HeaderNames,
    Interval,
    KeySetting,
    Kinds,
    Levels,
    Name,
    Number,
    ParamSetting,
    SecretSetting,
    Table,
    WebAddress,
    When,
    Zone,
    one_or_more,
    text_or_table,
)
from budgetd.validation import TAG, problem_lines
from budgetd_rules.rule import EASE_FOR

T = TypeVar("T")


class HeartbeatTable(Table):
    url: SecretSetting = Field(description=f"where to say that all goes well, best as {SOURCES}")
    every: Interval = timedelta(minutes=5)


class DaemonTable(Table):
    state: Database | None = None
    timezone: Zone = "UTC"
    interval: Interval = timedelta(minutes=5)
    include: Annotated[tuple[str, ...], Field(strict=False)] = ()
    heartbeat: HeartbeatTable | None = None


class AccountTable(Table):
    provider: str = Field(description='the vendor, such as "cekura"; `budgetd providers` lists them all')
    api_key: KeySetting = Field(description=f"write {SOURCES}")
    enabled: bool = True
    base_url: WebAddress | None = None
    params: Mapping[str, ParamSetting] = {}
    interval: Interval | None = None
    timeout: Duration = timedelta(seconds=30)
    stale_after: Duration | None = None
    labels: Mapping[Name, str] = {}
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
    quiet: Annotated[QuietHours, BeforeValidator(one_or_more)] = ()
    timezone: Zone | None = None
    fallback: str | None = None
    digest: When | None = None
    drill: When | None = None
    title: str | None = None
    body: (
        Annotated[
            Annotated[str, Tag(f"{TAG}text")] | Annotated[TemplateFile, Tag(f"{TAG}table")],
            Discriminator(text_or_table),
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
    labels: Mapping[Name, str] = {}


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
    labels: Mapping[Name, str] = {}


class ByLevel(Table, Generic[T]):
    """A setting of a rule that differs from level to level."""

    warning: T | None = None
    critical: T | None = None


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
            Annotated[str, Tag(f"{TAG}text")] | Annotated[ByLevel[str], Tag(f"{TAG}table")],
            Discriminator(text_or_table),
        ]
        | None
    ) = None
    unless: str | None = None
    sustain: (
        Annotated[
            Annotated[Duration, Tag(f"{TAG}text")] | Annotated[ByLevel[Duration], Tag(f"{TAG}table")],
            Discriminator(text_or_table),
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
    on_change: Annotated[tuple[str, ...], BeforeValidator(one_or_more)] = ()
    was: Name | None = None


class ConfigFile(Table):
    daemon: DaemonTable = DaemonTable()
    accounts: Mapping[Name, AccountTable] = {}
    channels: Mapping[Name, ChannelTable] = {}
    routes: Annotated[tuple[RouteTable, ...], Field(strict=False)] = ()
    rules: Mapping[Name, RuleTable] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A config file that was read. `own_rules` are the rules that stand in the file itself.

    `is_private`: only its owner can read it, so it may hold secrets.
    """

    path: Path
    file: ConfigFile
    is_private: bool
    own_rules: frozenset[str] = frozenset()

    @property
    def state(self) -> Path:
        """The database: `[daemon] state`, else where the one who runs this config keeps it (`config_paths`)."""
        if self.file.daemon.state is not None:
            return self.path.parent / self.file.daemon.state
        return state_folder(self.path) / "budgetd.db"

    def problem(self, key: str, what: str) -> str:
        return f"{self.path}: {key}: {what}"


def load_config(path: Path) -> Config:
    """Reads the file, with the built-in and included rules below its own. Raises ConfigError."""
    tables, is_private = read_tables(path)
    try:
        file = ConfigFile.model_validate(lay_under(tables, path))
    except ValidationError as error:
        raise ConfigError(problem_lines(error, ConfigFile, str(path))) from error
    config = Config(path=path, file=file, is_private=is_private, own_rules=frozenset(tables.get("rules", {})))
    if _is_folder(config.state):
        raise ConfigError([config.problem("daemon.state", f"{config.state} is a folder; name a file in it")])
    return config


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # who opens it says why it can't be
        return False
