"""The live line on stderr while a payment runs: redrawn on a terminal, one line a change elsewhere."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from types import TracebackType
from typing import Self, TextIO

from service_host.columns import columns

FRAMES = ("|", "/", "-", "\\")
TICK_SECONDS = 0.2


class StatusLine:
    """Use as an async context manager; `show` may be called at any time inside."""

    def __init__(self, stream: TextIO | None = None, *, silent: bool = False) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._silent = silent
        self._text = ""
        self._started = 0.0
        self._ticker: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._started = asyncio.get_running_loop().time()
        if self._live and not self._silent:
            self._ticker = asyncio.create_task(self._tick())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Take the live line away, so that the outcome can be printed; may be called twice."""
        ticker, self._ticker, self._silent = self._ticker, None, True
        if ticker is not None:
            ticker.cancel()
            with suppress(asyncio.CancelledError):
                await ticker
            self._erase()

    def show(self, text: str) -> None:
        """Replace what the line says."""
        if text == self._text or self._silent:
            return
        self._text = text
        if self._live:
            self._draw(0)
        else:
            print(f"merchant-terminal: {text}", file=self._stream, flush=True)

    def keep(self, text: str) -> None:
        """Print a line that stays, above the live one."""
        if self._silent:
            return
        if self._live:
            self._erase()
        print(text, file=self._stream, flush=True)

    async def _tick(self) -> None:
        frame = 0
        while True:
            self._draw(frame)
            frame += 1
            await asyncio.sleep(TICK_SECONDS)

    def _draw(self, frame: int) -> None:
        seconds = int(asyncio.get_running_loop().time() - self._started)
        line = f"{FRAMES[frame % len(FRAMES)]} {self._text} ({seconds} s)"
        room = self._width() - 1
        while columns(line) > room:
            line = line[:-1]
        self._stream.write(f"\r\x1b[K{line}")
        self._stream.flush()

    def _erase(self) -> None:
        self._stream.write("\r\x1b[K")
        self._stream.flush()

    def _width(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        except (OSError, ValueError):
            return 80
