"""A result is unread until it was closed, shown for its full time, or swiped over, whatever phones bring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from protocol.gatt import Status
from protocol.messages import MessageType, Outcome, Verdict
from protocol.signing import digest
from reader_peripheral import effects as fx
from reader_peripheral import screens
from reader_peripheral.owed_outcomes import OwedOutcomes
from reader_peripheral.transitions import State
from tests.machines.reader_bench import (
    BILL,
    NONCE,
    OLD_BILL,
    OLD_MESSAGE,
    OLD_OFFER,
    OTHER_NONCE,
    Bench,
    bench_in,
    owed_payment,
    signed_offer,
)


def bring_late(bench: Bench, paid: bool = True) -> None:
    """The outcome of the payment before."""
    late = bench.approval if paid else bench.refused
    bench.bring(late(offer=OLD_OFFER, last_message=OLD_MESSAGE))


def unknown_and_an_offer() -> Bench:
    """'Unknown' is behind an offer that nobody asked for, and its outcome comes while a swipe is awaited."""
    bench = bench_in(State.AWAITING_SWIPE, owed=(owed_payment(),))
    bring_late(bench)
    return bench


def unknown_and_a_cancelled_offer() -> Bench:
    """The same while that offer is being cancelled."""
    bench = bench_in(State.REFUSED, owed=(owed_payment(),))
    bring_late(bench)
    return bench


def flashed() -> Bench:
    """The result is there for a moment, then an offer stands before it."""
    bench = bench_in(State.GREETED, owed=(owed_payment(),))
    bring_late(bench)
    assert bench.screen == screens.Approved(OLD_BILL)
    bench.take_offer()
    return bench


def flashed_in_hand() -> Bench:
    """The same with the payment that was in hand, and an offer of the very same bill."""
    bench = bench_in(State.AWAITING_OUTCOME)
    bench.bring(bench.approval())
    another_offer(bench)
    return bench


def another_offer(bench: Bench) -> None:
    bench.greet(OTHER_NONCE)
    bench.offer = signed_offer(nonce=OTHER_NONCE)
    bench.take_offer()


def phone_cancels(bench: Bench) -> None:
    bench.do(bench.session.phone_cancelled(bench.now))


def connection_ends(bench: Bench) -> None:
    bench.do(bench.session.session_over(bench.now))


def another_session(bench: Bench) -> None:
    bench.greet(NONCE)


def person_cancels(bench: Bench) -> None:
    bench.cancel()
    bench.bring(bench.refused())


def nobody_swipes(bench: Bench) -> None:
    bench.wait()
    if bench.state is State.REFUSED:
        bench.wait()


HIDDEN = [unknown_and_an_offer, unknown_and_a_cancelled_offer, flashed, flashed_in_hand]
ENDS = [phone_cancels, connection_ends, another_session, person_cancels, nobody_swipes]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("hide", HIDDEN)
def test_a_phone_cannot_hide_a_result_behind_another_offer(
    hide: Callable[[], Bench], end: Callable[[Bench], None]
) -> None:
    bench = hide()
    if bench.state is State.REFUSED and end is phone_cancels:
        end = nobody_swipes  # it takes no cancel any more
    assert not isinstance(bench.screen, screens.Approved), "the payment in hand keeps the display"
    end(bench)
    assert isinstance(bench.screen, screens.NotSettled)
    bench.wait()
    paid = BILL if hide is flashed_in_hand else OLD_BILL
    assert bench.screen == screens.Approved(paid)
    assert bench.effects[-1] == fx.TellStatus(Status.APPROVED)
    assert bench.session.deadline() == bench.now + bench.limits.result_seconds
    bench.wait()
    assert bench.screen == screens.Idle()
    assert all(record.past for record in bench.session.owed)
    assert bench.session.deadline() is None


@pytest.mark.parametrize("paid", [True, False])
def test_who_closes_what_stands_before_it_sees_the_result_and_closes_that_by_itself(paid: bool) -> None:
    bench = bench_in(State.AWAITING_SWIPE, owed=(owed_payment(),))
    bring_late(bench, paid)
    phone_cancels(bench)
    bench.now += 1
    bench.do(bench.session.enter_typed(bench.now))
    assert isinstance(bench.screen, screens.Approved if paid else screens.NotSettled)
    assert bench.screen.bill == OLD_BILL
    assert bench.session.deadline() == bench.now + bench.limits.result_seconds
    bench.do(bench.session.enter_typed(bench.now))
    assert bench.screen == screens.Idle()
    assert bench.session.deadline() is None
    assert bench.session.owed == ()


def test_offers_without_end_put_it_off_and_nothing_more() -> None:
    bench = flashed_in_hand()
    for _ in range(12):
        phone_cancels(bench)
        another_offer(bench)
        bench.bring(bench.refused())
        another_offer(bench)
    phone_cancels(bench)
    bench.wait()
    assert bench.screen == screens.Approved(BILL)


def test_who_swipes_for_another_payment_has_no_use_for_it() -> None:
    bench = flashed_in_hand()
    bench.swipe()
    assert bench.session.owed == ()
    bench.card_sealed()
    bench.ask_pin()
    bench.cancel()
    bench.bring(bench.refused())
    assert isinstance(bench.screen, screens.NotSettled)
    bench.wait()
    assert bench.screen == screens.Idle()


def test_phones_that_come_and_go_neither_hide_it_nor_keep_it_there() -> None:
    bench = bench_in(State.SHOWING_RESULT)
    due = bench.session.deadline()
    for _ in range(3):
        bench.now += 1
        bench.greet(OTHER_NONCE)
        connection_ends(bench)
        assert bench.screen == screens.Approved(BILL)
        assert bench.session.deadline() == due
    bench.wait()
    assert bench.screen == screens.Idle()


def test_the_same_outcome_again_does_not_show_it_again() -> None:
    bench = bench_in(State.GREETED, owed=(owed_payment(),))
    bring_late(bench)
    before = bench.memory()
    bench.now += 1
    bring_late(bench)
    bring_late(bench, paid=False)
    assert isinstance(bench.effects[-1], fx.Note)
    assert bench.memory() == before


@pytest.mark.parametrize("hide", HIDDEN)
def test_it_survives_a_power_cut(hide: Callable[[], Bench]) -> None:
    before = hide()
    kept = before.all_of(fx.KeepOwed)[-1].records
    bench = Bench(owed=kept)
    bench.do(bench.session.opening(bench.now))
    assert isinstance(bench.screen, screens.Approved)
    assert bench.session.deadline() == bench.now + bench.limits.result_seconds
    bench.wait()
    assert bench.screen == screens.Idle()
    assert digest(before.offer) not in [record.offer for record in bench.session.owed if not record.past]
    assert not [record for record in bench.session.owed if record.unread]


def test_an_offer_whose_outcome_is_awaited_is_dropped_and_one_that_has_it_refused() -> None:
    """A phone must get no signed refusal with which to end a payment that may still settle."""
    again = signed_offer(nonce=OTHER_NONCE)
    bench = bench_in(State.GREETED, owed=(replace(owed_payment(), offer=digest(again)),))
    assert bench.message(MessageType.KEY_OFFER, again) == [fx.Note("dropped an offer that was taken before")]
    bench.bring(bench.approval(offer=digest(again), last_message=OLD_MESSAGE))
    assert MessageType.REFUSAL not in bench.sent_types()
    bench.message(MessageType.KEY_OFFER, again)
    assert bench.sent_types()[-1] is MessageType.REFUSAL


def test_a_result_that_has_come_is_known() -> None:
    outcome = Outcome(OLD_OFFER, OLD_MESSAGE, Verdict.APPROVED, None)
    owed = OwedOutcomes((owed_payment(),))
    told = owed.take(owed_payment(), outcome)
    assert (told.unknown, told.outcome) == (False, outcome)
    assert owed.records == (told,)


def test_an_offer_beside_a_payment_in_hand_is_refused_for_that() -> None:
    bench = bench_in(State.AWAITING_SWIPE)
    notes = [each for each in bench.take_offer(signed_offer(nonce=OTHER_NONCE)) if isinstance(each, fx.Note)]
    assert notes == [fx.Note("refused an offer: a payment is in hand")]


def test_a_third_pin_request_answers_the_second_pin() -> None:
    bench = bench_in(State.ENTERING_PIN)
    for _ in range(2):
        bench.type_pin()
        bench.pin_sealed()
        assert bench.state is State.AWAITING_OUTCOME
        bench.ask_pin()
        assert bench.state is State.ENTERING_PIN


def test_unknown_outlives_the_time_of_the_result_that_was_closed_before_it() -> None:
    bench = bench_in(State.AWAITING_SWIPE, owed=(owed_payment(),))
    person_cancels(bench)
    assert isinstance(bench.screen, screens.NotSettled)
    assert bench.session.deadline() is not None
    bench.do(bench.session.enter_typed(bench.now))
    assert bench.screen == screens.Unknown(OLD_BILL)
    assert bench.session.deadline() is None
