"""A storage with people in it, for tests of storage and of what stands on it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field

from issuer_server.payment import PaymentState
from issuer_server.storage.records import (
    NO_CHANGES,
    Created,
    IdempotencyClaim,
    NewCard,
    NewCardholder,
    NewEnrolmentCode,
    NewMerchant,
    NewPayment,
    NewRefund,
    PaymentChanges,
    PaymentRecord,
    RefundRecord,
    SettleResult,
)
from issuer_server.storage.sqlite import SqliteStorage
from protocol.enrolment import EnrolmentKind
from protocol.identifiers import (
    CardholderId,
    CardId,
    Digest,
    MerchantId,
    PaymentId,
    PhoneNumber,
    PublicKey,
    ReaderId,
    RefundId,
    mint,
)
from protocol.money import Money, currency

START = 1_700_000_000.0
PHONE = PhoneNumber("+819012345678")


def digest(text: str) -> Digest:
    """Some digest, the same for the same text."""
    return Digest(hashlib.sha256(text.encode()).digest())


@dataclass
class World:
    """A storage with one merchant, one funded cardholder and one card in it; more of each on request."""

    storage: SqliteStorage
    now: float = START
    merchant: MerchantId = field(default_factory=lambda: MerchantId(mint("mer", os.urandom(16))))
    cardholder: CardholderId = field(default_factory=lambda: CardholderId(mint("chd", os.urandom(16))))
    card: CardId = field(default_factory=lambda: CardId(mint("crd", os.urandom(16))))
    phone: PhoneNumber = PHONE

    async def populate(self) -> None:
        await self.storage.add_merchant(NewMerchant(self.merchant, "Cafe Relay", digest("api key")), self.now)
        await self.storage.add_cardholder(NewCardholder(self.cardholder, "Hanako", self.phone), self.now)
        await self.add_card(self.card, self.cardholder, "pan")
        await self.storage.fund(self.cardholder, self.yen(10_000), self.now)

    async def add_card(self, card: CardId, owner: CardholderId, pan: str, tries: int = 3) -> None:
        new = NewCard(card, owner, digest(pan), "1111", "3012", digest("pin"), tries)
        await self.storage.add_card(new, self.now)

    @staticmethod
    def yen(minor: int) -> Money:
        return Money(minor, currency("JPY"))

    def claim(self, key: str, payload: str = "payload") -> IdempotencyClaim:
        return IdempotencyClaim(key, digest(payload))

    def new_payment(self, money: Money | None = None, merchant: MerchantId | None = None) -> NewPayment:
        return NewPayment(
            id=PaymentId(mint("pay", os.urandom(16))),
            merchant_id=merchant or self.merchant,
            cardholder_id=self.cardholder,
            phone=self.phone,
            money=money or self.yen(1_200),
            order="2 coffees",
            created_at=self.now,
        )

    async def create(self, money: Money | None = None, merchant: MerchantId | None = None) -> PaymentRecord:
        new = self.new_payment(money, merchant)
        made = await self.storage.create_payment(new, self.claim(new.id))
        assert isinstance(made, Created)
        return made.payment

    async def advance(
        self, payment: PaymentRecord, to: PaymentState, changes: PaymentChanges = NO_CHANGES
    ) -> PaymentRecord:
        assert await self.storage.advance(payment.id, payment.state, to, changes, self.now)
        stored = await self.storage.payment(payment.id)
        assert stored is not None
        return stored

    async def balance(self, owner: str, code: str = "JPY") -> int:
        found = [each.minor for each in await self.storage.balances(owner) if each.currency.code == code]
        return found[0] if found else 0

    async def add_merchant(self) -> MerchantId:
        merchant = MerchantId(mint("mer", os.urandom(16)))
        new = NewMerchant(merchant, "Bar Relay", Digest(os.urandom(32)))
        await self.storage.add_merchant(new, self.now)
        return merchant

    async def add_cardholder(self, phone: str) -> CardholderId:
        cardholder = CardholderId(mint("chd", os.urandom(16)))
        await self.storage.add_cardholder(NewCardholder(cardholder, "Taro", PhoneNumber(phone)), self.now)
        return cardholder

    async def add_reader(self) -> ReaderId:
        secret, key = Digest(os.urandom(32)), PublicKey(os.urandom(32))
        code = NewEnrolmentCode(secret, EnrolmentKind.READER, self.cardholder, self.now + 1)
        await self.storage.add_enrolment_code(code)
        reader = await self.storage.redeem_reader_code(secret, ReaderId(key[:8]), key, "pi-1", self.now)
        return reader.id

    async def settled(self, money: Money | None = None) -> PaymentRecord:
        payment = await self.create(money)
        result = await self.storage.settle(payment.id, payment.state, self.card, self.now)
        assert result is SettleResult.SETTLED
        stored = await self.storage.payment(payment.id)
        assert stored is not None
        return stored

    async def refund(
        self, payment: PaymentRecord, amount: int | None, key: str | None = None
    ) -> RefundRecord:
        refund = RefundId(mint("ref", os.urandom(16)))
        new = NewRefund(refund, payment.merchant_id, payment.id, amount, self.now)
        return await self.storage.refund(new, self.claim(key or refund, f"{payment.id} {amount}"))
