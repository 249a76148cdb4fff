"""A payment in a few lines of a list and as an object for scripts."""

from __future__ import annotations

import re

from merchant_terminal.payment import Payment, Refund
from merchant_terminal.receipt import moment, refunded_money
from merchant_terminal.sentences import STATUS_SENTENCES, reason_sentence
from merchant_terminal.webhooks import WebhookEvent
from protocol.money import format_money
from protocol.text import shown
from service_host.columns import columns

_END = re.compile(r"(?<=[.?]) ")
"""Where a sentence ends."""


def summary(payment: Payment) -> str:
    """A few lines of a list: when, how much and how it stands; below, its id, the order, why not paid."""
    standing = STATUS_SENTENCES.get(payment.status, payment.status)
    if payment.refunded:
        standing += f", refunded {format_money(refunded_money(payment))}"
    order = payment.order
    while columns(order) > 44:
        order = order[:-2] + "…"
    when = moment(payment.created_at, None)[:19]
    # What to do next, the rest of the sentence, is for the receipt.
    why = "" if payment.reason is None else f"\n    {_END.split(reason_sentence(payment.reason))[0]}"
    return f"{when}  {format_money(payment.amount):>16}  {standing}\n    {payment.id}  {order}{why}"


def refund_line(refund: Refund) -> str:
    """A line of a list: when, how much, its id."""
    return f"{moment(refund.created_at, None)[:19]}  {format_money(refund.amount):>16}  {refund.id}"


def webhook_summary(event: WebhookEvent, again: bool) -> str:
    """A webhook as it arrives: what happened, then the payment."""
    what = shown(event.type, 40) + (" (again)" if again else "")
    if event.refund is not None:
        what += f": {format_money(event.refund.amount)}"
    return f"{what}  {shown(event.id, 64)}\n    {summary(event.payment)}"


def payment_document(payment: Payment) -> dict[str, object]:
    """A payment in --json: the amount as minor units and as people read it."""
    return {
        "id": payment.id,
        "status": payment.status,
        "reason": payment.reason,
        "amount": payment.amount.minor,
        "refunded_amount": payment.refunded,
        "currency": payment.amount.currency.code,
        "amount_text": format_money(payment.amount),
        "order": payment.order,
        "phone": payment.phone,
        "card_last_four": payment.card_last_four,
        "created_at": payment.created_at,
        "updated_at": payment.updated_at,
    }


def refund_document(refund: Refund) -> dict[str, object]:
    """A refund in --json."""
    return {
        "id": refund.id,
        "payment_id": refund.payment_id,
        "amount": refund.amount.minor,
        "currency": refund.amount.currency.code,
        "amount_text": format_money(refund.amount),
        "created_at": refund.created_at,
    }
