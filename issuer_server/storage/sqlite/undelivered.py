"""Webhooks that did not arrive, in SQL: looked at, sent again, dropped in their time."""

from __future__ import annotations

import sqlite3

from issuer_server.storage.key_records import Operator
from issuer_server.storage.port import NotFound
from issuer_server.storage.records import UndeliveredWebhook
from issuer_server.storage.sqlite import audit
from issuer_server.storage.sqlite.group_commit import GroupCommit
from issuer_server.storage.sqlite.payments import milliseconds
from protocol.identifiers import WebhookEndpointId

_OF_ENDPOINT = (
    "SELECT id, json_extract(payload, '$.type'), attempts, next_ms, problem, created_ms FROM webhook_messages"
    " WHERE endpoint_id = ? ORDER BY created_ms, id LIMIT ?"
)
_AGAIN = (
    "UPDATE webhook_messages SET attempts = 0, next_ms = ?1"
    " WHERE endpoint_id = ?2 AND (?3 IS NULL OR id = ?3)"
)


class SqliteUndelivered:
    """The port's `UndeliveredWebhooks`."""

    def __init__(self, writer: GroupCommit, reader: GroupCommit, operator: Operator | None) -> None:
        self._writer = writer
        self._reader = reader
        self._operator = operator

    async def of_endpoint(self, endpoint_id: WebhookEndpointId, limit: int) -> list[UndeliveredWebhook]:
        return await self._reader.submit(lambda connection: _of_endpoint(connection, endpoint_id, limit))

    async def send_again(self, endpoint_id: WebhookEndpointId, message_id: str | None, now: float) -> int:
        def again(connection: sqlite3.Connection) -> int:
            found = _send_again(connection, endpoint_id, message_id, milliseconds(now))
            if self._operator is not None:
                audit.write(connection, self._operator.did("send webhooks again", endpoint_id))
            return found

        return await self._writer.submit(again)

    async def drop_given_up(self, before: float) -> int:
        return await self._writer.submit(lambda connection: _drop_given_up(connection, milliseconds(before)))


def _of_endpoint(
    connection: sqlite3.Connection, endpoint_id: WebhookEndpointId, limit: int
) -> list[UndeliveredWebhook]:
    _check_known(connection, endpoint_id)
    return [
        UndeliveredWebhook(
            message_id, event, attempts, None if next_ms is None else next_ms / 1000, problem, created / 1000
        )
        for message_id, event, attempts, next_ms, problem, created in connection.execute(
            _OF_ENDPOINT, (endpoint_id, limit)
        )
    ]


def _send_again(
    connection: sqlite3.Connection, endpoint_id: WebhookEndpointId, message_id: str | None, now_ms: int
) -> int:
    _check_known(connection, endpoint_id)
    found = connection.execute(_AGAIN, (now_ms, endpoint_id, message_id)).rowcount
    if message_id is not None and found == 0:
        raise NotFound(
            "unknown_webhook_message",
            "No such message waits for this endpoint: see `issuer-server merchant webhook undelivered ID`.",
        )
    connection.execute("UPDATE webhook_endpoints SET disabled = 0 WHERE id = ?", (endpoint_id,))
    return found


def _drop_given_up(connection: sqlite3.Connection, before_ms: int) -> int:
    return connection.execute(
        "DELETE FROM webhook_messages WHERE next_ms IS NULL AND created_ms < ?", (before_ms,)
    ).rowcount


def _check_known(connection: sqlite3.Connection, endpoint_id: WebhookEndpointId) -> None:
    if not connection.execute("SELECT 1 FROM webhook_endpoints WHERE id = ?", (endpoint_id,)).fetchone():
        raise NotFound(
            "unknown_webhook_endpoint",
            "There is no webhook endpoint with this id: see `issuer-server merchant webhook list`.",
        )
