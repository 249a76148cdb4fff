"""The keyed index of card numbers, the keyed PIN verifier, and the checks of what an operator types."""

from __future__ import annotations

import pytest

from issuer_server.cards import CardKeys, check_expiry, check_pan, check_pin_digits, last_four
from protocol.errors import InputError
from protocol.identifiers import CardId

KEYS = CardKeys(b"i" * 32, b"p" * 32)
ONE, TWO = CardId("crd_one"), CardId("crd_two")


def test_the_index_depends_on_the_number_and_on_the_key_and_not_on_the_buffer():
    index = KEYS.pan_index(b"4111111111111111")
    assert len(index) == 32
    assert KEYS.pan_index(bytearray(b"4111111111111111")) == index
    assert KEYS.pan_index(memoryview(b"x4111111111111111x")[1:-1]) == index
    assert KEYS.pan_index(b"4111111111111112") != index
    assert CardKeys(b"j" * 32, b"p" * 32).pan_index(b"4111111111111111") != index


def test_a_verifier_is_bound_to_its_card_and_to_the_pepper():
    verifier = KEYS.pin_verifier(ONE, b"1234")
    assert KEYS.verify_pin(ONE, bytearray(b"1234"), verifier)
    assert not KEYS.verify_pin(ONE, bytearray(b"1235"), verifier)
    assert not KEYS.verify_pin(ONE, bytearray(b"12345"), verifier)
    assert not KEYS.verify_pin(ONE, bytearray(), verifier)
    assert not KEYS.verify_pin(TWO, bytearray(b"1234"), verifier)
    assert not CardKeys(b"i" * 32, b"q" * 32).verify_pin(ONE, b"1234", verifier)
    assert KEYS.pin_verifier(ONE, b"1234") != CardKeys(b"p" * 32, b"p" * 32).pan_index(b"1234")


def test_no_key_shows():
    secret = b"\xaa\xbb" * 16
    assert "aabb" not in repr(CardKeys(secret, secret)).replace("\\x", "")
    with pytest.raises(ValueError) as refusal:
        CardKeys(b"short", secret)
    assert "short" not in str(refusal.value)


@pytest.mark.parametrize("pan", ["4111111111111111", "378282246310005", "4222222222222", "12345674"])
def test_good_card_numbers(pan):
    check_pan(pan.encode())


@pytest.mark.parametrize(
    "pan",
    ["", "4111111111111112", "1234567", "41111111111111111111", "4111 1111 1111 1111", "４" * 16, "abc"],
)
def test_bad_card_numbers_are_refused_and_not_repeated(pan):
    with pytest.raises(InputError) as refusal:
        check_pan(pan.encode())
    assert refusal.value.code == "invalid_card_number"
    assert not pan or pan not in str(refusal.value)


@pytest.mark.parametrize("pin", ["123", "1234567890123", "12a4", "", "١٢٣٤"])
def test_bad_pins_are_refused_and_not_repeated(pin):
    with pytest.raises(InputError) as refusal:
        check_pin_digits(pin.encode())
    assert refusal.value.code == "invalid_pin"
    assert not pin or pin not in str(refusal.value)
    check_pin_digits(b"1234")
    check_pin_digits(b"123456789012")


def test_expiry_as_embossed_or_as_on_the_stripe():
    assert check_expiry("12/29") == check_expiry("2912") == "2912"
    for text in ("13/29", "00/29", "2913", "1/29", "12/2029", "", "ab/cd", "１２/29", "12-29"):
        with pytest.raises(InputError):
            check_expiry(text)


def test_only_the_last_four_digits_are_kept():
    assert last_four(b"4111111111111234") == "1234"
