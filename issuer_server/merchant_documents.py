"""What merchants are shown of payments and refunds, in answers and webhooks alike: plain JSON values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from issuer_server.storage.records import PaymentRecord, RefundRecord


def payment_json(payment: PaymentRecord) -> dict[str, Any]:
    """A payment as its merchant sees it: four digits of the card, nothing of reader and handset."""
    return {
        "id": payment.id,
        "status": payment.state.value,
        "reason": payment.reason.value if payment.reason else None,
        "amount": payment.money.minor,
        "refunded_amount": payment.refunded,
        "currency": payment.money.currency.code,
        "order": payment.order,
        "phone": payment.phone,
        "card_last_four": payment.card_last_four,
        "created_at": rfc3339(payment.created_at),
        "updated_at": rfc3339(payment.updated_at),
    }


def refund_json(refund: RefundRecord) -> dict[str, Any]:
    """A refund as its merchant sees it."""
    return {
        "id": refund.id,
        "payment_id": refund.payment_id,
        "amount": refund.money.minor,
        "currency": refund.money.currency.code,
        "created_at": rfc3339(refund.created_at),
    }


def rfc3339(stamp: float) -> str:
    """Epoch seconds as RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(stamp, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
