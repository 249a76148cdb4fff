"""A swiper, keypad and display that follow a script, for the demo and for tests: no person, no hardware.

They use the same ports and the same track parser as the real ones. Waiting is on events, never on time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TypeVar

from protocol.track_data import TrackError, TrackFault, parse_swipe
from reader_peripheral.ports import Key, SwipeResult
from reader_peripheral.screens import Screen

S = TypeVar("S")


def keys_of(digits: str) -> list[Key]:
    """The keys of a PIN and Enter."""
    return [*(Key(int(digit)) for digit in digits), Key.ENTER]


class ScriptedSwiper:
    """Implements ports.Swiper: gives the next swipe of its script as soon as one is wanted.

    A script holds track texts and faults. When it is used up, `swipe` gives more by hand.
    """

    def __init__(self, script: Iterable[str | TrackFault] = ()) -> None:
        self._script = list(script)
        self._on_swipe: Callable[[SwipeResult], None] | None = None
        self._armed = False

    @property
    def armed(self) -> bool:
        """Whether a swipe is wanted."""
        return self._armed

    async def open(self, on_swipe: Callable[[SwipeResult], None]) -> None:
        """Whom to tell."""
        self._on_swipe = on_swipe

    def arm(self) -> None:
        """The next swipe of the script follows in a turn of its own."""
        self._armed = True
        if self._script:
            asyncio.get_running_loop().call_soon(self._swipe_next)

    def disarm(self) -> None:
        """No swipe is wanted."""
        self._armed = False

    async def close(self) -> None:
        """Nobody to tell."""
        self._on_swipe = None
        self._armed = False

    def _swipe_next(self) -> None:
        if self._armed and self._script:
            self.swipe(self._script.pop(0))

    def swipe(self, text: str | TrackFault) -> None:
        """Swipe now, whether wanted or not, as people do."""
        if self._on_swipe is None or not self._armed:
            return
        self._armed = False
        if isinstance(text, TrackFault):
            self._on_swipe(text)
            return
        try:
            result: SwipeResult = parse_swipe(bytearray(text.encode("ascii")))
        except TrackError as error:
            result = error.fault
        self._on_swipe(result)


class ScriptedKeypad:
    """Implements ports.Keypad: types the next PIN of its script, and Enter, whenever a PIN is wanted."""

    def __init__(self, pins: Iterable[str] = ()) -> None:
        self._pins = list(pins)
        self._on_key: Callable[[Key], None] | None = None

    async def open(self, on_key: Callable[[Key], None]) -> None:
        """Whom to tell."""
        self._on_key = on_key

    def want_pin(self, wanted: bool) -> None:
        """The next PIN of the script follows in a turn of its own."""
        if wanted and self._pins:
            asyncio.get_running_loop().call_soon(self.press, *keys_of(self._pins.pop(0)))

    async def close(self) -> None:
        """Nobody to tell."""
        self._on_key = None

    def press(self, *keys: Key) -> None:
        """Press keys now."""
        for key in keys:
            if self._on_key is not None:
                self._on_key(key)


class RecordingDisplay:
    """Implements ports.Display: keeps every screen, and lets others wait for one.

    `on_show`, if given, is told every screen: the demo narrates with it.
    """

    def __init__(self, on_show: Callable[[Screen], None] | None = None) -> None:
        self.screens: list[Screen] = []
        self._on_show = on_show
        self._shown = asyncio.Event()

    async def open(self) -> None:
        """Nothing to take."""

    def show(self, screen: Screen) -> None:
        """Keep it."""
        self.screens.append(screen)
        if self._on_show is not None:
            self._on_show(screen)
        self._shown.set()
        self._shown = asyncio.Event()

    async def close(self) -> None:
        """What was shown can still be read."""

    async def wait_for(self, kind: type[S], after: int = 0) -> S:
        """The first screen of a kind, the first `after` screens not counted, once it is shown."""
        while True:
            for screen in self.screens[after:]:
                if isinstance(screen, kind):
                    return screen
            await self._shown.wait()
