"""Looks at a database file from outside the server: is it whole, do its books agree with its entries?

For commands alone. A server never opens its own file a second time: closing that would drop its locks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from issuer_server.storage.migrations import migrations
from issuer_server.storage.port import StorageError
from issuer_server.storage.sqlite.connection import BUSY_SECONDS, schema_version, storage_error

MOST_FAULTS: Final = 5
"""Of one kind: who reads them wants to know what is wrong, not everything that is."""

# Each gives a line for what must not be; all columns are ours: ids, codes, numbers.
_BOOKS: Final = (
    (
        "the balance of {} ({}, {}) is {} and its entries add up to {}",
        "SELECT a.owner, a.kind, a.currency, a.balance, coalesce(e.total, 0) FROM accounts a LEFT JOIN ("
        " SELECT account, sum(amount) AS total FROM ("
        "  SELECT credit_account AS account, amount FROM transfers"
        "  UNION ALL SELECT debit_account, -amount FROM transfers) GROUP BY account) e ON e.account = a.id"
        " WHERE a.balance <> coalesce(e.total, 0)",
    ),
    (
        "all accounts in {} add up to {} and not to nothing",
        "SELECT currency, sum(balance) FROM accounts GROUP BY currency HAVING sum(balance) <> 0",
    ),
    (
        "payment {} is {} and has {} transfers",
        "SELECT p.id, p.state, count(t.seq) FROM payments p"
        " LEFT JOIN transfers t ON t.payment_id = p.id AND t.kind = 'payment'"
        " GROUP BY p.id HAVING count(t.seq) <> (p.state = 'completed')",
    ),
    (
        "payment {} was of {} {} and its transfer is of {} {}",
        "SELECT p.id, p.amount, p.currency, t.amount, t.currency FROM payments p"
        " JOIN transfers t ON t.payment_id = p.id AND t.kind = 'payment'"
        " WHERE t.amount <> p.amount OR t.currency <> p.currency",
    ),
    (
        "payment {} says that {} were refunded, and its refunds add up to {}",
        "SELECT p.id, p.refunded, coalesce(r.total, 0) FROM payments p LEFT JOIN ("
        " SELECT payment_id, sum(amount) AS total FROM transfers WHERE kind = 'refund' GROUP BY payment_id) r"
        " ON r.payment_id = p.id WHERE p.refunded <> coalesce(r.total, 0)",
    ),
    (
        "{} holds of payments that have ended are left",
        "SELECT count(*) FROM holds h JOIN payments p ON p.id = h.payment_id"
        " WHERE p.state IN ('completed', 'not_settled') HAVING count(*) > 0",
    ),
    (
        "account {} ({}) says that {} are held, and its holds add up to {}",
        "SELECT a.owner, a.currency, a.held, coalesce(h.total, 0) FROM accounts a LEFT JOIN ("
        " SELECT account_id, sum(amount) AS total FROM holds GROUP BY account_id) h ON h.account_id = a.id"
        " WHERE a.held <> coalesce(h.total, 0)",
    ),
)


@dataclass(frozen=True, slots=True)
class Figures:
    """What is in a database, in numbers. Times are epoch seconds."""

    version: int
    merchants: int
    cardholders: int
    payments: int
    transfers: int
    in_flight: int
    last_payment_at: float | None
    webhooks_waiting: int
    webhooks_given_up: int
    webhooks_oldest_at: float | None


@contextmanager
def looking_at(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that reads one moment of the database, server or no server; raises StorageError."""
    if not path.is_file():
        raise StorageError(f"there is no database at {path}")
    address = f"file:{quote(str(path.resolve()))}?mode=ro"
    try:
        connection = sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("BEGIN")
            yield connection
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise StorageError(f"{path}: {storage_error(error)}") from None


def check_whole(connection: sqlite3.Connection, *, quick: bool = False) -> list[str]:
    """SQLite's own check of every page, index and reference, in sentences; `quick` leaves out the indexes."""
    faults = [
        str(line)
        for (line,) in connection.execute(f"PRAGMA {'quick' if quick else 'integrity'}_check({MOST_FAULTS})")
        if line != "ok"
    ]
    broken = connection.execute("PRAGMA foreign_key_check").fetchmany(MOST_FAULTS)
    return faults + [
        f"a row of {table} names a row of {other} that is not there" for table, _, other, _ in broken
    ]


def check_books(connection: sqlite3.Connection) -> list[str]:
    """Where balances are not the sum of their entries, or payments and transfers disagree."""
    return [
        text.format(*row)
        for text, query in _BOOKS
        for row in connection.execute(query).fetchmany(MOST_FAULTS)
    ]


def check_version(connection: sqlite3.Connection) -> int:
    """The schema's version; raises StorageError for another program's file, and for a newer one."""
    return schema_version(connection, migrations("sqlite"))


def newest_version() -> int:
    """The schema that this program makes."""
    return len(migrations("sqlite"))


def figures(connection: sqlite3.Connection) -> Figures:
    """Of a database that is up to date."""

    def one(query: str) -> int:
        value: int = connection.execute(query).fetchone()[0]
        return value

    last = connection.execute("SELECT max(updated_ms) FROM payments").fetchone()[0]
    oldest = connection.execute(
        "SELECT min(created_ms) FROM webhook_messages WHERE next_ms IS NOT NULL"
    ).fetchone()[0]
    return Figures(
        version=one("PRAGMA user_version"),
        merchants=one("SELECT count(*) FROM merchants"),
        cardholders=one("SELECT count(*) FROM cardholders"),
        payments=one("SELECT count(*) FROM payments"),
        transfers=one("SELECT count(*) FROM transfers"),
        in_flight=one("SELECT count(*) FROM payments WHERE state NOT IN ('completed', 'not_settled')"),
        last_payment_at=None if last is None else last / 1000,
        webhooks_waiting=one("SELECT count(*) FROM webhook_messages WHERE next_ms IS NOT NULL"),
        webhooks_given_up=one("SELECT count(*) FROM webhook_messages WHERE next_ms IS NULL"),
        webhooks_oldest_at=None if oldest is None else oldest / 1000,
    )
