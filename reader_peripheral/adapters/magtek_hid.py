"""MagTek's USB swipe readers in HID mode: one report a swipe, read from the kernel's hidraw node.

The report is that of MagTek's "USB HID SureSwipe & USB HID Swipe Reader" reference manual, section 'Card
Data': 337 bytes without a report number, each track from start to end sentinel in ASCII.

    0 to 2     decode status of track 1, 2, 3: bit 0 is set when there was data that could not be decoded
    3 to 5     how many bytes of each track's field are data
    6          encode type: 0 is ISO/ABA
    7          track 1, 110 bytes; 117 track 2; 227 track 3

Nothing is typed in this mode, so that there is nothing to keep from the console.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from protocol.track_data import TrackError, TrackFault
from reader_peripheral.adapters.attached_device import LOOK_AGAIN_SECONDS, AttachedDevice, DeviceNode
from reader_peripheral.adapters.attached_swiper import AttachedSwiper
from reader_peripheral.input_settings import DeviceIdentity, DeviceMatch, SwiperSettings

log = logging.getLogger(__name__)

MAGTEK: Final = DeviceMatch(vendor=0x0801)
REPORT_SIZE: Final = 337
_STATUS, _LENGTH, _ENCODING, _DATA = 0, 3, 6, 7
_FIELD: Final = 110
_TRACKS: Final = 3
_UNDECODABLE: Final = 1
# ISO/ABA, and the two that say no more than that a track is missing: what is on the tracks decides then.
_BANK_ENCODINGS: Final = (0, 4, 5)
_BLANK: Final = 3
_ROOM: Final = 512  # a longer report is another reader's, and must not be cut to look like this one


def typed_by(report: memoryview) -> Iterator[int]:
    """What a reader that types would have typed for this report, character by character (ASCII).

    Raises TrackError: NOTHING_READ, TRACK_ERROR when no track could be decoded, NOT_A_BANK_CARD for other
    encodings, MALFORMED for what is no such report (a reader that encrypts sends longer ones).
    """
    if len(report) != REPORT_SIZE:
        raise TrackError(TrackFault.MALFORMED)
    lengths = [report[_LENGTH + track] for track in range(_TRACKS)]
    undecodable = [report[_STATUS + track] & _UNDECODABLE for track in range(_TRACKS)]
    if any(length > _FIELD for length in lengths):
        raise TrackError(TrackFault.MALFORMED)
    if not any(lengths):
        raise TrackError(TrackFault.TRACK_ERROR if any(undecodable) else TrackFault.NOTHING_READ)
    if report[_ENCODING] not in _BANK_ENCODINGS:
        blank = report[_ENCODING] == _BLANK
        raise TrackError(TrackFault.NOTHING_READ if blank else TrackFault.NOT_A_BANK_CARD)
    return _characters(report, lengths)


def _characters(report: memoryview, lengths: list[int]) -> Iterator[int]:
    for track, length in enumerate(lengths):
        start = _DATA + track * _FIELD
        yield from report[start : start + length]


class HidrawNode:
    """An open hidraw node: one read is one report."""

    def __init__(self, node: Path) -> None:
        self._descriptor = os.open(node, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def fileno(self) -> int:
        """For the event loop."""
        return self._descriptor

    def read_into(self, buffer: bytearray) -> int:
        """One report; raises BlockingIOError when there is none, OSError when it is unplugged."""
        return os.readv(self._descriptor, [buffer])

    def close(self) -> None:
        """Give it back."""
        os.close(self._descriptor)


def listed_hidraws(sys: Path = Path("/sys"), dev: Path = Path("/dev")) -> list[tuple[Path, DeviceIdentity]]:
    """All hidraw nodes, and what sysfs says of them, by the keys HID_ID, HID_NAME, HID_PHYS and HID_UNIQ."""
    found = []
    for entry in sorted(sys.glob("class/hidraw/hidraw*"), key=lambda path: (len(path.name), path.name)):
        try:
            lines = (entry / "device" / "uevent").read_text("utf-8", "replace").splitlines()
            said = dict(line.split("=", 1) for line in lines if "=" in line)
            _, vendor, product = said["HID_ID"].split(":")
            identity = DeviceIdentity(
                int(vendor, 16),
                int(product, 16),
                said.get("HID_UNIQ", ""),
                said.get("HID_PHYS", ""),
                said.get("HID_NAME", ""),
            )
        except (OSError, KeyError, ValueError):
            continue  # unplugged between two lines
        found.append((dev / entry.name, identity))
    return found


def find_hidraw(match: DeviceMatch, sys: Path = Path("/sys"), dev: Path = Path("/dev")) -> HidrawNode | None:
    """The reader that is meant, or None while it is not there; raises OSError."""
    for node, identity in listed_hidraws(sys, dev):
        if match.matches(identity):
            return HidrawNode(node)
    return None


class MagtekSwiper(AttachedSwiper):
    """Implements ports.Swiper. With no device in its settings it is any device of MagTek's."""

    def __init__(
        self,
        settings: SwiperSettings,
        find: Callable[[], DeviceNode | None] | None = None,
        look_again_seconds: float = LOOK_AGAIN_SECONDS,
    ) -> None:
        super().__init__(sentinels=settings.sentinels, luhn=settings.check_digit)
        match = settings.device or MAGTEK
        self._device = AttachedDevice(
            f"swiper ({match})",
            find or (lambda: find_hidraw(match)),
            self._on_report,
            lambda: None,  # a report comes whole or not at all: nothing is left half read
            _ROOM,
            look_again_seconds,
        )

    def _on_report(self, report: memoryview) -> None:
        if not self.armed:
            return
        try:
            for character in typed_by(report):
                self.feed(character)
        except TrackError as error:
            if error.fault is TrackFault.MALFORMED:
                log.warning("a report of %d bytes is none of a MagTek reader without encryption", len(report))
            self.spoil(error.fault)
        self.finish()
