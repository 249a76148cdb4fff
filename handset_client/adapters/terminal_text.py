"""Text in columns: what a line takes on a terminal where kanji and emoji are two columns wide. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Final

_WIDE: Final = frozenset("WF")
"""East Asian Width (Unicode annex 11) of characters that take two columns."""
NARROWEST: Final = 16


def columns_of(text: str) -> int:
    """How many columns a line of text takes."""
    return sum(map(_columns, text))


def fit(text: str, columns: int) -> str:
    """`text` cut so that it takes at most so many columns; what is cut off is shown by an ellipsis."""
    if columns_of(text) <= columns:
        return text
    taken, room = "", columns - 1
    for character in text:
        room -= _columns(character)
        if room < 0:
            break
        taken += character
    return taken.rstrip() + "…"


def wrap(text: str, columns: int, first: str = "", rest: str = "") -> list[str]:
    """Lines of at most so many columns, broken at spaces where that works; `first` and `rest` lead them.

    Japanese has no spaces: it is broken anywhere, as on paper, but no line begins with a closing mark.
    """
    columns = max(columns, NARROWEST)
    lines, line = [], first
    for word in _words(text):
        if columns_of(line) + columns_of(word.rstrip()) > columns and line not in (first, rest):
            lines.append(line.rstrip())
            line = rest
        for character in word:
            if columns_of(line) + _columns(character) > columns and character != " ":
                lines.append(line.rstrip())
                line = rest
            line += character
    return [*lines, line.rstrip()]


def _words(text: str) -> Iterator[str]:
    """Pieces between which a line may end, each with the spaces behind it."""
    word = ""
    for character in text:
        ends = word.endswith(" ") and character != " "
        wide = unicodedata.east_asian_width(character) in _WIDE
        if word and (ends or (wide and character not in "、。，．）」』】！？ー")):
            yield word
            word = ""
        word += character
    if word:
        yield word


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Cf", "Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in _WIDE else 1
