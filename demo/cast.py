"""Who plays: names, cards and PINs of the demonstration. Made-up numbers with right check digits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from demo.scenarios import Card
from protocol.identifiers import PhoneNumber

ISSUER_NAME: Final = "issuer.demo"
MERCHANT_NAME: Final = "Kissaten Mugi"
CARDHOLDER_NAME: Final = "Hanako"
PHONE: Final = PhoneNumber("+819012345678")
ORDER: Final = "2 coffees"
PRICE: Final = 1200
CURRENCY: Final = "JPY"


@dataclass(frozen=True, slots=True)
class PlayCard:
    """A card to swipe, under the telling's and the person's name for it; `expiry` is YYMM.

    `enrolled` says whether the issuer knows it.
    """

    label: str
    yours: str
    pan: str = field(repr=False)
    pin: str = field(repr=False)
    expiry: str = "4912"
    enrolled: bool = True
    blocked: bool = False

    @property
    def last_four(self) -> str:
        """What may be shown."""
        return self.pan[-4:]

    @property
    def stripe(self) -> str:
        """What a keyboard-wedge reader types for a swipe: tracks 1 and 2 of ISO/IEC 7813."""
        return f"%B{self.pan}^YAMADA/HANAKO^{self.expiry}201?;{self.pan}={self.expiry}201?"


CARDS: Final = {
    Card.OWN: PlayCard("her card", "your card", "4000001000023184", "0926"),
    Card.OWN_BLOCKED: PlayCard(
        "her old card, reported lost",
        "your old card, reported lost",
        "4000003141596409",
        "0815",
        blocked=True,
    ),
    Card.OTHER_BANKS: PlayCard(
        "a card of another bank", "a card of another bank", "4000003141597720", "0611", enrolled=False
    ),
}
WRONG_PIN: Final = "0962"
