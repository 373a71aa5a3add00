"""Files for people to edit: written completely or not at all, and never over another unless that is asked for."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from budgetd.errors import BudgetdError, UsageError

PRIVATE: Final = 0o600
READABLE: Final = 0o644


def require_free(path: Path, *, force: bool) -> None:
    """Checked before any question is asked. Raises UsageError if the file exists."""
    if not force and path.exists():
        raise UsageError(f"{path} is there already; --force replaces it")


def require_writable(path: Path) -> None:
    """Before any question is asked in vain. Raises BudgetdError."""
    if path.is_dir():
        raise BudgetdError(f"{path}: is a folder; name a file in it, such as {path / 'config.toml'}")
    folder = next(one for one in path.absolute().parents if os.access(one, os.F_OK))
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        what = "nothing can be written in it" if folder.is_dir() else "is no folder"
        raise BudgetdError(f"{path}: can't be written: {folder}: {what}")


def write_file(path: Path, text: str, mode: int, *, force: bool) -> None:
    """Raises UsageError if the file exists already, and BudgetdError if it can't be written."""
    with _written_beside(path, text) as beside:
        beside.chmod(mode)
        if force:
            beside.replace(path)
        else:
            try:
                path.hardlink_to(beside)
            except FileExistsError as error:
                raise UsageError(f"{path} is there already; --force replaces it") from error


def rewrite_file(path: Path, text: str) -> None:
    """Replaces the text of a file, which keeps its owner and its mode. Raises BudgetdError."""
    path = path.resolve()
    with _written_beside(path, text) as beside:
        now = path.stat()
        with contextlib.suppress(PermissionError):  # then it becomes ours
            os.chown(beside, now.st_uid, now.st_gid)
        beside.chmod(stat.S_IMODE(now.st_mode))
        beside.replace(path)


@contextlib.contextmanager
def _written_beside(path: Path, text: str) -> Iterator[Path]:
    """A temporary file with the text in the same folder, gone at the end of the block."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Made 0600, so that what is private is at no moment readable.
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        beside = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(handle)
            yield beside
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise BudgetdError(f"{path}: can't be written: {error.strerror}") from error
