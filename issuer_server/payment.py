"""One payment at the issuer, as a table: state and event in, next state and effects out.

Pure: no clock, no randomness, no I/O. Whatever depends on data (is the PIN right? is the reader known?) is
looked up by `payment_effects.py` and comes back as an event of its own, so each branch of the payment is in
this table. S1 to S46 are the steps of the 2001 patent's flow charts; ARCHITECTURE.md lists them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from types import MappingProxyType
from typing import Final

from protocol.messages import REFUSAL_REASONS, NotSettled, RefusalReason
from protocol.transition_table import Move, TransitionTable


class PaymentState(StrEnum):
    """Where a payment stands; the values are the `status` of the merchant API."""

    REQUESTED = "requested"
    CALLING = "calling"
    APPROVED = "approved"
    KEY_OFFERED = "key_offered"
    CARD_RECEIVED = "card_received"
    PIN_REQUESTED = "pin_requested"
    SETTLING = "settling"
    COMPLETED = "completed"
    NOT_SETTLED = "not_settled"

    @property
    def is_final(self) -> bool:
        """No event moves the payment any more."""
        return self in FINAL_STATES


FINAL_STATES: Final = frozenset({PaymentState.COMPLETED, PaymentState.NOT_SETTLED})


class PaymentEvent(Enum):
    """What can happen to a payment: word from the phone, a deadline, or the answer to an effect."""

    # the call (S4, S5)
    PHONE_REACHED = auto()
    PHONE_RETURNED = auto()  # the phone came back with no memory of the call: show it again
    CALL_TIME_OVER = auto()
    APPROVED = auto()
    DECLINED = auto()
    PHONE_TIMED_OUT = auto()
    APPROVAL_TIME_OVER = auto()
    # the reader (S6, S7)
    READER_ACCEPTED = auto()
    READER_UNKNOWN = auto()
    READER_BLOCKED = auto()
    READER_NOT_CARDHOLDERS = auto()
    READER_UNAVAILABLE = auto()
    # the card (S8 to S15)
    CARD_ARRIVED = auto()
    CARD_TIME_OVER = auto()
    CARD_OPENED = auto()
    CARD_UNKNOWN = auto()
    CARD_EXPIRED = auto()
    CARD_BLOCKED = auto()
    CARD_NOT_CARDHOLDERS = auto()
    CARD_ACCEPTED = auto()
    FUNDS_HELD = auto()
    # the PIN (S16 to S22)
    PIN_ARRIVED = auto()
    PIN_TIME_OVER = auto()
    PIN_OPENED = auto()
    PIN_RIGHT = auto()
    PIN_WRONG_TRY_AGAIN = auto()
    PIN_WRONG = auto()
    PIN_BLOCKED = auto()
    # either envelope (S10 to S13, S18 to S20)
    ENVELOPE_UNOPENABLE = auto()
    RESEAL_DIFFERS = auto()
    # the reader said no, signed
    REFUSED_USER_CANCELLED = auto()
    REFUSED_NO_SWIPE = auto()
    REFUSED_UNREADABLE_CARD = auto()
    REFUSED_NO_PIN = auto()
    REFUSED_BUSY = auto()
    REFUSED_OFFER_REJECTED = auto()
    REFUSED_READER_FAULT = auto()
    # S23, the settlement
    SETTLED = auto()
    FUNDS_INSUFFICIENT = auto()
    # from outside the flow chart
    CANCELLED_BY_MERCHANT = auto()
    PHONE_LOST_PAYMENT = auto()  # the phone came back with no memory of a payment it had approved
    ISSUER_STOPPING = auto()
    FAULT = auto()


class Effect(Enum):
    """What the application does after a move, in the order listed."""

    STORE = auto()  # commit the new state; nothing listed after it is done unless the commit succeeded
    PUSH_REQUEST = auto()  # 202: amount, merchant and order to the phone
    LOOK_UP_READER = auto()
    MAKE_KEY_OFFER = auto()  # 203: a key pair for this payment only, and the signed offer of it
    SEND_KEY_OFFER = auto()  # 204
    OPEN_CARD = auto()  # 208, S10 to S12
    LOOK_UP_CARD = auto()  # S14, S15
    HOLD_FUNDS = auto()  # what this payment may take, no other can spend; hold and state in one transaction
    SEND_PIN_REQUEST = auto()  # S16
    OPEN_PIN = auto()  # S18 to S20
    CHECK_PIN = auto()  # S21
    SETTLE = auto()  # S23, 209: posting and state in one transaction
    DROP_KEYS = auto()  # S26, 213
    SEND_OUTCOME = auto()  # signed, to the reader through the phone
    TELL_PHONE = auto()  # 211
    TELL_MERCHANT = auto()  # 210, S9


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long the issuer waits, in seconds; 1 to 600 each (600 is the most an offer may live)."""

    call: float = 10.0
    approval: float = 60.0
    card: float = 60.0
    pin: float = 60.0

    def __post_init__(self) -> None:
        for name in ("call", "approval", "card", "pin"):
            if not 0 < getattr(self, name) <= 600:
                raise ValueError(f"deadline {name!r} must be above 0 and at most 600 seconds")

    def of(self, state: PaymentState) -> float | None:
        """Seconds allowed in `state`, None where the issuer waits for nobody."""
        match state:
            case PaymentState.REQUESTED:
                return self.call
            case PaymentState.CALLING:
                return self.approval
            case PaymentState.KEY_OFFERED:
                return self.card
            case PaymentState.PIN_REQUESTED:
                return self.pin
            case _:
                return None


_S, _E, _F = PaymentState, PaymentEvent, Effect

DEADLINE_EVENTS: Final[Mapping[PaymentState, PaymentEvent]] = MappingProxyType(
    {
        _S.REQUESTED: _E.CALL_TIME_OVER,
        _S.CALLING: _E.APPROVAL_TIME_OVER,
        _S.KEY_OFFERED: _E.CARD_TIME_OVER,
        _S.PIN_REQUESTED: _E.PIN_TIME_OVER,
    }
)
"""The one event that ends the wait in each state that waits. The time starts when the state is entered."""

REFUSAL_EVENTS: Final[Mapping[RefusalReason, PaymentEvent]] = MappingProxyType(
    {
        RefusalReason.USER_CANCELLED: _E.REFUSED_USER_CANCELLED,
        RefusalReason.NO_SWIPE: _E.REFUSED_NO_SWIPE,
        RefusalReason.UNREADABLE_CARD: _E.REFUSED_UNREADABLE_CARD,
        RefusalReason.NO_PIN: _E.REFUSED_NO_PIN,
        RefusalReason.BUSY: _E.REFUSED_BUSY,
        RefusalReason.OFFER_REJECTED: _E.REFUSED_OFFER_REJECTED,
        RefusalReason.READER_FAULT: _E.REFUSED_READER_FAULT,
    }
)

_FORWARD: Final[Mapping[tuple[PaymentState, PaymentEvent], Move[PaymentState, Effect]]] = {
    (_S.REQUESTED, _E.PHONE_REACHED): Move(_S.CALLING, (_F.STORE, _F.PUSH_REQUEST)),
    (_S.CALLING, _E.PHONE_RETURNED): Move(_S.CALLING, (_F.PUSH_REQUEST,)),
    (_S.CALLING, _E.APPROVED): Move(_S.APPROVED, (_F.LOOK_UP_READER,)),
    (_S.APPROVED, _E.READER_ACCEPTED): Move(_S.KEY_OFFERED, (_F.MAKE_KEY_OFFER, _F.STORE, _F.SEND_KEY_OFFER)),
    (_S.KEY_OFFERED, _E.CARD_ARRIVED): Move(_S.CARD_RECEIVED, (_F.OPEN_CARD,)),
    (_S.CARD_RECEIVED, _E.CARD_OPENED): Move(_S.CARD_RECEIVED, (_F.LOOK_UP_CARD,)),
    # Not before the swipe: an approval is the phone's word, which must neither tie money up nor weigh it.
    (_S.CARD_RECEIVED, _E.CARD_ACCEPTED): Move(_S.CARD_RECEIVED, (_F.HOLD_FUNDS,)),
    # HOLD_FUNDS has committed `pin_requested` together with the hold, so there is no STORE here.
    (_S.CARD_RECEIVED, _E.FUNDS_HELD): Move(_S.PIN_REQUESTED, (_F.SEND_PIN_REQUEST,)),
    # From here on a merchant's cancel comes too late: the PIN is in the issuer's hands.
    (_S.PIN_REQUESTED, _E.PIN_ARRIVED): Move(_S.SETTLING, (_F.OPEN_PIN,)),
    (_S.SETTLING, _E.PIN_OPENED): Move(_S.SETTLING, (_F.CHECK_PIN,)),
    (_S.SETTLING, _E.PIN_RIGHT): Move(_S.SETTLING, (_F.SETTLE,)),
    (_S.SETTLING, _E.PIN_WRONG_TRY_AGAIN): Move(_S.PIN_REQUESTED, (_F.STORE, _F.SEND_PIN_REQUEST)),
    # SETTLE has committed `completed` together with the posting, so there is no STORE here.
    (_S.SETTLING, _E.SETTLED): Move(
        _S.COMPLETED, (_F.DROP_KEYS, _F.SEND_OUTCOME, _F.TELL_PHONE, _F.TELL_MERCHANT)
    ),
}


@dataclass(frozen=True, slots=True)
class Ending:
    """One way not to settle: the event, its reason, the states that it can strike, who is told."""

    event: PaymentEvent
    reason: NotSettled
    states: frozenset[PaymentState]
    phone_is_told: bool


_RINGING = frozenset({_S.CALLING})
_BEFORE_SETTLING = frozenset(
    {_S.REQUESTED, _S.CALLING, _S.APPROVED, _S.KEY_OFFERED, _S.CARD_RECEIVED, _S.PIN_REQUESTED}
)
_WITH_READER = frozenset({_S.APPROVED, _S.KEY_OFFERED, _S.CARD_RECEIVED, _S.PIN_REQUESTED})
_OFFERED = frozenset({_S.KEY_OFFERED, _S.CARD_RECEIVED, _S.PIN_REQUESTED, _S.SETTLING})
_CARD = frozenset({_S.CARD_RECEIVED})
_OPENING = frozenset({_S.CARD_RECEIVED, _S.SETTLING})
_LIVE = _BEFORE_SETTLING | {_S.SETTLING}
_UNHEARD = frozenset({_S.REQUESTED})  # the phone has not heard of the payment yet

MERCHANT_ONLY: Final = False  # S9: 'not settled' to the merchant
PHONE_AND_MERCHANT: Final = True  # S13, S17, S22, S27: 'not settled' to both

_REFUSALS = tuple(
    Ending(event, REFUSAL_REASONS[refusal], _OFFERED - {_S.SETTLING}, PHONE_AND_MERCHANT)
    for refusal, event in REFUSAL_EVENTS.items()
)

ENDINGS: Final[tuple[Ending, ...]] = (
    # S5 to S9: the person or the phone did not answer
    Ending(_E.CALL_TIME_OVER, NotSettled.HANDSET_UNREACHABLE, _UNHEARD, MERCHANT_ONLY),
    Ending(_E.DECLINED, NotSettled.DECLINED, _RINGING, MERCHANT_ONLY),
    Ending(_E.PHONE_TIMED_OUT, NotSettled.NO_RESPONSE, _RINGING, MERCHANT_ONLY),
    Ending(_E.APPROVAL_TIME_OVER, NotSettled.APPROVAL_TIMEOUT, _RINGING, MERCHANT_ONLY),
    # S8 to S9: the card did not come
    Ending(_E.CARD_TIME_OVER, NotSettled.CARD_TIMEOUT, frozenset({_S.KEY_OFFERED}), MERCHANT_ONLY),
    # the person changes their mind on the phone after approving: the reader must hear it
    Ending(_E.DECLINED, NotSettled.DECLINED, _WITH_READER, PHONE_AND_MERCHANT),
    # the reader
    Ending(_E.READER_UNKNOWN, NotSettled.READER_UNKNOWN, frozenset({_S.APPROVED}), PHONE_AND_MERCHANT),
    Ending(
        _E.READER_BLOCKED,
        NotSettled.READER_BLOCKED,
        frozenset({_S.APPROVED, _S.SETTLING}),  # before the offer, and again with the posting
        PHONE_AND_MERCHANT,
    ),
    Ending(
        _E.READER_NOT_CARDHOLDERS,
        NotSettled.READER_NOT_CARDHOLDERS,
        frozenset({_S.APPROVED}),
        PHONE_AND_MERCHANT,
    ),
    Ending(_E.READER_UNAVAILABLE, NotSettled.READER_UNAVAILABLE, _RINGING | _WITH_READER, PHONE_AND_MERCHANT),
    *_REFUSALS,
    # S11 to S13, S19 to S20
    Ending(_E.ENVELOPE_UNOPENABLE, NotSettled.ENVELOPE_INVALID, _OPENING, PHONE_AND_MERCHANT),
    Ending(_E.RESEAL_DIFFERS, NotSettled.RESEAL_MISMATCH, _OPENING, PHONE_AND_MERCHANT),
    # S14, S15, S27
    Ending(_E.CARD_UNKNOWN, NotSettled.UNKNOWN_CARD, _CARD, PHONE_AND_MERCHANT),
    Ending(_E.CARD_EXPIRED, NotSettled.EXPIRED_CARD, _CARD, PHONE_AND_MERCHANT),
    Ending(_E.CARD_BLOCKED, NotSettled.BLOCKED_CARD, _OPENING, PHONE_AND_MERCHANT),
    Ending(_E.CARD_NOT_CARDHOLDERS, NotSettled.CARD_NOT_CARDHOLDERS, _CARD, PHONE_AND_MERCHANT),
    # S17, S21, S22
    Ending(_E.PIN_TIME_OVER, NotSettled.PIN_TIMEOUT, frozenset({_S.PIN_REQUESTED}), PHONE_AND_MERCHANT),
    Ending(_E.PIN_BLOCKED, NotSettled.PIN_BLOCKED, _OPENING, PHONE_AND_MERCHANT),
    Ending(_E.PIN_WRONG, NotSettled.WRONG_PIN, frozenset({_S.SETTLING}), PHONE_AND_MERCHANT),
    # before the PIN is asked for; S23 finds the money that was held, and would say so too
    Ending(_E.FUNDS_INSUFFICIENT, NotSettled.INSUFFICIENT_FUNDS, _OPENING, PHONE_AND_MERCHANT),
    # from outside the flow chart; a phone that was never called is told nothing
    Ending(_E.CANCELLED_BY_MERCHANT, NotSettled.CANCELLED_BY_MERCHANT, _UNHEARD, MERCHANT_ONLY),
    Ending(
        _E.CANCELLED_BY_MERCHANT,
        NotSettled.CANCELLED_BY_MERCHANT,
        _BEFORE_SETTLING - _UNHEARD,
        PHONE_AND_MERCHANT,
    ),
    Ending(_E.PHONE_LOST_PAYMENT, NotSettled.HANDSET_FAULT, _WITH_READER, PHONE_AND_MERCHANT),
    Ending(_E.ISSUER_STOPPING, NotSettled.ISSUER_RESTARTED, _UNHEARD, MERCHANT_ONLY),
    Ending(_E.ISSUER_STOPPING, NotSettled.ISSUER_RESTARTED, _LIVE - _UNHEARD, PHONE_AND_MERCHANT),
    Ending(_E.FAULT, NotSettled.INTERNAL_ERROR, _UNHEARD, MERCHANT_ONLY),
    Ending(_E.FAULT, NotSettled.INTERNAL_ERROR, _LIVE - _UNHEARD, PHONE_AND_MERCHANT),
)


def _ending_effects(ending: Ending, state: PaymentState) -> tuple[Effect, ...]:
    """Keys go first, whatever happens to the commit; nobody is told before it."""
    effects = [_F.DROP_KEYS, _F.STORE]
    if ending.phone_is_told:
        if state in _OFFERED:
            effects.append(_F.SEND_OUTCOME)
        effects.append(_F.TELL_PHONE)
    return (*effects, _F.TELL_MERCHANT)


PAYMENT_TABLE: Final[TransitionTable[PaymentState, PaymentEvent, Effect]] = TransitionTable(
    "issuer",
    PaymentState.REQUESTED,
    {
        **_FORWARD,
        **{
            (state, ending.event): Move(_S.NOT_SETTLED, _ending_effects(ending, state))
            for ending in ENDINGS
            for state in PaymentState  # in the enum's order: a set's changes from run to run
            if state in ending.states
        },
    },
    FINAL_STATES,
)

NOT_SETTLED_REASONS: Final[Mapping[PaymentEvent, NotSettled]] = MappingProxyType(
    {ending.event: ending.reason for ending in ENDINGS}
)
"""The reason that each ending event gives."""

CANCELLABLE_STATES: Final = _BEFORE_SETTLING
"""Where a merchant's cancel still ends the payment."""
