"""What the attacker makes itself: with its own reader's key, the skimmed card, PINs it saw, what it stole."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from issuer_server import enrolments
from issuer_server.live_payments import LivePayment
from issuer_server.payment import PaymentState
from issuer_server.storage.port import EnrolmentRefused
from issuer_server.storage.records import ReaderRecord
from protocol.identifiers import CardholderId, Digest, Nonce, PublicKey, ReaderId
from protocol.messages import (
    CardEnvelope,
    KeyOffer,
    MessageType,
    Outcome,
    PinEnvelope,
    PinRequest,
    ReaderEnrolment,
    ReaderHello,
    Refusal,
    Verdict,
)
from protocol.sealing import card_info, pin_info, seal_card, seal_pin
from protocol.signing import sign_message
from reader_peripheral.transitions import State
from tests.explorer import town
from tests.explorer.crypto_once import inside, sealed
from tests.explorer.issuer_in_hand import at_once
from tests.explorer.reader_in_hand import ReaderInHand

OWN = town.CROOKS_READER
Made = tuple[MessageType, bytes]


def approval(reader: ReaderId, nonce: Nonce) -> dict[str, Any]:
    """The frame that approves with a hello of the attacker's making."""
    hello = ReaderHello(reader, nonce, (1,)).encode()
    return {"type": "approve", "reader_hello": base64.urlsafe_b64encode(hello).decode()}


def frame(kind: str, signed: bytes) -> dict[str, Any]:
    """The frame that carries a reader's message."""
    return {"type": "from_reader", "kind": kind, "data": base64.urlsafe_b64encode(signed).decode()}


def for_reader(reader: ReaderInHand) -> Iterator[Made]:
    """An offer of the attacker's own key, a request for a PIN, an approval: signed with a key that it has."""
    session = reader.session
    if session.state is State.GREETED and session._nonce is not None:
        yield (
            MessageType.KEY_OFFER,
            sign_message(
                OWN,
                KeyOffer(
                    issuer_id=town.ISSUER_ID,
                    payment_id=town.TEA.id,
                    reader_id=ReaderId(town.ALICES_READER.key_id),
                    nonce=session._nonce,
                    merchant_id=town.SHOP,
                    merchant_name=town.FALSE_BILL.merchant,
                    order=town.FALSE_BILL.order,
                    amount=town.FALSE_BILL.amount,
                    public_key=town.CROOKS_PAYMENT_KEY.public_key,
                    seconds_to_live=60,
                ),
            ),
        )
    payment = session._payment
    if payment is not None and payment.card_envelope is not None:
        request = PinRequest(payment.digest, payment.card_envelope, payment.pin_envelope, "4444", 3)
        yield MessageType.PIN_REQUEST, sign_message(OWN, request)
    for owed in session.owed:
        yield (
            MessageType.OUTCOME,
            sign_message(OWN, Outcome(owed.offer, owed.sent[-1], Verdict.APPROVED, None)),
        )


def for_issuer(live: LivePayment, stolen: Iterable[Made]) -> Iterator[Made]:
    """Envelopes around the skimmed card, known PINs and others' ciphertexts, signed with its own key."""
    if live.offer is None or live.offer_digest is None or live.reader is None or live.secrets.key is None:
        return
    offer, about, key = live.offer, live.offer_digest, live.offer.public_key
    if live.state is PaymentState.KEY_OFFERED:
        info = card_info(offer, about, live.reader.public_key)
        known = [card for card in town.PLASTIC if card.skimmed]
        boxes = [sealed(seal_card, key, card.plaintext(), info) for card in known]
        boxes += [
            CardEnvelope.decode(inside(b)).sealed for kind, b in stolen if kind is MessageType.CARD_ENVELOPE
        ]
        for box in boxes:
            yield MessageType.CARD_ENVELOPE, sign_message(OWN, CardEnvelope(about, box))
    if live.state is PaymentState.PIN_REQUESTED and live.pin_request_digest is not None:
        asked = live.pin_request_digest
        info = pin_info(offer, about, live.reader.public_key, asked)
        known = [card for card in town.PLASTIC if card.skimmed]
        boxes = [sealed(seal_pin, key, card.pin_plaintext(), info) for card in known]
        boxes += [
            PinEnvelope.decode(inside(b)).sealed for kind, b in stolen if kind is MessageType.PIN_ENVELOPE
        ]
        for box in boxes:
            yield MessageType.PIN_ENVELOPE, sign_message(OWN, PinEnvelope(about, asked, box))


def useful(made: Made, offers: Mapping[Digest, CardholderId]) -> bool:
    """Whether any party could ever take it: a refusal of what no issuer offered is waste paper."""
    kind, signed = made
    return kind is not MessageType.REFUSAL or Refusal.decode(inside(signed)).offer in offers


class _Desk:
    """Enrolment's rules: a key is enrolled once, and its challenge says for whom."""

    def __init__(self) -> None:
        self.readers: dict[ReaderId, ReaderRecord] = {}
        self.codes: dict[Digest, CardholderId] = {}

    async def redeem_reader_code(
        self, secret_digest: Digest, reader_id: ReaderId, public_key: PublicKey, model: str, now: float
    ) -> ReaderRecord:
        if reader_id in self.readers:
            raise EnrolmentRefused("reader_already_enrolled", "once only")
        record = ReaderRecord(reader_id, self.codes[secret_digest], public_key, model, False)
        self.readers[reader_id] = record
        return record


def readers_enrolled() -> dict[ReaderId, ReaderRecord]:
    """By the real enrolment: the crook first tries to have Alice's reader's key written down as its own."""
    desk = _Desk()
    tries = [
        (town.CROOK, town.ALICES_READER.public_key, OWN),
        (town.ALICE, town.ALICES_READER.public_key, town.ALICES_READER),
        (town.CROOK, OWN.public_key, OWN),
    ]
    for number, (who, public_key, signer) in enumerate(tries):
        challenge = bytes([0x40 + number]) * 16
        desk.codes[enrolments.secret_digest(challenge)] = who
        proof = sign_message(signer, ReaderEnrolment(town.ISSUER_ID, challenge, public_key, "BR-1"))
        try:
            at_once(enrolments.enrol_reader(desk, town.ISSUER_ID, proof, town.NOON))  # type: ignore[arg-type]
        except EnrolmentRefused:
            pass
    return desk.readers
