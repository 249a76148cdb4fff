"""What a USB reader types, from key codes to characters: a keyboard with the US layout.

Numbers are those of linux/input-event-codes.h. Characters are ASCII codes: no text comes to be of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

_UP, _DOWN = 0, 1  # 2 is autorepeat
_SHIFTS: Final = (42, 54)
_ALTS: Final = (56, 100)
_CAPS_LOCK: Final = 58
_FIRST_LETTER, _LAST_LETTER = ord("a"), ord("z")
_CHARACTERS: Final = range(0x100)

# The rows of the main block: the code of the first key, then the keys' characters without and with shift.
_ROWS: Final = (
    (2, "1234567890-=", "!@#$%^&*()_+"),
    (15, "\tqwertyuiop[]\r", "\tQWERTYUIOP{}\r"),
    (30, "asdfghjkl;'`", 'ASDFGHJKL:"~'),
    (43, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
    (57, " ", " "),
    # The numeric block is digits whatever NumLock says: that is the console's business, not the keyboard's.
    (55, "*", "*"),
    (71, "789-456+1230.", "789-456+1230."),
    (96, "\r", "\r"),
    (98, "/", "/"),
)

KEYPAD_DIGITS: Final[Mapping[int, int]] = MappingProxyType(
    {71: 7, 72: 8, 73: 9, 75: 4, 76: 5, 77: 6, 79: 1, 80: 2, 81: 3, 82: 0}
)
DIGITS: Final[Mapping[int, int]] = MappingProxyType(
    {**{code: (code - 1) % 10 for code in range(2, 12)}, **KEYPAD_DIGITS}
)
ENTERS: Final = (28, 96)
"""The two Enter keys."""


def _pairs() -> Iterator[tuple[int, tuple[int, int]]]:
    for first, plain, shifted in _ROWS:
        for at, pair in enumerate(zip(plain, shifted, strict=True)):
            yield first + at, (ord(pair[0]), ord(pair[1]))


US_KEYS: Final[Mapping[int, tuple[int, int]]] = MappingProxyType(dict(_pairs()))


class UsKeyboard:
    """Which keys are held, and the character that each press makes.

    Some readers type every character as Alt and its number on the numeric block, so as not to depend on a
    layout. That is understood as well; `typed_by_number` says that it happened.
    """

    def __init__(self) -> None:
        self.typed_by_number = False
        self.reset()

    def reset(self) -> None:
        """Nothing is held and nothing locked: after a start, and after events were lost."""
        self._shifts = [False] * len(_SHIFTS)
        self._alts = [False] * len(_ALTS)
        self._caps = False
        self._number: int | None = None

    def feed(self, code: int, value: int) -> int | None:
        """One key event, as EV_KEY has it; gives the character that it makes, Enter as a carriage return."""
        if code in _SHIFTS:
            self._shifts[_SHIFTS.index(code)] = value != _UP
            return None
        if code in _ALTS:
            self._alts[_ALTS.index(code)] = value != _UP
            return None if any(self._alts) else self._numbered()
        if value != _DOWN:
            return None
        if code == _CAPS_LOCK:
            self._caps = not self._caps
            return None
        if any(self._alts):
            digit = KEYPAD_DIGITS.get(code)
            if digit is not None:
                self._number = ((self._number or 0) * 10 + digit) % 1000
            return None
        pair = US_KEYS.get(code)
        if pair is None:
            return None
        shifted = any(self._shifts)
        if self._caps and _FIRST_LETTER <= pair[0] <= _LAST_LETTER:
            shifted = not shifted
        return pair[shifted]

    def _numbered(self) -> int | None:
        """The character whose number was typed while Alt was held."""
        number, self._number = self._number, None
        if number is None or number not in _CHARACTERS:
            return None
        self.typed_by_number = True
        return number
