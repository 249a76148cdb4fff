"""Small displays: everything is shown, nothing is wider than the display, and the amount is never cut."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.iso4217 import EXPONENTS
from protocol.messages import NotSettled
from protocol.money import LARGEST_AMOUNT, Money, currency, format_money
from protocol.track_data import TrackFault
from reader_peripheral import screens
from reader_peripheral.kana import READINGS, cell_text, in_cells
from reader_peripheral.layout import Look, Page, amount_text, character_pages, clusters, picture_pages, wrap
from reader_peripheral.texts import FAULTS, REASONS, Language, describe

LARGEST = Money(LARGEST_AMOUNT, currency("USD"))
HOSTILE = (
    "喫茶青" * 13,
    "W" * 40,
    "supercalifragilisticexpialidocious shop",
    "e\u0301\u0323\u0332" * 10,
    "Z" + "\u0351" * 39,
    "\u202eYPJ 1\u202c shop",
    "قهوة زرقاء",
    "a\u200db\u200cc",
    "\x1b[2J\rshop",
    "👩\u200d👩\u200d👧 café",
    "　" * 40,
    "??? JPY 1 ???",
)
CELL = {"F": 2, "W": 2}


def cells(text: str) -> int:
    """Half-width cells, as on a grid of pixels."""
    return sum(CELL.get(unicodedata.east_asian_width(cluster[0]), 1) for cluster in clusters(text))


def pixels(scale: int, text: str) -> int:
    """Four pixels a cell, as in the font of eight."""
    return 4 * scale * cells(text)


def every_screen(bill: screens.Bill) -> Iterator[screens.Screen]:
    """All that a cardholder can meet."""
    yield screens.Offer(bill)
    yield from (screens.BadSwipe(bill, fault, left, left == 1) for fault in TrackFault for left in (1, 2, 8))
    yield from (
        screens.EnterPin(bill, "1111", tries, stars, hint, again)
        for tries in (1, 2)
        for stars in (0, 4, 12)
        for hint in screens.PinHint
        for again in (False, True)
    )
    yield from (screens.Working(bill), screens.Approved(bill), screens.NotSettled(bill, None))
    yield from (screens.NotSettled(bill, reason) for reason in (*NotSettled, *screens.EndedHere))
    yield screens.Cancelling(bill, NotSettled.REFUSED_NO_PIN)
    yield screens.Unknown(bill)


def texts_of(pages: tuple[Page, ...], look: Look) -> list[str]:
    return [row.text for page in pages for row in page.rows if row.look is look]


@given(st.text(max_size=90), st.integers(2, 40))
def test_lines_are_never_wider_than_the_display_and_lose_nothing_but_spaces(text: str, width: int) -> None:
    lines = wrap(text, width, cells)
    assert all(cells(line) <= width for line in lines)
    whole = unicodedata.normalize("NFC", text)
    assert "".join(lines).replace(" ", "") == whole.replace(" ", "")


def test_joiners_hide_no_letters() -> None:
    assert clusters("a\u200db\u200dc") == ["a\u200d", "b\u200d", "c"]
    assert len(clusters("👩\u200d👩\u200d👧!")) == 2
    assert len(clusters("Z\u0351\u0352!")) == 2


def test_two_rows_begin_with_the_amount_or_with_what_went_wrong() -> None:
    bill = screens.Bill("Kissaten Ao", LARGEST, "2 coffees")
    for screen, first in (
        (screens.Offer(bill), "USD9999999999.99"),
        (screens.EnterPin(bill, "1111", 3, 0), "USD9999999999.99"),
        (screens.EnterPin(bill, "1111", 2, 0, again=True), "ｱﾝｼｮｳﾊﾞﾝｺﾞｳｶﾞ"),
        (screens.BadSwipe(bill, TrackFault.NO_END_SENTINEL, 2), "ｶｰﾄﾞｦ ｻｲｺﾞﾏﾃﾞ"),
        (screens.NotSettled(bill, NotSettled.INSUFFICIENT_FUNDS), "ｻﾞﾝﾀﾞｶｶﾞ ﾀﾘﾏｾﾝ"),
    ):
        lines = in_cells(describe(screen, Language.JAPANESE))
        assert character_pages(lines, columns=16, rows=2)[0].rows[1].text == first


@pytest.mark.parametrize("language", list(Language))
def test_on_two_rows_no_order_can_pass_for_the_amount_nor_for_the_readers_words(language: Language) -> None:
    amount = Money(999_999, currency("JPY"))
    for name in ("JPY 1", "APPROVED JPY 1", "x" * 15 + " JPY 1", "No money taken.", "|", "ｼﾊﾗｯﾃ ｲﾏｾﾝ"):
        for screen in every_screen(screens.Bill(name, amount, name)):
            lines = in_cells(describe(screen, language))
            for page in character_pages(lines, columns=16, rows=2):
                text = page.rows[1].text
                ours = text == "JPY 999,999" or any(text in wrap(note, 16, len) for note in lines.notes)
                assert ours or text.startswith("|"), (screen, text)
                assert not (ours and text.startswith("|"))


def test_a_sentence_stays_on_its_line_where_it_can() -> None:
    assert wrap("読めません。別のカードで。", 16, cells) == ["読めません。", "別のカードで。"]
    assert wrap("一。二。三。", 16, cells) == ["一。二。三。"]
    assert wrap("長い文はどこかで切れます。短い。", 12, cells) == ["長い文はどこ", "かで切れま", "す。短い。"]


def test_a_kana_keeps_its_voicing() -> None:
    assert wrap("ﾊﾞﾊﾞﾊﾞ", 3, len) == ["ﾊﾞ", "ﾊﾞ", "ﾊﾞ"]


def test_words_stay_together_and_punctuation_stays_with_its_word() -> None:
    assert wrap("2 coffees and a cake", 10, cells) == ["2 coffees", "and a cake"]
    assert wrap("珈琲二、菓子一。", 6, cells) == ["珈琲", "二、菓", "子一。"]
    assert wrap("incomprehensible", 6, cells) == ["incomp", "rehens", "ible"]


@given(st.integers(1, LARGEST_AMOUNT), st.sampled_from(sorted(EXPONENTS)))
def test_an_amount_fits_sixteen_characters_whole(minor: int, code: str) -> None:
    text = amount_text(Money(minor, currency(code)), 16, len)
    assert len(text) <= 16
    assert text.replace(" ", "") == format_money(Money(minor, currency(code))).replace(",", "").replace(
        " ", ""
    ) or (text == format_money(Money(minor, currency(code))))


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("name", HOSTILE)
def test_every_page_of_every_screen_has_headline_and_amount_and_fits(name: str, language: Language) -> None:
    for screen in every_screen(screens.Bill(name, LARGEST, name)):
        pages = picture_pages(describe(screen, language), width=128, rows=8, measure=pixels)
        for page in pages:
            assert sum(row.scale for row in page.rows) <= 8
            assert all(pixels(row.scale, row.text) <= 128 for row in page.rows)
            assert [row.text for row in page.rows if row.look is Look.AMOUNT] == ["USD 9,999,999,999.99"]
            assert any(row.look is Look.HEADLINE for row in page.rows)
            assert all(
                row.text.isprintable() or "\u200c" in row.text or "\u200d" in row.text for row in page.rows
            )


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize(("columns", "rows"), [(16, 2), (20, 4)])
@pytest.mark.parametrize("name", HOSTILE)
def test_character_displays_show_the_whole_amount_in_characters_they_have(
    name: str, columns: int, rows: int, language: Language
) -> None:
    for screen in every_screen(screens.Bill(name, LARGEST, name)):
        pages = character_pages(in_cells(describe(screen, language)), columns=columns, rows=rows)
        shown = [row.text for page in pages for row in page.rows]
        assert any("9999999999.99" in text.replace(",", "") for text in shown)
        for page in pages:
            assert len(page.rows) <= rows
            assert all(len(row.text) <= columns for row in page.rows)
            assert all(
                ord(c) in range(0x20, 0x7F) or ord(c) in range(0xFF61, 0xFFA0)
                for row in page.rows
                for c in row.text
            )


def test_merchant_and_order_are_shown_whole_over_the_pages() -> None:
    bill = screens.Bill(
        "株式会社東京西部総合百貨店紳士服売場第二カウンター",
        LARGEST,
        "紳士用革靴 黒 二十六センチ 一足、替え紐",
    )
    for screen in every_screen(bill):
        pages = picture_pages(describe(screen, Language.JAPANESE), width=128, rows=8, measure=pixels)
        text = "".join(texts_of(pages, Look.PLAIN)).replace(" ", "")
        assert bill.merchant in text
        assert bill.order.replace(" ", "") in text


def test_the_headline_is_whole_on_every_display() -> None:
    bill = screens.Bill("Kissaten Ao", LARGEST, "2 coffees")
    for language in Language:
        for screen in (screens.Idle(), *every_screen(bill)):
            lines = in_cells(describe(screen, language))
            page = character_pages(lines, columns=16, rows=2)[0]
            assert page.rows[0].text == lines.headline or page.rows[0].text.startswith("PIN ")


def test_a_pin_is_stars_and_a_place_for_the_next() -> None:
    bill = screens.Bill("Kissaten Ao", LARGEST, "2 coffees")
    for typed, shown in ((0, "_"), (3, "***_"), (12, "*" * 12)):
        lines = describe(screens.EnterPin(bill, "1111", 3, typed), Language.ENGLISH)
        pages = picture_pages(lines, width=128, rows=8, measure=pixels)
        assert set(texts_of(pages, Look.PIN)) == {shown}
        assert character_pages(lines, columns=16, rows=2)[0].rows[0].text == f"PIN {shown}"


def test_every_japanese_sentence_has_a_reading() -> None:
    said = {japanese for _, japanese in (*REASONS.values(), *FAULTS.values())}
    bill = screens.Bill("A", LARGEST, "B")
    for screen in (screens.Idle(), *every_screen(bill)):
        lines = describe(screen, Language.JAPANESE)
        said |= {lines.headline, *lines.notes}
    assert {text for text in said if text not in READINGS and "?" in cell_text(text)} == set()
    assert all("?" not in cell_text(reading) for reading in READINGS.values())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Café Ünïon", "Cafe Union"),
        ("カフェ・グリーン", "ｶﾌｪ･ｸﾞﾘｰﾝ"),
        ("ぱんや", "ﾊﾟﾝﾔ"),
        ("ｱﾎﾟﾛ", "ｱﾎﾟﾛ"),
        ("喫茶 青", "?? ?"),
        ("a\u200db\u200cc", "abc"),
        ("ＡＢＣ　１２３", "ABC 123"),
        ("C:\\~", "C:/-"),
        ("Z\u0351\u0351\u0351", "Z"),
        ("“5 × 2”", '"5 x 2"'),
    ],
)
def test_text_in_the_cells_of_a_character_display(text: str, shown: str) -> None:
    assert cell_text(text) == shown
