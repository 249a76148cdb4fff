"""Draws every screen of the reader as PNG files, and a contact sheet: `python -m tools.draw_screens DIR`.

DIR/reader-screens.png and DIR/every-screen-*.png are the pictures in docs/pi.md. Needs the font of the
displays: apt install fonts-misaki.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from protocol.messages import NotSettled
from protocol.money import Money, currency
from protocol.track_data import TrackFault
from reader_peripheral import screens
from reader_peripheral.adapters.oled_picture import ROW_HEIGHT, Pen, draw_page, find_font
from reader_peripheral.layout import Page, picture_pages
from reader_peripheral.texts import Language, describe

WIDTH, HEIGHT = 128, 64
ZOOM = 3
OVERVIEW_ZOOM = 2
OVERVIEW = (
    "idle",
    "offer",
    "pin-typed",
    "approved",
    "bad-swipe-track_error",
    "pin-again",
    "not-paid-insufficient_funds",
    "unknown",
)
_SHEET_COLUMNS = 4
_EVERY_COLUMNS = 6
_GAP = 6
_EDGE = 2
_GLASS, _LIT = (8, 12, 20), (150, 220, 255)

SHOP = screens.Bill("Kissaten Ao", Money(1200, currency("JPY")), "2 coffees, 1 cheese cake")
JAPANESE_SHOP = screens.Bill("喫茶青 神田神保町店", Money(1200, currency("JPY")), "珈琲 2、チーズケーキ 1")
LONG_SHOP = screens.Bill(
    "株式会社東京西部総合百貨店紳士服売場第二カウンター三番レジ特設会場",
    Money(999_999_999_999, currency("USD")),
    "紳士用革靴 黒 二十六センチ 一足、替え紐、防水スプレー二本、靴べら、配送料を含む",
)
# What a shop could be registered as to look like something else: it must stay in its place, and readable.
HOSTILE_SHOPS = {
    "wide": screens.Bill("W" * 40, Money(1, currency("JPY")), "M" * 80),
    "amounts": screens.Bill("JPY 1 APPROVED PIN: ****", Money(999_999, currency("JPY")), "JPY 1"),
    "marks": screens.Bill("Z" + "\u0351" * 39, Money(1234567, currency("KWD")), "e\u0301\u0323 " * 20),
    "emoji": screens.Bill("👩\u200d👩\u200d👧 café 🍣", Money(1200, currency("JPY")), "قهوة زرقاء، ٢"),
    "spaces": screens.Bill("A" + "\u3000" * 38 + "B", Money(1200, currency("JPY")), ". " * 39 + "."),
    "kana": screens.Bill("ﾊﾞｰｶﾞｰ･ﾊﾟﾝﾔ", Money(980, currency("JPY")), "ﾊﾞｰｶﾞｰ 2､ ﾎﾟﾃﾄ"),
}


def all_screens(bill: screens.Bill) -> Iterator[tuple[str, screens.Screen]]:
    """(name, screen) of every state a cardholder can meet, and every reason."""
    yield "idle", screens.Idle()
    yield "offer", screens.Offer(bill)
    for fault in TrackFault:
        yield f"bad-swipe-{fault.value}", screens.BadSwipe(bill, fault, 2)
    yield "bad-swipe-last", screens.BadSwipe(bill, TrackFault.TRACK_ERROR, 1, again=True)
    yield "pin", screens.EnterPin(bill, "1111", 3, 0)
    yield "pin-typed", screens.EnterPin(bill, "1111", 3, 4)
    yield "pin-too-short", screens.EnterPin(bill, "1111", 3, 3, screens.PinHint.TOO_SHORT)
    yield "pin-too-long", screens.EnterPin(bill, "1111", 3, 12, screens.PinHint.TOO_LONG)
    yield "pin-again", screens.EnterPin(bill, "1111", 2, 0, again=True)
    yield "pin-last-try", screens.EnterPin(bill, "1111", 1, 0, again=True)
    yield "working", screens.Working(bill)
    yield "cancelling", screens.Cancelling(bill, NotSettled.REFUSED_USER_CANCELLED)
    yield "approved", screens.Approved(bill)
    for reason in (*NotSettled, *screens.EndedHere):
        yield f"not-paid-{reason.value}", screens.NotSettled(bill, reason)
    yield "not-paid", screens.NotSettled(bill, None)
    yield "unknown", screens.Unknown(bill)


def pages_of(screen: screens.Screen, language: Language, pen: Pen) -> tuple[Page, ...]:
    """The pages of a screen on the OLED."""
    return picture_pages(
        describe(screen, language), width=WIDTH, rows=HEIGHT // ROW_HEIGHT, measure=pen.measure
    )


def lit(picture: Image.Image, zoom: int) -> Image.Image:
    """As on the glass, within its dark edge: light on dark, `zoom` times as large."""
    colours = Image.new("RGB", (picture.width + 2 * _EDGE, picture.height + 2 * _EDGE), _GLASS)
    colours.paste(_LIT, (_EDGE, _EDGE), picture)
    return colours.resize((colours.width * zoom, colours.height * zoom), Image.Resampling.NEAREST)


def contact_sheet(pictures: list[Image.Image], columns: int) -> Image.Image:
    """All in rows and columns."""
    width, height = pictures[0].size
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * (width + _GAP) + _GAP, rows * (height + _GAP) + _GAP), "white")
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        sheet.paste(picture, (_GAP + column * (width + _GAP), _GAP + row * (height + _GAP)))
    return sheet


def main(arguments: list[str]) -> int:
    """Write the drawings into a folder, which is made."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m tools.draw_screens DIR\n")
        return 2
    folder = Path(arguments[0])
    pen = Pen(find_font(None))
    for language, bill, set_name in (
        (Language.ENGLISH, SHOP, "en"),
        (Language.JAPANESE, JAPANESE_SHOP, "ja"),
        (Language.JAPANESE, LONG_SHOP, "ja-long"),
    ):
        (folder / set_name).mkdir(parents=True, exist_ok=True)
        sheet = []
        for name, screen in all_screens(bill):
            for page in pages_of(screen, language, pen):
                picture = lit(draw_page(page, pen, WIDTH, HEIGHT), ZOOM)
                mark = f"-{page.number}" if page.count > 1 else ""
                picture.save(folder / set_name / f"{name}{mark}.png", optimize=True)
                sheet.append(picture)
        contact_sheet(sheet, _SHEET_COLUMNS).save(folder / f"{set_name}.png", optimize=True)
    hostile = []
    for bill in HOSTILE_SHOPS.values():
        for screen in (screens.Offer(bill), screens.BadSwipe(bill, TrackFault.TIMEOUT, 1, again=True)):
            for page in pages_of(screen, Language.ENGLISH, pen):
                hostile.append(lit(draw_page(page, pen, WIDTH, HEIGHT), ZOOM))
    contact_sheet(hostile, _SHEET_COLUMNS).save(folder / "hostile.png", optimize=True)
    for language, bill in ((Language.JAPANESE, JAPANESE_SHOP), (Language.ENGLISH, SHOP)):
        every = [
            lit(draw_page(page, pen, WIDTH, HEIGHT), OVERVIEW_ZOOM)
            for _, screen in all_screens(bill)
            for page in pages_of(screen, language, pen)
        ]
        name = f"every-screen-{language.value}.png"
        contact_sheet(every, _EVERY_COLUMNS).save(folder / name, optimize=True)
    draw_overview(pen).save(folder / "reader-screens.png", optimize=True)
    return 0


def draw_overview(pen: Pen) -> Image.Image:
    """A payment as its cardholder sees it, in both languages, then what can go wrong."""
    overview = []
    for language, bill in ((Language.JAPANESE, JAPANESE_SHOP), (Language.ENGLISH, SHOP)):
        found = dict(all_screens(bill))
        for name in OVERVIEW:
            page = pages_of(found[name], language, pen)[0]
            overview.append(lit(draw_page(page, pen, WIDTH, HEIGHT), OVERVIEW_ZOOM))
    return contact_sheet(overview, _SHEET_COLUMNS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
