"""Linux input devices (evdev): which there are, and their events, read into a buffer that is wiped.

This talks to the kernel itself, by the numbers of linux/input.h: the few ioctls and the one struct that are
needed take no more lines than a library's use, a Pi needs no compiler for them, and no library keeps copies
of what was typed. Which devices there are is read from sysfs: to open a USB device only to ask its name takes
the kernel 50 ms (usbhid_open).
"""

from __future__ import annotations

import array
import ctypes
import fcntl
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from reader_peripheral.input_settings import DeviceIdentity

EV_SYN, EV_KEY, EV_MSC = 0, 1, 4
SYN_REPORT, SYN_DROPPED = 0, 3
_KEY_1, _KEY_ENTER, _KEY_KP1, _KEY_KPENTER = 2, 28, 79, 96
_KEYS: Final = 0x300  # KEY_CNT

# struct input_event: two words of time, then type, code and value.
_WORD: Final = ctypes.sizeof(ctypes.c_long)
_EVENT: Final = struct.Struct(f"@{2 * _WORD}xHHi")
# The kernel keeps at least 64 events a reader (EVDEV_MIN_BUFFER_SIZE); more do not come at once.
EVENTS_SIZE: Final = 64 * _EVENT.size

# _IOW('E', …) of linux/input.h, the same on x86 and Arm.
_EVIOCGRAB: Final = 0x40044590
_EVIOCSMASK: Final = 0x40104593
_EVIOCGKEY: Final = 0x80004518 | (_KEYS // 8) << 16
_MASK: Final = struct.Struct("@IIQ")


class Event(NamedTuple):
    """What matters of an input event."""

    type: int
    code: int
    value: int


def events(read: memoryview) -> Iterator[Event]:
    """The events in what was read, in order."""
    for at in range(0, len(read) - _EVENT.size + 1, _EVENT.size):
        yield Event(*_EVENT.unpack_from(read, at))


class KeyEvents:
    """Tells presses and releases from what surrounds them, over as many reads as they come in."""

    def __init__(self) -> None:
        self._lost = False

    def keys(self, read: memoryview) -> Iterator[tuple[int, int] | None]:
        """(code, value) of each key event; None where the kernel had to drop events.

        What follows a SYN_DROPPED up to the next SYN_REPORT is the rest of something torn
        (Documentation/input/event-codes.rst) and is dropped too.
        """
        for event in events(read):
            if event.type == EV_SYN:
                if event.code == SYN_DROPPED:
                    self._lost = True
                    yield None
                elif event.code == SYN_REPORT:
                    self._lost = False
            elif event.type == EV_KEY and not self._lost:
                yield event.code, event.value


@dataclass(frozen=True, slots=True)
class Listed:
    """A device that is there: its node, and what sysfs says of it."""

    node: Path
    identity: DeviceIdentity
    types: bool  # it has digits and Enter, as a keyboard's main node has and its volume keys' has not


def listed_devices(sys: Path = Path("/sys"), dev: Path = Path("/dev")) -> list[Listed]:
    """All input devices that have events, in the order of their numbers."""
    found = []
    for entry in sorted(sys.glob("class/input/event*"), key=lambda path: (len(path.name), path.name)):
        about = entry / "device"
        try:
            identity = DeviceIdentity(
                int(_line(about / "id" / "vendor"), 16),
                int(_line(about / "id" / "product"), 16),
                _line(about / "uniq"),
                _line(about / "phys"),
                _line(about / "name"),
            )
            keys = _bits(_line(about / "capabilities" / "key"))
        except (OSError, ValueError):
            continue  # unplugged between two lines
        digits = keys >> _KEY_1 & 1 or keys >> _KEY_KP1 & 1
        enter = keys >> _KEY_ENTER & 1 or keys >> _KEY_KPENTER & 1
        found.append(Listed(dev / "input" / entry.name, identity, bool(digits and enter)))
    return found


def _line(path: Path) -> str:
    return path.read_text("utf-8", "replace").strip()


def _bits(words: str) -> int:
    """A bitmap as sysfs writes it: the kernel's words in hexadecimal, the highest first."""
    value = 0
    for word in words.split():
        value = value << 8 * _WORD | int(word, 16)
    return value


class InputNode:
    """An open device node. Grabbed, its keys reach nobody else: no console, no other program."""

    def __init__(self, node: Path, *, grab: bool = True) -> None:
        """Raises OSError: EACCES (not in the group), EBUSY (another program has grabbed it), ENODEV."""
        self._descriptor = os.open(node, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if grab:
                self.grab()
            self._mask_scan_codes()
        except BaseException:
            os.close(self._descriptor)
            raise

    def grab(self) -> None:
        """From now on nobody else gets its keys. Raises OSError EBUSY when another program has them."""
        fcntl.ioctl(self._descriptor, _EVIOCGRAB, 1)

    def _mask_scan_codes(self) -> None:
        """Without MSC_SCAN a third fewer events come: so much later the kernel must drop any."""
        nothing = array.array("B", bytes(8))
        mask = _MASK.pack(EV_MSC, len(nothing), nothing.buffer_info()[0])
        try:
            fcntl.ioctl(self._descriptor, _EVIOCSMASK, mask)
        except OSError:
            pass  # a kernel without masks (before 4.4) works as well

    def held_keys(self) -> bool:
        """Whether any key is down at this moment."""
        down = bytearray(_KEYS // 8)
        fcntl.ioctl(self._descriptor, _EVIOCGKEY, down)
        return any(down)

    def fileno(self) -> int:
        """For the event loop."""
        return self._descriptor

    def read_into(self, buffer: bytearray) -> int:
        """Whole events; raises BlockingIOError when there is none, OSError ENODEV when it is unplugged."""
        return os.readv(self._descriptor, [buffer])

    def close(self) -> None:
        """The grab ends with it."""
        os.close(self._descriptor)
