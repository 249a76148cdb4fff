"""A matrix keypad on the header's lines, through the kernel's GPIO character device (libgpiod 2).

At rest every row is pulled low and the columns are watched for an edge, so that nothing is polled. While a
key is down, one row after the other is low for the time of a reading. Rows are open drain: two keys of one
column must not join a high output to a low one. Columns have pull-ups of the chip's own.

Each reading takes microseconds, so it is done on the event loop and needs no thread.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import gpiod
from gpiod.line import Bias, Direction, Drive, Edge, Value

from protocol.errors import BlindRelayError
from reader_peripheral.input_settings import KeypadSettings
from reader_peripheral.matrix_keys import Contact, MatrixKeys
from reader_peripheral.ports import Key
from reader_peripheral.remedies import let_use

log = logging.getLogger(__name__)

SCAN_SECONDS: Final = 0.005
RETRY_SECONDS: Final = 1.0
"""After a reading that failed: a line of a failing expander must not keep the loop busy."""
_CONSUMER: Final = "blind-relay keypad"


class KeypadError(BlindRelayError):
    """The keypad's lines cannot be had; the text tells a person what to do."""


class Wires(Protocol):
    """The matrix's lines."""

    def fileno(self) -> int:
        """Readable once a column changes while all rows are low."""

    def rest(self) -> bool:
        """All rows low; forget edges that were seen until now. Gives whether a key is down even so."""

    def scan(self) -> frozenset[Contact]:
        """The contacts that are closed now."""

    def close(self) -> None:
        """Give the lines back."""


class GpioWires:
    """Implements Wires by one request of gpiod's."""

    def __init__(self, chip: str, rows: tuple[int, ...], columns: tuple[int, ...]) -> None:
        """Raises KeypadError."""
        self._rows = rows
        self._columns = columns
        row = gpiod.LineSettings(
            direction=Direction.OUTPUT, drive=Drive.OPEN_DRAIN, output_value=Value.INACTIVE
        )
        column = gpiod.LineSettings(direction=Direction.INPUT, bias=Bias.PULL_UP, edge_detection=Edge.BOTH)
        try:
            self._request = gpiod.request_lines(chip, consumer=_CONSUMER, config={rows: row, columns: column})
        except (OSError, ValueError) as problem:
            raise KeypadError(_remedy(chip, problem)) from None

    def fileno(self) -> int:
        """The request's own descriptor."""
        return self._request.fd

    def rest(self) -> bool:
        """All rows low; the columns are read last, or a key in the wrong moment would have made no edge."""
        self._request.set_values(dict.fromkeys(self._rows, Value.INACTIVE))
        while self._request.wait_edge_events(0):
            self._request.read_edge_events()
        return Value.INACTIVE in self._request.get_values(list(self._columns))

    def scan(self) -> frozenset[Contact]:
        """One row low at a time; a column that is low then is joined to it."""
        closed = set()
        for at, row in enumerate(self._rows):
            self._request.set_values(
                {line: Value.INACTIVE if line == row else Value.ACTIVE for line in self._rows}
            )
            levels = self._request.get_values(list(self._columns))
            closed |= {Contact(at, column) for column, level in enumerate(levels) if level is Value.INACTIVE}
        self._request.set_values(dict.fromkeys(self._rows, Value.INACTIVE))
        return frozenset(closed)

    def close(self) -> None:
        """The kernel makes the lines inputs again."""
        self._request.release()


def _remedy(chip: str, problem: OSError | ValueError) -> str:
    match getattr(problem, "errno", None):
        case errno.ENOENT:
            return f"There is no {chip}. See the chips there are: gpiodetect"
        case errno.EACCES | errno.EPERM:
            return f"{chip} may not be opened. {let_use(Path(chip), 'gpio')}"
        case errno.EBUSY:
            return "Another program or a device tree overlay uses one of the keypad's lines. See: gpioinfo"
        case _:
            return (
                f"The keypad's lines on {chip} cannot be had: row_lines and column_lines must be lines of it."
            )


class GpioKeypad:
    """Implements ports.Keypad. `wires` opens the lines; it raises KeypadError."""

    def __init__(self, settings: KeypadSettings, wires: Callable[[], Wires] | None = None) -> None:
        self._open_wires = wires or (
            lambda: GpioWires(settings.chip, settings.row_lines, settings.column_lines)
        )
        self._layout = settings.printed
        self._matrix = MatrixKeys(self._layout)
        self._wires: Wires | None = None
        self._on_key: Callable[[Key], None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._failing = False

    async def open(self, on_key: Callable[[Key], None]) -> None:
        """Take the lines; raises KeypadError."""
        self._wires = self._open_wires()
        self._on_key = on_key
        self._matrix = MatrixKeys(self._layout)
        self._rest()

    def want_pin(self, wanted: bool) -> None:
        """Keys are told at all times: what they mean is the session's to say."""

    async def close(self) -> None:
        """Give the lines back."""
        self._on_key = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._wires is not None:
            asyncio.get_running_loop().remove_reader(self._wires.fileno())
            self._wires.close()
            self._wires = None

    def _read(self, look: Callable[[], None]) -> None:
        """Look at the wires; what the chip refuses is tried again until it works, and told once."""
        if self._wires is None:
            return
        try:
            look()
        except OSError as problem:
            if not self._failing:
                self._failing = True
                log.error("the keypad cannot be read (%s): trying until it can", problem.strerror)
            # A scan, not a rest: the key that is down must not count again, nor stay down once it is up.
            self._again(RETRY_SECONDS, self._scan)
        else:
            if self._failing:
                self._failing = False
                log.warning("the keypad can be read again")

    def _again(self, seconds: float, look: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._read, look)

    def _rest(self) -> None:
        """Wait for an edge; or go on scanning, if a key is down already."""
        if self._wires is None:
            return
        if self._wires.rest():
            self._again(SCAN_SECONDS, self._scan)
        else:
            self._timer = None
            asyncio.get_running_loop().add_reader(self._wires.fileno(), self._on_edge)

    def _on_edge(self) -> None:
        """A key goes down: from now on the clock drives the scans, whose edges are our own."""
        if self._wires is not None:
            asyncio.get_running_loop().remove_reader(self._wires.fileno())
            self._read(self._scan)

    def _scan(self) -> None:
        if self._wires is None:
            return
        key = self._matrix.scanned(self._wires.scan())
        if self._matrix.at_rest:
            self._rest()
        else:
            self._again(SCAN_SECONDS, self._scan)
        if key is not None and self._on_key is not None:
            self._on_key(key)
