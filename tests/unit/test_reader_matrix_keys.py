"""The matrix keypad's logic: bounce, fast typing, ghosts, layouts."""

from __future__ import annotations

import asyncio

import pytest

from protocol.errors import InputError
from reader_peripheral.adapters import gpio_keypad
from reader_peripheral.adapters.gpio_keypad import GpioKeypad, GpioWires, KeypadError
from reader_peripheral.input_settings import KeypadKind, KeypadSettings
from reader_peripheral.matrix_keys import STABLE_SCANS, Contact, Layout, MatrixKeys
from reader_peripheral.ports import Key
from tests.unit.reader_input_fakes import FakeWires

LAYOUT = Layout.read(Layout.usual(4, 4), 4, 4)
ONE, TWO, FIVE = Contact(0, 0), Contact(0, 1), Contact(1, 1)
SETTINGS = KeypadSettings(KeypadKind.GPIO, row_lines=(5, 6, 13, 19), column_lines=(12, 16, 20, 21))


def pressed(*scans: set[Contact]) -> list[Key]:
    """The keys that a run of scans makes; each is seen as often as it takes to be stable."""
    matrix = MatrixKeys(LAYOUT)
    keys = [matrix.scanned(frozenset(scan)) for scan in scans for _ in range(STABLE_SCANS)]
    return [key for key in keys if key is not None]


def test_a_key_counts_once_however_long_it_is_held() -> None:
    assert pressed({ONE}, {ONE}, {ONE}, set(), {ONE}) == [Key.DIGIT_1, Key.DIGIT_1]


def test_a_bouncing_contact_is_one_press() -> None:
    matrix = MatrixKeys(LAYOUT)
    scans = [{ONE}, set(), {ONE}, set(), {ONE}, {ONE}, {ONE}, {ONE}, set(), {ONE}, set(), set(), set(), set()]
    keys = [matrix.scanned(frozenset(scan)) for scan in scans]
    assert [key for key in keys if key] == [Key.DIGIT_1]
    assert matrix.at_rest


def test_the_next_key_may_come_before_the_last_is_up() -> None:
    assert pressed({ONE}, {ONE, TWO}, {TWO}, set()) == [Key.DIGIT_1, Key.DIGIT_2]


def test_three_keys_and_the_ghost_of_a_fourth_make_nothing() -> None:
    ghost = Contact(1, 0)
    assert pressed({ONE}, {ONE, TWO}, {ONE, TWO, FIVE, ghost}, {ONE}, set()) == [Key.DIGIT_1, Key.DIGIT_2]


def test_two_keys_in_the_same_moment_have_no_order_and_make_nothing() -> None:
    assert pressed({ONE, TWO}, set()) == []


def test_a_key_without_a_meaning_is_no_key() -> None:
    assert pressed({Contact(2, 3)}) == []


@pytest.mark.parametrize("size", [(4, 3), (4, 4), (5, 3)])
def test_usual_layouts_have_what_a_pin_needs(size: tuple[int, int]) -> None:
    assert Key.CANCEL in Layout.read(Layout.usual(*size), *size).keys.values()


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("1 2 3", "4 5 6", "7 8 9"),
        ("1 2 3", "4 5 6", "7 8 9", "clear 0 enter"),
        ("1 2 3", "4 5 6", "7 8 8", "cancel 0 enter"),
        ("1 2 3", "4 5 6", "7 8 9", "cancel 0 ente"),
        ("1 2", "4 5 6", "7 8 9", "cancel 0 enter"),
    ],
    ids=["none", "too_few", "no_cancel", "twice", "mistyped", "short_row"],
)
def test_layouts_that_cannot_be_typed_on_are_refused(lines: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="layout"):
        Layout.read(lines, 4, 3)


async def test_nothing_is_scanned_while_no_key_is_down() -> None:
    wires = FakeWires()
    keypad = GpioKeypad(SETTINGS, lambda: wires)
    keys: asyncio.Queue[Key] = asyncio.Queue()
    await keypad.open(keys.put_nowait)
    await asyncio.sleep(0.03)
    assert wires.scans == 0
    wires.set(ONE)
    assert await asyncio.wait_for(keys.get(), 5) is Key.DIGIT_1
    wires.set()
    await wires.wait_for(lambda: wires.rests == 2)
    scans = wires.scans
    await asyncio.sleep(0.03)
    assert wires.scans == scans
    await keypad.close()
    assert wires.closed


async def test_a_key_that_is_down_from_the_start_is_seen() -> None:
    wires = FakeWires()
    wires.down = {FIVE}
    keypad = GpioKeypad(SETTINGS, lambda: wires)
    keys: asyncio.Queue[Key] = asyncio.Queue()
    await keypad.open(keys.put_nowait)
    assert await asyncio.wait_for(keys.get(), 5) is Key.DIGIT_5
    await keypad.close()


async def test_closing_while_a_key_is_told_ends_the_scans() -> None:
    wires = FakeWires()
    keypad = GpioKeypad(SETTINGS, lambda: wires)
    closing: list[asyncio.Task[None]] = []
    await keypad.open(lambda key: closing.append(asyncio.ensure_future(keypad.close())))
    wires.set(ONE)
    await wires.wait_for(lambda: wires.closed)
    await asyncio.gather(*closing)
    scans = wires.scans
    await asyncio.sleep(0.02)
    assert wires.scans == scans


def test_a_chip_that_is_not_there_is_said_with_its_remedy() -> None:
    with pytest.raises(KeypadError, match="gpiodetect"):
        GpioWires("/dev/gpiochip-none", (1,), (2,))


@pytest.mark.parametrize(("number", "word"), [(13, "usermod -aG gpio "), (16, "gpioinfo"), (22, "row_lines")])
def test_other_errors_of_the_chip_are_said_too(number: int, word: str) -> None:
    assert word in gpio_keypad._remedy("/dev/gpiochip0", OSError(number, "x"))
