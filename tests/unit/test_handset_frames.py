"""The frames between phone and issuer: what is taken, what is refused, and that refusals quote nothing."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from handset_client.issuer_frames import (
    Approve,
    Decline,
    DeclineReason,
    FromReader,
    IssuerComplaint,
    Outcome,
    OutcomeWanted,
    PaymentOver,
    PaymentRequest,
    ReaderUnavailable,
    Result,
    ToReader,
    parse_issuer_frame,
)
from protocol.errors import MessageError
from protocol.identifiers import PaymentId, mint
from protocol.messages import MessageType
from protocol.money import Money, currency
from tests.unit.schema_check import conforms

ROOT = Path(__file__).resolve().parents[2]
ASYNCAPI: dict[str, Any] = json.loads((ROOT / "docs/handset-channel.asyncapi.json").read_text("utf-8"))
PAYMENT = PaymentId(mint("pay", b"\x05" * 16))
REQUEST: dict[str, Any] = {
    "type": "payment_request",
    "seq": 1,
    "payment_id": PAYMENT,
    "merchant_name": "Tanaka Coffee",
    "amount": {"minor": 1200, "currency": "JPY", "exponent": 0},
    "order": "2 coffees",
    "approve_within_seconds": 60,
}
TO_READER: dict[str, Any] = {
    "type": "to_reader",
    "payment_id": PAYMENT,
    "kind": "key_offer",
    "data": base64.urlsafe_b64encode(b"\xfb\xff").decode().rstrip("="),
    "seconds_left": 60,
}
RESULT: dict[str, Any] = {
    "type": "result",
    "payment_id": PAYMENT,
    "outcome": "completed",
    "reason": None,
    "last_four": "1234",
}


def test_the_issuers_frames_are_read() -> None:
    assert parse_issuer_frame(REQUEST) == PaymentRequest(
        PAYMENT, "Tanaka Coffee", Money(1200, currency("JPY")), "2 coffees", 60.0
    )
    assert parse_issuer_frame(TO_READER) == ToReader(PAYMENT, MessageType.KEY_OFFER, b"\xfb\xff", 60.0)
    assert parse_issuer_frame(RESULT) == Result(PAYMENT, Outcome.COMPLETED, None, "1234")
    over = {"type": "payment_over", "payment_id": PAYMENT, "reason": "card_timeout"}
    assert parse_issuer_frame(over) == PaymentOver(PAYMENT, "card_timeout")
    error = {"type": "error", "code": "invalid_kind", "detail": "no such kind"}
    assert parse_issuer_frame(error) == IssuerComplaint("invalid_kind", "no such kind")


def test_what_the_issuer_complains_of_moves_no_cursor() -> None:
    error = {"type": "error", "code": "in\x1b[2Jvalid", "detail": "no\nsuch \u202ekind\x07"}
    assert parse_issuer_frame(error) == IssuerComplaint("in[2Jvalid", "nosuch kind")


def test_the_phones_frames_are_written() -> None:
    assert Approve(PAYMENT, b"\xfb\xff").to_json() == {
        "type": "approve",
        "payment_id": PAYMENT,
        "reader_hello": "-_8",
    }
    assert Decline(PAYMENT, DeclineReason.NO_RESPONSE).to_json()["reason"] == "no_response"
    declined = {"type": "decline", "payment_id": PAYMENT, "reason": "declined"}
    assert Decline(PAYMENT, DeclineReason.DECLINED).to_json() == declined
    block = Decline(PAYMENT, DeclineReason.DECLINED, block_merchant=True)
    assert block.to_json() == {**declined, "block_merchant": True}
    assert FromReader(PAYMENT, MessageType.CARD_ENVELOPE, b"\x00").to_json() == {
        "type": "from_reader",
        "payment_id": PAYMENT,
        "kind": "card_envelope",
        "data": "AA",
    }
    assert ReaderUnavailable(PAYMENT).to_json() == {"type": "reader_unavailable", "payment_id": PAYMENT}
    assert OutcomeWanted(PAYMENT).to_json() == {"type": "outcome_wanted", "payment_id": PAYMENT}


@pytest.mark.parametrize(
    ("frame", "name"),
    [
        (Approve(PAYMENT, b"\xfb\xff"), "approve"),
        (Decline(PAYMENT, DeclineReason.NO_RESPONSE), "decline"),
        (Decline(PAYMENT, DeclineReason.DECLINED, block_merchant=True), "decline"),
        (FromReader(PAYMENT, MessageType.PIN_ENVELOPE, b"\x00"), "fromReader"),
        (ReaderUnavailable(PAYMENT), "readerUnavailable"),
        (OutcomeWanted(PAYMENT), "outcomeWanted"),
    ],
    ids=str,
)
def test_the_phones_frames_are_as_described(frame: Any, name: str) -> None:
    schema = ASYNCAPI["components"]["messages"][name]["payload"]
    conforms({**frame.to_json(), "seq": 1}, schema, ASYNCAPI, name)


def test_who_gives_no_answer_blocks_nobody() -> None:
    with pytest.raises(ValueError, match="only a person"):
        Decline(PAYMENT, DeclineReason.NO_RESPONSE, block_merchant=True)


def test_only_messages_of_a_payment_come_from_a_reader() -> None:
    with pytest.raises(ValueError, match="OUTCOME"):
        FromReader(PAYMENT, MessageType.OUTCOME, b"x")


@pytest.mark.parametrize(
    ("base", "field", "value"),
    [
        (REQUEST, "type", "surprise"),
        (REQUEST, "type", None),
        (REQUEST, "payment_id", "pay_secretvalue"),
        (REQUEST, "payment_id", 7),
        (REQUEST, "merchant_name", ""),
        (REQUEST, "merchant_name", "\u202e\x00"),
        (REQUEST, "merchant_name", "\u200d\u200c\u3164"),
        (REQUEST, "order", "\u200d"),
        (REQUEST, "merchant_name", "secretvalue" * 100),
        (REQUEST, "order", "  "),
        (REQUEST, "order", None),
        (REQUEST, "amount", None),
        (REQUEST, "amount", {"minor": 0, "currency": "JPY", "exponent": 0}),
        (REQUEST, "amount", {"minor": -5, "currency": "JPY", "exponent": 0}),
        (REQUEST, "amount", {"minor": 1.5, "currency": "JPY", "exponent": 0}),
        (REQUEST, "amount", {"minor": True, "currency": "JPY", "exponent": 0}),
        (REQUEST, "amount", {"minor": 10**13, "currency": "JPY", "exponent": 0}),
        (REQUEST, "amount", {"minor": 5, "currency": "XYZ", "exponent": 0}),
        (REQUEST, "amount", {"minor": 5, "currency": "JPY", "exponent": 2}),
        (REQUEST, "amount", {"minor": 5, "currency": "JPY"}),
        (REQUEST, "approve_within_seconds", -1),
        (REQUEST, "approve_within_seconds", 10**9),
        (REQUEST, "approve_within_seconds", float("nan")),
        (REQUEST, "approve_within_seconds", "60"),
        (TO_READER, "kind", "card_envelope"),
        (TO_READER, "kind", "secretvalue"),
        (TO_READER, "data", ""),
        (TO_READER, "data", "secret value!"),
        (TO_READER, "data", "A" * 5600),
        (TO_READER, "data", "A" * 100_000),
        (TO_READER, "seconds_left", None),
        (RESULT, "outcome", "secretvalue"),
        (RESULT, "last_four", "12345"),
        (RESULT, "last_four", "１２３４"),
        (RESULT, "reason", 4),
    ],
)
def test_a_bad_field_is_named_and_not_quoted(base: dict[str, Any], field: str, value: object) -> None:
    with pytest.raises(MessageError) as refused:
        parse_issuer_frame({**base, field: value})
    assert refused.value.field.split(".")[0] == field
    assert "secretvalue" not in str(refused.value)


def test_what_would_move_the_cursor_or_turn_the_text_round_is_not_shown() -> None:
    request = parse_issuer_frame({**REQUEST, "merchant_name": "Evil\x1b[2J\u202eShop"})
    assert isinstance(request, PaymentRequest)
    assert request.merchant_name == "Evil[2JShop"


def test_japanese_names_are_shown_whole() -> None:
    request = parse_issuer_frame({**REQUEST, "merchant_name": "田中珈琲店"})
    assert isinstance(request, PaymentRequest)
    assert request.merchant_name == "田中珈琲店"
