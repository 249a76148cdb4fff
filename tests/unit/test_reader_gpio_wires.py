"""The keypad's lines as gpiod is asked for them; its own signatures are held to, the chip is played.

Debian's kernel has no GPIO simulator, so that real lines are only on a real header.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Mapping, Sequence
from unittest.mock import create_autospec

import gpiod
import pytest
from gpiod.line import Bias, Direction, Drive, Edge, Value

from reader_peripheral.adapters import gpio_keypad
from reader_peripheral.adapters.gpio_keypad import GpioKeypad, GpioWires
from reader_peripheral.input_settings import KeypadKind, KeypadSettings
from reader_peripheral.matrix_keys import STABLE_SCANS, Contact
from reader_peripheral.ports import Key
from tests.unit.reader_input_fakes import FakeWires

ROWS, COLUMNS = (5, 6, 13, 19), (12, 16, 20)


class Matrix:
    """A 4x3 keypad behind a request of gpiod's: a column is low while a key joins it to a row that is low."""

    def __init__(self) -> None:
        self.down: set[Contact] = set()
        self.edges = 0
        self.config: Mapping[tuple[int, ...], gpiod.LineSettings] = {}
        self._low: set[int] = set()
        self.request = create_autospec(gpiod.LineRequest, instance=True)
        self.request.set_values.side_effect = self._set
        self.request.get_values.side_effect = self._get
        self.request.wait_edge_events.side_effect = lambda timeout: self.edges > 0
        self.request.read_edge_events.side_effect = self._read

    def request_lines(
        self, path: str, consumer: str, config: Mapping[tuple[int, ...], gpiod.LineSettings]
    ) -> gpiod.LineRequest:
        assert path == "/dev/gpiochip0"
        self.config = config
        self._low = set(ROWS)
        return self.request  # type: ignore[no-any-return]

    def _set(self, values: Mapping[int, Value]) -> None:
        before = self._levels()
        for row, value in values.items():
            (self._low.add if value is Value.INACTIVE else self._low.discard)(row)
        self.edges += before != self._levels()

    def _get(self, lines: Sequence[int]) -> list[Value]:
        assert tuple(lines) == COLUMNS
        return self._levels()

    def _levels(self) -> list[Value]:
        joined = {contact.column for contact in self.down if ROWS[contact.row] in self._low}
        return [Value.INACTIVE if column in joined else Value.ACTIVE for column in range(len(COLUMNS))]

    def _read(self) -> list[object]:
        self.edges = 0
        return []


@pytest.fixture
def matrix(monkeypatch: pytest.MonkeyPatch) -> Matrix:
    matrix = Matrix()
    monkeypatch.setattr(gpiod, "request_lines", matrix.request_lines)
    return matrix


def test_rows_are_open_drain_and_low_and_columns_are_pulled_up_and_watched(matrix: Matrix) -> None:
    GpioWires("/dev/gpiochip0", ROWS, COLUMNS)
    row, column = matrix.config[ROWS], matrix.config[COLUMNS]
    assert (row.direction, row.drive, row.output_value) == (
        Direction.OUTPUT,
        Drive.OPEN_DRAIN,
        Value.INACTIVE,
    )
    assert (column.direction, column.bias, column.edge_detection) == (
        Direction.INPUT,
        Bias.PULL_UP,
        Edge.BOTH,
    )


@pytest.mark.parametrize("contact", [Contact(row, column) for row in range(4) for column in range(3)])
def test_a_scan_sees_each_key_where_it_is(matrix: Matrix, contact: Contact) -> None:
    wires = GpioWires("/dev/gpiochip0", ROWS, COLUMNS)
    matrix.down = {contact}
    assert wires.scan() == {contact}
    assert matrix._low == set(ROWS), "after a scan any key makes an edge again"


def test_resting_forgets_the_edges_of_our_own_scans_and_sees_a_key_that_is_down(matrix: Matrix) -> None:
    wires = GpioWires("/dev/gpiochip0", ROWS, COLUMNS)
    matrix.down = {Contact(1, 1)}
    wires.scan()
    assert matrix.edges
    assert wires.rest()
    assert not matrix.edges
    matrix.down.clear()
    assert not wires.rest()
    wires.close()
    matrix.request.release.assert_called_once_with()


class FailingWires(FakeWires):
    """Lines of an expander that does not answer at times."""

    def __init__(self) -> None:
        super().__init__()
        self.failures = 0

    def scan(self) -> frozenset[Contact]:
        if self.failures:
            self.failures -= 1
            self._moved.set()
            raise OSError(errno.EREMOTEIO, "Remote I/O error")
        return super().scan()


async def test_a_reading_that_fails_is_tried_again_told_once_and_counts_no_key_twice(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gpio_keypad, "RETRY_SECONDS", 0.002)
    wires, keys = FailingWires(), list[Key]()
    settings = KeypadSettings(KeypadKind.GPIO, row_lines=(5, 6, 13, 19), column_lines=(12, 16, 20, 21))
    keypad = GpioKeypad(settings, lambda: wires)
    contacts = {key: contact for contact, key in settings.printed.keys.items()}
    await keypad.open(keys.append)
    wires.failures = 3
    wires.set(contacts[Key.DIGIT_5])
    await wires.wait_for(lambda: wires.scans >= STABLE_SCANS)
    await asyncio.sleep(0)
    assert keys == [Key.DIGIT_5]
    wires.failures = 2  # while it is down
    scans = wires.scans
    await wires.wait_for(lambda: wires.scans >= scans + STABLE_SCANS + 1)
    rests, wires.failures = wires.rests, 1  # while it goes up
    wires.set()
    await wires.wait_for(lambda: wires.rests > rests)
    wires.set(contacts[Key.DIGIT_5])
    scans = wires.scans
    await wires.wait_for(lambda: wires.scans >= scans + STABLE_SCANS + 1)
    assert keys == [Key.DIGIT_5] * 2
    told = [record.getMessage() for record in caplog.records]
    assert told[:2] == [
        "the keypad cannot be read (Remote I/O error): trying until it can",
        "the keypad can be read again",
    ]
    assert len(told) == 6, "once for each time"
    await keypad.close()
