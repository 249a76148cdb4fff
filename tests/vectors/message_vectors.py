"""Fixed inputs and the exact bytes that follow; `python -m tests.vectors.message_vectors` writes them anew.

The sealed envelopes cannot be computed again (HPKE's encapsulation is random), so they are kept and opened
instead.
"""

from __future__ import annotations

import enum
import json
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from protocol.encoding import encode
from protocol.enrolment import EnrolmentCode, EnrolmentKind
from protocol.identifiers import (
    Digest,
    IssuerId,
    MerchantId,
    Nonce,
    PaymentId,
    mint,
    reader_id,
    reader_id_text,
)
from protocol.messages import (
    CardEnvelope,
    KeyOffer,
    Message,
    NotSettled,
    Outcome,
    PinEnvelope,
    PinRequest,
    ReaderEnrolment,
    ReaderHello,
    Refusal,
    RefusalReason,
    Verdict,
)
from protocol.money import Money, currency
from protocol.sealing import PaymentKey, card_info, pad_pin, pin_info, seal_card, seal_pin
from protocol.signing import SigningKey, digest
from protocol.track_data import parse_swipe

VECTORS: Final = Path(__file__).with_name("messages.json")

ISSUER: Final = SigningKey.from_seed(bytes(range(32)))
READER: Final = SigningKey.from_seed(bytes(range(32, 64)))
PAYMENT_SEED: Final = bytes(range(64, 160))
SWIPE: Final = (
    b"%B4000001234567899^YAMADA/HANAKO^30121010000000000000?;4000001234567899=30121010000000000000?\r\n"
)
PIN: Final = b"1234"
NONCE: Final = Nonce(bytes(range(0xA0, 0xB0)))


def offer() -> KeyOffer:
    """The one offer that everything here answers."""
    return KeyOffer(
        issuer_id=IssuerId("bank.example"),
        payment_id=PaymentId(mint("pay", bytes(range(16)))),
        reader_id=reader_id(READER.public_key),
        nonce=NONCE,
        merchant_id=MerchantId(mint("mer", bytes(range(16, 32)))),
        merchant_name="喫茶 ねこ",
        order="2 tickets, row 5",
        amount=Money(1200, currency("JPY")),
        public_key=PaymentKey.from_seed(PAYMENT_SEED).public_key,
        seconds_to_live=120,
    )


def build(sealed_card: bytes | None = None, sealed_pin: bytes | None = None) -> dict[str, Any]:
    """All vectors, around the sealed envelopes given, or around new ones."""
    key_offer = offer()
    signed_offer = ISSUER.sign(key_offer.encode())
    offer_digest = digest(signed_offer)
    card_binding = card_info(key_offer, offer_digest, READER.public_key)
    card_plaintext = bytes(parse_swipe(bytearray(SWIPE)).card_plaintext())
    sealed_card = sealed_card or seal_card(key_offer.public_key, card_plaintext, card_binding)
    card_envelope = CardEnvelope(offer_digest, sealed_card)
    card_digest = digest(READER.sign(card_envelope.encode()))
    pin_request = PinRequest(offer_digest, card_digest, None, "7899", 3)
    request_digest = digest(ISSUER.sign(pin_request.encode()))
    pin_binding = pin_info(key_offer, offer_digest, READER.public_key, request_digest)
    pin_plaintext = bytes(pad_pin(PIN))
    sealed_pin = sealed_pin or seal_pin(key_offer.public_key, pin_plaintext, pin_binding)
    pin_envelope = PinEnvelope(offer_digest, request_digest, sealed_pin)
    pin_digest = digest(READER.sign(pin_envelope.encode()))
    hello = ReaderHello(key_offer.reader_id, NONCE, (1,))
    enrolment = ReaderEnrolment(IssuerId("bank.example"), bytes(range(16)), READER.public_key, "Pi 5, MSR90")
    return {
        "about": (
            "Blind Relay, protocol version 1. Bytes are hex. 'encoded' is the message, 'signed' the"
            " COSE_Sign1 around it, 'digest' that one's SHA-256. What stands under 'refused' must be refused."
        ),
        "keys": {
            "issuer": {"seed": bytes(range(32)).hex(), **_key(ISSUER)},
            "reader": {
                "seed": bytes(range(32, 64)).hex(),
                **_key(READER),
                "reader_id": reader_id_text(key_offer.reader_id),
            },
            "payment": {"seed": PAYMENT_SEED.hex(), "public_key": key_offer.public_key.hex()},
        },
        "plaintexts": {
            "swipe": SWIPE.decode("ascii"),
            "card": card_plaintext.hex(),
            "pin_digits": PIN.decode("ascii"),
            "pin": pin_plaintext.hex(),
        },
        "sealed": {
            "card": {"info": card_binding.hex(), "sealed": sealed_card.hex()},
            "pin": {"info": pin_binding.hex(), "sealed": sealed_pin.hex()},
        },
        "messages": [
            _message(hello, None),
            _message(key_offer, ISSUER),
            _message(card_envelope, READER),
            _message(pin_request, ISSUER),
            _message(PinRequest(offer_digest, card_digest, pin_digest, "7899", 2), ISSUER),
            _message(pin_envelope, READER),
            _message(Refusal(offer_digest, RefusalReason.USER_CANCELLED), READER),
            _message(Outcome(offer_digest, pin_digest, Verdict.APPROVED, None), ISSUER),
            _message(
                Outcome(offer_digest, card_digest, Verdict.NOT_SETTLED, NotSettled.UNKNOWN_CARD), ISSUER
            ),
            _message(Outcome(offer_digest, None, Verdict.NOT_SETTLED, NotSettled.CARD_TIMEOUT), ISSUER),
            _message(enrolment, READER),
        ],
        "refused": [{"class": name, "why": why, "encoded": data.hex()} for name, why, data in _refused()],
        "enrolment_codes": [
            EnrolmentCode(
                kind,
                "https://bank.example:8443",
                IssuerId("bank.example"),
                ISSUER.public_key,
                bytes(range(16)),
            ).text()
            for kind in EnrolmentKind
        ],
    }


def _key(key: SigningKey) -> dict[str, str]:
    return {"public_key": key.public_key.hex(), "key_id": key.key_id.hex()}


def _message(message: Message, signer: SigningKey | None) -> dict[str, Any]:
    encoded = message.encode()
    vector: dict[str, Any] = {
        "class": type(message).__name__,
        "fields": {field.name: plain(getattr(message, field.name)) for field in fields(message)},
        "encoded": encoded.hex(),
    }
    if signer is not None:
        signed = signer.sign(encoded)
        vector |= {
            "signer": "issuer" if signer is ISSUER else "reader",
            "signed": signed.hex(),
            "digest": digest(signed).hex(),
        }
    return vector


def plain(value: object) -> object:
    """A field as JSON has it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Money):
        return {"minor": value.minor, "currency": value.currency.code}
    if isinstance(value, enum.Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


def _refused() -> list[tuple[str, str, bytes]]:
    """Encodings that differ from a good one in one thing."""
    good = {0: 21, 1: 1, 2: Digest(bytes(32)), 3: "busy"}
    outcome = {0: 22, 1: 1, 2: bytes(32), 3: bytes(32), 4: 1}
    plain = encode(good)
    body = plain[1:]
    return [
        ("Refusal", "trailing byte", plain + b"\x00"),
        ("Refusal", "cut short", plain[:-1]),
        ("Refusal", "version 1 in two bytes", plain.replace(b"\x01\x01\x02", b"\x01\x18\x01\x02", 1)),
        ("Refusal", "indefinite length", b"\xbf" + body + b"\xff"),
        ("Refusal", "keys out of order", b"\xa4" + body[2:4] + body[:2] + body[4:]),
        ("Refusal", "key twice", b"\xa5" + body[:4] + body[2:]),
        ("Refusal", "unknown key", encode(good | {4: 0})),
        ("Refusal", "missing key", encode({0: 21, 1: 1, 2: bytes(32)})),
        ("Refusal", "null for a missing key", encode(good | {3: None})),
        ("Refusal", "version 2", encode(good | {1: 2})),
        ("Refusal", "version true", encode(good | {1: True})),
        ("Refusal", "version 1.0", encode(good | {1: 1.0})),
        ("Refusal", "another type", encode(good | {0: 22})),
        ("Refusal", "digest too short", encode(good | {2: bytes(31)})),
        ("Refusal", "digest as text", encode(good | {2: "0" * 32})),
        ("Refusal", "unknown reason", encode(good | {3: "bored"})),
        ("Refusal", "tagged", b"\xd9\xd9\xf7" + plain),
        ("Refusal", "array", encode([21, 1, bytes(32), "busy"])),
        ("Outcome", "approved without the reader's message", encode({0: 22, 1: 1, 2: bytes(32), 4: 1})),
        ("Outcome", "approved with a reason", encode(outcome | {5: "declined"})),
        ("Outcome", "not settled without a reason", encode(outcome | {4: 2})),
    ]


def main() -> None:
    """Write the vectors, keeping the sealed envelopes that are there."""
    kept = json.loads(VECTORS.read_text("utf-8"))["sealed"] if VECTORS.exists() else {}
    vectors = build(**{f"sealed_{kind}": bytes.fromhex(kept[kind]["sealed"]) for kind in kept})
    VECTORS.write_text(json.dumps(vectors, indent=2, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
