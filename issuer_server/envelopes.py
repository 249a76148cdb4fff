"""What the reader sends, checked and opened: S8 to S13 and S18 to S20.

The order is fixed: signature by the enrolled key, then the binding to this payment, then one opening, then
the comparison with a second sealing (inside `PaymentKey`). What fails before the opening is dropped, since
anyone who holds the phone can send it; what fails in the opening was signed by the reader and ends the
payment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from issuer_server.handset_frames import FrameError, FromReader
from issuer_server.live_payments import LivePayment
from issuer_server.payment import REFUSAL_EVENTS, PaymentEvent, PaymentState
from protocol.errors import MessageError, ResealMismatch, SealError, SignatureError
from protocol.identifiers import Digest, PublicKey
from protocol.messages import CardEnvelope, KeyOffer, PinEnvelope, ReaderHello, Refusal
from protocol.sealing import PaymentKey, card_info, pin_info, unpad_pin
from protocol.signing import digest, open_message
from protocol.track_data import CardData, TrackError

M = TypeVar("M", CardEnvelope, PinEnvelope, Refusal)


def read_hello(data: bytes) -> ReaderHello:
    """The reader's hello, unsigned; raises FrameError."""
    try:
        return ReaderHello.decode(data)
    except MessageError as error:
        raise FrameError("reader_hello_refused", str(error)) from None


def hear_reader(live: LivePayment, message: FromReader) -> PaymentEvent:
    """The event that a reader's message means, once it is proved to be this payment's; raises FrameError."""
    match message.kind:
        case "card_envelope":
            _expect(live, PaymentState.KEY_OFFERED)
            card = _open_bound(live, message.signed, CardEnvelope)
            live.secrets.card_envelope = card
            live.card_envelope_digest = live.last_message_digest = digest(message.signed)
            return PaymentEvent.CARD_ARRIVED
        case "pin_envelope":
            _expect(live, PaymentState.PIN_REQUESTED)
            pin = _open_bound(live, message.signed, PinEnvelope)
            if pin.pin_request != live.pin_request_digest:
                raise FrameError("envelope_refused", "the PIN envelope answers another request")
            live.secrets.pin_envelope = pin
            live.pin_envelope_digest = live.last_message_digest = digest(message.signed)
            return PaymentEvent.PIN_ARRIVED
        case "refusal":
            _expect(live, PaymentState.KEY_OFFERED, PaymentState.PIN_REQUESTED)
            refusal = _open_bound(live, message.signed, Refusal)
            live.last_message_digest = digest(message.signed)
            return REFUSAL_EVENTS[refusal.reason]


def _expect(live: LivePayment, *states: PaymentState) -> None:
    if live.state not in states:
        raise FrameError("unexpected_message", "the payment does not wait for this message")


def _open_bound(live: LivePayment, signed: bytes, expected: type[M]) -> M:
    """Signature first, then the offer that the message answers."""
    assert live.reader is not None
    try:
        message = open_message(live.reader.public_key, signed, expected)
    except (SignatureError, MessageError) as error:
        raise FrameError("envelope_refused", str(error)) from None
    if message.offer != live.offer_digest:
        raise FrameError("envelope_refused", "the message answers another offer")
    return message


@dataclass(frozen=True, slots=True, repr=False)
class _Opening:
    """What both openings need, there by the time that an envelope has been heard."""

    key: PaymentKey
    offer: KeyOffer
    offer_digest: Digest
    reader_key: PublicKey


def _opening(live: LivePayment) -> _Opening:
    assert live.secrets.key is not None
    assert live.offer is not None
    assert live.offer_digest is not None
    assert live.reader is not None
    return _Opening(live.secrets.key, live.offer, live.offer_digest, live.reader.public_key)


def open_card(live: LivePayment) -> PaymentEvent:
    """S10 to S13: the clear card data into the payment's secrets, or the reason why not."""
    assert live.secrets.card_envelope is not None
    use = _opening(live)
    info = card_info(use.offer, use.offer_digest, use.reader_key)
    try:
        live.secrets.card_plaintext = use.key.open_card(live.secrets.card_envelope.sealed, info)
        live.secrets.card = CardData.parse(live.secrets.card_plaintext)
    except ResealMismatch:
        return PaymentEvent.RESEAL_DIFFERS
    except (SealError, TrackError):
        return PaymentEvent.ENVELOPE_UNOPENABLE
    return PaymentEvent.CARD_OPENED


def open_pin(live: LivePayment) -> PaymentEvent:
    """S18 to S20: the clear PIN into the payment's secrets, or the reason why not."""
    assert live.secrets.pin_envelope is not None
    assert live.pin_request_digest is not None
    use = _opening(live)
    info = pin_info(use.offer, use.offer_digest, use.reader_key, live.pin_request_digest)
    try:
        padded = use.key.open_pin(live.secrets.pin_envelope.sealed, info)
        try:
            live.secrets.pin = unpad_pin(padded)
        finally:
            padded[:] = bytes(len(padded))
    except ResealMismatch:
        return PaymentEvent.RESEAL_DIFFERS
    except SealError:
        return PaymentEvent.ENVELOPE_UNOPENABLE
    return PaymentEvent.PIN_OPENED
