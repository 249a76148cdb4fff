"""Runs in the guest: a magstripe reader made of kernel input alone, as fast as the real ones.

    fast_swiper.py keyboard     through uinput; a line on standard input is typed, at 4 ms a character
    fast_swiper.py burst        the same with all key presses at once: more than the kernel keeps for a reader
    fast_swiper.py magtek       through uhid; a line of hexadecimal digits is one report

(QEMU's own USB keyboards take 30 ms a character.) Says `there: NODE` when it is plugged in, `swiped` after
each line; it is unplugged when it ends. Formats: linux/uinput.h, linux/uhid.h, linux/input.h.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

VENDOR, PRODUCT = 0x1BAD, 0x0001
MAGTEK_VENDOR, MAGTEK_PRODUCT = 0x0801, 0x0002
_CHARACTER_SECONDS = 0.004
_BUS_USB = 3
_EV_SYN, _EV_KEY = 0, 1
_UI_SET_EVBIT, _UI_SET_KEYBIT, _UI_DEV_CREATE = 0x40045564, 0x40045565, 0x5501
_LEFT_SHIFT, _ENTER = 42, 28
_ROWS = {2: "1234567890-=", 16: "qwertyuiop", 30: "asdfghjkl;'", 44: "zxcvbnm,./"}
_CODES = {character: first + at for first, row in _ROWS.items() for at, character in enumerate(row)}
_CODES |= {" ": 57, "\n": _ENTER}
_SHIFTED = dict(zip('!@#$%^&*()_+:"<>?', "1234567890-=;',./", strict=True))
_UHID_CREATE2, _UHID_INPUT2 = 11, 12
# One input report of 337 bytes on a page of the vendor's own, as MagTek's are (USB HID 1.11, section 6.2.2).
_DESCRIPTOR = bytes.fromhex("0600ff 0901 a101 1500 26ff00 7508 965101 0920 8102 c0")


def event(kind: int, code: int, value: int) -> bytes:
    """struct input_event; the kernel fills in the time."""
    return struct.pack("@llHHi", 0, 0, kind, code, value)


def presses(character: str) -> bytes:
    """The key events of one character on a US keyboard."""
    shifted = character in _SHIFTED or character.isupper()
    codes = [_LEFT_SHIFT] if shifted else []
    codes.append(_CODES[_SHIFTED.get(character, character.lower())])
    down = b"".join(event(_EV_KEY, code, 1) for code in codes)
    up = b"".join(event(_EV_KEY, code, 0) for code in reversed(codes))
    return down + event(_EV_SYN, 0, 0) + up + event(_EV_SYN, 0, 0)


def keyboard(pause: float) -> Callable[[str], None]:
    """A keyboard; gives what types a line on it, Enter included."""
    device = os.open("/dev/uinput", os.O_WRONLY)
    fcntl.ioctl(device, _UI_SET_EVBIT, _EV_KEY)
    for code in (_LEFT_SHIFT, *_CODES.values()):
        fcntl.ioctl(device, _UI_SET_KEYBIT, code)
    identity = struct.pack("=80sHHHHI", b"Fast swiper", _BUS_USB, VENDOR, PRODUCT, 1, 0)
    os.write(device, identity + bytes(4 * 64 * 4))
    fcntl.ioctl(device, _UI_DEV_CREATE)

    def swipe(line: str) -> None:
        characters = [presses(character) for character in line + "\n"]
        if not pause:
            os.write(device, b"".join(characters))
            return
        for character in characters:
            os.write(device, character)
            time.sleep(pause)

    return swipe


def magtek() -> Callable[[str], None]:
    """A MagTek reader in HID mode; gives what sends a report."""
    device = os.open("/dev/uhid", os.O_RDWR)
    names = struct.pack("=I128s64s64s", _UHID_CREATE2, b"Mag-Tek USB Swipe Reader", b"", b"")
    numbers = struct.pack("=HHIIII", len(_DESCRIPTOR), _BUS_USB, MAGTEK_VENDOR, MAGTEK_PRODUCT, 1, 0)
    os.write(device, names + numbers + _DESCRIPTOR.ljust(4096, b"\0"))

    def swipe(line: str) -> None:
        report = bytes.fromhex(line)
        os.write(device, struct.pack("=IH", _UHID_INPUT2, len(report)) + report.ljust(4096, b"\0"))

    return swipe


def node_of(vendor: int, kind: str) -> Path:
    """The device node, once there is one."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for uevent in Path(f"/sys/class/{kind}").glob("*/device/uevent"):
            if f"{vendor:04X}" in uevent.read_text().upper():
                return Path("/dev") / ("input" if kind == "input" else "") / uevent.parent.parent.name
        time.sleep(0.05)
    sys.exit("no device node")


def main(kind: str) -> None:
    """Until standard input ends."""
    if kind == "magtek":
        swipe, node = magtek(), node_of(MAGTEK_VENDOR, "hidraw")
    else:
        swipe, node = keyboard(_CHARACTER_SECONDS if kind == "keyboard" else 0.0), node_of(VENDOR, "input")
    print(f"there: {node}", flush=True)
    for line in sys.stdin:
        swipe(line.rstrip("\n"))
        print("swiped", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
