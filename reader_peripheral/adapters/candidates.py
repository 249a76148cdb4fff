"""All devices that could be the swiper or the keypad, taken and listened to for `reader-peripheral learn`."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from reader_peripheral.adapters.attached_device import DeviceNode
from reader_peripheral.adapters.input_events import EVENTS_SIZE, InputNode, KeyEvents, listed_devices
from reader_peripheral.adapters.magtek_hid import MAGTEK, HidrawNode, listed_hidraws
from reader_peripheral.input_settings import KeypadKind, SwiperKind
from reader_peripheral.learning import Candidate, LearningError, Listener, Role
from reader_peripheral.remedies import SERVICE, ours

_UP, _DOWN = 0, 1
_CONTROLS: Final = (29, 97)
_KEY_C: Final = 46
_RELEASE_SECONDS: Final = 1.0


class Candidates:
    """Takes every keyboard, also the one of who runs this: a swipe must not be typed into a console."""

    def __init__(self, role: Role, sys: Path = Path("/sys"), dev: Path = Path("/dev")) -> None:
        self._role = role
        self._sys = sys
        self._dev = dev
        self._taken: list[_Taken] = []

    def attach(self, listener: Listener) -> Sequence[Candidate]:
        """Take them; raises LearningError when there are none, or none may be taken."""
        problems: list[OSError] = []
        for listed in listed_devices(self._sys, self._dev):
            if listed.types:
                kind = SwiperKind.KEYBOARD if self._role is Role.SWIPER else KeypadKind.KEYBOARD
                try:
                    node = _take(listed.node)
                except OSError as problem:
                    problems.append(problem)
                    continue
                self._taken.append(_Keyboard(Candidate(listed.identity, kind), node, listener))
        if self._role is Role.SWIPER:
            for path, identity in listed_hidraws(self._sys, self._dev):
                if MAGTEK.matches(identity) and not self._types(identity.port):
                    try:
                        raw = HidrawNode(path)
                    except OSError as problem:
                        problems.append(problem)
                        continue
                    self._taken.append(_Taken(Candidate(identity, SwiperKind.MAGTEK_HID), raw, listener))
        # One that is busy is most likely the one that is looked for: the reader itself has it.
        if not self._taken or any(problem.errno == errno.EBUSY for problem in problems):
            raise LearningError(_none_taken(self._role, problems))
        return [taken.candidate for taken in self._taken]

    def detach(self) -> None:
        """Give them back."""
        for taken in self._taken:
            taken.close()
        self._taken.clear()

    def _types(self, port: str) -> bool:
        """A MagTek reader in keyboard mode has a hidraw node as well."""
        return any(taken.candidate.identity.port == port for taken in self._taken)


class _Taken:
    """One device that is listened to: every read is something heard."""

    def __init__(self, candidate: Candidate, node: DeviceNode, listener: Listener) -> None:
        self.candidate = candidate
        self._node = node
        self._listener = listener
        self._buffer = bytearray(EVENTS_SIZE)
        asyncio.get_running_loop().add_reader(node.fileno(), self._on_readable)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._node.fileno())
        self._node.close()

    def _on_readable(self) -> None:
        try:
            count = self._node.read_into(self._buffer)
        except BlockingIOError:
            return
        except OSError:  # unplugged
            asyncio.get_running_loop().remove_reader(self._node.fileno())
            return
        try:
            with memoryview(self._buffer) as view, view[:count] as read:
                self._on_read(read)
        finally:
            self._buffer[:] = bytes(len(self._buffer))

    def _on_read(self, _read: memoryview) -> None:
        self._hear()

    def _hear(self) -> None:
        self._listener.heard(self.candidate, asyncio.get_running_loop().time())


class _Keyboard(_Taken):
    """One keyboard: presses are heard, and Ctrl-C still stops, though the terminal does not get it."""

    def __init__(self, candidate: Candidate, node: DeviceNode, listener: Listener) -> None:
        super().__init__(candidate, node, listener)
        self._key_events = KeyEvents()
        self._control = False

    def _on_read(self, read: memoryview) -> None:
        for event in self._key_events.keys(read):
            if event is None:
                continue
            code, value = event
            if code in _CONTROLS:
                self._control = value != _UP
            elif value == _DOWN and code == _KEY_C and self._control:
                self._listener.stopped = True
            elif value == _DOWN:
                self._hear()


def _take(path: Path) -> InputNode:
    """Grab it once no key is down: its release would be ours, and the console would believe it held."""
    node = InputNode(path, grab=False)
    try:
        until = time.monotonic() + _RELEASE_SECONDS
        while node.held_keys() and time.monotonic() < until:
            time.sleep(0.02)  # the Enter that started this command
        node.grab()
    except OSError:
        node.close()
        raise
    return node


def _none_taken(role: Role, problems: list[OSError]) -> str:
    codes = {problem.errno for problem in problems}
    if errno.EBUSY in codes:
        return f"A program has grabbed a keyboard. Stop the reader first: sudo systemctl stop {SERVICE}"
    if codes & {errno.EACCES, errno.EPERM}:
        return f"The keyboards may not be read. Run: {ours(f'learn {role}', root=True)}"
    return f"There is no keyboard and no MagTek reader here: plug the {role} in. See: {ours('doctor')}"
