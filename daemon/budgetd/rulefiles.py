"""Reading TOML files, also those of providers, and the layers of rules below those of a config: built-in, packs,
included files.

A later layer changes an earlier one rule by rule and key by key, so that `[rules.blind] enabled = false` is all it
takes to switch a rule off.
"""

import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import budgetd_rules
from budgetd.errors import ConfigError
from budgetd.validation import did_you_mean, toml_problem

LARGEST: Final = 10_000_000
PACK: Final = "pack:"
PACKS: Final = Path(budgetd_rules.__file__).parent
BUILT_IN: Final = PACKS / "builtin.toml"

Tables = dict[str, Any]


def read_tables(path: Path) -> tuple[Tables, bool]:
    """The file's tables, and whether only its owner can read it. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
            mode = os.fstat(file.fileno()).st_mode
    except OSError as error:
        raise ConfigError([f"{path}: can't be read: {error.strerror}"]) from error
    if len(raw) > LARGEST:
        raise ConfigError([f"{path}: is longer than {LARGEST:,} bytes: this is no config"])
    return _parse(raw, str(path)), not mode & (stat.S_IRWXG | stat.S_IRWXO)


def _parse(raw: bytes, name: str) -> Tables:
    try:
        # Editors on Windows put a byte-order mark before the text.
        return tomllib.loads(raw.decode("utf-8-sig"), parse_float=Decimal)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{name}: line {line}: is not UTF-8; save the file as UTF-8"]) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{name}: {toml_problem(error)}"]) from error
    except RecursionError as error:
        raise ConfigError([f"{name}: is nested too deeply"]) from error
    except (ValueError, ArithmeticError) as error:
        raise ConfigError([f"{name}: holds a number that is too long"]) from error


def lay_under(tables: Tables, path: Path) -> Tables:
    """The config's tables, with the rules of all layers added below its own. Raises ConfigError."""
    own = tables.get("rules", {})
    if not isinstance(own, dict):
        return tables
    rules: dict[str, Any] = {}
    for layer in [BUILT_IN, *_included(tables, path)]:
        _merge(rules, _rules_of(layer))
    _merge(rules, own)
    return tables | {"rules": rules}


def _merge(rules: dict[str, Any], layer: Mapping[str, Any]) -> None:
    for name, table in layer.items():
        below = rules.get(name)
        rules[name] = below | table if isinstance(below, dict) and isinstance(table, dict) else table


def _included(tables: Tables, path: Path) -> Iterator[Path]:
    """The files of `include`, in its order. A pattern may match nothing; a named file has to exist."""
    daemon = tables.get("daemon")
    include = daemon.get("include", []) if isinstance(daemon, dict) else []
    if not isinstance(include, list):
        return
    for number, entry in enumerate(include, start=1):
        if isinstance(entry, str):
            yield from _files(entry, path, f"{path}: daemon.include#{number}")


def _files(entry: str, path: Path, where: str) -> list[Path]:
    if entry.startswith(PACK):
        packs = {file.stem: file for file in PACKS.glob("*.toml") if file != BUILT_IN}
        name = entry.removeprefix(PACK)
        if name not in packs:
            raise ConfigError([f"{where}: no pack is named {name!r}{did_you_mean(name, list(packs))}"])
        return [packs[name]]
    try:
        pattern = Path(entry).expanduser()
    except RuntimeError as error:  # `~` of somebody whom the system does not know
        raise ConfigError([f"{where}: {entry} has no home folder to begin with"]) from error
    if any(mark in entry for mark in "*?["):
        folder = Path(pattern.anchor) if pattern.is_absolute() else path.parent
        return sorted(folder.glob(str(pattern.relative_to(pattern.anchor))))
    file = path.parent / pattern
    if not file.is_file():
        raise ConfigError([f"{where}: {file} is no file that is there"])
    return [file]


def _rules_of(layer: Path) -> dict[str, Any]:
    tables, _ = read_tables(layer)
    others = sorted(tables.keys() - {"rules"})
    rules = tables.get("rules", {})
    if others or not isinstance(rules, dict) or not all(isinstance(table, dict) for table in rules.values()):
        raise ConfigError([f"{layer}: {others[0] if others else 'rules'}: an included file holds [rules.NAME] alone"])
    return rules
