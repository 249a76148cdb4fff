"""Writes what the phone remembers, one thing after the other, while the payment goes on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

_log = logging.getLogger(__name__)

Writing = Callable[[], Awaitable[None]]


class Notebook:
    """A queue in front of a slow disk. `failed` is told what the system says of a disk that is full or gone.

    Forcing a note to the disk takes 10 to 70 ms, in which no offer should wait. Nothing is risked by going
    on: a reader needs its outcome only after its last message, and before that a person has swiped a card.
    """

    def __init__(self, failed: Callable[[str], None]) -> None:
        self._failed = failed
        self._waiting: asyncio.Queue[Writing | None] = asyncio.Queue()

    def write(self, writing: Writing) -> None:
        """Have this done, after all that was asked for before it."""
        self._waiting.put_nowait(writing)

    def close(self) -> None:
        """Let :meth:`run` end once all is written."""
        self._waiting.put_nowait(None)

    async def run(self) -> None:
        """Write until closed. A full disk must not end a payment: only the phone's memory is lost."""
        while (writing := await self._waiting.get()) is not None:
            try:
                await writing()
            except OSError as error:
                _log.warning("history: %s", error.strerror)
                self._failed(error.strerror or "")
