"""The printed receipt: pure text, 40 columns, right also with wide (Japanese) characters."""

from __future__ import annotations

from datetime import datetime, tzinfo

from merchant_terminal.payment import Payment
from merchant_terminal.sentences import reason_sentence
from protocol.money import Money, format_money
from service_host.columns import columns

WIDTH = 40


def wrap(text: str, width: int) -> list[str]:
    """Break at spaces where possible, inside a word where it is longer than the line."""
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if columns(joined) <= width:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        for character in word:
            if columns(lines[-1] + character) > width:
                lines.append("")
            lines[-1] += character
    return lines


def row(label: str, value: str, width: int = WIDTH) -> list[str]:
    """A label on the left, its value on the right; a long value goes on below."""
    room = width - columns(label) - 1
    first, *rest = wrap(value, room)
    padded = [label + " " * (width - columns(label) - columns(first)) + first]
    return padded + [" " * (width - columns(line)) + line for line in rest]


def moment(stamp: str, zone: tzinfo | None) -> str:
    """An RFC 3339 time on the shop's clock; what cannot be parsed is shown as it came."""
    try:
        return datetime.fromisoformat(stamp).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z").rstrip()
    except ValueError:
        return stamp


def receipt(payment: Payment, *, zone: tzinfo | None = None) -> str:
    """The receipt of a payment that is over. `zone` is the shop's time zone; None means this machine's."""
    if not payment.over:
        raise ValueError("a receipt needs a payment that is over")
    title = "RECEIPT" if payment.completed else "NOT PAID"
    rule = "-" * WIDTH
    lines = ["=" * WIDTH, title.center(WIDTH).rstrip(), "=" * WIDTH]
    lines += row("Order", payment.order)
    lines += row("Amount", format_money(payment.amount))
    if payment.refunded:
        lines += row("Refunded", format_money(refunded_money(payment)))
    lines.append(rule)
    if payment.card_last_four:
        lines += row("Card", f"**** {payment.card_last_four}")
    lines += row("Phone", masked_phone(payment.phone))
    lines += row("Time", moment(payment.created_at, zone))  # a refund moves the other one
    lines += row("Payment", payment.id)
    lines.append(rule)
    if payment.completed:
        lines.append("PAID. Thank you.".center(WIDTH).rstrip())
    else:
        lines += wrap("No money has moved. " + reason_sentence(payment.reason), WIDTH)
    return "\n".join(lines) + "\n"


def refunded_money(payment: Payment) -> Money:
    """What was given back of a payment that was refunded."""
    return Money(payment.refunded, payment.amount.currency)


def masked_phone(phone: str) -> str:
    """A phone number of which a lost receipt tells only the end."""
    return "*" * max(0, len(phone) - 4) + phone[-4:]
