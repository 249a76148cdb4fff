"""What each effect of the payment table does: storage, the offer, the envelopes, the words to others.

Every effect is one method that takes the payment and gives the event that it found, or None.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from issuer_server import handset_frames as frames
from issuer_server.bus.port import WEBHOOKS_WAITING, NoResponders, handset_subject, moved_subject
from issuer_server.card_checks import can_check, find_card, pin_is_right
from issuer_server.envelopes import open_card, open_pin
from issuer_server.live_payments import LivePayment, LivePayments
from issuer_server.outcomes import outcome_of
from issuer_server.parts import IssuerParts
from issuer_server.payment import Effect, PaymentEvent, PaymentState
from issuer_server.storage.records import HoldResult, PaymentChanges, SettleResult
from protocol.errors import BlindRelayError
from protocol.messages import MOST_TRIES, PROTOCOL_VERSION, KeyOffer, Outcome, PinRequest
from protocol.sealing import SEED_SIZE
from protocol.signing import Signer, digest, sign_message

_log = logging.getLogger(__name__)


class StaleState(BlindRelayError):  # noqa: N818 - says it
    """The database holds another state of the payment than this process thought."""


class PaymentEffects:
    """The effects of the payment table, for all payments of one process."""

    def __init__(self, parts: IssuerParts, payments: LivePayments) -> None:
        self._parts = parts
        self._payments = payments
        self.methods: Mapping[Effect, Callable[[LivePayment], Awaitable[PaymentEvent | None]]] = {
            Effect.STORE: self._store,
            Effect.PUSH_REQUEST: self._push_request,
            Effect.LOOK_UP_READER: self._look_up_reader,
            Effect.MAKE_KEY_OFFER: self._make_key_offer,
            Effect.SEND_KEY_OFFER: self._send_key_offer,
            Effect.OPEN_CARD: self._open_card,
            Effect.LOOK_UP_CARD: self._look_up_card,
            Effect.HOLD_FUNDS: self._hold_funds,
            Effect.SEND_PIN_REQUEST: self._send_pin_request,
            Effect.OPEN_PIN: self._open_pin,
            Effect.CHECK_PIN: self._check_pin,
            Effect.SETTLE: self._settle,
            Effect.DROP_KEYS: self._drop_keys,
            Effect.SEND_OUTCOME: self._send_outcome,
            Effect.TELL_PHONE: self._tell_phone,
            Effect.TELL_MERCHANT: self._tell_merchant,
        }

    # -- storing and settling

    def _changes(self, live: LivePayment) -> PaymentChanges:
        return PaymentChanges(
            reason=live.reason,
            card_last_four=live.card_last_four,
            reader_id=live.reader.id if live.reader is not None else None,
            offer_digest=live.offer_digest,
            last_message_digest=live.last_message_digest,
        )

    def _stored(self, live: LivePayment, state: PaymentState, changes: PaymentChanges, now: float) -> None:
        live.record = replace(
            live.record,
            state=state,
            reason=changes.reason,
            card_last_four=changes.card_last_four,
            reader_id=changes.reader_id,
            offer_digest=changes.offer_digest,
            last_message_digest=changes.last_message_digest,
            updated_at=now,
        )

    async def _store(self, live: LivePayment) -> None:
        changes, now = self._changes(live), self._parts.clock()
        if not await self._parts.storage.advance(live.id, live.record.state, live.state, changes, now):
            raise StaleState(live.id)
        self._stored(live, live.state, changes, now)

    async def _settle(self, live: LivePayment) -> PaymentEvent:
        assert live.card is not None
        changes, now = self._changes(live), self._parts.clock()
        match await self._parts.storage.settle(live.id, live.record.state, live.card.id, now, changes):
            case SettleResult.SETTLED:
                self._stored(live, PaymentState.COMPLETED, changes, now)
                return PaymentEvent.SETTLED
            case SettleResult.INSUFFICIENT_FUNDS:
                return PaymentEvent.FUNDS_INSUFFICIENT
            case SettleResult.CARD_REFUSED:
                return PaymentEvent.CARD_BLOCKED
            case SettleResult.READER_REFUSED:
                return PaymentEvent.READER_BLOCKED
            case SettleResult.STALE:
                raise StaleState(live.id)

    # -- the reader and its offer

    async def _look_up_reader(self, live: LivePayment) -> PaymentEvent:
        assert live.hello is not None
        if PROTOCOL_VERSION not in live.hello.versions:
            return PaymentEvent.READER_UNAVAILABLE
        live.reader = reader = await self._parts.storage.reader(live.hello.reader_id)
        if reader is None:
            return PaymentEvent.READER_UNKNOWN
        if reader.cardholder_id != live.record.cardholder_id:
            return PaymentEvent.READER_NOT_CARDHOLDERS
        live.signer = await self._parts.keys.signer(reader.issuer_key)
        # A reader whose issuer key is retired would refuse every offer: it must be enrolled again.
        refused = reader.blocked or live.signer is None
        return PaymentEvent.READER_BLOCKED if refused else PaymentEvent.READER_ACCEPTED

    async def _make_key_offer(self, live: LivePayment) -> None:
        assert live.hello is not None
        assert live.signer is not None
        payment = live.record
        live.secrets.key = key = self._parts.make_key(self._parts.entropy(SEED_SIZE))
        live.offer = offer = KeyOffer(
            issuer_id=self._parts.issuer_id,
            payment_id=payment.id,
            reader_id=live.hello.reader_id,
            nonce=live.hello.nonce,
            merchant_id=payment.merchant_id,
            merchant_name=payment.merchant_name,
            order=payment.order,
            amount=payment.money,
            public_key=key.public_key,
            seconds_to_live=max(1, int(self._parts.deadlines.card)),
        )
        live.signed_offer = await self._signed(live.signer, offer)
        live.offer_digest = digest(live.signed_offer)

    async def _send_key_offer(self, live: LivePayment) -> None:
        await self._to_reader(live, "key_offer", live.signed_offer)

    # -- the card and the PIN

    async def _open_card(self, live: LivePayment) -> PaymentEvent:
        return open_card(live)

    async def _look_up_card(self, live: LivePayment) -> PaymentEvent:
        assert live.secrets.card is not None
        read = live.secrets.card
        card = await find_card(self._parts.storage, self._parts.keys, read.pan())
        today = datetime.fromtimestamp(self._parts.clock(), UTC).date()
        if card is None:
            return PaymentEvent.CARD_UNKNOWN
        # Whose card it is comes first: nobody learns the state of another's card.
        if card.cardholder_id != live.record.cardholder_id:
            return PaymentEvent.CARD_NOT_CARDHOLDERS
        live.card, live.card_last_four = card, card.last_four
        live.pin_tries_left = card.pin_tries_left
        if card.blocked:
            return PaymentEvent.CARD_BLOCKED
        # A stripe whose date differs from the table's is that of a card since replaced.
        if read.expired(today) or read.expiry != card.expiry:
            return PaymentEvent.CARD_EXPIRED
        can_pay = card.pin_tries_left > 0 and await can_check(self._parts.keys, card)
        return PaymentEvent.CARD_ACCEPTED if can_pay else PaymentEvent.PIN_BLOCKED

    async def _hold_funds(self, live: LivePayment) -> PaymentEvent:
        changes, now = self._changes(live), self._parts.clock()
        match await self._parts.storage.hold(live.id, live.record.state, now, changes):
            case HoldResult.HELD:
                self._stored(live, PaymentState.PIN_REQUESTED, changes, now)
                return PaymentEvent.FUNDS_HELD
            case HoldResult.INSUFFICIENT_FUNDS:
                return PaymentEvent.FUNDS_INSUFFICIENT
            case HoldResult.STALE:
                raise StaleState(live.id)

    async def _send_pin_request(self, live: LivePayment) -> None:
        assert live.offer_digest is not None
        assert live.card_envelope_digest is not None
        assert live.card is not None
        assert live.signer is not None
        request = PinRequest(
            offer=live.offer_digest,
            card_envelope=live.card_envelope_digest,
            previous_pin_envelope=live.pin_envelope_digest,
            last_four=live.card.last_four,
            tries_left=min(live.pin_tries_left, MOST_TRIES),
        )
        signed = await self._signed(live.signer, request)
        live.pin_request_digest = digest(signed)
        await self._to_reader(live, "pin_request", signed)

    async def _open_pin(self, live: LivePayment) -> PaymentEvent:
        return open_pin(live)

    async def _check_pin(self, live: LivePayment) -> PaymentEvent:
        assert live.card is not None
        assert live.secrets.pin is not None
        if not await can_check(self._parts.keys, live.card):
            return PaymentEvent.PIN_BLOCKED
        # The try is used up before the PIN is looked at: parallel payments share the tries there are.
        left = await self._parts.storage.claim_pin_try(live.card.id)
        if left is None:
            return PaymentEvent.PIN_BLOCKED
        live.pin_tries_left, live.pin_attempts = left, live.pin_attempts + 1
        right = await pin_is_right(self._parts.keys, live.card, live.secrets.pin)
        live.secrets.drop_pin()
        if right:  # the settlement gives the card its tries back
            return PaymentEvent.PIN_RIGHT
        another = left > 0 and live.pin_attempts < self._parts.pin_attempts
        return PaymentEvent.PIN_WRONG_TRY_AGAIN if another else PaymentEvent.PIN_WRONG

    # -- endings and words to others

    async def _drop_keys(self, live: LivePayment) -> None:
        live.secrets.drop()

    async def _push_request(self, live: LivePayment) -> None:
        await self._to_phone(
            live, frames.payment_request(live.record, live.seconds_left(self._parts.timers.now()))
        )

    async def _send_outcome(self, live: LivePayment) -> None:
        outcome = outcome_of(live.record)
        if live.signer is not None and outcome is not None:
            await self._to_reader(live, "outcome", await self._signed(live.signer, outcome))

    async def _tell_phone(self, live: LivePayment) -> None:
        await self._to_phone(live, frames.result(live.record))

    async def _tell_merchant(self, live: LivePayment) -> None:
        self._payments.forget(live)
        self._parts.observer.payment_over(live.record)
        if live.subscription is not None:
            await live.subscription.end()
        await self._parts.bus.publish(moved_subject(live.id), b"")
        await self._parts.bus.publish(WEBHOOKS_WAITING, b"")
        if live.outcome_wanted:  # last: what fails here must not keep the payment, nor the merchant waiting
            await self._send_outcome(live)

    async def _signed(self, signer: Signer, message: KeyOffer | PinRequest | Outcome) -> bytes:
        return await self._parts.keys.ask(lambda: sign_message(signer, message))

    async def _to_reader(self, live: LivePayment, kind: frames.ToReaderKind, signed: bytes) -> None:
        await self._to_phone(
            live, frames.to_reader(live.id, kind, signed, live.seconds_left(self._parts.timers.now()))
        )

    async def _to_phone(self, live: LivePayment, frame: bytes) -> None:
        """Leave it with the phone's session, which brings it over, now or when the phone is back."""
        if live.handset_id is None:
            return
        try:
            await self._parts.bus.request(handset_subject(live.handset_id), frame)
        except NoResponders:
            _log.info("payment %s: the phone is gone", live.id, extra={"payment_id": live.id})
