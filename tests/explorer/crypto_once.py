"""Real signatures and real sealing, each computed once.

Ed25519 is deterministic already. HPKE draws its own randomness, so a sealed envelope is made once for the
same key, plaintext and info: otherwise no two ways would lead to the same state. Two envelopes that differ in
nothing but that randomness open alike, so no attack is lost.
"""

from __future__ import annotations

from collections.abc import Callable

from protocol.encoding import decode

_SEALED: dict[tuple[bytes, bytes, bytes], bytes] = {}

Seal = Callable[[bytes, bytes, bytes], bytes]


def sealed(seal: Seal, public_key: bytes, plaintext: bytes, info: bytes) -> bytes:
    """`seal(public_key, plaintext, info)`, from memory where it was done before."""
    which = (public_key, plaintext, info)
    if which not in _SEALED:
        _SEALED[which] = seal(*which)
    return _SEALED[which]


def inside(signed: bytes) -> bytes:
    """The payload of a COSE_Sign1, whoever signed it."""
    match decode(signed[1:], "COSE_Sign1"):
        case [_, _, bytes(payload), _]:
            return payload
        case other:
            raise AssertionError(other)
