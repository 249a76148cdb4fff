"""What an operator does, each thing in one transaction with its line in the audit log."""

from __future__ import annotations

import sqlite3

from issuer_server.storage.key_records import Operator, SealedSecret
from issuer_server.storage.records import (
    Balance,
    CardholderRecord,
    CardRecord,
    HandsetRecord,
    MerchantRecord,
    NewCard,
    NewCardholder,
    NewEnrolmentCode,
    NewMerchant,
    NewWebhookEndpoint,
    ReaderRecord,
    WebhookEndpoint,
)
from issuer_server.storage.sqlite import administration, audit, directory, ledger, webhooks
from issuer_server.storage.sqlite.directory import kind_text
from issuer_server.storage.sqlite.group_commit import GroupCommit, Operation
from issuer_server.storage.sqlite.payments import milliseconds
from protocol.identifiers import (
    CardholderId,
    CardId,
    Digest,
    HandsetId,
    MerchantId,
    ReaderId,
    WebhookEndpointId,
    reader_id_text,
)
from protocol.money import Money, format_money


class SqliteAdministration:
    """The port's `Administration` on the storage's own writer and reader.

    Without an `operator` (the server itself, a seeded demonstration) nothing is said in the audit log.
    """

    def __init__(self, writer: GroupCommit, reader: GroupCommit, operator: Operator | None) -> None:
        self._writer = writer
        self._reader = reader
        self._operator = operator

    async def _do(self, action: str, subject: str, work: Operation[None]) -> None:
        """The work and its line in the log, both or neither."""

        def audited(connection: sqlite3.Connection) -> None:
            work(connection)
            if self._operator is not None:
                audit.write(connection, self._operator.did(action, subject))

        await self._writer.submit(audited)

    async def add_merchant(self, new: NewMerchant, now: float) -> None:
        await self._do(
            "add merchant",
            new.id,
            lambda connection: administration.add_merchant(connection, new, milliseconds(now)),
        )

    async def replace_api_key(
        self, merchant_id: MerchantId, key_digest: Digest, previous_until: float
    ) -> None:
        until_ms = milliseconds(previous_until)
        await self._do(
            "replace api key",
            merchant_id,
            lambda connection: administration.replace_api_key(connection, merchant_id, key_digest, until_ms),
        )

    async def add_cardholder(self, new: NewCardholder, now: float) -> None:
        await self._do(
            "add cardholder",
            new.id,
            lambda connection: administration.add_cardholder(connection, new, milliseconds(now)),
        )

    async def add_card(self, new: NewCard, now: float) -> None:
        await self._do(
            "add card",
            new.id,
            lambda connection: administration.add_card(connection, new, milliseconds(now)),
        )

    async def add_enrolment_code(self, new: NewEnrolmentCode) -> None:
        await self._do(
            f"make {kind_text(new.kind)} code",
            new.cardholder_id,
            lambda connection: administration.add_enrolment_code(connection, new),
        )

    async def fund(self, cardholder_id: CardholderId, money: Money, now: float) -> None:
        await self._do(
            "fund cardholder",
            f"{cardholder_id} {format_money(money)}",
            lambda connection: administration.fund(connection, cardholder_id, money, milliseconds(now)),
        )

    async def set_merchant_blocked(self, merchant_id: MerchantId, blocked: bool) -> None:
        await self._set_blocked("merchant", merchant_id, merchant_id, blocked)

    async def set_cardholder_blocked(self, cardholder_id: CardholderId, blocked: bool) -> None:
        await self._set_blocked("cardholder", cardholder_id, cardholder_id, blocked)

    async def set_handset_blocked(self, handset_id: HandsetId, blocked: bool) -> None:
        await self._set_blocked("handset", handset_id, handset_id, blocked)

    async def set_reader_blocked(self, reader_id: ReaderId, blocked: bool) -> None:
        await self._set_blocked("reader", reader_id, reader_id_text(reader_id), blocked)

    async def _set_blocked(self, what: str, key: str | bytes, subject: str, blocked: bool) -> None:
        await self._do(
            f"{_verb(blocked)} {what}",
            subject,
            lambda connection: administration.set_blocked(connection, what, key, blocked),
        )

    async def set_card_blocked(self, card_id: CardId, blocked: bool) -> None:
        await self._do(
            f"{_verb(blocked)} card",
            card_id,
            lambda connection: administration.set_card_blocked(connection, card_id, blocked),
        )

    async def unblock_merchant(self, cardholder_id: CardholderId, merchant_id: MerchantId) -> None:
        await self._do(
            "unblock merchant for cardholder",
            f"{merchant_id} {cardholder_id}",
            lambda connection: administration.unblock_merchant(connection, cardholder_id, merchant_id),
        )

    async def blocked_merchants(self, cardholder_id: CardholderId) -> list[MerchantRecord]:
        return await self._reader.submit(
            lambda connection: directory.blocked_merchants(connection, cardholder_id)
        )

    async def merchants(self) -> list[MerchantRecord]:
        query = f"{directory.MERCHANTS} ORDER BY created_ms, id"
        return await self._reader.submit(
            lambda connection: [directory.merchant(row) for row in connection.execute(query)]
        )

    async def cardholders(self) -> list[CardholderRecord]:
        query = f"{directory.CARDHOLDERS} ORDER BY created_ms, id"
        return await self._reader.submit(
            lambda connection: [directory.cardholder(row) for row in connection.execute(query)]
        )

    async def cards(self) -> list[CardRecord]:
        query = f"{directory.CARDS} ORDER BY cards.created_ms, cards.id"
        return await self._reader.submit(
            lambda connection: [directory.card(row) for row in connection.execute(query)]
        )

    async def handsets(self) -> list[HandsetRecord]:
        query = f"{directory.HANDSETS} ORDER BY handsets.created_ms, handsets.id"
        return await self._reader.submit(
            lambda connection: [directory.handset(row) for row in connection.execute(query)]
        )

    async def readers(self) -> list[ReaderRecord]:
        query = f"{directory.READERS} ORDER BY readers.created_ms, readers.id"
        return await self._reader.submit(
            lambda connection: [directory.reader(row) for row in connection.execute(query)]
        )

    async def balances(self, owner: str | None = None) -> list[Balance]:
        return await self._reader.submit(lambda connection: ledger.balances(connection, owner))

    async def add_webhook_endpoint(self, new: NewWebhookEndpoint, now: float) -> None:
        await self._do(
            "add webhook", new.id, lambda connection: webhooks.add(connection, new, milliseconds(now))
        )

    async def webhook_endpoints(self, merchant_id: MerchantId | None = None) -> list[WebhookEndpoint]:
        return await self._reader.submit(lambda connection: webhooks.endpoints(connection, merchant_id))

    async def rotate_webhook_secret(
        self, endpoint_id: WebhookEndpointId, secret: SealedSecret, previous_until: float
    ) -> None:
        until_ms = milliseconds(previous_until)
        await self._do(
            "rotate webhook secret",
            endpoint_id,
            lambda connection: webhooks.rotate(connection, endpoint_id, secret, until_ms),
        )

    async def remove_webhook_endpoint(self, endpoint_id: WebhookEndpointId) -> None:
        await self._do(
            "remove webhook", endpoint_id, lambda connection: webhooks.remove(connection, endpoint_id)
        )


def _verb(blocked: bool) -> str:
    return "block" if blocked else "unblock"
