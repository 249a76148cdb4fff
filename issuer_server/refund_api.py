"""The merchant API's refunds: give money of a completed payment back, in parts or whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from issuer_server.application import IssuerApplication, PaymentNotFound
from issuer_server.merchant_documents import refund_json
from issuer_server.merchant_requests import (
    MerchantGate,
    idempotency_key,
    key_reused,
    page_limit,
    payment_id,
    payment_not_found,
)
from issuer_server.payment_fields import json_object, only_fields
from issuer_server.problems import Problem
from issuer_server.storage.port import IdempotencyMismatch, RefundRefused
from issuer_server.storage.records import IdempotencyClaim
from protocol.errors import InputError
from protocol.identifiers import Digest, PaymentId, RefundId, check_refund_id
from protocol.money import LARGEST_AMOUNT


class RefundApi:
    """The handlers; `add_routes` names their addresses."""

    def __init__(self, application: IssuerApplication, gate: MerchantGate) -> None:
        self._application = application
        self._gate = gate

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post("/v1/payments/{id}/refunds", self.create)
        app.router.add_get("/v1/payments/{id}/refunds", self.list)

    async def create(self, request: web.Request) -> web.Response:
        """201 with the refund, the same again for a repeated key. `{amount}`; `{}` refunds all that is left.

        Problems: payment_not_found 404, payment_not_refundable 409, refund_too_large, invalid_amount,
        amount_not_positive, amount_too_large, unknown_field, idempotency_key_reused 422; and what creating a
        payment answers of keys and bodies.
        """
        merchant = await self._gate.merchant(request)
        key, of = idempotency_key(request), payment_id(request)
        try:
            amount = refund_amount(await json_object(request))
            refund = await self._application.refund(
                merchant.id, of, amount, IdempotencyClaim(key, refund_digest(of, amount))
            )
        except PaymentNotFound:
            raise payment_not_found() from None
        except IdempotencyMismatch:
            raise key_reused() from None
        except RefundRefused as refused:
            status = 409 if refused.code == "payment_not_refundable" else 422
            raise Problem(status, refused.code, str(refused)) from None
        except InputError as error:
            raise Problem(422, error.code, str(error)) from None
        return web.json_response(refund_json(refund), status=201)

    async def list(self, request: web.Request) -> web.Response:
        """`{refunds, next_cursor}` of a payment, newest first; `?limit=` 1 to 100, `?cursor=`."""
        merchant = await self._gate.merchant(request)
        limit, before = page_limit(request), _cursor(request)
        try:
            found = await self._application.refunds(merchant.id, payment_id(request), before, limit + 1)
        except PaymentNotFound:
            raise payment_not_found() from None
        page = found[:limit]
        cursor = page[-1].id if len(found) > limit else None
        return web.json_response({"refunds": [refund_json(refund) for refund in page], "next_cursor": cursor})


def refund_amount(fields: Mapping[str, Any]) -> int | None:
    """Minor units, None for all that is left; raises InputError."""
    only_fields(fields, ("amount",))
    if "amount" not in fields:
        return None
    amount = fields["amount"]
    if type(amount) is not int:  # neither bool, nor 12.0, nor "1200"
        raise InputError(
            "invalid_amount",
            "The amount is a whole number of the payment's minor units; leave it out to refund all.",
        )
    if amount <= 0:
        raise InputError("amount_not_positive", "The amount must be more than zero.")
    if amount > LARGEST_AMOUNT:
        raise InputError("amount_too_large", "The amount is larger than any card payment can be (12 digits).")
    return amount


def refund_digest(payment: PaymentId, amount: int | None) -> Digest:
    """What must stay the same under one idempotency key."""
    return Digest(hashlib.sha256(json.dumps([payment, amount]).encode()).digest())


def _cursor(request: web.Request) -> RefundId | None:
    text = request.query.get("cursor")
    try:
        return None if text is None else check_refund_id(text)
    except InputError:
        raise Problem(422, "invalid_cursor", "cursor is the next_cursor of an earlier answer.") from None
