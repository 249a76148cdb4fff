"""A device that comes and goes: found, read while it is there, waited for when it is unplugged."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from reader_peripheral.remedies import join_group, let_use

log = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS: Final = 0.5
"""How often a missing device is looked for: a listing of a few names in sysfs."""
_EXCUSED_LOOKS: Final = 3
"""After plugging in, udev takes a moment to let us open the node: no reason to tell anybody."""


class DeviceNode(Protocol):
    """An open device."""

    def fileno(self) -> int:
        """What the event loop watches."""

    def read_into(self, buffer: bytearray) -> int:
        """Read what is there; raises BlockingIOError, or OSError when the device is gone."""

    def close(self) -> None:
        """Give it back."""


class AttachedDevice:
    """Keeps one device open from `start` to `stop`, over unplugging and plugging in.

    `find` opens the device, gives None while it is not there, raises OSError when it is there and cannot be
    had. `on_read` gets each read; the one buffer behind it is wiped after that. `on_gone` is told when the
    device was unplugged. `what` names it in the log: swiper, keypad.
    """

    def __init__(
        self,
        what: str,
        find: Callable[[], DeviceNode | None],
        on_read: Callable[[memoryview], None],
        on_gone: Callable[[], None],
        buffer_size: int,
        look_again_seconds: float = LOOK_AGAIN_SECONDS,
    ) -> None:
        self._what = what
        self._find = find
        self._on_read = on_read
        self._on_gone = on_gone
        self._look_again_seconds = look_again_seconds
        self._buffer = bytearray(buffer_size)
        self._node: DeviceNode | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._said = ""
        self._excused = 0

    @property
    def present(self) -> bool:
        """Whether the device is open."""
        return self._node is not None

    def start(self) -> None:
        """Take the device, now or as soon as it is there."""
        self._timer = None
        try:
            node = self._find()
        except OSError as problem:
            if self._excused:
                self._excused -= 1
            else:
                self._say(logging.WARNING, _remedy(self._what, problem))
        else:
            if node is not None:
                # Whoever read that it is missing wants to read that it is not.
                self._say(logging.WARNING if self._said else logging.INFO, f"the {self._what} is there")
                self._node = node
                asyncio.get_running_loop().add_reader(node.fileno(), self._on_readable)
                return
            self._say(
                logging.WARNING,
                f"the {self._what} is not plugged in, or reader.toml names another device: waiting for it",
            )
        self._timer = asyncio.get_running_loop().call_later(self._look_again_seconds, self.start)

    def stop(self) -> None:
        """Give it back, or stop waiting."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._let_go()

    def _let_go(self) -> None:
        if self._node is not None:
            asyncio.get_running_loop().remove_reader(self._node.fileno())
            self._node.close()
            self._node = None

    def _on_readable(self) -> None:
        if self._node is None:
            return
        try:
            count = self._node.read_into(self._buffer)
        except BlockingIOError:
            return
        except OSError:  # ENODEV: unplugged
            count = 0
        if count == 0:
            self._let_go()
            self._on_gone()
            self._excused = _EXCUSED_LOOKS
            self.start()
            return
        try:
            with memoryview(self._buffer) as view, view[:count] as read:
                self._on_read(read)
        finally:
            self._buffer[:] = bytes(len(self._buffer))

    def _say(self, level: int, text: str) -> None:
        """Once, however often it is looked for."""
        if text != self._said:
            self._said = text
            log.log(level, "%s", text)


def _remedy(what: str, problem: OSError) -> str:
    match problem.errno:
        case errno.EACCES | errno.EPERM:
            remedy = let_use(Path(problem.filename), "input") if problem.filename else join_group("input")
            return f"the {what} may not be opened. {remedy}"
        case errno.EBUSY:
            return f"another program has grabbed the {what}: stop it (is a second reader-peripheral running?)"
        case _:
            return f"the {what} cannot be opened: {problem.strerror}"
