"""Input devices at the kernel's boundary: nodes that read as real ones do, ports to plug them into, wires."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections import deque
from collections.abc import Callable

from reader_peripheral.adapters.key_map import US_KEYS
from reader_peripheral.matrix_keys import Contact

EV_SYN, EV_KEY, EV_MSC = 0, 1, 4
LEFT_SHIFT, LEFT_ALT, CAPS_LOCK, NUM_LOCK = 42, 56, 58, 69
KEYPAD = {"7": 71, "8": 72, "9": 73, "4": 75, "5": 76, "6": 77, "1": 79, "2": 80, "3": 81, "0": 82}
CODES = {chr(pair[shifted]): (code, shifted) for code, pair in US_KEYS.items() for shifted in (1, 0)}
# The numeric block and the main block both have digits; readers type on the main one.
CODES |= {chr(pair[0]): (code, 0) for code, pair in US_KEYS.items() if code < 55}
CODES |= {chr(pair[1]): (code, 1) for code, pair in US_KEYS.items() if code < 55 and pair[0] != pair[1]}


def event(kind: int, code: int, value: int) -> bytes:
    """One struct input_event, its time all zeros."""
    return struct.pack("@llHHi", 0, 0, kind, code, value)


REPORT = event(EV_SYN, 0, 0)
DROPPED = event(EV_SYN, 3, 0)


def key(code: int, value: int) -> bytes:
    """A key event as USB keyboards send it: a scan code before, a report after."""
    return event(EV_MSC, 4, 0x70000 + code) + event(EV_KEY, code, value) + REPORT


def tap(code: int) -> bytes:
    """Down and up."""
    return key(code, 1) + key(code, 0)


def typed(text: str) -> bytes:
    """What a reader with the US layout sends for a text; `\\r` is Enter."""
    sent = b""
    for character in text:
        code, shifted = CODES[character]
        shift = (key(LEFT_SHIFT, 1), key(LEFT_SHIFT, 0)) if shifted else (b"", b"")
        sent += shift[0] + tap(code) + shift[1]
    return sent


def typed_by_number(text: str) -> bytes:
    """The same from a reader in Alt-keypad mode."""
    sent = b""
    for character in text:
        digits = b"".join(tap(KEYPAD[digit]) for digit in f"{ord(character):03}")
        sent += key(LEFT_ALT, 1) + digits + key(LEFT_ALT, 0)
    return sent


class FakeNode:
    """Implements attached_device.DeviceNode; reads are kept apart, as real nodes keep them."""

    def __init__(self) -> None:
        self._reads: deque[bytes] = deque()
        self._readable, self._signal = os.pipe()  # holds a byte while there is something to read
        self._gone = False
        self.closed = False

    def send(self, what: bytes, chunk: int) -> None:
        """Let it be read, at most `chunk` bytes at a time."""
        if self.closed:
            return  # nobody has the node open: the kernel throws it away
        if not self._reads:
            os.write(self._signal, b"!")
        self._reads.extend(what[at : at + chunk] for at in range(0, len(what), chunk))

    def unplug(self) -> None:
        """From now on reading it is ENODEV."""
        self._gone = True
        os.write(self._signal, b"!")

    def fileno(self) -> int:
        return self._readable

    def read_into(self, buffer: bytearray) -> int:
        if self._gone:
            raise OSError(errno.ENODEV, "No such device")
        if not self._reads:
            raise BlockingIOError
        read = self._reads.popleft()
        if not self._reads:
            os.read(self._readable, 1)
        buffer[: len(read)] = read
        return len(read)

    def close(self) -> None:
        assert not self.closed, "closed twice"
        self.closed = True
        os.close(self._readable)
        os.close(self._signal)


class FakePort:
    """Where a device is plugged in; `find` is what the adapter asks."""

    def __init__(self, *, plugged: bool = True) -> None:
        self.node: FakeNode | None = FakeNode() if plugged else None
        self.problem: OSError | None = None
        self.problems: list[OSError] = []  # one for each look, before that
        self.looked = 0
        self.taken = asyncio.Event()

    def find(self) -> FakeNode | None:
        self.looked += 1
        if self.problems:
            raise self.problems.pop()
        if self.problem is not None:
            raise self.problem
        if self.node is not None:
            self.taken.set()
        return self.node

    def send(self, what: bytes, chunk: int = 24 * 64) -> None:
        assert self.node is not None
        self.node.send(what, chunk)

    @property
    def all_read(self) -> bool:
        """Whether what was sent has been taken."""
        return self.node is not None and not self.node._reads

    def unplug(self) -> None:
        assert self.node is not None
        node, self.node = self.node, None
        self.taken.clear()
        node.unplug()

    def plug(self) -> None:
        self.node = FakeNode()


class FakeWires:
    """Implements gpio_keypad.Wires: contacts that a test closes and opens."""

    def __init__(self) -> None:
        self.down: set[Contact] = set()
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self.scans = 0
        self.rests = 0
        self.closed = False
        self._moved = asyncio.Event()

    def set(self, *contacts: Contact) -> None:
        """These are closed from now on, and no others."""
        self.down = set(contacts)
        if not self.closed:
            self._theirs.send(b"e")

    async def wait_for(self, ready: Callable[[], bool]) -> None:
        """Until it is so, looked at whenever the keypad does something with its wires."""
        async with asyncio.timeout(5):
            while not ready() and not self.closed:
                self._moved.clear()
                await self._moved.wait()

    def fileno(self) -> int:
        return self._ours.fileno()

    def rest(self) -> bool:
        try:
            self._ours.recv(4096)
        except BlockingIOError:
            pass
        self.rests += not self.down
        self._moved.set()
        return bool(self.down)

    def scan(self) -> frozenset[Contact]:
        self.scans += 1
        self._moved.set()
        return frozenset(self.down)

    def close(self) -> None:
        self.closed = True
        self._ours.close()
        self._theirs.close()
        self._moved.set()
