"""The swiper for readers that type: characters in, a swipe out. A terminal or a USB port feeds it.

Card data goes into one bytearray, made once and wiped after every swipe, and is never anything else: strings
and patterns would leave copies of it in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from protocol.track_data import Sentinels, TrackError, TrackFault, parse_swipe
from reader_peripheral.ports import SwipeResult

# Three tracks of 79, 40 and 107 characters, and their line ends: more is no card (ISO/IEC 7811-2, -6).
_ROOM = 240
_LINE_ENDS = b"\r\n"
SETTLE_SECONDS = 0.15
"""After an Enter: some readers type one after each track, the next track follows within milliseconds."""


class WedgeSwiper:
    """Implements ports.Swiper for characters that come in by `feed`.

    `idle_seconds` after the last character a swipe is over, for readers that type no Enter; `longest_seconds`
    after the first it is over in any case. `luhn` is whether the card number's check digit must be right.
    """

    def __init__(
        self,
        *,
        idle_seconds: float = 0.5,
        longest_seconds: float = 30.0,
        sentinels: Sentinels | None = None,
        luhn: bool = True,
    ) -> None:
        self._idle_seconds = idle_seconds
        self._longest_seconds = longest_seconds
        self._sentinels = sentinels or Sentinels()
        self._luhn = luhn
        self._buffer = bytearray(_ROOM)
        self._length = 0
        self._began = 0.0
        self._fault: TrackFault | None = None
        self._armed = False
        self._handing_over = False
        self._timer: asyncio.TimerHandle | None = None
        self._on_swipe: Callable[[SwipeResult], None] | None = None

    @property
    def armed(self) -> bool:
        """Whether a swipe is wanted."""
        return self._armed

    async def open(self, on_swipe: Callable[[SwipeResult], None]) -> None:
        """Whom to tell."""
        self._on_swipe = on_swipe

    def arm(self) -> None:
        """The next swipe counts."""
        if not self._armed:
            self._forget()
            self._armed = True

    def disarm(self) -> None:
        """No swipe is wanted."""
        self._armed = False
        # Taking a swipe disarms, and the card is sealed from this very buffer after that.
        if not self._handing_over:
            self._forget()

    async def close(self) -> None:
        """Nothing is left behind."""
        self.disarm()
        self._on_swipe = None

    def feed(self, character: int) -> None:
        """One character, as its ASCII code. Between swipes that are wanted it is thrown away."""
        if not self._armed:
            return
        if character in _LINE_ENDS and not self._length:
            return  # Enter by itself is no swipe
        now = asyncio.get_running_loop().time()
        if not self._length:
            self._began = now
        if self._length < _ROOM:
            self._buffer[self._length] = character
            self._length += 1
        else:
            self._fault = self._fault or TrackFault.TOO_LONG
        if now - self._began > self._longest_seconds:
            self._fault = TrackFault.TIMEOUT
            self.finish()
            return
        self._wait(SETTLE_SECONDS if character in _LINE_ENDS else self._idle_seconds)

    def spoil(self, fault: TrackFault) -> None:
        """What is being read is no good, whatever else comes of it: told once it is over."""
        if self._armed:
            self._fault = fault
            self._wait(self._idle_seconds)

    def finish(self) -> None:
        """The swipe is over: judge it. Called by who knows the end for certain, too."""
        self._stop_timer()
        if not self._armed or not (self._length or self._fault):
            return
        self._armed = False
        result: SwipeResult
        try:
            if self._fault:
                raise TrackError(self._fault)
            result = parse_swipe(self._buffer, sentinels=self._sentinels, luhn=self._luhn)
        except TrackError as error:
            result = error.fault
        self._handing_over = True
        try:
            if self._on_swipe is not None:
                self._on_swipe(result)
        finally:
            self._handing_over = False
            if not self._armed:
                self._forget()

    def _forget(self) -> None:
        self._stop_timer()
        self._buffer[:] = bytes(_ROOM)
        self._length = 0
        self._fault = None

    def _wait(self, seconds: float) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.finish)

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
