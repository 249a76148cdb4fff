"""COSE_Sign1 (RFC 9052 section 4.2) with Ed25519 (RFC 9864, algorithm -19), in exactly one shape.

    18([ << {1: -19, 4: kid} >>, {}, payload, signature ])

Both header parameters are protected, the unprotected map is empty, the payload is attached, and
`external_aad` names this protocol, so that no signature made here means anything elsewhere. No algorithm is
negotiated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final, Protocol, Self, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from protocol.encoding import decode, encode
from protocol.errors import MessageError, SignatureError
from protocol.identifiers import KEY_ID_SIZE, PUBLIC_KEY_SIZE, Digest, KeyId, PublicKey, key_id
from protocol.messages import Message, ReaderEnrolment

M = TypeVar("M", bound=Message)

EXTERNAL_AAD: Final = b"blind-relay v1"
SEED_SIZE: Final = 32
SIGNATURE_SIZE: Final = 64

_TAG: Final = b"\xd2"  # COSE_Sign1_Tagged: CBOR tag 18 is this one byte
_CONTEXT: Final = "Signature1"
_ALGORITHM: Final = 1  # header parameter `alg`
_KEY_ID: Final = 4  # header parameter `kid`
_ED25519: Final = -19

# The y-coordinates of the eight points of small order, in every encoding that a library may take. For such
# a "key" anyone can make signatures: whoever enrolled one could disown their payments.
_SMALL_ORDER: Final = frozenset(
    bytes.fromhex(y)
    for y in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
)


class Signer(Protocol):
    """Whatever holds a signing key: memory here, a secure element elsewhere."""

    @property
    def public_key(self) -> PublicKey:
        """The 32 bytes that others verify with."""

    def sign(self, payload: bytes) -> bytes:
        """A COSE_Sign1 around the payload."""


class SigningKey:
    """An Ed25519 key. Its seed is 32 random bytes that the caller brings and keeps."""

    __slots__ = ("_key", "key_id", "public_key")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public_key = PublicKey(key.public_key().public_bytes_raw())
        self.key_id = key_id(self.public_key)

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """The key of a seed (RFC 8032 section 5.1.5: the 32 secret bytes themselves)."""
        if len(seed) != SEED_SIZE:
            raise ValueError(f"a signing seed is {SEED_SIZE} bytes")
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    def sign(self, payload: bytes) -> bytes:
        """A COSE_Sign1 around `payload`. Ed25519 is deterministic: the same payload gives the same bytes."""
        protected = _protected_header(self.key_id)
        signature = self._key.sign(_to_be_signed(protected, payload))
        return _assemble(protected, payload, signature)

    def __repr__(self) -> str:
        return f"SigningKey({self.key_id.hex()})"


class OutsideKey:
    """An Ed25519 key held by something else: `sign` gives its bare signature of the bytes it is given."""

    __slots__ = ("_sign", "key_id", "public_key")

    def __init__(self, public_key: PublicKey, sign: Callable[[bytes], bytes]) -> None:
        self._sign = sign
        self.public_key = public_key
        self.key_id = key_id(public_key)

    def sign(self, payload: bytes) -> bytes:
        """A COSE_Sign1 around `payload`; raises whatever the holder of the key does."""
        protected = _protected_header(self.key_id)
        return _assemble(protected, payload, self._sign(_to_be_signed(protected, payload)))

    def __repr__(self) -> str:
        return f"OutsideKey({self.key_id.hex()})"


def verify(public_key: PublicKey, signed: bytes) -> bytes:
    """The payload of a COSE_Sign1 that `public_key` signed; raises SignatureError whatever is wrong."""
    claimed, payload, signature = _disassemble(signed)
    expected = key_id(public_key)
    if claimed != expected:
        raise SignatureError("signed by another key")
    if _is_small_order(public_key):
        raise SignatureError("the key is a point of small order")
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(
            signature, _to_be_signed(_protected_header(expected), payload)
        )
    except (InvalidSignature, ValueError):
        raise SignatureError("the signature does not verify") from None
    return payload


def sign_message(key: Signer, message: Message) -> bytes:
    """A message, encoded and signed."""
    return key.sign(message.encode())


def open_message(public_key: PublicKey, signed: bytes, expected: type[M]) -> M:
    """The message of the class that `public_key` signed; raises SignatureError or MessageError."""
    return expected.decode(verify(public_key, signed))


def open_enrolment(signed: bytes) -> ReaderEnrolment:
    """A reader's proof of possession, verified with the key that it carries; raises as `open_message`."""
    carried = ReaderEnrolment.decode(_disassemble(signed)[1])
    return open_message(carried.public_key, signed, ReaderEnrolment)


def digest(signed: bytes) -> Digest:
    """H(x) of the protocol: SHA-256 of the whole COSE_Sign1 as it was sent."""
    return Digest(hashlib.sha256(signed).digest())


def _is_small_order(public_key: PublicKey) -> bool:
    sign_cleared = int.from_bytes(public_key, "little") & ~(1 << 255)
    return sign_cleared.to_bytes(PUBLIC_KEY_SIZE, "little") in _SMALL_ORDER


def _protected_header(kid: KeyId) -> bytes:
    return encode({_ALGORITHM: _ED25519, _KEY_ID: kid})


def _to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """Sig_structure of RFC 9052 section 4.4."""
    return encode([_CONTEXT, protected, EXTERNAL_AAD, payload])


def _assemble(protected: bytes, payload: bytes, signature: bytes) -> bytes:
    return _TAG + encode([protected, {}, payload, signature])


def _disassemble(signed: bytes) -> tuple[KeyId, bytes, bytes]:
    """Key id, payload and signature of a COSE_Sign1 in our one shape; raises SignatureError."""
    try:
        if signed[:1] != _TAG:
            raise MessageError("COSE_Sign1", "has no tag 18")
        item = decode(signed[1:], "COSE_Sign1")
        match item:
            case [bytes(protected), {}, bytes(payload), bytes(signature)] if len(signature) == SIGNATURE_SIZE:
                header = decode(protected, "protected header")
            case _:
                raise MessageError("COSE_Sign1", "is of another shape")
        match header:
            case {1: -19, 4: bytes(kid)} if len(kid) == KEY_ID_SIZE:
                claimed = KeyId(kid)
            case _:
                raise MessageError("protected header", "must be Ed25519 and a key id")
        # One shape, one encoding: also the unprotected map is empty and nothing follows.
        if _assemble(_protected_header(claimed), payload, signature) != signed:
            raise MessageError("COSE_Sign1", "not deterministic CBOR")
    except MessageError as problem:
        raise SignatureError(str(problem)) from None
    return claimed, payload, signature
