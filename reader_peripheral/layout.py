"""Which lines a screen gets on a small display, and how they are cut: pure, in whatever `measure` counts.

A page always shows the headline and the whole amount. What does not fit is paged, a block of text staying on
one page where it can. Only merchant and order come from strangers: they are cut to their longest in texts.py,
and a line is never wider than the display.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Final

from protocol.money import Money, format_money
from reader_peripheral.texts import Lines

Measure = Callable[[str], int]
"""How wide a text is, in pixels or characters."""
ScaledMeasure = Callable[[int, str], int]
"""The same at a scale of 1 or 2."""
STRANGERS_MARK: Final = "|"
"""Before merchant and order where the amount has no place of its own."""
SCROLL_BAR: Final = 3
"""Pixels at the right edge where pages take turns."""

_LONGEST_PIN_SHOWN = 12
_SPACE = " "
_VOICING = ("ﾞ", "ﾟ")
_JOINERS = "\u200c\u200d"
_WIDE_SPACE = "\u3000"
_SENTENCES = re.compile("(?<=。)")
# Kinsoku: what may not begin a line in Japanese (JIS X 4051, the part that small displays meet).
_NOT_FIRST = frozenset("、。，．・：；？！）」』】〕〉》ーぁぃぅぇぉっゃゅょァィゥェォッャュョ々,.:;?!)")


class Look(Enum):
    """How a row is drawn."""

    HEADLINE = "headline"
    PIN = "pin"
    AMOUNT = "amount"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a page; a scale of 2 takes the height of two plain rows."""

    text: str
    look: Look = Look.PLAIN
    scale: int = 1


@dataclass(frozen=True, slots=True)
class Page:
    """What a display shows at once: page `number`, from 1, of `count`."""

    rows: tuple[Row, ...]
    number: int = 1
    count: int = 1


def clusters(text: str) -> list[str]:
    """Characters as a person counts them: a base and the marks on it. Compatibility forms stay."""
    found: list[str] = []
    for character in unicodedata.normalize("NFC", text):
        category = unicodedata.category(character)
        # A joiner makes one picture of two, never one letter: a name must not hide letters behind it.
        joined = category == "So" and bool(found) and found[-1].endswith(_JOINERS[1])
        if found and (category in ("Mn", "Me", "Mc") or character in _JOINERS or joined):
            found[-1] += character
        else:
            found.append(character)
    return found


def wrap(text: str, width: int, measure: Measure) -> list[str]:
    """`text` in lines no wider than `width`, broken at spaces, between wide characters, or where it must.

    A Japanese sentence that fits on a line of its own is not broken.
    """
    lines: list[str] = []
    line = ""
    for sentence in _SENTENCES.split(text):
        alone = sentence.strip(_SPACE)
        if line and measure((line + sentence).rstrip(_SPACE)) > width >= measure(alone):
            lines.append(line.rstrip(_SPACE))
            line, sentence = "", alone
        for word in _words(sentence):
            line = _with_word(lines, line, word, width, measure)
    if line.strip(_SPACE):
        lines.append(line.rstrip(_SPACE))
    return lines


def _with_word(lines: list[str], line: str, word: str, width: int, measure: Measure) -> str:
    """The line that is being written, with one word more; what is full goes to `lines`."""
    if measure((line + word).rstrip(_SPACE)) <= width:
        return line + word
    if line.strip(_SPACE):
        lines.append(line.rstrip(_SPACE))
    line = ""
    for cluster in _unbroken(word):
        if line and measure((line + cluster).rstrip(_SPACE)) > width:
            lines.append(line)
            line = ""
        # A cluster by itself too wide for the display cannot be shown at all.
        line += cluster if measure(cluster) <= width else ""
    return line.lstrip(_SPACE)


def _unbroken(word: str) -> list[str]:
    """What a line may not end within: half-width kana have their voicing in a cell of its own."""
    pieces: list[str] = []
    for cluster in clusters(word):
        if pieces and cluster in _VOICING:
            pieces[-1] += cluster
        else:
            pieces.append(cluster)
    return pieces


def _words(text: str) -> list[str]:
    """What stays on a line together: a Latin word with its spaces, a wide character with its punctuation."""
    words: list[str] = []
    for cluster in clusters(text):
        wide = unicodedata.east_asian_width(cluster[0]) in "WF"
        joins = bool(words) and (
            cluster == _SPACE
            or cluster in _NOT_FIRST
            or not (wide or words[-1].endswith(_SPACE) or _is_wide(words[-1]))
        )
        if joins:
            words[-1] += cluster
        else:
            words.append(cluster)
    return words


def _is_wide(word: str) -> bool:
    return unicodedata.east_asian_width(word[0]) in "WF"


def amount_text(amount: Money, width: int, measure: Measure) -> str:
    """The whole amount: with separators where they fit, else without them. Never cut.

    Sixteen characters hold the largest: three letters, twelve digits and a point.
    """
    written = format_money(amount)
    for text in (written, written.replace(",", ""), written.replace(",", "").replace(" ", "")):
        if measure(text) <= width:
            break
    return text


def picture_pages(lines: Lines, *, width: int, rows: int, measure: ScaledMeasure) -> tuple[Page, ...]:
    """Pages for a display of pixels, `rows` plain rows high (at least 8)."""
    small, big = partial(measure, 1), partial(measure, 2)
    fixed = _headline(lines.headline, width, small, big)
    if lines.typed is not None:
        fixed.append(Row(stars(lines.typed), Look.PIN, 2))
    if lines.amount is not None:
        fixed.append(_amount_row(lines.amount, width, small, big))
    room = rows - sum(row.scale for row in fixed)
    blocks = [wrap(text, width, small) for text in _texts(lines)]
    if sum(map(len, blocks)) > room:
        blocks = [wrap(text, width - SCROLL_BAR, small) for text in _texts(lines)]
    return _pages(tuple(fixed), _deal(blocks, room))


def _headline(text: str, width: int, small: Measure, big: Measure) -> list[Row]:
    """Large on one row, or on two where a wide space parts it; else small."""
    rows = [text] if big(text) <= width else text.split(_WIDE_SPACE)
    if len(rows) <= 2 and all(big(row) <= width for row in rows):
        return [Row(row, Look.HEADLINE, 2) for row in rows]
    return [Row(row, Look.HEADLINE) for row in wrap(text, width, small)]


def _amount_row(amount: Money, width: int, small: Measure, big: Measure) -> Row:
    """Large where it fits with its separators: ten bare digits are harder to read than small ones."""
    written = format_money(amount)
    if big(written) <= width:
        return Row(written, Look.AMOUNT, 2)
    return Row(amount_text(amount, width, small), Look.AMOUNT)


def character_pages(lines: Lines, *, columns: int, rows: int) -> tuple[Page, ...]:
    """Pages for a character display; every character of `lines` is one cell wide."""
    headline = lines.headline[:columns]
    if lines.typed is not None:
        headline = f"PIN {stars(lines.typed)}"[:columns]
    fixed = [Row(headline, Look.HEADLINE)]
    if lines.amount is None or rows > 2:
        blocks = [wrap(text, columns, len) for text in _texts(lines)]
    else:
        # The amount takes its turn with all else, and an order may be 'JPY 1': every line of what strangers
        # wrote is marked.
        strangers = [wrap(text, columns - 1, len) for text in (lines.merchant, lines.order) if text]
        blocks = [wrap(note, columns, len) for note in lines.notes]
        blocks += [[f"{STRANGERS_MARK}{line}" for line in block] for block in strangers]
    if lines.amount is not None:
        amount = amount_text(lines.amount, columns, len)
        if rows > 2:
            fixed.append(Row(amount, Look.AMOUNT))
        else:  # the first turn where nothing went wrong
            blocks.insert(len(lines.notes) if lines.went_wrong else 0, [amount])
    return _pages(tuple(fixed), _deal(blocks, rows - len(fixed)))


def stars(typed: int) -> str:
    """What stands for a PIN: as many stars as digits, and where the next one goes."""
    return "*" * typed + ("_" if typed < _LONGEST_PIN_SHOWN else "")


def _texts(lines: Lines) -> tuple[str, ...]:
    return tuple(text for text in (*lines.notes, lines.merchant, lines.order) if text)


def _deal(blocks: Sequence[Sequence[str]], room: int) -> list[list[str]]:
    """Blocks of lines over pages of `room` lines; a block is split only when no page could hold it."""
    pages: list[list[str]] = [[]]
    for block in blocks:
        if len(pages[-1]) + len(block) > room and len(block) <= room and pages[-1]:
            pages.append([])
        for line in block:
            if len(pages[-1]) == room:
                pages.append([])
            pages[-1].append(line)
    return pages


def _pages(fixed: tuple[Row, ...], dealt: list[list[str]]) -> tuple[Page, ...]:
    return tuple(
        Page((*fixed, *map(Row, rows)), number, len(dealt)) for number, rows in enumerate(dealt, start=1)
    )
