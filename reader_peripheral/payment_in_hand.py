"""The payment in hand: offer, hashes, counts. Pure; no card data, no digits, nothing that opens anything."""

from __future__ import annotations

from dataclasses import dataclass, field

from protocol import sealing
from protocol.gatt import Status
from protocol.identifiers import Digest, PublicKey
from protocol.messages import (
    REFUSAL_REASONS,
    CardEnvelope,
    KeyOffer,
    PinEnvelope,
    PinRequest,
    RefusalReason,
)
from protocol.messages import NotSettled as NotSettledReason
from protocol.track_data import TrackFault
from reader_peripheral import effects as fx
from reader_peripheral import screens
from reader_peripheral.owed_outcomes import OwedOutcome
from reader_peripheral.transitions import Effect, Event

_ENDED_BY = {
    Event.SESSION_STARTED: screens.EndedHere.CONNECTION_LOST,
    Event.SESSION_OVER: screens.EndedHere.CONNECTION_LOST,
    Event.PHONE_CANCELLED: screens.EndedHere.PHONE_CANCELLED,
}


@dataclass(slots=True)
class Payment:
    """From the accepted offer to the end. `digest` is H(offer)."""

    offer: KeyOffer
    digest: Digest
    swipes_left: int
    bad_swipes: int = 0
    fault: TrackFault = TrackFault.NOTHING_READ
    sent: list[Digest] = field(default_factory=list)
    card_envelope: Digest | None = None
    pin_request: PinRequest | None = None
    pin_request_digest: Digest | None = None
    pin_envelope: Digest | None = None
    stars: int = 0
    hint: screens.PinHint = screens.PinHint.NONE
    refused: RefusalReason | None = None
    unanswered: bool = False  # an envelope is out, and what the issuer made of it is not known

    @property
    def bill(self) -> screens.Bill:
        """What the display shows: the signed offer's own words."""
        return screens.Bill(self.offer.merchant_name, self.offer.amount, self.offer.order)

    @property
    def refused_as(self) -> NotSettledReason:
        """The refusal's reason under the name that everybody else uses."""
        return REFUSAL_REASONS[self.refused or RefusalReason.READER_FAULT]

    def count_bad_swipe(self, fault: TrackFault) -> bool:
        """One try less; False when it was the last."""
        self.fault = fault
        self.bad_swipes += 1
        self.swipes_left -= 1
        return self.swipes_left > 0

    def owed(self) -> OwedOutcome:
        """What to keep when this payment is left without an outcome."""
        past = self.card_envelope is None  # no swipe: it says nothing about the payment before
        return OwedOutcome(self.digest, self.bill, tuple(self.sent), self.unanswered, past)

    def take_pin_request(self, request: PinRequest, reference: Digest) -> bool:
        """Take a request that answers just what this reader sent; False when it is bound to anything else."""
        bound = (request.offer, request.card_envelope, request.previous_pin_envelope)
        if bound != (self.digest, self.card_envelope, self.pin_envelope):
            return False
        self.pin_request, self.pin_request_digest = request, reference
        return True

    def begin_pin(self) -> None:
        """The card envelope, or the PIN before, is answered; no digits yet."""
        self.stars, self.hint = 0, screens.PinHint.NONE
        self.unanswered = False

    def count_digit(self, step: int) -> None:
        """One digit more or one fewer."""
        self.stars = max(0, self.stars + step)
        self.hint = screens.PinHint.NONE

    def seal_card(self, reader_key: PublicKey) -> fx.SealCard:
        """How to seal the card."""
        return fx.SealCard(self.offer.public_key, sealing.card_info(self.offer, self.digest, reader_key))

    def seal_pin(self, reader_key: PublicKey) -> fx.SealPin:
        """How to seal the PIN."""
        info = sealing.pin_info(self.offer, self.digest, reader_key, self._asked()[1])
        return fx.SealPin(self.offer.public_key, info)

    def card_message(self, sealed: bytes) -> CardEnvelope:
        """The message around a sealed card."""
        return CardEnvelope(self.digest, sealed)

    def pin_message(self, sealed: bytes) -> PinEnvelope:
        """The message around a sealed PIN."""
        return PinEnvelope(self.digest, self._asked()[1], sealed)

    def screen(self, effect: Effect, event: Event) -> tuple[screens.Screen, Status]:
        """What the display and the phone are told for one of this payment's SHOW effects."""
        bill = self.bill
        match effect:
            case Effect.SHOW_OFFER:
                return screens.Offer(bill), Status.WAITING_FOR_CARD
            case Effect.SHOW_BAD_SWIPE:
                again = self.bad_swipes > 1
                return screens.BadSwipe(bill, self.fault, self.swipes_left, again), Status.WAITING_FOR_CARD
            case Effect.SHOW_WORKING:
                return screens.Working(bill), Status.PIN_READ if self.pin_envelope else Status.CARD_READ
            case Effect.SHOW_PIN:
                return self._pin_screen(), Status.WAITING_FOR_PIN
            case Effect.SHOW_CANCELLING:
                return screens.Cancelling(bill, self.refused_as), Status.NOT_SETTLED
            case Effect.SHOW_UNKNOWN:
                return screens.Unknown(bill), Status.UNKNOWN_OUTCOME
            case Effect.SHOW_ENDED:
                reason = self.refused_as if self.refused else _ENDED_BY[event]
                return screens.NotSettled(bill, reason), Status.NOT_SETTLED
            case _:
                raise AssertionError(f"no screen is written for the effect {effect.name}")

    def _pin_screen(self) -> screens.EnterPin:
        request = self._asked()[0]
        return screens.EnterPin(
            self.bill,
            last_four=request.last_four,
            tries_left=request.tries_left,
            stars=self.stars,
            hint=self.hint,
            again=request.previous_pin_envelope is not None,
        )

    def _asked(self) -> tuple[PinRequest, Digest]:
        if self.pin_request is None or self.pin_request_digest is None:
            raise AssertionError("a PIN is typed on request only")
        return self.pin_request, self.pin_request_digest
