"""The terminal as swiper, keypad and display: a real pseudo-terminal, pipes, files; the wedge's rules."""

from __future__ import annotations

import asyncio
import io
import os
import pty
import termios
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from protocol.messages import NotSettled, RefusalReason
from protocol.money import Money, currency
from protocol.track_data import Swipe, TrackFault
from reader_peripheral import screens
from reader_peripheral.adapters import wedge_swipe
from reader_peripheral.adapters.terminal import TerminalDisplay, TerminalInput
from reader_peripheral.adapters.wedge_swipe import WedgeSwiper
from reader_peripheral.ports import Key, SwipeResult
from reader_peripheral.texts import FAULTS, REASONS, Language, describe

TRACK1 = "%B4000002760003184^SUZUKI/HANAKO^30121010000000000000?"
TRACK2 = ";4000002760003184=30121010000000000000?"
BILL = screens.Bill("Kissaten Ao", Money(1200, currency("JPY")), "2 coffees")


@dataclass
class Desk:
    """A terminal input with somebody who writes down what comes out of it."""

    terminal: TerminalInput
    write_end: int
    keys: list[Key] = field(default_factory=list)
    swipes: list[SwipeResult] = field(default_factory=list)
    happened: asyncio.Event = field(default_factory=asyncio.Event)

    async def open(self) -> None:
        await self.terminal.open(self._on_key)
        await self.terminal.swiper.open(self._on_swipe)

    def _on_key(self, key: Key) -> None:
        self.keys.append(key)
        self.happened.set()

    def _on_swipe(self, swipe: SwipeResult) -> None:
        self.swipes.append(swipe)
        self.happened.set()

    def type(self, text: str) -> None:
        os.write(self.write_end, text.encode())

    async def until(self, keys: int = 0, swipes: int = 0) -> None:
        while len(self.keys) < keys or len(self.swipes) < swipes:
            await asyncio.wait_for(self.happened.wait(), 5)
            self.happened.clear()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    for descriptor in (read, write):
        try:
            os.close(descriptor)
        except OSError:
            pass


@pytest.fixture
async def tty() -> AsyncIterator[Desk]:
    master, slave = pty.openpty()
    desk = Desk(TerminalInput(slave), master)
    await desk.open()
    yield desk
    await desk.terminal.close()
    os.close(master)
    os.close(slave)


def digits(keys: list[Key]) -> str:
    return "".join(str(key.value) for key in keys if isinstance(key.value, int))


async def test_a_terminal_gives_keys_one_by_one_without_echo(tty: Desk) -> None:
    tty.type("47\x7f1\r\x1b")
    await tty.until(keys=6)
    assert tty.keys == [Key.DIGIT_4, Key.DIGIT_7, Key.CLEAR, Key.DIGIT_1, Key.ENTER, Key.CANCEL]
    os.set_blocking(tty.write_end, False)
    with pytest.raises(BlockingIOError):
        os.read(tty.write_end, 100)


async def test_arrow_keys_are_no_cancel(tty: Desk) -> None:
    tty.type("1\x1b[A\x1bOP\x1b[1;5C2")
    await tty.until(keys=2)
    assert digits(tty.keys) == "12"
    assert Key.CANCEL not in tty.keys


async def test_letters_are_no_keys(tty: Desk) -> None:
    tty.type("a%;=?1")
    await tty.until(keys=1)
    assert tty.keys == [Key.DIGIT_1]


async def test_a_swipe_is_taken_when_wanted_and_its_characters_are_no_keys(tty: Desk) -> None:
    tty.terminal.swiper.arm()
    tty.type(TRACK2 + "\r")
    await tty.until(swipes=1)
    assert isinstance(tty.swipes[0], Swipe)
    assert tty.swipes[0].last_four == "3184"
    assert tty.keys == []


async def test_a_swipe_that_is_not_wanted_is_thrown_away(tty: Desk) -> None:
    tty.type(TRACK2 + "\r")
    await tty.until(keys=1)
    tty.terminal.swiper.arm()
    await asyncio.sleep(0)
    assert tty.swipes == []


async def test_cancel_works_while_a_swipe_is_awaited(tty: Desk) -> None:
    tty.terminal.swiper.arm()
    tty.type("\x1b")
    await tty.until(keys=1)
    assert tty.keys == [Key.CANCEL]


async def test_the_terminal_is_given_back_as_it_was() -> None:
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    desk = Desk(TerminalInput(slave), master)
    await desk.open()
    assert not termios.tcgetattr(slave)[3] & (termios.ECHO | termios.ICANON)
    assert termios.tcgetattr(slave)[3] & termios.ISIG, "Ctrl-C still works"
    await desk.terminal.close()
    assert termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)


async def test_a_terminal_that_goes_away_is_no_busy_loop() -> None:
    master, slave = pty.openpty()
    desk = Desk(TerminalInput(slave), master)
    await desk.open()
    os.close(master)
    await asyncio.sleep(0.05)
    assert desk.terminal._ended
    desk.terminal._saved = None  # there is nothing to restore any more
    await desk.terminal.close()
    os.close(slave)


async def test_a_pipe_gives_each_line_when_it_is_wanted(pipe: tuple[int, int]) -> None:
    desk = Desk(TerminalInput(pipe[0]), pipe[1])
    await desk.open()
    desk.type(f"{TRACK2}\n4711\n")
    await asyncio.sleep(0.02)
    assert (desk.keys, desk.swipes) == ([], []), "nobody wanted anything"
    desk.terminal.swiper.arm()
    await desk.until(swipes=1)
    await asyncio.sleep(0.02)
    assert desk.keys == []
    desk.terminal.want_pin(True)
    await desk.until(keys=17)
    assert desk.keys[:12] == [Key.CLEAR] * 12, "each line is a whole PIN"
    assert digits(desk.keys) == "4711"
    assert desk.keys[-1] is Key.ENTER
    await desk.terminal.close()


@pytest.mark.parametrize("line", ["cancel", "c", "\x1b"])
@pytest.mark.parametrize("wanted", ["swipe", "pin"])
async def test_a_line_can_cancel(pipe: tuple[int, int], line: str, wanted: str) -> None:
    desk = Desk(TerminalInput(pipe[0]), pipe[1])
    await desk.open()
    if wanted == "swipe":
        desk.terminal.swiper.arm()
    else:
        desk.terminal.want_pin(True)
    desk.type(line + "\n")
    await desk.until(keys=1 if wanted == "swipe" else 13)
    assert desk.keys[-1] is Key.CANCEL
    assert desk.swipes == []
    await desk.terminal.close()


async def test_the_end_of_a_pipe_ends_listening(pipe: tuple[int, int]) -> None:
    desk = Desk(TerminalInput(pipe[0]), pipe[1])
    await desk.open()
    os.close(pipe[1])
    desk.terminal.swiper.arm()
    await asyncio.sleep(0.05)
    assert desk.terminal._ended
    desk.terminal.want_pin(True)
    await desk.terminal.close()


async def test_a_plain_file_can_be_typed_from(tmp_path: Path) -> None:
    path = tmp_path / "typed"
    path.write_text(f"{TRACK2}\n4711\n", encoding="ascii")
    descriptor = os.open(path, os.O_RDONLY)
    desk = Desk(TerminalInput(descriptor), -1)
    await desk.open()
    desk.terminal.swiper.arm()
    await desk.until(swipes=1)
    desk.terminal.want_pin(True)
    await desk.until(keys=17)
    assert digits(desk.keys) == "4711"
    await desk.terminal.close()
    os.close(descriptor)


class Reel:
    """A wedge swiper and the swipes it gave."""

    def __init__(self, swiper: WedgeSwiper) -> None:
        self.swiper = swiper
        self.results: list[SwipeResult] = []
        self.keep_wanting = False

    def take(self, result: SwipeResult) -> None:
        if isinstance(result, Swipe):
            result.card_plaintext()
        self.results.append(result)
        if self.keep_wanting:
            self.swiper.arm()

    def feed(self, text: str) -> None:
        for character in text.encode():
            self.swiper.feed(character)


@pytest.fixture
async def reel(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Reel]:
    monkeypatch.setattr(wedge_swipe, "SETTLE_SECONDS", 0.01)
    reel = Reel(WedgeSwiper(idle_seconds=0.03))
    await reel.swiper.open(reel.take)
    reel.swiper.arm()
    yield reel
    await reel.swiper.close()


async def settled(reel: Reel, count: int = 1) -> None:
    until = asyncio.get_running_loop().time() + 5
    while len(reel.results) < count:
        assert asyncio.get_running_loop().time() < until
        await asyncio.sleep(0.002)


@pytest.mark.parametrize(
    "typed",
    [
        f"{TRACK2}\r",
        f"{TRACK2}\n",
        f"{TRACK1}{TRACK2}\r",
        f"{TRACK1}\r{TRACK2}\r",
        TRACK2,
        f"\r\r{TRACK2}\r",
    ],
    ids=["enter", "newline", "both_tracks", "enter_after_each", "no_enter", "enters_before"],
)
async def test_one_swipe_however_the_reader_types_it(reel: Reel, typed: str) -> None:
    reel.feed(typed)
    await settled(reel)
    await asyncio.sleep(0.05)
    (swipe,) = reel.results
    assert isinstance(swipe, Swipe)
    assert bytes(reel.swiper._buffer) == bytes(len(reel.swiper._buffer)), "wiped"
    assert not reel.swiper.armed


@pytest.mark.parametrize(
    ("typed", "fault"),
    [
        ("%E?;E?\r", TrackFault.TRACK_ERROR),
        (TRACK2[:-1] + "\r", TrackFault.NO_END_SENTINEL),
        ("9" * 300 + "\r", TrackFault.TOO_LONG),
        (";4000002760003185=30121010000000000000?\r", TrackFault.LUHN),
    ],
    ids=["track_error", "no_end", "too_long", "luhn"],
)
async def test_a_bad_swipe_is_told_by_name_and_wiped(reel: Reel, typed: str, fault: TrackFault) -> None:
    reel.feed(typed)
    await settled(reel)
    assert reel.results == [fault]
    assert bytes(reel.swiper._buffer) == bytes(len(reel.swiper._buffer))


async def test_the_next_swipe_does_not_see_the_last(reel: Reel) -> None:
    reel.keep_wanting = True
    reel.feed("9" * 300)
    reel.swiper.finish()
    reel.feed(TRACK2)
    reel.swiper.finish()
    assert reel.results[0] is TrackFault.TOO_LONG
    assert isinstance(reel.results[1], Swipe)


async def test_disarming_forgets_what_is_half_read(reel: Reel) -> None:
    reel.feed(TRACK2[:20])
    reel.swiper.disarm()
    assert bytes(reel.swiper._buffer) == bytes(len(reel.swiper._buffer))
    reel.swiper.arm()
    reel.feed(TRACK2)
    reel.swiper.finish()
    assert isinstance(reel.results[0], Swipe)


async def test_enter_alone_is_no_swipe(reel: Reel) -> None:
    reel.feed("\r\n\r")
    await asyncio.sleep(0.05)
    assert reel.results == []
    assert reel.swiper.armed


ALL_SCREENS: list[screens.Screen] = [
    screens.Idle(),
    screens.Offer(BILL),
    *(screens.BadSwipe(BILL, fault, 2) for fault in TrackFault),
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
