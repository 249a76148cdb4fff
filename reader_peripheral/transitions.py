"""The reader's state machine as data: state x event -> state and effects; session.py reads it.

What is not listed here does not happen: `TransitionTable.step` refuses it by name. Phones and people may do
anything at any time, so session.py asks first whether such an event is listed and drops it where it is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from protocol.transition_table import Move, TransitionTable


class State(Enum):
    """Where a payment stands, seen from the reader."""

    IDLE = "idle"  # no live nonce: nothing can be offered
    GREETED = "greeted"  # hello sent, its nonce takes one offer
    AWAITING_SWIPE = "awaiting_swipe"
    SEALING_CARD = "sealing_card"
    AWAITING_PIN_REQUEST = "awaiting_pin_request"
    ENTERING_PIN = "entering_pin"
    SEALING_PIN = "sealing_pin"
    AWAITING_OUTCOME = "awaiting_outcome"
    REFUSED = "refused"  # our refusal is out; the outcome is still awaited
    SHOWING_RESULT = "showing_result"
    OUTCOME_UNKNOWN = "outcome_unknown"


class Event(Enum):
    """What can happen: at the link, at the keypad, at the swiper, by the clock, inside the reader."""

    SESSION_STARTED = "session_started"
    LINK_LOST = "link_lost"
    LINK_RESUMED = "link_resumed"
    SESSION_OVER = "session_over"  # the resume window ran out, or the link cannot resume
    PHONE_CANCELLED = "phone_cancelled"
    OFFER_ACCEPTED = "offer_accepted"
    OFFER_REJECTED = "offer_rejected"
    PIN_REQUESTED = "pin_requested"
    OUTCOME = "outcome"  # of the payment in hand, verified
    EARLIER_OUTCOME = "earlier_outcome"  # of a payment left without one, verified
    PAST_OUTCOME = "past_outcome"  # likewise, and it is not the one that the person swiped for last
    CARD_READ = "card_read"
    SWIPE_BAD = "swipe_bad"
    SWIPE_BAD_LAST = "swipe_bad_last"
    OFFER_TIME_UP = "offer_time_up"
    CARD_SEALED = "card_sealed"
    DIGIT = "digit"
    DIGIT_TOO_MANY = "digit_too_many"
    DIGIT_CLEARED = "digit_cleared"
    PIN_TOO_SHORT = "pin_too_short"
    PIN_COMPLETE = "pin_complete"
    PIN_TIME_UP = "pin_time_up"
    PIN_SEALED = "pin_sealed"
    READER_FAILED = "reader_failed"  # it could not seal, or not show what a person must see
    USER_CANCELLED = "user_cancelled"
    USER_CONFIRMED = "user_confirmed"  # Enter outside PIN entry: the result has been read
    ANSWER_TIME_UP = "answer_time_up"
    RESULT_TIME_UP = "result_time_up"


class Effect(Enum):
    """Names of what a move does; session.py turns each into effect values."""

    GREET = "greet"
    REFUSE_OFFER = "refuse_offer"
    TAKE_OFFER = "take_offer"
    ARM_SWIPER = "arm_swiper"
    DISARM_SWIPER = "disarm_swiper"
    SHOW_READY = "show_ready"
    SHOW_OFFER = "show_offer"
    SHOW_BAD_SWIPE = "show_bad_swipe"
    SHOW_WORKING = "show_working"
    SHOW_PIN = "show_pin"
    SHOW_CANCELLING = "show_cancelling"
    SHOW_RESULT = "show_result"
    SHOW_ENDED = "show_ended"
    SHOW_UNKNOWN = "show_unknown"
    SEAL_CARD = "seal_card"
    SEND_CARD = "send_card"
    TAKE_PIN_REQUEST = "take_pin_request"
    KEEP_DIGIT = "keep_digit"
    DROP_DIGIT = "drop_digit"
    HINT_TOO_LONG = "hint_too_long"
    HINT_TOO_SHORT = "hint_too_short"
    END_PIN_ENTRY = "end_pin_entry"
    SEAL_PIN = "seal_pin"
    SEND_PIN = "send_pin"
    SEND_REFUSAL = "send_refusal"
    AWAIT_RETURN = "await_return"
    RETURNED = "returned"
    OWE_OUTCOME = "owe_outcome"
    CLOSE = "close"  # what is on the display has been read
    FORGET_PAYMENT = "forget_payment"
    FORGET_SESSION = "forget_session"


S, E, F = State, Event, Effect
_Row = dict[tuple[State, Event], Move[State, Effect]]

# States with a payment in hand that a dropped link interrupts but does not end.
INTERRUPTIBLE = (
    S.GREETED,
    S.AWAITING_SWIPE,
    S.AWAITING_PIN_REQUEST,
    S.ENTERING_PIN,
    S.AWAITING_OUTCOME,
    S.REFUSED,
)
# States in which no payment is in hand.
_RESTING = (S.IDLE, S.SHOWING_RESULT, S.OUTCOME_UNKNOWN)
# Sealing happens within one turn of the loop: nothing from outside can fall into these two.
_INSIDE = (S.SEALING_CARD, S.SEALING_PIN)

# The swipe and the PIN stop being wanted, whatever comes next. Both are harmless where neither was.
_STOP_INPUT = (F.DISARM_SWIPER, F.END_PIN_ENTRY)
# What is on the display has been read: next what has not been, or 'ready'.
_READ = (F.CLOSE, F.SHOW_READY)


def _go(state: State, *effects: Effect) -> Move[State, Effect]:
    return Move(state, effects)


def _link_rows() -> _Row:
    """A dropped link keeps the payment for the resume window (section 6); a new session ends it."""
    rows: _Row = {}
    for state in INTERRUPTIBLE:
        rows[state, E.LINK_LOST] = _go(state, F.AWAIT_RETURN)
        rows[state, E.LINK_RESUMED] = _go(state, F.RETURNED)
    for state in _RESTING:
        rows[state, E.LINK_LOST] = _go(state)
        rows[state, E.LINK_RESUMED] = _go(state)
        # What the display says of the payment before stays until it is read or an offer stands before it.
        rows[state, E.SESSION_STARTED] = _go(S.GREETED, F.GREET)
    rows[S.GREETED, E.SESSION_STARTED] = _go(S.GREETED, F.RETURNED, F.GREET)
    rows[S.GREETED, E.SESSION_OVER] = _go(S.IDLE, F.FORGET_SESSION)

    over = (F.OWE_OUTCOME, F.FORGET_PAYMENT)
    for state in (S.AWAITING_SWIPE, S.ENTERING_PIN, S.REFUSED):
        # No PIN envelope is out unanswered, so nothing can settle: the reader may say so.
        ended = (*_STOP_INPUT, F.SHOW_ENDED, *over)
        rows[state, E.SESSION_STARTED] = _go(S.GREETED, *ended, F.GREET)
        rows[state, E.SESSION_OVER] = _go(S.SHOWING_RESULT, *ended, F.FORGET_SESSION)
    for state in (S.AWAITING_PIN_REQUEST, S.AWAITING_OUTCOME):
        rows[state, E.SESSION_STARTED] = _go(S.GREETED, F.SHOW_UNKNOWN, *over, F.GREET)
        rows[state, E.SESSION_OVER] = _go(S.OUTCOME_UNKNOWN, F.SHOW_UNKNOWN, *over, F.FORGET_SESSION)

    rows[S.GREETED, E.PHONE_CANCELLED] = _go(S.GREETED)
    # Later than this the card is out, and a cancelling phone could hide a settled payment: not listed.
    rows[S.AWAITING_SWIPE, E.PHONE_CANCELLED] = _go(S.SHOWING_RESULT, *_STOP_INPUT, F.SHOW_ENDED, *over)
    return rows


def _issuer_rows() -> _Row:
    """What the issuer signed, and offers that are refused with everything else kept."""
    rows: _Row = {}
    for state in State:
        if state not in _INSIDE:
            rows[state, E.OFFER_REJECTED] = _go(state, F.REFUSE_OFFER)
    rows[S.GREETED, E.OFFER_ACCEPTED] = _go(S.AWAITING_SWIPE, F.TAKE_OFFER, F.SHOW_OFFER, F.ARM_SWIPER)
    take_request = (F.TAKE_PIN_REQUEST, F.SHOW_PIN)
    rows[S.AWAITING_PIN_REQUEST, E.PIN_REQUESTED] = _go(S.ENTERING_PIN, *take_request)
    rows[S.AWAITING_OUTCOME, E.PIN_REQUESTED] = _go(S.ENTERING_PIN, *take_request)
    for state in INTERRUPTIBLE:
        if state is not S.GREETED:
            rows[state, E.OUTCOME] = _go(S.SHOWING_RESULT, *_STOP_INPUT, F.SHOW_RESULT, F.FORGET_PAYMENT)
    for state in (S.AWAITING_SWIPE, S.REFUSED):
        rows[state, E.EARLIER_OUTCOME] = _go(state)  # the payment in hand keeps the display until it is over
    rows[S.GREETED, E.EARLIER_OUTCOME] = _go(S.GREETED, F.SHOW_RESULT)
    for state in _RESTING:
        rows[state, E.EARLIER_OUTCOME] = _go(S.SHOWING_RESULT, F.SHOW_RESULT)
    for state in (*_RESTING, *INTERRUPTIBLE):
        # Of two payments at one shop and one price nobody could tell whose result is shown.
        rows[state, E.PAST_OUTCOME] = _go(state)
    return rows


def _card_rows() -> _Row:
    """The swipe (S35, S36)."""
    refuse = (F.DISARM_SWIPER, F.SEND_REFUSAL, F.SHOW_CANCELLING)
    return {
        (S.AWAITING_SWIPE, E.CARD_READ): _go(S.SEALING_CARD, F.DISARM_SWIPER, F.SEAL_CARD),
        (S.AWAITING_SWIPE, E.SWIPE_BAD): _go(S.AWAITING_SWIPE, F.SHOW_BAD_SWIPE, F.ARM_SWIPER),
        (S.AWAITING_SWIPE, E.SWIPE_BAD_LAST): _go(S.REFUSED, *refuse),
        (S.AWAITING_SWIPE, E.OFFER_TIME_UP): _go(S.REFUSED, *refuse),
        (S.AWAITING_SWIPE, E.USER_CANCELLED): _go(S.REFUSED, *refuse),
        (S.AWAITING_SWIPE, E.READER_FAILED): _go(S.REFUSED, *refuse),
        (S.SEALING_CARD, E.CARD_SEALED): _go(S.AWAITING_PIN_REQUEST, F.SEND_CARD, F.SHOW_WORKING),
        (S.SEALING_CARD, E.READER_FAILED): _go(S.REFUSED, F.SEND_REFUSAL, F.SHOW_CANCELLING),
        (S.AWAITING_PIN_REQUEST, E.USER_CANCELLED): _go(S.REFUSED, F.SEND_REFUSAL, F.SHOW_CANCELLING),
        (S.AWAITING_PIN_REQUEST, E.ANSWER_TIME_UP): _go(
            S.OUTCOME_UNKNOWN, F.SHOW_UNKNOWN, F.OWE_OUTCOME, F.FORGET_PAYMENT
        ),
    }


def _pin_rows() -> _Row:
    """The PIN (S40, S41)."""
    refuse = (F.END_PIN_ENTRY, F.SEND_REFUSAL, F.SHOW_CANCELLING)
    here = S.ENTERING_PIN
    return {
        (here, E.DIGIT): _go(here, F.KEEP_DIGIT, F.SHOW_PIN),
        (here, E.DIGIT_TOO_MANY): _go(here, F.HINT_TOO_LONG, F.SHOW_PIN),
        (here, E.DIGIT_CLEARED): _go(here, F.DROP_DIGIT, F.SHOW_PIN),
        (here, E.PIN_TOO_SHORT): _go(here, F.HINT_TOO_SHORT, F.SHOW_PIN),
        (here, E.PIN_COMPLETE): _go(S.SEALING_PIN, F.SEAL_PIN, F.END_PIN_ENTRY),
        (here, E.PIN_TIME_UP): _go(S.REFUSED, *refuse),
        (here, E.USER_CANCELLED): _go(S.REFUSED, *refuse),
        (here, E.READER_FAILED): _go(S.REFUSED, *refuse),
        (S.SEALING_PIN, E.PIN_SEALED): _go(S.AWAITING_OUTCOME, F.SEND_PIN, F.SHOW_WORKING),
        (S.SEALING_PIN, E.READER_FAILED): _go(S.REFUSED, F.SEND_REFUSAL, F.SHOW_CANCELLING),
    }


def _ending_rows() -> _Row:
    """Waiting for the outcome, and what is shown when it is there or when it is not."""
    return {
        (S.AWAITING_OUTCOME, E.ANSWER_TIME_UP): _go(
            S.OUTCOME_UNKNOWN, F.SHOW_UNKNOWN, F.OWE_OUTCOME, F.FORGET_PAYMENT
        ),
        (S.REFUSED, E.ANSWER_TIME_UP): _go(S.SHOWING_RESULT, F.SHOW_ENDED, F.OWE_OUTCOME, F.FORGET_PAYMENT),
        (S.SHOWING_RESULT, E.RESULT_TIME_UP): _go(S.IDLE, *_READ),
        (S.SHOWING_RESULT, E.USER_CONFIRMED): _go(S.IDLE, *_READ),
        # A phone may come, or come and go, while the result is still on the display. Another's offer may have
        # stood before it: then it is shown in these states.
        (S.IDLE, E.RESULT_TIME_UP): _go(S.IDLE, *_READ),
        (S.IDLE, E.USER_CONFIRMED): _go(S.IDLE, *_READ),
        (S.GREETED, E.RESULT_TIME_UP): _go(S.GREETED, *_READ),
        (S.GREETED, E.USER_CONFIRMED): _go(S.GREETED, *_READ),
        (S.OUTCOME_UNKNOWN, E.USER_CONFIRMED): _go(S.IDLE, *_READ),
    }


def _all_rows() -> Mapping[tuple[State, Event], Move[State, Effect]]:
    rows: _Row = {}
    for part in (_link_rows(), _issuer_rows(), _card_rows(), _pin_rows(), _ending_rows()):
        twice = rows.keys() & part.keys()
        if twice:
            raise ValueError(f"listed twice: {sorted((s.value, e.value) for s, e in twice)}")
        rows |= part
    return rows


TABLE: TransitionTable[State, Event, Effect] = TransitionTable(
    role="reader", initial=State.IDLE, moves=_all_rows(), terminal=frozenset()
)
