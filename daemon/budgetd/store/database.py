"""The database file: opening, migrating, transactions, and the lock that makes one daemon the only writer."""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

from sqlite_utils import Database

from budgetd.errors import StoreError
from budgetd.store.schema import migrations


class Store(Database):
    """A connection that reads every query to its end at once.

    A cursor that an exception leaves half read keeps its snapshot, even after a rollback, for as long as the traceback
    lives. Once another connection has written, all our writes would then fail: "database is locked".
    """

    def query(
        self, sql: str, params: Sequence[object] | dict[str, Any] | None = None
    ) -> Generator[dict[str, Any], None, None]:
        rows = list(super().query(sql, params))
        return (row for row in rows)


# An error of one row, not of the database: the next row may be accepted.
_OUR_OWN_FAULT: Final = (sqlite3.DataError, sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError)
# Longer than any of our own transactions. If a command or a backup holds the lock longer, that is reported and retried.
BUSY_TIMEOUT: Final = 5.0


@contextlib.contextmanager
def write(db: Store) -> Iterator[None]:
    """A transaction: all of the block is written, or nothing.

    IMMEDIATE, because a deferred transaction that first reads fails at once when another process has written since.
    """
    with _translated():
        db.conn.execute("BEGIN IMMEDIATE")
        try:
            yield
            db.conn.execute("COMMIT")
        except BaseException:
            db.rollback()
            raise


@contextlib.contextmanager
def part(db: Store) -> Iterator[None]:
    """A savepoint inside a write: if the block fails, only it is undone."""
    with _translated():
        db.conn.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            db.conn.execute("ROLLBACK TO part")
            raise
        finally:
            db.conn.execute("RELEASE part")


@contextlib.contextmanager
def read(db: Store) -> Iterator[None]:
    """All queries in the block see one snapshot."""
    with _translated():
        db.conn.execute("BEGIN")
        try:
            yield
        finally:
            db.rollback()


def check(db: Store) -> None:
    """Raises StoreError if the database does not answer.

    The cursor is read to its end in the connection's own thread. If it were dropped in another thread, that would wait
    as long as this one waits for a lock, and the reason would be lost ("not an error").
    """
    with read(db):
        db.execute("SELECT 1 FROM accounts LIMIT 1").fetchall()


def put(db: Store, table: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Inserts the rows, or replaces those of the same key. All have the same columns.

    sqlite-utils' own `insert_all` reads the schema each time, which costs more than the insert.
    """
    if rows:
        columns, marks = ", ".join(f'"{name}"' for name in rows[0]), ", ".join("?" * len(rows[0]))
        sql = f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608 - names of our own
        db.conn.executemany(sql, [tuple(row.values()) for row in rows])


def open_for_daemon(path: Path) -> Store:
    """The database, created and migrated if needed. Raises StoreError."""
    with _translated(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Balances are private.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        db = Store(sqlite3.connect(path, timeout=BUSY_TIMEOUT))
        db.execute("PRAGMA journal_mode=WAL").fetchall()
        db.execute("PRAGMA synchronous=FULL").fetchall()
        migrations.apply(db)
    return db


def make(path: Path) -> None:
    """Creates the database as the service would, unless it exists. Raises StoreError."""
    if not path.exists():
        with locked(path):
            open_for_daemon(path).close()


def open_for_reading(path: Path) -> Store | None:
    """Opens the database for a command to read beside the service; None if the service has never run.

    Raises StoreError if it can't be read, or was written by an older version.
    """
    with _translated(path):
        if not path.exists():
            return None
        db = Store(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT))
        if migrations.pending(db):
            raise StoreError(f"{path}: made by an older budgetd; start the daemon once, it migrates")
    return db


def open_for_appending(path: Path) -> Store | None:
    """Opens the database for a command to append to, without migrating it; None if there is none."""
    db = open_for_reading(path)
    if db is None:
        return None
    db.close()
    with _translated(path):
        return Store(sqlite3.connect(path, timeout=BUSY_TIMEOUT))


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock that makes one daemon the only writer. Raises StoreError if another has it."""
    with _translated(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock: IO[str] = path.with_name(path.name + ".lock").open("a")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(f"{path}: another budgetd is running on this database") from error
        yield


def is_daemon_running(path: Path) -> bool:
    """Whether the service holds the lock on this database, as far as this process can tell."""
    try:
        with locked(path):
            return False
    except StoreError:
        return True


@contextlib.contextmanager
def _translated(path: Path | None = None) -> Iterator[None]:
    where = f"{path}: " if path else "database: "
    try:
        yield
    except _OUR_OWN_FAULT:
        raise
    except sqlite3.Error as error:
        raise StoreError(f"{where}{error}") from error
    except OSError as error:
        raise StoreError(f"{where}{error.strerror}") from error
