"""The issuer's tables in memory, one transaction a call: what SQLite does, small enough to be put back.

The rules are those of `issuer_server/storage/sqlite/payments.py`; the contract tests hold the database to
them, not this.
"""

from __future__ import annotations

from dataclasses import replace

from issuer_server.payment import PaymentState
from issuer_server.storage.records import (
    NO_CHANGES,
    CardRecord,
    HoldResult,
    PaymentChanges,
    PaymentRecord,
    ReaderRecord,
    SettleResult,
)
from protocol.identifiers import (
    CardholderId,
    CardId,
    Digest,
    MerchantId,
    PaymentId,
    PhoneNumber,
    ReaderId,
)
from protocol.money import Money


def requested(
    payment_id: PaymentId,
    merchant: MerchantId,
    name: str,
    cardholder: CardholderId,
    phone: PhoneNumber,
    money: Money,
    order: str,
    now: float,
) -> PaymentRecord:
    """A payment's first row."""
    return PaymentRecord(
        id=payment_id,
        merchant_id=merchant,
        merchant_name=name,
        cardholder_id=cardholder,
        phone=phone,
        money=money,
        order=order,
        state=PaymentState.REQUESTED,
        reason=None,
        card_last_four=None,
        reader_id=None,
        offer_digest=None,
        last_message_digest=None,
        created_at=now,
        updated_at=now,
    )


class Tables:
    """Payments, cards and readers. `ties_cards` False: a card is taken for that of whoever is paying."""

    def __init__(self, readers: dict[ReaderId, ReaderRecord], *, ties_cards: bool = True) -> None:
        self.readers = readers
        self.cards: dict[CardId, CardRecord] = {}
        self.index: dict[Digest, CardId] = {}
        self.payments: dict[PaymentId, PaymentRecord] = {}
        self.settled: list[tuple[PaymentId, CardId]] = []
        self.tries_used: list[CardId] = []
        self.paying: CardholderId | None = None
        self._ties_cards = ties_cards

    async def advance(
        self,
        payment_id: PaymentId,
        expected: PaymentState,
        to: PaymentState,
        changes: PaymentChanges,
        now: float,
    ) -> bool:
        """Compare and set."""
        if self.payments[payment_id].state is not expected:
            return False
        self._write(payment_id, to, changes)
        return True

    async def hold(
        self,
        payment_id: PaymentId,
        expected: PaymentState,
        now: float,
        changes: PaymentChanges = NO_CHANGES,
    ) -> HoldResult:
        """There is always money enough."""
        if self.payments[payment_id].state is not expected:
            return HoldResult.STALE
        self._write(payment_id, PaymentState.PIN_REQUESTED, changes)
        return HoldResult.HELD

    async def settle(
        self,
        payment_id: PaymentId,
        expected: PaymentState,
        card_id: CardId,
        now: float,
        changes: PaymentChanges = NO_CHANGES,
    ) -> SettleResult:
        """The posting and the state; there is always money enough."""
        payment, card = self.payments[payment_id], self.cards[card_id]
        if payment.state is not expected:
            return SettleResult.STALE
        self.cards[card_id] = replace(card, pin_tries_left=3)
        if card.blocked or (self._ties_cards and card.cardholder_id != payment.cardholder_id):
            return SettleResult.CARD_REFUSED
        self.settled.append((payment_id, card_id))
        self._write(payment_id, PaymentState.COMPLETED, changes)
        return SettleResult.SETTLED

    def _write(self, payment_id: PaymentId, state: PaymentState, changes: PaymentChanges) -> None:
        old = self.payments[payment_id]
        self.payments[payment_id] = replace(
            old,
            state=state,
            reason=changes.reason or old.reason,
            card_last_four=changes.card_last_four or old.card_last_four,
            reader_id=changes.reader_id or old.reader_id,
            offer_digest=changes.offer_digest or old.offer_digest,
            last_message_digest=changes.last_message_digest or old.last_message_digest,
        )

    async def payment(self, payment_id: PaymentId) -> PaymentRecord | None:
        """One payment."""
        return self.payments.get(payment_id)

    async def reader(self, reader_id: ReaderId) -> ReaderRecord | None:
        """One reader."""
        return self.readers.get(reader_id)

    async def card_by_index(self, pan_index: Digest) -> CardRecord | None:
        """One card."""
        card_id = self.index.get(pan_index)
        card = None if card_id is None else self.cards[card_id]
        if card is None or self._ties_cards or self.paying is None:
            return card
        return replace(card, cardholder_id=self.paying)

    async def claim_pin_try(self, card_id: CardId) -> int | None:
        """One try fewer."""
        card = self.cards[card_id]
        if card.pin_tries_left == 0:
            return None
        self.tries_used.append(card_id)
        self.cards[card_id] = replace(card, pin_tries_left=card.pin_tries_left - 1)
        return card.pin_tries_left - 1
