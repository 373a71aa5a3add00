"""Providers: a vendor's billing API as the rest of `collect` uses it, and where its TOML files are found.

Everything that can be wrong with a file is found here, all of it at once, so that a poll never meets a bad name.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path as FilePath
from typing import Final

from pydantic import ValidationError

from budgetd.collect.action_plans import plan_actions
from budgetd.collect.assembly import Assembly
from budgetd.collect.keys import Evidence
from budgetd.collect.paths import Path, compile_path
from budgetd.collect.plans import Action, AuthPlan, Meter, Param, RequestPlan
from budgetd.collect.tables import ProviderTable
from budgetd.errors import ConfigError
from budgetd.rulefiles import read_tables
from budgetd.validation import problem_lines
from budgetd_rules.polls import Cause
from budgetd_rules.rates import Rate

CATALOG: Final = FilePath(__file__).parent / "catalog"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    name: str
    title: str
    docs: str
    evidence: Evidence
    base_url: str
    key_hint: str
    interval: timedelta | None
    min_interval: timedelta | None
    rate_limit: Rate | None
    auth: AuthPlan
    headers: Mapping[str, str]
    params: Mapping[str, Param]
    causes: tuple[tuple[Cause, Path], ...]
    detail: tuple[Path, ...]
    request_id: str
    identity: str | None
    requests: tuple[RequestPlan, ...]
    meters: Mapping[str, Meter]
    actions: Mapping[str, Action]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """The providers that ship, and a user's own, which replace those of the same name.

    `own` are the files of the user's, and `problems` the lines about each file that is wrong; both by the file's name.
    """

    providers: Mapping[str, Provider]
    own: Mapping[str, FilePath]
    problems: Mapping[str, tuple[str, ...]]

    @property
    def replaced(self) -> list[str]:
        return sorted(name for name in self.own if (CATALOG / f"{name}.toml").exists())

    @property
    def problem_lines(self) -> list[str]:
        return [line for lines in self.problems.values() for line in lines]

    def raise_problems(self) -> None:
        """Raises ConfigError with every problem of every file."""
        if lines := self.problem_lines:
            raise ConfigError(lines)


def load_shelf(extra: FilePath | None = None) -> Shelf:
    """All that there is, whatever is wrong with some of it; the folder `extra` need not exist. Raises ConfigError."""
    providers: dict[str, Provider] = {}
    problems: dict[str, tuple[str, ...]] = {}
    own = {file.stem: file for file in _list_files(extra)} if extra else {}
    for name, file in own.items():
        try:
            providers[name] = load_provider(file)
        except ConfigError as error:
            problems[name] = error.problems
    shipped = {file.stem: file for file in _list_files(CATALOG) if file.stem not in own}
    return Shelf(providers=_Providers(providers, shipped), own=own, problems=problems)


class _Providers(Mapping[str, Provider]):
    """Those that ship are read when they are first asked for: a config names a few of many."""

    def __init__(self, own: Mapping[str, Provider], shipped: Mapping[str, FilePath]) -> None:
        self._own, self._shipped = own, shipped

    def __getitem__(self, name: str) -> Provider:
        return self._own[name] if name in self._own else _load_shipped(self._shipped[name])

    def __iter__(self) -> Iterator[str]:
        return iter([*self._shipped, *self._own])

    def __len__(self) -> int:
        return len(self._shipped) + len(self._own)


@cache
def _load_shipped(file: FilePath) -> Provider:
    """Once: they do not change while we run."""
    return load_provider(file)


def _list_files(folder: FilePath) -> list[FilePath]:
    """Without an editor's hidden ones."""
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix == ".toml" and not file.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError([f"{folder}: can't be read: {error.strerror}"]) from error
    return files


def load_provider(file: FilePath) -> Provider:
    try:
        table = ProviderTable.model_validate(read_tables(file)[0])
    except ValidationError as error:
        raise ConfigError(problem_lines(error, ProviderTable, str(file))) from error
    assembly = Assembly(table)
    actions = plan_actions(table, assembly.problems)
    problems = list(assembly.problems)
    if table.name != file.stem:
        problems.insert(0, f"name: is {table.name!r}, and the file is not: call one like the other")
    if problems:
        raise ConfigError(f"{file}: {problem}" for problem in problems)
    return Provider(
        name=table.name,
        title=table.title,
        docs=table.docs,
        evidence=table.evidence,
        base_url=table.base_url,
        key_hint=table.key_hint,
        interval=table.interval,
        min_interval=table.min_interval,
        rate_limit=Rate(requests=table.rate_limit.requests, per=table.rate_limit.per) if table.rate_limit else None,
        auth=AuthPlan(headers=table.auth.all_headers, query=table.auth.query, basic=table.auth.basic),
        headers=table.headers,
        params={name: Param(**param.model_dump()) for name, param in table.params.items()},
        causes=tuple((cause, compile_path(path)) for cause, path in table.causes.items()),
        detail=tuple(compile_path(path) for path in table.detail),
        request_id=table.request_id,
        identity=table.identity,
        requests=assembly.requests,
        meters=assembly.meters,
        actions=actions,
    )
