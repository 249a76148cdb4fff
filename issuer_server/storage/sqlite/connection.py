"""Opening the database file: settings, migrations, the one server it belongs to, what its errors mean."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from issuer_server.storage.migrations import Migration
from issuer_server.storage.port import StorageError

APPLICATION_ID = 0x42526C79
"""In the file's header ("BRly"), so that another program's database is never taken for ours."""

BUSY_SECONDS = 5.0
"""How long to wait for the other process: the administration command beside the server."""

OLDEST_SQLITE = (3, 37, 0)
"""STRICT tables; RETURNING is older."""


def connect(path: Path, *, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """A connection whose commits are on the disk when they return; a new file is its owner's alone."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise StorageError(f"SQLite {sqlite3.sqlite_version} is too old: this program needs 3.37 or newer")
    try:
        _create_privately(path)
        connection = sqlite3.connect(
            path, timeout=busy_seconds, isolation_level=None, check_same_thread=False, cached_statements=256
        )
    except OSError as error:
        raise StorageError(f"cannot open the database {path}: {error.strerror}") from None
    except sqlite3.Error as error:
        raise storage_error(error) from None
    try:
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StorageError(f"the database {path} cannot use a write-ahead log: put it on a local disk")
        for pragma in (
            "synchronous = FULL",
            "fullfsync = ON",  # macOS: fsync alone stops at the drive's cache
            "foreign_keys = ON",
            "trusted_schema = OFF",
            "temp_store = MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}")
    except sqlite3.Error as error:
        connection.close()
        raise storage_error(error) from None
    except StorageError:
        connection.close()
        raise
    return connection


def take_server_lock(database: Path) -> sqlite3.Connection:
    """Hold the database for one server; raises StorageError where another holds it. Close it to let go.

    The lock is SQLite's own, on an empty file beside the database: it works on every system that SQLite does,
    and the kernel drops it with the process, however that ends.
    """
    path = database.with_name(database.name + ".lock")
    try:
        _create_privately(path)
        # A command that only looks whether a server runs holds the lock for a moment.
        lock = sqlite3.connect(path, timeout=0.5, isolation_level=None, check_same_thread=False)
    except OSError as error:
        raise StorageError(f"cannot open the lock file {path}: {error.strerror}") from None
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        lock.close()
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise StorageError(
                f"another issuer-server runs on {database}: stop it first, or give this one its own directory"
            ) from None
        raise storage_error(error) from None
    return lock


def _create_privately(path: Path) -> None:
    """Make the file, its owner's alone, where there is none; one that is there is not even opened.

    POSIX drops all of a process's locks on a file when it closes any descriptor of it. A server that lost its
    locks so would have its write-ahead log deleted by the next administration command, and everything
    committed from then on with it (sqlite.org/howtocorrupt.html, section 2.2).
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        pass  # another connection's, or an earlier run's


def migrate(connection: sqlite3.Connection, steps: Sequence[Migration]) -> None:
    """Bring the schema up to date, under the write lock, all steps or none; refuses a newer database."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = schema_version(connection, steps)
            for step in steps[version:]:
                for statement in statements(step.sql):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {step.number:d}")
            if version == 0:
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID:d}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    except sqlite3.Error as error:
        raise storage_error(error) from None


def check_up_to_date(connection: sqlite3.Connection, steps: Sequence[Migration]) -> None:
    """For a process beside the server: it reads and writes the schema it knows, and changes none."""
    try:
        version = schema_version(connection, steps)
    except sqlite3.Error as error:
        raise storage_error(error) from None
    if version < len(steps):
        raise StorageError("the database is not set up for this version: run `issuer-server init` first")


def schema_version(connection: sqlite3.Connection, steps: Sequence[Migration]) -> int:
    """The version that the file is at; raises StorageError where it is not ours, or newer than `steps`."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (application or version or tables):
        raise StorageError("this file is another program's database: name a data directory of the issuer")
    if version > len(steps):
        raise StorageError(
            f"the database is newer (version {version}) than this program (version {len(steps)}): "
            "install the newer program, or restore the backup made before the upgrade"
        )
    return version


def rewrite_version(connection: sqlite3.Connection) -> None:
    """Write what stands there already: one page goes through the log to the disk, and nothing changes."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version = {version:d}")


def statements(sql: str) -> Iterator[str]:
    """The statements of a script one by one: `executescript` would commit the transaction around them."""
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if any(line.strip() and not line.lstrip().startswith("--") for line in statement.splitlines()):
        raise StorageError("a migration ends in the middle of a statement")


def storage_error(error: Exception) -> StorageError:
    """What went wrong, in words that say what to do. SQLite's own texts name constraints, never values."""
    if not isinstance(error, sqlite3.Error):
        return StorageError(f"the database gave up in the middle: {type(error).__name__}")
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # the low byte is the primary code
    advice = {
        sqlite3.SQLITE_FULL: "the disk of the database is full: make room; nothing of this was stored",
        sqlite3.SQLITE_BUSY: "another process holds the database: end it or try again; nothing was stored",
        sqlite3.SQLITE_READONLY: "the database cannot be written: check who owns the file and its directory",
        sqlite3.SQLITE_CANTOPEN: "the database file cannot be opened: check its directory and permissions",
        sqlite3.SQLITE_IOERR: "the disk that holds the database reports an error: check it before going on",
        sqlite3.SQLITE_CORRUPT: "the database is damaged: restore a backup",
        sqlite3.SQLITE_NOTADB: "the file is not a database: name a data directory of the issuer",
        sqlite3.SQLITE_CONSTRAINT: f"the database refuses it: {error}",
    }.get(code)
    return StorageError(advice or f"the database failed: {error}")
