"""Ended payments as the phone shows them later: from the lines of its history file. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from handset_client.effects import End, Ending
from handset_client.issuer_frames import LONGEST_REASON, PaymentRequest
from protocol.errors import InputError
from protocol.identifiers import PaymentId, ReaderId, check_payment_id, parse_reader_id
from protocol.messages import LONGEST_MERCHANT_NAME, LONGEST_ORDER
from protocol.money import Money, currency
from protocol.text import shown


@dataclass(frozen=True, slots=True)
class PastPayment:
    """One ended payment. `ended_at` is the Unix time."""

    ending: Ending
    ended_at: float

    @property
    def payment_id(self) -> PaymentId:
        """Which payment it was."""
        return self.ending.request.payment_id


def read_past_payments(lines: Iterable[str], most: int | None) -> list[PastPayment]:
    """The newest `most` payments of the history file, or all, newest first; a damaged line is left out.

    The last line about a payment holds. What was learned afterwards leaves the payment at its time.
    """
    found: dict[PaymentId, PastPayment] = {}
    for line in lines:
        try:
            content: object = json.loads(line)
            past = _read(content)
        except (ValueError, KeyError, TypeError, InputError, RecursionError):
            continue  # a line cut short when the power went: what the others say still holds
        before = found.get(past.payment_id)
        if before is not None and _is_amendment(content):
            past = replace(past, ended_at=before.ended_at)
        elif before is not None:
            del found[past.payment_id]  # it ended anew, and stands at its new time
        found[past.payment_id] = past
    return list(reversed(found.values()))[:most]


def _is_amendment(line: object) -> bool:
    return isinstance(line, Mapping) and line.get("amended") is True


def _read(line: object) -> PastPayment:
    if not isinstance(line, Mapping):
        raise ValueError("not an object")
    minor, last_four, reason = line["amount_minor"], line["last_four"], line["reason"]
    if not isinstance(minor, int) or isinstance(minor, bool):
        raise ValueError("no amount")
    # The file is the person's own and can be edited: nothing longer than four digits passes for a card.
    if last_four is not None and not (
        isinstance(last_four, str) and len(last_four) == 4 and last_four.isascii() and last_four.isdigit()
    ):
        raise ValueError("not four digits")
    request = PaymentRequest(
        check_payment_id(line["payment_id"]),
        shown(line["merchant_name"], LONGEST_MERCHANT_NAME),
        Money(minor, currency(line["currency"])),
        shown(line["order"], LONGEST_ORDER),
        0.0,
    )
    ending = Ending(
        request,
        End(line["outcome"]),
        None if reason is None else shown(reason, LONGEST_REASON),
        last_four,
        _reader(line.get("reader")),
    )
    return PastPayment(ending, datetime.fromisoformat(line["ended_at"]).timestamp())


def _reader(text: object) -> ReaderId | None:
    if text is not None and not isinstance(text, str):
        raise ValueError("a reader is no text")
    return None if text is None else parse_reader_id(text)
