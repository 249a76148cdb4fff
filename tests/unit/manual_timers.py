"""Timers of which a test is the clock."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass


class ManualTimers:
    """Timers whose clock the test turns."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._due: list[tuple[float, int, _ManualTimer]] = []
        self._order = itertools.count()

    def now(self) -> float:
        return self._now

    def call_later(self, seconds: float, callback: Callable[[], None]) -> _ManualTimer:
        timer = _ManualTimer(callback, copy_context())
        heapq.heappush(self._due, (self._now + seconds, next(self._order), timer))
        return timer

    def advance(self, seconds: float) -> None:
        until = self._now + seconds
        while self._due and self._due[0][0] <= until:
            self._now, _, timer = heapq.heappop(self._due)
            if timer.callback is not None:
                timer.context.run(timer.callback)  # as the event loop's own timers do
        self._now = until


@dataclass
class _ManualTimer:
    callback: Callable[[], None] | None
    context: Context

    def cancel(self) -> None:
        self.callback = None
