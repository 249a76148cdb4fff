"""What the reader says when something is wrong: it says what to do, and there is time to read it."""

from __future__ import annotations

from itertools import takewhile

import pytest

from protocol.messages import NotSettled
from protocol.money import LARGEST_AMOUNT, Money, currency
from protocol.track_data import TrackFault
from reader_peripheral import screens
from reader_peripheral.adapters.oled_picture import FONTS, Pen, find_font
from reader_peripheral.kana import in_cells
from reader_peripheral.layout import Look, Page, character_pages, picture_pages, wrap
from reader_peripheral.paged_display import DisplayError
from reader_peripheral.settings import DisplaySettings, Limits
from reader_peripheral.texts import FAULTS, REASONS, Language, describe

BILL = screens.Bill("Kissaten Ao", Money(LARGEST_AMOUNT, currency("USD")), "2 coffees")
# A person's own doing: there is nothing to put right.
NOTHING_TO_DO = {
    NotSettled.DECLINED,
    NotSettled.CANCELLED_BY_MERCHANT,
    NotSettled.REFUSED_USER_CANCELLED,
    screens.EndedHere.PHONE_CANCELLED,
}
ENGLISH_ADVICE = ("try ", "call ", "use ", "ask ", "enrol ", "swipe ", "turn ", "do it ")
JAPANESE_ADVICE = ("ください", "別のカードで", "速さで", "ご確認を", "使えません", "どうぞ")
ENDINGS = [screens.NotSettled(BILL, reason) for reason in (*NotSettled, *screens.EndedHere, None)]
BAD_SWIPES = [
    screens.BadSwipe(BILL, fault, left, again=left == 1) for fault in TrackFault for left in (1, 2, 9)
]


def test_every_error_says_what_to_do() -> None:
    for cause, (english, japanese) in {**REASONS, **FAULTS}.items():
        if cause not in NOTHING_TO_DO:
            assert any(word in f"{english} ".lower() for word in ENGLISH_ADVICE), english
            assert any(word in japanese for word in JAPANESE_ADVICE), japanese


@pytest.mark.parametrize("fault", list(TrackFault))
@pytest.mark.parametrize(
    ("language", "hint"),
    [(Language.ENGLISH, "No chip slot: use the stripe."), (Language.JAPANESE, "ICチップは使えません。")],
)
def test_who_pushes_a_chip_in_is_told_at_the_second_time_that_there_is_no_slot(
    fault: TrackFault, language: Language, hint: str
) -> None:
    first = describe(screens.BadSwipe(BILL, fault, 2), language).notes
    second = describe(screens.BadSwipe(BILL, fault, 1, again=True), language).notes
    assert hint not in first
    # What is told of a stripe that was read, and read wrongly, is not told of a chip.
    read = {
        TrackFault.TOO_LONG,
        TrackFault.BAD_MONTH,
        TrackFault.EXPIRED,
        TrackFault.LUHN,
        TrackFault.TRACKS_DISAGREE,
        TrackFault.NOT_A_BANK_CARD,
        TrackFault.KEYS_LOST,
    }
    assert (hint in second) == (fault not in read)
    assert FAULTS[fault][language is Language.JAPANESE] == second[0], "how to swipe is said all the same"


@pytest.mark.parametrize("reason", [NotSettled.REFUSED_NO_SWIPE, NotSettled.CARD_TIMEOUT])
def test_where_no_card_was_swiped_the_chip_is_spoken_of(reason: NotSettled) -> None:
    english, japanese = REASONS[reason]
    assert "No chip slot: use the stripe." in english
    assert "ICチップは使えません。" in japanese


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize(("columns", "rows"), [(16, 2), (20, 4)])
def test_an_ending_stays_until_all_that_went_wrong_and_the_amount_were_shown(
    columns: int, rows: int, language: Language
) -> None:
    pages_in_time = int(Limits().result_seconds / DisplaySettings().page_seconds)
    for screen in ENDINGS:
        lines = in_cells(describe(screen, language))
        seen = _texts(character_pages(lines, columns=columns, rows=rows)[:pages_in_time])
        wanted = [row for note in lines.notes for row in wrap(note, columns, len)]
        assert set(wanted) <= set(seen), (screen, seen)
        assert any("9999999999.99" in text.replace(",", "") for text in seen), (screen, seen)


@pytest.mark.parametrize("language", list(Language))
def test_a_bad_swipe_is_explained_within_a_few_pages_of_the_smallest_display(language: Language) -> None:
    for screen in BAD_SWIPES:
        lines = in_cells(describe(screen, language))
        pages = character_pages(lines, columns=16, rows=2)
        before_the_amount = list(takewhile(lambda page: "9999" not in _texts((page,))[1], pages))
        assert len(before_the_amount) <= 6, screen
        assert before_the_amount[0].rows[1].text in lines.notes[0], "how to swipe comes first"


@pytest.mark.parametrize("language", list(Language))
def test_an_oled_says_what_went_wrong_and_what_to_do_on_its_first_page(language: Language) -> None:
    try:
        pen = Pen(find_font(None))
    except DisplayError:
        pytest.skip(f"the font is not installed: apt install fonts-misaki ({FONTS[0]})")
    for amount in (Money(1200, currency("JPY")), BILL.amount):
        bill = screens.Bill(BILL.merchant, amount, BILL.order)
        for screen in ENDINGS:
            lines = describe(screens.NotSettled(bill, screen.reason), language)
            assert _shows(picture_pages(lines, width=128, rows=8, measure=pen.measure)[0], lines.notes)
        for bad in BAD_SWIPES:
            lines = describe(screens.BadSwipe(bill, bad.fault, bad.swipes_left, bad.again), language)
            first = picture_pages(lines, width=128, rows=8, measure=pen.measure)[0]
            assert _shows(first, lines.notes[:-1]), "how many tries are left may be on the next"


def _texts(pages: tuple[Page, ...]) -> list[str]:
    return [row.text for page in pages for row in page.rows]


def _shows(page: Page, notes: tuple[str, ...]) -> bool:
    shown = "".join(row.text for row in page.rows if row.look is Look.PLAIN).replace(" ", "")
    return "".join(notes).replace(" ", "") in shown
