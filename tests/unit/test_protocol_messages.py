"""Messages: one encoding each, every rule kept on both sides, and hostile CBOR refused at once."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import FrozenInstanceError, replace
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import encoding
from protocol.errors import LocalProtocolError, MessageError
from protocol.identifiers import IssuerId, MerchantId, PaymentId, ReaderId, mint
from protocol.iso4217 import EXPONENTS
from protocol.messages import (
    REFUSAL_REASONS,
    CardEnvelope,
    KeyOffer,
    Message,
    MessageType,
    NotSettled,
    Outcome,
    PinEnvelope,
    PinRequest,
    ReaderEnrolment,
    ReaderHello,
    Refusal,
    RefusalReason,
    Verdict,
)
from protocol.money import LARGEST_AMOUNT, Money, currency
from protocol.text import shown
from tests.vectors.message_vectors import offer

CLASSES: list[type[Message]] = [
    ReaderHello, KeyOffer, CardEnvelope, PinRequest, PinEnvelope, Refusal, Outcome, ReaderEnrolment,
]  # fmt: skip


def octets(size: int) -> st.SearchStrategy[Any]:
    return st.binary(min_size=size, max_size=size)


def shown_text(longest: int) -> st.SearchStrategy[str]:
    return st.text(min_size=1, max_size=longest).map(lambda text: shown(text, longest)).filter(bool)


digests = octets(32)
issuer_ids = st.from_regex(r"\A[a-z0-9.-]{1,32}\Z").map(IssuerId)
money = st.builds(Money, st.integers(1, LARGEST_AMOUNT), st.sampled_from(sorted(EXPONENTS)).map(currency))
outcomes = st.one_of(
    st.builds(Outcome, digests, digests, st.just(Verdict.APPROVED), st.none()),
    st.builds(
        Outcome, digests, st.none() | digests, st.just(Verdict.NOT_SETTLED), st.sampled_from(NotSettled)
    ),
)
messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(
        ReaderHello,
        octets(8).map(ReaderId),
        octets(16),
        st.sets(st.integers(1, 255), min_size=1, max_size=8).map(lambda versions: tuple(sorted(versions))),
    ),
    st.builds(
        KeyOffer,
        issuer_ids,
        octets(16).map(lambda entropy: PaymentId(mint("pay", entropy))),
        octets(8),
        octets(16),
        octets(16).map(lambda entropy: MerchantId(mint("mer", entropy))),
        shown_text(40),
        shown_text(80),
        money,
        octets(1216),
        st.integers(1, 600),
    ),
    st.builds(CardEnvelope, digests, octets(1264)),
    st.builds(
        PinRequest, digests, digests, st.none() | digests, st.from_regex(r"\A[0-9]{4}\Z"), st.integers(1, 15)
    ),
    st.builds(PinEnvelope, digests, digests, octets(1152)),
    st.builds(Refusal, digests, st.sampled_from(RefusalReason)),
    outcomes,
    st.builds(ReaderEnrolment, issuer_ids, octets(16), octets(32), shown_text(40)),
)


@given(messages)
def test_every_message_comes_back_from_its_encoding(message: Message) -> None:
    data = message.encode()
    assert type(message).decode(data) == message
    assert len(data) <= encoding.MAX_SIZE
    assert data == cbor2.dumps(cbor2.loads(data), canonical=True)


@given(messages)
def test_no_message_is_read_as_another(message: Message) -> None:
    data = message.encode()
    for other in CLASSES:
        if other is not type(message):
            with pytest.raises(MessageError):
                other.decode(data)


@given(messages, st.data())
def test_a_message_cut_short_or_with_a_tail_is_refused(message: Message, data: st.DataObject) -> None:
    encoded = message.encode()
    cut = data.draw(st.integers(0, len(encoded) - 1))
    tail = data.draw(st.binary(min_size=1, max_size=8))
    for wrong in (encoded[:cut], encoded + tail, encoded + encoded):
        with pytest.raises(MessageError):
            type(message).decode(wrong)


def test_a_small_message_is_refused_when_cut_anywhere() -> None:
    encoded = Refusal(_digest(), RefusalReason.BUSY).encode()
    for cut in range(len(encoded)):
        with pytest.raises(MessageError):
            Refusal.decode(encoded[:cut])


@given(st.sampled_from(CLASSES), st.binary(max_size=200))
def test_noise_is_a_message_error_and_nothing_else(cls: type[Message], noise: bytes) -> None:
    with pytest.raises(MessageError):
        cls.decode(noise)


cbor_items = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.binary() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.integers(0, 12) | st.text(), inner, max_size=12)
    ),
    max_leaves=20,
)


@given(st.sampled_from(CLASSES), st.dictionaries(st.integers(0, 12), cbor_items, max_size=13))
def test_any_other_map_is_a_message_error(cls: type[Message], items: dict[int, Any]) -> None:
    with pytest.raises(MessageError):
        cls.decode(cbor2.dumps({0: int(cls.TYPE), 1: 1} | items, canonical=True))


@given(messages, st.data())
def test_each_field_refuses_another_kind_of_item(message: Message, data: st.DataObject) -> None:
    items = cbor2.loads(message.encode())
    key = data.draw(st.sampled_from(sorted(items)))
    items[key] = data.draw(
        st.sampled_from([None, True, False, 1.5, -1, "", "x" * 500, b"", bytes(3000), [], [1], {}, {1: 2}])
    )
    with pytest.raises(MessageError):
        type(message).decode(cbor2.dumps(items, canonical=True))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("issuer_id", "Bank"),
        ("issuer_id", None),
        ("payment_id", "pay_1"),
        ("reader_id", bytes(7)),
        ("reader_id", bytearray(8)),
        ("nonce", "0" * 16),
        ("merchant_id", mint("pay", bytes(16))),
        ("merchant_name", ""),
        ("merchant_name", "x" * 41),
        ("merchant_name", "ab\u202ecd"),
        ("order", "two\nlines"),
        ("order", "x" * 81),
        ("amount", 1200),
        ("amount", [1200, "JPY"]),
        ("public_key", bytes(1215)),
        ("seconds_to_live", 0),
        ("seconds_to_live", 601),
        ("seconds_to_live", True),
        ("seconds_to_live", 60.0),
    ],
)
def test_we_cannot_build_a_wrong_offer(field: str, value: object) -> None:
    with pytest.raises(LocalProtocolError) as refusal:
        replace(offer(), **{field: value})  # type: ignore[arg-type]
    assert f"KeyOffer.{field}" in str(refusal.value)


@pytest.mark.parametrize(
    ("last_message", "verdict", "reason"),
    [
        (None, Verdict.APPROVED, None),
        (bytes(32), Verdict.APPROVED, NotSettled.DECLINED),
        (bytes(32), Verdict.NOT_SETTLED, None),
        (None, 2, NotSettled.DECLINED),
        (None, Verdict.NOT_SETTLED, "declined"),
    ],
)
def test_we_cannot_build_an_outcome_that_contradicts_itself(
    last_message: Any, verdict: Any, reason: Any
) -> None:
    with pytest.raises(LocalProtocolError):
        Outcome(_digest(), last_message, verdict, reason)


def test_messages_are_frozen() -> None:
    message = Refusal(_digest(), RefusalReason.BUSY)
    with pytest.raises(FrozenInstanceError):
        message.reason = RefusalReason.NO_PIN  # type: ignore[misc]


def test_every_refusal_has_its_own_ending() -> None:
    assert set(REFUSAL_REASONS) == set(RefusalReason)
    assert len(set(REFUSAL_REASONS.values())) == len(RefusalReason)


def test_every_message_type_has_its_class() -> None:
    assert {cls.TYPE for cls in CLASSES} == set(MessageType)


HEAD = bytes.fromhex("a400150101025820") + bytes(32)  # a Refusal up to its last key
BOMBS = {
    "deep arrays": b"\x81" * 4000 + b"\x00",
    "deep maps": b"\xa1\x00" * 2000 + b"\x00",
    "deep tags": b"\xc1" * 4000 + b"\x00",
    "deep inside a message": HEAD + b"\x03" + b"\x81" * 3000 + b"\x00",
    "bytes of 2^63": b"\x5b" + b"\x7f" + b"\xff" * 7,
    "bytes of 2^30": b"\x5a\x40\x00\x00\x00",
    "text of 2^64 - 1": b"\x7b" + b"\xff" * 8,
    "array of 2^32 - 1": b"\x9a\xff\xff\xff\xff",
    "array of 2^63": b"\x9b\x7f" + b"\xff" * 7,
    "array of 2^63 with items": b"\x9b\x7f" + b"\xff" * 7 + bytes(4000),
    "map of 2^32 - 1": b"\xba\xff\xff\xff\xff",
    "map of 2^63": b"\xbb\x7f" + b"\xff" * 7,
    "indefinite array": b"\x9f" + bytes(4000),
    "indefinite map": b"\xbf" + HEAD[1:] + b"\x03\x64busy\xff",
    "indefinite bytes": b"\x5f" + b"\x41\x00" * 1000 + b"\xff",
    "indefinite text": HEAD + b"\x03\x7f\x64busy\xff",
    "unended": b"\x9f\x9f\x9f\x9f",
    "duplicate key": b"\xa5" + HEAD[1:] + b"\x03\x64busy\x03\x64busy",
    "non-canonical int": HEAD.replace(b"\x00\x15", b"\x00\x18\x15", 1) + b"\x03\x64busy",
    "non-canonical key": HEAD + b"\x18\x03\x64busy",
    "non-canonical length": HEAD + b"\x03\x78\x04busy",
    "float key": HEAD + b"\xf9\x42\x00\x64busy",
    "float type": HEAD.replace(b"\x00\x15", b"\x00\xf9\x4d\x40", 1) + b"\x03\x64busy",
    "bignum": HEAD.replace(b"\x00\x15", b"\x00\xc2\x41\x15", 1) + b"\x03\x64busy",
    "huge bignum": HEAD + b"\x03\xc2\x59\x0f\x00" + b"\xff" * 3840,
    "huge exponent": HEAD + b"\x03\xc4\x82\x1b\x7f" + b"\xff" * 7 + b"\x01",
    "huge bigfloat": HEAD + b"\x03\xc5\x82\x1b\x7f" + b"\xff" * 7 + b"\x01",
    "regular expression": HEAD + b"\x03\xd8\x23\x78\x1a((((a{1,9999}){1,9999})))+$",
    "date": HEAD + b"\x03\xc1\x1b" + b"\xff" * 8,
    "shared reference": HEAD + b"\x03\xd8\x1c\x81\xd8\x1d\x00",
    "string reference": b"\xd9\x01\x00" + HEAD + b"\x03\xd8\x19\x00",
    "set": HEAD + b"\x03\xd9\x01\x02\x81\x64busy",
    "self-described": b"\xd9\xd9\xf7" + HEAD + b"\x03\x64busy",
    "undefined": HEAD + b"\x03\xf7",
    "simple value": HEAD + b"\x03\xf8\xff",
    "not a number": HEAD + b"\x03\xf9\x7e\x00",
    "bad UTF-8": HEAD + b"\x03\x64\xff\xff\xff\xff",
    "surrogate": HEAD + b"\x03\x63\xed\xa0\x80",
    "reserved": HEAD + b"\x03\x1c",
    "break": b"\xff",
    "array as key": HEAD + b"\x81\x00\x64busy",
    "trailing byte": HEAD + b"\x03\x64busy\x00",
    "too long": bytes(5000),
    "a megabyte of nesting": b"\x81" * 1_000_000,
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_hostile_cbor_is_refused_at_once_in_bounded_memory(bomb: bytes) -> None:
    tracemalloc.start()
    try:
        before = time.process_time()
        with pytest.raises(MessageError):
            Refusal.decode(bomb)
        spent = time.process_time() - before
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert spent < 0.5, "an ordinary message takes a few microseconds"
    assert peak < 1 << 20


def test_the_message_that_the_bombs_are_made_of_is_a_good_one() -> None:
    assert Refusal.decode(HEAD + b"\x03\x64busy").reason is RefusalReason.BUSY


def test_only_bytes_are_decoded() -> None:
    with pytest.raises(LocalProtocolError):
        Refusal.decode(bytearray(HEAD + b"\x03\x64busy"))  # type: ignore[arg-type]


def test_errors_name_the_field_and_never_its_value() -> None:
    items = cbor2.loads(offer().encode())
    items[7] = "SECRET\x07NAME"
    with pytest.raises(MessageError) as refusal:
        KeyOffer.decode(cbor2.dumps(items, canonical=True))
    assert refusal.value.field == "KeyOffer.merchant_name"
    assert "SECRET" not in str(refusal.value)


def _digest() -> Any:
    return bytes(range(32))
