"""A terminal as the reader's swiper, keypad and display, for machines without the hardware.

On a terminal, keys are read one by one without echo: a wedge reader's characters and pasted track text while
a swipe is wanted, digits, Enter, Backspace (Clear) and Esc (Cancel) otherwise. On a pipe or file, lines are
read, each only when it is wanted: the track text, then the PIN; a line `cancel` is the Cancel key.
"""

from __future__ import annotations

import asyncio
import os
import sys
import termios
from collections.abc import Callable
from typing import Any, TextIO

from reader_peripheral import screens
from reader_peripheral.adapters.wedge_swipe import WedgeSwiper
from reader_peripheral.ports import Key
from reader_peripheral.session import LONGEST_PIN
from reader_peripheral.texts import Language, describe

# People paste and type with pauses; a wedge reader's Enter ends a swipe long before.
_IDLE_SECONDS = 3.0
_LONGEST_SECONDS = 300.0
_ESCAPE = 0x1B
_BACKSPACES = (0x08, 0x7F)
_ENTERS = (0x0A, 0x0D)
_FIRST_DIGIT = ord("0")
_CANCEL_LINE = (ord("c"), ord("C"))
_CHUNK = 512


class TerminalSwiper(WedgeSwiper):
    """A wedge swiper that tells the terminal when it wants to be fed."""

    def __init__(self, on_wanted: Callable[[], None]) -> None:
        super().__init__(idle_seconds=_IDLE_SECONDS, longest_seconds=_LONGEST_SECONDS)
        self._on_wanted = on_wanted

    def arm(self) -> None:
        """The next swipe counts."""
        super().arm()
        self._on_wanted()

    def disarm(self) -> None:
        """No swipe is wanted."""
        super().disarm()
        self._on_wanted()

    def finish(self) -> None:
        """The swipe is over: until the next is wanted, lines of a pipe stay in the pipe."""
        super().finish()
        self._on_wanted()


class TerminalInput:
    """One file descriptor, shared by its `swiper` and by itself as ports.Keypad."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._interactive = os.isatty(descriptor)
        self.swiper = TerminalSwiper(self._wanted_changed)
        self._on_key: Callable[[Key], None] | None = None
        self._pin_wanted = False
        self._listening = False
        self._always_readable: asyncio.Handle | None = None
        self._ended = False
        self._saved: list[Any] | None = None
        # Secrets pass through here: one place, overwritten after every read.
        self._chunk = bytearray(_CHUNK if self._interactive else 1)
        self._line_start = True
        self._cancelling_line = False

    async def open(self, on_key: Callable[[Key], None]) -> None:
        """Take the terminal: no echo, no line editing, while signals (Ctrl-C) still work."""
        self._on_key = on_key
        if self._interactive:
            self._saved = termios.tcgetattr(self._descriptor)
            raw = termios.tcgetattr(self._descriptor)
            raw[3] &= ~(termios.ECHO | termios.ICANON)
            raw[6][termios.VMIN], raw[6][termios.VTIME] = 1, 0
            # TCSAFLUSH: what was typed before is nobody's PIN.
            termios.tcsetattr(self._descriptor, termios.TCSAFLUSH, raw)
        self._wanted_changed()

    def want_pin(self, wanted: bool) -> None:
        """Whether digits are asked for."""
        self._pin_wanted = wanted
        self._wanted_changed()

    async def close(self) -> None:
        """Give the terminal back as it was."""
        self._on_key = None
        self._listen(False)
        if self._saved is not None:
            termios.tcsetattr(self._descriptor, termios.TCSAFLUSH, self._saved)
            self._saved = None

    def _wanted_changed(self) -> None:
        """A terminal is always read, what is not wanted thrown away; a pipe keeps its lines until wanted."""
        wanted = self._interactive or self._pin_wanted or self.swiper.armed
        self._listen(wanted and self._on_key is not None and not self._ended)

    def _listen(self, listen: bool) -> None:
        if listen == self._listening:
            return
        self._listening = listen
        loop = asyncio.get_running_loop()
        if not listen:
            if self._always_readable is not None:
                self._always_readable.cancel()
                self._always_readable = None
            else:
                loop.remove_reader(self._descriptor)
            return
        try:
            loop.add_reader(self._descriptor, self._on_readable)
        except (PermissionError, OSError):
            # A plain file or /dev/null cannot be watched, and is always ready.
            self._always_readable = loop.call_soon(self._on_ready_file)

    def _on_ready_file(self) -> None:
        self._on_readable()
        if self._listening:
            self._always_readable = asyncio.get_running_loop().call_soon(self._on_ready_file)

    def _on_readable(self) -> None:
        try:
            count = os.readv(self._descriptor, [self._chunk])
        except BlockingIOError:
            return
        except OSError:  # the terminal is gone
            count = 0
        if count == 0:
            self._ended = True
            self._listen(False)
            return
        try:
            if self._interactive:
                self._on_keys(count)
            else:
                self._on_line_character(self._chunk[0])
        finally:
            self._chunk[:] = bytes(len(self._chunk))

    def _on_keys(self, count: int) -> None:
        at = 0
        while at < count:
            character = self._chunk[at]
            at += 1
            if character == _ESCAPE:
                if at < count and self._chunk[at] in b"[O":
                    # An arrow or function key: ESC [ parameters final, in one piece. A lone Esc is Cancel.
                    at += 1
                    while at < count and not 0x40 <= self._chunk[at] <= 0x7E:
                        at += 1
                    at += 1
                    continue
                self._press(Key.CANCEL)
            elif self.swiper.armed:
                self.swiper.feed(character)
            else:
                self._press(_key(character))

    def _on_line_character(self, character: int) -> None:
        """Lines of a pipe: one character a turn, so that nothing is read before it is wanted."""
        ends = character in _ENTERS
        if self._line_start and self._pin_wanted:
            for _ in range(LONGEST_PIN):  # a line is a whole PIN, not the rest of one that was refused
                self._press(Key.CLEAR)
        if character == _ESCAPE or (self._line_start and character in _CANCEL_LINE):
            self._cancelling_line = True
        self._line_start = ends
        if self._cancelling_line:
            if ends:
                self._cancelling_line = False
                self._press(Key.CANCEL)
        elif self.swiper.armed:
            self.swiper.feed(character)
            if ends:
                self.swiper.finish()
        else:
            self._press(_key(character))

    def _press(self, key: Key | None) -> None:
        if key is not None and self._on_key is not None:
            self._on_key(key)


def _key(character: int) -> Key | None:
    if character in _ENTERS:
        return Key.ENTER
    if character in _BACKSPACES:
        return Key.CLEAR
    digit = character - _FIRST_DIGIT
    return Key(digit) if 0 <= digit <= 9 else None


class TerminalDisplay:
    """Implements ports.Display on a text stream: a block of lines a screen, the PIN's stars in place."""

    def __init__(self, out: TextIO, language: Language) -> None:
        self._out = out
        self._language = language
        self._interactive = out.isatty()
        self._asking: screens.EnterPin | None = None

    async def open(self) -> None:
        """Nothing to take."""

    def show(self, screen: screens.Screen) -> None:
        """Print it."""
        asking, self._asking = self._asking, screen if isinstance(screen, screens.EnterPin) else None
        if isinstance(screen, screens.EnterPin) and asking is not None and asking.bill == screen.bill:
            self._update_pin(screen, asking)
            return
        lines = describe(screen, self._language)
        blank = "\n" if asking is not None and self._interactive else ""
        details = lines.details
        if self._interactive and isinstance(screen, screens.Offer | screens.BadSwipe | screens.EnterPin):
            details += ("取消: Esc" if self._language is Language.JAPANESE else "Cancel: Esc",)
        self._write(f"{blank}\n[ {lines.headline} ]\n" + "".join(f"  {detail}\n" for detail in details))
        if isinstance(screen, screens.EnterPin):
            self._update_pin(screen, None)

    async def close(self) -> None:
        """Leave the cursor at the start of a line."""
        if self._asking is not None and self._interactive:
            self._write("\n")

    def _update_pin(self, screen: screens.EnterPin, before: screens.EnterPin | None) -> None:
        hint = "" if screen.hint is screens.PinHint.NONE else describe(screen, self._language).details[0]
        if self._interactive:
            self._write(f"\r\x1b[K  PIN: {'*' * screen.stars}  {hint}")
        elif hint and (before is None or before.hint is not screen.hint):
            self._write(f"  {hint}\n")

    def _write(self, text: str) -> None:
        try:
            self._out.write(text)
            self._out.flush()
        except (BrokenPipeError, ValueError):
            pass  # nobody looks any more; the link and the clock end the payment


def standard_terminal(language: Language) -> tuple[TerminalInput, TerminalDisplay]:
    """Standard input and output."""
    return TerminalInput(sys.stdin.fileno()), TerminalDisplay(sys.stdout, language)
