"""Where the config is looked for, what is beside it, and where the state is kept."""

import os
from pathlib import Path
from typing import Final

import platformdirs

from budgetd.errors import ConfigError

SYSTEM_CONFIG: Final = Path("/etc/budgetd/config.toml")
SYSTEM_STATE: Final = Path("/var/lib/budgetd")


def find_config(given: Path | None) -> Path:
    """`--config`, else $BUDGETD_CONFIG, else the first that exists of those in /etc and in the user's config folder."""
    named = _named_config(given)
    if named is not None:
        return named
    usual = [SYSTEM_CONFIG, _user_config()]
    for path in usual:
        if _is_there(path):
            return path
    raise ConfigError(
        [f"no config found: looked for {' and '.join(map(str, usual))}; `budgetd init` writes one, --config names one"]
    )


def default_config(given: Path | None) -> Path:
    """The config that would be found, or where a new one would be found."""
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
    except OSError:  # it is in a folder that we may not enter: reading the config will say so
        return True


def state_folder(config: Path) -> Path:
    """systemd's $STATE_DIRECTORY; the same folder for the system's config, so that commands beside the service find it;
    else the platform's.
    """
    given = os.environ.get("STATE_DIRECTORY")
    if given:
        return Path(given.partition(":")[0])
    return SYSTEM_STATE if config == SYSTEM_CONFIG else Path(platformdirs.user_state_dir("budgetd"))


def own_providers(config: Path) -> Path:
    """The folder of the user's own provider files, which need not exist."""
    return config.parent / "providers.d"
