"""Payments from the page to the ledger: Chromium, handset, issuer and reader, on virtual radio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from playwright.async_api import Browser, expect

from handset_client.adapters.history_file import HistoryFile
from handset_client.adapters.web_screen import WebScreen
from handset_client.phone_view import PhoneView
from handset_client.preferences import Preferences
from handset_client.wording import Language
from issuer_server.payment import Deadlines
from protocol.identifiers import reader_id_text
from tests.browser.desk import Desk, Tab
from tests.journey.foreign_reader import reader_of_another_issuer
from tests.journey.parties import PRICE, Parties, Times, parties
from tests.journey.person import OWN_BLOCKED_CARD, OWN_CARD, Person, PhoneScreen


@dataclass(slots=True)
class Scene:
    """The parties, the page, and the person's hands at the reader."""

    parties: Parties
    person: Person
    tab: Tab
    screen: WebScreen

    async def swipe(self) -> None:
        """Once the page says so, swipe the card."""
        await expect(self.tab.heading("Swipe your card")).to_be_visible()
        await self.person.swiper.arming.until(lambda what: what == "armed")
        self.person.swiper.swipe(OWN_CARD)

    async def type_pin(self, pin: str = OWN_CARD.pin) -> None:
        """Once the page says so, type the PIN."""
        await expect(self.tab.heading("Enter your PIN")).to_be_visible()
        await self.person.keypad.wanted.until(lambda wanted: wanted)
        self.person.keypad.type(pin)


@asynccontextmanager
async def scene(browser: Browser, folder: Path, times: Times | None = None) -> AsyncIterator[Scene]:
    """Everything running; the person acts only when the test says so, and the phone's face is the page."""
    person = Person(approves=None, card=None, pin=None)
    view = PhoneView(Preferences(), Language.ENGLISH)
    async with WebScreen(view, port=0) as screen:
        person.phone = cast("PhoneScreen", screen)
        async with parties(folder, times, person) as everybody:
            tab = await Desk(browser, screen, view).tab()
            await expect(tab.heading("Payments")).to_be_visible()
            await tab.sees("Connected. Waiting to be called.")
            yield Scene(everybody, person, tab, screen)
            assert tab.complaints == []


async def test_a_payment_from_the_page(browser: Browser, tmp_path: Path) -> None:
    async with scene(browser, tmp_path) as now:
        before = await now.parties.balances()
        payment_id = await now.parties.ask()
        await expect(now.tab.page.get_by_role("heading", level=1)).not_to_have_text("Payments")
        await now.tab.sees("1,200")
        await now.tab.sees("2 coffees")
        await now.tab.button("Approve").click()
        await now.swipe()
        await now.type_pin()
        await expect(now.tab.heading("Paid")).to_be_visible()
        await now.tab.sees(f"ending {OWN_CARD.stripe.split('=')[0][-4:]}")
        payment = await now.parties.outcome(payment_id)
        assert payment.status == "completed"
        after = await now.parties.balances()
        assert (before[0] - after[0], after[1] - before[1]) == (PRICE, PRICE)
        await now.tab.button("Done").click()
        await now.tab.sees("JPY 1,200")
        page = await now.tab.page.content()
        pan = OWN_CARD.stripe.lstrip("%B;").split("^")[0]
        assert pan not in page
        kept = await HistoryFile(tmp_path / "handset").past_payments(5)
        assert [past.payment_id for past in kept] == [payment_id]


async def test_declined_on_the_page(browser: Browser, tmp_path: Path) -> None:
    async with scene(browser, tmp_path) as now:
        payment_id = await now.parties.ask()
        await now.tab.button("Decline").click()
        await expect(now.tab.heading("Not paid")).to_be_visible()
        await now.tab.sees("You declined")
        assert (await now.parties.outcome(payment_id)).reason == "declined"


async def test_called_off_after_approval(browser: Browser, tmp_path: Path) -> None:
    async with scene(browser, tmp_path) as now:
        payment_id = await now.parties.ask()
        await now.tab.button("Approve").click()
        await expect(now.tab.heading("Swipe your card")).to_be_visible()
        await now.tab.page.keyboard.press("d")
        await expect(now.tab.heading("Not paid")).to_be_visible()
        assert (await now.parties.outcome(payment_id)).status == "not_settled"


async def test_a_wrong_pin(browser: Browser, tmp_path: Path) -> None:
    async with scene(browser, tmp_path) as now:
        payment_id = await now.parties.ask()
        await now.tab.button("Approve").click()
        await now.swipe()
        await now.type_pin("0000" if OWN_CARD.pin != "0000" else "0001")
        await expect(now.tab.heading("Not paid")).to_be_visible()
        await now.tab.sees("The PIN was wrong")
        await now.tab.sees("take care with the PIN")
        assert (await now.parties.outcome(payment_id)).reason == "wrong_pin"


async def test_a_blocked_card(browser: Browser, tmp_path: Path) -> None:
    async with scene(browser, tmp_path) as now:
        payment_id = await now.parties.ask()
        await now.tab.button("Approve").click()
        await expect(now.tab.heading("Swipe your card")).to_be_visible()
        await now.person.swiper.arming.until(lambda what: what == "armed")
        now.person.swiper.swipe(OWN_BLOCKED_CARD)
        await expect(now.tab.heading("Not paid")).to_be_visible()
        await now.tab.sees("Call your bank")
        assert (await now.parties.outcome(payment_id)).reason == "blocked_card"


async def test_nobody_answers(browser: Browser, tmp_path: Path) -> None:
    times = Times(issuer=Deadlines(approval=2.0))
    async with scene(browser, tmp_path, times) as now:
        payment_id = await now.parties.ask()
        await expect(now.tab.button("Approve")).to_be_visible()
        payment = await now.parties.outcome(payment_id)
        assert payment.reason in ("no_response", "approval_timeout")
        await expect(now.tab.heading("Not paid")).to_be_visible()


async def test_cancelled_on_the_reader(browser: Browser, tmp_path: Path) -> None:
    async with scene(browser, tmp_path) as now:
        payment_id = await now.parties.ask()
        await now.tab.button("Approve").click()
        await expect(now.tab.heading("Swipe your card")).to_be_visible()
        await now.person.swiper.arming.until(lambda what: what == "armed")
        now.person.keypad.cancel()
        await expect(now.tab.heading("Not paid")).to_be_visible()
        await now.tab.sees("It was cancelled on the card reader")
        assert (await now.parties.outcome(payment_id)).reason == "refused_user_cancelled"


async def test_the_shop_cancels(browser: Browser, tmp_path: Path) -> None:
    async with scene(browser, tmp_path) as now:
        payment_id = await now.parties.ask()
        await expect(now.tab.button("Approve")).to_be_enabled()
        await now.parties.merchant.cancel(payment_id)
        await expect(now.tab.heading("Not paid")).to_be_visible()
        await now.tab.sees("The shop cancelled it")


async def test_the_reader_loses_the_link_and_comes_back(browser: Browser, tmp_path: Path) -> None:
    async with scene(browser, tmp_path) as now:
        payment_id = await now.parties.ask()
        await now.tab.button("Approve").click()
        await expect(now.tab.heading("Swipe your card")).to_be_visible()
        now.parties.ether.cut()
        await now.swipe()
        await now.type_pin()
        await expect(now.tab.heading("Paid")).to_be_visible()
        assert (await now.parties.outcome(payment_id)).status == "completed"


async def test_a_reader_of_another_issuer(browser: Browser, tmp_path: Path) -> None:
    async with scene(browser, tmp_path) as now:
        foreign = await reader_of_another_issuer(now.parties, tmp_path)
        await now.parties.reader.service.stop()
        await foreign.service.start()
        payment_id = await now.parties.ask()
        await now.tab.button("Approve").click()
        await expect(now.tab.heading("Not paid")).to_be_visible()
        await now.tab.sees(f"Your bank does not know this card reader ({reader_id_text(foreign.id)}).")
        await now.tab.sees("Use your own reader (choose it in the settings")
        await now.tab.check()
        assert (await now.parties.outcome(payment_id)).reason == "reader_unknown"
        await foreign.service.stop()


async def test_two_payments_come_one_after_the_other(browser: Browser, tmp_path: Path) -> None:
    async with scene(browser, tmp_path) as now:
        first = await now.parties.ask(order="first")
        await now.tab.sees("first")
        second = await now.parties.ask(order="second")
        await expect(now.tab.page.locator(".snack")).to_contain_text("Another payment is waiting")
        await now.tab.button("Decline").click()
        await now.tab.sees("second")
        await now.tab.button("Approve").click()
        await now.swipe()
        await now.type_pin()
        await expect(now.tab.heading("Paid")).to_be_visible()
        outcomes = await asyncio.gather(now.parties.outcome(first), now.parties.outcome(second))
        assert [payment.status for payment in outcomes] == ["not_settled", "completed"]
