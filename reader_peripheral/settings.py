"""What can be set at a reader: times, counts, its files, its radio, and the rule about plain HTTP."""

from __future__ import annotations

import os
import re
import ssl
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from protocol.enrolment import check_issuer_url, is_loopback
from protocol.errors import InputError
from reader_peripheral.input_settings import KeypadSettings, SwiperSettings
from reader_peripheral.settings_file import check_sections, read_section
from reader_peripheral.settings_text import SettingsText
from reader_peripheral.texts import Language

DATA_VARIABLE = "BLIND_RELAY_READER_DATA"
MODEL = "BR-1"
MODEL_CODE = 1
FIRMWARE = (0, 1)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the reader waits (seconds), and how many bad swipes it takes."""

    swipes: int = 3
    pin_seconds: float = 60.0
    # From the reader's last message to 'unknown: do not pay again'. All being well the answer takes a second.
    answer_seconds: float = 30.0
    # Six pages of the smallest display: what went wrong, what to do, that nothing is paid, the amount.
    result_seconds: float = 15.0
    # Section 6 of the design: a dropped link keeps the payment this long, then the key is forgotten.
    resume_seconds: float = 30.0

    def __post_init__(self) -> None:
        if not 1 <= self.swipes <= 9:
            raise InputError("invalid_swipes", "The number of swipes must be from 1 to 9.")
        for name in ("pin_seconds", "answer_seconds", "result_seconds", "resume_seconds"):
            if not 0 < getattr(self, name) <= 600:
                raise InputError(f"invalid_{name}", f"{name} must be more than 0 and at most 600 seconds.")


class DisplayKind(StrEnum):
    """What shows the screens."""

    TERMINAL = "terminal"
    SSD1306 = "ssd1306"
    SH1106 = "sh1106"
    LCD = "lcd"  # HD44780 behind a PCF8574 on I2C
    LCD_GPIO = "lcd-gpio"  # HD44780 on six lines of the header


@dataclass(frozen=True, slots=True)
class DisplaySettings:
    """[display]: which one, where it is wired, its language and its font."""

    kind: DisplayKind = DisplayKind.TERMINAL
    language: Language = Language.ENGLISH
    i2c_bus: int = 1
    # 0x3C on most OLED modules and 0x27 on most LCD backpacks; 0x3D and 0x3F on the others.
    i2c_address: int | None = None
    rotate: int = 0  # 180 for an OLED mounted upside down
    contrast: int = 128
    font: str | None = None  # None: the first that is found of adapters/oled_picture.py FONTS
    columns: int = 16
    rows: int = 2
    gpio_chip: str = "/dev/gpiochip0"
    gpio_pins: tuple[int, ...] = (7, 8, 25, 24, 23, 18)  # RS, E, D4 to D7, as GPIO numbers
    page_seconds: float = 2.5

    def __post_init__(self) -> None:
        for fits, name, rule in (
            (0 <= self.i2c_bus <= 99, "i2c_bus", "must be from 0 to 99"),
            (self.i2c_address is None or 8 <= self.i2c_address <= 0x77, "i2c_address", "is 0x08 to 0x77"),
            (self.rotate in (0, 180), "rotate", "must be 0 or 180"),
            (0 <= self.contrast <= 255, "contrast", "must be from 0 to 255"),
            (
                (self.columns, self.rows) in ((16, 2), (20, 4)),
                "columns and rows",
                "must be 16 and 2, or 20 and 4",
            ),
            (len({*self.gpio_pins}) == 6, "gpio_pins", "must be six different lines: RS, E, D4, D5, D6, D7"),
            (all(0 <= pin <= 99 for pin in self.gpio_pins), "gpio_pins", "must be line numbers"),
            (1 <= self.page_seconds <= 30, "page_seconds", "must be from 1 to 30"),
        ):
            if not fits:
                raise InputError("invalid_display", f"{name} {rule}.")


@dataclass(frozen=True, slots=True)
class BluetoothSettings:
    """[bluetooth]: which adapter, and whether a phone must be paired with it.

    `encrypt` makes bluetoothd take writes over an encrypted link alone, and so of paired phones alone. No
    payment depends on it: what is secret is sealed, and what counts is signed.
    """

    adapter: str | None = None  # None: the first
    encrypt: bool = False

    def __post_init__(self) -> None:
        if self.adapter is not None and not re.fullmatch(r"hci[0-9]{1,3}", self.adapter):
            raise InputError("invalid_bluetooth", 'adapter must be one such as "hci0": bluetoothctl list.')


@dataclass(frozen=True, slots=True)
class ReaderSettings:
    """The whole settings file, a field a section."""

    bluetooth: BluetoothSettings = BluetoothSettings()
    display: DisplaySettings = DisplaySettings()
    swiper: SwiperSettings = field(default_factory=SwiperSettings)
    keypad: KeypadSettings = field(default_factory=KeypadSettings)


_SECTIONS: dict[str, type] = {
    "bluetooth": BluetoothSettings,
    "display": DisplaySettings,
    "swiper": SwiperSettings,
    "keypad": KeypadSettings,
}


def read_settings(path: Path | None) -> ReaderSettings:
    """The settings in a file, or the defaults where there is none. Raises InputError (invalid_settings)."""
    if path is None:
        return ReaderSettings()
    text = SettingsText.read(path)
    tables = text.tables()
    check_sections(tables, tuple(_SECTIONS), text)
    sections: dict[str, Any] = {
        name: read_section(_SECTIONS[name], name, table, text) for name, table in tables.items()
    }
    return ReaderSettings(**sections)


def data_directory(given: str | None) -> Path:
    """Where identity and issuer are kept: as given, by BLIND_RELAY_READER_DATA, or the user's own folder."""
    if given:
        return Path(given).expanduser()
    from_environment = os.environ.get(DATA_VARIABLE)
    if from_environment:
        return Path(from_environment).expanduser()
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "blind-relay" / "reader"


@dataclass(frozen=True, slots=True)
class VirtualRadioPlace:
    """Where this reader serves a virtual ether, for phones in other processes of this machine."""

    host: str
    port: int


def parse_radio(text: str) -> VirtualRadioPlace | None:
    """`bluetooth` (None) or `virtual-serve:HOST:PORT`. Raises InputError (invalid_radio)."""
    if text == "bluetooth":
        return None
    kind, _, endpoint = text.partition(":")
    host, _, port = endpoint.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    is_port = port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536
    if kind == "virtual-serve" and is_loopback(host) and is_port:
        return VirtualRadioPlace(host, int(port))
    raise InputError(
        "invalid_radio",
        "Give --radio bluetooth, or --radio virtual-serve:127.0.0.1:PORT with a free port of this machine.",
    )


def check_transport(url: str, *, allow_unencrypted: bool) -> str:
    """`url` if an enrolment code may travel to it: https, or plain http to this machine itself.

    Raises InputError (invalid_issuer_url, unencrypted_issuer_url).
    """
    parts = urlsplit(check_issuer_url(url))
    if parts.scheme == "http" and not allow_unencrypted and not is_loopback(parts.hostname or ""):
        raise InputError(
            "unencrypted_issuer_url",
            "The issuer's address is plain http, and not this machine. Ask for a code with an https address"
            " (--ca-file trusts a private certificate), or, on a network that is yours alone, add"
            " --allow-unencrypted-issuer.",
        )
    return url


def tls_context(ca_file: str | None) -> ssl.SSLContext | None:
    """TLS that also trusts the certificates in `ca_file`, or None for the system's own list alone."""
    if ca_file is None:
        return None
    try:
        context = ssl.create_default_context()
        context.load_verify_locations(cafile=ca_file)
    except ssl.SSLError:
        words = f"{ca_file} holds no certificates. It must be a PEM file: -----BEGIN CERTIFICATE-----"
        raise InputError("invalid_ca_file", words) from None
    except OSError as problem:
        words = f"{ca_file} cannot be read: {problem.strerror}. Name a file of certificates with --ca-file"
        raise InputError("invalid_ca_file", words) from None
    return context
