"""Sealing: opens once, for one payment, reader and purpose; reseals and compares; fails with one text."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import hpke
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import reseal, sealing
from protocol.errors import InputError, LocalProtocolError, ResealMismatch, SealError
from protocol.identifiers import Digest, IssuerId, reader_id
from protocol.messages import PAYMENT_KEY_SIZE, SEALED_CARD_SIZE, SEALED_PIN_SIZE
from protocol.sealing import (
    CARD_PLAINTEXT_SIZE,
    PIN_PLAINTEXT_SIZE,
    PaymentKey,
    card_info,
    pad_pin,
    pin_info,
    seal_card,
    seal_pin,
    unpad_pin,
)
from protocol.signing import SigningKey
from tests.vectors.message_vectors import PAYMENT_SEED, READER, offer

OFFER = offer()
OFFER_DIGEST = Digest(bytes(range(32)))
REQUEST_DIGEST = Digest(bytes(range(1, 33)))
CARD_INFO = card_info(OFFER, OFFER_DIGEST, READER.public_key)
PIN_INFO = pin_info(OFFER, OFFER_DIGEST, READER.public_key, REQUEST_DIGEST)
PLAINTEXT = bytes(range(128))


def key() -> PaymentKey:
    return PaymentKey.from_seed(PAYMENT_SEED)


@settings(max_examples=25)
@given(st.binary(min_size=128, max_size=128), st.binary(min_size=96, max_size=96))
def test_a_sealed_card_opens(plaintext: bytes, seed: bytes) -> None:
    payment = PaymentKey.from_seed(seed)
    opened = payment.open_card(seal_card(payment.public_key, plaintext, CARD_INFO), CARD_INFO)
    assert opened == plaintext
    assert type(opened) is bytearray


def test_a_sealed_pin_opens() -> None:
    payment = key()
    sealed = seal_pin(payment.public_key, pad_pin(b"1234"), PIN_INFO)
    assert unpad_pin(payment.open_pin(sealed, PIN_INFO)) == b"1234"


def test_the_sizes_are_those_of_the_wire() -> None:
    payment = key()
    assert len(payment.public_key) == PAYMENT_KEY_SIZE == 1216
    assert len(seal_card(payment.public_key, PLAINTEXT, CARD_INFO)) == SEALED_CARD_SIZE
    assert len(seal_pin(payment.public_key, bytes(16), PIN_INFO)) == SEALED_PIN_SIZE
    assert SEALED_CARD_SIZE == reseal.ENCAPSULATION_SIZE + CARD_PLAINTEXT_SIZE + 16
    assert SEALED_PIN_SIZE == reseal.ENCAPSULATION_SIZE + PIN_PLAINTEXT_SIZE + 16
    assert hpke.KEM.MLKEM768_X25519.enc_length() == reseal.ENCAPSULATION_SIZE


def test_two_envelopes_of_one_card_share_nothing() -> None:
    first, second = (seal_card(key().public_key, PLAINTEXT, CARD_INFO) for _ in range(2))
    assert first[:64] != second[:64]
    assert first[-144:] != second[-144:]


def test_a_flipped_bit_in_any_byte_is_refused() -> None:
    bits = random.Random(2001)
    for kind, sealed, info in (
        ("open_card", seal_card(key().public_key, PLAINTEXT, CARD_INFO), CARD_INFO),
        ("open_pin", seal_pin(key().public_key, bytes(16), PIN_INFO), PIN_INFO),
    ):
        for at in range(len(sealed)):
            changed = bytearray(sealed)
            changed[at] ^= 1 << bits.randrange(8)
            with pytest.raises(SealError) as refusal:
                getattr(key(), kind)(bytes(changed), info)
            assert str(refusal.value) == str(SealError())


def test_every_bit_of_the_tag_and_the_x25519_half_counts() -> None:
    sealed = seal_pin(key().public_key, bytes(16), PIN_INFO)
    for at in (*range(1088, 1120), *range(len(sealed) - 16, len(sealed))):
        for bit in range(8):
            changed = bytearray(sealed)
            changed[at] ^= 1 << bit
            with pytest.raises(SealError):
                key().open_pin(bytes(changed), PIN_INFO)


@pytest.mark.parametrize("cut", [0, 1, 1087, 1088, 1119, 1120, 1248, SEALED_CARD_SIZE - 1])
def test_a_cut_envelope_or_one_with_a_tail_is_refused(cut: int) -> None:
    sealed = seal_card(key().public_key, PLAINTEXT, CARD_INFO)
    for wrong in (sealed[:cut], sealed + bytes(1)):
        with pytest.raises(SealError):
            key().open_card(wrong, CARD_INFO)


def test_low_order_and_all_zero_encapsulations_are_refused() -> None:
    sealed = seal_card(key().public_key, PLAINTEXT, CARD_INFO)
    for wrong in (
        sealed[:1088] + bytes(32) + sealed[1120:],
        bytes(SEALED_CARD_SIZE),
        b"\xff" * SEALED_CARD_SIZE,
    ):
        with pytest.raises(SealError):
            key().open_card(wrong, CARD_INFO)


OTHER_READER = SigningKey.from_seed(bytes(32))
OTHER_OFFER = replace(OFFER, reader_id=reader_id(OTHER_READER.public_key))


@pytest.mark.parametrize(
    "info",
    [
        card_info(OFFER, Digest(bytes(32)), READER.public_key),
        card_info(replace(OFFER, issuer_id=IssuerId("bank2.example")), OFFER_DIGEST, READER.public_key),
        card_info(OTHER_OFFER, OFFER_DIGEST, OTHER_READER.public_key),
        CARD_INFO + b"\x00",
        PIN_INFO,
        b"",
    ],
    ids=["another offer", "another issuer", "another reader", "longer", "as a PIN", "none"],
)  # fmt: skip
def test_an_envelope_opens_only_where_it_was_meant(info: bytes) -> None:
    sealed = seal_card(key().public_key, PLAINTEXT, CARD_INFO)
    with pytest.raises(SealError):
        key().open_card(sealed, info)


def test_a_pin_envelope_is_bound_to_its_request() -> None:
    sealed = seal_pin(key().public_key, bytes(16), PIN_INFO)
    with pytest.raises(SealError):
        key().open_pin(sealed, pin_info(OFFER, OFFER_DIGEST, READER.public_key, Digest(bytes(32))))


def test_info_is_made_of_what_the_design_lists() -> None:
    reader_hash = hashlib.sha256(READER.public_key).digest()
    body = b"bank.example" + OFFER.reader_id + reader_hash + OFFER_DIGEST
    assert b"blind-relay v1 card" + body == CARD_INFO
    assert b"blind-relay v1 pin" + body + REQUEST_DIGEST == PIN_INFO


def test_info_for_another_readers_key_is_our_own_mistake() -> None:
    with pytest.raises(LocalProtocolError):
        card_info(OFFER, OFFER_DIGEST, OTHER_READER.public_key)


def test_another_payments_key_opens_nothing() -> None:
    sealed = seal_card(key().public_key, PLAINTEXT, CARD_INFO)
    with pytest.raises(SealError):
        PaymentKey.from_seed(bytes(96)).open_card(sealed, CARD_INFO)


def test_each_binding_opens_once_even_after_a_failure() -> None:
    payment = key()
    sealed = seal_card(payment.public_key, PLAINTEXT, CARD_INFO)
    payment.open_card(sealed, CARD_INFO)
    with pytest.raises(SealError):
        payment.open_card(sealed, CARD_INFO)
    payment = key()
    with pytest.raises(SealError):
        payment.open_card(bytes(SEALED_CARD_SIZE), CARD_INFO)
    with pytest.raises(SealError):
        payment.open_card(sealed, CARD_INFO)


def test_a_retry_has_a_request_and_so_a_binding_of_its_own() -> None:
    payment = key()
    for request in (bytes(32), bytes(range(32))):
        info = pin_info(OFFER, OFFER_DIGEST, READER.public_key, Digest(request))
        payment.open_pin(seal_pin(payment.public_key, bytes(16), info), info)


def test_a_dropped_key_opens_nothing() -> None:
    payment = key()
    sealed = seal_card(payment.public_key, PLAINTEXT, CARD_INFO)
    payment.drop()
    payment.drop()
    with pytest.raises(SealError):
        payment.open_card(sealed, CARD_INFO)
    assert repr(payment).endswith(", dropped)")


def test_a_key_shows_its_public_half_and_whether_it_is_held() -> None:
    payment = key()
    assert repr(payment) == f"PaymentKey({hashlib.sha256(payment.public_key).hexdigest()[:16]}, held)"


def test_size_and_purpose_are_each_checked() -> None:
    """Well sealed to this very key, and still refused: a PIN's size as a card, a PIN's purpose as a card."""
    payment = key()
    with pytest.raises(SealError):
        payment.open_card(seal_pin(payment.public_key, bytes(16), CARD_INFO), CARD_INFO)
    with pytest.raises(SealError):
        payment.open_card(seal_card(payment.public_key, PLAINTEXT, PIN_INFO), PIN_INFO)
    with pytest.raises(SealError):
        payment.open_pin(seal_pin(payment.public_key, bytes(16), CARD_INFO), CARD_INFO)


class FaultySuite:
    """HPKE that computes wrongly once: what reseal_and_compare is there for."""

    def __init__(self, at: int, bit: int) -> None:
        self.at, self.bit = at, bit

    def decrypt(self, *arguments: Any) -> bytes:
        opened = bytearray(
            hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM).decrypt(
                *arguments
            )
        )
        opened[self.at] ^= 1 << self.bit
        return bytes(opened)


@pytest.mark.parametrize("bit", [0, 7])
@pytest.mark.parametrize("at", [0, 1, 20, 127])
def test_a_faulted_card_is_refused(monkeypatch: pytest.MonkeyPatch, at: int, bit: int) -> None:
    sealed = seal_card(key().public_key, PLAINTEXT, CARD_INFO)
    monkeypatch.setattr(sealing, "_SUITE", FaultySuite(at, bit))
    with pytest.raises(ResealMismatch):
        key().open_card(sealed, CARD_INFO)


def test_a_faulted_pin_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = seal_pin(key().public_key, pad_pin(b"1234"), PIN_INFO)
    monkeypatch.setattr(sealing, "_SUITE", FaultySuite(4, 0))  # 1234 becomes 1235
    with pytest.raises(ResealMismatch):
        key().open_pin(sealed, PIN_INFO)


def test_a_fault_in_the_second_computation_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = seal_card(key().public_key, PLAINTEXT, CARD_INFO)
    monkeypatch.setattr(reseal, "key_schedule", lambda secret, info: reseal.KeySchedule(bytes(32), bytes(12)))
    with pytest.raises(ResealMismatch):
        key().open_card(sealed, CARD_INFO)


@pytest.mark.parametrize(
    "public_key",
    [b"", bytes(1215), bytes(1217), b"\xff" * 1216, key().public_key[:1184] + bytes(32)],
    ids=["none", "short", "long", "out of range", "small order"],
)  # fmt: skip
def test_what_is_no_key_is_refused_before_anything_is_sealed(public_key: bytes) -> None:
    with pytest.raises(SealError):
        seal_card(public_key, PLAINTEXT, CARD_INFO)


def test_plaintexts_of_another_size_are_our_own_mistake() -> None:
    for size in (0, 127, 129):
        with pytest.raises(LocalProtocolError):
            seal_card(key().public_key, bytes(size), CARD_INFO)
    with pytest.raises(LocalProtocolError):
        seal_pin(key().public_key, b"1234", PIN_INFO)
    with pytest.raises(ValueError):
        PaymentKey.from_seed(bytes(95))


@given(st.from_regex(rb"\A[0-9]{4,12}\Z"))
def test_a_pin_comes_back_from_its_padding(digits: bytes) -> None:
    padded = pad_pin(bytearray(digits))
    assert len(padded) == PIN_PLAINTEXT_SIZE
    assert unpad_pin(padded) == digits


@pytest.mark.parametrize("digits", [b"", b"123", b"1" * 13, b"12a4", b"12 4", b"-123", "１２３４".encode()])
def test_what_is_no_pin_gets_its_own_error(digits: bytes) -> None:
    with pytest.raises(InputError) as refusal:
        pad_pin(digits)
    assert refusal.value.code == "invalid_pin"


@pytest.mark.parametrize("at", range(5, 16))
def test_one_byte_in_the_padding_of_a_pin_is_refused(at: int) -> None:
    padded = pad_pin(b"1234")
    padded[at] = 1
    with pytest.raises(SealError):
        unpad_pin(padded)
    assert not any(padded)


@given(st.binary(max_size=32))
def test_no_other_padding_is_taken(noise: bytes) -> None:
    for padded in (noise, noise[:16].ljust(16, b"\x00"), b"\x04" + noise[:15].ljust(15, b"\x00")):
        try:
            digits = unpad_pin(given_away := bytearray(padded))
        except SealError:
            continue
        assert pad_pin(digits) == padded
        assert not any(given_away)
