"""COSE_Sign1: one shape, one encoding, and no bit of it that can change unnoticed."""

from __future__ import annotations

import random
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import MessageError, SignatureError
from protocol.identifiers import IssuerId, PublicKey, key_id
from protocol.messages import Outcome, PinRequest, ReaderEnrolment, Refusal, RefusalReason
from protocol.signing import (
    SigningKey,
    digest,
    open_enrolment,
    open_message,
    sign_message,
    verify,
)
from tests.vectors.message_vectors import ISSUER, READER, offer

SIGNED = sign_message(READER, Refusal(digest(b"offer"), RefusalReason.BUSY))


@given(st.binary(max_size=2000), st.binary(min_size=32, max_size=32))
def test_what_is_signed_verifies_and_comes_back(payload: bytes, seed: bytes) -> None:
    key = SigningKey.from_seed(seed)
    signed = key.sign(payload)
    assert verify(key.public_key, signed) == payload
    assert key.key_id == key_id(key.public_key)
    assert key.sign(payload) == signed


def test_the_structure_is_that_of_rfc_9052() -> None:
    tag = cbor2.loads(SIGNED)
    assert (type(tag), tag.tag) == (cbor2.CBORTag, 18)
    protected, unprotected, payload, signature = tag.value
    assert cbor2.loads(protected) == {1: -19, 4: READER.key_id}
    assert unprotected == {}
    to_be_signed = cbor2.dumps(["Signature1", protected, b"blind-relay v1", payload])
    Ed25519PublicKey.from_public_bytes(READER.public_key).verify(signature, to_be_signed)


def test_every_flipped_bit_of_a_small_message_is_refused() -> None:
    for at in range(len(SIGNED)):
        for bit in range(8):
            changed = bytearray(SIGNED)
            changed[at] ^= 1 << bit
            with pytest.raises(SignatureError):
                verify(READER.public_key, bytes(changed))


def test_a_flipped_bit_in_any_byte_of_a_large_message_is_refused() -> None:
    signed = sign_message(ISSUER, offer())
    bits = random.Random(2001)
    for at in range(len(signed)):
        changed = bytearray(signed)
        changed[at] ^= 1 << bits.randrange(8)
        with pytest.raises(SignatureError):
            verify(ISSUER.public_key, bytes(changed))


def test_cut_anywhere_or_with_a_tail_it_is_refused() -> None:
    for cut in range(len(SIGNED)):
        with pytest.raises(SignatureError):
            verify(READER.public_key, SIGNED[:cut])
    for tail in (b"\x00", b"\xf6", SIGNED):
        with pytest.raises(SignatureError):
            verify(READER.public_key, SIGNED + tail)


@given(st.binary(max_size=300))
def test_noise_is_a_signature_error(noise: bytes) -> None:
    for data in (noise, b"\xd2" + noise, b"\xd2\x84" + noise):
        with pytest.raises(SignatureError):
            verify(READER.public_key, data)
        with pytest.raises((SignatureError, MessageError)):
            open_enrolment(data)


def _resigned(
    protected: object, unprotected: Any, *, aad: bytes = b"blind-relay v1", context: str = "Signature1"
) -> bytes:
    """A COSE_Sign1 by the reader's true key, in a shape of the caller's choice."""
    header = cbor2.dumps(protected, canonical=True) if not isinstance(protected, bytes) else protected
    payload = Refusal(digest(b"offer"), RefusalReason.BUSY).encode()
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
    signature = key.sign(cbor2.dumps([context, header, aad, payload]))
    return cbor2.dumps(cbor2.CBORTag(18, [header, unprotected, payload, signature]))


GOOD_HEADER = {1: -19, 4: READER.key_id}


def test_the_shape_maker_makes_good_ones_too() -> None:
    assert _resigned(GOOD_HEADER, {}) == SIGNED


@pytest.mark.parametrize(
    "wrong",
    [
        _resigned(GOOD_HEADER, {}, aad=b""),
        _resigned(GOOD_HEADER, {}, aad=b"blind-relay v2"),
        _resigned(GOOD_HEADER, {}, context="Signature"),
        _resigned({1: -8, 4: READER.key_id}, {}),
        _resigned({1: -7, 4: READER.key_id}, {}),
        _resigned({4: READER.key_id}, {1: -19}),
        _resigned({1: -19}, {4: READER.key_id}),
        _resigned(GOOD_HEADER, {4: READER.key_id}),
        _resigned(GOOD_HEADER | {2: [1]}, {}),
        _resigned({1: -19.0, 4: READER.key_id}, {}),
        _resigned({1: -19, 4: ISSUER.key_id}, {}),
        _resigned({1: -19, 4: READER.key_id[:4]}, {}),
        _resigned({1: -19, 4: READER.key_id.hex()}, {}),
        _resigned(b"\xa2\x04\x48" + READER.key_id + b"\x01\x32", {}),
        _resigned(b"", {}),
    ],
    ids=[
        "no aad",
        "aad of another protocol",
        "another context",
        "EdDSA -8",
        "ES256",
        "alg unprotected",
        "kid unprotected",
        "kid twice",
        "critical header",
        "alg as float",
        "another's kid",
        "short kid",
        "kid as text",
        "header out of order",
        "no header",
    ],
)
def test_a_true_signature_in_another_shape_is_refused(wrong: bytes) -> None:
    with pytest.raises(SignatureError):
        verify(READER.public_key, wrong)


def test_detached_payload_no_tag_and_other_tags_are_refused() -> None:
    value = cbor2.loads(SIGNED).value
    for item in (
        cbor2.CBORTag(18, [value[0], {}, None, value[3]]),
        value,
        cbor2.CBORTag(17, value),
        cbor2.CBORTag(98, value),
        cbor2.CBORTag(61, cbor2.CBORTag(18, value)),
    ):
        with pytest.raises(SignatureError):
            verify(READER.public_key, cbor2.dumps(item))


def test_another_key_does_not_verify() -> None:
    with pytest.raises(SignatureError):
        verify(ISSUER.public_key, SIGNED)


def test_a_signature_is_good_for_its_own_class_only() -> None:
    signed = ISSUER.sign(Refusal(digest(b"offer"), RefusalReason.BUSY).encode())
    for other in (Outcome, PinRequest):
        with pytest.raises(MessageError):
            open_message(ISSUER.public_key, signed, other)


def test_keys_for_which_anyone_can_sign_are_refused() -> None:
    """The eight points of small order, computed here, in every encoding that fits into 255 bits."""
    p = 2**255 - 19
    d = -121665 * pow(121666, -1, p) % p
    root = pow(2, (p - 1) // 4, p)

    def square_roots(a: int) -> set[int]:
        r = pow(a, (p + 3) // 8, p)
        return {x for x in (r, p - r, r * root % p, -r * root % p) if x * x % p == a % p}

    # Order 8: the double has y = 0, so x^2 = -y^2 and d*y^4 + 2*y^2 - 1 = 0.
    ys = {y for s in square_roots(4 + 4 * d) for y in square_roots((s - 2) * pow(2 * d, -1, p) % p)}
    ys |= {0, 1, p - 1, p, p + 1}
    assert len(ys) == 7
    for y in ys:
        for sign in (0, 1):
            point = PublicKey((y | sign << 255).to_bytes(32, "little"))
            # R = A, S = 0 is what a forger sends: for a small-order A one payload in eight verifies.
            for payload in range(16):
                header = cbor2.dumps({1: -19, 4: key_id(point)})
                forged = cbor2.dumps(cbor2.CBORTag(18, [header, {}, bytes([payload]), point + bytes(32)]))
                with pytest.raises(SignatureError, match="small order"):
                    verify(point, forged)


def test_an_enrolment_is_verified_with_the_key_that_it_carries() -> None:
    proof = ReaderEnrolment(IssuerId("bank.example"), bytes(16), READER.public_key, "Pi 5")
    assert open_enrolment(sign_message(READER, proof)) == proof
    with pytest.raises(SignatureError):  # the attacker enrols the victim's public key as its own
        open_enrolment(sign_message(ISSUER, proof))
    with pytest.raises(MessageError):
        open_enrolment(SIGNED)


def test_a_seed_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError):
        SigningKey.from_seed(bytes(31))
