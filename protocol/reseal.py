"""HPKE's key and nonce a second time, without the HPKE code: to reseal and compare (S11, S12, S18, S19).

The KEM is 0x647a, MLKEM768-X25519 (draft-ietf-hpke-pq, the combiner of X-Wing); the key schedule is that of
RFC 9180 section 5.1 in base mode. Hashes come from hashlib and hmac; the two decapsulations and AES-GCM from
`cryptography`, called one by one. Checked against the HPKE working group's vectors.

It guards against computation faults and library bugs: a result that differs from what the sender encrypted is
refused. It does not prove who the sender was; the reader's signature does.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protocol.errors import ResealMismatch

_MLKEM_CIPHERTEXT_SIZE: Final = 1088
_X25519_SIZE: Final = 32
ENCAPSULATION_SIZE: Final = _MLKEM_CIPHERTEXT_SIZE + _X25519_SIZE

_KEY_SIZE: Final = 32  # Nk of AES-256-GCM
_NONCE_SIZE: Final = 12  # Nn
_COMBINER_LABEL: Final = b"\\.//^\\"  # X-Wing's drawing of one: 5c2e2f2f5e5c
_BASE_MODE: Final = b"\x00"
# "HPKE", then KEM 0x647a (MLKEM768-X25519), KDF 0x0001 (HKDF-SHA256), AEAD 0x0002 (AES-256-GCM).
SUITE_ID: Final = b"HPKE" + bytes.fromhex("647a 0001 0002")


class HybridKey(NamedTuple):
    """The two halves of a private key of KEM 0x647a."""

    mlkem: MLKEM768PrivateKey
    x25519: X25519PrivateKey


@dataclass(frozen=True, slots=True)
class KeySchedule:
    """What encrypts: the AEAD key, and the nonce of the context's first and only message."""

    key: bytes = field(repr=False)
    base_nonce: bytes = field(repr=False)


def reseal_and_compare(key: HybridKey, sealed: bytes, plaintext: bytes | bytearray, info: bytes) -> None:
    """Seal the plaintext again and compare with the copy received (S13, S20); raises ResealMismatch."""
    encapsulation, received = sealed[:ENCAPSULATION_SIZE], sealed[ENCAPSULATION_SIZE:]
    again = key_schedule(shared_secret(key, encapsulation), info)
    resealed = AESGCM(again.key).encrypt(again.base_nonce, plaintext, None)
    if not hmac.compare_digest(resealed, received):
        raise ResealMismatch


def shared_secret(key: HybridKey, encapsulation: bytes) -> bytes:
    """Decap of KEM 0x647a: both decapsulations, bound together with the X25519 ciphertext and public key."""
    mlkem_ciphertext = encapsulation[:_MLKEM_CIPHERTEXT_SIZE]
    x25519_ciphertext = encapsulation[_MLKEM_CIPHERTEXT_SIZE:]
    return hashlib.sha3_256(
        key.mlkem.decapsulate(mlkem_ciphertext)
        + key.x25519.exchange(X25519PublicKey.from_public_bytes(x25519_ciphertext))
        + x25519_ciphertext
        + key.x25519.public_key().public_bytes_raw()
        + _COMBINER_LABEL
    ).digest()


def key_schedule(secret: bytes, info: bytes, suite_id: bytes = SUITE_ID) -> KeySchedule:
    """KeySchedule of RFC 9180 section 5.1 with HKDF-SHA256, base mode: no pre-shared key, no name of one."""
    context = (
        _BASE_MODE
        + _labeled_extract(suite_id, b"", b"psk_id_hash", b"")
        + _labeled_extract(suite_id, b"", b"info_hash", info)
    )
    schedule_secret = _labeled_extract(suite_id, secret, b"secret", b"")
    return KeySchedule(
        _labeled_expand(suite_id, schedule_secret, b"key", context, _KEY_SIZE),
        _labeled_expand(suite_id, schedule_secret, b"base_nonce", context, _NONCE_SIZE),
    )


def _labeled_extract(suite_id: bytes, salt: bytes, label: bytes, material: bytes) -> bytes:
    """RFC 9180 section 4. An empty salt is 32 zero bytes (RFC 5869), which HMAC's own padding makes of it."""
    return hmac.digest(salt, b"HPKE-v1" + suite_id + label + material, "sha256")


def _labeled_expand(suite_id: bytes, secret: bytes, label: bytes, info: bytes, size: int) -> bytes:
    """RFC 9180 section 4, one block of HKDF (`size` at most 32): T(1) = HMAC(secret, info || 0x01)."""
    labeled = size.to_bytes(2, "big") + b"HPKE-v1" + suite_id + label + info
    return hmac.digest(secret, labeled + b"\x01", "sha256")[:size]
