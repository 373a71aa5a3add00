"""Where the config is looked for, what lies beside it, and where its state is kept."""

import os
from pathlib import Path
from typing import Final

import platformdirs

from budgetd.errors import ConfigError

SYSTEM_CONFIG: Final = Path("/etc/budgetd/config.toml")
SYSTEM_STATE: Final = Path("/var/lib/budgetd")


def find_config(given: Path | None) -> Path:
    """`--config`, $BUDGETD_CONFIG, /etc/budgetd/config.toml, the platform's config folder; the first that is there."""
    named = _named_config(given)
    if named is not None:
        return named
    usual = [SYSTEM_CONFIG, _user_config()]
    for path in usual:
        if _is_there(path):
            return path
    raise ConfigError(
        [f"no config found: looked for {' and '.join(map(str, usual))}; give one with --config, or see `budgetd demo`"]
    )


def default_config(given: Path | None) -> Path:
    """The config that would be found, or where a new one belongs so that it will be."""
    try:
        return find_config(given)
    except ConfigError:
        return _user_config()


def _named_config(given: Path | None) -> Path | None:
    return given or (Path(os.environ["BUDGETD_CONFIG"]) if os.environ.get("BUDGETD_CONFIG") else None)


def _user_config() -> Path:
    return Path(platformdirs.user_config_dir("budgetd")) / "config.toml"


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # in a folder that we may not enter: reading it says so
        return True


def state_folder(config: Path) -> Path:
    """systemd's $STATE_DIRECTORY; for the system's config the same folder, so that `budgetd status` beside the service
    finds it too; else the platform's."""
    given = os.environ.get("STATE_DIRECTORY")
    if given:
        return Path(given.partition(":")[0])
    return SYSTEM_STATE if config == SYSTEM_CONFIG else Path(platformdirs.user_state_dir("budgetd"))


def own_providers(config: Path) -> Path:
    """The folder of the user's own provider files, beside the config; it need not exist."""
    return config.parent / "providers.d"
