"""Finding a card by its number and checking a PIN, without keeping either.

The card number is looked up by a keyed index and the PIN is compared with a keyed verifier, both
HMAC-SHA-256 under keys from files that the service alone can read: a stolen database tells neither, nor
lets them be guessed. Numbers and PINs arrive in buffers that their owner wipes; nothing here copies them.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

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


class CardKeys:
    """The two keys, and what is done with them. No key shows in a repr."""

    __slots__ = ("_pan_index_key", "_pin_pepper")

    def __init__(self, pan_index_key: bytes, pin_pepper: bytes) -> None:
        if len(pan_index_key) != KEY_SIZE or len(pin_pepper) != KEY_SIZE:
            raise ValueError(f"card keys have {KEY_SIZE} bytes")
        self._pan_index_key = pan_index_key
        self._pin_pepper = pin_pepper

    def __repr__(self) -> str:
        return "CardKeys(…)"

    def pan_index(self, pan: Digits) -> Digest:
        """The keyed index that stands for a card number in the database."""
        code = hmac.new(self._pan_index_key, _PAN_DOMAIN, hashlib.sha256)
        code.update(pan)
        return Digest(code.digest())

    def pin_verifier(self, card_id: CardId, pin: Digits) -> bytes:
        """What is stored for a PIN: bound to its card, so that equal PINs do not look equal."""
        code = hmac.new(self._pin_pepper, _PIN_DOMAIN + card_id.encode("ascii") + b"\0", hashlib.sha256)
        code.update(pin)
        return code.digest()

    def verify_pin(self, card_id: CardId, pin: Digits, verifier: bytes) -> bool:
        """S21, in constant time. Claim a try from storage before asking: that is what bounds guessing."""
        return hmac.compare_digest(self.pin_verifier(card_id, pin), verifier)


def check_pan(pan: Digits) -> None:
    """A card number as typed: 8 to 19 digits, right check digit; raises InputError (invalid_card_number)."""
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
    """An expiry date as embossed (12/29) or on the stripe (2912), as YYMM; raises InputError."""
    month, slash, year = text.partition("/")
    if not slash:
        year, month = text[:2], text[2:]
    digits = year + month
    if len(year) == len(month) == 2 and digits.isascii() and digits.isdigit() and 1 <= int(month) <= 12:
        return digits
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
