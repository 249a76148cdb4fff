"""What phones say, and calling them: the side of a payment that the handset channel talks to over the bus."""

from __future__ import annotations

import json
import logging
from typing import Final

from issuer_server import handset_frames as frames
from issuer_server.background import Background
from issuer_server.bus.port import NoResponders, call_subject
from issuer_server.envelopes import hear_reader, read_hello
from issuer_server.live_payments import LivePayment, LivePayments
from issuer_server.parts import IssuerParts
from issuer_server.payment import PAYMENT_TABLE, PaymentEvent, PaymentState
from issuer_server.payment_steps import PaymentSteps
from protocol.identifiers import CardholderId, HandsetId

_log = logging.getLogger(__name__)

MOST_LOGGED: Final = 20
"""Lines about dropped messages of one payment: a phone shall not fill the issuer's disk with them."""


class HandsetDesk:
    """Turns a phone's words into events of the payments of this process."""

    def __init__(
        self, parts: IssuerParts, payments: LivePayments, steps: PaymentSteps, background: Background
    ) -> None:
        self._parts = parts
        self._bus = parts.bus
        self._payments = payments
        self._steps = steps
        self._background = background

    async def arrived(self, payload: bytes) -> bytes:
        """A phone is connected: call it for what waits, and find out what it forgot."""
        word = json.loads(payload)
        handset_id, cardholder_id = HandsetId(word["handset_id"]), CardholderId(word["cardholder_id"])
        for live in self._payments.of_cardholder(cardholder_id):
            if live.state is PaymentState.REQUESTED:
                self._background.start(self.call(live))
            elif live.handset_id == handset_id and not word["resumed"]:
                self._background.start(self._phone_came_back_empty(live))
        return b""

    async def call(self, live: LivePayment) -> None:
        """S4: a connected phone of the cardholder rings; if none is, wait for one until the deadline."""
        async with live.lock:
            if live.state is not PaymentState.REQUESTED:
                return
            try:
                handset_id = await self._bus.request(call_subject(live.record.cardholder_id), b"")
            except NoResponders:
                return
            live.handset_id = HandsetId(handset_id.decode("ascii"))
            await self._steps.take(live, PaymentEvent.PHONE_REACHED)

    async def _phone_came_back_empty(self, live: LivePayment) -> None:
        async with live.lock:
            for event in (PaymentEvent.PHONE_RETURNED, PaymentEvent.PHONE_LOST_PAYMENT):
                if PAYMENT_TABLE.allows(live.state, event):
                    await self._steps.take(live, event)
                    return

    async def heard(self, live: LivePayment, payload: bytes) -> bytes:
        """A frame of the phone about this payment; the reply is a frame for the phone, or empty."""
        word = json.loads(payload)
        return await self._background.whole(self._answer(live, HandsetId(word["handset_id"]), word["frame"]))

    async def _answer(self, live: LivePayment, handset_id: HandsetId, frame: dict[str, object]) -> bytes:
        async with live.lock:
            if live.handset_id != handset_id:
                return frames.payment_over(live.id, "unknown_payment")
            try:
                message = frames.read_phone_message(frame)
                await self._block_if_wanted(live, message)
                if live.state.is_final:
                    return self._over(live)
                event = self._event_of(live, message)
            except frames.FrameError as error:
                live.dropped_messages += 1
                if live.dropped_messages <= MOST_LOGGED:
                    _log.warning(
                        "payment %s: a message was dropped: %s%s",
                        live.id,
                        error.code,
                        "; more of them are counted only" if live.dropped_messages == MOST_LOGGED else "",
                        extra={"payment_id": live.id, "code": error.code, "dropped": live.dropped_messages},
                    )
                return frames.error(error.code, str(error), live.id)
            if event is not None:
                await self._steps.take(live, event)
            return b""

    async def _block_if_wanted(self, live: LivePayment, message: frames.PhoneMessage) -> None:
        """Before the payment is declined, and also where it has ended otherwise meanwhile."""
        if isinstance(message, frames.Decline) and message.block_merchant:
            payment = live.record
            await self._parts.storage.block_merchant(
                payment.cardholder_id, payment.merchant_id, self._parts.clock()
            )

    def _over(self, live: LivePayment) -> bytes:
        if not live.record.state.is_final:  # not committed yet: no ending to tell of
            return b""
        return frames.payment_over(live.id, live.reason or "completed")

    def _event_of(self, live: LivePayment, message: frames.PhoneMessage) -> PaymentEvent | None:
        """Check a message against the payment's own memory; raises FrameError, with nothing changed."""
        match message:
            case frames.OutcomeWanted():
                live.outcome_wanted = True  # there is none yet; it will go out with the end
                return None
            case frames.FromReader():
                return hear_reader(live, message)
            case frames.Approve():
                event = PaymentEvent.APPROVED
            case frames.Decline(timed_out=timed_out):
                event = PaymentEvent.PHONE_TIMED_OUT if timed_out else PaymentEvent.DECLINED
            case frames.ReaderUnavailable():
                event = PaymentEvent.READER_UNAVAILABLE
        if not PAYMENT_TABLE.allows(live.state, event):
            raise frames.FrameError("unexpected_message", "the payment does not wait for this message")
        if isinstance(message, frames.Approve):
            live.hello = read_hello(message.reader_hello)
        return event
