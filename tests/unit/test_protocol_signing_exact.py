"""What a COSE_Sign1 is to the last byte, who may have made it, and what is said of one that is not."""

from __future__ import annotations

import hashlib
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocol.errors import SignatureError
from protocol.identifiers import Digest, IssuerId, PublicKey, key_id
from protocol.messages import Outcome, ReaderEnrolment, Verdict
from protocol.signing import (
    EXTERNAL_AAD,
    OutsideKey,
    SigningKey,
    digest,
    open_enrolment,
    open_message,
    sign_message,
    verify,
)

SEED = bytes(range(32))
KEY = SigningKey.from_seed(SEED)
PAYLOAD = b"anything at all"


def by_hand(payload: bytes) -> bytes:
    """A COSE_Sign1 by the words of RFC 9052, with no code of ours."""
    key = Ed25519PrivateKey.from_private_bytes(SEED)
    kid = hashlib.sha256(key.public_key().public_bytes_raw()).digest()[:8]
    protected = cbor2.dumps({1: -19, 4: kid}, canonical=True)
    signed = cbor2.dumps(["Signature1", protected, b"blind-relay v1", payload])
    return cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, key.sign(signed)]))


def test_a_signature_is_what_the_standard_says() -> None:
    assert EXTERNAL_AAD == b"blind-relay v1"
    assert KEY.sign(PAYLOAD) == by_hand(PAYLOAD)
    assert verify(KEY.public_key, by_hand(PAYLOAD)) == PAYLOAD
    assert digest(by_hand(PAYLOAD)) == hashlib.sha256(by_hand(PAYLOAD)).digest()


def test_a_key_that_is_held_elsewhere_signs_the_same() -> None:
    held = Ed25519PrivateKey.from_private_bytes(SEED)
    outside = OutsideKey(KEY.public_key, held.sign)
    assert (outside.public_key, outside.key_id) == (KEY.public_key, key_id(KEY.public_key))
    assert outside.sign(PAYLOAD) == by_hand(PAYLOAD)
    assert repr(outside) == f"OutsideKey({KEY.key_id.hex()})"
    outcome = Outcome(Digest(bytes(32)), Digest(bytes(32)), Verdict.APPROVED, None)
    assert open_message(KEY.public_key, sign_message(outside, outcome), Outcome) == outcome


def _changed(place: int, value: Any) -> bytes:
    parts = list(cbor2.loads(by_hand(PAYLOAD)).value)
    parts[place] = value
    return cbor2.dumps(cbor2.CBORTag(18, parts))


MALFORMED = {
    "no tag": (by_hand(PAYLOAD)[1:], "COSE_Sign1: has no tag 18"),
    "cut": (by_hand(PAYLOAD)[:-1], "COSE_Sign1: not deterministic CBOR"),
    "a tail": (by_hand(PAYLOAD) + b"\0", "COSE_Sign1: not deterministic CBOR"),
    "three parts": (b"\xd2\x83\x40\xa0\x40", "COSE_Sign1: is of another shape"),
    "a short signature": (_changed(3, bytes(63)), "COSE_Sign1: is of another shape"),
    "a long signature": (_changed(3, bytes(65)), "COSE_Sign1: is of another shape"),
    "an unprotected header": (_changed(1, {1: -19}), "COSE_Sign1: not deterministic CBOR"),
    "a header that is none": (_changed(0, b"\xff"), "protected header: not deterministic CBOR"),
    "a header without a key": (_changed(0, cbor2.dumps({1: -19})), "must be Ed25519 and a key id"),
    "a long key id": (_changed(0, cbor2.dumps({1: -19, 4: bytes(9)})), "must be Ed25519 and a key id"),
    "another algorithm": (_changed(0, cbor2.dumps({1: -8, 4: bytes(8)})), "must be Ed25519 and a key id"),
    "one header more": (
        _changed(0, cbor2.dumps({1: -19, 2: [99], 4: KEY.key_id})),
        "COSE_Sign1: not deterministic CBOR",
    ),
    "another key id": (_changed(0, cbor2.dumps({1: -19, 4: bytes(8)})), "signed by another key"),
    "another payload": (_changed(2, b"x"), "the signature does not verify"),
    "another signature": (_changed(3, bytes(64)), "the signature does not verify"),
}


@pytest.mark.parametrize(("signed", "said"), MALFORMED.values(), ids=MALFORMED)
def test_what_is_wrong_is_said(signed: bytes, said: str) -> None:
    with pytest.raises(SignatureError) as refused:
        verify(KEY.public_key, signed)
    assert str(refused.value).endswith(said)
    if ": " not in said and "key id" in said:
        assert str(refused.value) == f"protected header: {said}"


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_seed_is_thirty_two_bytes(size: int) -> None:
    with pytest.raises(ValueError, match="a signing seed is 32 bytes"):
        SigningKey.from_seed(bytes(size))


def test_an_enrolment_is_signed_by_the_key_that_it_carries() -> None:
    message = ReaderEnrolment(IssuerId("bank"), bytes(16), KEY.public_key, "BR-1")
    assert open_enrolment(sign_message(KEY, message)) == message
    other = SigningKey.from_seed(bytes(32))
    with pytest.raises(SignatureError):
        open_enrolment(sign_message(other, message))
    with pytest.raises(SignatureError):
        verify(PublicKey(bytes(31) + b"\x02"), by_hand(PAYLOAD))
