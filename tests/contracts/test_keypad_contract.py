"""What every keypad does, scripted, on USB, on wires or at a terminal: each key once, in order."""

from __future__ import annotations

import asyncio
import os
import pty
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from reader_peripheral.adapters.evdev_keypad import EvdevKeypad
from reader_peripheral.adapters.gpio_keypad import GpioKeypad
from reader_peripheral.adapters.scripted import ScriptedKeypad
from reader_peripheral.adapters.terminal import TerminalInput
from reader_peripheral.input_settings import KeypadKind, KeypadSettings
from reader_peripheral.matrix_keys import STABLE_SCANS
from reader_peripheral.ports import Key, Keypad
from tests.unit.reader_input_fakes import KEYPAD, FakePort, FakeWires, tap

ALL = [*(Key(digit) for digit in (1, 9, 0, 4, 4, 2, 3, 5, 6, 7, 8)), Key.CLEAR, Key.ENTER, Key.CANCEL]


class Bench:
    """A keypad and a finger; `press` returns once the key is up again."""

    def __init__(self, keypad: Keypad, press: Callable[[Key], Awaitable[None]]) -> None:
        self.keypad = keypad
        self.press = press
        self.keys: asyncio.Queue[Key] = asyncio.Queue()

    async def told(self, count: int) -> list[Key]:
        async with asyncio.timeout(10):
            return [await self.keys.get() for _ in range(count)]


@asynccontextmanager
async def scripted() -> AsyncIterator[Bench]:
    keypad = ScriptedKeypad()

    async def press(key: Key) -> None:
        keypad.press(key)

    yield Bench(keypad, press)


@asynccontextmanager
async def terminal() -> AsyncIterator[Bench]:
    ours, theirs = pty.openpty()
    typed = {Key.ENTER: b"\r", Key.CLEAR: b"\x7f", Key.CANCEL: b"\x1b"}

    async def press(key: Key) -> None:
        os.write(ours, typed.get(key) or str(key.value).encode())
        await asyncio.sleep(0.002)  # an Esc and what comes at once after it would be an arrow key

    yield Bench(TerminalInput(theirs), press)
    os.close(ours)
    os.close(theirs)


@asynccontextmanager
async def keyboard() -> AsyncIterator[Bench]:
    port = FakePort()
    codes = {Key.ENTER: 96, Key.CLEAR: 14, Key.CANCEL: 1}

    async def press(key: Key) -> None:
        port.send(tap(codes.get(key) or KEYPAD[str(key.value)]))

    yield Bench(EvdevKeypad(KeypadSettings(KeypadKind.KEYBOARD, vendor=1), port.find), press)


@asynccontextmanager
async def wires() -> AsyncIterator[Bench]:
    lines = FakeWires()
    settings = KeypadSettings(KeypadKind.GPIO, row_lines=(5, 6, 13, 19), column_lines=(12, 16, 20, 21))
    contacts = {key: contact for contact, key in settings.printed.keys.items()}

    async def press(key: Key) -> None:
        scans, rests = lines.scans, lines.rests
        lines.set(contacts[key])
        await lines.wait_for(lambda: lines.scans >= scans + STABLE_SCANS)
        lines.set()
        await lines.wait_for(lambda: lines.rests > rests)

    yield Bench(GpioKeypad(settings, lambda: lines), press)


BENCHES = {bench.__name__: bench for bench in (scripted, terminal, keyboard, wires)}


@pytest.fixture(params=sorted(BENCHES))
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    async with BENCHES[request.param]() as bench:
        yield bench
        await bench.keypad.close()


async def test_every_key_is_told_once_and_in_order(bench: Bench) -> None:
    await bench.keypad.open(bench.keys.put_nowait)
    bench.keypad.want_pin(True)
    for key in ALL:
        await bench.press(key)
    assert await bench.told(len(ALL)) == ALL
    assert bench.keys.empty()


async def test_keys_are_told_whether_a_pin_is_wanted_or_not(bench: Bench) -> None:
    await bench.keypad.open(bench.keys.put_nowait)
    await bench.press(Key.CANCEL)
    bench.keypad.want_pin(True)
    await bench.press(Key.DIGIT_7)
    bench.keypad.want_pin(False)
    await bench.press(Key.ENTER)
    assert await bench.told(3) == [Key.CANCEL, Key.DIGIT_7, Key.ENTER]


async def test_after_closing_nobody_is_told(bench: Bench) -> None:
    await bench.keypad.open(bench.keys.put_nowait)
    await bench.keypad.close()
    await bench.press(Key.DIGIT_1)
    await asyncio.sleep(0.02)
    assert bench.keys.empty()


def test_no_key_shows_its_digit() -> None:
    assert {f"{key!r}{key}" for key in Key} == {"<Key><Key>"}
