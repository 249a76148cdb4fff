"""What `issuer-server top` reads of a database: little, however large it has become."""

from __future__ import annotations

import sqlite3
from typing import Final

from issuer_server.operations.top_figures import RecentPayment
from issuer_server.storage.records import Outbox
from issuer_server.storage.sqlite import webhooks

MOST: Final = 20_000
"""Payments of the last hour that are looked at: five a second."""

# Payments are never deleted, so row numbers grow with time: the end of the table is the latest of it.
# A refund moves a payment too; when it was completed, its own transfer says.
_RECENT = (
    "SELECT p.id, p.merchant_name, p.state, p.reason, p.amount, p.currency, p.created_ms / 1000.0,"
    " coalesce(t.created_ms, p.updated_ms) / 1000.0"
    " FROM payments p LEFT JOIN transfers t ON t.payment_id = p.id AND t.kind = 'payment'"
    " WHERE p.rowid > (SELECT max(rowid) FROM payments) - ?1"
    " AND (p.updated_ms > ?2 OR p.rowid > (SELECT max(rowid) FROM payments) - 100)"
)
_IN_FLIGHT = (
    "SELECT state, count(*) FROM payments WHERE state NOT IN ('completed', 'not_settled') GROUP BY state"
)


def recent(connection: sqlite3.Connection, since: float) -> list[RecentPayment]:
    """Those that moved since then, and the latest hundred."""
    return [RecentPayment(*row) for row in connection.execute(_RECENT, (MOST, int(since * 1000)))]


def in_flight(connection: sqlite3.Connection) -> dict[str, int]:
    """By state."""
    return dict(connection.execute(_IN_FLIGHT).fetchall())


def outbox(connection: sqlite3.Connection) -> Outbox:
    """Webhooks that have not arrived."""
    return webhooks.outbox(connection)
