"""A USB reader that types what it reads, as most do: kept from the console, its key presses made a swipe."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from protocol.track_data import TrackFault
from reader_peripheral.adapters.attached_device import LOOK_AGAIN_SECONDS, AttachedDevice, DeviceNode
from reader_peripheral.adapters.attached_swiper import AttachedSwiper
from reader_peripheral.adapters.input_events import EVENTS_SIZE, InputNode, KeyEvents, listed_devices
from reader_peripheral.adapters.key_map import UsKeyboard
from reader_peripheral.input_settings import DeviceMatch, SwiperSettings

log = logging.getLogger(__name__)

_SMALL_LETTERS = range(ord("a"), ord("z") + 1)
_TO_CAPITAL = ord("A") - ord("a")


def find_keyboard(match: DeviceMatch, sys: Path = Path("/sys"), dev: Path = Path("/dev")) -> InputNode | None:
    """The keyboard that is meant, opened and grabbed, or None while it is not there; raises OSError."""
    for listed in listed_devices(sys, dev):
        if listed.types and match.matches(listed.identity):
            return InputNode(listed.node)
    return None


class EvdevSwiper(AttachedSwiper):
    """Implements ports.Swiper for a keyboard device, from attaching to closing grabbed."""

    def __init__(
        self,
        settings: SwiperSettings,
        find: Callable[[], DeviceNode | None] | None = None,
        look_again_seconds: float = LOOK_AGAIN_SECONDS,
    ) -> None:
        super().__init__(
            idle_seconds=settings.idle_seconds, sentinels=settings.sentinels, luhn=settings.check_digit
        )
        match = settings.device
        self._quiet_seconds = settings.idle_seconds
        self._keyboard = UsKeyboard()
        self._key_events = KeyEvents()
        self._typed_unwanted: float | None = None
        self._told_numbers = False
        self._device = AttachedDevice(
            f"swiper ({match})",
            find or (lambda: find_keyboard(match)),
            self._on_read,
            self._on_gone,
            EVENTS_SIZE,
            look_again_seconds,
        )

    def _on_read(self, read: memoryview) -> None:
        for key in self._key_events.keys(read):
            if key is None:
                self._keyboard.reset()
                self._lose_keys()
                continue
            character = self._keyboard.feed(*key)
            if character is not None:
                self._on_character(character)
        if self._keyboard.typed_by_number and not self._told_numbers:
            self._told_numbers = True
            log.warning("the swiper types by Alt and numbers, four keys a character: set it to 'US keyboard'")

    def _on_gone(self) -> None:
        self._keyboard.reset()
        if self._length:
            self._lose_keys()

    def _lose_keys(self) -> None:
        """A swipe with a hole is a bad swipe, never a shorter card number."""
        if self._wanted():
            self.spoil(TrackFault.KEYS_LOST)

    def _on_character(self, character: int) -> None:
        if self._wanted():
            # Track 1 has no small letters (ISO/IEC 7811-2): the reader and we differ about CapsLock.
            self.feed(character + _TO_CAPITAL if character in _SMALL_LETTERS else character)

    def _wanted(self) -> bool:
        """Whether what comes now counts: the rest of a swipe that began before it was wanted does not."""
        now = asyncio.get_running_loop().time()
        before = self._typed_unwanted
        if not self.armed or (before is not None and now - before < self._quiet_seconds):
            self._typed_unwanted = now
            return False
        self._typed_unwanted = None
        return True
