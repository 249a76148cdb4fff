"""Draws a page as a picture of one bit a pixel; no device is needed.

Plain ASCII is drawn with luma's 5 by 7 letters, easier to read than an 8-pixel kanji font's, which has three
pixels for a Latin letter: there an N is an arch, and a zero an A. For a headline they are drawn twice as high
and thick, narrow enough to fit.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Final

from luma.core.legacy.font import LCD_FONT
from PIL import Image, ImageDraw, ImageFont

from reader_peripheral.layout import Look, Page, Row, clusters
from reader_peripheral.paged_display import DisplayError

FONTS: Final = (
    "/usr/share/fonts/truetype/misaki/misaki_gothic_2nd.ttf",
    "/usr/share/fonts/truetype/misaki/misaki_gothic.ttf",
    "~/.local/share/fonts/misaki_gothic_2nd.ttf",
    "~/.local/share/fonts/misaki_gothic.ttf",
)
"""Where Debian's fonts-misaki puts its 8-pixel fonts, and where a person may."""

ROW_HEIGHT: Final = 8
_NOT_IN_ANY_FONT: Final = "\U0010ffff"
_INSTEAD: Final = "?"
_ON, _OFF = 1, 0
_CLEAR_LETTERS: Final = frozenset(map(chr, range(0x20, 0x7F)))
_SPACE_WIDTH: Final = 3
# The last pixel of a kanji is blank: sixteen of them still fit on a row.
_MARGIN: Final = 1
# The same for the lowest pixel: it goes above the letters, below the bar.
_LEADING: Final = 1


def find_font(named: str | None) -> Path:
    """The font to use: the one named in the settings, or the first of FONTS. Raises DisplayError."""
    places = (named,) if named else FONTS
    for place in places:
        path = Path(place).expanduser()
        if path.is_file():
            return path
    if named:
        raise DisplayError(f"There is no font {named}. Correct `font` in [display], or leave it out.")
    raise DisplayError(
        "No font with Japanese characters was found. Run: sudo apt install fonts-misaki (or name a font file"
        " in the settings, [display] font)."
    )


class Pen:
    """An 8-pixel font; what it lacks is drawn as '?'. `path` None: Pillow's own, Latin letters alone."""

    def __init__(self, path: Path | None) -> None:
        self._font: ImageFont.FreeTypeFont
        try:
            if path is None:
                built_in = ImageFont.load_default(ROW_HEIGHT)
                if not isinstance(built_in, ImageFont.FreeTypeFont):
                    raise DisplayError("Pillow has no FreeType here. Name a font in [display] font.")
                self._font = built_in
            else:
                # Basic layout: one glyph after the other. Bidirectional text cannot change places.
                self._font = ImageFont.truetype(str(path), ROW_HEIGHT, layout_engine=ImageFont.Layout.BASIC)
        except OSError:
            raise DisplayError(
                f"{path} is no font that can be used. Name another in [display] font."
            ) from None
        self._lacking = self._bits(_NOT_IN_ANY_FONT)
        self._glyph = lru_cache(maxsize=2048)(self._glyph_of)

    def measure(self, scale: int, text: str) -> int:
        """The width in pixels."""
        return sum(self._glyph(scale, cluster).width for cluster in clusters(text))

    def draw(self, scale: int, text: str) -> Image.Image:
        """The text as a picture of its own width, `scale` rows high."""
        glyphs = [self._glyph(scale, cluster) for cluster in clusters(text)]
        picture = Image.new("1", (max(1, sum(glyph.width for glyph in glyphs)), scale * ROW_HEIGHT), _OFF)
        at = 0
        for glyph in glyphs:
            picture.paste(glyph, (at, 0))
            at += glyph.width
        return picture

    def _bits(self, text: str) -> bytes:
        mask = self._font.getmask(text, mode="1")
        return bytes(str(mask.size), "ascii") + bytes(mask)

    def _glyph_of(self, scale: int, cluster: str) -> Image.Image:
        """One character. Marks that the font cannot place are left out, and what it lacks is a '?'."""
        for choice in (cluster, cluster[0], unicodedata.normalize("NFKD", cluster[0])[0], _INSTEAD):
            if len(choice) > 1:
                continue
            if choice in _CLEAR_LETTERS:
                return _from_columns(LCD_FONT[ord(choice)]) if scale == 1 else _headline_letter(choice, scale)
            if self._bits(choice) != self._lacking:
                break
        picture = Image.new("1", (max(1, round(self._font.getlength(choice))), ROW_HEIGHT), _OFF)
        canvas = ImageDraw.Draw(picture)
        canvas.fontmode = "1"
        canvas.text((0, 0), choice, fill=_ON, font=self._font)
        return _stretched(picture, scale, scale)


def _from_columns(columns: Iterable[int]) -> Image.Image:
    """A glyph of luma's: a byte a column, the lowest bit on top, cut to what is drawn and a pixel."""
    bits = list(columns)
    while len(bits) > _SPACE_WIDTH and not bits[-1]:
        bits.pop()
    while len(bits) > _SPACE_WIDTH and not bits[0]:
        bits.pop(0)
    picture = Image.new("1", (len(bits) + 1, ROW_HEIGHT), _OFF)
    for x, column in enumerate(bits):
        for y in range(ROW_HEIGHT):
            if column >> y & 1:
                picture.putpixel((x, y), _ON)
    return picture


def _headline_letter(letter: str, scale: int) -> Image.Image:
    """A letter of luma's, as wide as it is and `scale` times as high, its strokes two pixels thick."""
    # Thick, the zero with its stroke is an eight.
    thin = _from_columns(LCD_FONT[ord("O" if letter == "0" else letter)])
    thick = Image.new("1", (thin.width + 1, ROW_HEIGHT), _OFF)
    for left in (0, 1):
        thick.paste(_ON, (left, 0), thin)
    return _stretched(thick, 1, scale)


def _stretched(picture: Image.Image, wide: int, high: int) -> Image.Image:
    size = (picture.width * wide, picture.height * high)
    return picture if (wide, high) == (1, 1) else picture.resize(size, Image.Resampling.NEAREST)


def draw_page(page: Page, pen: Pen, width: int = 128, height: int = 64) -> Image.Image:
    """The page as a picture, mode '1': a bar for the headline, the amount large, a mark where pages turn."""
    picture = Image.new("1", (width, height), _OFF)
    canvas = ImageDraw.Draw(picture)
    top = 0
    for row in page.rows:
        _draw_row(picture, row, pen, top)
        top += row.scale * ROW_HEIGHT
    if page.count > 1:
        fixed = sum(row.scale for row in page.rows if row.look is not Look.PLAIN) * ROW_HEIGHT
        _draw_scroll_bar(canvas, page, (width - 1, fixed + 1, height - 1))
    return picture


def _draw_row(picture: Image.Image, row: Row, pen: Pen, top: int) -> None:
    words = pen.draw(row.scale, row.text)
    height = row.scale * ROW_HEIGHT
    centred = row.look in (Look.HEADLINE, Look.PIN, Look.AMOUNT)
    left = max(0, (picture.width - words.width) // 2) if centred else _MARGIN
    if row.look is Look.HEADLINE:
        picture.paste(_ON, (0, top, picture.width, top + height))
        picture.paste(_OFF, (left, top + _LEADING), words)
    else:
        # The place of the next digit is an underscore: it must not be a line over the amount below.
        lower = -_LEADING if row.look is Look.PIN else _LEADING
        picture.paste(_ON, (left, top + lower), words)


def _draw_scroll_bar(canvas: ImageDraw.ImageDraw, page: Page, track: tuple[int, int, int]) -> None:
    """A line at the right edge: where this page is among all."""
    x, top, bottom = track
    length = bottom - top
    begin = top + length * (page.number - 1) // page.count
    end = top + length * page.number // page.count
    canvas.line((x, begin, x, end), fill=_ON)
