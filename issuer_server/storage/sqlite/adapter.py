"""The storage port on one SQLite file: a writer with group commit, a reader beside it, one server."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from issuer_server.operations.observing import NOBODY, Observer
from issuer_server.payment import PaymentState
from issuer_server.storage.key_records import Operator
from issuer_server.storage.migrations import migrations
from issuer_server.storage.port import StorageError
from issuer_server.storage.records import (
    NO_CHANGES,
    CardholderRecord,
    CardRecord,
    Created,
    DueWebhook,
    HandsetRecord,
    HoldResult,
    IdempotencyClaim,
    MerchantRecord,
    NewPayment,
    NewRefund,
    Outbox,
    PaymentChanges,
    PaymentRecord,
    ReaderRecord,
    RefundRecord,
    Replayed,
    SettleResult,
)
from issuer_server.storage.sqlite import directory, payments, refunds, webhooks
from issuer_server.storage.sqlite.connection import (
    check_up_to_date,
    connect,
    migrate,
    rewrite_version,
    take_server_lock,
)
from issuer_server.storage.sqlite.group_commit import Batching, GroupCommit
from issuer_server.storage.sqlite.keys import SqliteKeyTable
from issuer_server.storage.sqlite.lost_commits import check_log_is_whole, check_unless_served
from issuer_server.storage.sqlite.operating import SqliteAdministration
from issuer_server.storage.sqlite.payments import milliseconds
from issuer_server.storage.sqlite.undelivered import SqliteUndelivered
from protocol.identifiers import (
    CardholderId,
    CardId,
    Digest,
    HandsetId,
    MerchantId,
    PaymentId,
    PhoneNumber,
    PublicKey,
    ReaderId,
    RefundId,
    WebhookEndpointId,
)


class SqliteStorage(SqliteAdministration):
    """All of the port's protocols. Made by `open` or `open_beside_server`."""

    def __init__(
        self,
        path: Path,
        writer: GroupCommit,
        reader: GroupCommit,
        lock: sqlite3.Connection | None,
        operator: Operator | None,
    ) -> None:
        super().__init__(writer, reader, operator)
        self.keys = SqliteKeyTable(path, writer, reader)
        self.undelivered = SqliteUndelivered(writer, reader, operator)
        self._lock = lock

    @classmethod
    async def open(cls, path: Path, observer: Observer = NOBODY) -> SqliteStorage:
        """For the server: takes the file for itself, creates or migrates it; raises StorageError.

        Opening waits for the disk: call it before the server takes requests. The caller sweeps.
        """
        lock = take_server_lock(path)
        try:
            check_log_is_whole(path)
            return cls._start(path, lock, observer)
        except BaseException:
            lock.close()
            raise

    @classmethod
    async def open_beside_server(cls, path: Path, operator: Operator | None = None) -> SqliteStorage:
        """For the administration command, server or no server; changes no schema; raises StorageError.

        What is then done to the database stands in its audit log as the operator's.
        """
        check_unless_served(path)
        return cls._start(path, None, operator=operator)

    @classmethod
    def _start(
        cls,
        path: Path,
        lock: sqlite3.Connection | None,
        observer: Observer = NOBODY,
        operator: Operator | None = None,
    ) -> SqliteStorage:
        if lock is None and not path.exists():
            raise StorageError(f"there is no database at {path}: run `issuer-server init` first")
        connection = connect(path)
        try:
            if lock is not None:
                migrate(connection, migrations("sqlite"))
            check_up_to_date(connection, migrations("sqlite"))
            reading = connect(path)
        except BaseException:
            connection.close()
            raise
        reading.execute("PRAGMA query_only = ON")
        return cls(
            path,
            GroupCommit(connection, Batching.WRITE, observer),
            GroupCommit(reading, Batching.READ, observer),
            lock,
            operator,
        )

    async def close(self) -> None:
        """Finish what is queued, then let the file go."""
        await self._reader.close()
        await self._writer.close()
        if self._lock is not None:
            self._lock.close()

    # How it is.

    async def check_writable(self) -> None:
        await self._writer.submit(rewrite_version)

    async def outbox(self) -> Outbox:
        return await self._reader.submit(webhooks.outbox)

    # Payments.

    async def create_payment(
        self, new: NewPayment, idempotency: IdempotencyClaim, most_in_flight: int | None = None
    ) -> Created | Replayed:
        return await self._writer.submit(
            lambda connection: payments.create(connection, new, idempotency, most_in_flight)
        )

    async def replay(self, merchant_id: MerchantId, idempotency: IdempotencyClaim) -> Replayed | None:
        # The writer's queue, not the reader's: behind a creation with this key that is on its way.
        return await self._writer.submit(
            lambda connection: payments.replay(connection, merchant_id, idempotency)
        )

    async def advance(
        self,
        payment_id: PaymentId,
        expected: PaymentState,
        to: PaymentState,
        changes: PaymentChanges,
        now: float,
    ) -> bool:
        return await self._writer.submit(
            lambda connection: payments.advance(
                connection, payment_id, expected, to, changes, milliseconds(now)
            )
        )

    async def hold(
        self,
        payment_id: PaymentId,
        expected: PaymentState,
        now: float,
        changes: PaymentChanges = NO_CHANGES,
    ) -> HoldResult:
        return await self._writer.submit(
            lambda connection: payments.hold(connection, payment_id, expected, milliseconds(now), changes)
        )

    async def settle(
        self,
        payment_id: PaymentId,
        expected: PaymentState,
        card_id: CardId,
        now: float,
        changes: PaymentChanges = NO_CHANGES,
    ) -> SettleResult:
        return await self._writer.submit(
            lambda connection: payments.settle(
                connection, payment_id, expected, card_id, milliseconds(now), changes
            )
        )

    async def refund(self, new: NewRefund, idempotency: IdempotencyClaim) -> RefundRecord:
        return await self._writer.submit(lambda connection: refunds.give_back(connection, new, idempotency))

    async def refunds(self, payment_id: PaymentId, before: RefundId | None, limit: int) -> list[RefundRecord]:
        return await self._reader.submit(
            lambda connection: refunds.of_payment(connection, payment_id, before, limit)
        )

    async def sweep(self, now: float) -> list[PaymentRecord]:
        return await self._writer.submit(lambda connection: payments.sweep(connection, milliseconds(now)))

    async def payment(self, payment_id: PaymentId) -> PaymentRecord | None:
        return await self._reader.submit(lambda connection: payments.by_id(connection, payment_id))

    async def payments(
        self, merchant_id: MerchantId, before: PaymentId | None, limit: int
    ) -> list[PaymentRecord]:
        return await self._reader.submit(
            lambda connection: payments.of_merchant(connection, merchant_id, before, limit)
        )

    # Who there is.

    async def merchant_by_key_digest(self, key_digest: Digest, now: float) -> MerchantRecord | None:
        return await self._reader.submit(
            lambda connection: directory.merchant_by_key_digest(connection, key_digest, milliseconds(now))
        )

    async def cardholder_by_phone(self, phone: PhoneNumber) -> CardholderRecord | None:
        return await self._reader.submit(lambda connection: directory.cardholder_by_phone(connection, phone))

    async def handset_by_token_digest(self, token_digest: Digest) -> HandsetRecord | None:
        return await self._reader.submit(
            lambda connection: directory.handset_by_token_digest(connection, token_digest)
        )

    async def reader(self, reader_id: ReaderId) -> ReaderRecord | None:
        return await self._reader.submit(lambda connection: directory.reader_by_id(connection, reader_id))

    async def card_by_index(self, pan_index: Digest) -> CardRecord | None:
        return await self._reader.submit(lambda connection: directory.card_by_index(connection, pan_index))

    async def block_merchant(self, cardholder_id: CardholderId, merchant_id: MerchantId, now: float) -> None:
        await self._writer.submit(
            lambda connection: directory.block_merchant(
                connection, cardholder_id, merchant_id, milliseconds(now)
            )
        )

    async def claim_pin_try(self, card_id: CardId) -> int | None:
        return await self._writer.submit(lambda connection: directory.claim_pin_try(connection, card_id))

    # What EnrolmentStore asks for.

    async def redeem_handset_code(
        self, secret_digest: Digest, handset_id: HandsetId, token_digest: Digest, now: float
    ) -> HandsetRecord:
        return await self._writer.submit(
            lambda connection: directory.redeem_handset_code(
                connection, secret_digest, handset_id, token_digest, milliseconds(now)
            )
        )

    async def redeem_reader_code(
        self, secret_digest: Digest, reader_id: ReaderId, public_key: PublicKey, model: str, now: float
    ) -> ReaderRecord:
        return await self._writer.submit(
            lambda connection: directory.redeem_reader_code(
                connection, secret_digest, reader_id, public_key, model, milliseconds(now)
            )
        )

    # Webhooks.

    async def due_webhooks(self, now: float, for_each_endpoint: int) -> list[DueWebhook]:
        return await self._reader.submit(
            lambda connection: webhooks.due(connection, milliseconds(now), for_each_endpoint)
        )

    async def webhook_delivered(self, message_id: str, endpoint_id: WebhookEndpointId) -> None:
        await self._writer.submit(lambda connection: webhooks.delivered(connection, message_id, endpoint_id))

    async def webhook_failed(self, due: DueWebhook, next_at: float | None, problem: str) -> bool:
        next_ms = None if next_at is None else milliseconds(next_at)
        return await self._writer.submit(
            lambda connection: webhooks.failed(connection, due, next_ms, problem)
        )

    async def disable_webhook_endpoint(self, endpoint_id: WebhookEndpointId) -> None:
        await self._writer.submit(lambda connection: webhooks.disable(connection, endpoint_id))
