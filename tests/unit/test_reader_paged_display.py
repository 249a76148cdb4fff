"""A slow display has its own thread: the newest screen wins, pages turn, failures are told and mended."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from protocol.money import Money, currency
from reader_peripheral import paged_display, screens
from reader_peripheral.layout import Look, Page, Row
from reader_peripheral.paged_display import DisplayError, PagedDisplay

BILL = screens.Bill("Kissaten Ao", Money(1200, currency("JPY")), "2 coffees")


class Slow:
    """A device that draws when the test lets it, and fails when told."""

    def __init__(self) -> None:
        self.drawn: queue.Queue[str] = queue.Queue()
        self.may_draw = threading.Semaphore(1000)
        self.fails: Exception | None = None
        self.open_fails: Exception | None = None
        self.threads: set[str] = set()
        self.opened = 0
        self.closed = 0

    def open(self) -> None:
        self.threads.add(threading.current_thread().name)
        if self.open_fails:
            raise self.open_fails
        self.opened += 1

    def draw(self, page: Page) -> None:
        self.threads.add(threading.current_thread().name)
        self.may_draw.acquire(timeout=30)
        if self.fails:
            raise self.fails
        self.drawn.put(page.rows[-1].text)

    def close(self) -> None:
        self.closed += 1


def one_page(screen: screens.Screen) -> tuple[Page, ...]:
    return (Page((Row(type(screen).__name__),)),)


def two_pages(screen: screens.Screen) -> tuple[Page, ...]:
    stars = str(screen.stars) if isinstance(screen, screens.EnterPin) else ""
    return tuple(Page((Row(stars, Look.PIN), Row(name)), at, 2) for at, name in ((1, "first"), (2, "second")))


@asynccontextmanager
async def opened(
    device: Slow, pages: Callable[[screens.Screen], tuple[Page, ...]] = one_page, seconds: float = 600
) -> AsyncIterator[PagedDisplay]:
    display = PagedDisplay(device, pages, seconds)
    await display.open()
    try:
        yield display
    finally:
        await display.close()


async def show_until_it_fails(display: PagedDisplay) -> None:
    while True:
        display.show(screens.Offer(BILL))
        await asyncio.sleep(0)


async def drawn(device: Slow) -> str:
    return await asyncio.to_thread(device.drawn.get, timeout=30)


async def test_the_loop_never_waits_and_screens_in_between_are_left_out() -> None:
    device = Slow()
    device.may_draw = threading.Semaphore(0)
    async with opened(device) as display:
        display.show(screens.Idle())
        for _ in range(100):
            display.show(screens.Offer(BILL))
        display.show(screens.Approved(BILL))
        device.may_draw.release(1000)
        seen = [await drawn(device)]
        while seen[-1] != "Approved":
            seen.append(await drawn(device))
    assert len(seen) <= 3, "the one being drawn, perhaps one more, the newest"
    assert threading.current_thread().name not in device.threads
    assert device.closed == 1


async def test_pages_take_turns() -> None:
    device = Slow()
    async with opened(device, two_pages, 0.01) as display:
        display.show(screens.Offer(BILL))
        assert [await drawn(device) for _ in range(4)] == ["first", "second", "first", "second"]


async def test_typing_does_not_turn_back_to_the_first_page() -> None:
    device = Slow()
    device.may_draw = threading.Semaphore(2)
    async with opened(device, two_pages, 0.01) as display:
        display.show(screens.EnterPin(BILL, "1111", 3, 0))
        assert [await drawn(device), await drawn(device)] == ["first", "second"]
        display.show(screens.EnterPin(BILL, "1111", 3, 1))
        device.may_draw.release(1)
        assert await drawn(device) in ("first", "second")


async def test_a_display_that_is_not_there_is_told_at_the_start() -> None:
    device = Slow()
    device.open_fails = DisplayError("There is no display.")
    with pytest.raises(DisplayError, match="no display"):
        await PagedDisplay(device, one_page, 600).open()


async def test_a_failure_is_told_until_the_display_works_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paged_display, "RETRY_SECONDS", 0.01)
    device = Slow()
    async with opened(device) as display:
        display.show(screens.Idle())
        assert await drawn(device) == "Idle"
        device.fails, device.open_fails = OSError("unplugged"), OSError("unplugged")
        with pytest.raises(OSError, match="unplugged"):
            await show_until_it_fails(display)
        device.fails = device.open_fails = None
        assert await drawn(device) == "Offer", "what should be there is drawn as soon as it can be"
        display.show(screens.Approved(BILL))
        assert await drawn(device) == "Approved"
    assert device.opened == 2
