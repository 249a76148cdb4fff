"""How a payment ends at the reader: outcomes believed or not, unknown outcomes, lost phones, restarts."""

from __future__ import annotations

import dataclasses

import pytest

from protocol.messages import (
    CardEnvelope,
    NotSettled,
    Outcome,
    PinEnvelope,
    Verdict,
)
from protocol.signing import digest, sign_message
from reader_peripheral import effects as fx
from reader_peripheral import screens
from reader_peripheral.transitions import State
from tests.machines.reader_bench import (
    BILL,
    ISSUER,
    NEWER_MESSAGE,
    NEWER_OFFER,
    OLD_BILL,
    OLD_MESSAGE,
    OLD_OFFER,
    OTHER_NONCE,
    PAYMENT_KEY,
    READER,
    STRANGER,
    Bench,
    bench_in,
    newer_payment,
    owed_payment,
    signed_offer,
)

PAYING = [
    State.AWAITING_SWIPE,
    State.AWAITING_PIN_REQUEST,
    State.ENTERING_PIN,
    State.AWAITING_OUTCOME,
    State.REFUSED,
]


def test_no_outcome_shows_unknown_and_a_later_session_may_bring_it() -> None:
    bench = bench_in(State.AWAITING_OUTCOME)
    approval = bench.approval()
    bench.wait()
    assert bench.screen == screens.Unknown(BILL)
    bench.greet(OTHER_NONCE)
    assert bench.screen == screens.Unknown(BILL), "a new phone session does not hide it"
    bench.bring(approval)
    assert bench.screen == screens.Approved(BILL)
    assert bench.state is State.GREETED
    assert bench.session.owed[0].unread
    bench.wait()
    assert bench.screen == screens.Idle()
    assert bench.session.owed == ()


def test_unknown_stays_until_the_person_has_read_it() -> None:
    bench = bench_in(State.OUTCOME_UNKNOWN)
    bench.do(bench.session.enter_typed(bench.now))
    assert bench.screen == screens.Idle()
    assert len(bench.session.owed) == 1
    bench.bring(bench.approval())
    assert bench.screen == screens.Approved(BILL)


def test_an_earlier_outcome_never_hides_the_payment_in_hand() -> None:
    bench = bench_in(State.ENTERING_PIN, owed=(owed_payment(),))
    screen = bench.screen
    bench.bring(bench.approval(offer=OLD_OFFER, last_message=OLD_MESSAGE))
    assert bench.screen == screen
    assert [record.offer for record in bench.session.owed] == [digest(bench.offer)]


def test_an_owed_outcome_survives_a_restart() -> None:
    bench = bench_in(State.IDLE, owed=(owed_payment(),))
    bench.bring(bench.approval(offer=OLD_OFFER, last_message=OLD_MESSAGE))
    assert bench.screen == screens.Approved(OLD_BILL)


def wrong_outcomes(bench: Bench) -> dict[str, bytes]:
    """Outcomes that must not be believed after the PIN was sent."""
    card = digest(bench.sent(CardEnvelope)[0])
    approval = Outcome(digest(bench.offer), digest(bench.sent(PinEnvelope)[0]), Verdict.APPROVED, None)
    return {
        "approval_of_the_card_only": sign_message(ISSUER, dataclasses.replace(approval, last_message=card)),
        "approval_of_another_offer": sign_message(ISSUER, dataclasses.replace(approval, offer=OLD_OFFER)),
        "approval_by_a_stranger": sign_message(STRANGER, approval),
        "approval_by_the_reader": sign_message(READER, approval),
        "refusal_of_something_else": bench.refused(last_message=OLD_MESSAGE),
        "garbage": b"\xa0",
        "an_offer": bench.offer,
    }


@pytest.mark.parametrize(
    "name",
    [
        "approval_of_the_card_only",
        "approval_of_another_offer",
        "approval_by_a_stranger",
        "approval_by_the_reader",
        "refusal_of_something_else",
        "garbage",
        "an_offer",
    ],
)
@pytest.mark.parametrize("state", [State.AWAITING_OUTCOME, State.OUTCOME_UNKNOWN], ids=lambda s: s.name)
def test_an_outcome_that_does_not_answer_is_refused_with_the_state_kept(state: State, name: str) -> None:
    bench = bench_in(state)
    before = bench.memory()
    good = bench.approval()
    effects = bench.bring(wrong_outcomes(bench)[name])
    assert [type(effect) for effect in effects] == [fx.Note]
    assert bench.memory() == before
    bench.bring(good)
    assert bench.screen == screens.Approved(BILL)


def test_one_flipped_bit_anywhere_in_an_outcome_is_refused() -> None:
    bench = bench_in(State.AWAITING_OUTCOME)
    outcome = bench.approval()
    before = bench.memory()
    for at in range(len(outcome)):
        flipped = bytearray(outcome)
        flipped[at] ^= 1 << at % 8
        bench.bring(bytes(flipped))
    assert bench.memory() == before
    bench.bring(outcome)
    assert bench.screen == screens.Approved(BILL)


def test_not_settled_is_believed_with_none_or_any_message_of_the_payment() -> None:
    for last in ("none", "card", "pin"):
        bench = bench_in(State.AWAITING_OUTCOME)
        message = {
            "none": None,
            "card": digest(bench.sent(CardEnvelope)[0]),
            "pin": digest(bench.sent(PinEnvelope)[0]),
        }[last]
        bench.bring(bench.refused(last_message=message))
        assert bench.screen == screens.NotSettled(BILL, NotSettled.INSUFFICIENT_FUNDS)


def test_nothing_sent_means_nothing_approved() -> None:
    bench = bench_in(State.AWAITING_SWIPE)
    bench.bring(bench.approval())
    assert bench.state is State.AWAITING_SWIPE
    bench.bring(bench.refused(reason=NotSettled.CANCELLED_BY_MERCHANT))
    assert bench.screen == screens.NotSettled(BILL, NotSettled.CANCELLED_BY_MERCHANT)


@pytest.mark.parametrize("state", [*PAYING, State.GREETED], ids=lambda s: s.name)
def test_a_dropped_link_keeps_the_payment_for_the_resume_window(state: State) -> None:
    bench = bench_in(state)
    deadline = bench.session.deadline()
    bench.do(bench.session.link_lost(bench.now))
    assert bench.state is state
    bench.now += 29.9
    bench.do(bench.session.link_resumed(bench.now))
    assert bench.state is state
    assert bench.session.deadline() == deadline


@pytest.mark.parametrize(
    ("state", "screen"),
    [
        (State.AWAITING_SWIPE, screens.NotSettled(BILL, screens.EndedHere.CONNECTION_LOST)),
        (State.ENTERING_PIN, screens.NotSettled(BILL, screens.EndedHere.CONNECTION_LOST)),
        (State.AWAITING_PIN_REQUEST, screens.Unknown(BILL)),
        (State.AWAITING_OUTCOME, screens.Unknown(BILL)),
        (State.REFUSED, screens.NotSettled(BILL, NotSettled.REFUSED_USER_CANCELLED)),
    ],
    ids=lambda value: value.name if isinstance(value, State) else "",
)
@pytest.mark.parametrize("how", ["resume_window_over", "new_session"])
def test_a_phone_that_does_not_come_back_ends_the_payment(
    state: State, screen: screens.Screen, how: str
) -> None:
    bench = bench_in(state)
    if how == "new_session":
        bench.greet(OTHER_NONCE)
        assert bench.state is State.GREETED
    else:
        bench.do(bench.session.link_lost(bench.now))
        bench.now += 30
        bench.do(bench.session.session_over(bench.now))
        assert fx.ForgetSession() in bench.effects
    assert bench.screen == screen
    assert fx.ForgetSession() not in bench.effects or how == "resume_window_over"
    assert bench.memory()["_payment"] is None, "the offer and its key are forgotten"
    assert bool(bench.session.owed) is (state is not State.AWAITING_SWIPE)


def test_the_key_is_not_forgotten_before_the_resume_window_is_over() -> None:
    bench = bench_in(State.AWAITING_SWIPE)
    bench.do(bench.session.link_lost(bench.now))
    bench.now += 29.9
    assert bench.session.handle_timer(bench.now) == []
    bench.now += 0.1
    assert fx.ForgetSession() in bench.session.handle_timer(bench.now)


def test_at_most_eight_owed_payments_are_remembered() -> None:
    bench = Bench()
    for number in range(10):
        nonce = bytes([number + 1]) * 16
        bench.greet(nonce)  # type: ignore[arg-type]
        bench.offer = signed_offer(nonce=nonce)
        bench.take_offer()
        bench.cancel()
    bench.greet(OTHER_NONCE)
    assert len(bench.session.owed) == 8


def test_nothing_an_effect_prints_opens_or_repeats_a_message() -> None:
    bench = bench_in(State.SHOWING_RESULT)
    printed = repr(bench.effects)
    assert "payload" not in printed
    assert PAYMENT_KEY.public_key[:4].hex() not in printed


def test_what_was_sent_is_kept_before_it_is_sent() -> None:
    for state in (State.SEALING_CARD, State.SEALING_PIN, State.AWAITING_SWIPE):
        bench = bench_in(state)
        effects = {
            State.SEALING_CARD: bench.card_sealed,
            State.SEALING_PIN: bench.pin_sealed,
            State.AWAITING_SWIPE: bench.cancel,
        }[state]()
        kinds = [type(effect) for effect in effects]
        assert kinds.index(fx.KeepOwed) < kinds.index(fx.Send)
        kept = next(effect for effect in effects if isinstance(effect, fx.KeepOwed))
        assert kept.records[-1].sent[-1] == bench.last_digest()


@pytest.mark.parametrize(
    ("state", "screen"),
    [
        (State.AWAITING_SWIPE, screens.Idle()),
        (State.AWAITING_PIN_REQUEST, screens.Unknown(BILL)),
        (State.ENTERING_PIN, screens.Idle()),
        (State.AWAITING_OUTCOME, screens.Unknown(BILL)),
        (State.OUTCOME_UNKNOWN, screens.Unknown(BILL)),
        (State.SHOWING_RESULT, screens.Approved(BILL)),
    ],
    ids=lambda value: value.name if isinstance(value, State) else "",
)
def test_a_reader_that_was_unplugged_comes_back_knowing_what_it_owes(
    state: State, screen: screens.Screen
) -> None:
    before = bench_in(state)
    kept = before.all_of(fx.KeepOwed)
    records = kept[-1].records if kept else ()
    assert records == before.session.owed
    after = Bench(owed=records)
    after.do(after.session.opening(after.now))
    assert after.screen == screen
    after.greet(OTHER_NONCE)
    if state in (State.AWAITING_SWIPE, State.SHOWING_RESULT):
        assert len(records) == (state is State.SHOWING_RESULT)
    else:
        after.bring(before.refused(reason=NotSettled.ISSUER_RESTARTED))
        assert after.screen == screens.NotSettled(BILL, NotSettled.ISSUER_RESTARTED)
    if not records:
        return
    after.wait()
    assert after.screen == screens.Idle()
    assert after.all_of(fx.KeepOwed)[-1].records == ()


def test_what_has_been_read_is_not_shown_again_after_a_restart() -> None:
    before = bench_in(State.OUTCOME_UNKNOWN)
    before.do(before.session.enter_typed(before.now))
    after = Bench(owed=before.all_of(fx.KeepOwed)[-1].records)
    after.do(after.session.opening(after.now))
    assert after.screen == screens.Idle()
    after.bring(before.approval())
    assert after.screen == screens.Approved(BILL)


def test_nothing_is_written_when_nothing_is_owed_anew() -> None:
    bench = bench_in(State.GREETED)
    bench.take_offer()
    bench.bad_swipe()
    assert bench.all_of(fx.KeepOwed) == []


@pytest.mark.parametrize("over", ["time", "enter", "phone", "session"])
def test_a_phone_cannot_hide_an_unknown_behind_another_offer(over: str) -> None:
    bench = bench_in(State.GREETED, owed=(owed_payment(),))
    bench.take_offer()
    assert bench.screen == screens.Offer(BILL)
    if over == "phone":
        bench.do(bench.session.phone_cancelled(bench.now))
        bench.do(bench.session.enter_typed(bench.now))
    elif over == "session":
        bench.greet(OTHER_NONCE)
        assert bench.screen == screens.NotSettled(BILL, screens.EndedHere.CONNECTION_LOST)
        bench.do(bench.session.enter_typed(bench.now))  # closes what is on the display, and that alone
    else:
        bench.wait()  # nobody swipes
        bench.bring(bench.refused())
        bench.wait() if over == "time" else bench.do(bench.session.enter_typed(bench.now))
    assert bench.screen == screens.Unknown(OLD_BILL)
    bench.do(bench.session.enter_typed(bench.now))
    assert bench.screen == screens.Idle()


def test_who_swipes_for_another_payment_has_read_the_unknown() -> None:
    bench = bench_in(State.AWAITING_PIN_REQUEST, owed=(owed_payment(),))
    assert [record.unknown for record in bench.session.owed] == [False, True]
    bench.bring(bench.refused())
    bench.wait()
    assert bench.screen == screens.Idle()


@pytest.mark.parametrize("state", [State.AWAITING_OUTCOME, State.OUTCOME_UNKNOWN, State.SHOWING_RESULT])
@pytest.mark.parametrize("paid", [True, False], ids=["approved", "not settled"])
def test_a_result_is_not_shown_once_the_person_has_swiped_for_another_payment(
    state: State, paid: bool
) -> None:
    """One shop, one price: the person would take yesterday's 'not paid' for today's, and pay once more."""
    bench = bench_in(state, owed=(owed_payment(),))
    before = bench.screen
    old = bench.approval if paid else bench.refused
    bench.bring(old(offer=OLD_OFFER, last_message=OLD_MESSAGE))
    assert bench.screen == before
    assert bench.state is state
    assert OLD_OFFER not in [record.offer for record in bench.session.owed]


@pytest.mark.parametrize("settled", [True, False], ids=["settled", "in hand"])
def test_nor_after_the_power_went_meanwhile(settled: bool) -> None:
    """The newer payment may be in no file any more: what was swiped over says so itself."""
    before = bench_in(State.AWAITING_PIN_REQUEST, owed=(owed_payment(),))
    if settled:
        before.bring(before.refused())
        before.wait()
    bench = bench_in(State.IDLE, owed=before.all_of(fx.KeepOwed)[-1].records)
    bench.do(bench.session.opening(bench.now))
    screen = bench.screen
    assert isinstance(screen, screens.Idle if settled else screens.Unknown)
    bench.bring(bench.approval(offer=OLD_OFFER, last_message=OLD_MESSAGE))
    assert bench.screen == screen
    assert OLD_OFFER not in [record.offer for record in bench.session.owed]


def test_the_swipe_itself_is_what_makes_a_result_past() -> None:
    """Whenever the power goes after it: it is in the file before anything is sealed."""
    bench = bench_in(State.AWAITING_SWIPE, owed=(owed_payment(),))
    effects = bench.swipe()
    assert [type(effect) for effect in effects] == [fx.KeepOwed, fx.DisarmSwiper, fx.SealCard]
    [record] = bench.all_of(fx.KeepOwed)[-1].records
    assert (record.past, record.unknown) == (True, False)


@pytest.mark.parametrize("unknown", [True, False])
def test_nor_after_a_restart(unknown: bool) -> None:
    newer = dataclasses.replace(newer_payment(), unknown=unknown)
    bench = bench_in(State.IDLE, owed=(dataclasses.replace(owed_payment(), unknown=unknown), newer))
    bench.do(bench.session.opening(bench.now))
    bench.bring(bench.refused(offer=OLD_OFFER, last_message=OLD_MESSAGE))
    assert bench.screen == (screens.Unknown(OLD_BILL) if unknown else screens.Idle())
    assert bench.session.owed == (newer,)  # of a file with two, the newer is the one swiped for last
    bench.bring(bench.approval(offer=NEWER_OFFER, last_message=NEWER_MESSAGE))
    assert bench.screen == screens.Approved(OLD_BILL)


def test_after_a_restart_the_unknown_is_shown_though_a_later_payment_was_refused() -> None:
    refused = dataclasses.replace(newer_payment(), unknown=False, past=True)
    bench = bench_in(State.IDLE, owed=(owed_payment(), refused))
    bench.do(bench.session.opening(bench.now))
    assert bench.screen == screens.Unknown(OLD_BILL)
    bench.bring(bench.approval(offer=OLD_OFFER, last_message=OLD_MESSAGE))
    assert bench.screen == screens.Approved(OLD_BILL)


def test_a_result_that_was_closed_needs_no_clock_any_more() -> None:
    bench = bench_in(State.SHOWING_RESULT)
    bench.do(bench.session.enter_typed(bench.now))
    assert bench.screen == screens.Idle()
    assert bench.session.deadline() is None
