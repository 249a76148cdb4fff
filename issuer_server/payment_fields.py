"""A merchant's request body, read strictly: what is wrong has its own code, and nothing is guessed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from issuer_server.application import PaymentRequest
from issuer_server.problems import Problem
from protocol.errors import InputError
from protocol.identifiers import Digest, parse_phone_number
from protocol.messages import LONGEST_ORDER
from protocol.money import Money, currency
from protocol.text import check_shown_text

_FIELDS: Final = ("phone", "amount", "currency", "order")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name occurs twice")  # RFC 8259 section 4: what a receiver does then differs
    return value


def _no_constant(_: str) -> None:
    raise ValueError("NaN and Infinity are no JSON")


async def json_object(request: web.Request) -> dict[str, Any]:
    """The body as a JSON object (RFC 8259); raises Problem (malformed_json), and 413 by the framework."""
    body = await request.read()
    try:
        value = json.loads(body, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Problem(400, "malformed_json", "Send one JSON object, in UTF-8, with each name once.")
    return value


def text_field(fields: Mapping[str, Any], name: str) -> str:
    """A text field; raises InputError (invalid_<name>)."""
    value = fields.get(name)
    if not isinstance(value, str):
        raise InputError(f"invalid_{name}", f"The field {name} is missing or is no text.")
    return value


def only_fields(fields: Mapping[str, Any], allowed: tuple[str, ...]) -> None:
    """Refuse what is not known rather than ignore it; raises InputError (unknown_field)."""
    if not fields.keys() <= set(allowed):
        raise InputError(
            "unknown_field", f"This request takes the fields {', '.join(allowed)} and no others."
        )


def payment_request(fields: Mapping[str, Any]) -> PaymentRequest:
    """201; raises InputError: invalid_phone, amount_not_positive, unknown_currency, invalid_order …"""
    only_fields(fields, _FIELDS)
    phone = parse_phone_number(text_field(fields, "phone"))
    amount = fields.get("amount")
    if type(amount) is not int:  # neither bool, nor 12.0, nor "1200"
        raise InputError(
            "invalid_amount",
            "The amount is a whole number of the currency's minor units: 1250 is USD 12.50, and JPY 1,250.",
        )
    money = Money(amount, currency(text_field(fields, "currency")))
    return PaymentRequest(phone, money, check_shown_text(text_field(fields, "order"), LONGEST_ORDER, "order"))


def payload_digest(request: PaymentRequest) -> Digest:
    """What must stay the same under one idempotency key: the meaning, not the spelling."""
    meaning = [request.phone, request.money.minor, request.money.currency.code, request.order]
    return Digest(hashlib.sha256(json.dumps(meaning).encode()).digest())
