"""Webhooks in SQL: `announce` is part of the transaction that it tells of; the rest delivers, administers."""

from __future__ import annotations

import sqlite3

from issuer_server.storage.key_records import SealedSecret
from issuer_server.storage.port import NotFound
from issuer_server.storage.records import DueWebhook, NewWebhookEndpoint, Outbox, WebhookEndpoint
from issuer_server.webhooks.messages import Message
from protocol.identifiers import MerchantId, WebhookEndpointId

_ANNOUNCE = (
    "INSERT INTO webhook_messages (id, endpoint_id, payload, next_ms, created_ms)"
    " SELECT ?1, id, ?2, ?3, ?3 FROM webhook_endpoints WHERE merchant_id = ?4 AND NOT disabled"
)
_LISTENING = "SELECT 1 FROM webhook_endpoints WHERE merchant_id = ? AND NOT disabled LIMIT 1"
# So many of each endpoint: one that does not answer must not stand before all the others. By the index, since
# a window over all that waits read a whole backlog anew for each message of it.
_DUE = (
    "SELECT m.id, m.endpoint_id, e.url, e.secret, e.sealed_by,"
    " CASE WHEN e.previous_until_ms > ?1 THEN e.previous_secret END, e.previous_sealed_by,"
    " m.payload, m.attempts, m.next_ms"
    " FROM webhook_endpoints e JOIN webhook_messages m ON m.rowid IN"
    " (SELECT rowid FROM webhook_messages WHERE endpoint_id = e.id AND next_ms <= ?1"
    " ORDER BY next_ms, id LIMIT ?2)"
    " WHERE NOT e.disabled ORDER BY m.next_ms, m.id"
)
_OUTBOX = (
    "SELECT count(next_ms), count(*) - count(next_ms), min(created_ms) FILTER (WHERE next_ms IS NOT NULL)"
    " FROM webhook_messages"
)
_ENDPOINTS = (
    "SELECT id, merchant_id, url, disabled,"
    " (SELECT count(*) FROM webhook_messages WHERE endpoint_id = e.id AND next_ms IS NOT NULL),"
    " (SELECT count(*) FROM webhook_messages WHERE endpoint_id = e.id AND next_ms IS NULL),"
    " (SELECT problem FROM webhook_messages WHERE endpoint_id = e.id AND problem IS NOT NULL"
    " ORDER BY created_ms DESC LIMIT 1)"
    " FROM webhook_endpoints e WHERE ?1 IS NULL OR merchant_id = ?1 ORDER BY created_ms, id"
)


def outbox(connection: sqlite3.Connection) -> Outbox:
    """What has not arrived."""
    waiting, given_up, oldest = connection.execute(_OUTBOX).fetchone()
    return Outbox(waiting, given_up, None if oldest is None else oldest / 1000)


def listening(connection: sqlite3.Connection, merchant_id: MerchantId) -> bool:
    """Whether there is anybody to tell."""
    return connection.execute(_LISTENING, (merchant_id,)).fetchone() is not None


def announce(connection: sqlite3.Connection, merchant_id: MerchantId, message: Message, now_ms: int) -> None:
    """Lay a message out for each endpoint of the merchant."""
    connection.execute(_ANNOUNCE, (message.id, message.payload, now_ms, merchant_id))


def due(connection: sqlite3.Connection, now_ms: int, for_each_endpoint: int) -> list[DueWebhook]:
    """What to send now."""
    return [
        DueWebhook(
            message_id=message_id,
            endpoint_id=WebhookEndpointId(endpoint_id),
            url=url,
            secrets=tuple(
                SealedSecret(version, sealed)
                for version, sealed in ((sealed_by, secret), (previous_sealed_by, previous))
                if sealed is not None
            ),
            payload=payload,
            attempts=attempts,
            due_at=next_ms / 1000,
        )
        for (
            message_id,
            endpoint_id,
            url,
            secret,
            sealed_by,
            previous,
            previous_sealed_by,
            payload,
            attempts,
            next_ms,
        ) in connection.execute(_DUE, (now_ms, for_each_endpoint))
    ]


def delivered(connection: sqlite3.Connection, message_id: str, endpoint_id: WebhookEndpointId) -> None:
    """It arrived: nothing to keep."""
    connection.execute(
        "DELETE FROM webhook_messages WHERE id = ? AND endpoint_id = ?", (message_id, endpoint_id)
    )


def failed(connection: sqlite3.Connection, due: DueWebhook, next_ms: int | None, problem: str) -> bool:
    """It did not arrive; whether that still says anything of the message as it is now."""
    return (
        connection.execute(
            "UPDATE webhook_messages SET attempts = attempts + 1, next_ms = ?, problem = ?"
            " WHERE id = ? AND endpoint_id = ? AND attempts = ? AND next_ms = ?",
            (next_ms, problem, due.message_id, due.endpoint_id, due.attempts, round(due.due_at * 1000)),
        ).rowcount
        == 1
    )


def disable(connection: sqlite3.Connection, endpoint_id: WebhookEndpointId) -> None:
    """The endpoint wants no more."""
    connection.execute("UPDATE webhook_endpoints SET disabled = 1 WHERE id = ?", (endpoint_id,))
    connection.execute("UPDATE webhook_messages SET next_ms = NULL WHERE endpoint_id = ?", (endpoint_id,))


def add(connection: sqlite3.Connection, new: NewWebhookEndpoint, now_ms: int) -> None:
    """An endpoint of a merchant."""
    if connection.execute("SELECT 1 FROM merchants WHERE id = ?", (new.merchant_id,)).fetchone() is None:
        raise NotFound(
            "unknown_merchant", "There is no merchant with this id: see `issuer-server merchant list`."
        )
    connection.execute(
        "INSERT INTO webhook_endpoints (id, merchant_id, url, secret, sealed_by, created_ms)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (new.id, new.merchant_id, new.url, new.secret.sealed, new.secret.version, now_ms),
    )


def endpoints(connection: sqlite3.Connection, merchant_id: MerchantId | None) -> list[WebhookEndpoint]:
    """Everyone's, or one merchant's."""
    return [
        WebhookEndpoint(
            WebhookEndpointId(endpoint_id), MerchantId(owner), url, bool(disabled), waiting, lost, problem
        )
        for endpoint_id, owner, url, disabled, waiting, lost, problem in connection.execute(
            _ENDPOINTS, (merchant_id,)
        )
    ]


def rotate(
    connection: sqlite3.Connection,
    endpoint_id: WebhookEndpointId,
    secret: SealedSecret,
    previous_until_ms: int,
) -> None:
    """A new secret; the one before it goes on for a while."""
    changed = connection.execute(
        "UPDATE webhook_endpoints SET previous_secret = secret, previous_sealed_by = sealed_by,"
        " previous_until_ms = ?, secret = ?, sealed_by = ? WHERE id = ?",
        (previous_until_ms, secret.sealed, secret.version, endpoint_id),
    ).rowcount
    if changed != 1:
        raise _unknown()


def remove(connection: sqlite3.Connection, endpoint_id: WebhookEndpointId) -> None:
    """The endpoint, and what waits for it."""
    connection.execute("DELETE FROM webhook_messages WHERE endpoint_id = ?", (endpoint_id,))
    if connection.execute("DELETE FROM webhook_endpoints WHERE id = ?", (endpoint_id,)).rowcount != 1:
        raise _unknown()


def _unknown() -> NotFound:
    return NotFound(
        "unknown_webhook_endpoint",
        "There is no webhook endpoint with this id: see `issuer-server merchant webhook list`.",
    )
