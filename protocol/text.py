"""Text that strangers wrote and people will read: what may be shown, and what is left of the rest.

A control character moves a cursor, a bidirectional override turns an amount around, a line separator pushes a
name off a two-line display. None of them may reach a screen or a log.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from protocol.errors import InputError

# Control, format, surrogate, and line and paragraph separators. Unassigned code points are let through: which
# they are depends on the Python that asks, and both ends must agree.
_HIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Format characters that Persian, Hindi and others cannot be spelt without; they reorder nothing.
_SPELLING: Final = frozenset("\u200c\u200d")

# Letters and symbols by their category, and blank on every screen: fillers of Hangul, the empty Braille cell.
_BLANK: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")
# Unassigned, and never drawn whatever they will be (Unicode's Default_Ignorable_Code_Point).
_NEVER_DRAWN: Final = (range(0x2065, 0x2066), range(0xFFF0, 0xFFF9), range(0xE0000, 0xE1000))


def _shows(character: str) -> bool:
    return character in _SPELLING or unicodedata.category(character) not in _HIDDEN_CATEGORIES


def _leaves_a_mark(character: str) -> bool:
    """Whether something is to be seen where it stands alone: no joiner, no blank, no lone accent."""
    return not (
        character in _SPELLING
        or character in _BLANK
        or unicodedata.category(character)[0] in "MZ"
        or any(ord(character) in never for never in _NEVER_DRAWN)
    )


def check_shown_text(text: str, longest: int, what: str) -> str:
    """`text` if a screen can show it whole: 1 to `longest` characters, none hidden, no space at either end.

    Something of it must be to be seen: joiners, accents and blanks alone are no name.

    Raises InputError with code `invalid_<what>`.
    """
    fits = 1 <= len(text) <= longest and text == text.strip() and all(map(_shows, text))
    if not fits or not any(map(_leaves_a_mark, text)):
        raise InputError(
            f"invalid_{what}",
            f"The {what.replace('_', ' ')} must be 1 to {longest} characters that can be shown on a display,"
            " without a space at either end.",
        )
    return text


def shown(text: str, longest: int = 80) -> str:
    """What of a peer's text a log or display may hold: hidden characters dropped, then cut; "" if all are."""
    kept = "".join(filter(_shows, text[: 4 * longest])).strip()
    if not any(map(_leaves_a_mark, kept)):
        return ""
    return kept if len(kept) <= longest else kept[: longest - 1] + "…"
