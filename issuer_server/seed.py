"""Test data for a first payment: a merchant, two cardholders with money, and cards everybody knows.

The numbers are the card networks' published test numbers. They are no secret, so unlike all others they may
be shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from issuer_server import administration
from issuer_server.administration import AddedCard, AddedCardholder, AddedMerchant, RandomBytes
from issuer_server.cards import CardKeys
from issuer_server.enrolments import IssuerAddress
from issuer_server.storage.port import Administration, AlreadyExists
from protocol.enrolment import EnrolmentCode, EnrolmentKind
from protocol.identifiers import parse_phone_number
from protocol.money import currency, parse_amount

MERCHANT_NAME: Final = "Cafe Relay"


@dataclass(frozen=True, slots=True)
class SampleCard:
    """A card to try things with; `expiry` is YYMM."""

    label: str
    pan: str
    pin: str
    expiry: str
    embossed_name: str
    blocked: bool = False

    @property
    def stripe(self) -> str:
        """What a keyboard-wedge reader types for a swipe: tracks 1 and 2 of ISO/IEC 7813."""
        track_1 = f"%B{self.pan}^{self.embossed_name}^{self.expiry}201?"
        return f"{track_1};{self.pan}={self.expiry}201?"


@dataclass(frozen=True, slots=True)
class SampleCardholder:
    """A person to try things with, and what they can spend."""

    name: str
    phone: str
    funds: tuple[tuple[str, str], ...]
    cards: tuple[SampleCard, ...]


SAMPLE_CARDHOLDERS: Final = (
    SampleCardholder(
        "Hanako Yamada",
        "+81 90 1234 5678",
        (("JPY", "1000000"), ("USD", "10000.00"), ("EUR", "10000.00"), ("KWD", "1000.000")),
        (
            SampleCard("good", "4111111111111111", "1234", "4912", "YAMADA/HANAKO"),
            SampleCard("blocked", "4012888888881881", "2345", "4912", "YAMADA/HANAKO", blocked=True),
            SampleCard("expired", "4222222222222", "3456", "2001", "YAMADA/HANAKO"),
        ),
    ),
    SampleCardholder(
        "Taro Suzuki",
        "+81 90 8765 4321",
        (("JPY", "500"),),
        (SampleCard("little money", "5555555555554444", "4567", "4912", "SUZUKI/TARO"),),
    ),
)
UNKNOWN_CARD: Final = SampleCard("unknown", "378282246310005", "5678", "4912", "NOBODY/KNOWN")
"""A good stripe of a card that is not in the database."""


@dataclass(frozen=True, slots=True)
class SeededCardholder:
    """A person as stored, with the codes that enrol a phone and a reader of theirs."""

    cardholder: AddedCardholder
    handset_code: EnrolmentCode
    reader_code: EnrolmentCode
    cards: tuple[tuple[SampleCard, AddedCard], ...]


@dataclass(frozen=True, slots=True)
class Seeded:
    """All that was added; its secrets are not told again."""

    merchant: AddedMerchant
    cardholders: tuple[SeededCardholder, ...]


async def seed(
    store: Administration, keys: CardKeys, issuer: IssuerAddress, random: RandomBytes, now: float
) -> Seeded:
    """Add the test data; raises AlreadyExists (already_seeded), nothing added, where it is there already."""
    there = {each.phone for each in await store.cardholders()}
    if there & {parse_phone_number(person.phone) for person in SAMPLE_CARDHOLDERS}:
        raise AlreadyExists(
            "already_seeded",
            "The test data is there already."
            " For new keys and codes: `merchant add`, `handset add`, `reader add`.",
        )
    cardholders = []
    for person in SAMPLE_CARDHOLDERS:
        cardholders.append(await _seed_cardholder(store, keys, issuer, person, random, now))
    merchant = await administration.add_merchant(store, MERCHANT_NAME, random, now)
    return Seeded(merchant, tuple(cardholders))


async def _seed_cardholder(
    store: Administration,
    keys: CardKeys,
    issuer: IssuerAddress,
    person: SampleCardholder,
    random: RandomBytes,
    now: float,
) -> SeededCardholder:
    added = await administration.add_cardholder(store, person.name, person.phone, random, now)
    for code, amount in person.funds:
        await store.fund(added.id, parse_amount(amount, currency(code)), now)
    cards = []
    for card in person.cards:
        stored = await administration.add_card(
            store, keys, added.id, card.pan.encode(), card.expiry, card.pin.encode(), random, now
        )
        if card.blocked:
            await store.set_card_blocked(stored.id, True)
        cards.append((card, stored))
    codes = [
        await administration.add_device(store, kind, added.id, issuer, random, now)
        for kind in (EnrolmentKind.HANDSET, EnrolmentKind.READER)
    ]
    return SeededCardholder(added, codes[0], codes[1], tuple(cards))
