"""The rules of a test file, built as those of a config are, so that a rule means the same in both.

The built-in rules are below them only if the file asks for them, or names one. A test lists all that is told: one about
balances that has an outage in it should not have to list `blind` too.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from budgetd.config import Config, ConfigFile
from budgetd.errors import ConfigError
from budgetd.planning import Outline, make_outline
from budgetd.rulefiles import BUILT_IN, Tables, lay_under, read_tables
from budgetd.ruletests.shapes import CaseFile
from budgetd.validation import problem_lines
from budgetd_rules.rule import Rule

_OF_A_CONFIG: Final = ("timezone", "include", "rules", "routes", "channels", "accounts")
_CHANNELS: Final = {"test": {"group_wait": "0s"}}


class Layers:
    """What a config would say for the tests of one file. Raises ConfigError, a line for each problem."""

    def __init__(self, path: Path, file: CaseFile, tables: Tables) -> None:
        if file.config is None:
            self._path, below = path, _as_config(tables)
        else:
            doubled = [key for key in _OF_A_CONFIG if key in tables]
            if doubled:
                raise ConfigError([f"{path}: {key}: the config says it already" for key in doubled])
            self._path = path.parent / file.config
            below, _ = read_tables(self._path)
        try:
            self._tables = lay_under(below, self._path)
        except ConfigError as error:
            raise ConfigError(_as_here(error.problems)) from error
        if not file.built_in:
            self._switch_off(read_tables(BUILT_IN)[0]["rules"].keys() - below.get("rules", {}).keys())
        self.outline = self._outline(self._tables, str(self._path))

    def _switch_off(self, names: Iterable[str]) -> None:
        if isinstance(self._tables["rules"], dict):
            self._tables = _lay_over(self._tables, {name: {"enabled": False} for name in names})

    def rules(self, overlays: Iterable[Mapping[str, Any]], where: str) -> Mapping[str, Rule]:
        """The file's rules with others laid over them, key by key; `where` is said of what is wrong with those."""
        tables = self._tables
        for overlay in overlays:
            tables = _lay_over(tables, overlay)
        if tables == self._tables:
            return self.outline.ruleset.rules
        return self._outline({"rules": tables["rules"]}, where).ruleset.rules

    def _outline(self, tables: Tables, where: str) -> Outline:
        try:
            file = ConfigFile.model_validate(tables)
            return make_outline(Config(path=Path(where), file=file, is_private=True))
        except ValidationError as error:
            raise ConfigError(_as_here(problem_lines(error, ConfigFile, where))) from error


def _lay_over(tables: Tables, overlay: Mapping[str, Any]) -> Tables:
    rules = tables["rules"]
    return tables | {"rules": rules | {name: rules.get(name, {}) | table for name, table in overlay.items()}}


def _as_config(tables: Tables) -> Tables:
    """A test file has at its top what a config has under [daemon], and its channels need no URL."""
    daemon = {key: tables[key] for key in ("timezone", "include") if key in tables}
    config: Tables = {"daemon": daemon} | {key: tables[key] for key in ("rules", "routes") if key in tables}
    channels = tables.get("channels", _CHANNELS)
    if isinstance(channels, dict):
        channels = {
            name: {"url": "json://localhost"} | table if isinstance(table, dict) else table
            for name, table in channels.items()
        }
    return config | {"channels": channels}


def _as_here(problems: Iterable[str]) -> list[str]:
    return [problem.replace(": daemon.", ": ", 1) for problem in problems]
