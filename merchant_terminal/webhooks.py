"""Verifying a webhook of the issuer (Standard Webhooks, signature v1) with the standard library alone.

    event = verify(secret, request.headers, request.body, time.time())

Give the body as it came, byte for byte: JSON parsed and written again has another signature. A message may
come more than once: keep the ids that you have acted on, and answer 2xx to those as well.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from merchant_terminal.errors import NotAnIssuerError
from merchant_terminal.payment import Payment, Refund
from protocol.errors import BlindRelayError, InputError

PREFIX: Final = "whsec_"
TOLERANCE_SECONDS: Final = 300.0
"""How far the sender's clock and ours may differ; older messages are somebody's replay."""
LARGEST_BODY: Final = 64 * 1024


class WebhookError(BlindRelayError):
    """Do not act on it: it is not the issuer's, or not of now. The text says which, and names no secret."""


@dataclass(frozen=True, slots=True)
class WebhookSecret:
    """A signing secret as `issuer-server merchant webhook add` printed it; raises InputError."""

    text: str = field(repr=False)

    def __post_init__(self) -> None:
        if not 24 <= len(self.key()) <= 64:
            raise self._refusal()

    def key(self) -> bytes:
        """The bytes to sign with."""
        head, _, encoded = self.text.partition(PREFIX)
        try:
            key = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise self._refusal() from None
        if head or not encoded:
            raise self._refusal()
        return key

    @staticmethod
    def _refusal() -> InputError:
        return InputError("invalid_webhook_secret", "A webhook secret is whsec_… as the issuer printed it.")


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """A verified message. `id` is the same each time it is sent; `refund` is there for payment.refunded."""

    id: str
    type: str
    timestamp: str
    payment: Payment
    refund: Refund | None
    document: Mapping[str, object]


def verify(
    secret: WebhookSecret,
    headers: Mapping[str, str],
    body: bytes,
    now: float,
    *,
    tolerance: float = TOLERANCE_SECONDS,
) -> WebhookEvent:
    """The event, if its issuer signed it within `tolerance` seconds of `now`; raises WebhookError."""
    names = {name.lower(): value for name, value in headers.items()}
    try:
        message_id = names["webhook-id"]
        timestamp = names["webhook-timestamp"]
        signatures = names["webhook-signature"]
    except KeyError as missing:
        raise WebhookError(f"the header {missing.args[0]} is missing") from None
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        raise WebhookError("the timestamp is no number of seconds")
    content = b".".join((message_id.encode("utf-8", "replace"), timestamp.encode("ascii"), body))
    expected = hmac.digest(secret.key(), content, hashlib.sha256)
    # All of them are compared, and each in constant time.
    matching = [hmac.compare_digest(expected, given) for given in _signatures(signatures)]
    if not any(matching):
        raise WebhookError("no signature on it is of this secret")
    if abs(now - int(timestamp)) > tolerance:
        raise WebhookError("it was not sent just now: a replay, or a clock that is wrong")
    return _event(message_id, body)


def _signatures(header: str) -> list[bytes]:
    found = []
    for part in header.split(" "):
        version, _, encoded = part.partition(",")
        if version == "v1":
            try:
                found.append(base64.b64decode(encoded, validate=True))
            except (binascii.Error, ValueError):
                continue  # another version of this program may know it
    return found


def _event(message_id: str, body: bytes) -> WebhookEvent:
    try:
        document = json.loads(body)
        data = document["data"]
        refund = data.get("refund")
        return WebhookEvent(
            id=message_id,
            type=str(document["type"]),
            timestamp=str(document["timestamp"]),
            payment=Payment.parse(data["payment"]),
            refund=None if refund is None else Refund.parse(refund),
            document=document,
        )
    except (ValueError, KeyError, TypeError, AttributeError, NotAnIssuerError):
        raise WebhookError("it is signed, but what it says is not known to this program") from None
