"""Text in the columns of a terminal: a Japanese letter takes two, what is laid over a letter none."""

from __future__ import annotations

import unicodedata


def columns(text: str) -> int:
    """How many it takes."""
    return sum(_columns(letter) for letter in text)


def fit(text: str, width: int) -> str:
    """Cut to so many columns; whatever is no letter of a screen becomes a space."""
    kept, used = [], 0
    for letter in text:
        shown = letter if letter.isprintable() else " "
        used += _columns(shown)
        if used > width:
            break
        kept.append(shown)
    return "".join(kept)


def pad(text: str, width: int) -> str:
    """Filled up to so many columns."""
    return text + " " * (width - columns(text))


def _columns(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1
