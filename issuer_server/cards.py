"""Finding a card by its number and checking a PIN, without keeping either.

The card number is looked up by a keyed index and the PIN is compared with a keyed verifier, both HMAC-SHA-256 under keys
from files that the service alone can read: a stolen database tells neither, and four digits cannot be guessed from it.
Numbers and PINs arrive in buffers that their owner wipes; nothing here copies them.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from issuer_server.storage.records import CardRecord
from protocol.errors import InputError
from protocol.identifiers import CardId, Digest

Digits = bytes | bytearray | memoryview
"""ASCII digits."""

KEY_SIZE: Final = 32
PAN_LENGTHS: Final = range(8, 20)
"""ISO/IEC 7812-1: 8 to 19 digits."""
PIN_LENGTHS: Final = range(4, 13)
"""ISO 9564-1: 4 to 12 digits."""
DEFAULT_PIN_TRIES: Final = 3

_PAN_DOMAIN: Final = b"blind-relay v1 card number index\0"
_PIN_DOMAIN: Final = b"blind-relay v1 pin verifier\0"


class PinVerdict(Enum):
    """What became of a PIN."""

    RIGHT = "right"
    WRONG = "wrong"
    BLOCKED = "blocked"
    """There was no try left: the PIN was not looked at."""


@dataclass(frozen=True, slots=True)
class PinCheck:
    """A verdict and the tries left after it; the full number again where the PIN was right is not told."""

    verdict: PinVerdict
    tries_left: int


class PinTries(Protocol):
    """The part of the storage port that counts tries."""

    async def claim_pin_try(self, card_id: CardId) -> int | None: ...

    async def restore_pin_tries(self, card_id: CardId) -> None: ...


class CardSecrets:
    """The two keys, and what is done with them. No key shows in a repr."""

    __slots__ = ("_pan_index_key", "_pin_pepper")

    def __init__(self, pan_index_key: bytes, pin_pepper: bytes) -> None:
        if len(pan_index_key) != KEY_SIZE or len(pin_pepper) != KEY_SIZE:
            raise ValueError(f"card keys have {KEY_SIZE} bytes")
        self._pan_index_key = pan_index_key
        self._pin_pepper = pin_pepper

    def __repr__(self) -> str:
        return "CardSecrets(…)"

    def index_of(self, pan: Digits) -> Digest:
        """The keyed index that stands for a card number in the database."""
        code = hmac.new(self._pan_index_key, _PAN_DOMAIN, hashlib.sha256)
        code.update(pan)
        return Digest(code.digest())

    def pin_verifier(self, card_id: CardId, pin: Digits) -> bytes:
        """What is stored for a PIN: bound to its card, so that equal PINs do not look equal."""
        code = hmac.new(self._pin_pepper, _PIN_DOMAIN + card_id.encode("ascii") + b"\0", hashlib.sha256)
        code.update(pin)
        return code.digest()

    async def check_pin(self, tries: PinTries, card: CardRecord, pin: Digits) -> PinCheck:
        """S21: use up a try first, then compare in constant time; a right PIN gives the tries back.

        Claiming before comparing is what makes parallel payments share the limit. Raises StorageError; a try claimed
        before it stays used.
        """
        left = await tries.claim_pin_try(card.id)
        if left is None:
            return PinCheck(PinVerdict.BLOCKED, 0)
        if not hmac.compare_digest(self.pin_verifier(card.id, pin), card.pin_verifier):
            return PinCheck(PinVerdict.WRONG, left)
        await tries.restore_pin_tries(card.id)
        return PinCheck(PinVerdict.RIGHT, left)


def check_pan(pan: Digits) -> None:
    """A card number as a person types it: 8 to 19 digits with a right check digit; raises InputError (invalid_card_number)."""
    if len(pan) not in PAN_LENGTHS or not _all_digits(pan):
        raise InputError("invalid_card_number", "A card number has 8 to 19 digits: type it without spaces.")
    if not _luhn(pan):
        raise InputError(
            "invalid_card_number", "The card number's check digit is wrong: look for a typing error."
        )


def check_pin_digits(pin: Digits) -> None:
    """A PIN as a person chooses it; raises InputError (invalid_pin)."""
    if len(pin) not in PIN_LENGTHS or not _all_digits(pin):
        raise InputError("invalid_pin", "A PIN has 4 to 12 digits.")


def check_expiry(text: str) -> str:
    """An expiry date as embossed (12/29) or as on the stripe (2912), as YYMM; raises InputError (invalid_expiry)."""
    month, slash, year = text.partition("/")
    if not slash:
        year, month = text[:2], text[2:]
    if len(year) == len(month) == 2 and (year + month).isascii() and (year + month).isdigit():
        if 1 <= int(month) <= 12:
            return year + month
    raise InputError("invalid_expiry", "Write the expiry date as on the card, month/year: 12/29.")


def last_four(pan: Digits) -> str:
    """The only digits of a card number that are kept."""
    return bytes(pan[-4:]).decode("ascii")


def _all_digits(digits: Digits) -> bool:
    return all(0x30 <= digit <= 0x39 for digit in digits)


def _luhn(pan: Digits) -> bool:
    """ISO/IEC 7812-1 annex B."""
    total = 0
    for position, digit in enumerate(reversed(pan)):
        value = (digit - 0x30) * (1 + position % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
