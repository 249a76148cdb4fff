"""Identifiers: minted ones come back, everything else is refused with advice that does not quote it."""

from __future__ import annotations

import hashlib
import string
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import identifiers as ids
from protocol.errors import InputError
from protocol.identifiers import PublicKey, ReaderId

CHECKS: dict[str, Callable[[str], str]] = {
    "pay": ids.check_payment_id,
    "mer": ids.check_merchant_id,
    "chd": ids.check_cardholder_id,
    "crd": ids.check_card_id,
    "hst": ids.check_handset_id,
}


@given(st.sampled_from(sorted(CHECKS)), st.binary(min_size=16, max_size=16))
def test_a_minted_identifier_passes_its_own_check_and_no_other(prefix: str, entropy: bytes) -> None:
    minted = ids.mint(prefix, entropy)
    assert minted.startswith(f"{prefix}_")
    assert len(minted) == 30
    for name, check in CHECKS.items():
        if name == prefix:
            assert check(minted) == minted
        else:
            with pytest.raises(InputError):
                check(minted)


@given(st.binary(min_size=16, max_size=16), st.integers(0, 29), st.characters(codec="utf-8"))
def test_one_changed_character_makes_another_identifier_or_none(entropy: bytes, at: int, new: str) -> None:
    minted = ids.mint("pay", entropy)
    changed = minted[:at] + new + minted[at + 1 :]
    if changed == minted:
        return
    try:
        accepted = ids.check_payment_id(changed)
    except InputError:
        return
    # The check is exact: what it lets through is what `mint` can have made.
    assert accepted == changed
    assert set(changed[4:]) <= set(string.ascii_lowercase + "234567")


def test_every_last_character_that_sets_spare_bits_is_refused() -> None:
    stem = ids.mint("pay", bytes(16))[:-1]
    accepted = []
    for last in string.ascii_lowercase + "234567":
        try:
            accepted.append(ids.check_payment_id(stem + last))
        except InputError:
            continue
    assert len(accepted) == 8  # 128 bits are 25 characters of 5 bits and 3 bits of a 26th


@pytest.mark.parametrize(
    "text", ["", "pay", "pay_", "PAY_" + "a" * 26, "pay_" + "A" * 26, "pay_" + "a" * 25, "pay_" + "a" * 27]
)
def test_malformed_payment_ids_are_refused(text: str) -> None:
    with pytest.raises(InputError) as refusal:
        ids.check_payment_id(text)
    assert refusal.value.code == "invalid_payment_id"


@pytest.mark.parametrize(
    ("prefix", "entropy"), [("payment", bytes(16)), ("pay", bytes(15)), ("P_y", bytes(16))]
)
def test_mint_refuses_what_it_cannot_make(prefix: str, entropy: bytes) -> None:
    with pytest.raises(ValueError):
        ids.mint(prefix, entropy)


@pytest.mark.parametrize("text", ["a", "bank.example", "a-b.c-9", "x" * 32])
def test_issuer_ids(text: str) -> None:
    assert ids.check_issuer_id(text) == text


@pytest.mark.parametrize("text", ["", "x" * 33, "Bank", "bank_1", "bank example", "bank\n", "銀行"])
def test_issuer_ids_refused(text: str) -> None:
    with pytest.raises(InputError) as refusal:
        ids.check_issuer_id(text)
    assert refusal.value.code == "invalid_issuer_id"


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("+819012345678", "+819012345678"),
        ("+81 90-1234-5678", "+819012345678"),
        ("+1 (202) 555-0123", "+12025550123"),
        ("+1234567", "+1234567"),
        ("+123456789012345", "+123456789012345"),
    ],
)
def test_phone_numbers_as_people_write_them(typed: str, number: str) -> None:
    assert ids.parse_phone_number(typed) == number


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "+",
        "090-1234-5678",
        "0081 90 1234 5678",
        "+0123456789",
        "+123456",
        "+1234567890123456",
        "+8190123x5678",
        "++819012345678",
        "+81.90.1234.5678",
        "+819012345678\n",
        "+８１9012345678",
        "+81" + "9" * 100_000,
    ],
)
def test_phone_numbers_refused(typed: str) -> None:
    with pytest.raises(InputError) as refusal:
        ids.parse_phone_number(typed)
    assert refusal.value.code == "invalid_phone"


def test_a_key_id_is_the_head_of_the_keys_hash() -> None:
    key = PublicKey(bytes(range(32)))
    assert ids.key_id(key) == hashlib.sha256(key).digest()[:8] == ids.reader_id(key)


@given(st.binary(min_size=8, max_size=8))
def test_reader_ids_come_back_from_paper(raw: bytes) -> None:
    text = ids.reader_id_text(ReaderId(raw))
    assert len(text) == 19
    for typed in (text, text.upper(), text.replace("-", ""), f" {text}\n"):
        assert ids.parse_reader_id(typed) == raw


@pytest.mark.parametrize(
    "typed",
    ["", "0a1b", "0a1b-2c3d-4e5f-607", "0a1b-2c3d-4e5f-60712", "0a1b--2c3d-4e5f-6071", "0g1b-2c3d-4e5f-6071"],
)
def test_reader_ids_refused(typed: str) -> None:
    with pytest.raises(InputError) as refusal:
        ids.parse_reader_id(typed)
    assert refusal.value.code == "invalid_reader_id"
