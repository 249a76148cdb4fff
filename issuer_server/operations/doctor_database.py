"""`issuer-server doctor`'s look at the database: whole, up to date, its books right, its outbox not stuck."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from issuer_server.operations.doctor import day
from issuer_server.storage.port import StorageError
from issuer_server.storage.sqlite.connection import take_server_lock
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
from service_host.findings import Finding, Level

WAL_NOTE: Final = 256 * 2**20
OUTBOX_NOTE: Final = 15 * 60.0
"""Seconds that a webhook waits before somebody should know: the second retry is after five minutes."""
_RESTORE = "Stop the issuer, copy the data directory aside, then restore a backup: issuer-server restore FILE"


def runs(database: Path) -> bool:
    """Whether a server has the database."""
    if not database.exists():
        return False
    try:
        take_server_lock(database).close()
    except StorageError:
        return True
    return False


def database(path: Path, *, running: bool, quick: bool) -> tuple[list[Finding], Figures | None]:
    """Every check of the database, and its figures where it could be read."""
    found: list[Finding] = []
    try:
        check_unless_served(path)
        with looking_at(path) as connection:
            if (version := check_version(connection)) < newest_version():
                seen = f"schema version {version}, this program's is {newest_version()}"
                remedy = "Back up, then start this version of the issuer, or run: issuer-server init"
                return [Finding("database", Level.FAULT, seen, remedy)], None
            found.extend(_whole(connection, path, quick))
            if found[-1].level is Level.FAULT:
                return found, None
            found.extend(_books(connection))
            known = figures(connection)
    except StorageError as problem:
        return [*found, Finding("database", Level.FAULT, str(problem), _remedy(path))], None
    found.extend(_log(path))
    found.extend(_in_flight(known, running))
    return found, known


def _remedy(path: Path) -> str:
    return (
        _RESTORE
        if path.exists()
        else "Run: issuer-server init, or restore a backup: issuer-server restore FILE"
    )


def _whole(connection: sqlite3.Connection, path: Path, quick: bool) -> Iterator[Finding]:
    if faults := check_whole(connection, quick=quick):
        yield Finding("database", Level.FAULT, f"{path} is damaged: {'; '.join(faults)}", _RESTORE)
        return
    size = path.stat().st_size / 2**20
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    seen = f"{path}, {size:.1f} MiB, whole{' (quick look)' if quick else ''}"
    log = "" if mode == "wal" else "; its write-ahead log comes with the issuer's start"
    yield Finding("database", Level.OK, f"{seen}, schema version {newest_version()}{log}")


def _books(connection: sqlite3.Connection) -> Iterator[Finding]:
    if faults := check_books(connection):
        remedy = "Stop the issuer: money is wrong. " + _RESTORE
        yield Finding("ledger", Level.FAULT, "; ".join(faults), remedy)
        return
    (accounts,) = connection.execute("SELECT count(*) FROM accounts").fetchone()
    (entries,) = connection.execute("SELECT count(*) FROM transfers").fetchone()
    yield Finding("ledger", Level.OK, f"balanced: {accounts} accounts are the sums of {entries} transfers")


def _log(path: Path) -> Iterator[Finding]:
    log = path.with_name(path.name + "-wal")
    size = log.stat().st_size if log.exists() else 0
    if size > WAL_NOTE:
        remedy = (
            "End what reads the database for so long (a backup, an sqlite3 shell); it shrinks by itself then."
        )
        yield Finding("write-ahead log", Level.NOTE, f"{size / 2**20:.0f} MiB", remedy)
    else:
        yield Finding("write-ahead log", Level.OK, f"{size / 2**20:.1f} MiB")


def _in_flight(known: Figures, running: bool) -> Iterator[Finding]:
    if known.in_flight and not running:
        seen = f"{known.in_flight} payments were in flight when the issuer stopped"
        remedy = "Start it: it ends them as not settled and tells their merchants."
        yield Finding("payments", Level.NOTE, seen, remedy)
    else:
        last = f", the last at {day(known.last_payment_at)}" if known.last_payment_at is not None else ""
        yield Finding("payments", Level.OK, f"{known.payments}{last}; {known.in_flight} in flight")


def outbox(known: Figures, now: float) -> Iterator[Finding]:
    """Webhooks that do not arrive."""
    see = "Look at the endpoints: issuer-server merchant webhook list"
    waited = now - known.webhooks_oldest_at if known.webhooks_oldest_at is not None else 0.0
    seen = f"{known.webhooks_waiting} wait"
    if known.webhooks_waiting and waited > OUTBOX_NOTE:
        yield Finding("outbox", Level.NOTE, f"{seen}, the longest for {waited / 60:.0f} minutes", see)
    elif known.webhooks_given_up:
        seen = f"{seen}, {known.webhooks_given_up} were given up"
        again = "when the endpoint answers again: issuer-server merchant webhook redeliver ID"
        yield Finding("outbox", Level.NOTE, seen, f"{see}; {again}")
    else:
        yield Finding("outbox", Level.OK, seen)
