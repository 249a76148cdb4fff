"""An SSD1306 or SH1106 OLED of 128 by 64 pixels on I2C, through luma.oled. The picture is oled_picture's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import luma.core.error
from luma.core.interface.serial import i2c
from luma.oled.device import sh1106, ssd1306

from reader_peripheral.adapters.oled_picture import ROW_HEIGHT, Pen, draw_page, find_font
from reader_peripheral.layout import Page, picture_pages
from reader_peripheral.paged_display import DisplayError, PagedDisplay
from reader_peripheral.remedies import let_use
from reader_peripheral.settings import DisplayKind, DisplaySettings
from reader_peripheral.texts import Language, describe

_WIDTH, _HEIGHT = 128, 64
_USUAL_ADDRESS = 0x3C
_DRIVERS = {DisplayKind.SSD1306: ssd1306, DisplayKind.SH1106: sh1106}


class OledDevice:
    """Implements paged_display.PageDevice. `take` gives a luma device: its dummy one serves tests."""

    def __init__(self, take: Callable[[], Any], pen: Pen, contrast: int = 128) -> None:
        self._take = take
        self._pen = pen
        self._contrast = contrast
        self._device: Any = None

    def open(self) -> None:
        """Take the device; raises DisplayError."""
        self._device = self._take()
        self._device.contrast(self._contrast)

    def draw(self, page: Page) -> None:
        """Write the whole picture: a kilobyte, some 30 ms at the bus's 400 kHz, 100 at 100."""
        picture = draw_page(page, self._pen, _WIDTH, _HEIGHT)
        try:
            self._device.display(picture)
        except (luma.core.error.Error, OSError):
            raise DisplayError("The display stopped answering. Check its wires.") from None

    def close(self) -> None:
        """Dark, and given back."""
        if self._device is not None:
            device, self._device = self._device, None
            device.cleanup()


def picture_display(device: OledDevice, pen: Pen, language: Language, page_seconds: float) -> PagedDisplay:
    """ports.Display on a device of pixels."""
    return PagedDisplay(
        device,
        lambda screen: picture_pages(
            describe(screen, language), width=_WIDTH, rows=_HEIGHT // ROW_HEIGHT, measure=pen.measure
        ),
        page_seconds,
    )


def oled_display(settings: DisplaySettings, language: Language) -> PagedDisplay:
    """The OLED of the settings; raises DisplayError for a missing font."""
    address = _USUAL_ADDRESS if settings.i2c_address is None else settings.i2c_address
    pen = Pen(find_font(settings.font))

    def take() -> Any:
        place = f"I2C bus {settings.i2c_bus}, address 0x{address:02X}"
        try:
            serial = i2c(port=settings.i2c_bus, address=address)
            return _DRIVERS[settings.kind](serial, rotate=settings.rotate // 90)
        except luma.core.error.DevicePermissionError:
            raise DisplayError(
                f"This user may not use {place}. {let_use(Path(f'/dev/i2c-{settings.i2c_bus}'), 'i2c')}"
            ) from None
        except (luma.core.error.Error, OSError):
            raise DisplayError(
                f"There is no display at {place}. Is I2C on (sudo raspi-config nonint do_i2c 0), and which"
                f" addresses answer (i2cdetect -y {settings.i2c_bus})?"
            ) from None

    return picture_display(OledDevice(take, pen, settings.contrast), pen, language, settings.page_seconds)
