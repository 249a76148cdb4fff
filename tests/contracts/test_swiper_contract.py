"""What every swiper does, scripted or on USB: a swipe when one is wanted, and at no other time."""

from __future__ import annotations

import asyncio
import os
import pty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

import pytest

from protocol.track_data import Swipe, TrackFault
from reader_peripheral.adapters import wedge_swipe
from reader_peripheral.adapters.evdev_swipe import EvdevSwiper
from reader_peripheral.adapters.magtek_hid import MagtekSwiper
from reader_peripheral.adapters.scripted import ScriptedSwiper
from reader_peripheral.adapters.terminal import TerminalInput
from reader_peripheral.adapters.wedge_swipe import WedgeSwiper
from reader_peripheral.input_settings import SwiperKind, SwiperSettings
from reader_peripheral.ports import Swiper, SwipeResult
from tests.unit.reader_input_fakes import FakePort, typed
from tests.unit.reader_magtek_reports import report_of

TRACK1 = "%B4000002760003184^SUZUKI/HANAKO^30121010000000000000?"
TRACK2 = ";4000002760003184=30121010000000000000?"
OTHER = ";5105105105105100=30121010000000000000?"
IDLE = 0.03


class Bench(Protocol):
    """A swiper, and a hand with cards."""

    swiper: Swiper
    swipe: Callable[[str], None]


class _Bench:
    def __init__(self, swiper: Swiper, swipe: Callable[[str], None]) -> None:
        self.swiper = swiper
        self.swipe = swipe


@asynccontextmanager
async def wedge() -> AsyncIterator[Bench]:
    swiper = WedgeSwiper(idle_seconds=IDLE)
    yield _Bench(swiper, lambda text: [swiper.feed(code) for code in f"{text}\r".encode()] and None)


@asynccontextmanager
async def scripted() -> AsyncIterator[Bench]:
    swiper = ScriptedSwiper()
    yield _Bench(swiper, swiper.swipe)


@asynccontextmanager
async def terminal() -> AsyncIterator[Bench]:
    ours, theirs = pty.openpty()
    keypad = TerminalInput(theirs)
    await keypad.open(lambda key: None)
    yield _Bench(keypad.swiper, lambda text: os.write(ours, f"{text}\r".encode()) and None)
    await keypad.close()
    os.close(ours)
    os.close(theirs)


@asynccontextmanager
async def keyboard() -> AsyncIterator[Bench]:
    port = FakePort()
    settings = SwiperSettings(SwiperKind.KEYBOARD, vendor=1, idle_seconds=0.05)
    yield _Bench(EvdevSwiper(settings, port.find), lambda text: port.send(typed(f"{text}\r")))


@asynccontextmanager
async def magtek() -> AsyncIterator[Bench]:
    port = FakePort()
    settings = SwiperSettings(SwiperKind.MAGTEK_HID)
    yield _Bench(MagtekSwiper(settings, port.find), lambda text: port.send(report_of(text)))


BENCHES = {bench.__name__: bench for bench in (wedge, scripted, terminal, keyboard, magtek)}


@pytest.fixture(params=sorted(BENCHES))
async def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(wedge_swipe, "SETTLE_SECONDS", 0.01)
    async with BENCHES[request.param]() as bench:
        yield bench
        await bench.swiper.close()


class Till:
    """Takes what a swiper gives, as the service does: disarm, seal, wipe."""

    def __init__(self, swiper: Swiper, *, again: bool = False) -> None:
        self._swiper = swiper
        self._again = again
        self.results: asyncio.Queue[bytes | TrackFault] = asyncio.Queue()

    def take(self, result: SwipeResult) -> None:
        self._swiper.disarm()
        if isinstance(result, Swipe):
            self.results.put_nowait(bytes(result.card_plaintext()))
            result.wipe()
        else:
            self.results.put_nowait(result)
        if self._again:
            self._swiper.arm()

    async def next(self) -> bytes | TrackFault:
        async with asyncio.timeout(10):
            return await self.results.get()


async def test_a_wanted_swipe_is_given_with_both_its_tracks(bench: Bench) -> None:
    till = Till(bench.swiper)
    await bench.swiper.open(till.take)
    bench.swiper.arm()
    bench.swipe(TRACK1 + TRACK2)
    plaintext = await till.next()
    assert isinstance(plaintext, bytes)
    assert TRACK1[1:-1].encode() in plaintext
    assert TRACK2[1:-1].encode() in plaintext


async def test_a_swipe_is_given_once_and_the_next_needs_arming_again(bench: Bench) -> None:
    till = Till(bench.swiper)
    await bench.swiper.open(till.take)
    bench.swiper.arm()
    bench.swiper.arm()
    bench.swipe(TRACK2)
    assert TRACK2[1:-1].encode() in await till.next()  # type: ignore[operator]
    bench.swipe(TRACK2)
    await quiet()
    bench.swiper.arm()
    bench.swipe(OTHER)
    assert OTHER[1:-1].encode() in await till.next()  # type: ignore[operator]
    assert till.results.empty()


async def test_a_swipe_nobody_asked_for_is_thrown_away(bench: Bench) -> None:
    till = Till(bench.swiper)
    await bench.swiper.open(till.take)
    bench.swipe(TRACK2)
    await quiet()
    bench.swiper.arm()
    bench.swiper.disarm()
    bench.swipe(TRACK2)
    await quiet()
    bench.swiper.arm()
    bench.swipe(OTHER)
    assert OTHER[1:-1].encode() in await till.next()  # type: ignore[operator]
    assert till.results.empty()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("%E?;E?", TrackFault.TRACK_ERROR),
        (";4000002760003185=30121010000000000000?", TrackFault.LUHN),
        (";4000002760003184=30131010000000000000?", TrackFault.BAD_MONTH),
        (TRACK1 + OTHER, TrackFault.TRACKS_DISAGREE),
    ],
    ids=["track_error", "luhn", "month", "disagree"],
)
async def test_a_bad_swipe_has_a_name_and_a_good_one_may_follow(
    bench: Bench, text: str, fault: TrackFault
) -> None:
    till = Till(bench.swiper, again=True)
    await bench.swiper.open(till.take)
    bench.swiper.arm()
    bench.swipe(text)
    assert await till.next() is fault
    bench.swipe(TRACK2)
    assert TRACK2[1:-1].encode() in await till.next()  # type: ignore[operator]


async def test_after_closing_nobody_is_told(bench: Bench) -> None:
    till = Till(bench.swiper)
    await bench.swiper.open(till.take)
    bench.swiper.arm()
    await bench.swiper.close()
    bench.swipe(TRACK2)
    await quiet()
    assert till.results.empty()


async def quiet() -> None:
    """Long enough for what was swiped to be read and found over."""
    await asyncio.sleep(0.12)
