"""The phone's page in Chromium: what must not be missed while a payment is on show."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Browser, Route, expect

from handset_client.effects import End, Ending, Notice, NoticeKind, Progress, Step, TurnedAway, WhyAway
from handset_client.preferences import Preferences
from handset_client.wording import Language, doubt_text, notice_text
from tests.browser.desk import NARROW, WIDE, desk, request_of

REQUEST, OTHER = request_of(), request_of(2, "Green Grocer", 1875, "USD", "Vegetables")
P1 = REQUEST.payment_id
SIZES = pytest.mark.parametrize("size", [NARROW, WIDE], ids=["360", "1440"])


@SIZES
@pytest.mark.parametrize("language", list(Language))
async def test_doubt_stays_on_the_next_request_until_it_is_put_away(
    browser: Browser, size: tuple[int, int], language: Language, tmp_path: Path
) -> None:
    async with desk(browser, Preferences(language)) as place:
        tab = await place.tab(await place.window(size, reduced=True))
        doubt = Ending(REQUEST, End.UNKNOWN)
        place.screen.ask(REQUEST, 60)
        await expect(tab.heading(REQUEST.merchant_name)).to_be_visible()
        place.screen.finish(doubt)
        place.screen.ask(OTHER, 60)
        await expect(tab.heading(OTHER.merchant_name)).to_be_visible()
        banner = tab.page.locator(".banners .banner").filter(has_text=doubt_text(doubt, language))
        await expect(banner).to_be_in_viewport(ratio=1)
        await expect(tab.page.locator("#alarm")).to_contain_text(doubt_text(doubt, language))
        await expect(tab.page.locator("#alarm")).to_contain_text("Green Grocer")
        approve = tab.button("Approve" if language is Language.ENGLISH else "承認する")
        await expect(approve).to_be_enabled()
        await expect(approve).to_be_in_viewport(ratio=1)
        await tab.check()
        await tab.picture(tmp_path / "doubt.png")
        place.screen.finish(Ending(OTHER, End.NOT_SETTLED, "declined"))
        await expect(tab.page.locator(".receipt")).to_be_visible()
        await expect(banner).to_be_visible()
        await banner.get_by_role("button").click()
        await expect(banner).to_have_count(0)


@SIZES
async def test_losing_the_bank_is_said_while_a_payment_is_on_show(
    browser: Browser, size: tuple[int, int], tmp_path: Path
) -> None:
    async with desk(browser) as place:
        tab = await place.tab(await place.window(size, reduced=True))
        away, again = Notice(NoticeKind.ISSUER_AWAY, WhyAway.REFUSED), Notice(NoticeKind.ISSUER_RETRY, "8")
        banner = tab.page.locator(".banners .banner:visible")
        place.screen.ask(REQUEST, 60)
        await expect(tab.button("Approve")).to_be_enabled()
        place.screen.tell(away)
        await expect(banner).to_have_text(notice_text(away))
        await expect(tab.page.locator("#announce")).to_have_text(notice_text(away))
        await expect(tab.button("Approve")).to_be_in_viewport(ratio=1)
        await tab.check()
        place.screen.tell(Progress(P1, Step.SWIPE_NOW))
        await expect(tab.heading("Swipe your card")).to_be_visible()
        place.screen.tell(again)
        await expect(banner).to_have_text(notice_text(again))
        await tab.picture(tmp_path / "bank.png")
        await tab.check()
        place.screen.tell(Notice(NoticeKind.ISSUER_CONNECTED, "+81 90 1234 5678"))
        await expect(banner).to_have_count(0)


async def test_which_of_several_readers_is_said_in_both_views(browser: Browser) -> None:
    async with desk(browser) as place:
        tab = await place.tab(await place.window(NARROW, reduced=True))
        several = Notice(NoticeKind.SEVERAL_READERS, "0a1b (not 0c1d)")
        line = tab.page.locator(".reader-line:visible")
        place.screen.ask(REQUEST, 60)
        place.screen.tell(Progress(P1, Step.LOOKING_FOR_READER))
        place.screen.tell(several)
        await expect(line).to_have_text(notice_text(several, on_page=True))
        await tab.check()
        place.screen.tell(Progress(P1, Step.APPROVED_LOOKING_FOR_READER))
        await expect(tab.heading("Connecting to reader")).to_be_visible()
        await expect(line).to_have_text(notice_text(several, on_page=True))
        await tab.check()


async def test_why_the_bank_sent_the_phone_away_is_said(browser: Browser) -> None:
    async with desk(browser) as place:
        tab = await place.tab()
        await expect(tab.heading("Payments")).to_be_visible()
        place.screen.tell(Notice(NoticeKind.TURNED_AWAY, TurnedAway.REPLACED))
        await place.screen.close()
        await expect(tab.heading("The phone is switched off")).to_be_visible()
        await tab.sees(notice_text(Notice(NoticeKind.TURNED_AWAY, TurnedAway.REPLACED)))


async def test_no_old_request_comes_back_where_nobody_answers(browser: Browser) -> None:
    async with desk(browser) as place:
        tab = await place.tab()
        place.screen.ask(REQUEST, 60)
        await expect(tab.heading(REQUEST.merchant_name)).to_be_visible()
        await place.screen.close()
        await expect(tab.heading("The phone is switched off")).to_be_visible()
        await tab.button("Connect again").click()
        await expect(tab.page.locator(".banner.offline")).to_be_visible()
        await expect(tab.heading("The phone is switched off")).to_be_visible()
        await expect(tab.heading(REQUEST.merchant_name)).to_have_count(0)


async def test_a_link_whose_exchange_fails_is_tried_again(browser: Browser) -> None:
    async with desk(browser) as place:
        window = await place.window()
        failed: list[str] = []

        async def once(route: Route) -> None:
            if route.request.method == "POST" and not failed:
                failed.append(route.request.url)
                await route.abort()
            else:
                await route.continue_()

        await window.route("**/session", once)
        tab = await place.tab(window)
        await expect(tab.heading("Payments")).to_be_visible()
        assert len(failed) == 1
        assert not [words for words in tab.complaints if "ERR_FAILED" not in words]


@pytest.mark.parametrize("answered", [False, True])
async def test_a_reload_while_the_link_is_exchanged_loses_nothing(browser: Browser, answered: bool) -> None:
    async with desk(browser) as place:
        window = await place.window()
        asked = asyncio.Event()

        async def hold(route: Route) -> None:
            if route.request.method != "POST" or asked.is_set():
                await route.continue_()
                return
            if answered:
                await route.fetch()  # the program has used the link up, and the page does not hear of it
            asked.set()

        await window.route("**/session", hold)
        tab = await place.tab(window)
        async with asyncio.timeout(10):
            await asked.wait()
        await tab.page.reload()
        await expect(tab.heading("Payments")).to_be_visible()
        assert await tab.page.evaluate("sessionStorage.length") == 0
        await tab.check()
