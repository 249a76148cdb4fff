"""Copies of a database: taken beside a running server, proved before they count, put back while none runs.

A copy is one moment of the database in one file, without a write-ahead log beside it. It holds no key: with
the PIN pepper and the database together every PIN could be tried out, so the two are kept apart.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from issuer_server.storage.key_records import AuditEntry, Operator
from issuer_server.storage.port import StorageError
from issuer_server.storage.sqlite import audit
from issuer_server.storage.sqlite.connection import storage_error, take_server_lock
from issuer_server.storage.sqlite.inspection import (
    Figures,
    check_books,
    check_version,
    check_whole,
    figures,
    looking_at,
    newest_version,
)
from issuer_server.storage.sqlite.lost_commits import check_unless_served
from protocol.text import shown
from service_host.durable import sync_directory

UNFINISHED: Final = ".unfinished"
_ALL_PAGES: Final = -1


@dataclass(frozen=True, slots=True)
class Copied:
    """A proved copy. `figures` is None where its schema is older than this program's."""

    path: Path
    size: int
    version: int
    figures: Figures | None


@dataclass(frozen=True, slots=True)
class Restored:
    """What is in place now, and where the database before it went (None: there was none)."""

    copy: Copied
    set_aside: Path | None
    codes_ended: int


def back_up(database: Path, target: Path) -> Copied:
    """Copy the database, server or no server, and prove the copy; raises StorageError, with nothing left.

    The server goes on: a copy reads one moment of the database and holds up no writer.
    """
    if target.exists():
        raise StorageError(f"{target} exists: a backup never replaces a file, so name another")
    check_unless_served(database)
    unfinished = target.with_name(target.name + UNFINISHED)
    try:
        with looking_at(database) as source:
            _copy(source, unfinished)
        found = prove(unfinished)
        # A link fails where the name was taken meanwhile; a rename would replace what is there.
        os.link(unfinished, target)
        sync_directory(target.parent)
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror}") from None
    finally:
        unfinished.unlink(missing_ok=True)
    return Copied(target, found.size, found.version, found.figures)


def prove(path: Path) -> Copied:
    """Check every page, reference and balance of a copy; raises StorageError that says what is wrong."""
    with looking_at(path) as connection:
        version = check_version(connection)
        if version == 0:
            raise StorageError(f"{path} is empty: it is no backup of an issuer")
        if faults := check_whole(connection):
            raise StorageError(f"{path} is damaged: {'; '.join(faults)}")
        known = None
        if version == newest_version():
            if faults := check_books(connection):
                raise StorageError(f"the books in {path} are wrong: {'; '.join(faults)}")
            known = figures(connection)
    return Copied(path, path.stat().st_size, version, known)


def restore(source: Path, database: Path, operator: Operator, stamp: str) -> Restored:
    """Put a proved copy in the database's place, no server running; raises StorageError, nothing changed.

    What was there is kept beside it under `stamp`. One-time codes of the copy are ended: one that was used
    since would let a second device in. The audit log of the copy gets a line of the restore.
    """
    prove(source)
    lock = take_server_lock(database)
    unfinished = database.with_name(database.name + UNFINISHED)
    try:
        with looking_at(source) as connection:
            _copy(connection, unfinished)
        codes = _take_up(unfinished, operator.did("restore database", shown(source.name) or "a backup"))
        copy = prove(unfinished)
        set_aside = _set_aside(database, stamp)
        unfinished.replace(database)
        sync_directory(database.parent)
    except OSError as error:
        raise StorageError(f"cannot restore to {database}: {error.strerror}") from None
    finally:
        unfinished.unlink(missing_ok=True)
        lock.close()
    return Restored(Copied(database, copy.size, copy.version, copy.figures), set_aside, codes)


def _copy(source: sqlite3.Connection, target: Path) -> None:
    """One moment of `source` into a new private file, on the disk when this returns."""
    target.unlink(missing_ok=True)
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with closing(sqlite3.connect(target, isolation_level=None)) as copy:
            copy.execute("PRAGMA synchronous = OFF")  # it is synced below, once
            source.backup(copy, pages=_ALL_PAGES)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, and nothing beside it
    except sqlite3.Error as error:
        raise storage_error(error) from None
    descriptor = os.open(target, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _take_up(copy: Path, entry: AuditEntry) -> int:
    """What a copy needs to be the database from now on; how many codes were ended."""
    try:
        with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            codes = connection.execute(
                "UPDATE enrolment_codes SET expires_ms = 0 WHERE used_ms IS NULL AND expires_ms > 0"
            ).rowcount
            # A database of before there was such a log has nowhere to note it.
            if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'audit_log'").fetchone():
                audit.write(connection, entry)
            connection.execute("COMMIT")
            return codes
    except sqlite3.Error as error:
        raise storage_error(error) from None


def _set_aside(database: Path, stamp: str) -> Path | None:
    """The former database with its log, as it is: it may be damaged, and may be wanted for looking at."""
    aside = database.with_name(f"{database.name}.before-restore-{stamp}")
    if aside.exists():
        raise StorageError(f"{aside} exists: wait a second and try again")
    for ending in ("-wal", "-shm"):
        beside = database.with_name(database.name + ending)
        if beside.exists():
            beside.rename(aside.with_name(aside.name + ending))
    if not database.exists():
        return None
    # A second name, and no move: at no moment is there none, or a start would begin an empty one.
    os.link(database, aside)
    return aside
