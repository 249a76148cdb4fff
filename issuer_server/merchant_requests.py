"""What merchants' requests carry: the API key, the idempotency key, the payment's id, a page."""

from __future__ import annotations

import math
import re
from typing import Final

from aiohttp import web

from issuer_server.authorization import bearer_digest
from issuer_server.parts import IssuerParts
from issuer_server.problems import Problem, unauthorized
from issuer_server.rate_limits import Rate, TokenBuckets
from issuer_server.storage.records import LONGEST_IDEMPOTENCY_KEY, MerchantRecord
from protocol.errors import InputError
from protocol.identifiers import MerchantId, PaymentId, check_payment_id

LARGEST_PAGE: Final = 100
USUAL_PAGE: Final = 20

_IDEMPOTENCY_KEY = re.compile(rf"[\x21-\x7e](?:[\x20-\x7e]{{0,{LONGEST_IDEMPOTENCY_KEY - 2}}}[\x21-\x7e])?")
_LIMIT = re.compile(r"[0-9]{1,3}")


class MerchantGate:
    """Lets merchants in: those of table 31, each so often."""

    def __init__(self, parts: IssuerParts) -> None:
        self._parts = parts
        self._requests: TokenBuckets[MerchantId] = TokenBuckets(Rate.of_merchant(parts.limits))

    async def merchant(self, request: web.Request) -> MerchantRecord:
        """S2: the merchant by its key; raises Problem (unauthorized, merchant_blocked, rate_limited)."""
        merchant = await self._parts.storage.merchant_by_key_digest(
            bearer_digest(request), self._parts.clock()
        )
        if merchant is None:
            raise unauthorized("This API key is not known here: check it, and that this is your issuer.")
        if merchant.blocked:
            raise Problem(403, "merchant_blocked", "This merchant is blocked: ask the issuer.")
        if wait := self._requests.take(merchant.id, self._parts.timers.now()):
            raise Problem(
                429, "rate_limited", "That is too many requests: wait as Retry-After says.", retry_after(wait)
            )
        return merchant


def retry_after(seconds: float) -> dict[str, str]:
    """The header of RFC 9110 section 10.2.3, in whole seconds."""
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


def idempotency_key(request: web.Request) -> str:
    """The Idempotency-Key header; raises Problem (idempotency_key_missing, idempotency_key_invalid)."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        raise Problem(
            400, "idempotency_key_missing", "Send an Idempotency-Key header: a new one for each new request."
        )
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        raise Problem(
            400,
            "idempotency_key_invalid",
            f"An Idempotency-Key has 1 to {LONGEST_IDEMPOTENCY_KEY} printable ASCII characters.",
        )
    return key


def payment_not_found() -> Problem:
    """Also for another merchant's payment."""
    return Problem(404, "payment_not_found", "There is no such payment of yours: check its id.")


def payment_id(request: web.Request) -> PaymentId:
    """The `{id}` of the address; raises Problem (payment_not_found)."""
    try:
        return check_payment_id(request.match_info["id"])
    except InputError:
        raise payment_not_found() from None


def key_reused() -> Problem:
    """The idempotency key came with another request before."""
    return Problem(
        422, "idempotency_key_reused", "This Idempotency-Key was used for another request: make a new key."
    )


def page_limit(request: web.Request) -> int:
    """`?limit=`; raises Problem (invalid_limit)."""
    text = request.query.get("limit", str(USUAL_PAGE))
    if not _LIMIT.fullmatch(text) or not 1 <= int(text) <= LARGEST_PAGE:
        raise Problem(422, "invalid_limit", f"limit is 1 to {LARGEST_PAGE}.")
    return int(text)
