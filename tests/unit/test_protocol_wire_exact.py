"""Each rule of a field at its edge, and the name and words under which a break of it is told."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest

from protocol.errors import LocalProtocolError, MessageError
from protocol.identifiers import Digest, Nonce, reader_id
from protocol.messages import (
    KeyOffer,
    Message,
    Outcome,
    PinRequest,
    ReaderHello,
    Refusal,
    RefusalReason,
    Verdict,
)
from protocol.signing import SigningKey
from tests.machines.reader_bench import key_offer

HELLO = ReaderHello(reader_id(SigningKey.from_seed(bytes(32)).public_key), Nonce(bytes(16)), (1,))
REFUSAL = Refusal(key_offer().nonce * 2, RefusalReason.BUSY)  # type: ignore[arg-type]


def told(message: Message, changes: dict[int, Any], without: int | None = None) -> tuple[str, str]:
    """Field and problem of the refusal of a message with items changed."""
    items = {**cbor2.loads(message.encode()), **changes}
    if without is not None:
        del items[without]
    with pytest.raises(MessageError) as refused:
        type(message).decode(cbor2.dumps(items, canonical=True))
    return refused.value.field, refused.value.problem


NO_AMOUNTS = [[1], [1, "JPY", 0], ["1", "JPY"], [True, "JPY"], [1.0, "JPY"], [1, 392], [1, b"JPY"]]
VERSIONS = "must be an ascending array of 1 to 8 versions"


@pytest.mark.parametrize(
    "versions",
    [
        [],
        list(range(1, 10)),
        [0],
        [256],
        [1, 256],
        [1, 1],
        [2, 1],
        [True],
        [1.0],
        ["1"],
        "1",
        1,
        {1: 1},
        None,
    ],
    ids=str,
)
def test_versions_that_are_none(versions: object) -> None:
    assert told(HELLO, {4: versions}) == ("ReaderHello.versions", VERSIONS)


@pytest.mark.parametrize("versions", [(1,), (255,), (1, 255), tuple(range(1, 9))])
def test_versions_at_their_edges(versions: tuple[int, ...]) -> None:
    hello = ReaderHello(HELLO.reader_id, HELLO.nonce, versions)
    assert ReaderHello.decode(hello.encode()) == hello


@pytest.mark.parametrize("versions", [5, [1], "1", None])
def test_versions_of_our_own_that_are_none(versions: Any) -> None:
    with pytest.raises(LocalProtocolError):
        ReaderHello(HELLO.reader_id, HELLO.nonce, versions)


@pytest.mark.parametrize("amount", [*NO_AMOUNTS, {1: "JPY"}, "1", 1], ids=str)
def test_amounts_that_are_none(amount: object) -> None:
    assert told(key_offer(), {9: amount}) == ("KeyOffer.amount", "must be an amount and a currency")


def test_a_message_says_what_it_is_in_whole_numbers() -> None:
    wrong_type = ("Refusal", "is of another type")
    for number in (22, 0, -1, 21.0, "21", None, True):
        assert told(REFUSAL, {0: number}) == wrong_type
    assert told(REFUSAL, {}, without=0) == wrong_type
    wrong_version = ("Refusal.version", "must be 1: update the older program")
    for number in (0, 2, 1.0, True, "1", None):
        assert told(REFUSAL, {1: number}) == wrong_version
    assert told(REFUSAL, {}, without=1) == wrong_version


def test_what_is_no_message_at_all() -> None:
    for data, problem in (
        (b"\xff", "not deterministic CBOR"),
        (b"\x80", "must be a map"),
        (b"\x01", "must be a map"),
    ):
        with pytest.raises(MessageError) as refused:
            Refusal.decode(data)
        assert (refused.value.field, refused.value.problem) == ("Refusal", problem)
    assert told(REFUSAL, {99: 1}) == ("Refusal", "not deterministic CBOR")


def test_each_field_is_named_with_its_rule() -> None:
    assert told(REFUSAL, {}, without=3) == ("Refusal.reason", "is missing")
    assert told(REFUSAL, {3: "because"}) == ("Refusal.reason", "is not a known RefusalReason")
    assert told(REFUSAL, {2: bytes(31)}) == ("Refusal.offer", "must be 32 bytes")
    offer = key_offer()
    assert told(offer, {11: 0}) == ("KeyOffer.seconds_to_live", "must be an integer from 1 to 600")
    assert told(offer, {11: 601}) == ("KeyOffer.seconds_to_live", "must be an integer from 1 to 600")
    assert told(offer, {2: 1}) == ("KeyOffer.issuer_id", "must be text")
    assert told(offer, {7: 1}) == ("KeyOffer.merchant_name", "must be text")
    field, problem = told(offer, {7: "x" * 41})
    assert field == "KeyOffer.merchant_name"
    assert problem.startswith("The text must be 1 to 40 characters")
    for seconds in (1, 600):
        assert KeyOffer.decode(key_offer(seconds_to_live=seconds).encode()).seconds_to_live == seconds


def test_fields_that_contradict_each_other() -> None:
    approved = Outcome(Digest(bytes(32)), Digest(bytes(32)), Verdict.APPROVED, None)
    for changes, without in (({5: "declined"}, None), ({}, 3), ({4: 2}, None)):
        assert told(approved, changes, without) == ("Outcome", "has fields that contradict each other")


NO_DIGITS = ["", "123", "12345", "12a4", "abcd", "１２３４", "12 4", b"1234", 1234, None]


@pytest.mark.parametrize("digits", NO_DIGITS, ids=str)
def test_digits_that_are_none(digits: object) -> None:
    request = PinRequest(Digest(bytes(32)), Digest(bytes(32)), None, "0123", 3)
    assert told(request, {5: digits}) == ("PinRequest.last_four", "must be 4 digits")
