"""One payment as the relay holds it: its state, its clocks, and what its end looks like. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from handset_client.effects import End, Ending, HowDeclined, Notice, NoticeKind, Progress, Step
from handset_client.issuer_frames import (
    Approve,
    Decline,
    DeclineReason,
    FromReader,
    Outcome,
    OutcomeWanted,
    PaymentOver,
    PaymentRequest,
    PhoneFrame,
    ReaderUnavailable,
    Result,
    ToReader,
)
from handset_client.relay_table import RELAY, Effect, Event, State
from protocol.errors import LocalProtocolError
from protocol.identifiers import PaymentId, ReaderId
from protocol.messages import MessageType, NotSettled


class Clock(Enum):
    """What a payment can wait for."""

    COUNTDOWN = auto()
    READER = auto()
    DELIVERY = auto()
    PATIENCE = auto()


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the phone waits for whom, in seconds. The issuer's own deadlines end payments first."""

    reader: float = 20.0
    """After approval, for a reader to appear."""
    delivery: float = 30.0
    """For the reader to come back for its outcome; the reader's own resume window is as long."""
    last_word: float = 10.0
    """Between an outcome and its result, either way round."""
    issuer: float = 90.0
    """Without a word from the issuer in a payment under way."""
    margin: float = 15.0
    """Beyond the issuer's own deadline, for its word to arrive."""
    farewell: float = 2.0
    """At the program's end, for the issuer's word on the payment that is under way."""

    def __post_init__(self) -> None:
        for name in ("reader", "delivery", "last_word", "issuer", "margin", "farewell"):
            if not 0 < getattr(self, name) <= 3600:
                raise ValueError(f"patience {name!r} must be above 0 and at most 3600 seconds")

    def wait_of(self, effect: Effect) -> tuple[Clock, float] | None:
        """The clock that an effect starts, and for how long; None for the effects that start none."""
        match effect:
            case Effect.START_READER_WAIT:
                return Clock.READER, self.reader
            case Effect.START_DELIVERY:
                return Clock.DELIVERY, self.delivery
            case Effect.START_OUTCOME_WAIT:
                return Clock.PATIENCE, self.last_word
            case _:
                return None


RINGS: Final = {
    Clock.COUNTDOWN: Event.COUNTDOWN_OVER,
    Clock.READER: Event.READER_WAIT_OVER,
    Clock.DELIVERY: Event.DELIVERY_OVER,
    Clock.PATIENCE: Event.PATIENCE_OVER,
}

STEPS: Final = {
    State.ASKED: Step.LOOKING_FOR_READER,
    State.ASKED_READER_READY: Step.READER_READY,
    State.APPROVED: Step.APPROVED_LOOKING_FOR_READER,
    State.APPROVAL_SENT: Step.WAITING_FOR_ISSUER,
    State.OFFERED: Step.SWIPE_NOW,
    State.CARD_SENT: Step.CARD_SENT,
    State.PIN_ASKED: Step.ENTER_PIN,
    State.PIN_SENT: Step.PIN_SENT,
    State.CALLED_OFF: Step.CALLED_OFF,
    State.CALLED_OFF_UNOFFERED: Step.CALLED_OFF,
    State.OUTCOME_WANTED: Step.ASKING_FOR_OUTCOME,
}

MESSAGE_EVENTS: Final = {
    MessageType.KEY_OFFER: Event.KEY_OFFER,
    MessageType.PIN_REQUEST: Event.PIN_REQUEST,
    MessageType.OUTCOME: Event.OUTCOME,
    MessageType.CARD_ENVELOPE: Event.CARD_ENVELOPE,
    MessageType.PIN_ENVELOPE: Event.PIN_ENVELOPE,
    MessageType.REFUSAL: Event.REFUSAL,
}

ABOUT_THE_READER: Final = frozenset(
    {
        NotSettled.READER_UNKNOWN,
        NotSettled.READER_BLOCKED,
        NotSettled.READER_NOT_CARDHOLDERS,
        NotSettled.REFUSED_OFFER_REJECTED,
        NotSettled.REFUSED_BUSY,
        NotSettled.REFUSED_READER_FAULT,
    }
)
"""Reasons at which a person wants to know which reader it was: it may be another than they think."""

OUR_OWN_WORD: Final = frozenset({Effect.SHOW_DECLINED, Effect.SHOW_NO_RESPONSE, Effect.SHOW_CALLED_OFF})
"""Ends that the phone does not have from the issuer."""

RESULT_SEEN: Final = frozenset({State.RESULT_SHOWN, State.DELIVERING_RESULT_SHOWN})
DELIVERING: Final = frozenset({State.DELIVERING, State.DELIVERING_RESULT_SHOWN})


@dataclass(slots=True)
class Call:
    """A payment on this phone. `request` is None for an outcome brought to a reader later on."""

    payment_id: PaymentId
    request: PaymentRequest | None
    state: State = RELAY.initial
    clocks: dict[Clock, float] = field(default_factory=dict)
    called_off: str | None = None
    """Why the phone itself called the payment off, where it did."""
    declined: HowDeclined = HowDeclined.BY_PERSON
    reader_id: ReaderId | None = None
    """The reader whose hello came last."""

    def bells(self) -> dict[Clock, float]:
        """The clocks that mean something in this state, and when they ring."""
        return {clock: at for clock, at in self.clocks.items() if RELAY.allows(self.state, RINGS[clock])}


@dataclass(frozen=True, slots=True)
class Session:
    """The session that is up: who it is with, and the hello that opened it."""

    reader_id: ReaderId
    hello: bytes


Passing = ToReader | FromReader | Result | Session | None


def frame_of(effect: Effect, call: Call, reader: Session | None) -> PhoneFrame | None:
    """The phone's own word that an effect sends; a word that calls the payment off is kept as the reason."""
    match effect:
        case Effect.SEND_APPROVE if reader is not None:
            return Approve(call.payment_id, reader.hello)
        case Effect.SEND_DECLINED:
            call.called_off = call.declined
            block = call.declined is HowDeclined.AND_BLOCKED
            return Decline(call.payment_id, DeclineReason.DECLINED, block)
        case Effect.SEND_NO_RESPONSE:
            return Decline(call.payment_id, DeclineReason.NO_RESPONSE)
        case Effect.SEND_READER_UNAVAILABLE:
            call.called_off = NotSettled.READER_UNAVAILABLE
            return ReaderUnavailable(call.payment_id)
        case Effect.SEND_OUTCOME_WANTED:
            return OutcomeWanted(call.payment_id)
        case _:
            return None


def told_of(effect: Effect, call: Call) -> Progress | Notice | None:
    """What the person is told on the way to the end."""
    match effect:
        case Effect.SHOW_PROGRESS:
            return Progress(call.payment_id, STEPS[call.state])
        case Effect.SHOW_READER_MISSING:
            return Progress(call.payment_id, Step.READER_MISSING)
        case Effect.SHOW_READER_LOST:
            return Progress(call.payment_id, Step.READER_LOST)
        case Effect.SHOW_OUTCOME_KEPT:
            return Notice(NoticeKind.OUTCOME_KEPT)
        case _:
            return None


def ending_of(effect: Effect, call: Call, request: PaymentRequest, passing: Passing) -> Ending:
    """What the person is told at the end, and what the history keeps."""
    match effect, passing:
        case Effect.SHOW_RESULT, Result(outcome=outcome, reason=reason, last_four=last_four):
            reader_id = call.reader_id if reason in ABOUT_THE_READER else None
            if reason == NotSettled.DECLINED:
                reason = call.declined  # the issuer knows no more than that: who stopped the program hears so
            return Ending(request, End(outcome.value), reason, last_four, reader_id)
        case Effect.SHOW_DECLINED, _:
            return Ending(request, End.NOT_SETTLED, call.declined)
        case Effect.SHOW_NO_RESPONSE, _:
            return Ending(request, End.NOT_SETTLED, DeclineReason.NO_RESPONSE)
        case Effect.SHOW_CALLED_OFF, _:
            return Ending(request, End.NOT_SETTLED, call.called_off)
        case Effect.SHOW_ISSUER_RESTARTED, _:
            return Ending(request, End.NOT_SETTLED, NotSettled.ISSUER_RESTARTED)
        case Effect.SHOW_UNKNOWN, _:
            return Ending(request, End.UNKNOWN)
        case Effect.SHOW_SEE_READER, _:
            return Ending(request, End.SEE_READER)
    raise LocalProtocolError(f"handset relay: {effect.name} came with nothing to carry out")


def as_result(over: PaymentOver) -> Result:
    completed = over.reason == Outcome.COMPLETED.value
    return Result(
        over.payment_id,
        Outcome.COMPLETED if completed else Outcome.NOT_SETTLED,
        None if completed else over.reason,
        None,
    )
