"""What every display does, the fakes too: takes any screen at once, ends with the newest, closes cleanly."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import luma.core.device  # type: ignore[import-untyped]
import pytest
from luma.core.interface.serial import i2c  # type: ignore[import-untyped]
from luma.oled.device import sh1106, ssd1306  # type: ignore[import-untyped]
from RPLCD import i2c as rplcd_i2c  # type: ignore[import-untyped]

from protocol.messages import NotSettled
from protocol.money import Money, currency
from protocol.track_data import TrackFault
from reader_peripheral import screens
from reader_peripheral.adapters.lcd_display import GpioLcd, LcdDevice, character_display
from reader_peripheral.adapters.oled_display import OledDevice, picture_display
from reader_peripheral.adapters.oled_picture import Pen, draw_page
from reader_peripheral.adapters.scripted import RecordingDisplay
from reader_peripheral.adapters.terminal import TerminalDisplay
from reader_peripheral.kana import in_cells
from reader_peripheral.layout import character_pages, picture_pages
from reader_peripheral.ports import Display
from reader_peripheral.texts import Language, describe

# luma.oled 3.16.0 asks Pillow for a picture's bytes in the way of Pillow 13 and before.
pytestmark = pytest.mark.filterwarnings("ignore:Image.Image.getdata:DeprecationWarning")

BILL = screens.Bill("喫茶青", Money(1200, currency("JPY")), "2 coffees")
SCREENS: list[screens.Screen] = [
    screens.Idle(),
    screens.Offer(BILL),
    screens.BadSwipe(BILL, TrackFault.LUHN, 2),
    *(screens.EnterPin(BILL, "1111", 3, stars) for stars in range(5)),
    screens.Working(BILL),
    screens.Cancelling(BILL, NotSettled.REFUSED_NO_PIN),
    screens.NotSettled(BILL, NotSettled.WRONG_PIN),
    screens.Approved(BILL),
    screens.Unknown(BILL),
]
PAGE_SECONDS = 600.0  # no page turns by itself in a test


@dataclass
class Case:
    """A display, and a way to ask whether it now shows a screen."""

    display: Display
    shows: Callable[[screens.Screen], bool]


class Glass:
    """An HD44780 as it looks from the wires: bytes in by halves, characters on the glass."""

    def __init__(self, columns: int, rows: int) -> None:
        self.shape = (columns, rows)
        self.memory = bytearray(b" " * 0x68)
        self._at = 0
        self._halves: list[int] = []
        self._wires = 0
        self._lines: dict[int, bool] = {}
        self._starting = 4  # four single halves put it into four-bit mode
        self.released = False

    def pcf8574(self, _: int, byte: int) -> None:
        """What RPLCD writes to the expander: D7 to D4, backlight, E, RW, RS."""
        if self._wires & 0x04 and not byte & 0x04:
            self._clock(byte >> 4, bool(byte & 0x01))
        self._wires = byte

    def set_lines(self, values: dict[int, bool]) -> None:
        """Lines RS, E, D4 to D7."""
        falls = self._lines.get(1, False) and not values.get(1, True)
        self._lines |= values
        if falls:
            half = sum(self._lines.get(2 + bit, False) << bit for bit in range(4))
            self._clock(half, self._lines[0])

    def release(self) -> None:
        self.released = True

    def _clock(self, half: int, data: bool) -> None:
        self._halves.append(half)
        if len(self._halves) < 2:
            return
        high, low = self._halves
        self._halves = []
        byte = high << 4 | low
        if data:
            self.memory[self._at] = byte
            self._at += 1
        elif byte & 0x80:
            self._at = byte & 0x7F
        elif byte == 0x01:
            self.memory[:] = b" " * len(self.memory)
            self._at = 0

    def rows(self) -> list[str]:
        """The text on the glass, in Unicode."""
        columns, rows = self.shape
        starts = [0x00, 0x40, columns, 0x40 + columns][:rows]
        return [
            "".join(
                chr(b) if b < 0x80 else chr(0xFF61 + b - 0xA1) for b in self.memory[at : at + columns]
            ).rstrip()
            for at in starts
        ]


@contextmanager
def recording() -> Iterator[Case]:
    display = RecordingDisplay()
    yield Case(display, lambda screen: display.screens[-1:] == [screen])


@contextmanager
def terminal() -> Iterator[Case]:
    out = io.StringIO()
    headline = lambda screen: describe(screen, Language.JAPANESE).headline  # noqa: E731
    yield Case(
        TerminalDisplay(out, Language.JAPANESE), lambda screen: headline(screen) in out.getvalue()[-400:]
    )


@contextmanager
def oled() -> Iterator[Case]:
    pen = Pen(None)
    dummy = luma.core.device.dummy(width=128, height=64, mode="1")
    dummy.contrast = lambda level: None
    taken = mock.Mock(return_value=dummy)

    def shows(screen: screens.Screen) -> bool:
        lines = describe(screen, Language.JAPANESE)
        page = picture_pages(lines, width=128, rows=8, measure=pen.measure)[0]
        return bool(dummy.image is not None and dummy.image.tobytes() == draw_page(page, pen).tobytes())

    yield Case(picture_display(OledDevice(taken, pen), pen, Language.JAPANESE, PAGE_SECONDS), shows)


class Panel:
    """An OLED's bus: after the byte 0x40 come pixels, eight below one another a byte, 128 bytes a strip."""

    def __init__(self) -> None:
        self.pixels = bytearray()

    def write_i2c_block_data(self, _: int, mode: int, data: list[int]) -> None:
        if mode == 0x40:
            self.pixels += bytes(data)

    def lit(self) -> list[int]:
        """The pixels of the last whole picture, row by row."""
        picture = self.pixels[-1024:].rjust(1024, b"\0")
        return [picture[y // 8 * 128 + x] >> y % 8 & 1 for y in range(64) for x in range(128)]


def wired_oled(driver: Any) -> Any:
    """A case for a real driver on a bus that is watched."""

    @contextmanager
    def case() -> Iterator[Case]:
        pen = Pen(None)
        panel = Panel()
        device = OledDevice(lambda: driver(i2c(bus=panel), rotate=0), pen)

        def shows(screen: screens.Screen) -> bool:
            lines = describe(screen, Language.ENGLISH)
            page = picture_pages(lines, width=128, rows=8, measure=pen.measure)[0]
            picture = draw_page(page, pen)
            return panel.lit() == [int(bool(picture.getpixel((x, y)))) for y in range(64) for x in range(128)]

        yield Case(picture_display(device, pen, Language.ENGLISH, PAGE_SECONDS), shows)

    case.__name__ = driver.__name__
    return case


def lcd_shows(glass: Glass) -> Callable[[screens.Screen], bool]:
    columns, rows = glass.shape

    def shows(screen: screens.Screen) -> bool:
        pages = character_pages(in_cells(describe(screen, Language.JAPANESE)), columns=columns, rows=rows)
        want = [row.text for row in pages[0].rows] + [""] * (rows - len(pages[0].rows))
        return glass.rows()[1:] == want[1:] and glass.rows()[0].startswith(want[0])

    return shows


@contextmanager
def lcd_i2c() -> Iterator[Case]:
    glass = Glass(16, 2)
    bus = mock.Mock()
    bus.write_byte = glass.pcf8574

    def take() -> Any:
        return rplcd_i2c.CharLCD("PCF8574", 0x27, cols=16, rows=2, charmap="A00", auto_linebreaks=False)

    with mock.patch.object(rplcd_i2c, "SMBus", return_value=bus):
        device = LcdDevice(take, 16, 2)
        yield Case(character_display(device, 16, 2, Language.JAPANESE, PAGE_SECONDS), lcd_shows(glass))


@contextmanager
def lcd_gpio() -> Iterator[Case]:
    glass = Glass(20, 4)
    device = LcdDevice(lambda: GpioLcd(glass.set_lines, glass.release, 20, 4), 20, 4)
    yield Case(character_display(device, 20, 4, Language.JAPANESE, PAGE_SECONDS), lcd_shows(glass))
    assert glass.released
    assert glass.rows() == [""] * 4, "blank when it is given back"


@pytest.fixture(
    params=[recording, terminal, oled, wired_oled(ssd1306), wired_oled(sh1106), lcd_i2c, lcd_gpio],
    ids=lambda make: make.__name__,
)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    with request.param() as made:
        yield made


async def until(condition: Callable[[], bool]) -> None:
    """Displays have threads of their own: look until it is so; the test's time limit is the deadline."""
    while not condition():  # noqa: ASYNC110 - a glass tells nobody that it changed
        await asyncio.sleep(0.005)


async def test_each_screen_is_shown(case: Case) -> None:
    await case.display.open()
    try:
        for screen in SCREENS:
            case.display.show(screen)
            await until(lambda: case.shows(screen))  # noqa: B023 - awaited here and now
    finally:
        await case.display.close()


async def test_the_newest_of_many_screens_is_what_stays(case: Case) -> None:
    await case.display.open()
    try:
        for _ in range(20):
            for screen in SCREENS:
                case.display.show(screen)
        await until(lambda: case.shows(SCREENS[-1]))
    finally:
        await case.display.close()


async def test_it_closes_without_having_shown_anything_and_twice(case: Case) -> None:
    await case.display.open()
    await case.display.close()
    await case.display.close()
