"""What the reader accepts, sends and shows in a payment, and what it refuses with its state kept."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.gatt import Status
from protocol.identifiers import Digest, IssuerId, ReaderId
from protocol.messages import (
    CardEnvelope,
    MessageType,
    NotSettled,
    Outcome,
    PinEnvelope,
    ReaderHello,
    RefusalReason,
    Verdict,
)
from protocol.sealing import card_info, pin_info
from protocol.signing import digest, sign_message
from protocol.track_data import TrackFault
from reader_peripheral import effects as fx
from reader_peripheral import screens
from reader_peripheral.transitions import State
from tests.machines.reader_bench import (
    BILL,
    ISSUER,
    NONCE,
    OLD_MESSAGE,
    OLD_OFFER,
    OTHER_NONCE,
    PAYMENT_KEY,
    READER,
    READER_ID,
    STRANGER,
    Bench,
    bench_in,
    key_offer,
    signed_offer,
)


def test_a_payment_from_hello_to_approval() -> None:
    bench = Bench()
    (hello,) = [effect for effect in bench.greet() if isinstance(effect, fx.Send)]
    assert ReaderHello.decode(hello.payload) == ReaderHello(READER_ID, NONCE, (1,))

    bench.take_offer()
    assert bench.screen == screens.Offer(BILL)
    offer = digest(bench.offer)
    (seal,) = [effect for effect in bench.swipe() if isinstance(effect, fx.SealCard)]
    assert seal.public_key == PAYMENT_KEY.public_key
    assert seal.info == card_info(key_offer(), offer, READER.public_key)
    bench.card_sealed()
    assert bench.sent(CardEnvelope)[1].offer == offer
    assert bench.screen == screens.Working(BILL)

    request = bench.pin_request()
    bench.ask_pin(request)
    assert bench.screen == screens.EnterPin(BILL, "3184", 3, 0)
    (seal_pin,) = [effect for effect in bench.type_pin() if isinstance(effect, fx.SealPin)]
    assert seal_pin.info == pin_info(key_offer(), offer, READER.public_key, digest(request))
    bench.pin_sealed()
    assert bench.sent(PinEnvelope)[1].pin_request == digest(request)

    bench.bring(bench.approval())
    assert bench.screen == screens.Approved(BILL)
    bench.wait()
    assert bench.screen == screens.Idle()
    assert bench.session.owed == ()


BAD_OFFERS: dict[str, bytes] = {
    "not_cbor": b"\xff\xff",
    "empty": b"",
    "signed_by_a_stranger": sign_message(STRANGER, key_offer()),
    "signed_by_the_reader_itself": sign_message(READER, key_offer()),
    "another_message": sign_message(
        ISSUER, Outcome(Digest(bytes(32)), None, Verdict.NOT_SETTLED, NotSettled.DECLINED)
    ),
    "another_issuer": signed_offer(issuer_id=IssuerId("other-bank")),
    "another_reader": signed_offer(reader_id=ReaderId(b"\x99" * 8)),
    "another_nonce": signed_offer(nonce=OTHER_NONCE),
    "another_version": ISSUER.sign(key_offer().encode().replace(b"\x01\x01", b"\x01\x02", 1)),
}


@pytest.mark.parametrize("bad", BAD_OFFERS.values(), ids=BAD_OFFERS.keys())
def test_a_bad_offer_is_refused_and_the_nonce_still_takes_a_good_one(bad: bytes) -> None:
    bench = bench_in(State.GREETED)
    bench.take_offer(bad)
    assert bench.state is State.GREETED
    assert bench.refusal().offer == digest(bad)
    assert bench.refusal().reason is RefusalReason.OFFER_REJECTED
    assert not bench.all_of(fx.ArmSwiper)
    bench.take_offer()
    assert bench.state is State.AWAITING_SWIPE


def test_one_flipped_bit_anywhere_in_an_offer_is_refused() -> None:
    bench = bench_in(State.GREETED)
    for at in range(0, len(bench.offer), 7):
        flipped = bytearray(bench.offer)
        flipped[at] ^= 1 << at % 8
        bench.take_offer(bytes(flipped))
        assert bench.state is State.GREETED
    bench.take_offer()
    assert bench.state is State.AWAITING_SWIPE


PAYING = [
    State.AWAITING_SWIPE,
    State.AWAITING_PIN_REQUEST,
    State.ENTERING_PIN,
    State.AWAITING_OUTCOME,
    State.REFUSED,
]


@pytest.mark.parametrize("state", PAYING, ids=lambda state: state.name)
def test_a_second_offer_is_refused_as_busy_and_the_first_goes_on(state: State) -> None:
    bench = bench_in(state)
    screen = bench.screen
    second = signed_offer(order="a yacht")
    bench.take_offer(second)
    assert bench.state is state
    assert bench.refusal().offer == digest(second)
    assert bench.refusal().reason is RefusalReason.BUSY
    assert bench.screen == screen


@pytest.mark.parametrize("state", PAYING, ids=lambda state: state.name)
def test_the_same_offer_again_is_dropped_without_a_refusal_that_could_end_it(state: State) -> None:
    bench = bench_in(state)
    sent = len(bench.all_of(fx.Send))
    bench.take_offer()
    assert bench.state is state
    assert len(bench.all_of(fx.Send)) == sent


@pytest.mark.parametrize("state", [State.SHOWING_RESULT, State.OUTCOME_UNKNOWN], ids=lambda s: s.name)
def test_one_nonce_takes_one_offer(state: State) -> None:
    bench = bench_in(state)
    bench.take_offer(signed_offer(order="once more"))
    assert bench.state is state
    assert bench.refusal().reason is RefusalReason.OFFER_REJECTED


def test_an_offer_of_the_last_session_is_refused_in_the_next() -> None:
    bench = bench_in(State.GREETED)
    bench.greet(OTHER_NONCE)
    bench.take_offer()
    assert bench.state is State.GREETED
    bench.take_offer(signed_offer(nonce=OTHER_NONCE))
    assert bench.state is State.AWAITING_SWIPE


def test_a_session_that_is_over_takes_its_nonce_along() -> None:
    bench = bench_in(State.GREETED)
    bench.do(bench.session.session_over(bench.now))
    bench.take_offer()
    assert bench.state is State.IDLE
    assert bench.refusal().reason is RefusalReason.OFFER_REJECTED


def test_a_session_that_is_over_is_waited_for_no_longer() -> None:
    bench = bench_in(State.GREETED)
    bench.do(bench.session.link_lost(bench.now))
    bench.do(bench.session.session_over(bench.now))
    assert bench.session.deadline() is None


def test_a_phone_cannot_make_the_reader_sign_refusals_without_end() -> None:
    bench = bench_in(State.GREETED)
    for number in range(50):
        bench.take_offer(signed_offer(order=f"order {number}", nonce=OTHER_NONCE))
    assert bench.sent_types().count(MessageType.REFUSAL) == 2
    bench.take_offer()
    assert bench.state is State.AWAITING_SWIPE


def test_one_offer_takes_one_swipe() -> None:
    bench = bench_in(State.AWAITING_PIN_REQUEST)
    assert bench.swipe() == []
    assert bench.bad_swipe() == []
    assert bench.sent_types().count(MessageType.CARD_ENVELOPE) == 1


def test_bad_swipes_say_what_was_wrong_and_the_third_ends_it() -> None:
    bench = bench_in(State.AWAITING_SWIPE)
    bench.bad_swipe(TrackFault.LUHN)
    assert bench.screen == screens.BadSwipe(BILL, TrackFault.LUHN, 2)
    assert isinstance(bench.effects[-1], fx.ArmSwiper)
    bench.bad_swipe(TrackFault.TOO_LONG)
    assert bench.screen == screens.BadSwipe(BILL, TrackFault.TOO_LONG, 1, again=True)
    bench.bad_swipe()
    assert bench.state is State.REFUSED
    assert bench.refusal().reason is RefusalReason.UNREADABLE_CARD


def test_no_swipe_within_the_offers_time_is_refused_as_that() -> None:
    bench = bench_in(State.AWAITING_SWIPE)
    started = bench.now
    bench.bad_swipe()
    bench.wait()
    assert bench.now == started + key_offer().seconds_to_live
    assert bench.refusal().reason is RefusalReason.NO_SWIPE


def test_no_pin_in_time_is_refused_as_that() -> None:
    bench = bench_in(State.ENTERING_PIN)
    bench.wait()
    assert bench.refusal().reason is RefusalReason.NO_PIN
    assert fx.EndPin() in bench.effects


@pytest.mark.parametrize("state", [State.SEALING_CARD, State.SEALING_PIN], ids=lambda s: s.name)
def test_a_reader_that_cannot_seal_says_so(state: State) -> None:
    bench = bench_in(state)
    bench.do(bench.session.reader_failed(bench.now))
    assert bench.refusal().reason is RefusalReason.READER_FAULT
    assert bench.state is State.REFUSED


@pytest.mark.parametrize("state", [State.AWAITING_SWIPE, State.AWAITING_PIN_REQUEST, State.ENTERING_PIN])
def test_the_person_cancels_and_the_outcome_still_comes(state: State) -> None:
    bench = bench_in(state)
    bench.cancel()
    assert bench.refusal().reason is RefusalReason.USER_CANCELLED
    assert bench.screen == screens.Cancelling(BILL, NotSettled.REFUSED_USER_CANCELLED)
    bench.bring(bench.refused(reason=NotSettled.REFUSED_USER_CANCELLED))
    assert bench.screen == screens.NotSettled(BILL, NotSettled.REFUSED_USER_CANCELLED)


def test_a_refusal_without_an_outcome_is_still_not_settled_and_a_late_outcome_is_taken() -> None:
    bench = bench_in(State.ENTERING_PIN)
    bench.cancel()
    bench.wait()
    assert bench.screen == screens.NotSettled(BILL, NotSettled.REFUSED_USER_CANCELLED)
    bench.bring(bench.refused(reason=NotSettled.CANCELLED_BY_MERCHANT))
    assert bench.screen == screens.NotSettled(BILL, NotSettled.CANCELLED_BY_MERCHANT)


def test_a_late_outcome_of_what_was_never_swiped_for_is_taken_and_not_shown() -> None:
    """The reader has said 'not settled' of it; once more, it could be taken for the payment before."""
    bench = bench_in(State.REFUSED)
    bench.wait()
    bench.wait()
    bench.bring(bench.refused(reason=NotSettled.CANCELLED_BY_MERCHANT))
    assert bench.screen == screens.Idle()
    assert bench.session.owed == ()


def test_the_phone_may_cancel_until_the_card_is_sent_and_no_longer() -> None:
    bench = bench_in(State.AWAITING_SWIPE)
    bench.do(bench.session.phone_cancelled(bench.now))
    assert bench.screen == screens.NotSettled(BILL, screens.EndedHere.PHONE_CANCELLED)
    assert bench.swipe() == []
    for state in (State.AWAITING_PIN_REQUEST, State.ENTERING_PIN, State.AWAITING_OUTCOME, State.REFUSED):
        later = bench_in(state)
        assert later.session.phone_cancelled(later.now) == []
        assert later.state is state


WRONG_REQUESTS: dict[str, dict[str, Any]] = {
    "of_another_offer": {"offer": OLD_OFFER},
    "of_another_card": {"card_envelope": OLD_MESSAGE},
    "that_repeats": {"previous_pin_envelope": OLD_MESSAGE},
}


@pytest.mark.parametrize("changes", WRONG_REQUESTS.values(), ids=WRONG_REQUESTS.keys())
def test_a_pin_request_bound_to_something_else_is_refused(changes: dict[str, Any]) -> None:
    bench = bench_in(State.AWAITING_PIN_REQUEST)
    before = bench.memory()
    bench.ask_pin(bench.pin_request(**changes))
    assert bench.memory() == before
    bench.ask_pin()
    assert bench.state is State.ENTERING_PIN


def test_one_flipped_bit_anywhere_in_a_pin_request_is_refused() -> None:
    bench = bench_in(State.AWAITING_PIN_REQUEST)
    request = bench.pin_request()
    before = bench.memory()
    for at in range(len(request)):
        flipped = bytearray(request)
        flipped[at] ^= 1 << at % 8
        bench.ask_pin(bytes(flipped))
    assert bench.memory() == before
    bench.ask_pin(request)
    assert bench.state is State.ENTERING_PIN


def test_a_second_pin_needs_a_request_bound_to_the_first() -> None:
    bench = bench_in(State.AWAITING_PIN_REQUEST)
    first = bench.pin_request()
    bench.ask_pin(first)
    bench.type_pin()
    bench.pin_sealed()
    assert bench.ask_pin(first) == [
        fx.Note("refused a PIN request: it is not bound to what this reader sent")
    ]
    bench.ask_pin(bench.pin_request(tries_left=2))
    assert bench.screen == screens.EnterPin(BILL, "3184", 2, 0, again=True)
    bench.type_pin(6)
    bench.pin_sealed()
    assert bench.sent_types().count(MessageType.PIN_ENVELOPE) == 2


def test_pins_of_four_to_twelve_digits_and_a_thirteenth_is_refused_until_cleared() -> None:
    bench = bench_in(State.ENTERING_PIN)
    bench.type_pin(3)
    assert bench.screen == screens.EnterPin(BILL, "3184", 3, 3, screens.PinHint.TOO_SHORT)
    for _ in range(9):
        bench.do(bench.session.digit_typed(bench.now))
    assert bench.session.digit_typed(bench.now) == [
        fx.Show(screens.EnterPin(BILL, "3184", 3, 12, screens.PinHint.TOO_LONG))
    ]
    bench.do(bench.session.enter_typed(bench.now))
    assert bench.state is State.ENTERING_PIN, "a PIN cut to twelve digits would cost a try"
    assert bench.do(bench.session.clear_typed(bench.now))[0] == fx.DropDigit()
    assert bench.screen == screens.EnterPin(BILL, "3184", 3, 11)
    bench.do(bench.session.enter_typed(bench.now))
    assert bench.state is State.SEALING_PIN


def test_the_phone_is_never_told_how_many_digits_are_typed() -> None:
    bench = bench_in(State.ENTERING_PIN)
    told = len(bench.all_of(fx.TellStatus))
    for _ in range(8):
        bench.do(bench.session.digit_typed(bench.now))
        bench.do(bench.session.clear_typed(bench.now))
    assert len(bench.all_of(fx.TellStatus)) == told


def test_the_status_follows_the_payment() -> None:
    bench = bench_in(State.SHOWING_RESULT)
    assert [effect.status for effect in bench.all_of(fx.TellStatus)] == [
        Status.WAITING_FOR_CARD,
        Status.CARD_READ,
        Status.WAITING_FOR_PIN,
        Status.PIN_READ,
        Status.APPROVED,
    ]
