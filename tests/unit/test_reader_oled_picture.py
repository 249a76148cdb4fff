"""The OLED's picture: letters, kanji where a font has them, marks where pages turn, words without a font."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from reader_peripheral.adapters import oled_picture
from reader_peripheral.adapters.oled_picture import Pen, draw_page, find_font
from reader_peripheral.layout import Look, Page, Row
from reader_peripheral.paged_display import DisplayError
from tools import draw_screens

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "img"
MISAKI = next((Path(font) for font in oled_picture.FONTS if Path(font).is_file()), None)


def lit(pen: Pen, text: str, scale: int = 1) -> bytes:
    return pen.draw(scale, text).tobytes()


def test_no_font_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oled_picture, "FONTS", ("/nowhere/misaki.ttf",))
    with pytest.raises(DisplayError, match="apt install fonts-misaki"):
        find_font(None)
    with pytest.raises(DisplayError, match=r"\[display\]"):
        find_font("/nowhere/other.ttf")


def test_a_file_that_is_no_font_is_told(tmp_path: Path) -> None:
    path = tmp_path / "font.ttf"
    path.write_text("no font")
    assert find_font(str(path)) == path
    with pytest.raises(DisplayError, match="no font"):
        Pen(path)


def test_what_no_font_has_is_a_question_mark_and_accents_fall_back() -> None:
    pen = Pen(None)
    assert lit(pen, "\U0010fffd") == lit(pen, "?")
    assert lit(pen, "e\u0351\u0352") == lit(pen, "e")
    assert lit(pen, "A") != lit(pen, "?")


def test_large_letters_are_as_high_as_a_headline_and_narrow_enough_for_one() -> None:
    pen = Pen(None)
    for text in ("DO NOT PAY AGAIN", "Swipe your card", "USD 9,999,999.99", "JPY 999,999,999"):
        drawn = pen.draw(2, text)
        assert drawn.size == (pen.measure(2, text), 16)
        assert drawn.width <= 128
    assert lit(pen, "0", 2) != lit(pen, "8", 2)
    assert lit(pen, "N", 2) != lit(pen, "M", 2)


def test_headline_is_a_bar_and_a_scroll_bar_tells_the_page() -> None:
    pen = Pen(None)
    rows = (Row("Ready", Look.HEADLINE, 2), Row("JPY 1,200", Look.AMOUNT, 2), Row("Kissaten Ao"))
    alone, first, second = (
        draw_page(Page(rows, number, count), pen) for number, count in ((1, 1), (1, 2), (2, 2))
    )
    assert alone.size == (128, 64)
    assert alone.getpixel((0, 0)) == 1
    assert alone.getpixel((127, 40)) == 0
    assert first.getpixel((127, 34)) == 1
    assert first.getpixel((127, 62)) == 0
    assert second.getpixel((127, 62)) == 1


@pytest.mark.skipif(MISAKI is None, reason="the font is not installed: apt install fonts-misaki")
def test_the_guides_picture_is_what_is_drawn_today() -> None:
    """Else: make screens, and copy reader-screens.png and every-screen-*.png to docs/img."""
    assert MISAKI is not None
    with Image.open(PICTURES / "reader-screens.png") as picture:
        assert picture.convert("RGB").tobytes() == draw_screens.draw_overview(Pen(MISAKI)).tobytes()
    for shown in ("reader-screens.png", "every-screen-ja.png", "every-screen-en.png"):
        assert (PICTURES / shown).is_file()
        assert f"(img/{shown})" in (PICTURES.parent / "pi.md").read_text("utf-8")


@pytest.mark.skipif(MISAKI is None, reason="the font is not installed: apt install fonts-misaki")
def test_sixteen_kanji_fit_on_a_row_and_all_are_there() -> None:
    pen = Pen(MISAKI)
    name = "喫茶青神田神保町店東京都千代田区"
    assert pen.measure(1, name) == 128
    question = lit(pen, "?")
    assert all(lit(pen, kanji) != question for kanji in name)
