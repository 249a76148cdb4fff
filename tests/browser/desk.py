"""The phone's page in a browser window: what a test does to it, and what must hold wherever it goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect

from handset_client.adapters.web_screen import WebScreen
from handset_client.effects import End, Ending
from handset_client.issuer_frames import PaymentRequest
from handset_client.past_payments import PastPayment
from handset_client.phone_view import PhoneView
from handset_client.preferences import Preferences
from handset_client.wording import Language, page_texts
from protocol.identifiers import PaymentId, mint
from protocol.money import Money, currency

NARROW, WIDE = (360, 740), (1440, 900)
PATIENCE = 5_000
"""Milliseconds for the page to show what it is told; no test waits for time to pass."""

expect.set_options(timeout=PATIENCE)


def payment_id(number: int) -> PaymentId:
    """An id that is the same in every run."""
    return PaymentId(mint("pay", number.to_bytes(16)))


def request_of(
    number: int = 1,
    merchant: str = "田中珈琲店",
    minor: int = 1200,
    code: str = "JPY",
    order: str = "2 coffees",
    within: float = 60.0,
) -> PaymentRequest:
    """What a shop asks for."""
    return PaymentRequest(payment_id(number), merchant, Money(minor, currency(code)), order, within)


class Tab:
    """One page, and what its console said."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def button(self, name: str) -> Locator:
        """A button by what a screen reader calls it."""
        return self.page.get_by_role("button", name=name, exact=True)

    def heading(self, name: str) -> Locator:
        """A heading by its text."""
        return self.page.get_by_role("heading", name=name, exact=True)

    async def sees(self, text: str) -> None:
        """Wait until a text is to be seen."""
        await expect(self.page.get_by_text(text).first).to_be_visible()

    async def check(self) -> None:
        """What must hold on every view: axe finds nothing, nothing is wider than the window, no error."""
        # Half-drawn views have half their contrast.
        await self.page.evaluate(
            "Promise.all(document.getAnimations().filter(a => a.effect.getTiming().iterations === 1)"
            ".map(a => a.finished.catch(() => null)))"
        )
        found = await Axe().run(self.page)
        assert found.violations_count == 0, found.generate_report()
        wider: Any = await self.page.evaluate(
            "[document.documentElement, document.getElementById('screen')]"
            ".map(e => e.scrollWidth - e.clientWidth)"
        )
        assert wider == [0, 0], f"{wider} pixels to scroll sideways"
        taken: Any = await self.page.evaluate(
            "[...document.querySelectorAll('.banners')].filter(e => !e.innerText.trim())"
            ".map(e => e.offsetHeight)"
        )
        assert sum(taken) == 0, f"{taken} pixels above the view for nothing"
        assert self.complaints == []

    async def picture(self, path: Path) -> None:
        """Take a picture with all movement at its end."""
        await self.page.evaluate("document.fonts.ready")
        await self.page.screenshot(path=path, animations="disabled", caret="hide")


class Desk:
    """A phone's screen without a phone behind it: the test says what it is told."""

    def __init__(self, browser: Browser, screen: WebScreen, view: PhoneView) -> None:
        self._browser = browser
        self.screen = screen
        self.view = view

    async def window(
        self, size: tuple[int, int] = WIDE, *, dark: bool = False, reduced: bool = False, **options: Any
    ) -> BrowserContext:
        """A browser of its own: cookies and storage of no other."""
        return await self._browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce" if reduced else "no-preference",
            timezone_id="Asia/Tokyo",
            **options,
        )

    async def tab(self, window: BrowserContext | None = None, link: str | None = None) -> Tab:
        """Open the page by a fresh link, or another address."""
        tab = Tab(await (window or await self.window()).new_page())
        await tab.page.goto(link or self.screen.new_link())
        return tab

    async def answer(self) -> tuple[PaymentId, bool]:
        """What was pressed."""
        async with asyncio.timeout(PATIENCE / 1000):
            answer = await self.screen.next_answer()
        return answer.payment_id, answer.approved


@asynccontextmanager
async def desk(
    browser: Browser,
    preferences: Preferences | None = None,
    history: tuple[PastPayment, ...] = (),
    **options: Any,
) -> AsyncIterator[Desk]:
    """A running page on a free port, in English."""
    view = PhoneView(preferences or Preferences(), Language.ENGLISH, history)
    async with WebScreen(view, port=0, **options) as screen:
        yield Desk(browser, screen, view)


TEXTS = page_texts(Language.ENGLISH)

HISTORY = tuple(
    PastPayment(Ending(request, end, reason, last_four), 1_800_000_000.0 - 5000 * number)
    for number, (request, end, reason, last_four) in enumerate(
        [
            (request_of(91, order="2 coffees"), End.COMPLETED, None, "1111"),
            (request_of(92, "Green Grocer", 1875, "USD", "Vegetables"), End.COMPLETED, None, "1111"),
            (request_of(93, "本屋さん", 3300, order="小説 2 冊"), End.NOT_SETTLED, "wrong_pin", "1111"),
            (request_of(94, "Corner Kiosk", 450, order="Newspaper"), End.UNKNOWN, None, None),
        ]
    )
)
