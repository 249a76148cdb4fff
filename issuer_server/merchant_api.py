"""The merchant API (HTTP/JSON): create a payment, wait for it, list, cancel. Errors are problem details."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from issuer_server.application import IssuerApplication, IssuerStopping, NotCancellable, PaymentNotFound
from issuer_server.authorization import bearer_digest
from issuer_server.payment import PaymentState
from issuer_server.payment_fields import json_object, payload_digest, payment_request
from issuer_server.problems import Problem, unauthorized
from issuer_server.storage.port import IdempotencyMismatch
from issuer_server.storage.records import (
    LONGEST_IDEMPOTENCY_KEY,
    IdempotencyClaim,
    MerchantRecord,
    PaymentRecord,
)
from protocol.errors import InputError
from protocol.identifiers import Digest, PaymentId, check_payment_id

LONGEST_WAIT: Final = 60.0
"""Seconds of one long poll."""
LARGEST_PAGE: Final = 100
USUAL_PAGE: Final = 20

_IDEMPOTENCY_KEY = re.compile(rf"[\x21-\x7e](?:[\x20-\x7e]{{0,{LONGEST_IDEMPOTENCY_KEY - 2}}}[\x21-\x7e])?")
_SECONDS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3})?")


class MerchantApi:
    """The handlers; `add_routes` names their addresses."""

    def __init__(self, application: IssuerApplication) -> None:
        self._application = application

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post("/v1/payments", self.create)
        app.router.add_get("/v1/payments", self.list)
        app.router.add_get("/v1/payments/{id}", self.show)
        app.router.add_post("/v1/payments/{id}/cancel", self.cancel)
        app.router.add_get("/healthz", self.health)
        app.router.add_get("/readyz", self.ready)

    async def create(self, request: web.Request) -> web.Response:
        """201 with the payment, as first answered also for a repeated key.

        Problems: unauthorized 401; merchant_blocked 403; idempotency_key_missing, idempotency_key_invalid and
        malformed_json 400; body_too_large 413; a code for each field, unknown_phone, idempotency_key_reused
        422; issuer_stopping 503.
        """
        merchant = await self._merchant(request)
        key = _idempotency_key(request)
        try:
            wanted = payment_request(await json_object(request))
            payment = await self._application.create_payment(
                merchant, wanted, IdempotencyClaim(key, payload_digest(wanted))
            )
        except InputError as error:
            raise Problem(422, error.code, str(error)) from None
        except IdempotencyMismatch:
            raise Problem(
                422,
                "idempotency_key_reused",
                "This Idempotency-Key was used for another payment: make a new key.",
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
        merchant = await self._merchant(request)
        seconds, seen = _wait(request), _seen(request)
        try:
            if seconds > 0:
                payment = await self._application.wait(merchant.id, _id(request), seconds, seen)
            else:
                payment = await self._application.payment(merchant.id, _id(request))
        except PaymentNotFound:
            raise _not_found() from None
        return web.json_response(payment_json(payment))

    async def list(self, request: web.Request) -> web.Response:
        """`{payments, next_cursor}`, newest first; `?limit=` 1 to 100, `?cursor=` of the page before."""
        merchant = await self._merchant(request)
        limit, before = _limit(request), _cursor(request)
        found = await self._application.payments(merchant.id, before, limit + 1)
        page = found[:limit]
        cursor = page[-1].id if len(found) > limit else None
        return web.json_response(
            {"payments": [payment_json(payment) for payment in page], "next_cursor": cursor}
        )

    async def cancel(self, request: web.Request) -> web.Response:
        """The cancelled payment; cancelling again is no error. Problem: payment_not_cancellable 409."""
        merchant = await self._merchant(request)
        try:
            payment = await self._application.cancel(merchant.id, _id(request))
        except PaymentNotFound:
            raise _not_found() from None
        except NotCancellable as error:
            raise Problem(
                409,
                "payment_not_cancellable",
                f"The payment is {error.payment.state.value}: it can be cancelled until it settles.",
            ) from None
        return web.json_response(payment_json(payment))

    async def health(self, request: web.Request) -> web.Response:
        """The process answers."""
        return web.json_response({"status": "ok"})

    async def ready(self, request: web.Request) -> web.Response:
        """New payments are taken and the database answers."""
        if self._application.stopping:
            raise Problem(503, "issuer_stopping", "The issuer is being restarted.")
        await self._application.parts.storage.merchant_by_key_digest(Digest(bytes(32)))
        return web.json_response({"status": "ready"})

    async def _merchant(self, request: web.Request) -> MerchantRecord:
        """S2: the merchant in table 31, by its key."""
        merchant = await self._application.parts.storage.merchant_by_key_digest(bearer_digest(request))
        if merchant is None:
            raise unauthorized("This API key is not known here: check it, and that this is your issuer.")
        if merchant.blocked:
            raise Problem(403, "merchant_blocked", "This merchant is blocked: ask the issuer.")
        return merchant


def payment_json(payment: PaymentRecord) -> dict[str, Any]:
    """A payment as its merchant sees it: four digits of the card, nothing of reader and handset."""
    return {
        "id": payment.id,
        "status": payment.state.value,
        "reason": payment.reason.value if payment.reason else None,
        "amount": payment.money.minor,
        "currency": payment.money.currency.code,
        "order": payment.order,
        "phone": payment.phone,
        "card_last_four": payment.card_last_four,
        "created_at": _rfc3339(payment.created_at),
        "updated_at": _rfc3339(payment.updated_at),
    }


def _rfc3339(stamp: float) -> str:
    return datetime.fromtimestamp(stamp, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _idempotency_key(request: web.Request) -> str:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        raise Problem(
            400, "idempotency_key_missing", "Send an Idempotency-Key header: a new one for each new payment."
        )
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        raise Problem(
            400,
            "idempotency_key_invalid",
            f"An Idempotency-Key has 1 to {LONGEST_IDEMPOTENCY_KEY} printable ASCII characters.",
        )
    return key


def _not_found() -> Problem:
    return Problem(404, "payment_not_found", "There is no such payment of yours: check its id.")


def _id(request: web.Request) -> PaymentId:
    try:
        return check_payment_id(request.match_info["id"])
    except InputError:
        raise _not_found() from None


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


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", str(USUAL_PAGE))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:4]) <= LARGEST_PAGE:
        raise Problem(422, "invalid_limit", f"limit is 1 to {LARGEST_PAGE}.")
    return int(text)


def _cursor(request: web.Request) -> PaymentId | None:
    text = request.query.get("cursor")
    try:
        return None if text is None else check_payment_id(text)
    except InputError:
        raise Problem(422, "invalid_cursor", "cursor is the next_cursor of an earlier answer.") from None
