"""The issuer's payment table: every state with every event, every deadline, every reason, who is told."""

from __future__ import annotations

import itertools
from typing import TypeAlias

import pytest

from issuer_server.payment import (
    DEADLINE_EVENTS,
    ENDINGS,
    FINAL_STATES,
    NOT_SETTLED_REASONS,
    PAYMENT_TABLE,
    REFUSAL_EVENTS,
    Deadlines,
    Effect,
    PaymentEvent,
    PaymentState,
)
from protocol.errors import IllegalTransition
from protocol.messages import REFUSAL_REASONS, NotSettled, RefusalReason
from protocol.transition_table import to_mermaid

S: TypeAlias = PaymentState
E: TypeAlias = PaymentEvent
F: TypeAlias = Effect

FORWARD = {
    (S.REQUESTED, E.PHONE_REACHED): S.CALLING,
    (S.CALLING, E.PHONE_RETURNED): S.CALLING,
    (S.CALLING, E.APPROVED): S.APPROVED,
    (S.APPROVED, E.READER_ACCEPTED): S.KEY_OFFERED,
    (S.KEY_OFFERED, E.CARD_ARRIVED): S.CARD_RECEIVED,
    (S.CARD_RECEIVED, E.CARD_OPENED): S.CARD_RECEIVED,
    (S.CARD_RECEIVED, E.CARD_ACCEPTED): S.CARD_RECEIVED,
    (S.CARD_RECEIVED, E.FUNDS_HELD): S.PIN_REQUESTED,
    (S.PIN_REQUESTED, E.PIN_ARRIVED): S.SETTLING,
    (S.SETTLING, E.PIN_OPENED): S.SETTLING,
    (S.SETTLING, E.PIN_RIGHT): S.SETTLING,
    (S.SETTLING, E.PIN_WRONG_TRY_AGAIN): S.PIN_REQUESTED,
    (S.SETTLING, E.SETTLED): S.COMPLETED,
}

R, C, A, K, D, P, T = (
    S.REQUESTED,
    S.CALLING,
    S.APPROVED,
    S.KEY_OFFERED,
    S.CARD_RECEIVED,
    S.PIN_REQUESTED,
    S.SETTLING,
)

# By hand, not taken from the table: event, the states that it ends, those where the phone is told.
ENDS: dict[E, tuple[set[S], set[S]]] = {
    E.CALL_TIME_OVER: ({R}, set()),
    E.DECLINED: ({C, A, K, D, P}, {A, K, D, P}),
    E.PHONE_TIMED_OUT: ({C}, set()),
    E.APPROVAL_TIME_OVER: ({C}, set()),
    E.READER_UNKNOWN: ({A}, {A}),
    E.READER_BLOCKED: ({A, T}, {A, T}),
    E.READER_NOT_CARDHOLDERS: ({A}, {A}),
    E.READER_UNAVAILABLE: ({C, A, K, D, P}, {C, A, K, D, P}),
    E.CARD_TIME_OVER: ({K}, set()),
    E.CARD_UNKNOWN: ({D}, {D}),
    E.CARD_EXPIRED: ({D}, {D}),
    E.CARD_BLOCKED: ({D, T}, {D, T}),
    E.CARD_NOT_CARDHOLDERS: ({D}, {D}),
    E.PIN_TIME_OVER: ({P}, {P}),
    E.PIN_WRONG: ({T}, {T}),
    E.PIN_BLOCKED: ({D, T}, {D, T}),
    E.ENVELOPE_UNOPENABLE: ({D, T}, {D, T}),
    E.RESEAL_DIFFERS: ({D, T}, {D, T}),
    E.REFUSED_USER_CANCELLED: ({K, D, P}, {K, D, P}),
    E.REFUSED_NO_SWIPE: ({K, D, P}, {K, D, P}),
    E.REFUSED_UNREADABLE_CARD: ({K, D, P}, {K, D, P}),
    E.REFUSED_NO_PIN: ({K, D, P}, {K, D, P}),
    E.REFUSED_BUSY: ({K, D, P}, {K, D, P}),
    E.REFUSED_OFFER_REJECTED: ({K, D, P}, {K, D, P}),
    E.REFUSED_READER_FAULT: ({K, D, P}, {K, D, P}),
    E.FUNDS_INSUFFICIENT: ({D, T}, {D, T}),
    E.CANCELLED_BY_MERCHANT: ({R, C, A, K, D, P}, {C, A, K, D, P}),
    E.PHONE_LOST_PAYMENT: ({A, K, D, P}, {A, K, D, P}),
    E.ISSUER_STOPPING: ({R, C, A, K, D, P, T}, {C, A, K, D, P, T}),
    E.FAULT: ({R, C, A, K, D, P, T}, {C, A, K, D, P, T}),
}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(S, E)))
def test_every_state_and_event_is_listed_or_refused(state: S, event: E) -> None:
    if (state, event) in FORWARD:
        assert PAYMENT_TABLE.step(state, event).to is FORWARD[state, event]
    elif event in ENDS and state in ENDS[event][0]:
        assert PAYMENT_TABLE.step(state, event).to is S.NOT_SETTLED
    else:
        with pytest.raises(IllegalTransition) as refusal:
            PAYMENT_TABLE.step(state, event)
        assert state.name in str(refusal.value)
        assert event.name in str(refusal.value)


def test_no_money_is_held_or_weighed_on_the_phones_word_alone() -> None:
    """An approval is the phone's word; a card that the issuer accepts came in a reader's signed envelope."""
    moves = [(state, event) for state, event in itertools.product(S, E) if PAYMENT_TABLE.allows(state, event)]
    holding = [m for m in moves if F.HOLD_FUNDS in PAYMENT_TABLE.step(*m).effects]
    assert holding == [(S.CARD_RECEIVED, E.CARD_ACCEPTED)]
    weighed = {state for state, event in moves if event is E.FUNDS_INSUFFICIENT}
    assert weighed == {S.CARD_RECEIVED, S.SETTLING}


def test_nothing_settles_without_a_pin_that_was_right() -> None:
    """The reader says 'not paid' where it leaves a payment before its PIN is out: that must be true."""
    moves = [(state, event) for state, event in itertools.product(S, E) if PAYMENT_TABLE.allows(state, event)]
    assert [m for m in moves if F.SETTLE in PAYMENT_TABLE.step(*m).effects] == [(S.SETTLING, E.PIN_RIGHT)]
    into = [m for m in moves if m[0] is not S.SETTLING and PAYMENT_TABLE.step(*m).to is S.SETTLING]
    assert into == [(S.PIN_REQUESTED, E.PIN_ARRIVED)]


@pytest.mark.parametrize("event", ENDS)
def test_each_ending_tells_exactly_whom_the_patent_names(event: E) -> None:
    for state in ENDS[event][0]:
        effects = PAYMENT_TABLE.step(state, event).effects
        told = state in ENDS[event][1]
        assert F.TELL_MERCHANT in effects
        assert (F.TELL_PHONE in effects) is told, state
        assert (F.SEND_OUTCOME in effects) is (told and state in {K, D, P, T}), state


@pytest.mark.parametrize("event", ENDS)
def test_every_ending_drops_the_keys_first_and_commits_before_telling(event: E) -> None:
    for state in ENDS[event][0]:
        effects = PAYMENT_TABLE.step(state, event).effects
        assert effects[:2] == (F.DROP_KEYS, F.STORE)
        assert effects[-1] is F.TELL_MERCHANT


def test_completion_drops_the_keys_and_tells_everybody() -> None:
    move = PAYMENT_TABLE.step(S.SETTLING, E.SETTLED)
    assert move.effects == (F.DROP_KEYS, F.SEND_OUTCOME, F.TELL_PHONE, F.TELL_MERCHANT)


def test_every_reason_has_an_event_and_every_ending_event_has_one_reason() -> None:
    assert set(NOT_SETTLED_REASONS.values()) == set(NotSettled)
    assert set(NOT_SETTLED_REASONS) == set(ENDS)
    for event in NOT_SETTLED_REASONS:
        assert len({ending.reason for ending in ENDINGS if ending.event is event}) == 1


def test_every_event_is_used() -> None:
    assert {event for _, event in PAYMENT_TABLE.moves} == set(E)


def test_what_a_move_waits_for_is_its_last_effect() -> None:
    # These effects find the next event: nothing listed after one of them would ever be carried out.
    finding = {
        F.LOOK_UP_READER,
        F.OPEN_CARD,
        F.LOOK_UP_CARD,
        F.HOLD_FUNDS,
        F.OPEN_PIN,
        F.CHECK_PIN,
        F.SETTLE,
    }
    for move in PAYMENT_TABLE.moves.values():
        assert not finding & set(move.effects[:-1])


def test_nothing_is_sent_before_its_state_is_stored() -> None:
    for (_, event), move in PAYMENT_TABLE.moves.items():
        for send in {F.SEND_KEY_OFFER, F.SEND_PIN_REQUEST} & set(move.effects):
            # a hold is committed with the state that it leads to
            assert event is E.FUNDS_HELD or move.effects.index(F.STORE) < move.effects.index(send)


@pytest.mark.parametrize("state", S)
def test_a_state_waits_exactly_where_it_has_a_deadline(state: S) -> None:
    waiting = state in DEADLINE_EVENTS
    assert waiting is (state in {R, C, K, P})
    assert (Deadlines().of(state) is not None) is waiting
    if waiting:
        assert PAYMENT_TABLE.step(state, DEADLINE_EVENTS[state]).to is S.NOT_SETTLED


@pytest.mark.parametrize(("state", "name"), [(R, "call"), (C, "approval"), (K, "card"), (P, "pin")])
@pytest.mark.parametrize("seconds", [0, -1, 601])
def test_deadlines_are_checked(state: S, name: str, seconds: float) -> None:
    assert Deadlines(**{name: 17.5}).of(state) == 17.5
    with pytest.raises(ValueError, match=name):
        Deadlines(**{name: seconds})


@pytest.mark.parametrize("reason", RefusalReason)
def test_a_readers_refusal_keeps_its_name(reason: RefusalReason) -> None:
    assert NOT_SETTLED_REASONS[REFUSAL_EVENTS[reason]] is REFUSAL_REASONS[reason]


def test_final_states_are_final() -> None:
    assert {state for state in S if state.is_final} == FINAL_STATES == PAYMENT_TABLE.terminal


def test_the_table_draws() -> None:
    drawing = to_mermaid(PAYMENT_TABLE)
    assert all(state.name in drawing for state in S)
