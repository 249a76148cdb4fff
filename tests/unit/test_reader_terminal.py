"""The terminal as swiper, keypad and display: a real pseudo-terminal, pipes and files."""

from __future__ import annotations

import asyncio
import os
import pty
import termios
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from protocol.money import Money, currency
from protocol.track_data import Swipe
from reader_peripheral import screens
from reader_peripheral.adapters.terminal import TerminalInput
from reader_peripheral.ports import Key, SwipeResult
from tests.unit.eventually import eventually

TRACK1 = "%B4000002760003184^SUZUKI/HANAKO^30121010000000000000?"
TRACK2 = ";4000002760003184=30121010000000000000?"
BILL = screens.Bill("Kissaten Ao", Money(1200, currency("JPY")), "2 coffees")


@dataclass
class Desk:
    """A terminal input with somebody who writes down what comes out of it."""

    terminal: TerminalInput
    write_end: int
    keys: list[Key] = field(default_factory=list)
    swipes: list[SwipeResult] = field(default_factory=list)
    happened: asyncio.Event = field(default_factory=asyncio.Event)

    async def open(self) -> None:
        await self.terminal.open(self._on_key)
        await self.terminal.swiper.open(self._on_swipe)

    def _on_key(self, key: Key) -> None:
        self.keys.append(key)
        self.happened.set()

    def _on_swipe(self, swipe: SwipeResult) -> None:
        self.swipes.append(swipe)
        self.happened.set()

    def type(self, text: str) -> None:
        os.write(self.write_end, text.encode())

    async def until(self, keys: int = 0, swipes: int = 0) -> None:
        while len(self.keys) < keys or len(self.swipes) < swipes:
            await asyncio.wait_for(self.happened.wait(), 5)
            self.happened.clear()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    for descriptor in (read, write):
        try:
            os.close(descriptor)
        except OSError:
            pass


@pytest.fixture
async def tty() -> AsyncIterator[Desk]:
    master, slave = pty.openpty()
    desk = Desk(TerminalInput(slave), master)
    await desk.open()
    yield desk
    await desk.terminal.close()
    os.close(master)
    os.close(slave)


def digits(keys: list[Key]) -> str:
    return "".join(str(key.value) for key in keys if isinstance(key.value, int))


async def test_a_terminal_gives_keys_one_by_one_without_echo(tty: Desk) -> None:
    tty.type("47\x7f1\r\x1b")
    await tty.until(keys=6)
    assert tty.keys == [Key.DIGIT_4, Key.DIGIT_7, Key.CLEAR, Key.DIGIT_1, Key.ENTER, Key.CANCEL]
    os.set_blocking(tty.write_end, False)
    with pytest.raises(BlockingIOError):
        os.read(tty.write_end, 100)


async def test_arrow_keys_are_no_cancel(tty: Desk) -> None:
    tty.type("1\x1b[A\x1bOP\x1b[1;5C2")
    await tty.until(keys=2)
    assert digits(tty.keys) == "12"
    assert Key.CANCEL not in tty.keys


async def test_letters_are_no_keys(tty: Desk) -> None:
    tty.type("a%;=?1")
    await tty.until(keys=1)
    assert tty.keys == [Key.DIGIT_1]


async def test_a_swipe_is_taken_when_wanted_and_its_characters_are_no_keys(tty: Desk) -> None:
    tty.terminal.swiper.arm()
    tty.type(TRACK2 + "\r")
    await tty.until(swipes=1)
    assert isinstance(tty.swipes[0], Swipe)
    assert tty.swipes[0].last_four == "3184"
    assert tty.keys == []


async def test_a_swipe_that_is_not_wanted_is_thrown_away(tty: Desk) -> None:
    tty.type(TRACK2 + "\r")
    await tty.until(keys=1)
    tty.terminal.swiper.arm()
    tty.type("\x1b")  # what was typed before it has been read once this is heard
    await eventually(lambda: tty.keys[-1:] == [Key.CANCEL])
    assert tty.swipes == []


async def test_cancel_works_while_a_swipe_is_awaited(tty: Desk) -> None:
    tty.terminal.swiper.arm()
    tty.type("\x1b")
    await tty.until(keys=1)
    assert tty.keys == [Key.CANCEL]


async def test_the_terminal_is_given_back_as_it_was() -> None:
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    desk = Desk(TerminalInput(slave), master)
    await desk.open()
    assert not termios.tcgetattr(slave)[3] & (termios.ECHO | termios.ICANON)
    assert termios.tcgetattr(slave)[3] & termios.ISIG, "Ctrl-C still works"
    await desk.terminal.close()
    assert termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)


async def test_a_terminal_that_goes_away_is_no_busy_loop() -> None:
    master, slave = pty.openpty()
    desk = Desk(TerminalInput(slave), master)
    await desk.open()
    os.close(master)
    await eventually(lambda: desk.terminal._ended)
    desk.terminal._saved = None  # there is nothing to restore any more
    await desk.terminal.close()
    os.close(slave)


async def test_a_pipe_gives_each_line_when_it_is_wanted(pipe: tuple[int, int]) -> None:
    desk = Desk(TerminalInput(pipe[0]), pipe[1])
    await desk.open()
    desk.type(f"{TRACK2}\n4711\n")
    assert not desk.terminal._listening, "nobody wanted anything"
    desk.terminal.swiper.arm()
    await desk.until(swipes=1)
    assert not desk.terminal._listening
    assert desk.keys == []
    desk.terminal.want_pin(True)
    await desk.until(keys=17)
    assert desk.keys[:12] == [Key.CLEAR] * 12, "each line is a whole PIN"
    assert digits(desk.keys) == "4711"
    assert desk.keys[-1] is Key.ENTER
    await desk.terminal.close()


@pytest.mark.parametrize("line", ["cancel", "c", "\x1b"])
@pytest.mark.parametrize("wanted", ["swipe", "pin"])
async def test_a_line_can_cancel(pipe: tuple[int, int], line: str, wanted: str) -> None:
    desk = Desk(TerminalInput(pipe[0]), pipe[1])
    await desk.open()
    if wanted == "swipe":
        desk.terminal.swiper.arm()
    else:
        desk.terminal.want_pin(True)
    desk.type(line + "\n")
    await desk.until(keys=1 if wanted == "swipe" else 13)
    assert desk.keys[-1] is Key.CANCEL
    assert desk.swipes == []
    await desk.terminal.close()


async def test_the_end_of_a_pipe_ends_listening(pipe: tuple[int, int]) -> None:
    desk = Desk(TerminalInput(pipe[0]), pipe[1])
    await desk.open()
    os.close(pipe[1])
    desk.terminal.swiper.arm()
    await eventually(lambda: desk.terminal._ended)
    desk.terminal.want_pin(True)
    await desk.terminal.close()


async def test_a_plain_file_can_be_typed_from(tmp_path: Path) -> None:
    path = tmp_path / "typed"
    path.write_text(f"{TRACK2}\n4711\n", encoding="ascii")
    descriptor = os.open(path, os.O_RDONLY)
    desk = Desk(TerminalInput(descriptor), -1)
    await desk.open()
    desk.terminal.swiper.arm()
    await desk.until(swipes=1)
    desk.terminal.want_pin(True)
    await desk.until(keys=17)
    assert digits(desk.keys) == "4711"
    await desk.terminal.close()
    os.close(descriptor)
