"""The reader's machine, every state with every event: carried out, or refused with nothing changed."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from protocol.errors import IllegalTransition
from protocol.messages import MessageType
from protocol.signing import sign_message
from protocol.transition_table import to_mermaid
from reader_peripheral import effects as fx
from reader_peripheral.screens import PinHint
from reader_peripheral.transitions import TABLE, Event, State
from tests.machines.reader_bench import (
    OLD_MESSAGE,
    OLD_OFFER,
    OTHER_NONCE,
    STRANGER,
    Bench,
    bench_in,
    key_offer,
    newer_payment,
    owed_payment,
)

PAIRS = list(itertools.product(State, Event))


@pytest.mark.parametrize(("state", "event"), PAIRS, ids=lambda value: value.name)
def test_each_pair_is_listed_or_refused_by_name(state: State, event: Event) -> None:
    if TABLE.allows(state, event):
        assert TABLE.step(state, event).to in State
        return
    with pytest.raises(IllegalTransition) as refusal:
        TABLE.step(state, event)
    assert "reader" in str(refusal.value)
    assert state.name in str(refusal.value)
    assert event.name in str(refusal.value)


def _type_digits(count: int) -> Callable[[Bench], list[fx.Effects]]:
    def act(bench: Bench) -> list[fx.Effects]:
        effects: list[fx.Effects] = []
        for _ in range(count):
            effects = bench.do(bench.session.digit_typed(bench.now))
        return effects

    return act


def _enter_after(digits: int) -> Callable[[Bench], list[fx.Effects]]:
    def act(bench: Bench) -> list[fx.Effects]:
        _type_digits(digits)(bench)
        return bench.do(bench.session.enter_typed(bench.now))

    return act


def _late_approval(bench: Bench) -> bytes:
    """Of the payment that was left last."""
    if bench.state is State.OUTCOME_UNKNOWN:
        return bench.approval()
    return bench.approval(offer=OLD_OFFER, last_message=OLD_MESSAGE)


# How the world makes each event happen. Clock events are provoked where the table lists them, by waiting.
PROVOKE: dict[Event, Callable[[Bench], list[fx.Effects]]] = {
    Event.SESSION_STARTED: lambda b: b.greet(OTHER_NONCE),
    Event.LINK_LOST: lambda b: b.do(b.session.link_lost(b.now)),
    Event.LINK_RESUMED: lambda b: b.do(b.session.link_resumed(b.now)),
    Event.SESSION_OVER: lambda b: b.do(b.session.session_over(b.now)),
    Event.PHONE_CANCELLED: lambda b: b.do(b.session.phone_cancelled(b.now)),
    Event.OFFER_ACCEPTED: lambda b: b.take_offer(),
    Event.OFFER_REJECTED: lambda b: b.take_offer(sign_message(STRANGER, key_offer())),
    Event.PIN_REQUESTED: lambda b: b.ask_pin(),
    Event.OUTCOME: lambda b: b.bring(b.refused()),
    Event.EARLIER_OUTCOME: lambda b: b.bring(_late_approval(b)),
    Event.PAST_OUTCOME: lambda b: b.bring(b.approval(offer=OLD_OFFER, last_message=OLD_MESSAGE)),
    Event.CARD_READ: lambda b: b.swipe(),
    Event.SWIPE_BAD: lambda b: b.bad_swipe(),
    Event.SWIPE_BAD_LAST: lambda b: b.bad_swipe(),
    Event.CARD_SEALED: lambda b: b.card_sealed(),
    Event.DIGIT: _type_digits(1),
    Event.DIGIT_TOO_MANY: _type_digits(13),
    Event.DIGIT_CLEARED: lambda b: b.do(b.session.clear_typed(b.now)),
    Event.PIN_TOO_SHORT: _enter_after(3),
    Event.PIN_COMPLETE: _enter_after(4),
    Event.PIN_SEALED: lambda b: b.pin_sealed(),
    Event.READER_FAILED: lambda b: b.do(b.session.reader_failed(b.now)),
    Event.USER_CANCELLED: lambda b: b.cancel(),
    Event.USER_CONFIRMED: lambda b: b.do(b.session.enter_typed(b.now)),
}
CLOCK = {Event.OFFER_TIME_UP, Event.PIN_TIME_UP, Event.ANSWER_TIME_UP, Event.RESULT_TIME_UP}
# Only the reader's own service brings these; at the wrong moment they are a bug, and said to be one.
INSIDE = {Event.CARD_SEALED, Event.PIN_SEALED}
# A link event while sealing is a bug too: sealing happens within one turn of the loop.
SEALING = {State.SEALING_CARD, State.SEALING_PIN}
LINK = {
    Event.SESSION_STARTED,
    Event.LINK_LOST,
    Event.LINK_RESUMED,
    Event.OFFER_REJECTED,
    Event.OUTCOME,
    Event.EARLIER_OUTCOME,
    Event.PAST_OUTCOME,
}


def test_every_event_can_be_provoked() -> None:
    assert set(PROVOKE) | CLOCK == set(Event)


def _bench_for(state: State, event: Event) -> Bench:
    owed = {
        Event.EARLIER_OUTCOME: (owed_payment(),),
        Event.PAST_OUTCOME: (owed_payment(), newer_payment()),
    }.get(event, ())
    swipes = 1 if event is Event.SWIPE_BAD_LAST else 3
    return bench_in(state, owed=owed, swipes=swipes)


@pytest.mark.parametrize(
    ("state", "event"),
    [pair for pair in PAIRS if pair[1] in PROVOKE and TABLE.allows(*pair)],
    ids=lambda value: value.name,
)
def test_a_listed_event_leads_where_the_table_says(state: State, event: Event) -> None:
    bench = _bench_for(state, event)
    assert bench.state is state
    PROVOKE[event](bench)
    assert bench.state is TABLE.step(state, event).to


@pytest.mark.parametrize(
    ("state", "event"),
    [pair for pair in PAIRS if pair[1] in PROVOKE and not TABLE.allows(*pair)],
    ids=lambda value: value.name,
)
def test_an_unlisted_event_changes_nothing(state: State, event: Event) -> None:
    bench = _bench_for(state, event)
    before = bench.memory()
    if event in INSIDE or (state in SEALING and event in LINK):
        with pytest.raises(IllegalTransition):
            PROVOKE[event](bench)
        assert bench.state is state
        return
    if state in SEALING and event is Event.OFFER_ACCEPTED:
        assert bench.take_offer() == [fx.Note("dropped an offer that was taken before")]
        return
    if event is Event.EARLIER_OUTCOME and TABLE.allows(state, Event.PAST_OUTCOME):
        # The swipe has made it a past one.
        assert [type(effect) for effect in PROVOKE[event](bench)] == [fx.KeepOwed]
        return
    effects = PROVOKE[event](bench)
    assert bench.state is _where_the_parts_lead(state, event)
    if bench.state is state and event is not Event.OFFER_ACCEPTED:
        assert not [effect for effect in effects if not isinstance(effect, fx.Note | fx.Show | fx.KeepDigit)]
        assert bench.memory() == before or state is State.ENTERING_PIN


def _where_the_parts_lead(state: State, event: Event) -> State:
    """Digits and Enter reach a PIN entry as other events, and Enter closes what is on the display."""
    if event in (Event.PIN_TOO_SHORT, Event.PIN_COMPLETE) and TABLE.allows(state, Event.USER_CONFIRMED):
        return TABLE.step(state, Event.USER_CONFIRMED).to
    if event is Event.OUTCOME and state is State.OUTCOME_UNKNOWN:
        return State.SHOWING_RESULT  # of that payment: it is an earlier one by now
    if event is Event.SWIPE_BAD_LAST and state is State.AWAITING_SWIPE:
        return State.REFUSED
    return state


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (State.AWAITING_SWIPE, Event.OFFER_TIME_UP),
        (State.ENTERING_PIN, Event.PIN_TIME_UP),
        (State.AWAITING_PIN_REQUEST, Event.ANSWER_TIME_UP),
        (State.AWAITING_OUTCOME, Event.ANSWER_TIME_UP),
        (State.REFUSED, Event.ANSWER_TIME_UP),
        (State.SHOWING_RESULT, Event.RESULT_TIME_UP),
    ],
    ids=lambda value: value.name,
)
def test_the_clock_leads_where_the_table_says(state: State, event: Event) -> None:
    bench = bench_in(state)
    early = bench.memory()
    deadline = bench.session.deadline()
    assert deadline is not None
    assert bench.session.handle_timer(deadline - 0.001) == []
    assert bench.memory() == early
    bench.wait()
    assert bench.state is TABLE.step(state, event).to


@pytest.mark.parametrize("state", [State.IDLE, State.GREETED, State.OUTCOME_UNKNOWN], ids=lambda s: s.name)
def test_where_nothing_is_waited_for_the_clock_does_nothing(state: State) -> None:
    bench = bench_in(state)
    assert bench.session.deadline() is None
    before = bench.memory()
    assert bench.session.handle_timer(bench.now + 1e6) == []
    assert bench.memory() == before


@pytest.mark.parametrize("state", [State.IDLE, State.GREETED], ids=lambda s: s.name)
def test_a_result_goes_by_itself_also_when_a_phone_came_and_went_meanwhile(state: State) -> None:
    bench = bench_in(State.SHOWING_RESULT)
    bench.greet(OTHER_NONCE)
    if state is State.IDLE:
        bench.do(bench.session.session_over(bench.now))
    assert bench.state is state
    bench.wait()
    assert bench.state is state
    assert bench.session.deadline() is None


def test_the_table_can_be_drawn() -> None:
    drawing = to_mermaid(TABLE)
    assert drawing.startswith("stateDiagram-v2")
    assert all(state.name in drawing for state in State)


def test_what_is_not_for_a_reader_is_dropped() -> None:
    bench = bench_in(State.GREETED)
    before = bench.memory()
    for message_type in set(MessageType) - {
        MessageType.KEY_OFFER,
        MessageType.PIN_REQUEST,
        MessageType.OUTCOME,
    }:
        effects = bench.message(message_type, b"anything")
        assert [type(effect) for effect in effects] == [fx.Note]
    assert bench.memory() == before


def test_hints_have_a_text_in_the_machine_only_by_name() -> None:
    assert {hint.value for hint in PinHint} == {"none", "too_long", "too_short"}
