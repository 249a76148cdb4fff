"""A USB numeric keypad at the kernel's boundary: digits on any block, its special keys, lost keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from reader_peripheral.adapters.evdev_keypad import EvdevKeypad
from reader_peripheral.input_settings import KeypadKind, KeypadSettings
from reader_peripheral.ports import Key
from reader_peripheral.session import LONGEST_PIN
from tests.unit.reader_input_fakes import DROPPED, KEYPAD, NUM_LOCK, REPORT, FakePort, key, tap, typed


class Desk:
    """A keypad on a port, and the keys it told."""

    def __init__(self, settings: KeypadSettings) -> None:
        self.port = FakePort()
        self.keypad = EvdevKeypad(settings, self.port.find, 0.01)
        self.keys: asyncio.Queue[Key] = asyncio.Queue()

    async def told(self, count: int) -> list[Key]:
        async with asyncio.timeout(5):
            keys = [await self.keys.get() for _ in range(count)]
        assert not any(self.keypad._device._buffer), "what was read is wiped"
        return keys


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk(KeypadSettings(KeypadKind.KEYBOARD, vendor=1))
    await desk.keypad.open(desk.keys.put_nowait)
    yield desk
    await desk.keypad.close()


async def test_digits_of_both_blocks_whatever_num_lock_says(desk: Desk) -> None:
    numeric = b"".join(tap(NUM_LOCK) + tap(KEYPAD[digit]) + tap(NUM_LOCK) for digit in "1234567890")
    desk.port.send(numeric + typed("1234567890"))
    assert await desk.told(20) == [Key(int(digit)) for digit in "12345678901234567890"]


async def test_a_held_key_is_one_key(desk: Desk) -> None:
    desk.port.send(key(79, 1) + key(79, 2) * 20 + key(79, 0) + tap(96))
    assert await desk.told(2) == [Key.DIGIT_1, Key.ENTER]


@pytest.mark.parametrize(
    ("code", "meaning"),
    [(28, Key.ENTER), (96, Key.ENTER), (14, Key.CLEAR), (83, Key.CLEAR), (1, Key.CANCEL), (74, Key.CANCEL)],
)
async def test_special_keys_of_most_keypads(desk: Desk, code: int, meaning: Key) -> None:
    desk.port.send(tap(code) + tap(30))  # and a letter, which is nothing
    assert await desk.told(1) == [meaning]


async def test_special_keys_can_be_set_and_come_before_digits() -> None:
    desk = Desk(
        KeypadSettings(
            KeypadKind.KEYBOARD, vendor=1, enter=("KEY_KPPLUS",), clear=(), cancel=("KEY_TAB", "55", "82")
        )
    )
    await desk.keypad.open(desk.keys.put_nowait)
    desk.port.send(tap(78) + tap(15) + tap(55) + tap(82) + tap(14) + tap(28) + tap(79))
    assert await desk.told(5) == [Key.ENTER, Key.CANCEL, Key.CANCEL, Key.CANCEL, Key.DIGIT_1]
    await desk.keypad.close()


async def test_after_a_hole_the_pin_is_typed_from_its_start(desk: Desk) -> None:
    desk.port.send(tap(79) + tap(80) + DROPPED + key(81, 1) + REPORT + tap(75))
    keys = await desk.told(2 + LONGEST_PIN + 1)
    assert keys == [Key.DIGIT_1, Key.DIGIT_2, *[Key.CLEAR] * LONGEST_PIN, Key.DIGIT_4]


async def test_unplugged_in_the_middle_of_a_pin_it_is_typed_again_on_the_next_keypad(desk: Desk) -> None:
    desk.port.send(tap(79))
    assert await desk.told(1) == [Key.DIGIT_1]
    desk.port.unplug()
    assert await desk.told(LONGEST_PIN) == [Key.CLEAR] * LONGEST_PIN
    desk.port.plug()
    await asyncio.wait_for(desk.port.taken.wait(), 5)
    desk.port.send(tap(81))
    assert await desk.told(1) == [Key.DIGIT_3]
