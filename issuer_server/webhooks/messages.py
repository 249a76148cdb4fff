"""Webhooks by the Standard Webhooks specification (standardwebhooks.com): what, signed how, where and when.

Pure. The headers are `webhook-id`, `webhook-timestamp` and `webhook-signature`: `v1,` and the base64 of the
HMAC-SHA256 of `id.timestamp.payload` under the endpoint's secret; while a secret is being replaced, one
signature of each, with a space between them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from issuer_server.merchant_documents import payment_json, refund_json, rfc3339
from issuer_server.storage.records import PaymentRecord, RefundRecord
from protocol.errors import InputError

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what secrets begin with
SECRET_SIZE: Final = 32
"""Bytes; the specification asks for 24 to 64."""
LONGEST_URL: Final = 2048

RETRY_AFTER: Final = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds after each failed attempt, the specification's own example: three days and a half in all."""

GONE: Final = 410
"""The status by which an endpoint says that it wants no more webhooks."""


class EventType(StrEnum):
    """What a webhook tells of."""

    COMPLETED = "payment.completed"
    NOT_SETTLED = "payment.not_settled"
    REFUNDED = "payment.refunded"


@dataclass(frozen=True, slots=True)
class Message:
    """What is told to every endpoint of the merchant; the id is the same at each attempt and endpoint."""

    id: str
    payload: str


def payment_ended(payment: PaymentRecord) -> Message:
    """A payment has reached its end, whichever."""
    event = EventType.COMPLETED if payment.reason is None else EventType.NOT_SETTLED
    return _message(f"msg_{payment.id}", event, payment.updated_at, {"payment": payment_json(payment)})


def payment_refunded(payment: PaymentRecord, refund: RefundRecord) -> Message:
    """Money of `payment` was given back."""
    data = {"payment": payment_json(payment), "refund": refund_json(refund)}
    return _message(f"msg_{refund.id}", EventType.REFUNDED, refund.created_at, data)


def _message(message_id: str, event: EventType, stamp: float, data: Mapping[str, object]) -> Message:
    body = {"type": event.value, "timestamp": rfc3339(stamp), "data": data}
    return Message(message_id, json.dumps(body, ensure_ascii=False, separators=(",", ":")))


def secret_text(secret: bytes) -> str:
    """A secret as it is handed to the merchant."""
    return SECRET_PREFIX + base64.b64encode(secret).decode("ascii")


def signature_headers(
    message_id: str, stamp: float, payload: bytes, secrets: Sequence[bytes]
) -> dict[str, str]:
    """The three headers; one signature for each of `secrets`."""
    timestamp = str(int(stamp))
    content = b".".join((message_id.encode("ascii"), timestamp.encode("ascii"), payload))
    signatures = (
        "v1," + base64.b64encode(hmac.digest(secret, content, hashlib.sha256)).decode("ascii")
        for secret in secrets
    )
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(signatures),
    }


def next_attempt(attempts: int, now: float, spread: float) -> float | None:
    """When to try again after so many failures, or None to give up; `spread` 0..1 adds up to a tenth."""
    if attempts > len(RETRY_AFTER):
        return None
    return now + RETRY_AFTER[attempts - 1] * (1.0 + spread / 10.0)


def check_webhook_url(url: str, *, private_allowed: bool) -> str:
    """`url` if webhooks may go there; raises InputError (invalid_webhook_url).

    Where a name leads is looked at when it is connected to: today's answer of a resolver says nothing.
    """
    schemes = ("https", "http") if private_allowed else ("https",)
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if (
        not host
        or parts.scheme not in schemes
        or parts.username is not None
        or parts.fragment
        or len(url) > LONGEST_URL
        or not url.isascii()
        or any(character <= " " or character == "\x7f" for character in url)
    ):
        raise InputError(
            "invalid_webhook_url",
            f"A webhook's address is like {schemes[0]}://shop.example/webhooks, without user or fragment.",
        )
    if not private_allowed and _is_address(host) and not is_public(host):
        raise InputError(
            "private_webhook_url", "Webhooks go to public addresses: see webhooks_to_private_addresses."
        )
    return url


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the open Internet, also where an IPv6 one wraps an IPv4 one."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if not ip.is_global or ip.is_multicast:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        wrapped = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
        if ip in _NAT64:
            wrapped.append(ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF))
        return all(inner is None or is_public(str(inner)) for inner in wrapped)
    return True


_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""RFC 6052: the last four bytes are an IPv4 address."""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
