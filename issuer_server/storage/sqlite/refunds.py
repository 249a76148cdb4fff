# ruff: noqa: S608 - statements are put together from constants of this module, never from values
"""Refunds in SQL: the refund, its transfer and the payment's sum of refunds, in one transaction."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Any

from issuer_server.ledger import refund_posting
from issuer_server.payment import PaymentState
from issuer_server.storage.port import IdempotencyMismatch, NotFound, RefundRefused, StorageError
from issuer_server.storage.records import IdempotencyClaim, NewRefund, RefundRecord
from issuer_server.storage.sqlite import ledger, payments, webhooks
from issuer_server.storage.sqlite.payments import milliseconds
from issuer_server.webhooks.messages import payment_refunded
from protocol.identifiers import PaymentId, RefundId
from protocol.money import Money, currency, format_money

_REFUND = (
    "SELECT refunds.id, refunds.payment_id, refunds.amount, payments.currency, refunds.created_ms,"
    " refunds.payload_digest FROM refunds JOIN payments ON payments.id = refunds.payment_id"
)
_BY_KEY = f"{_REFUND} WHERE refunds.merchant_id = ? AND refunds.idempotency_key = ?"
_ORDER = "ORDER BY refunds.created_ms DESC, refunds.id DESC LIMIT"
_NEWEST = f"{_REFUND} WHERE refunds.payment_id = ? {_ORDER} ?"
_OLDER = (
    f"{_REFUND} WHERE refunds.payment_id = ?1 AND (refunds.created_ms, refunds.id) <"
    f" (SELECT created_ms, id FROM refunds WHERE id = ?2 AND payment_id = ?1) {_ORDER} ?3"
)
_INSERT = (
    "INSERT INTO refunds (id, payment_id, merchant_id, amount, idempotency_key, payload_digest, created_ms)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)


def give_back(connection: sqlite3.Connection, new: NewRefund, claim: IdempotencyClaim) -> RefundRecord:
    """Give money back, unless the merchant's key did before."""
    row = connection.execute(_BY_KEY, (new.merchant_id, claim.key)).fetchone()
    if row is not None:
        if row[-1] != claim.payload_digest:
            raise IdempotencyMismatch("this Idempotency-Key was used before with another request")
        return _record(row)
    payment = payments.by_id(connection, new.payment_id)
    if payment is None or payment.merchant_id != new.merchant_id:
        raise NotFound("unknown_payment", "There is no such payment of this merchant.")
    if payment.state is not PaymentState.COMPLETED:
        raise RefundRefused(
            "payment_not_refundable",
            f"The payment is {payment.state.value}: only a completed one can be refunded.",
        )
    left = payment.money.minor - payment.refunded
    amount = left if new.amount is None else new.amount
    if not 0 < amount <= left:
        remains = f"{format_money(Money(left, payment.money.currency))} is" if left else "nothing is"
        raise RefundRefused("refund_too_large", f"Of this payment {remains} left to refund.")
    money, now_ms = Money(amount, payment.money.currency), milliseconds(new.created_at)
    values = (new.id, new.payment_id, new.merchant_id, amount, claim.key, claim.payload_digest, now_ms)
    connection.execute(_INSERT, values)
    if not ledger.post(connection, refund_posting(payment, new.id, money), now_ms):
        raise StorageError("the refund was not posted")
    refund = RefundRecord(new.id, payment.id, money, now_ms / 1000)
    if webhooks.listening(connection, new.merchant_id):
        refunded = replace(payment, refunded=payment.refunded + amount, updated_at=refund.created_at)
        webhooks.announce(connection, new.merchant_id, payment_refunded(refunded, refund), now_ms)
    return refund


def of_payment(
    connection: sqlite3.Connection, payment_id: PaymentId, before: RefundId | None, limit: int
) -> list[RefundRecord]:
    """Newest first."""
    if before is None:
        rows = connection.execute(_NEWEST, (payment_id, limit))
    else:
        rows = connection.execute(_OLDER, (payment_id, before, limit))
    return [_record(row) for row in rows]


def _record(row: tuple[Any, ...]) -> RefundRecord:
    refund_id, payment_id, amount, code, created_ms, _ = row
    return RefundRecord(
        RefundId(refund_id), PaymentId(payment_id), Money(amount, currency(code)), created_ms / 1000
    )
