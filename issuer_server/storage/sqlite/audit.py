"""The audit log in SQL: a line is written by the transaction of what it tells of."""

from __future__ import annotations

import sqlite3
from typing import Final

from issuer_server.storage.key_records import AuditEntry
from issuer_server.storage.sqlite.payments import milliseconds

ONE_TIME_CODE: Final = "one-time code"
"""Who it was where a device enrolled itself; the code's own line says who made it."""


def write(connection: sqlite3.Connection, entry: AuditEntry) -> None:
    """One line."""
    connection.execute(
        "INSERT INTO audit_log (operator, action, subject, at_ms) VALUES (?, ?, ?, ?)",
        (entry.operator, entry.action, entry.subject, milliseconds(entry.at)),
    )


def latest(connection: sqlite3.Connection, limit: int) -> list[AuditEntry]:
    """Latest first."""
    query = "SELECT operator, action, subject, at_ms FROM audit_log ORDER BY seq DESC LIMIT ?"
    return [
        AuditEntry(operator, action, subject, at_ms / 1000)
        for operator, action, subject, at_ms in connection.execute(query, (limit,))
    ]
