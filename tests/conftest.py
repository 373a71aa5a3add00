"""Fixtures for every test: no settings of the machine, and logging restored."""

import gc
import itertools
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    import trustme

# `make test` tries each property with a few examples, `make test-slow` with all. No example is judged by its time: the
# machine may be busy.
ALL_EXAMPLES = 100
settings.register_profile("few", deadline=None, max_examples=ALL_EXAMPLES // 5)
settings.register_profile("all", deadline=None, max_examples=ALL_EXAMPLES)

_OURS = ("BUDGETD_", "XDG_")
_SYSTEMD = ("STATE_DIRECTORY", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC")
_NETWORK = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_TERMINAL = ("FORCE_COLOR", "NO_COLOR", "CLICOLOR_FORCE", "PY_COLORS")

_LONGEST = ("test_demo_story", "test_service_process", "test_starting", "test_house_handover", "test_cli")

WriteConfig = Callable[..., Path]


def examples(number: int) -> settings:
    """So many where all are tried, and as large a part of them as of the others where they are few."""
    return settings(max_examples=number * settings().max_examples // ALL_EXAMPLES)


def pytest_xdist_auto_num_workers() -> int:
    """Two workers per core, because many tests wait for a service or its messages."""
    return 2 * (os.cpu_count() or 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slowest files start first, so that none of them is left running alone at the end."""
    items.sort(key=lambda item: _LONGEST.index(item.path.stem) if item.path.stem in _LONGEST else len(_LONGEST))


def pytest_collection_finish() -> None:
    """Freezes the collected tests, so that the garbage collector does not scan them again."""
    gc.freeze()


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Numbered folders. `mktemp` would scan all earlier ones at each call."""
    folder = tmp_path_factory.mktemp("homes")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, homes: Iterator[Path]) -> None:
    for name in list(os.environ):
        if name.startswith(_OURS) or name in (*_SYSTEMD, *_TERMINAL, *_NETWORK) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    home = next(homes)
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    # So that no table is folded.
    monkeypatch.setenv("COLUMNS", "250")


@pytest.fixture(autouse=True)
def logging_restored() -> Iterator[None]:
    """`log.set_up` replaces the root's handlers, as a program may; a test may not."""
    loggers = [logging.getLogger(), logging.getLogger("budgetd")]
    before = [(list(one.handlers), one.level) for one in loggers]
    yield
    for logger, (handlers, level) in zip(loggers, before, strict=True):
        logger.handlers[:] = handlers
        logger.setLevel(level)


@pytest.fixture(scope="session")
def ca() -> "trustme.CA":
    """An authority of one's own, as a company has it."""
    import trustme  # most tests have no use for it

    return trustme.CA()


@pytest.fixture
def trusted(ca: "trustme.CA", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))


@pytest.fixture
def write_config(tmp_path: Path) -> WriteConfig:
    """Writes a config that only its owner can read, unless a mode says otherwise."""

    def write(content: str | bytes, mode: int = 0o600) -> Path:
        path = tmp_path / "config.toml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        return path

    return write
