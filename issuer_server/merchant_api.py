"""The merchant API (HTTP/JSON): create a payment, wait for it, list, cancel. Errors are problem details."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

from issuer_server.application import (
    IssuerApplication,
    IssuerStopping,
    NotCancellable,
    PaymentNotFound,
    TooManyCalls,
)
from issuer_server.merchant_documents import payment_json
from issuer_server.merchant_requests import (
    MerchantGate,
    idempotency_key,
    key_reused,
    page_limit,
    payment_id,
    payment_not_found,
    retry_after,
)
from issuer_server.payment import PaymentState
from issuer_server.payment_fields import json_object, payload_digest, payment_request
from issuer_server.problems import Problem
from issuer_server.storage.port import IdempotencyMismatch
from issuer_server.storage.records import IdempotencyClaim
from protocol.errors import InputError
from protocol.identifiers import PaymentId, check_payment_id

LONGEST_WAIT: Final = 60.0
"""Seconds of one long poll."""

_SECONDS = re.compile(r"[0-9]{1,2}(?:\.[0-9]{1,3})?")


class MerchantApi:
    """The handlers; `add_routes` names their addresses."""

    def __init__(self, application: IssuerApplication, gate: MerchantGate) -> None:
        self._application = application
        self._gate = gate

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post("/v1/payments", self.create)
        app.router.add_get("/v1/payments", self.list)
        app.router.add_get("/v1/payments/{id}", self.show)
        app.router.add_post("/v1/payments/{id}/cancel", self.cancel)

    async def create(self, request: web.Request) -> web.Response:
        """201 with the payment, as first answered also for a repeated key.

        Problems: unauthorized 401; merchant_blocked 403; idempotency_key_missing, idempotency_key_invalid and
        malformed_json 400; body_too_large 413; a code for each field, unknown_phone, idempotency_key_reused
        422; too_many_calls 429; issuer_stopping 503; to every request also rate_limited 429.
        """
        merchant = await self._gate.merchant(request)
        key = idempotency_key(request)
        try:
            wanted = payment_request(await json_object(request))
            payment = await self._application.create_payment(
                merchant, wanted, IdempotencyClaim(key, payload_digest(wanted))
            )
        except InputError as error:
            raise Problem(422, error.code, str(error)) from None
        except IdempotencyMismatch:
            raise key_reused() from None
        except TooManyCalls as limit:
            raise Problem(
                429,
                "too_many_calls",
                "This phone is called too often: wait as Retry-After says, then send the same again.",
                retry_after(limit.seconds),
            ) from None
        except IssuerStopping:
            raise Problem(
                503,
                "issuer_stopping",
                "The issuer is being restarted; send the same again.",
                {"Retry-After": "5"},
            ) from None
        return web.json_response(
            payment_json(payment), status=201, headers={"Location": f"/v1/payments/{payment.id}"}
        )

    async def show(self, request: web.Request) -> web.Response:
        """The payment. `?wait=` seconds (to 60): answered when the payment has ended, or after so long.

        With `&seen=<status>` it is answered as soon as the payment is in another state than that. It is also
        answered early when the issuer stops. Problems: payment_not_found 404, invalid_wait, invalid_seen 422.
        """
        merchant = await self._gate.merchant(request)
        seconds, seen = _wait(request), _seen(request)
        try:
            if seconds > 0:
                payment = await self._application.wait(merchant.id, payment_id(request), seconds, seen)
            else:
                payment = await self._application.payment(merchant.id, payment_id(request))
        except PaymentNotFound:
            raise payment_not_found() from None
        return web.json_response(payment_json(payment))

    async def list(self, request: web.Request) -> web.Response:
        """`{payments, next_cursor}`, newest first; `?limit=` 1 to 100, `?cursor=` of the page before."""
        merchant = await self._gate.merchant(request)
        limit, before = page_limit(request), _cursor(request)
        found = await self._application.payments(merchant.id, before, limit + 1)
        page = found[:limit]
        cursor = page[-1].id if len(found) > limit else None
        return web.json_response(
            {"payments": [payment_json(payment) for payment in page], "next_cursor": cursor}
        )

    async def cancel(self, request: web.Request) -> web.Response:
        """The cancelled payment; cancelling again is no error. Problem: payment_not_cancellable 409."""
        merchant = await self._gate.merchant(request)
        try:
            payment = await self._application.cancel(merchant.id, payment_id(request))
        except PaymentNotFound:
            raise payment_not_found() from None
        except NotCancellable as error:
            raise Problem(
                409,
                "payment_not_cancellable",
                f"The payment is {error.payment.state.value}: it can be cancelled until it settles.",
            ) from None
        return web.json_response(payment_json(payment))


def _wait(request: web.Request) -> float:
    text = request.query.get("wait", "0")
    if not _SECONDS.fullmatch(text) or float(text) > LONGEST_WAIT:
        raise Problem(422, "invalid_wait", f"wait is 0 to {LONGEST_WAIT:.0f} seconds.")
    return float(text)


def _seen(request: web.Request) -> PaymentState | None:
    text = request.query.get("seen")
    try:
        return None if text is None else PaymentState(text)
    except ValueError:
        raise Problem(422, "invalid_seen", "seen is the status of the payment as you last saw it.") from None


def _cursor(request: web.Request) -> PaymentId | None:
    text = request.query.get("cursor")
    try:
        return None if text is None else check_payment_id(text)
    except InputError:
        raise Problem(422, "invalid_cursor", "cursor is the next_cursor of an earlier answer.") from None
