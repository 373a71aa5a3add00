"""A config that is not written yet, so that it can be checked and tried before it is."""

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from budgetd.config import Config, ConfigFile
from budgetd.drafts.config_text import AccountDraft, ChannelDraft
from budgetd.drafts.kept import Kept
from budgetd.errors import ConfigError
from budgetd.rulefiles import lay_under
from budgetd.validation import problem_lines, toml_problem


def trial_config(text: str, target: Path, account: AccountDraft, channel: ChannelDraft | None = None) -> Config:
    """Literal secrets stand in it as if their files were there. Raises ConfigError, a line for each problem."""
    try:
        tables: dict[str, Any] = tomllib.loads(text, parse_float=Decimal)
        _fill_in(tables, account, channel)
        file = ConfigFile.model_validate(lay_under(tables, target))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{target}: with the new tables at its end: {toml_problem(error)}"]) from error
    except ValidationError as error:
        raise ConfigError(problem_lines(error, ConfigFile, str(target))) from error
    return Config(path=target, file=file, is_private=True, own_rules=frozenset(tables.get("rules", {})))


def _fill_in(tables: dict[str, Any], account: AccountDraft, channel: ChannelDraft | None) -> None:
    mine = tables["accounts"][account.name]
    mine["api_key"] = account.key.literal or mine["api_key"]
    for name, param in account.params.items():
        if isinstance(param, Kept) and param.literal:
            mine["params"][name] = param.literal.reveal()
    if channel and channel.url.literal:
        tables["channels"][channel.name]["url"] = channel.url.literal
