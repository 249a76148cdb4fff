"""The relay's states, events and moves: what the phone does at each step of one payment.

The phone sees only which *kind* of message passes (a key offer, a card envelope …), never what is
in it. Effects are names here; handset_client.relay turns them into values with the bytes in them.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from protocol.transition_table import Move, TransitionTable


class State(Enum):
    """Where one payment stands on the phone."""

    ASKED = auto()
    """The person is deciding (S31); the reader is being looked for meanwhile."""
    ASKED_READER_READY = auto()
    """The person is deciding; the reader's hello is here."""
    APPROVED = auto()
    """The person approved (S33); the reader's hello is not here yet."""
    APPROVAL_SENT = auto()
    """`approve` went to the issuer with the hello; the key offer is awaited (S34)."""
    OFFERED = auto()
    """The key offer went to the reader (S34, S35); the card is awaited."""
    CARD_SENT = auto()
    """The card envelope went to the issuer (S37)."""
    PIN_ASKED = auto()
    """The PIN request went to the reader (S39, S40)."""
    PIN_SENT = auto()
    """The PIN envelope went to the issuer (S42)."""
    CALLED_OFF = auto()
    """The reader refused, or the person changed their mind, after the offer; the outcome is awaited."""
    CALLED_OFF_UNOFFERED = auto()
    """The phone called it off before any offer reached a reader; the result is awaited."""
    READER_GONE = auto()
    """The reader lost a payment that it held an offer for; the outcome is awaited."""
    PIN_SENT_READER_GONE = auto()
    """The reader is lost, but the issuer has all it needs: it may still complete."""
    OUTCOME_WANTED = auto()
    """The issuer forgot the session; it was asked for the outcome that the reader still needs."""
    DELIVERING = auto()
    """The outcome is on its way to the reader (S38, S43); the result is not here yet."""
    DELIVERING_RESULT_SHOWN = auto()
    """The outcome is on its way to the reader; the person has seen the result."""
    RESULT_AWAITED = auto()
    """The reader has its outcome (or it is kept for later); only the result for the screen is missing."""
    RESULT_SHOWN = auto()
    """The person has seen the result; the outcome for the reader is awaited for a short while."""
    ENDED = auto()
    """Nothing more happens for this payment here."""


class Event(Enum):
    """What can happen to a payment on the phone."""

    APPROVE = auto()
    DECLINE = auto()
    COUNTDOWN_OVER = auto()
    READER_READY = auto()
    """A new session with the reader is up and its hello is here."""
    READER_AWAY = auto()
    """The link is down; what the session holds is resumed where the reader still knows it."""
    READER_LOST = auto()
    """The session with the reader is over for good: it forgot it, or was away too long."""
    READER_WAIT_OVER = auto()
    """The person approved, and no reader came in time."""
    KEY_OFFER = auto()
    PIN_REQUEST = auto()
    OUTCOME = auto()
    CARD_ENVELOPE = auto()
    PIN_ENVELOPE = auto()
    REFUSAL = auto()
    OUTCOME_DELIVERED = auto()
    DELIVERY_OVER = auto()
    """The reader did not come back for its outcome in time: it is kept for the next connection."""
    RESULT = auto()
    """The issuer says how the payment ended."""
    PAYMENT_OVER = auto()
    """The issuer's answer to something late: it ended, and no outcome comes unless it is asked for."""
    PAYMENT_UNKNOWN = auto()
    """The issuer's answer that it has no such payment: after an offer nobody can say how it ended."""
    ISSUER_FORGOT = auto()
    """The issuer restarted and knows nothing of our session."""
    PATIENCE_OVER = auto()
    """Nothing came from anybody for longer than every deadline of the issuer."""


class Effect(Enum):
    """What the phone does about it."""

    LOOK_FOR_READER = auto()
    LEAVE_READER = auto()
    KEEP_HELLO = auto()
    SEND_APPROVE = auto()
    SEND_DECLINED = auto()
    SEND_NO_RESPONSE = auto()
    SEND_READER_UNAVAILABLE = auto()
    SEND_OUTCOME_WANTED = auto()
    FORWARD_TO_READER = auto()
    FORWARD_TO_ISSUER = auto()
    REMEMBER_OFFER = auto()
    """Note on disk that this reader will need an outcome, as it gets the offer."""
    KEEP_OUTCOME = auto()
    """The outcome onto disk until the reader has it."""
    DELIVER_OUTCOME = auto()
    """To the reader if it is connected, else look for it."""
    FORGET_OUTCOME = auto()
    START_READER_WAIT = auto()
    START_DELIVERY = auto()
    START_OUTCOME_WAIT = auto()
    SHOW_PROGRESS = auto()
    SHOW_RESULT = auto()
    SHOW_DECLINED = auto()
    SHOW_NO_RESPONSE = auto()
    SHOW_READER_MISSING = auto()
    SHOW_CALLED_OFF = auto()
    SHOW_READER_LOST = auto()
    SHOW_ISSUER_RESTARTED = auto()
    SHOW_UNKNOWN = auto()
    SHOW_SEE_READER = auto()
    SHOW_OUTCOME_KEPT = auto()


def _to(state: State, *effects: Effect) -> Move[State, Effect]:
    return Move(state, effects)


_DECIDING: Final = {
    Event.DECLINE: _to(State.ENDED, Effect.SEND_DECLINED, Effect.SHOW_DECLINED, Effect.LEAVE_READER),
    Event.COUNTDOWN_OVER: _to(
        State.ENDED, Effect.SEND_NO_RESPONSE, Effect.SHOW_NO_RESPONSE, Effect.LEAVE_READER
    ),
    Event.RESULT: _to(State.ENDED, Effect.SHOW_RESULT, Effect.LEAVE_READER),
    Event.PAYMENT_OVER: _to(State.ENDED, Effect.SHOW_RESULT, Effect.LEAVE_READER),
    Event.PAYMENT_UNKNOWN: _to(State.ENDED, Effect.SHOW_RESULT, Effect.LEAVE_READER),
    Event.ISSUER_FORGOT: _to(State.ENDED, Effect.SHOW_ISSUER_RESTARTED, Effect.LEAVE_READER),
}

# The outcome may come at any moment after the offer: the issuer's deadlines and the merchant's cancel.
_AFTER_OFFER: Final = {
    Event.OUTCOME: _to(State.DELIVERING, Effect.KEEP_OUTCOME, Effect.START_DELIVERY, Effect.DELIVER_OUTCOME),
    Event.RESULT: _to(State.RESULT_SHOWN, Effect.SHOW_RESULT, Effect.START_OUTCOME_WAIT),
    Event.PAYMENT_OVER: _to(
        State.RESULT_SHOWN, Effect.SHOW_RESULT, Effect.SEND_OUTCOME_WANTED, Effect.START_OUTCOME_WAIT
    ),
    # The card may have been charged: whoever lost its memory of that must not make a person pay again.
    Event.PAYMENT_UNKNOWN: _to(State.ENDED, Effect.SHOW_UNKNOWN, Effect.LEAVE_READER),
    Event.ISSUER_FORGOT: _to(State.OUTCOME_WANTED, Effect.SEND_OUTCOME_WANTED, Effect.SHOW_PROGRESS),
    # S9 tells the merchant alone: after the issuer's own deadline the phone has to ask.
    Event.PATIENCE_OVER: _to(State.OUTCOME_WANTED, Effect.SEND_OUTCOME_WANTED, Effect.SHOW_PROGRESS),
}
_AFTER_OFFER_READER_THERE: Final = {
    **_AFTER_OFFER,
    Event.READER_LOST: _to(State.READER_GONE, Effect.SEND_READER_UNAVAILABLE, Effect.SHOW_READER_LOST),
    Event.REFUSAL: _to(State.CALLED_OFF, Effect.FORWARD_TO_ISSUER, Effect.SHOW_PROGRESS),
}
_NO_READER: Final = _to(
    State.CALLED_OFF_UNOFFERED,
    Effect.SEND_READER_UNAVAILABLE,
    Effect.SHOW_READER_MISSING,
    Effect.LEAVE_READER,
)
_STILL_REVOCABLE: Final = {
    Event.DECLINE: _to(State.CALLED_OFF, Effect.SEND_DECLINED, Effect.SHOW_PROGRESS),
}

_ASK_FOR_PIN: Final = _to(State.PIN_ASKED, Effect.FORWARD_TO_READER, Effect.SHOW_PROGRESS)


def _stay(state: State, *events: Event) -> dict[Event, Move[State, Effect]]:
    """Events that crossed something of ours on the way, and change nothing."""
    return {event: _to(state) for event in events}


_READER_MESSAGES: Final = (Event.CARD_ENVELOPE, Event.PIN_ENVELOPE, Event.REFUSAL)

_MOVES: Final[dict[State, dict[Event, Move[State, Effect]]]] = {
    State.ASKED: {
        **_DECIDING,
        Event.APPROVE: _to(State.APPROVED, Effect.START_READER_WAIT, Effect.SHOW_PROGRESS),
        Event.READER_READY: _to(State.ASKED_READER_READY, Effect.KEEP_HELLO, Effect.SHOW_PROGRESS),
        Event.READER_LOST: _to(State.ASKED, Effect.LOOK_FOR_READER),
    },
    State.ASKED_READER_READY: {
        **_DECIDING,
        Event.APPROVE: _to(State.APPROVAL_SENT, Effect.SEND_APPROVE, Effect.SHOW_PROGRESS),
        Event.READER_READY: _to(State.ASKED_READER_READY, Effect.KEEP_HELLO),
        # Nothing is in this session but the hello, and a reader that was switched off has forgotten it:
        # approving with it would be lost. A new session asks for a new one.
        Event.READER_AWAY: _to(
            State.ASKED, Effect.LEAVE_READER, Effect.LOOK_FOR_READER, Effect.SHOW_PROGRESS
        ),
        Event.READER_LOST: _to(State.ASKED, Effect.LOOK_FOR_READER, Effect.SHOW_PROGRESS),
    },
    State.APPROVED: {
        **_DECIDING,
        Event.READER_READY: _to(
            State.APPROVAL_SENT, Effect.KEEP_HELLO, Effect.SEND_APPROVE, Effect.SHOW_PROGRESS
        ),
        Event.READER_LOST: _to(State.APPROVED, Effect.LOOK_FOR_READER),
        # The person did answer: what is missing when the time is over is the reader.
        Event.COUNTDOWN_OVER: _NO_READER,
        Event.READER_WAIT_OVER: _NO_READER,
    },
    State.APPROVAL_SENT: {
        Event.KEY_OFFER: _to(
            State.OFFERED, Effect.REMEMBER_OFFER, Effect.FORWARD_TO_READER, Effect.SHOW_PROGRESS
        ),
        Event.READER_LOST: _to(
            State.CALLED_OFF_UNOFFERED,
            Effect.SEND_READER_UNAVAILABLE,
            Effect.SHOW_READER_LOST,
            Effect.LEAVE_READER,
        ),
        Event.DECLINE: _to(
            State.CALLED_OFF_UNOFFERED, Effect.SEND_DECLINED, Effect.SHOW_PROGRESS, Effect.LEAVE_READER
        ),
        # The offer may have been made and not have reached us: its outcome is for no reader.
        Event.OUTCOME: _to(State.APPROVAL_SENT),
        Event.RESULT: _to(State.ENDED, Effect.SHOW_RESULT, Effect.LEAVE_READER),
        Event.PAYMENT_OVER: _to(State.ENDED, Effect.SHOW_RESULT, Effect.LEAVE_READER),
        Event.PAYMENT_UNKNOWN: _to(State.ENDED, Effect.SHOW_RESULT, Effect.LEAVE_READER),
        Event.ISSUER_FORGOT: _to(State.ENDED, Effect.SHOW_ISSUER_RESTARTED, Effect.LEAVE_READER),
        # The approval may still lie here or have got lost on the way; asking after it costs nothing.
        Event.PATIENCE_OVER: _to(
            State.ENDED, Effect.SEND_OUTCOME_WANTED, Effect.SHOW_UNKNOWN, Effect.LEAVE_READER
        ),
    },
    State.OFFERED: {
        **_AFTER_OFFER_READER_THERE,
        **_STILL_REVOCABLE,
        Event.CARD_ENVELOPE: _to(State.CARD_SENT, Effect.FORWARD_TO_ISSUER, Effect.SHOW_PROGRESS),
    },
    State.CARD_SENT: {**_AFTER_OFFER_READER_THERE, **_STILL_REVOCABLE, Event.PIN_REQUEST: _ASK_FOR_PIN},
    State.PIN_ASKED: {
        **_AFTER_OFFER_READER_THERE,
        **_STILL_REVOCABLE,
        Event.PIN_ENVELOPE: _to(State.PIN_SENT, Effect.FORWARD_TO_ISSUER, Effect.SHOW_PROGRESS),
    },
    State.PIN_SENT: {
        **_AFTER_OFFER_READER_THERE,
        Event.PIN_REQUEST: _ASK_FOR_PIN,
        # The PIN is with the issuer: it can settle without the reader, so nothing is called off.
        Event.READER_LOST: _to(State.PIN_SENT_READER_GONE),
    },
    State.CALLED_OFF: {
        **_AFTER_OFFER,
        **_stay(State.CALLED_OFF, *_READER_MESSAGES, Event.PIN_REQUEST),
        Event.READER_LOST: _to(State.READER_GONE),
    },
    State.CALLED_OFF_UNOFFERED: {
        **_stay(
            State.CALLED_OFF_UNOFFERED, Event.KEY_OFFER, Event.OUTCOME, Event.READER_LOST, Event.READER_READY
        ),
        Event.RESULT: _to(State.ENDED, Effect.SHOW_RESULT),
        Event.PAYMENT_OVER: _to(State.ENDED, Effect.SHOW_RESULT),
        Event.PAYMENT_UNKNOWN: _to(State.ENDED, Effect.SHOW_RESULT),
        Event.ISSUER_FORGOT: _to(State.ENDED, Effect.SHOW_CALLED_OFF),
        Event.PATIENCE_OVER: _to(State.ENDED, Effect.SHOW_CALLED_OFF),
    },
    State.READER_GONE: {
        **_AFTER_OFFER,
        **_stay(State.READER_GONE, Event.PIN_REQUEST, Event.READER_LOST),
        # It came back with no memory of the card: only its outcome can still be brought to it.
        Event.READER_READY: _to(State.READER_GONE, Effect.KEEP_HELLO),
    },
    State.PIN_SENT_READER_GONE: {
        **_AFTER_OFFER,
        **_stay(State.PIN_SENT_READER_GONE, Event.READER_LOST),
        Event.READER_READY: _to(State.PIN_SENT_READER_GONE, Effect.KEEP_HELLO),
        Event.PIN_REQUEST: _to(State.READER_GONE, Effect.SEND_READER_UNAVAILABLE, Effect.SHOW_READER_LOST),
    },
    State.OUTCOME_WANTED: {
        **_AFTER_OFFER,
        **_stay(State.OUTCOME_WANTED, *_READER_MESSAGES, Event.READER_LOST),
        Event.ISSUER_FORGOT: _to(State.OUTCOME_WANTED, Effect.SEND_OUTCOME_WANTED),
        Event.PAYMENT_OVER: _to(State.RESULT_SHOWN, Effect.SHOW_RESULT, Effect.START_OUTCOME_WAIT),
        Event.PATIENCE_OVER: _to(State.ENDED, Effect.SHOW_UNKNOWN, Effect.LEAVE_READER),
        Event.READER_READY: _to(State.OUTCOME_WANTED, Effect.KEEP_HELLO),
    },
    State.DELIVERING: {
        **_stay(State.DELIVERING, *_READER_MESSAGES, Event.PIN_REQUEST, Event.OUTCOME),
        **_stay(State.DELIVERING, Event.ISSUER_FORGOT, Event.PAYMENT_UNKNOWN),
        Event.RESULT: _to(State.DELIVERING_RESULT_SHOWN, Effect.SHOW_RESULT),
        Event.PAYMENT_OVER: _to(State.DELIVERING_RESULT_SHOWN, Effect.SHOW_RESULT),
        Event.READER_LOST: _to(State.DELIVERING, Effect.LOOK_FOR_READER),
        Event.READER_READY: _to(State.DELIVERING, Effect.KEEP_HELLO, Effect.DELIVER_OUTCOME),
        Event.OUTCOME_DELIVERED: _to(
            State.RESULT_AWAITED, Effect.FORGET_OUTCOME, Effect.LEAVE_READER, Effect.START_OUTCOME_WAIT
        ),
        Event.DELIVERY_OVER: _to(
            State.RESULT_AWAITED, Effect.SHOW_OUTCOME_KEPT, Effect.LEAVE_READER, Effect.START_OUTCOME_WAIT
        ),
    },
    State.DELIVERING_RESULT_SHOWN: {
        **_stay(State.DELIVERING_RESULT_SHOWN, *_READER_MESSAGES),
        **_stay(State.DELIVERING_RESULT_SHOWN, Event.RESULT, Event.PAYMENT_OVER, Event.PAYMENT_UNKNOWN),
        **_stay(State.DELIVERING_RESULT_SHOWN, Event.OUTCOME, Event.PIN_REQUEST, Event.ISSUER_FORGOT),
        Event.READER_LOST: _to(State.DELIVERING_RESULT_SHOWN, Effect.LOOK_FOR_READER),
        Event.READER_READY: _to(State.DELIVERING_RESULT_SHOWN, Effect.KEEP_HELLO, Effect.DELIVER_OUTCOME),
        Event.OUTCOME_DELIVERED: _to(State.ENDED, Effect.FORGET_OUTCOME, Effect.LEAVE_READER),
        Event.DELIVERY_OVER: _to(State.ENDED, Effect.SHOW_OUTCOME_KEPT, Effect.LEAVE_READER),
    },
    State.RESULT_AWAITED: {
        **_stay(State.RESULT_AWAITED, Event.OUTCOME),
        Event.RESULT: _to(State.ENDED, Effect.SHOW_RESULT),
        Event.PAYMENT_OVER: _to(State.ENDED, Effect.SHOW_RESULT),
        Event.PAYMENT_UNKNOWN: _to(State.ENDED, Effect.SHOW_SEE_READER),
        Event.ISSUER_FORGOT: _to(State.ENDED, Effect.SHOW_SEE_READER),
        # The issuer answers this with the result, also where it had no mind to tell the phone (S9).
        Event.PATIENCE_OVER: _to(State.ENDED, Effect.SEND_OUTCOME_WANTED, Effect.SHOW_SEE_READER),
    },
    State.RESULT_SHOWN: {
        **_stay(State.RESULT_SHOWN, *_READER_MESSAGES, Event.PIN_REQUEST, Event.READER_LOST),
        **_stay(State.RESULT_SHOWN, Event.RESULT, Event.PAYMENT_OVER, Event.PAYMENT_UNKNOWN),
        Event.OUTCOME: _to(
            State.DELIVERING_RESULT_SHOWN, Effect.KEEP_OUTCOME, Effect.START_DELIVERY, Effect.DELIVER_OUTCOME
        ),
        Event.ISSUER_FORGOT: _to(State.RESULT_SHOWN, Effect.SEND_OUTCOME_WANTED),
        Event.READER_READY: _to(State.RESULT_SHOWN, Effect.KEEP_HELLO),
        Event.PATIENCE_OVER: _to(State.ENDED, Effect.LEAVE_READER),
    },
}

RELAY: Final = TransitionTable(
    role="handset relay",
    initial=State.ASKED,
    moves={(state, event): move for state, moves in _MOVES.items() for event, move in moves.items()},
    terminal=frozenset({State.ENDED}),
)
"""One payment on the phone, from the issuer's call to the end."""
