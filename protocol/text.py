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


def _shows(character: str) -> bool:
    return character in _SPELLING or unicodedata.category(character) not in _HIDDEN_CATEGORIES


def check_shown_text(text: str, longest: int, what: str) -> str:
    """`text` if a screen can show it whole: 1 to `longest` characters, none hidden, no space at either end.

    Raises InputError with code `invalid_<what>`.
    """
    if not 1 <= len(text) <= longest or text != text.strip() or not all(map(_shows, text)):
        raise InputError(
            f"invalid_{what}",
            f"The {what.replace('_', ' ')} must be 1 to {longest} characters that can be shown on a display,"
            " without a space at either end.",
        )
    return text


def shown(text: str, longest: int = 80) -> str:
    """What of a peer's text a log or display may hold: hidden characters dropped, then cut."""
    kept = "".join(filter(_shows, text[: 4 * longest])).strip()
    return kept if len(kept) <= longest else kept[: longest - 1] + "…"
