"""The sections [swiper] and [keypad] of the settings file: which device, and how it types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from protocol.errors import InputError
from protocol.track_data import Sentinels
from reader_peripheral.matrix_keys import Layout
from reader_peripheral.ports import Key
from reader_peripheral.remedies import ours

_U16: Final = range(0x10000)
_KEY_CODES: Final = range(1, 0x300)  # up to KEY_MAX of linux/input-event-codes.h

# Names and numbers of linux/input-event-codes.h: what keypads have beside digits. Other keys go by number.
KEY_NAMES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "KEY_ESC": 1,
        "KEY_BACKSPACE": 14,
        "KEY_TAB": 15,
        "KEY_ENTER": 28,
        "KEY_KPASTERISK": 55,
        "KEY_SPACE": 57,
        "KEY_F1": 59,
        "KEY_F2": 60,
        "KEY_F3": 61,
        "KEY_F4": 62,
        "KEY_NUMLOCK": 69,
        "KEY_KPMINUS": 74,
        "KEY_KPPLUS": 78,
        "KEY_KPDOT": 83,
        "KEY_KPENTER": 96,
        "KEY_KPSLASH": 98,
        "KEY_DELETE": 111,
        "KEY_KPEQUAL": 117,
        "KEY_KPCOMMA": 121,
        "KEY_CALC": 140,
        "KEY_KPLEFTPAREN": 179,
        "KEY_KPRIGHTPAREN": 180,
        "KEY_CANCEL": 223,
    }
)


class SwiperKind(StrEnum):
    """What reads the stripe."""

    TERMINAL = "terminal"
    KEYBOARD = "keyboard"  # a USB reader that types what it reads
    MAGTEK_HID = "magtek-hid"


class KeypadKind(StrEnum):
    """What the PIN is typed on."""

    TERMINAL = "terminal"
    KEYBOARD = "keyboard"  # a USB numeric keypad
    GPIO = "gpio"  # a matrix of keys on lines of the header


@dataclass(frozen=True, slots=True)
class DeviceIdentity:
    """What an input device says of itself, and where it is plugged in (the kernel's `phys`)."""

    vendor: int
    product: int
    uniq: str
    port: str
    name: str


@dataclass(frozen=True, slots=True)
class DeviceMatch:
    """Which device is meant: all that is given must agree."""

    vendor: int | None = None
    product: int | None = None
    uniq: str = ""
    port: str = ""

    def __post_init__(self) -> None:
        for name in ("vendor", "product"):
            if getattr(self, name) is not None and getattr(self, name) not in _U16:
                raise InputError("invalid_device", f"{name} must be from 0 to 0xFFFF.")

    def matches(self, identity: DeviceIdentity) -> bool:
        """Whether this is the device. Nothing given matches nothing: it could be a person's own keyboard."""
        return (
            bool(self)
            and self.vendor in (None, identity.vendor)
            and self.product in (None, identity.product)
            and self.uniq in ("", identity.uniq)
            and self.port in ("", identity.port)
        )

    def __bool__(self) -> bool:
        return self != DeviceMatch()

    def __str__(self) -> str:
        given = (
            None if self.vendor is None else f"vendor {self.vendor:04x}",
            None if self.product is None else f"product {self.product:04x}",
            self.uniq and f"uniq {self.uniq!r}",
            self.port and f"port {self.port!r}",
        )
        return ", ".join(part for part in given if part)


@dataclass(frozen=True, slots=True)
class SwiperSettings:
    """[swiper]: vendor, product, uniq and port tell its device from others; `learn` writes them."""

    kind: SwiperKind = SwiperKind.TERMINAL
    vendor: int | None = None
    product: int | None = None
    uniq: str = ""
    port: str = ""
    idle_seconds: float = 0.5  # so long after its last character a swipe is over, Enter or not
    check_digit: bool = True  # whether card numbers must pass the Luhn check, ISO/IEC 7812-1 annex B
    track1_sentinel: str = "%"
    track2_sentinel: str = ";"
    track3_sentinel: str = "+"
    end_sentinel: str = "?"

    def __post_init__(self) -> None:
        if not 0.05 <= self.idle_seconds <= 10:
            raise InputError("invalid_swiper", "idle_seconds must be from 0.05 to 10.")
        _ = self.sentinels, self.device
        if self.kind is SwiperKind.KEYBOARD and not self.device:
            raise _which("swiper")

    @property
    def device(self) -> DeviceMatch:
        """Which device it is."""
        return DeviceMatch(self.vendor, self.product, self.uniq, self.port)

    @property
    def sentinels(self) -> Sentinels:
        """What it types before and after each track."""
        return Sentinels(self.track1_sentinel, self.track2_sentinel, self.track3_sentinel, self.end_sentinel)


@dataclass(frozen=True, slots=True)
class KeypadSettings:
    """[keypad]: a keyboard's device and its special keys, or the lines of a matrix of keys.

    `enter`, `clear` and `cancel` are key names as evtest shows them, or numbers, as texts; digits are digits
    on any keyboard. `layout` has a text a row: see matrix_keys.Layout.
    """

    kind: KeypadKind = KeypadKind.TERMINAL
    vendor: int | None = None
    product: int | None = None
    uniq: str = ""
    port: str = ""
    enter: tuple[str, ...] = ("KEY_ENTER", "KEY_KPENTER")
    clear: tuple[str, ...] = ("KEY_BACKSPACE", "KEY_DELETE", "KEY_KPDOT")
    # Most numeric keypads have no Esc.
    cancel: tuple[str, ...] = ("KEY_ESC", "KEY_CANCEL", "KEY_KPMINUS")
    chip: str = "/dev/gpiochip0"
    row_lines: tuple[int, ...] = ()
    column_lines: tuple[int, ...] = ()
    layout: tuple[str, ...] = ()  # empty: as keypads of that size are mostly printed

    def __post_init__(self) -> None:
        _ = self.keys, self.device
        if self.kind is KeypadKind.KEYBOARD and not self.device:
            raise _which("keypad")
        if self.kind is KeypadKind.GPIO:
            lines = (*self.row_lines, *self.column_lines)
            if not self.row_lines or not self.column_lines or len({*lines}) != len(lines) or min(lines) < 0:
                raise InputError(
                    "invalid_keypad",
                    "row_lines and column_lines must list the GPIO numbers of the keypad's wires, each once.",
                )
            _ = self.printed

    @property
    def device(self) -> DeviceMatch:
        """Which keyboard it is."""
        return DeviceMatch(self.vendor, self.product, self.uniq, self.port)

    @property
    def keys(self) -> Mapping[int, Key]:
        """The key codes of Enter, Clear and Cancel."""
        keys: dict[int, Key] = {}
        for key, names in ((Key.ENTER, self.enter), (Key.CLEAR, self.clear), (Key.CANCEL, self.cancel)):
            for name in names:
                code = int(name) if name.isascii() and name.isdigit() else KEY_NAMES.get(name)
                if code not in _KEY_CODES or code is None:
                    known = ", ".join(KEY_NAMES)
                    raise InputError(
                        "invalid_keypad", f"{key.value}: {name!r} is not a number, nor of {known}."
                    )
                if keys.get(code, key) is not key:
                    raise InputError("invalid_keypad", f"{name} cannot be two keys at once.")
                keys[code] = key
        if Key.ENTER not in keys.values() or Key.CANCEL not in keys.values():
            raise InputError("invalid_keypad", "enter and cancel each need a key.")
        return MappingProxyType(keys)

    @property
    def printed(self) -> Layout:
        """What is printed on the keys of the matrix."""
        rows, columns = len(self.row_lines), len(self.column_lines)
        return Layout.read(self.layout or Layout.usual(rows, columns), rows, columns)


def _which(what: str) -> InputError:
    learn = ours(f"learn {what}", root=True)
    return InputError(
        f"invalid_{what}", f'"keyboard" needs to know which: give vendor and product, or run: {learn}'
    )
