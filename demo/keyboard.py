"""Standard input for a program that must not wait for it: lines, and single keys without echo."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

if sys.platform != "win32":
    import termios
    import tty

CHUNK: Final = 4096


class Keyboard:
    """Reads file descriptor 0 in a thread, so that a question can be taken back while nobody types.

    Give it to one task at a time. Where the input is no terminal, keys come from what is piped in.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._typed: asyncio.Queue[str | None] = asyncio.Queue()
        self._started = False
        self._ended = False

    @property
    def echoes(self) -> bool:
        """Whether a typed line, its end included, shows by itself."""
        return os.isatty(0)

    async def line(self) -> str | None:
        """The next line without its end; None at the end of the input."""
        text = ""
        while (key := await self.key()) is not None:
            if key in "\r\n":
                return text
            text += key
        return text or None

    async def key(self) -> str | None:
        """The next character; None at the end of the input."""
        if not self._started:
            self._started = True
            # os.read on a daemon thread: unlike sys.stdin it holds no lock when the program ends.
            threading.Thread(target=self._read, name="keyboard", daemon=True).start()
        if self._ended and self._typed.empty():
            return None
        key = await self._typed.get()
        self._ended |= key is None
        return key

    @contextmanager
    def without_echo(self) -> Iterator[None]:
        """Keys arrive one by one and are not shown, as on a keypad; a pipe is as it is."""
        if sys.platform == "win32" or not os.isatty(0):
            yield
            return
        before = termios.tcgetattr(0)
        try:
            tty.setcbreak(0)
            yield
        finally:
            termios.tcsetattr(0, termios.TCSADRAIN, before)

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(0, CHUNK)
            except OSError:
                chunk = b""
            keys: list[str | None] = [*chunk.decode("utf-8", "replace")] or [None]
            try:
                for key in keys:
                    self._loop.call_soon_threadsafe(self._typed.put_nowait, key)
            except RuntimeError:
                return  # the loop is closed: the program ends
            if not chunk:
                return
