"""What a program said so far, and waiting for what it should say next."""

from __future__ import annotations

import re
import threading
import time

PATIENCE = 20.0
"""Seconds to wait for a line of output. A whole payment takes two; the machine may be busy."""


class ProgramError(AssertionError):
    """A program did not say or do what the test waits for; the text holds all that it said."""


class Transcript:
    """A program's output as it comes. `expect` reads on from the last match, `seen` looks at all."""

    def __init__(self, name: str, patience: float = PATIENCE) -> None:
        self.name = name
        self.patience = patience
        self._output = ""
        self._read_to = 0
        self._ended = False
        self._changed = threading.Condition()

    def hear(self, text: str) -> None:
        """The program said `text`; called by whoever reads its output, in any thread."""
        with self._changed:
            self._output += text
            self._changed.notify_all()

    def hear_the_end(self) -> None:
        """There will be no more."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def output(self) -> str:
        """Everything said so far."""
        with self._changed:
            return self._output

    def expect(self, pattern: str, patience: float | None = None) -> re.Match[str]:
        """Wait until `pattern` (MULTILINE) comes after the last match; fails at once if the program ended."""
        compiled = re.compile(pattern, re.MULTILINE)
        patience = self.patience if patience is None else patience
        until = time.monotonic() + patience
        with self._changed:
            while True:
                found = compiled.search(self._output, self._read_to)
                if found:
                    self._read_to = found.end()
                    return found
                left = until - time.monotonic()
                if self._ended or left <= 0:
                    break
                self._changed.wait(left)
            why = "ended" if self._ended else f"was silent about it for {patience:g} s"
            raise ProgramError(f"{self.name} {why}; awaited {pattern!r} in:\n{self._output[self._read_to :]}")

    def skip(self) -> None:
        """What was said so far answers no later `expect`."""
        with self._changed:
            self._read_to = len(self._output)

    def seen(self, pattern: str) -> bool:
        """Whether `pattern` is anywhere in the output so far."""
        return re.search(pattern, self.output, re.MULTILINE) is not None
