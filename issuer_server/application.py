"""The issuer as an application: what merchants and phones can ask of it, whatever they ask it through.

It owns the payments it made (their keys never leave this process), hears of phones over the bus, and runs
every deadline. HTTP and WebSocket are in `merchant_api.py` and `handset_channel.py`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, replace

from issuer_server.background import Background
from issuer_server.bus.port import HANDSET_ARRIVED, WEBHOOKS_WAITING, moved_subject, payment_subject
from issuer_server.handset_desk import HandsetDesk
from issuer_server.live_payments import LivePayment, LivePayments
from issuer_server.parts import IssuerParts
from issuer_server.payment import PAYMENT_TABLE, PaymentEvent, PaymentState
from issuer_server.payment_effects import PaymentEffects
from issuer_server.payment_steps import PaymentSteps
from issuer_server.rate_limits import ANOTHER_CALL_AFTER, Rate, TokenBuckets
from issuer_server.storage.port import CallsLimited, MerchantRefused, NotFound, StorageError
from issuer_server.storage.records import (
    CardholderRecord,
    Created,
    IdempotencyClaim,
    MerchantRecord,
    NewPayment,
    NewRefund,
    PaymentRecord,
    RefundRecord,
    Replayed,
)
from protocol.errors import BlindRelayError, InputError
from protocol.identifiers import MerchantId, PaymentId, PhoneNumber, RefundId, mint
from protocol.messages import NotSettled
from protocol.money import Money

_log = logging.getLogger(__name__)


class IssuerStopping(BlindRelayError):  # noqa: N818 - says it
    """No new payments: the issuer is being stopped."""


class TooManyCalls(BlindRelayError):  # noqa: N818 - says it
    """The phone is called too often, or by too many; `seconds` until asking again makes sense."""

    def __init__(self, seconds: float) -> None:
        super().__init__("the phone is called too often")
        self.seconds = seconds


class PaymentNotFound(BlindRelayError):  # noqa: N818 - says it
    """The merchant has no payment of this id."""


class NotCancellable(BlindRelayError):  # noqa: N818 - says it
    """The payment is settled, or ended otherwise; `payment` shows how."""

    def __init__(self, payment: PaymentRecord) -> None:
        super().__init__(f"the payment is {payment.state.value}")
        self.payment = payment


@dataclass(frozen=True, slots=True)
class PaymentRequest:
    """201: what a merchant asks for. `order` was checked with `protocol.text.check_shown_text`."""

    phone: PhoneNumber
    money: Money
    order: str


class IssuerApplication:
    """Start it, use it, stop it. All methods belong to one event loop."""

    def __init__(self, parts: IssuerParts) -> None:
        self.parts = parts
        self._payments = LivePayments()
        self._calls: TokenBuckets[PhoneNumber] = TokenBuckets(Rate.of_phone(parts.limits))
        self._background = Background()
        effects = PaymentEffects(parts, self._payments)
        self._steps = PaymentSteps(
            effects,
            parts.storage,
            parts.bus,
            parts.timers,
            parts.deadlines,
            self._background,
            parts.observer,
        )
        self._desk = HandsetDesk(parts, self._payments, self._steps, self._background)
        self._stopping = asyncio.Event()

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    @property
    def in_flight(self) -> int:
        """Payments of this process that have not ended."""
        return len(self._payments)

    def states_in_flight(self) -> Counter[PaymentState]:
        """How many of them are where."""
        return Counter(live.shown_state for live in self._payments)

    async def start(self) -> list[PaymentRecord]:
        """End what an earlier run left in flight (and give it), then listen for phones."""
        swept = await self.parts.storage.sweep(self.parts.clock())
        for payment in swept:
            self.parts.observer.payment_over(payment)
            _log.warning(
                "payment %s: left in flight by an earlier run: not settled",
                payment.id,
                extra={"payment_id": payment.id, "state": payment.state.value, "reason": payment.reason},
            )
        await self.parts.bus.subscribe(HANDSET_ARRIVED, self._desk.arrived)
        return swept

    async def stop(self, grace: float) -> None:
        """Take no new payments, give those in flight `grace` seconds, then end them (issuer_restarted)."""
        self._stopping.set()
        try:
            async with asyncio.timeout(grace):
                await self._payments.none_left.wait()
        except TimeoutError:
            _log.warning("stopping with %d payments in flight", len(self._payments))
        await self._background.idle()  # a payment that was being made when we stopped is in flight now
        for live in self._payments:  # all at once: each may wait for a token, and nobody waits for the sum
            self._background.start(self._unless_over(live, PaymentEvent.ISSUER_STOPPING))
        await self._background.idle()
        for live in self._payments:  # an ending that could not be committed: the next start's sweep ends it
            live.forget_deadline()
        await self._background.idle()

    # -- what merchants ask

    async def create_payment(
        self, merchant: MerchantRecord, request: PaymentRequest, idempotency: IdempotencyClaim
    ) -> PaymentRecord:
        """Make a payment and call the phone; the same key gives the first answer again, and calls nobody.

        Raises InputError (unknown_phone), IdempotencyMismatch, TooManyCalls, IssuerStopping, StorageError.
        """
        if self.stopping:
            raise IssuerStopping("the issuer is stopping")
        cardholder = await self.parts.storage.cardholder_by_phone(request.phone)
        # A blocked cardholder looks like an unknown one: a shop need not know.
        if cardholder is None or cardholder.blocked:
            # A first answer that was lost is given again, whatever has become of the cardholder since.
            if (earlier := await self.parts.storage.replay(merchant.id, idempotency)) is not None:
                return earlier.first_answer
            raise _unknown_phone()
        try:
            return await self._background.whole(self._create(merchant, cardholder, request, idempotency))
        except MerchantRefused:  # nor that it is this very shop which the person does not want
            raise _unknown_phone() from None

    async def _create(
        self,
        merchant: MerchantRecord,
        cardholder: CardholderRecord,
        request: PaymentRequest,
        idempotency: IdempotencyClaim,
    ) -> PaymentRecord:
        new = NewPayment(
            id=PaymentId(mint("pay", self.parts.entropy(16))),
            merchant_id=merchant.id,
            cardholder_id=cardholder.id,
            phone=request.phone,
            money=request.money,
            order=request.order,
            created_at=self.parts.clock(),
        )
        match await self._insert_limited(new, idempotency):
            case Replayed() as replayed:
                return replayed.first_answer
            case Created(payment):
                live = LivePayment(payment)
                self._payments.add(live)
                self.parts.observer.payment_made(payment)
                self._steps.start_deadline(live)
                live.subscription = await self.parts.bus.subscribe(
                    payment_subject(payment.id), lambda payload: self._desk.heard(live, payload)
                )
                self._background.start(self._desk.call(live))
                return payment

    async def _insert_limited(self, new: NewPayment, idempotency: IdempotencyClaim) -> Created | Replayed:
        """A first request counts against the phone's limits; the same again never does."""
        wait = self._calls.take(new.phone, self.parts.timers.now())
        at_once = self.parts.limits.calls_to_a_phone_at_once or None
        made = False
        try:
            inserted = await self._insert(new, idempotency, 0 if wait else at_once)
            made = isinstance(inserted, Created)
            return inserted
        except CallsLimited:
            raise TooManyCalls(wait or ANOTHER_CALL_AFTER) from None
        finally:
            if not made and not wait:
                self._calls.give_back(new.phone, self.parts.timers.now())

    async def _insert(
        self, new: NewPayment, idempotency: IdempotencyClaim, most_in_flight: int | None
    ) -> Created | Replayed:
        try:
            return await self.parts.storage.create_payment(new, idempotency, most_in_flight)
        except StorageError:
            # The commit may have gone through, its answer lost: nobody else would ever end that payment.
            stored = await self.parts.storage.payment(new.id)
            if stored is None:
                raise
            return Created(stored)

    async def payment(self, merchant_id: MerchantId, payment_id: PaymentId) -> PaymentRecord:
        """The payment as it stands; raises PaymentNotFound, also for another merchant's."""
        live = self._payments.get(payment_id)
        payment = await self.parts.storage.payment(payment_id) if live is None else self._shown(live)
        if payment is None or payment.merchant_id != merchant_id:
            raise PaymentNotFound(payment_id)
        return payment

    async def wait(
        self,
        merchant_id: MerchantId,
        payment_id: PaymentId,
        seconds: float,
        seen: PaymentState | None = None,
    ) -> PaymentRecord:
        """The payment once it has ended (with `seen`: once it is in another state), or after `seconds`.

        Returns early, with the payment as it stands, when the issuer is stopping. Raises PaymentNotFound.
        """
        news = asyncio.Event()

        async def moved(_: bytes) -> bytes:
            live = self._payments.get(payment_id)
            if seen is not None or live is None or live.record.state.is_final:
                news.set()  # whoever waits for the end is not woken by each step on the way
            return b""

        # Listening starts before looking, so that no move falls in between.
        subscription = await self.parts.bus.subscribe(moved_subject(payment_id), moved)
        try:
            async with asyncio.timeout(seconds):
                while True:
                    news.clear()
                    payment = await self.payment(merchant_id, payment_id)
                    changed = seen is not None and payment.state is not seen
                    if payment.state.is_final or changed or self.stopping:
                        return payment
                    await self._either(news, self._stopping)
        except TimeoutError:
            return await self.payment(merchant_id, payment_id)
        finally:
            await subscription.end()

    @staticmethod
    async def _either(first: asyncio.Event, second: asyncio.Event) -> None:
        waiting = {asyncio.ensure_future(first.wait()), asyncio.ensure_future(second.wait())}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    async def payments(
        self, merchant_id: MerchantId, before: PaymentId | None, limit: int
    ) -> list[PaymentRecord]:
        """A merchant's payments, newest first."""
        stored = await self.parts.storage.payments(merchant_id, before, limit)
        return [
            self._shown(live) if (live := self._payments.get(payment.id)) is not None else payment
            for payment in stored
        ]

    async def cancel(self, merchant_id: MerchantId, payment_id: PaymentId) -> PaymentRecord:
        """End the payment before it settles; cancelling twice is no error.

        Raises PaymentNotFound, NotCancellable, and StorageError where the ending is not committed yet.
        """
        payment = await self.payment(merchant_id, payment_id)
        if (live := self._payments.get(payment_id)) is not None:
            await self._background.whole(self._unless_over(live, PaymentEvent.CANCELLED_BY_MERCHANT))
            if live.state.is_final and not live.record.state.is_final:
                raise StorageError("the cancellation is not stored yet")
            payment = live.record
        if payment.reason is not NotSettled.CANCELLED_BY_MERCHANT:
            raise NotCancellable(payment)
        return payment

    async def refund(
        self, merchant_id: MerchantId, payment_id: PaymentId, amount: int | None, claim: IdempotencyClaim
    ) -> RefundRecord:
        """Give back `amount` minor units, or all that is left; the same key gives the same refund again.

        Raises PaymentNotFound, RefundRefused, IdempotencyMismatch, StorageError.
        """
        refund_id = RefundId(mint("ref", self.parts.entropy(16)))
        new = NewRefund(refund_id, merchant_id, payment_id, amount, self.parts.clock())
        try:
            refund = await self._background.whole(self.parts.storage.refund(new, claim))
        except NotFound:
            raise PaymentNotFound(payment_id) from None
        if refund.id == refund_id:
            await self.parts.bus.publish(WEBHOOKS_WAITING, b"")
            _log.info("payment %s: refunded", payment_id, extra={"payment_id": payment_id})
        return refund

    async def refunds(
        self, merchant_id: MerchantId, payment_id: PaymentId, before: RefundId | None, limit: int
    ) -> list[RefundRecord]:
        """A payment's refunds, newest first; raises PaymentNotFound."""
        await self.payment(merchant_id, payment_id)
        return await self.parts.storage.refunds(payment_id, before, limit)

    @staticmethod
    def _shown(live: LivePayment) -> PaymentRecord:
        return replace(live.record, state=live.shown_state)

    async def _unless_over(self, live: LivePayment, event: PaymentEvent) -> None:
        async with live.lock:
            if PAYMENT_TABLE.allows(live.state, event):
                await self._steps.take(live, event)


def _unknown_phone() -> InputError:
    return InputError("unknown_phone", "No cardholder of this issuer has that phone number.")
