"""Timers for the issuer's deadlines, behind a port so that a test can be the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """One callback that is still to come."""

    def cancel(self) -> None:
        """It will not come any more; safe to repeat."""
        ...


class Timers(Protocol):
    """Monotonic time and callbacks in it, in seconds."""

    def now(self) -> float: ...

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer: ...


class LoopTimers:
    """The running event loop's own clock."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def now(self) -> float:
        return self._loop.time()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        return self._loop.call_later(seconds, callback)
