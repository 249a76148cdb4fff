"""Tasks that outlive the request which started them: no lost connection cuts a payment's step in half."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Background:
    """Holds its tasks (the event loop keeps only weak references); reports those that fail unheard."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._heard: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def start(self, work: Coroutine[Any, Any, object]) -> None:
        """`spawn` for a timer's callback, which wants no task back."""
        self.spawn(work)

    async def whole(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work`, which goes on to its end also where the caller is cancelled."""
        task = self.spawn(work)
        self._heard.add(task)
        try:
            return await asyncio.shield(task)
        finally:
            self._heard.discard(task)

    async def idle(self) -> None:
        """Return once everything spawned has ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def cancel(self) -> None:
        """Ask everything spawned to end now; `idle` waits for it."""
        for task in self._tasks:
            task.cancel()

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and task not in self._heard:
            _log.error("a background task failed: %s", type(error).__name__)
