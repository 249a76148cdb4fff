# ruff: noqa: S608 - statements are put together from constants of these modules, never from values
"""Payments in SQL: each function is one operation inside the writer's or the reader's transaction."""

from __future__ import annotations

import sqlite3
from typing import Any

from issuer_server.ledger import payment_posting
from issuer_server.payment import PaymentState
from issuer_server.storage.port import CallsLimited, IdempotencyMismatch, MerchantRefused, StorageError
from issuer_server.storage.records import (
    Created,
    HoldResult,
    IdempotencyClaim,
    NewPayment,
    PaymentChanges,
    PaymentRecord,
    Replayed,
    SettleResult,
)
from issuer_server.storage.sqlite import ledger, webhooks
from issuer_server.webhooks.messages import payment_ended
from protocol.identifiers import (
    CardholderId,
    CardId,
    Digest,
    MerchantId,
    PaymentId,
    PhoneNumber,
    ReaderId,
)
from protocol.messages import NotSettled
from protocol.money import Money, currency

_COLUMNS = (
    "id, merchant_id, merchant_name, cardholder_id, phone, amount, currency, description, state, reason,"
    " card_last_four, reader_id, offer_digest, last_message_digest, created_ms, updated_ms,"
    " refunded"
)
_BY_ID = f"SELECT {_COLUMNS} FROM payments WHERE id = ?"
_BY_KEY = f"SELECT {_COLUMNS}, payload_digest FROM payments WHERE merchant_id = ? AND idempotency_key = ?"
# The merchant's name is the registered one: it comes from the merchants' table, whatever the request said.
_INSERT = (
    "INSERT INTO payments (id, merchant_id, merchant_name, cardholder_id, phone, amount, currency,"
    " description, state, idempotency_key, payload_digest, created_ms, updated_ms)"
    " SELECT ?1, merchants.id, merchants.name, ?3, ?4, ?5, ?6, ?7, 'requested', ?8, ?9, ?10, ?10"
    " FROM merchants WHERE merchants.id = ?2"
    f" RETURNING {_COLUMNS}"
)
_ADVANCE = (
    "UPDATE payments SET state = ?, reason = coalesce(?, reason),"
    " card_last_four = coalesce(?, card_last_four), reader_id = coalesce(?, reader_id),"
    " offer_digest = coalesce(?, offer_digest),"
    " last_message_digest = coalesce(?, last_message_digest), updated_ms = ? WHERE id = ? AND state = ?"
)
_NEWEST = f"SELECT {_COLUMNS} FROM payments WHERE merchant_id = ? ORDER BY created_ms DESC, id DESC LIMIT ?"
_OLDER = (
    f"SELECT {_COLUMNS} FROM payments WHERE merchant_id = ?1 AND (created_ms, id) <"
    " (SELECT created_ms, id FROM payments WHERE id = ?2 AND merchant_id = ?1)"
    " ORDER BY created_ms DESC, id DESC LIMIT ?3"
)
_CHARGEABLE = (
    "SELECT 1 FROM cards JOIN cardholders ON cardholders.id = cards.cardholder_id"
    " WHERE cards.id = ? AND cards.cardholder_id = ? AND NOT cards.blocked AND NOT cardholders.blocked"
)
_RESTORE_TRIES = (
    "UPDATE cards SET pin_tries_left = pin_try_limit WHERE id = ? AND pin_tries_left <> pin_try_limit"
)
_READER_BLOCKED = "SELECT 1 FROM readers WHERE id = ? AND blocked"
_BLOCKED = "SELECT 1 FROM merchant_blocks WHERE cardholder_id = ? AND merchant_id = ?"
_IN_FLIGHT = (
    "SELECT count(*) FROM payments WHERE cardholder_id = ? AND state NOT IN ('completed', 'not_settled')"
)
_SWEEP = (
    "UPDATE payments SET state = 'not_settled', reason = ?, updated_ms = ?"
    " WHERE state NOT IN ('completed', 'not_settled')"
    f" RETURNING {_COLUMNS}"
)


def milliseconds(seconds: float) -> int:
    """Epoch seconds as stored."""
    return round(seconds * 1000)


def create(
    connection: sqlite3.Connection, new: NewPayment, claim: IdempotencyClaim, most_in_flight: int | None
) -> Created | Replayed:
    """Insert, unless the merchant's key made a payment before."""
    if (replayed := replay(connection, new.merchant_id, claim)) is not None:
        return replayed
    if connection.execute(_BLOCKED, (new.cardholder_id, new.merchant_id)).fetchone() is not None:
        raise MerchantRefused("the cardholder has blocked this merchant")
    if most_in_flight is not None:
        (in_flight,) = connection.execute(_IN_FLIGHT, (new.cardholder_id,)).fetchone()
        if in_flight >= most_in_flight:
            raise CallsLimited("as many payments call this phone as may")
    values = (
        new.id,
        new.merchant_id,
        new.cardholder_id,
        new.phone,
        new.money.minor,
        new.money.currency.code,
        new.order,
        claim.key,
        claim.payload_digest,
        milliseconds(new.created_at),
    )
    # fetchall, not fetchone: a statement left unfinished would keep the savepoint from being released
    rows = connection.execute(_INSERT, values).fetchall()
    if not rows:
        raise StorageError("the payment names a merchant who is not in the database")
    return Created(_record(rows[0]))


def replay(
    connection: sqlite3.Connection, merchant_id: MerchantId, claim: IdempotencyClaim
) -> Replayed | None:
    """What the merchant's key made before."""
    row = connection.execute(_BY_KEY, (merchant_id, claim.key)).fetchone()
    if row is None:
        return None
    if row[-1] != claim.payload_digest:
        raise IdempotencyMismatch("this Idempotency-Key was used before with another request")
    return Replayed(_record(row[:-1]))


def advance(
    connection: sqlite3.Connection,
    payment_id: PaymentId,
    expected: PaymentState,
    to: PaymentState,
    changes: PaymentChanges,
    now_ms: int,
) -> bool:
    """Compare and set."""
    values = (
        to.value,
        None if changes.reason is None else changes.reason.value,
        changes.card_last_four,
        changes.reader_id,
        changes.offer_digest,
        changes.last_message_digest,
        now_ms,
        payment_id,
        expected.value,
    )
    if connection.execute(_ADVANCE, values).rowcount != 1:
        return False
    if to.is_final and (payment := by_id(connection, payment_id)) is not None:
        _announce_end(connection, payment)
    return True


def hold(
    connection: sqlite3.Connection,
    payment_id: PaymentId,
    expected: PaymentState,
    now_ms: int,
    changes: PaymentChanges,
) -> HoldResult:
    """The hold and the state, both or neither; a trigger releases it with the state that ends the payment."""
    payment = by_id(connection, payment_id)
    if payment is None or payment.state is not expected:
        return HoldResult.STALE
    if not ledger.hold(connection, payment_posting(payment), now_ms):
        return HoldResult.INSUFFICIENT_FUNDS
    if not advance(connection, payment_id, expected, PaymentState.PIN_REQUESTED, changes, now_ms):
        raise StorageError("the payment changed inside its own transaction")
    return HoldResult.HELD


def settle(
    connection: sqlite3.Connection,
    payment_id: PaymentId,
    expected: PaymentState,
    card_id: CardId,
    now_ms: int,
    changes: PaymentChanges,
) -> SettleResult:
    """S23: posting and state, both or neither. Looks at card and reader again: they may be blocked by now."""
    payment = by_id(connection, payment_id)
    if payment is None or payment.state is not expected:
        return SettleResult.STALE
    connection.execute(_RESTORE_TRIES, (card_id,))
    if connection.execute(_CHARGEABLE, (card_id, payment.cardholder_id)).fetchone() is None:
        return SettleResult.CARD_REFUSED
    if connection.execute(_READER_BLOCKED, (payment.reader_id,)).fetchone() is not None:
        return SettleResult.READER_REFUSED
    if not ledger.post(connection, payment_posting(payment), now_ms):
        return SettleResult.INSUFFICIENT_FUNDS
    if not advance(connection, payment_id, expected, PaymentState.COMPLETED, changes, now_ms):
        raise StorageError("the payment changed inside its own transaction")
    return SettleResult.SETTLED


def by_id(connection: sqlite3.Connection, payment_id: PaymentId) -> PaymentRecord | None:
    """One payment."""
    row = connection.execute(_BY_ID, (payment_id,)).fetchone()
    return None if row is None else _record(row)


def of_merchant(
    connection: sqlite3.Connection, merchant_id: MerchantId, before: PaymentId | None, limit: int
) -> list[PaymentRecord]:
    """Newest first."""
    if before is None:
        rows = connection.execute(_NEWEST, (merchant_id, limit))
    else:
        rows = connection.execute(_OLDER, (merchant_id, before, limit))
    return [_record(row) for row in rows]


def sweep(connection: sqlite3.Connection, now_ms: int) -> list[PaymentRecord]:
    """End what a stopped server left in flight."""
    rows = connection.execute(_SWEEP, (NotSettled.ISSUER_RESTARTED.value, now_ms)).fetchall()
    swept = [_record(row) for row in rows]
    for payment in swept:
        _announce_end(connection, payment)
    return swept


def _announce_end(connection: sqlite3.Connection, payment: PaymentRecord) -> None:
    if webhooks.listening(connection, payment.merchant_id):
        webhooks.announce(
            connection, payment.merchant_id, payment_ended(payment), milliseconds(payment.updated_at)
        )


def _record(row: tuple[Any, ...]) -> PaymentRecord:
    (
        payment_id,
        merchant_id,
        merchant_name,
        cardholder_id,
        phone,
        amount,
        code,
        description,
        state,
        reason,
        last_four,
        reader_id,
        offer_digest,
        last_message_digest,
        created_ms,
        updated_ms,
        refunded,
    ) = row
    return PaymentRecord(
        id=PaymentId(payment_id),
        merchant_id=MerchantId(merchant_id),
        merchant_name=merchant_name,
        cardholder_id=CardholderId(cardholder_id),
        phone=PhoneNumber(phone),
        money=Money(amount, currency(code)),
        order=description,
        state=PaymentState(state),
        reason=None if reason is None else NotSettled(reason),
        card_last_four=last_four,
        reader_id=None if reader_id is None else ReaderId(reader_id),
        offer_digest=None if offer_digest is None else Digest(offer_digest),
        last_message_digest=None if last_message_digest is None else Digest(last_message_digest),
        created_at=created_ms / 1000,
        updated_at=updated_ms / 1000,
        refunded=refunded,
    )
