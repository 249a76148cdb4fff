"""Sealing card data and PIN to the payment's key: HPKE (RFC 9180), base mode, one suite, fixed sizes.

The suite is MLKEM768-X25519, HKDF-SHA256, AES-256-GCM: a radio recording made today stays closed to a quantum
computer later. A sealed envelope is the KEM's 1120 bytes, then the padded plaintext's ciphertext, then 16
bytes of tag.

All randomness is the caller's but one: HPKE's encapsulation draws its own inside `cryptography`, which offers
no other way; a sender that chose it could reuse it.
"""

from __future__ import annotations

import hashlib
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from protocol.errors import InputError, LocalProtocolError, SealError
from protocol.identifiers import Digest, PublicKey, reader_id
from protocol.messages import PAYMENT_KEY_SIZE, SEALED_CARD_SIZE, SEALED_PIN_SIZE, KeyOffer
from protocol.reseal import HybridKey, reseal_and_compare
from protocol.track_data import CARD_PLAINTEXT_SIZE, wipe

__all__ = [
    "CARD_PLAINTEXT_SIZE",
    "PAYMENT_KEY_SIZE",
    "PIN_PLAINTEXT_SIZE",
    "SEALED_CARD_SIZE",
    "SEALED_PIN_SIZE",
    "SEED_SIZE",
    "PaymentKey",
    "card_info",
    "pad_pin",
    "pin_info",
    "seal_card",
    "seal_pin",
    "unpad_pin",
]

PIN_PLAINTEXT_SIZE: Final = 16
SHORTEST_PIN: Final = 4  # ISO 9564-1 section 8.1
LONGEST_PIN: Final = 12

SEED_SIZE: Final = 96
_MLKEM_SEED_SIZE: Final = 64  # d || z of FIPS 203
_MLKEM_PUBLIC_SIZE: Final = 1184

_CARD_DOMAIN: Final = b"blind-relay v1 card"
_PIN_DOMAIN: Final = b"blind-relay v1 pin"
_SUITE: Final = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


class PaymentKey:
    """The key pair of one payment (S6): opens a card envelope, a PIN envelope a request, and is dropped.

    Held in one process and never written. Dropping it removes the references; Python cannot promise to
    overwrite.
    """

    __slots__ = ("_key", "_opened", "public_key")

    def __init__(self, mlkem: MLKEM768PrivateKey, x25519: X25519PrivateKey) -> None:
        self.public_key = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
        self._key: HybridKey | None = HybridKey(mlkem, x25519)
        self._opened: set[bytes] = set()

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """The key pair of 96 fresh random bytes: ML-KEM-768's seed d || z (64), X25519's private key (32)."""
        if len(seed) != SEED_SIZE:
            raise ValueError(f"a payment key's seed is {SEED_SIZE} bytes")
        return cls(
            MLKEM768PrivateKey.from_seed_bytes(seed[:_MLKEM_SEED_SIZE]),
            X25519PrivateKey.from_private_bytes(seed[_MLKEM_SEED_SIZE:]),
        )

    def open_card(self, sealed: bytes, info: bytes) -> bytearray:
        """The 128 bytes of a card envelope, resealed and compared (S10 to S12); raises SealError.

        Verify the reader's signature first. Each `info` opens once, whether the envelope was good or not.
        """
        return self._open(sealed, SEALED_CARD_SIZE, _CARD_DOMAIN, info)

    def open_pin(self, sealed: bytes, info: bytes) -> bytearray:
        """The 16 bytes of a PIN envelope, resealed and compared (S18 to S20), as `open_card` does."""
        return self._open(sealed, SEALED_PIN_SIZE, _PIN_DOMAIN, info)

    def drop(self) -> None:
        """Forget the private key (S26): nothing opens after this."""
        self._key = None

    def _open(self, sealed: bytes, size: int, domain: bytes, info: bytes) -> bytearray:
        if self._key is None or len(sealed) != size or not info.startswith(domain) or info in self._opened:
            raise SealError
        self._opened.add(info)
        try:
            opened = _SUITE.decrypt(sealed, hpke.MLKEM768X25519PrivateKey(*self._key), info)
            reseal_and_compare(self._key, sealed, opened, info)
        except (InvalidTag, ValueError):  # ValueError: an X25519 ciphertext of small order
            raise SealError from None
        return bytearray(opened)

    def __repr__(self) -> str:
        state = "dropped" if self._key is None else "held"
        return f"PaymentKey({hashlib.sha256(self.public_key).hexdigest()[:16]}, {state})"


def card_info(offer: KeyOffer, offer_digest: Digest, reader_public_key: PublicKey) -> bytes:
    """What a card envelope is bound to: domain, issuer id, reader id, H(reader's public key), H(offer).

    The only part of free length stands between parts of fixed length, so two different bindings never look
    alike. With the reader's key in it, no other reader can sign a stolen ciphertext as its own.
    """
    return _CARD_DOMAIN + _binding(offer, offer_digest, reader_public_key)


def pin_info(
    offer: KeyOffer, offer_digest: Digest, reader_public_key: PublicKey, pin_request_digest: Digest
) -> bytes:
    """What a PIN envelope is bound to: its own domain, the rest of `card_info`, then H(PIN request)."""
    return _PIN_DOMAIN + _binding(offer, offer_digest, reader_public_key) + pin_request_digest


def _binding(offer: KeyOffer, offer_digest: Digest, reader_public_key: PublicKey) -> bytes:
    if reader_id(reader_public_key) != offer.reader_id:
        raise LocalProtocolError("info: the offer is for another reader's key")
    return (
        offer.issuer_id.encode("ascii")
        + offer.reader_id
        + hashlib.sha256(reader_public_key).digest()
        + offer_digest
    )


def seal_card(public_key: bytes, plaintext: bytes | bytearray, info: bytes) -> bytes:
    """128 bytes of card data sealed to a payment's public key (S36); raises SealError if that is no key."""
    return _seal(public_key, plaintext, CARD_PLAINTEXT_SIZE, info)


def seal_pin(public_key: bytes, plaintext: bytes | bytearray, info: bytes) -> bytes:
    """A padded PIN (`pad_pin`) sealed to a payment's public key (S42); raises SealError if that is no key."""
    return _seal(public_key, plaintext, PIN_PLAINTEXT_SIZE, info)


def _seal(public_key: bytes, plaintext: bytes | bytearray, size: int, info: bytes) -> bytes:
    if len(plaintext) != size:
        raise LocalProtocolError(f"the plaintext must be padded to {size} bytes")
    if len(public_key) != PAYMENT_KEY_SIZE:
        raise SealError
    try:
        recipient = hpke.MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(public_key[:_MLKEM_PUBLIC_SIZE]),
            X25519PublicKey.from_public_bytes(public_key[_MLKEM_PUBLIC_SIZE:]),
        )
        return _SUITE.encrypt(plaintext, recipient, info)
    except ValueError:
        # An ML-KEM key out of range (FIPS 203 section 7.2) or an X25519 point of small order.
        raise SealError from None


def pad_pin(digits: bytes | bytearray) -> bytearray:
    """4 to 12 ASCII digits as 16 bytes: their count, the digits, zeros; raises InputError (invalid_pin)."""
    if not SHORTEST_PIN <= len(digits) <= LONGEST_PIN or not digits.isdigit():
        raise InputError("invalid_pin", f"A PIN is {SHORTEST_PIN} to {LONGEST_PIN} digits.")
    padded = bytearray(PIN_PLAINTEXT_SIZE)
    padded[0] = len(digits)
    padded[1 : 1 + len(digits)] = digits
    return padded


def unpad_pin(padded: bytearray) -> bytearray:
    """The digits inside, the padding wiped; raises SealError for what `pad_pin` cannot have made."""
    count = padded[0] if len(padded) == PIN_PLAINTEXT_SIZE else 0
    digits, filling = padded[1 : 1 + count], any(memoryview(padded)[1 + count :])
    wipe(padded)
    if filling or not SHORTEST_PIN <= count <= LONGEST_PIN or not digits.isdigit():
        wipe(digits)
        raise SealError
    return digits
