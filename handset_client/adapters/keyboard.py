"""Keys from a terminal one by one, or lines from anything else that is standard input."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from types import TracebackType
from typing import IO, Any, Self

if sys.platform != "win32":
    import termios
    import tty


class Keyboard:
    """Keys as one-letter strings, lower case. At the end of the input :meth:`next_key` raises EOFError.

    On a POSIX terminal each key counts at once (`single_keys`); elsewhere the first letter of a line.
    Use as a context manager: it gives the terminal back as it was.
    """

    def __init__(self, stream: IO[Any]) -> None:
        self._stream = stream
        self.single_keys = sys.platform != "win32" and stream.isatty()
        self._keys: asyncio.Queue[str | None] = asyncio.Queue()
        self._settings: list[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        if sys.platform != "win32" and self.single_keys:
            descriptor = self._stream.fileno()
            self._settings = termios.tcgetattr(descriptor)
            # Not raw: Ctrl-C must go on being a signal.
            tty.setcbreak(descriptor)
            self._loop.add_reader(descriptor, self._read_keys, descriptor)
        else:
            # Regular files and /dev/null cannot be watched by epoll, so a thread reads what is no terminal.
            threading.Thread(target=self._read_lines, name="standard input", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if sys.platform != "win32" and self._settings is not None and self._loop is not None:
            self._loop.remove_reader(self._stream.fileno())
            try:
                termios.tcsetattr(self._stream.fileno(), termios.TCSADRAIN, self._settings)
            except termios.error:
                pass  # the terminal's window was closed: nothing is left to give back
        self._loop = None

    async def next_key(self) -> str:
        """The next key. Raises EOFError when there will be none."""
        key = await self._keys.get()
        if key is None:
            self._keys.put_nowait(None)
            raise EOFError
        return key

    def forget_typed(self) -> None:
        """On a terminal: drop what was typed before there was anything to answer."""
        while self.single_keys and not self._keys.empty():
            key = self._keys.get_nowait()
            if key is None:
                self._keys.put_nowait(None)
                return

    def _read_keys(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, 64)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # the terminal was closed under us
        if not data or data == b"\x04":
            self._end()
            return
        for key in data.decode("ascii", "ignore").lower():
            self._keys.put_nowait(key)

    def _end(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._stream.fileno())
        self._keys.put_nowait(None)

    def _read_lines(self) -> None:
        try:
            for line in self._stream:
                text = line.strip().lower()
                if text and not self._hand_over(str(text[0])):
                    return
        except (OSError, ValueError):
            pass  # closed under us: the same as its end
        self._hand_over(None)

    def _hand_over(self, key: str | None) -> bool:
        loop = self._loop
        if loop is None:
            return False
        try:
            loop.call_soon_threadsafe(self._keys.put_nowait, key)
        except RuntimeError:
            return False  # the loop has closed meanwhile
        return True
