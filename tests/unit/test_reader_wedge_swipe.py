"""The swiper for readers that type: one swipe however it is typed, every fault by name, all of it wiped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from protocol.money import Money, currency
from protocol.track_data import Swipe, TrackFault
from reader_peripheral import screens
from reader_peripheral.adapters import wedge_swipe
from reader_peripheral.adapters.wedge_swipe import WedgeSwiper
from reader_peripheral.ports import SwipeResult

TRACK1 = "%B4000002760003184^SUZUKI/HANAKO^30121010000000000000?"
TRACK2 = ";4000002760003184=30121010000000000000?"
BILL = screens.Bill("Kissaten Ao", Money(1200, currency("JPY")), "2 coffees")


class Reel:
    """A wedge swiper and the swipes it gave."""

    def __init__(self, swiper: WedgeSwiper) -> None:
        self.swiper = swiper
        self.results: list[SwipeResult] = []
        self.keep_wanting = False

    def take(self, result: SwipeResult) -> None:
        if isinstance(result, Swipe):
            result.card_plaintext()
        self.results.append(result)
        if self.keep_wanting:
            self.swiper.arm()

    def feed(self, text: str) -> None:
        for character in text.encode():
            self.swiper.feed(character)


@pytest.fixture
async def reel(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Reel]:
    monkeypatch.setattr(wedge_swipe, "SETTLE_SECONDS", 0.01)
    reel = Reel(WedgeSwiper(idle_seconds=0.03))
    await reel.swiper.open(reel.take)
    reel.swiper.arm()
    yield reel
    await reel.swiper.close()


async def settled(reel: Reel, count: int = 1) -> None:
    until = asyncio.get_running_loop().time() + 5
    while len(reel.results) < count:
        assert asyncio.get_running_loop().time() < until
        await asyncio.sleep(0.002)


@pytest.mark.parametrize(
    "typed",
    [
        f"{TRACK2}\r",
        f"{TRACK2}\n",
        f"{TRACK1}{TRACK2}\r",
        f"{TRACK1}\r{TRACK2}\r",
        TRACK2,
        f"\r\r{TRACK2}\r",
    ],
    ids=["enter", "newline", "both_tracks", "enter_after_each", "no_enter", "enters_before"],
)
async def test_one_swipe_however_the_reader_types_it(reel: Reel, typed: str) -> None:
    reel.feed(typed)
    await settled(reel)
    await asyncio.sleep(0.05)
    (swipe,) = reel.results
    assert isinstance(swipe, Swipe)
    assert bytes(reel.swiper._buffer) == bytes(len(reel.swiper._buffer)), "wiped"
    assert not reel.swiper.armed


@pytest.mark.parametrize(
    ("typed", "fault"),
    [
        ("%E?;E?\r", TrackFault.TRACK_ERROR),
        (TRACK2[:-1] + "\r", TrackFault.NO_END_SENTINEL),
        ("9" * 300 + "\r", TrackFault.TOO_LONG),
        (";4000002760003185=30121010000000000000?\r", TrackFault.LUHN),
    ],
    ids=["track_error", "no_end", "too_long", "luhn"],
)
async def test_a_bad_swipe_is_told_by_name_and_wiped(reel: Reel, typed: str, fault: TrackFault) -> None:
    reel.feed(typed)
    await settled(reel)
    assert reel.results == [fault]
    assert bytes(reel.swiper._buffer) == bytes(len(reel.swiper._buffer))


async def test_the_next_swipe_does_not_see_the_last(reel: Reel) -> None:
    reel.keep_wanting = True
    reel.feed("9" * 300)
    reel.swiper.finish()
    reel.feed(TRACK2)
    reel.swiper.finish()
    assert reel.results[0] is TrackFault.TOO_LONG
    assert isinstance(reel.results[1], Swipe)


async def test_disarming_forgets_what_is_half_read(reel: Reel) -> None:
    reel.feed(TRACK2[:20])
    reel.swiper.disarm()
    assert bytes(reel.swiper._buffer) == bytes(len(reel.swiper._buffer))
    reel.swiper.arm()
    reel.feed(TRACK2)
    reel.swiper.finish()
    assert isinstance(reel.results[0], Swipe)


async def test_enter_alone_is_no_swipe(reel: Reel) -> None:
    reel.feed("\r\n\r")
    await asyncio.sleep(0.05)
    assert reel.results == []
    assert reel.swiper.armed
