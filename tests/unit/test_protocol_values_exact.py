"""The small values to the letter: which field an error names, where each bound lies, what a text becomes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from protocol import gatt, identifiers
from protocol.encoding import encode
from protocol.enrolment import LONGEST_URL, EnrolmentCode, EnrolmentKind, check_issuer_url
from protocol.errors import FramingError, IllegalTransition, InputError, MessageError, SealError
from protocol.frames import ErrorCode
from protocol.gatt import ReaderInfo, Status
from protocol.identifiers import IssuerId, PublicKey, ReaderId, mint
from protocol.money import currency, parse_amount
from protocol.text import shown
from reader_peripheral.transitions import Event, State

READER = ReaderId(bytes(8))
VERSIONS = "versions: must be one to three numbers from 1 to 23"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ReaderInfo((), READER, 7, (1, 2)), VERSIONS),
        (lambda: ReaderInfo((1, 2, 3, 4), READER, 7, (1, 2)), VERSIONS),
        (lambda: ReaderInfo((1,), ReaderId(bytes(7)), 7, (1, 2)), "reader_id: must be 8 bytes"),
        (lambda: ReaderInfo((1,), READER, 256, (1, 2)), "model: must be one byte"),
        (lambda: ReaderInfo((1,), READER, 7, (1,)), "firmware: must be two bytes"),  # type: ignore[arg-type]
        (lambda: ReaderInfo((1,), READER, 7, (1, 256)), "firmware: must be two bytes"),
        (lambda: ReaderInfo.decode(encode([[1], bytes(8), 7, 65536])), "firmware: must be two bytes"),
        (lambda: ReaderInfo.decode(encode([[1], bytes(8), 7])), "reader_info: is not an array of four"),
        (lambda: ReaderInfo.decode(bytes(20)), "reader_info: is longer than one read"),
        (
            lambda: ReaderInfo.decode(b"\x84\x81\x01\x48" + bytes(8) + b"\x07\x1a\x00\x00\x01\x02"),
            "reader_info: is not deterministically encoded",
        ),
        (lambda: ReaderInfo.decode(b"\x84\x81"), "reader_info: not deterministic CBOR"),
        (lambda: Status.decode(b""), "status: is not one known byte"),
    ],
)
def test_an_error_names_its_field(make: Callable[[], object], said: str) -> None:
    with pytest.raises(MessageError) as refusal:
        make()
    assert str(refusal.value) == said
    assert f"{refusal.value.field}: {refusal.value.problem}" == said


def test_the_largest_firmware() -> None:
    info = ReaderInfo((1,), READER, 255, (255, 255))
    assert gatt.ReaderInfo.decode(info.encode()) == info


def test_errors_hold_what_programs_ask_for() -> None:
    illegal = IllegalTransition("reader", State.IDLE, Event.DIGIT)
    assert (illegal.role, illegal.state, illegal.event) == ("reader", State.IDLE, Event.DIGIT)
    assert str(illegal) == "reader: no move from IDLE on DIGIT"
    framing = FramingError(ErrorCode.FORMAT, "too short")
    assert (framing.code, str(framing)) == (ErrorCode.FORMAT, "format: too short")
    assert str(SealError()) == "the envelope cannot be sealed or opened"


@pytest.mark.parametrize(
    ("check", "prefix", "what"),
    [
        (identifiers.check_payment_id, "pay", "payment"),
        (identifiers.check_refund_id, "ref", "refund"),
        (identifiers.check_webhook_endpoint_id, "whe", "webhook_endpoint"),
        (identifiers.check_merchant_id, "mer", "merchant"),
        (identifiers.check_cardholder_id, "chd", "cardholder"),
        (identifiers.check_card_id, "crd", "card"),
        (identifiers.check_handset_id, "hst", "handset"),
    ],
)
def test_each_identifier_knows_its_own(check: Callable[[str], str], prefix: str, what: str) -> None:
    good = mint(prefix, bytes(range(16)))
    assert check(good) == good
    for wrong in (mint("xyz", bytes(16)), good[:-1], good.upper(), ""):
        with pytest.raises(InputError) as refusal:
            check(wrong)
        assert refusal.value.code == f"invalid_{what}_id"
        assert str(refusal.value).startswith(f"A {what} id is {prefix}_ and ")


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("12.5", "JPY", "JPY has no decimals."),
        ("12.505", "USD", "USD has at most 2 decimals."),
        ("1.2345", "KWD", "KWD has at most 3 decimals."),
    ],
)
def test_how_many_decimals_there_are_is_said(text: str, code: str, said: str) -> None:
    with pytest.raises(InputError) as refusal:
        parse_amount(text, currency(code))
    assert str(refusal.value) == said


def test_a_text_is_shown_up_to_its_longest() -> None:
    assert shown("a" * 80) == "a" * 80
    assert shown("a" * 81) == "a" * 79 + "…"
    # Who hides a thousand characters before three does not keep us busy with them.
    assert shown("\u200b" * 317 + "abc") == "abc"
    assert shown("\u200b" * 320 + "abc") == ""


@pytest.mark.parametrize("tail", ["", "x", "xx"])
def test_a_code_has_no_padding_whatever_its_length(tail: str) -> None:
    code = EnrolmentCode(
        EnrolmentKind.READER, f"https://a/{tail}", IssuerId("i"), PublicKey(bytes(32)), bytes(16)
    )
    assert "=" not in code.text()


def test_the_longest_address_and_the_smallest_port() -> None:
    longest = "https://a/".ljust(LONGEST_URL, "x")
    assert check_issuer_url(longest) == longest
    assert check_issuer_url("https://a:1") == "https://a:1"
    for wrong in (longest + "x", "https://a:0"):
        with pytest.raises(InputError):
            check_issuer_url(wrong)
