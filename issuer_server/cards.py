"""Finding a card by its number and checking a PIN, without keeping either.

The card number is looked up by a keyed index and the PIN is compared with a keyed verifier, both
HMAC-SHA-256 under keys that the service alone can use: a stolen database tells neither, nor lets them be
guessed. Numbers and PINs arrive in buffers that their owner wipes; nothing here copies them.
"""

from __future__ import annotations

import hmac
from typing import Final

from issuer_server.key_custody.key_store import HmacKey, MacVersions
from protocol.errors import InputError
from protocol.identifiers import CardId, Digest

Digits = bytes | bytearray | memoryview
"""ASCII digits."""

FIRST_VERSION: Final = 1
PAN_LENGTHS: Final = range(8, 20)
"""ISO/IEC 7812-1: 8 to 19 digits."""
PIN_LENGTHS: Final = range(4, 13)
"""ISO 9564-1: 4 to 12 digits."""
DEFAULT_PIN_TRIES: Final = 3

_PAN_DOMAIN: Final = b"blind-relay v1 card number index\0"
_PIN_DOMAIN: Final = b"blind-relay v1 pin verifier\0"


class CardKeys:
    """The two keys, each in the versions in use, and what is done with them. No key shows in a repr.

    Given as bytes, a key is the first version and the only one.
    """

    __slots__ = ("_pan_index", "_pin_pepper")

    def __init__(self, pan_index: bytes | MacVersions, pin_pepper: bytes | MacVersions) -> None:
        self._pan_index = _versions(pan_index)
        self._pin_pepper = _versions(pin_pepper)

    def __repr__(self) -> str:
        return "CardKeys(…)"

    @property
    def pan_key(self) -> int:
        """The version that new indexes are made with."""
        return self._pan_index.active

    @property
    def pin_key(self) -> int:
        """The version that new verifiers are made with."""
        return self._pin_pepper.active

    def pan_index(self, pan: Digits) -> Digest:
        """The keyed index that stands for a card number in the database."""
        return Digest(self._pan_index.current.mac(_PAN_DOMAIN, pan))

    def earlier_indexes(self, pan: Digits) -> tuple[Digest, ...]:
        """What stands for it where a card was stored before a rotation and has not been swiped since."""
        return tuple(Digest(key.mac(_PAN_DOMAIN, pan)) for key in self._pan_index.earlier)

    def pin_verifier(self, card_id: CardId, pin: Digits) -> bytes:
        """What is stored for a PIN: bound to its card, so that equal PINs do not look equal."""
        return self._pin_pepper.current.mac(_pin_domain(card_id), pin)

    def has_pepper(self, version: int) -> bool:
        """Whether verifiers of a version can be checked."""
        return version in self._pin_pepper.keys

    def verify_pin(self, card_id: CardId, pin: Digits, verifier: bytes, version: int = FIRST_VERSION) -> bool:
        """S21, in constant time. Claim a try from storage before asking: that is what bounds guessing."""
        made = self._pin_pepper.keys[version].mac(_pin_domain(card_id), pin)
        return hmac.compare_digest(made, verifier)


def _versions(keys: bytes | MacVersions) -> MacVersions:
    return (
        keys if isinstance(keys, MacVersions) else MacVersions(FIRST_VERSION, {FIRST_VERSION: HmacKey(keys)})
    )


def _pin_domain(card_id: CardId) -> bytes:
    return _PIN_DOMAIN + card_id.encode("ascii") + b"\0"


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
