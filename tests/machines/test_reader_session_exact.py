"""The reader's clocks, counts and values to the last digit: what a change of one of them would alter."""

from __future__ import annotations

import pytest

from protocol.messages import MessageType, RefusalReason
from protocol.sealing import card_info, pin_info
from protocol.signing import digest
from reader_peripheral import effects as fx
from reader_peripheral import screens
from reader_peripheral.transitions import State
from tests.machines.reader_bench import PAYMENT_KEY, READER, Bench, bench_in, key_offer


def later(bench: Bench, seconds: float = 1.5) -> float:
    """Time passes, nothing is due."""
    bench.now += seconds
    assert bench.do(bench.session.handle_timer(bench.now)) == []
    return bench.now


def test_every_wait_ends_at_its_own_second() -> None:
    bench = bench_in(State.GREETED)
    assert bench.session.deadline() is None
    at = later(bench)
    bench.take_offer()
    assert bench.session.deadline() == at + key_offer().seconds_to_live
    later(bench)
    bench.swipe()
    assert bench.session.deadline() is None
    at = later(bench)
    bench.card_sealed()
    assert bench.session.deadline() == at + bench.limits.answer_seconds
    at = later(bench)
    bench.ask_pin()
    assert bench.session.deadline() == at + bench.limits.pin_seconds
    later(bench)
    bench.type_pin()
    assert bench.session.deadline() is None
    at = later(bench)
    bench.pin_sealed()
    assert bench.session.deadline() == at + bench.limits.answer_seconds
    at = later(bench)
    bench.message(MessageType.OUTCOME, bench.approval())
    assert bench.session.deadline() == at + bench.limits.result_seconds


@pytest.mark.parametrize("way", ["cancelled", "no swipe", "no PIN", "unreadable", "failed"])
def test_a_refusal_waits_for_its_answer_from_when_it_was_sent(way: str) -> None:
    bench = bench_in(State.ENTERING_PIN if way == "no PIN" else State.AWAITING_SWIPE, swipes=1)
    bench.now += 2
    match way:
        case "cancelled":
            bench.cancel()
        case "unreadable":
            bench.bad_swipe()
        case "failed":
            bench.do(bench.session.reader_failed(bench.now))
        case _:
            bench.wait()
    assert bench.state is State.REFUSED
    assert bench.session.deadline() == bench.now + bench.limits.answer_seconds
    reasons = {
        "cancelled": RefusalReason.USER_CANCELLED,
        "no swipe": RefusalReason.NO_SWIPE,
        "no PIN": RefusalReason.NO_PIN,
        "unreadable": RefusalReason.UNREADABLE_CARD,
        "failed": RefusalReason.READER_FAULT,
    }
    assert bench.refusal().reason is reasons[way]
    bench.wait()
    assert bench.session.deadline() == bench.now + bench.limits.result_seconds


def test_a_phone_that_is_gone_is_waited_for_from_when_it_went() -> None:
    bench = bench_in(State.AWAITING_SWIPE)
    due = bench.session.deadline()
    at = later(bench)
    bench.do(bench.session.link_lost(at))
    assert bench.session.deadline() == at + bench.limits.resume_seconds
    later(bench)
    bench.do(bench.session.link_resumed(bench.now))
    assert bench.session.deadline() == due


def test_two_waits_that_end_at_once_are_both_told() -> None:
    bench = bench_in(State.SHOWING_RESULT)
    bench.greet()
    bench.do(bench.session.link_lost(bench.now))
    bench.now += 1000
    effects = bench.do(bench.session.handle_timer(bench.now))
    assert fx.ForgetSession() in effects
    assert fx.Show(screens.Idle()) in effects
    assert bench.state is State.IDLE
    assert bench.session.deadline() is None


def test_what_is_sealed_is_sealed_to_the_offers_key_and_bound() -> None:
    bench = bench_in(State.SEALING_PIN)
    offer, about = key_offer(), digest(bench.offer)
    [card], [pin] = bench.all_of(fx.SealCard), bench.all_of(fx.SealPin)
    assert card.public_key == pin.public_key == PAYMENT_KEY.public_key
    assert card.info == card_info(offer, about, READER.public_key)
    assert pin.info == pin_info(offer, about, READER.public_key, digest(bench.pin_request()))


def stars(bench: Bench) -> int:
    assert isinstance(bench.screen, screens.EnterPin)
    return bench.screen.stars


def test_clear_takes_one_digit_and_none_where_there_is_none() -> None:
    bench = bench_in(State.ENTERING_PIN)
    counts = []
    for step in "+--++-+":
        key = bench.session.digit_typed if step == "+" else bench.session.clear_typed
        bench.do(key(bench.now))
        counts.append(stars(bench))
    assert counts == [1, 0, 0, 1, 2, 1, 2]


def test_a_pin_has_four_to_twelve_digits() -> None:
    for digits, sealed in ((3, False), (4, True), (12, True)):
        bench = bench_in(State.ENTERING_PIN)
        bench.type_pin(digits)
        assert bool(bench.all_of(fx.SealPin)) is sealed
        assert len(bench.all_of(fx.KeepDigit)) == digits
    bench = bench_in(State.ENTERING_PIN)
    bench.type_pin(13)
    assert len(bench.all_of(fx.KeepDigit)) == 12
    assert not bench.all_of(fx.SealPin)
    assert isinstance(bench.screen, screens.EnterPin)
    assert bench.screen.hint is screens.PinHint.TOO_LONG
    bench.do(bench.session.clear_typed(bench.now))
    assert (stars(bench), bench.screen.hint) == (11, screens.PinHint.NONE)
    bench.do(bench.session.enter_typed(bench.now))
    assert bench.all_of(fx.SealPin)


def test_bad_swipes_are_counted_down_and_the_fault_is_shown() -> None:
    bench = bench_in(State.AWAITING_SWIPE, swipes=3)
    bench.bad_swipe()
    first = bench.screen
    assert isinstance(first, screens.BadSwipe)
    assert (first.swipes_left, first.again) == (2, False)
    bench.bad_swipe()
    second = bench.screen
    assert isinstance(second, screens.BadSwipe)
    assert (second.swipes_left, second.again) == (1, True)
    bench.bad_swipe()
    assert bench.refusal().reason is RefusalReason.UNREADABLE_CARD


def test_what_is_owed_is_unknown_only_while_an_envelope_is_unanswered() -> None:
    expected = {
        State.AWAITING_PIN_REQUEST: True,
        State.ENTERING_PIN: False,
        State.AWAITING_OUTCOME: True,
        State.REFUSED: False,
    }
    for state, unknown in expected.items():
        assert bench_in(state).session.owed[-1].unknown is unknown
    for state in (State.GREETED, State.AWAITING_SWIPE, State.SEALING_CARD):
        assert bench_in(state).session.owed == ()


def test_what_has_been_read_is_not_unknown_any_more() -> None:
    bench = bench_in(State.OUTCOME_UNKNOWN)
    assert bench.session.owed[-1].unknown is True
    bench.do(bench.session.enter_typed(bench.now))
    assert bench.session.owed[-1].unknown is False


def test_a_session_begins_with_its_hello() -> None:
    assert bench_in(State.GREETED).sent_types() == [MessageType.READER_HELLO]


@pytest.mark.parametrize("state", [State.AWAITING_SWIPE, State.AWAITING_PIN_REQUEST, State.AWAITING_OUTCOME])
def test_a_payment_that_is_forgotten_leaves_no_clock_behind(state: State) -> None:
    """Its phone was away; another session began. Nobody is waited for to come back into the old one."""
    bench = bench_in(state)
    bench.do(bench.session.link_lost(bench.now))
    bench.greet()
    while bench.session.deadline() is not None:
        bench.wait()
    assert bench.state is State.GREETED
    assert not bench.all_of(fx.ForgetSession)
