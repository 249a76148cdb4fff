"""The phone's page in Chromium: declining and blocking a shop, in two steps; and doubts that are resolved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from handset_client.effects import End, Ending, HowDeclined, Progress, Step
from handset_client.ports import Answer
from handset_client.preferences import Preferences
from handset_client.texts import english, japanese
from handset_client.wording import Language, ending_text
from tests.browser.desk import HISTORY, NARROW, TEXTS, WIDE, Desk, Tab, desk, request_of

REQUEST = request_of()
P1 = REQUEST.payment_id
BLOCKED = Answer(P1, approved=False, declined=HowDeclined.AND_BLOCKED)
SIZES = pytest.mark.parametrize("size", [NARROW, WIDE], ids=["360", "1440"])


async def asked(place: Desk, tab: Tab) -> None:
    """A shop asks while the page is open, and the buttons are awake."""
    await expect(tab.page.locator("#screen :is(h1, h2)").first).to_be_attached()
    place.screen.ask(REQUEST, 60)
    place.screen.tell(Progress(P1, Step.READER_READY))
    await expect(tab.page.locator(".request .choice button:enabled")).to_have_count(2)


@SIZES
@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_blocking_is_a_step_of_its_own(
    browser: Browser, tmp_path: Path, size: tuple[int, int], language: Language, dark: bool
) -> None:
    texts = {Language.ENGLISH: english, Language.JAPANESE: japanese}[language].PAGE
    async with desk(browser, Preferences(language)) as place:
        tab = await place.tab(await place.window(size, dark=dark, reduced=True))
        await asked(place, tab)
        await tab.button(texts["block"]).click()
        dialog = tab.page.get_by_role("alertdialog", name=texts["block_title"].format(merchant="田中珈琲店"))
        await expect(dialog).to_be_visible()
        await expect(dialog).to_have_accessible_description(texts["block_text"])
        await expect(tab.button(texts["block_confirm"])).to_be_enabled()
        await tab.check()
        await tab.picture(tmp_path / f"block-{size[0]}-{language}-{'dark' if dark else 'light'}.png")
        await tab.button(texts["block_confirm"]).click()
        assert await place.screen.next_answer() == BLOCKED
        await expect(dialog).to_be_hidden()
        ending = Ending(REQUEST, End.NOT_SETTLED, HowDeclined.AND_BLOCKED)
        place.screen.finish(ending)
        await tab.sees(ending_text(ending, language)[1])
        await tab.check()


@pytest.mark.parametrize(
    "size", [(320, 480), (360, 560), NARROW, (1440, 560)], ids=lambda size: f"{size[0]}x{size[1]}"
)
async def test_the_buttons_never_lie_on_what_is_asked_for(browser: Browser, size: tuple[int, int]) -> None:
    long = request_of(2, "The Very Long Name of a Coffee Shop Here", 120_000, "USD", "Two coffees, row 5")
    async with desk(browser) as place:
        tab = await place.tab(await place.window(size, reduced=True))
        place.screen.ask(long, 60)
        amount, approve = tab.page.locator(".request .amount"), tab.button("Approve")
        await expect(approve).to_be_enabled()
        await approve.scroll_into_view_if_needed()
        sum_box, button_box = await amount.bounding_box(), await approve.bounding_box()
        assert sum_box is not None
        assert button_box is not None
        assert sum_box["y"] + sum_box["height"] <= button_box["y"]
        if size[1] < 600:
            place_of_foot: Any = await tab.page.evaluate(
                "getComputedStyle(document.querySelector('.request .foot')).position"
            )
            assert place_of_foot == "static"
        await tab.check()


async def test_blocking_by_keyboard_alone(browser: Browser) -> None:
    async with desk(browser) as place:
        tab = await place.tab()
        await asked(place, tab)
        for wanted in ("decline", "approve", "block"):
            await tab.page.keyboard.press("Tab")
            await expect(tab.button(TEXTS[wanted])).to_be_focused()
        await tab.page.keyboard.press("Enter")
        # The way back is where the keyboard is: Enter once more blocks nobody.
        await expect(tab.button(TEXTS["block_back"])).to_be_focused()
        await tab.page.keyboard.press("Enter")
        await expect(tab.page.get_by_role("alertdialog")).to_be_hidden()
        await expect(tab.button(TEXTS["block"])).to_be_focused()
        await tab.page.keyboard.press("b")
        await expect(tab.button(TEXTS["block_confirm"])).to_be_enabled()
        await tab.page.keyboard.press("Tab")
        await expect(tab.button(TEXTS["block_confirm"])).to_be_focused()
        await tab.page.keyboard.press("Enter")
        assert await place.screen.next_answer() == BLOCKED
        assert tab.complaints == []


async def test_while_it_is_asked_no_other_key_answers(browser: Browser) -> None:
    async with desk(browser) as place:
        tab = await place.tab()
        await asked(place, tab)
        await tab.page.keyboard.press("b")
        await expect(tab.button(TEXTS["block_confirm"])).to_be_enabled()
        for key in ("a", "d", "b"):
            await tab.page.keyboard.press(key)
        await expect(tab.page.get_by_role("alertdialog")).to_be_visible()
        await tab.page.keyboard.press("Escape")
        await expect(tab.page.get_by_role("alertdialog")).to_be_hidden()
        await expect(tab.button("Approve")).to_be_enabled()
        assert place.screen._answers.empty()
        await tab.button("Decline").click()
        assert await place.screen.next_answer() == Answer(P1, approved=False)


async def test_a_double_click_blocks_nobody(browser: Browser) -> None:
    async with desk(browser) as place:
        tab = await place.tab()
        await asked(place, tab)
        # Both clicks from inside the page, so that no slow machine pulls them apart.
        await tab.page.evaluate(
            """() => {
                document.querySelector('.request .quiet').click();
                document.querySelector('.ask .danger').click();
            }"""
        )
        await expect(tab.button(TEXTS["block_confirm"])).to_be_enabled()
        assert place.screen._answers.empty()


async def test_the_question_goes_with_its_request(browser: Browser) -> None:
    async with desk(browser) as place:
        window = await place.window()
        one, two = await place.tab(window), await place.tab(window)
        await asked(place, one)
        await one.page.keyboard.press("b")
        await expect(one.page.get_by_role("alertdialog")).to_be_visible()
        await expect(two.button("Decline")).to_be_enabled()
        await two.button("Decline").click()
        await expect(one.page.get_by_role("alertdialog")).to_be_hidden()
        place.screen.ask(request_of(2, "Green Grocer"), 60)
        await expect(one.heading("Green Grocer")).to_be_visible()
        await expect(one.page.get_by_role("alertdialog")).to_be_hidden()


@SIZES
async def test_a_doubt_is_resolved_on_its_receipt(browser: Browser, size: tuple[int, int]) -> None:
    async with desk(browser) as place:
        tab = await place.tab(await place.window(size))
        place.screen.ask(REQUEST, 60)
        place.screen.finish(Ending(REQUEST, End.UNKNOWN))
        await expect(tab.heading("Not known yet")).to_be_visible()
        paid = Ending(REQUEST, End.COMPLETED, None, "1111")
        place.screen.amend(paid)
        await expect(tab.heading("Paid")).to_be_focused()
        await expect(tab.page.locator("#alarm")).to_contain_text("It is known now. Paid JPY 1,200")
        await tab.check()
        await tab.button("Done").click()
        await expect(tab.page.locator(".past li[data-outcome=completed]")).to_have_count(1)


async def test_a_doubt_of_the_past_is_resolved_in_the_history(browser: Browser) -> None:
    kiosk = HISTORY[-1].ending.request
    async with desk(browser, history=HISTORY) as place:
        tab = await place.tab()
        await expect(tab.page.locator(".past li[data-outcome=unknown]")).to_have_count(1)
        place.screen.amend(Ending(kiosk, End.NOT_SETTLED, "issuer_restarted"))
        await expect(tab.page.locator(".past li[data-outcome=unknown]")).to_have_count(0)
        await expect(tab.page.locator(".snack")).to_contain_text("It is known now. Not paid")
        await expect(tab.page.locator("#alarm")).to_contain_text("system restarted")
        await tab.page.get_by_role("button").filter(has_text="Corner Kiosk").click()
        await expect(tab.heading("Not paid")).to_be_visible()
        await tab.check()


async def test_what_was_learned_while_a_shop_asks_leaves_the_request_alone(browser: Browser) -> None:
    kiosk = HISTORY[-1].ending.request
    async with desk(browser, history=HISTORY) as place:
        tab = await place.tab()
        await asked(place, tab)
        place.screen.amend(Ending(kiosk, End.COMPLETED, None, "1111"))
        await expect(tab.page.locator(".snack")).to_contain_text("It is known now. Paid")
        await expect(tab.button("Approve")).to_be_enabled()
        await tab.check()
