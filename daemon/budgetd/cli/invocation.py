"""What the verbs have in common: their options, the config, the one look at the clock, and how they print."""

import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from budgetd.cli.tables import Printer
from budgetd.config import Config, load_config
from budgetd.config_paths import find_config
from budgetd.errors import UsageError
from budgetd.planning import Outline, make_outline
from budgetd.validation import did_you_mean

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="The config; else $BUDGETD_CONFIG, /etc/budgetd/config.toml, or config.toml in your own config folder.",
    ),
]
WIDTH_OF_A_PIPE: Final = 200
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def load(given: Path | None) -> Config:
    return load_config(find_config(given))


def require_known(given: Sequence[str], known: Sequence[str], what: str) -> list[str]:
    """The names given, all of which have to be known."""
    for name in given:
        if name not in known:
            raise UsageError(f"no {what} is named {name!r}{did_you_mean(name, known)}")
    return list(given)


def read_clock() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - a command reads the clock once, here


def make_printer(outline: Outline, now: datetime) -> Printer:
    return Printer(make_console(), outline.zone, now)


def make_console() -> Console:
    """As wide as the terminal; where there is none, wide enough that nothing has to be folded."""
    fits = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console() if fits else Console(width=WIDTH_OF_A_PIPE)


def print_json(shape: object) -> None:
    print(json.dumps(shape, indent=2, ensure_ascii=False))


def load_outline(given: Path | None) -> Outline:
    return make_outline(load(given))
