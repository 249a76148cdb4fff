"""S14 and S21 over a rotation: a card is found, a PIN checked, with whatever version made what is stored.

The issuer keeps neither number nor PIN, so nothing can be made anew without the card and the person: a card
met under an earlier version is moved to the active one then, its index at the swipe, its verifier at a right
PIN. Every move is compare-and-set and the earlier key stays until no card needs it, so a process that dies at
any point has lost nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from issuer_server.cards import CardKeys, Digits
from issuer_server.storage.records import CardRecord
from protocol.identifiers import CardId, Digest
from protocol.signing import Signer

T = TypeVar("T")


class KeysInUse(Protocol):
    """What payments ask of the issuer's keys. `cards` is another object once other versions are in use."""

    @property
    def cards(self) -> CardKeys: ...

    async def ask(self, work: Callable[[], T]) -> T:
        """Do `work`, which signs or makes codes, without holding up anybody else; raises KeyStoreError."""
        ...

    async def signer(self, version: int) -> Signer | None:
        """The signing key that a reader pinned at its enrolment; None where it is retired."""
        ...

    async def refresh(self) -> None:
        """Look for versions not known yet."""
        ...

    async def move_card_index(self, card_id: CardId, before: Digest, index: Digest, version: int) -> bool: ...

    async def move_pin_verifier(
        self, card_id: CardId, before: bytes, verifier: bytes, version: int
    ) -> bool: ...


class CardsByIndex(Protocol):
    """Of the storage port."""

    async def card_by_index(self, pan_index: Digest) -> CardRecord | None: ...


async def find_card(storage: CardsByIndex, keys: KeysInUse, pan: Digits) -> CardRecord | None:
    """The card of a number, under any version in use."""
    cards = keys.cards
    card = await _find(storage, keys, cards, pan)
    if card is None:
        await keys.refresh()
        if keys.cards is not cards:  # it may have been added with a key of a moment ago
            card = await _find(storage, keys, keys.cards, pan)
    return card


async def _find(storage: CardsByIndex, keys: KeysInUse, cards: CardKeys, pan: Digits) -> CardRecord | None:
    index = await keys.ask(lambda: cards.pan_index(pan))
    card = await storage.card_by_index(index)
    if card is not None:
        return card
    for earlier in await keys.ask(lambda: cards.earlier_indexes(pan)):
        card = await storage.card_by_index(earlier)
        if card is not None:
            await keys.move_card_index(card.id, earlier, index, cards.pan_key)
            return card
        # Another swipe of it may have moved it between the two looks.
        card = await storage.card_by_index(index)
        if card is not None:
            return card
    return None


async def can_check(keys: KeysInUse, card: CardRecord) -> bool:
    """Whether the pepper of the card's verifier is in use: without it no PIN is right, no try is taken."""
    if not keys.cards.has_pepper(card.pin_key):
        await keys.refresh()
    return keys.cards.has_pepper(card.pin_key)


async def pin_is_right(keys: KeysInUse, card: CardRecord, pin: Digits) -> bool:
    """S21, after a try was claimed; a right PIN is checked with the active pepper from the next time on."""
    cards = keys.cards
    if not await keys.ask(lambda: cards.verify_pin(card.id, pin, card.pin_verifier, card.pin_key)):
        return False
    if card.pin_key != cards.pin_key:
        verifier = await keys.ask(lambda: cards.pin_verifier(card.id, pin))
        await keys.move_pin_verifier(card.id, card.pin_verifier, verifier, cards.pin_key)
    return True
