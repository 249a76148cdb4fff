"""An HD44780 character display, 16x2 or 20x4, through RPLCD: behind a PCF8574 on I2C, or on GPIO lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gpiod
from gpiod.line import Direction, Value
from RPLCD import common
from RPLCD.i2c import CharLCD
from RPLCD.lcd import BaseCharLCD

from reader_peripheral.kana import in_cells
from reader_peripheral.layout import Page, character_pages
from reader_peripheral.paged_display import DisplayError, PagedDisplay
from reader_peripheral.remedies import let_use
from reader_peripheral.settings import DisplayKind, DisplaySettings
from reader_peripheral.texts import Language, describe

_USUAL_ADDRESS = 0x27
_ROM = "A00"  # ASCII and half-width katakana: what displays sold in Japan and most modules have


class GpioLcd(BaseCharLCD):  # type: ignore[misc]
    """RPLCD's display on lines of the kernel's GPIO interface: its own GPIO class does not work on a Pi 5.

    `set_lines(values)` sets the lines RS, E, D4 to D7; R/W is wired to ground. `release` gives them back.
    """

    data_bus_mode = common.LCD_4BITMODE

    def __init__(
        self, set_lines: Callable[[dict[int, bool]], None], release: Callable[[], None], *shape: int
    ) -> None:
        self._set_lines, self._release = set_lines, release
        columns, rows = shape
        super().__init__(columns, rows, charmap=_ROM, auto_linebreaks=False)

    def _init_connection(self) -> None:
        common.msleep(50)  # after power on (HD44780 data sheet, figure 24)

    def _close_connection(self) -> None:
        self._release()

    def _send_data(self, value: int) -> None:
        self._send(value, common.RS_DATA)

    def _send_instruction(self, value: int) -> None:
        self._send(value, common.RS_INSTRUCTION)

    def _send(self, value: int, register: int) -> None:
        """Two halves, the high one first; the display takes each when E falls."""
        for half in (value >> 4, value & 0x0F):
            lines = {0: bool(register), 1: False, **{2 + bit: bool(half >> bit & 1) for bit in range(4)}}
            self._set_lines(lines)
            self._set_lines({1: True})
            common.usleep(1)
            self._set_lines({1: False})
            common.usleep(100)  # commands need 37 microseconds to settle


class LcdDevice:
    """Implements paged_display.PageDevice. `take` gives an RPLCD display."""

    def __init__(self, take: Callable[[], Any], columns: int, rows: int) -> None:
        self._take = take
        self._columns, self._rows = columns, rows
        self._lcd: Any = None
        self._shown: list[str] = []

    def open(self) -> None:
        """Take the device; raises DisplayError."""
        self._lcd = self._take()
        self._shown = [""] * self._rows

    def draw(self, page: Page) -> None:
        """Write the rows that changed: a character takes a millisecond or two on I2C."""
        texts = [row.text for row in page.rows]
        if page.count > 1 and len(texts[0]) + 4 <= self._columns:
            texts[0] = texts[0].ljust(self._columns - 3) + f"{page.number}/{page.count}"
        texts += [""] * (self._rows - len(texts))
        try:
            self._write(texts)
        except OSError:
            raise DisplayError("The display stopped answering. Check its wires.") from None

    def _write(self, texts: list[str]) -> None:
        for number, text in enumerate(texts):
            padded = text[: self._columns].ljust(self._columns)
            if self._shown[number] != padded:
                self._shown[number] = ""  # unknown, should the writing fail
                self._lcd.cursor_pos = (number, 0)
                self._lcd.write_string(padded)
                self._shown[number] = padded

    def close(self) -> None:
        """Blank, and given back."""
        if self._lcd is not None:
            lcd, self._lcd = self._lcd, None
            lcd.close(clear=True)


def character_display(
    device: LcdDevice, columns: int, rows: int, language: Language, page_seconds: float
) -> PagedDisplay:
    """ports.Display on a device of characters."""
    return PagedDisplay(
        device,
        lambda screen: character_pages(in_cells(describe(screen, language)), columns=columns, rows=rows),
        page_seconds,
    )


def lcd_display(settings: DisplaySettings, language: Language) -> PagedDisplay:
    """The character display of the settings."""
    columns, rows = settings.columns, settings.rows
    take = _gpio(settings) if settings.kind is DisplayKind.LCD_GPIO else _i2c(settings)
    return character_display(LcdDevice(take, columns, rows), columns, rows, language, settings.page_seconds)


def _i2c(settings: DisplaySettings) -> Callable[[], Any]:
    bus, columns, rows = settings.i2c_bus, settings.columns, settings.rows
    address = _USUAL_ADDRESS if settings.i2c_address is None else settings.i2c_address
    place = f"I2C bus {bus}, address 0x{address:02X}"

    def take() -> Any:
        try:
            return CharLCD(
                "PCF8574", address, port=bus, cols=columns, rows=rows, charmap=_ROM, auto_linebreaks=False
            )
        except PermissionError:
            raise DisplayError(
                f"This user may not use {place}. {let_use(Path(f'/dev/i2c-{bus}'), 'i2c')}"
            ) from None
        except OSError:
            raise DisplayError(
                f"There is no display at {place}. Is I2C on (sudo raspi-config nonint do_i2c 0), and which"
                f" addresses answer (i2cdetect -y {bus})? Some backpacks are at 0x3F."
            ) from None

    return take


def _gpio(settings: DisplaySettings) -> Callable[[], Any]:
    pins, chip = settings.gpio_pins, settings.gpio_chip

    def take() -> GpioLcd:
        try:
            request = gpiod.request_lines(
                chip,
                consumer="reader-peripheral display",
                config={pins: gpiod.LineSettings(direction=Direction.OUTPUT, output_value=Value.INACTIVE)},
            )
        except PermissionError:
            raise DisplayError(f"This user may not use {chip}. {let_use(Path(chip), 'gpio')}") from None
        except OSError as problem:
            raise DisplayError(
                f"The display's lines on {chip} cannot be used: {problem.strerror}."
                " Which are taken says: gpioinfo"
            ) from None

        def set_lines(values: dict[int, bool]) -> None:
            request.set_values({pins[line]: Value(int(high)) for line, high in values.items()})

        return GpioLcd(set_lines, request.release, settings.columns, settings.rows)

    return take
