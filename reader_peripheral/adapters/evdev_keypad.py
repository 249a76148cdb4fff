"""A USB numeric keypad, grabbed from the console: digits, Enter, Clear and Cancel."""

from __future__ import annotations

from collections.abc import Callable

from reader_peripheral.adapters.attached_device import LOOK_AGAIN_SECONDS, AttachedDevice, DeviceNode
from reader_peripheral.adapters.evdev_swipe import find_keyboard
from reader_peripheral.adapters.input_events import EVENTS_SIZE, KeyEvents
from reader_peripheral.adapters.key_map import DIGITS
from reader_peripheral.input_settings import KeypadSettings
from reader_peripheral.ports import Key
from reader_peripheral.session import LONGEST_PIN

_DOWN = 1  # 0 is a release, 2 autorepeat


class EvdevKeypad:
    """Implements ports.Keypad for a keyboard device, from attaching to closing grabbed."""

    def __init__(
        self,
        settings: KeypadSettings,
        find: Callable[[], DeviceNode | None] | None = None,
        look_again_seconds: float = LOOK_AGAIN_SECONDS,
    ) -> None:
        match = settings.device
        # What is configured comes first: a key may be printed with a digit and serve as something else.
        self._keys = {**{code: Key(digit) for code, digit in DIGITS.items()}, **settings.keys}
        self._key_events = KeyEvents()
        self._on_key: Callable[[Key], None] | None = None
        self._device = AttachedDevice(
            f"keypad ({match})",
            find or (lambda: find_keyboard(match)),
            self._on_read,
            self._start_pin_again,
            EVENTS_SIZE,
            look_again_seconds,
        )

    async def open(self, on_key: Callable[[Key], None]) -> None:
        """Take the device, now or as soon as it is plugged in."""
        self._on_key = on_key
        self._device.start()

    def want_pin(self, wanted: bool) -> None:
        """Keys are told at all times: what they mean is the session's to say."""

    async def close(self) -> None:
        """Give the device back."""
        self._device.stop()
        self._on_key = None

    def _on_read(self, read: memoryview) -> None:
        for event in self._key_events.keys(read):
            if event is None:
                self._start_pin_again()
                continue
            code, value = event
            key = self._keys.get(code) if value == _DOWN else None
            if key is not None:
                self._press(key)

    def _start_pin_again(self) -> None:
        """Keys were lost: a PIN with a hole would cost one of the card's tries."""
        for _ in range(LONGEST_PIN):
            self._press(Key.CLEAR)

    def _press(self, key: Key) -> None:
        if self._on_key is not None:
            self._on_key(key)
