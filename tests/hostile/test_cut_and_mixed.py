"""What the issuer signed, cut, in every wrong order, or with one word changed, on its way to the reader."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from protocol.encoding import decode, encode
from protocol.identifiers import mint
from protocol.messages import MessageType, NotSettled, Outcome, PinRequest, Verdict
from protocol.money import Money, currency
from protocol.signing import digest, sign_message
from reader_peripheral import effects as fx
from reader_peripheral.transitions import State
from tests.machines.reader_bench import ISSUER, STRANGER, Bench, bench_in, key_offer, signed_offer

CHANGED: dict[str, dict[str, Any]] = {
    "amount": {"amount": Money(1, currency("JPY"))},
    "currency": {"amount": Money(1200, currency("KWD"))},
    "merchant": {"merchant_name": "Another shop"},
    "merchant's id": {"merchant_id": mint("mer", b"\x03" * 16)},
    "order": {"order": "nothing much"},
    "payment": {"payment_id": mint("pay", b"\x03" * 16)},
    "time": {"seconds_to_live": 600},
    "key": {"public_key": bytes(1216)},
}


def with_payload(signed: bytes, payload: bytes) -> bytes:
    """The genuine signature around other words."""
    match decode(signed[1:], "COSE_Sign1"):
        case [protected, unprotected, _, signature]:
            return signed[:1] + encode([protected, unprotected, payload, signature])
        case other:
            raise AssertionError(other)


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED)
def test_change_what_an_offer_says(change: dict[str, Any]) -> None:
    false = key_offer(**change)
    forgeries = [
        with_payload(signed_offer(), false.encode()),
        sign_message(STRANGER, false),
        with_payload(sign_message(STRANGER, false), false.encode()),
    ]
    bench = bench_in(State.GREETED)
    for forged in forgeries:
        bench.do(bench.session.message(MessageType.KEY_OFFER, forged, bench.now))
        assert bench.state is State.GREETED
    assert not bench.all_of(fx.ArmSwiper)
    bench.take_offer(signed_offer())
    assert bench.state is State.AWAITING_SWIPE


def wanted(state: State) -> tuple[Bench, MessageType, bytes]:
    """A reader that waits for a message of the issuer's, and the message."""
    bench = bench_in(state)
    if state is State.GREETED:
        return bench, MessageType.KEY_OFFER, signed_offer()
    offer = digest(bench.offer)
    if state is State.AWAITING_PIN_REQUEST:
        request = PinRequest(offer, bench.last_digest(), None, "3184", 3)
        return bench, MessageType.PIN_REQUEST, sign_message(ISSUER, request)
    outcome = Outcome(offer, bench.last_digest(), Verdict.APPROVED, None)
    return bench, MessageType.OUTCOME, sign_message(ISSUER, outcome)


@pytest.mark.parametrize("state", [State.GREETED, State.AWAITING_PIN_REQUEST, State.AWAITING_OUTCOME])
def test_cut_a_message_at_every_byte_on_the_way_to_the_reader(state: State) -> None:
    bench, kind, signed = wanted(state)
    for size in range(len(signed)):
        for cut in (signed[:size], signed[size + 1 :]):
            bench.session.message(kind, cut, bench.now)
            assert bench.state is state
    bench.do(bench.session.message(kind, signed, bench.now))
    assert bench.state is not state


def test_bring_the_issuers_words_in_every_other_order() -> None:
    """Four messages of one payment in all orders: the reader goes no further than the person does."""
    bench, _, offer = wanted(State.GREETED)
    _, _, request = wanted(State.AWAITING_PIN_REQUEST)
    _, _, outcome = wanted(State.AWAITING_OUTCOME)
    no = sign_message(ISSUER, Outcome(digest(offer), None, Verdict.NOT_SETTLED, NotSettled.DECLINED))
    said = {
        "offer": (MessageType.KEY_OFFER, offer),
        "request": (MessageType.PIN_REQUEST, request),
        "approved": (MessageType.OUTCOME, outcome),
        "not settled": (MessageType.OUTCOME, no),
    }
    for order in permutations(said):
        bench = bench_in(State.GREETED)
        for name in order:
            bench.do(bench.session.message(*said[name], bench.now))
        # Nobody swiped: there is no card out, no PIN asked for, nothing approved.
        assert not bench.all_of(fx.WantPin)
        assert MessageType.CARD_ENVELOPE not in bench.sent_types()
        assert not [show for show in bench.all_of(fx.Show) if type(show.screen).__name__ == "Approved"]
        refused = order.index("offer") > order.index("not settled")
        assert bench.state is (State.AWAITING_SWIPE if refused else State.SHOWING_RESULT)


def test_one_message_as_every_other_kind() -> None:
    for state in (State.GREETED, State.AWAITING_PIN_REQUEST, State.AWAITING_OUTCOME):
        bench, kind, signed = wanted(state)
        for other in MessageType:
            if other is not kind:
                bench.session.message(other, signed, bench.now)
                assert bench.state is state
