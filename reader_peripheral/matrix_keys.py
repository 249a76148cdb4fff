"""A matrix keypad without its wires: what is printed on the keys, and which contact is a key press."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

from protocol.errors import InputError
from reader_peripheral.ports import Key

STABLE_SCANS: Final = 3
"""So many scans in a row must agree before a contact counts: contacts bounce for up to some 10 ms."""
_NO_KEY: Final = "-"
_WORDS: Final[Mapping[str, Key]] = MappingProxyType(
    {
        **{str(digit): Key(digit) for digit in range(10)},
        "enter": Key.ENTER,
        "clear": Key.CLEAR,
        "cancel": Key.CANCEL,
    }
)
_NEEDED: Final = (*(Key(digit) for digit in range(10)), Key.ENTER, Key.CANCEL)
_USUAL: Final[Mapping[tuple[int, int], tuple[str, ...]]] = MappingProxyType(
    {
        (4, 3): ("1 2 3", "4 5 6", "7 8 9", "cancel 0 enter"),
        (4, 4): ("1 2 3 cancel", "4 5 6 clear", "7 8 9 -", "- 0 - enter"),
        (5, 3): ("cancel - clear", "1 2 3", "4 5 6", "7 8 9", "- 0 enter"),
    }
)


class Contact(NamedTuple):
    """Where a row's wire meets a column's."""

    row: int
    column: int


@dataclass(frozen=True, slots=True)
class Layout:
    """What is printed on the keys."""

    keys: Mapping[Contact, Key]

    @staticmethod
    def usual(rows: int, columns: int) -> tuple[str, ...]:
        """How keypads of this size are mostly printed; empty for sizes that are not usual."""
        return _USUAL.get((rows, columns), ())

    @classmethod
    def read(cls, lines: Sequence[str], rows: int, columns: int) -> Layout:
        """One line of words a row: digits, enter, clear, cancel, and `-` for a key without a meaning.

        Raises InputError (invalid_layout).
        """
        if len(lines) != rows:
            raise InputError("invalid_layout", f"layout must be {rows} texts, one for each row.")
        keys: dict[Contact, Key] = {}
        for row, line in enumerate(lines):
            words = line.split()
            if len(words) != columns or not all(word == _NO_KEY or word in _WORDS for word in words):
                allowed = "0 to 9, enter, clear, cancel or -"
                raise InputError("invalid_layout", f"layout: row {row + 1} must be {columns} of {allowed}.")
            keys |= {Contact(row, at): _WORDS[word] for at, word in enumerate(words) if word != _NO_KEY}
        if len(set(keys.values())) != len(keys) or not set(_NEEDED) <= set(keys.values()):
            raise InputError("invalid_layout", "layout must have 0 to 9, enter and cancel, each once.")
        return cls(MappingProxyType(keys))


class MatrixKeys:
    """Turns scans into key presses; scan every few milliseconds while not `at_rest`.

    A new contact counts once it has been stable, by itself or beside one other key: people who type fast
    press the next key before they let go of the last. With three keys down a matrix without diodes shows a
    fourth that nobody pressed, so nothing counts then; neither do two that come in the same moment, whose
    order is not known.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._seen: frozenset[Contact] = frozenset()
        self._times = 0
        self._down: frozenset[Contact] = frozenset()

    @property
    def at_rest(self) -> bool:
        """Whether no key is down, and none was a moment ago."""
        return not self._down and not self._seen

    def scanned(self, contacts: frozenset[Contact]) -> Key | None:
        """What one scan saw; gives the key that was pressed, if this scan makes it certain."""
        self._times = self._times + 1 if contacts == self._seen else 1
        self._seen = contacts
        if self._times != STABLE_SCANS or contacts == self._down:
            return None
        fresh = contacts - self._down
        self._down = contacts
        if len(fresh) != 1 or len(contacts) > 2:
            return None
        return self._layout.keys.get(next(iter(fresh)))
