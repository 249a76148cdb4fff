"""The reader's screens in words and on a terminal: every screen, every reason, both languages."""

from __future__ import annotations

import io
import os

import pytest

from protocol.messages import NotSettled, RefusalReason
from protocol.money import Money, currency
from protocol.track_data import TrackFault
from reader_peripheral import screens
from reader_peripheral.adapters.terminal import TerminalDisplay
from reader_peripheral.texts import FAULTS, REASONS, Language, describe

TRACK1 = "%B4000002760003184^SUZUKI/HANAKO^30121010000000000000?"
TRACK2 = ";4000002760003184=30121010000000000000?"
BILL = screens.Bill("Kissaten Ao", Money(1200, currency("JPY")), "2 coffees")


ALL_SCREENS: list[screens.Screen] = [
    screens.Idle(),
    screens.Offer(BILL),
    *(screens.BadSwipe(BILL, fault, 2, again) for fault in TrackFault for again in (False, True)),
    screens.EnterPin(BILL, "3184", 3, 0),
    screens.EnterPin(BILL, "3184", 1, 4, screens.PinHint.TOO_SHORT, again=True),
    screens.EnterPin(BILL, "3184", 3, 12, screens.PinHint.TOO_LONG),
    screens.Working(BILL),
    screens.Cancelling(BILL, NotSettled.REFUSED_NO_SWIPE),
    screens.Approved(BILL),
    *(screens.NotSettled(BILL, reason) for reason in NotSettled),
    *(screens.NotSettled(BILL, reason) for reason in screens.EndedHere),
    screens.NotSettled(BILL, None),
    screens.Unknown(BILL),
]


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("screen", ALL_SCREENS, ids=lambda screen: type(screen).__name__)
def test_every_screen_has_words_and_names_what_is_paid(screen: screens.Screen, language: Language) -> None:
    lines = describe(screen, language)
    assert lines.headline
    if not isinstance(screen, screens.Idle):
        assert {"JPY 1,200", "Kissaten Ao", "2 coffees"} <= set(lines.details)


def test_every_reason_and_fault_has_words_in_both_languages() -> None:
    assert set(REASONS) == {*NotSettled, *screens.EndedHere}
    assert set(FAULTS) == set(TrackFault)
    for english, japanese in (*REASONS.values(), *FAULTS.values()):
        assert english.isascii()
        assert not japanese.isascii()
    assert len(RefusalReason) == 7


def test_unknown_says_not_to_pay_again() -> None:
    assert "DO NOT PAY AGAIN" in describe(screens.Unknown(BILL), Language.ENGLISH).headline


def test_peer_text_cannot_move_the_cursor() -> None:
    nasty = screens.Bill("Shop\x1b[2J\u202e", BILL.amount, "1\r2\n3")
    for line in describe(screens.Offer(nasty), Language.ENGLISH).details:
        assert line.isprintable()


class Tty(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_stars_grow_in_place_on_a_terminal_and_never_show_digits() -> None:
    out = Tty()
    display = TerminalDisplay(out, Language.ENGLISH)
    for stars in range(5):
        display.show(screens.EnterPin(BILL, "3184", 3, stars))
    display.show(screens.Working(BILL))
    text = out.getvalue()
    assert text.count("[ Enter PIN ]") == 1
    assert "PIN: ****" in text
    assert "\n\n[ Please wait ]" in text


def test_a_pipe_shows_the_prompt_once_and_hints_when_they_change() -> None:
    out = io.StringIO()
    display = TerminalDisplay(out, Language.ENGLISH)
    for stars, hint in ((0, "none"), (1, "none"), (1, "too_short"), (1, "too_short")):
        display.show(screens.EnterPin(BILL, "3184", 3, stars, screens.PinHint(hint)))
    assert out.getvalue().count("[ Enter PIN ]") == 1
    assert out.getvalue().count("at least 4 digits") == 1
    assert "\x1b" not in out.getvalue()


def test_a_display_nobody_reads_does_not_stop_the_reader() -> None:
    read, write = os.pipe()
    os.close(read)
    out = os.fdopen(write, "w")
    TerminalDisplay(out, Language.ENGLISH).show(screens.Idle())
    with pytest.raises(BrokenPipeError):
        out.close()
