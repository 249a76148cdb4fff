"""The JSON frames between issuer and phone: what a payment says, and what it hears.

Payloads for and from the reader are base64url of signed messages; phone and channel carry them unread.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from issuer_server.storage.records import PaymentRecord
from protocol.errors import InputError, PeerError
from protocol.identifiers import PaymentId, check_payment_id
from protocol.messages import NotSettled

LARGEST_SIGNED_MESSAGE: Final = 4096
"""Bytes; the most that Bluetooth's framing carries."""

_BASE64URL = re.compile(r"[A-Za-z0-9_-]*={0,2}")

ToReaderKind = Literal["key_offer", "pin_request", "outcome"]


class FrameError(PeerError):
    """A frame of the phone cannot be used: `code` goes back in an `error` frame, the payment is untouched."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True, slots=True)
class Approve:
    """S33: the person agreed, and this is the reader's hello."""

    payment_id: PaymentId
    reader_hello: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Decline:
    """S32, S46: the person refused, or did nothing until the phone's own timer ran out."""

    payment_id: PaymentId
    timed_out: bool
    block_merchant: bool = False
    """The person wants no more calls for this merchant."""


@dataclass(frozen=True, slots=True)
class FromReader:
    """207: a signed message of the reader."""

    payment_id: PaymentId
    kind: Literal["card_envelope", "pin_envelope", "refusal"]
    signed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReaderUnavailable:
    """The phone cannot reach the reader."""

    payment_id: PaymentId


@dataclass(frozen=True, slots=True)
class OutcomeWanted:
    """The reader does not know how its last payment ended."""

    payment_id: PaymentId


PhoneMessage = Approve | Decline | FromReader | ReaderUnavailable | OutcomeWanted


def read_phone_message(frame: Mapping[str, Any]) -> PhoneMessage:
    """The message of a parsed frame; raises FrameError, naming the field."""
    try:
        payment_id = check_payment_id(_text(frame, "payment_id"))
    except InputError as error:
        raise FrameError(error.code, str(error)) from None
    match frame.get("type"):
        case "approve":
            return Approve(payment_id, _octets(frame, "reader_hello"))
        case "decline":
            reason = _text(frame, "reason")
            if reason not in ("declined", "no_response"):
                raise FrameError("invalid_reason", "reason must be declined or no_response")
            block = frame.get("block_merchant", False)
            if not isinstance(block, bool) or (block and reason != "declined"):
                raise FrameError(
                    "invalid_block_merchant", "block_merchant is true or false, and a person's word"
                )
            return Decline(payment_id, timed_out=reason == "no_response", block_merchant=block)
        case "from_reader":
            match _text(frame, "kind"):
                case "card_envelope" | "pin_envelope" | "refusal" as kind:
                    return FromReader(payment_id, kind, _octets(frame, "data"))
                case _:
                    raise FrameError("invalid_kind", "kind must be card_envelope, pin_envelope or refusal")
        case "reader_unavailable":
            return ReaderUnavailable(payment_id)
        case "outcome_wanted":
            return OutcomeWanted(payment_id)
        case _:
            raise FrameError("unknown_type", "this type of frame is not known here")


def _text(frame: Mapping[str, Any], name: str) -> str:
    value = frame.get(name)
    if not isinstance(value, str):
        raise FrameError(f"invalid_{name}", f"{name} must be text")
    return value


def _octets(frame: Mapping[str, Any], name: str) -> bytes:
    text = _text(frame, name)
    if len(text) > LARGEST_SIGNED_MESSAGE * 4 // 3 + 4:
        raise FrameError(f"invalid_{name}", f"{name} may hold {LARGEST_SIGNED_MESSAGE} bytes")
    # b64decode skips characters outside its alphabet, so that one message would have many spellings
    if not _BASE64URL.fullmatch(text):
        raise FrameError(f"invalid_{name}", f"{name} must be base64url")
    text = text.rstrip("=")
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise FrameError(f"invalid_{name}", f"{name} must be base64url") from None


def _frame(frame_type: str, **fields: object) -> bytes:
    return json.dumps({"type": frame_type, **fields}, separators=(",", ":")).encode()


def payment_request(payment: PaymentRecord, seconds: float) -> bytes:
    """202: what the person is asked to approve within `seconds`."""
    return _frame(
        "payment_request",
        payment_id=payment.id,
        merchant_name=payment.merchant_name,
        amount={
            "minor": payment.money.minor,
            "currency": payment.money.currency.code,
            "exponent": payment.money.currency.exponent,
        },
        order=payment.order,
        approve_within_seconds=max(1, int(seconds)),
    )


def to_reader(payment_id: PaymentId, kind: ToReaderKind, signed: bytes, seconds: float) -> bytes:
    """A signed message for the reader, and how long the issuer waits for the answer (0: for none)."""
    return _frame(
        "to_reader",
        payment_id=payment_id,
        kind=kind,
        data=base64.urlsafe_b64encode(signed).decode("ascii").rstrip("="),
        seconds_left=int(seconds),
    )


def result(payment: PaymentRecord) -> bytes:
    """211: how the payment ended."""
    return _frame(
        "result",
        payment_id=payment.id,
        outcome=payment.state.value,
        reason=payment.reason.value if payment.reason else None,
        last_four=payment.card_last_four,
    )


def payment_over(
    payment_id: PaymentId, reason: NotSettled | Literal["completed", "unknown_payment"]
) -> bytes:
    """The answer to a message about a payment that is over, or that this phone never had."""
    return _frame("payment_over", payment_id=payment_id, reason=str(reason))


def error(code: str, detail: str, payment_id: PaymentId | None = None) -> bytes:
    """A frame of the phone was dropped; the payment stands as it stood."""
    named: dict[str, object] = {"payment_id": payment_id} if payment_id else {}
    return _frame("error", code=code, detail=detail, **named)
