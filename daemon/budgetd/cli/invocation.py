"""What the verbs have in common: their options, the config, the one look at the clock, and how they print."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from typer.core import TyperArgument, TyperCommand

from budgetd.cli.layout import Page
from budgetd.config import Config, load_config
from budgetd.config_paths import find_config
from budgetd.durations import parse_positive_duration
from budgetd.errors import StoreError, UsageError
from budgetd.planning import Outline, make_outline
from budgetd.store import database, status
from budgetd.validation import did_you_mean

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="Default: $BUDGETD_CONFIG, /etc/budgetd/config.toml, or config.toml in your user config folder.",
    ),
]
WIDTH_OF_A_PIPE: Final = 200
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


class Verb(TyperCommand):
    """A command whose help shows each option's metavar alone, without Python's name of its type."""

    def collect_usage_pieces(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]  # what typer passes
        return [piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]  # noqa: ANN401 - typer's own
        params = self.get_params(ctx)
        arguments = [(one.display_name_raw, one.help or "") for one in params if isinstance(one, TyperArgument)]
        options = [one.get_help_record(ctx) for one in params if not isinstance(one, TyperArgument)]
        for title, rows in (("Arguments", arguments), ("Options", options)):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def load(given: Path | None) -> Config:
    return load_config(find_config(given))


def read_length(text: str, option: str) -> timedelta:
    try:
        return parse_positive_duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


def read_pairs(given: Sequence[str], option: str = "") -> dict[str, str]:
    """NAME=VALUE, each name once. What stands after the sign may be a secret, and no message repeats it."""
    pairs: dict[str, str] = {}
    where = f"{option}: " if option else ""
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise UsageError(f"{where}expected NAME=VALUE, not {name!r}")
        if name in pairs:
            raise UsageError(f"{where}{name} is given twice")
        pairs[name] = value
    return pairs


def require_known(given: Sequence[str], known: Sequence[str], what: str, where: str) -> list[str]:
    """The names given, all of which have to be known; `where` the others are found, if they are many."""
    for name in given:
        if name not in known:
            raise UsageError(
                f"no {what} is named {name!r}{did_you_mean(name, known, where if known else 'there is none')}"
            )
    return list(given)


def require_accounts(given: Sequence[str], outline: Outline) -> list[str]:
    """Those that are enabled."""
    for name in given:
        if name in outline.config.file.accounts and name not in outline.accounts:
            path = outline.config.path
            raise UsageError(f"the account {name} is switched off: [accounts.{name}] enabled = false in {path}")
    return require_known(given, list(outline.accounts), "account", "`budgetd status` lists them")


def require_channel(name: str, outline: Outline) -> None:
    require_known([name], list(outline.config.file.channels), "channel", "`budgetd status` lists them")


def require_rule(name: str, outline: Outline) -> None:
    path = outline.config.path
    if name in outline.config.file.rules and name not in outline.ruleset.rules:
        raise UsageError(f"the rule {name} is switched off: [rules.{name}] enabled = false in {path}")
    where = f"they stand in {path} and in what it includes"
    require_known([name], list(outline.ruleset.rules), "rule", where)


def load_identities(state: Path) -> Mapping[str, str | None]:
    """What polls have found, if there is a store already: a config can be checked, and added to, without."""
    try:
        db = database.open_for_reading(state)
    except StoreError:
        return {}
    return status.load_identities(db) if db else {}


def read_clock() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - a command reads the clock once, here


def make_page(outline: Outline, now: datetime) -> Page:
    return Page(make_console(), outline.zone, now)


def make_console() -> Console:
    """As wide as the terminal; where there is none, wide enough that nothing has to be folded.

    A vendor's text is shown as it is: what stands in brackets there is no markup of ours.
    """
    fits = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if fits else WIDTH_OF_A_PIPE, markup=False, emoji=False, highlight=False)


def print_json(shape: object) -> None:
    print(json.dumps(shape, indent=2, ensure_ascii=not (sys.stdout.encoding or "").lower().startswith("utf")))


def load_outline(given: Path | None) -> Outline:
    return make_outline(load(given))
