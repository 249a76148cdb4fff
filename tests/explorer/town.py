"""Who is in the explored world: an honest person, a crook, a bank, their keys, cards and bills. All fixed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from issuer_server.cards import CardKeys
from issuer_server.storage.records import CardRecord, PaymentRecord, ReaderRecord
from protocol.identifiers import (
    CardholderId,
    CardId,
    HandsetId,
    IssuerId,
    MerchantId,
    Nonce,
    PaymentId,
    PhoneNumber,
    ReaderId,
    mint,
)
from protocol.messages import NotSettled as NotSettled
from protocol.money import Money, currency
from protocol.sealing import PaymentKey, pad_pin
from protocol.signing import SigningKey
from protocol.track_data import parse_swipe
from reader_peripheral.screens import Bill
from tests.explorer.payments_table import requested

ISSUER_ID: Final = IssuerId("bank.example")
NOON: Final = 1_795_348_800.0  # 2026-11-22T12:00:00Z

BANK: Final = SigningKey.from_seed(b"\x01" * 32)
ALICES_READER: Final = SigningKey.from_seed(b"\x02" * 32)
CROOKS_READER: Final = SigningKey.from_seed(b"\x03" * 32)
"""Enrolled like any other; its key is in the crook's hands."""
CROOKS_PAYMENT_KEY: Final = PaymentKey.from_seed(bytes(range(96)))

ALICE: Final = CardholderId(mint("chd", b"\x0a" * 16))
CROOK: Final = CardholderId(mint("chd", b"\x0c" * 16))
SHOP: Final = MerchantId(mint("mer", b"\x05" * 16))
HANDSETS: Final = {ALICE: HandsetId(mint("hst", b"\x0a" * 16)), CROOK: HandsetId(mint("hst", b"\x0c" * 16))}
PHONES: Final = {ALICE: PhoneNumber("+819012345678"), CROOK: PhoneNumber("+819087654321")}
CARD_KEYS: Final = CardKeys(b"\x06" * 32, b"\x07" * 32)
JPY: Final = currency("JPY")


@dataclass(frozen=True, slots=True)
class Plastic:
    """A card of flesh-and-blood people, as the swiper sees it."""

    name: str
    owner: CardholderId
    pan: str
    pin: str
    skimmed: bool
    """The crook has copied the stripe and seen the PIN typed."""

    @property
    def id(self) -> CardId:
        return CardId(mint("crd", self.pan.encode().ljust(16)[:16]))

    @property
    def last_four(self) -> str:
        return self.pan[-4:]

    def plaintext(self) -> bytes:
        """What is sealed of it."""
        stripe = f"%B{self.pan}^SOMEBODY/A^4912101?;{self.pan}=4912101?"
        return bytes(parse_swipe(bytearray(stripe.encode("ascii"))).card_plaintext())

    def pin_plaintext(self, pin: str | None = None) -> bytes:
        """What is sealed of a PIN, the right one where none is given."""
        return bytes(pad_pin(bytearray((pin or self.pin).encode("ascii"))))


FIRST: Final = Plastic("her first card", ALICE, "4111111111111111", "1234", skimmed=False)
SECOND: Final = Plastic("her second card", ALICE, "5555555555554444", "2345", skimmed=True)
CROOKS: Final = Plastic("the crook's card", CROOK, "378282246310005", "3456", skimmed=True)
PLASTIC: Final = (FIRST, SECOND, CROOKS)
BY_LAST_FOUR: Final = {card.last_four: card for card in PLASTIC}
BY_ID: Final = {card.id: card for card in PLASTIC}
WRONG_PIN: Final = "9999"


@dataclass(frozen=True, slots=True)
class Asked:
    """A payment that the shop may ask for, once."""

    label: str
    cardholder: CardholderId
    minor: int
    order: str

    @property
    def id(self) -> PaymentId:
        return PaymentId(mint("pay", self.label.encode().ljust(16, b".")[:16]))

    def record(self) -> PaymentRecord:
        """As the database has it when it is new."""
        return requested(self.id, SHOP, "Cafe Relay", self.cardholder, PHONES[self.cardholder],
                         Money(self.minor, JPY), self.order, NOON)  # fmt: skip


TEA: Final = Asked("the tea", ALICE, 300, "1 tea")
GOLD: Final = Asked("the gift card", ALICE, 300, "1 gift card")
DEAR_TEA: Final = Asked("the dear tea", ALICE, 90_000, "1 tea")
CROOKS_TEA: Final = Asked("the crook's tea", CROOK, 300, "1 tea")
FALSE_BILL: Final = Bill("Charity", Money(1, JPY), "nothing much")


def bill_of(record: PaymentRecord) -> Bill:
    """What an honest reader shows for it."""
    return Bill(record.merchant_name, record.money, record.order)


def nonce(number: int) -> Nonce:
    """The nonce of Alice's reader's session of that number; unguessable before it is sent."""
    return Nonce(bytes([number]) * 16)


def card_record(card: Plastic, tries_left: int) -> CardRecord:
    """A line of the patent's table 32."""
    verifier = CARD_KEYS.pin_verifier(card.id, card.pin.encode())
    return CardRecord(card.id, card.owner, card.last_four, "4912", verifier, tries_left, False)


def reader_record(key: SigningKey, owner: CardholderId) -> ReaderRecord:
    """An enrolled reader."""
    return ReaderRecord(ReaderId(key.key_id), owner, key.public_key, "BR-1", False)
