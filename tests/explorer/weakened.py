"""The switch list: each entry takes one defence out of the real code while a search runs. For tests alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from issuer_server import enrolments, envelopes, handset_desk, payment_effects
from issuer_server.handset_frames import FromReader
from issuer_server.live_payments import LivePayment
from protocol.errors import MessageError
from protocol.messages import KeyOffer, Message, Outcome, PinEnvelope, ReaderEnrolment
from protocol.money import Money
from reader_peripheral import session
from reader_peripheral.issuer_words import IssuerWords, NotBelievedError
from reader_peripheral.owed_outcomes import OwedOutcome, OwedOutcomes
from reader_peripheral.payment_in_hand import Payment
from reader_peripheral.screens import Bill
from reader_peripheral.transitions import TABLE, Effect, Event, State
from tests.explorer import town
from tests.explorer.bounds import Weakness
from tests.explorer.crypto_once import inside


def _all(
    *patches: Callable[[], AbstractContextManager[object]],
) -> Callable[[], AbstractContextManager[object]]:
    @contextmanager
    def together() -> Iterator[None]:
        with ExitStack() as stack:
            for each in patches:
                stack.enter_context(each())
            yield

    return together


def _unverified(_: bytes, signed: bytes, expected: type[Any]) -> Any:
    """What is inside, whoever signed it."""
    return expected.decode(inside(signed))


def _whoever_signed(signed: bytes) -> ReaderEnrolment:
    return ReaderEnrolment.decode(inside(signed))


# -- an offer that need not be signed

_real_open = IssuerWords.open


def _any_offer(self: IssuerWords, signed: bytes, kind: type[Message]) -> Message:
    return _unverified(b"", signed, kind) if kind is KeyOffer else _real_open(self, signed, kind)


def _any_outcome(self: IssuerWords, signed: bytes, kind: type[Message]) -> Message:
    return _unverified(b"", signed, kind) if kind is Outcome else _real_open(self, signed, kind)


# -- an offer without the amount: the reader has only the phone's word for it


def _offer_without_amount(**fields: Any) -> KeyOffer:
    return KeyOffer(**{**fields, "amount": Money(1, town.JPY)})


def _amount_of_the_phone(bill: Bill) -> tuple[Bill, ...]:
    return (replace(bill, amount=Money(town.TEA.minor, town.JPY)),)


# -- a display that does not say what is bought


def _order_of_the_phone(bill: Bill) -> tuple[Bill, ...]:
    return (replace(bill, order=town.TEA.order),)


# -- an offer that any session takes


def _without_nonce(self: IssuerWords, signed: bytes, nonce: object, *, paying: bool) -> KeyOffer:
    offer = self.open(signed, KeyOffer)
    if offer.issuer_id != self._issuer_id or offer.reader_id != self._reader or paying or nonce is None:
        raise NotBelievedError("it is not for this reader now")
    return offer


# -- a PIN request that is bound to nothing, and a PIN envelope that answers any


def _any_request(self: Payment, request: Any, reference: Any) -> bool:
    self.pin_request, self.pin_request_digest = request, reference
    return True


_real_hear = envelopes.hear_reader


def _any_answer(live: LivePayment, message: FromReader) -> Any:
    if message.kind == "pin_envelope" and live.pin_request_digest is not None:
        try:
            live.pin_request_digest = PinEnvelope.decode(inside(message.signed)).pin_request
        except MessageError:
            pass
    return _real_hear(live, message)


# -- a display that shows any late result


def _late_results_shown() -> AbstractContextManager[object]:
    resting = (State.IDLE, State.GREETED, State.SHOWING_RESULT, State.OUTCOME_UNKNOWN)
    shown = {(state, Event.PAST_OUTCOME): TABLE.moves[state, Event.EARLIER_OUTCOME] for state in resting}
    return patch.object(session, "TABLE", replace(TABLE, moves={**TABLE.moves, **shown}))


# -- a display from which any offer takes what is on it


def _gone_when_taken(self: OwedOutcomes, record: OwedOutcome, outcome: Outcome) -> OwedOutcome:
    self._records.pop(record.offer, None)
    return replace(record, unknown=False, outcome=outcome)


_real_offer = session.Session._keep


def _closed_by_an_offer(self: session.Session, effect: Effect, now: float) -> Any:
    if effect is Effect.TAKE_OFFER and self._shown is not None:
        self._owed.close(self._shown)
    return _real_offer(self, effect, now)


OFFER_UNSIGNED = Weakness("the offer is not signed", lambda: patch.object(IssuerWords, "open", _any_offer))
NO_AMOUNT = Weakness(
    "the offer does not hold the amount",
    lambda: patch.object(payment_effects, "KeyOffer", _offer_without_amount),
    believed=_amount_of_the_phone,
    beforehand="The display says no amount; the phone says 300.",
)
NO_NONCE = Weakness(
    "the offer does not hold the reader's nonce",
    lambda: patch.object(IssuerWords, "open_offer", _without_nonce),
)
READER_UNVERIFIED = Weakness(
    "the reader's signature is not checked", lambda: patch.object(envelopes, "open_message", _unverified)
)
PIN_UNBOUND = Weakness(
    "the PIN request is not bound to what it answers",
    _all(
        lambda: patch.object(Payment, "take_pin_request", _any_request),
        lambda: patch.object(handset_desk, "hear_reader", _any_answer),
    ),
)
ORDER_HIDDEN = Weakness(
    "the display does not show the order",
    believed=_order_of_the_phone,
    beforehand="The display says no order; the phone says '1 tea'.",
)
NO_POSSESSION = Weakness(
    "enrolment takes no proof of possession",
    lambda: patch.object(enrolments, "open_enrolment", _whoever_signed),
    beforehand="The crook has enrolled the public key of Alice's reader as its own.",
)
CARD_UNTIED = Weakness("the card need not belong to the reader's owner", ties_cards=False)
OUTCOME_UNSIGNED = Weakness(
    "the outcome is not signed", lambda: patch.object(IssuerWords, "open", _any_outcome)
)
PAST_SHOWN = Weakness("a result is shown whatever was swiped for since", _late_results_shown)
RESULT_LOST = Weakness(
    "a result that is taken behind an offer is not kept",
    lambda: patch.object(OwedOutcomes, "take", _gone_when_taken),
)
UNKNOWN_LOST = Weakness(
    "an offer closes what is on the display",
    lambda: patch.object(session.Session, "_keep", _closed_by_an_offer),
)

ALL = (
    OFFER_UNSIGNED,
    NO_AMOUNT,
    NO_NONCE,
    READER_UNVERIFIED,
    PIN_UNBOUND,
    ORDER_HIDDEN,
    NO_POSSESSION,
    CARD_UNTIED,
    OUTCOME_UNSIGNED,
    PAST_SHOWN,
    RESULT_LOST,
    UNKNOWN_LOST,
)
