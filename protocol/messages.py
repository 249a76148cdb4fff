"""The messages: frozen, checked when built, each with one encoding (docs/wire-protocol.md, wire.cddl).

A message is a CBOR map with small integer keys: 0 is its type, 1 the protocol's version, the rest as
annotated. Built wrongly on this side it raises LocalProtocolError; decoded from a peer's bytes it raises
MessageError.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Annotated, Final

from protocol.identifiers import (
    DIGEST_SIZE,
    KEY_ID_SIZE,
    NONCE_SIZE,
    PUBLIC_KEY_SIZE,
    Digest,
    IssuerId,
    MerchantId,
    Nonce,
    PaymentId,
    PublicKey,
    ReaderId,
    check_issuer_id,
    check_merchant_id,
    check_payment_id,
)
from protocol.money import Money
from protocol.wire_fields import Amount, At, Digits, Name, Octets, OneOf, ShownText, Versions, Whole
from protocol.wire_message import PROTOCOL_VERSION as PROTOCOL_VERSION
from protocol.wire_message import Message as Message

LONGEST_MERCHANT_NAME: Final = 40
LONGEST_ORDER: Final = 80
LONGEST_MODEL: Final = 40
MOST_TRIES: Final = 15

# ML-KEM-768 encapsulation key (FIPS 203, 1184) and X25519 public key (32), in the order of HPKE's KEM 0x647a.
PAYMENT_KEY_SIZE: Final = 1216
# KEM ciphertext (1088 + 32), padded plaintext (128 or 16), AES-GCM tag (16): see sealing.py.
SEALED_CARD_SIZE: Final = 1264
SEALED_PIN_SIZE: Final = 1152
CHALLENGE_SIZE: Final = 16


class MessageType(IntEnum):
    """Key 0 of every message, and the type of the frames that carry it over Bluetooth."""

    READER_HELLO = 16
    KEY_OFFER = 17
    CARD_ENVELOPE = 18
    PIN_REQUEST = 19
    PIN_ENVELOPE = 20
    REFUSAL = 21
    OUTCOME = 22
    READER_ENROLMENT = 32


class Verdict(IntEnum):
    """How a payment ended."""

    APPROVED = 1
    NOT_SETTLED = 2


class RefusalReason(StrEnum):
    """Why a reader ends a payment."""

    USER_CANCELLED = "user_cancelled"
    NO_SWIPE = "no_swipe"
    UNREADABLE_CARD = "unreadable_card"
    NO_PIN = "no_pin"
    BUSY = "busy"
    OFFER_REJECTED = "offer_rejected"
    READER_FAULT = "reader_fault"


class NotSettled(StrEnum):
    """Every reason for which a payment can end unpaid."""

    HANDSET_UNREACHABLE = "handset_unreachable"
    DECLINED = "declined"
    NO_RESPONSE = "no_response"  # by the phone's own timer
    APPROVAL_TIMEOUT = "approval_timeout"  # by the issuer's
    CANCELLED_BY_MERCHANT = "cancelled_by_merchant"
    READER_UNAVAILABLE = "reader_unavailable"  # the phone could not reach it
    READER_UNKNOWN = "reader_unknown"
    READER_BLOCKED = "reader_blocked"
    READER_NOT_CARDHOLDERS = "reader_not_cardholders"
    CARD_TIMEOUT = "card_timeout"
    PIN_TIMEOUT = "pin_timeout"
    REFUSED_USER_CANCELLED = "refused_user_cancelled"
    REFUSED_NO_SWIPE = "refused_no_swipe"
    REFUSED_UNREADABLE_CARD = "refused_unreadable_card"
    REFUSED_NO_PIN = "refused_no_pin"
    REFUSED_BUSY = "refused_busy"
    REFUSED_OFFER_REJECTED = "refused_offer_rejected"
    REFUSED_READER_FAULT = "refused_reader_fault"
    ENVELOPE_INVALID = "envelope_invalid"
    RESEAL_MISMATCH = "reseal_mismatch"
    UNKNOWN_CARD = "unknown_card"
    EXPIRED_CARD = "expired_card"
    BLOCKED_CARD = "blocked_card"
    CARD_NOT_CARDHOLDERS = "card_not_cardholders"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    WRONG_PIN = "wrong_pin"
    PIN_BLOCKED = "pin_blocked"
    HANDSET_FAULT = "handset_fault"
    ISSUER_RESTARTED = "issuer_restarted"
    INTERNAL_ERROR = "internal_error"


# A refusal's reason under the name that the merchant reads.
REFUSAL_REASONS: Final[Mapping[RefusalReason, NotSettled]] = MappingProxyType(
    {reason: NotSettled(f"refused_{reason.value}") for reason in RefusalReason}
)


@dataclass(frozen=True, slots=True)
class ReaderHello(Message):
    """Reader to issuer, unsigned: who I am, a nonce that takes one offer, and the versions that I speak."""

    TYPE = MessageType.READER_HELLO
    reader_id: Annotated[ReaderId, At(2, Octets(KEY_ID_SIZE))]
    nonce: Annotated[Nonce, At(3, Octets(NONCE_SIZE))]
    versions: Annotated[tuple[int, ...], At(4, Versions())]


@dataclass(frozen=True, slots=True)
class KeyOffer(Message):
    """Issuer to reader, signed: what is bought, where, for how much, and the payment's key (203, S34)."""

    TYPE = MessageType.KEY_OFFER
    issuer_id: Annotated[IssuerId, At(2, Name(check_issuer_id))]
    payment_id: Annotated[PaymentId, At(3, Name(check_payment_id))]
    reader_id: Annotated[ReaderId, At(4, Octets(KEY_ID_SIZE))]
    nonce: Annotated[Nonce, At(5, Octets(NONCE_SIZE))]
    merchant_id: Annotated[MerchantId, At(6, Name(check_merchant_id))]
    merchant_name: Annotated[str, At(7, ShownText(LONGEST_MERCHANT_NAME))]
    order: Annotated[str, At(8, ShownText(LONGEST_ORDER))]
    amount: Annotated[Money, At(9, Amount())]
    public_key: Annotated[bytes, At(10, Octets(PAYMENT_KEY_SIZE))]
    seconds_to_live: Annotated[int, At(11, Whole(1, 600))]


@dataclass(frozen=True, slots=True)
class CardEnvelope(Message):
    """Reader to issuer, signed: the card data, sealed to the offer's key (206, S36)."""

    TYPE = MessageType.CARD_ENVELOPE
    offer: Annotated[Digest, At(2, Octets(DIGEST_SIZE))]
    sealed: Annotated[bytes, At(3, Octets(SEALED_CARD_SIZE))]


@dataclass(frozen=True, slots=True)
class PinRequest(Message):
    """Issuer to reader, signed: type the PIN of the card in this envelope (S16), or type it once more."""

    TYPE = MessageType.PIN_REQUEST
    offer: Annotated[Digest, At(2, Octets(DIGEST_SIZE))]
    card_envelope: Annotated[Digest, At(3, Octets(DIGEST_SIZE))]
    previous_pin_envelope: Annotated[Digest | None, At(4, Octets(DIGEST_SIZE))]
    last_four: Annotated[str, At(5, Digits(4))]
    tries_left: Annotated[int, At(6, Whole(1, MOST_TRIES))]


@dataclass(frozen=True, slots=True)
class PinEnvelope(Message):
    """Reader to issuer, signed: the PIN, sealed to the offer's key (S42)."""

    TYPE = MessageType.PIN_ENVELOPE
    offer: Annotated[Digest, At(2, Octets(DIGEST_SIZE))]
    pin_request: Annotated[Digest, At(3, Octets(DIGEST_SIZE))]
    sealed: Annotated[bytes, At(4, Octets(SEALED_PIN_SIZE))]


@dataclass(frozen=True, slots=True)
class Refusal(Message):
    """Reader to issuer, signed: this payment ends here."""

    TYPE = MessageType.REFUSAL
    offer: Annotated[Digest, At(2, Octets(DIGEST_SIZE))]
    reason: Annotated[RefusalReason, At(3, OneOf(RefusalReason))]


@dataclass(frozen=True, slots=True)
class Outcome(Message):
    """Issuer to reader, signed: how the payment ended, bound to the last message from the reader (S24)."""

    TYPE = MessageType.OUTCOME
    offer: Annotated[Digest, At(2, Octets(DIGEST_SIZE))]
    last_message: Annotated[Digest | None, At(3, Octets(DIGEST_SIZE))]
    verdict: Annotated[Verdict, At(4, OneOf(Verdict))]
    reason: Annotated[NotSettled | None, At(5, OneOf(NotSettled))]

    def _check_together(self) -> None:
        if self.verdict is Verdict.APPROVED and (self.reason is not None or self.last_message is None):
            raise ValueError("an approval answers a message and has no reason")
        if self.verdict is Verdict.NOT_SETTLED and self.reason is None:
            raise ValueError("not settled needs its reason")


@dataclass(frozen=True, slots=True)
class ReaderEnrolment(Message):
    """Reader to issuer, signed by the key it carries: proof of possession over the issuer's challenge."""

    TYPE = MessageType.READER_ENROLMENT
    issuer_id: Annotated[IssuerId, At(2, Name(check_issuer_id))]
    challenge: Annotated[bytes, At(3, Octets(CHALLENGE_SIZE))]
    public_key: Annotated[PublicKey, At(4, Octets(PUBLIC_KEY_SIZE))]
    model: Annotated[str, At(5, ShownText(LONGEST_MODEL))]
