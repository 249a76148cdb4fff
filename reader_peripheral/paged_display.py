"""Shows pages on a slow device from a thread of its own: the newest screen wins, pages take turns.

The reader's event loop hands over a screen and goes on at once: a display on I2C takes tens of milliseconds
to write, and a stalled loop loses a swipe's characters.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Protocol

from protocol.errors import BlindRelayError
from reader_peripheral.layout import Look, Page
from reader_peripheral.screens import Screen

log = logging.getLogger(__name__)

_CLOSING_SECONDS = 2.0
RETRY_SECONDS = 2.0
"""Between two tries to take a device that failed."""


class PageDevice(Protocol):
    """A display that can show one page. All three are called on the display's own thread."""

    def open(self) -> None:
        """Take the device; raises DisplayError with a text for a person."""

    def draw(self, page: Page) -> None:
        """Show it. May raise whatever its library raises."""

    def close(self) -> None:
        """Blank the display and give it back."""


class DisplayError(BlindRelayError):
    """The display cannot be used; the text tells a person what to do."""


class PagedDisplay:
    """Implements ports.Display. `show` raises the device's failure of before: no payment goes on unseen."""

    def __init__(
        self, device: PageDevice, pages_of: Callable[[Screen], tuple[Page, ...]], page_seconds: float
    ) -> None:
        self._device = device
        self._pages_of = pages_of
        self._page_seconds = page_seconds
        self._wake = threading.Condition()
        self._newest: Screen | None = None
        self._stopping = False
        self._failure: Exception | None = None
        self._opened = threading.Event()
        self._thread: threading.Thread | None = None

    async def open(self) -> None:
        """Take the device, on the thread that will use it; raises what its `open` raises."""
        self._thread = threading.Thread(target=self._run, name="display", daemon=True)
        self._thread.start()
        await asyncio.to_thread(self._opened.wait)
        if self._failure is not None:
            raise self._failure

    def show(self, screen: Screen) -> None:
        """From now on this one; raises what stopped the device, once it did."""
        with self._wake:
            if self._failure is not None:
                raise self._failure
            self._newest = screen
            self._wake.notify()

    async def close(self) -> None:
        """Blank the device and end the thread; a device that hangs is left behind."""
        if self._thread is None:
            return
        with self._wake:
            self._stopping = True
            self._wake.notify()
        await asyncio.to_thread(self._thread.join, _CLOSING_SECONDS)
        self._thread = None

    def _run(self) -> None:
        try:
            self._device.open()
        except Exception as problem:  # noqa: BLE001 - told by open()
            self._failure = problem
            return
        finally:
            self._opened.set()
        while not self._stopping:
            try:
                self._turn_pages()
            except Exception as problem:  # noqa: BLE001 - a display's library may raise anything; told by show()
                log.error("the display failed: %s", type(problem).__name__)
                self._fail(problem)
                self._take_again()
        self._let_go()

    def _turn_pages(self) -> None:
        """Until it is stopped, or the device raises."""
        pages: tuple[Page, ...] = ()
        shown: Screen | None = None
        number = 0
        while True:
            with self._wake:
                self._wake.wait_for(
                    partial(self._other_than, shown), self._page_seconds if len(pages) > 1 else None
                )
                if self._stopping:
                    return
                newest = self._newest
            if newest is None:
                continue
            if newest is shown:
                number = (number + 1) % len(pages)
            else:
                before, pages, shown = pages, self._pages_of(newest), newest
                # A digit more or less changes the fixed rows alone: who reads on page two stays there.
                if [_plain(page) for page in before] != [_plain(page) for page in pages]:
                    number = 0
            self._device.draw(pages[number])

    def _other_than(self, shown: Screen | None) -> bool:
        return self._stopping or self._newest is not shown

    def _fail(self, problem: Exception) -> None:
        with self._wake:
            self._failure = problem

    def _take_again(self) -> None:
        """A plug that was touched, a bus that hung: try until it works, saying that nothing can be seen."""
        while not self._stopping:
            self._let_go()
            try:
                self._device.open()
            except Exception:  # noqa: BLE001 - the failure is kept and told by show()
                with self._wake:
                    self._wake.wait_for(lambda: self._stopping, RETRY_SECONDS)
            else:
                with self._wake:
                    self._failure = None
                return

    def _let_go(self) -> None:
        try:
            self._device.close()
        except Exception as problem:  # noqa: BLE001 - it is being given up anyhow
            log.info("the display could not be blanked: %s", type(problem).__name__)


def _plain(page: Page) -> list[str]:
    return [row.text for row in page.rows if row.look is Look.PLAIN]
