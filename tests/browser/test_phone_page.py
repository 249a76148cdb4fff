"""The phone's page in Chromium: each view, and a payment from the request to the receipt."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, Locator, expect

from handset_client.effects import End, Ending, HowDeclined, Notice, NoticeKind, Progress, Step, WhyAway
from handset_client.past_payments import PastPayment
from handset_client.preferences import Preferences
from handset_client.texts import english, japanese
from handset_client.wording import Language, ending_text, notice_text, reason_text, step_text
from protocol.identifiers import parse_reader_id
from protocol.messages import NotSettled
from tests.browser.desk import HISTORY, NARROW, TEXTS, WIDE, Desk, desk, request_of

REQUEST = request_of()
P1 = REQUEST.payment_id
READER = "0a1b-2c3d-4e5f-6071"
SIZES = pytest.mark.parametrize("size", [NARROW, WIDE], ids=["360", "1440"])


def ask(place: Desk, seconds: float = 60, reader: Step = Step.READER_READY) -> None:
    """A shop asks, and the reader is there."""
    place.screen.ask(REQUEST, seconds)
    place.screen.tell(Progress(P1, Step.LOOKING_FOR_READER))
    place.screen.tell(Progress(P1, reader))


# Views


@SIZES
@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_every_view_is_sound(
    browser: Browser, size: tuple[int, int], language: Language, dark: bool
) -> None:
    """axe has nothing to say, nothing scrolls sideways, the console is silent; texts in one language."""
    texts = {Language.ENGLISH: english, Language.JAPANESE: japanese}[language]
    page_texts, steps = texts.PAGE, texts.STEPS
    settings = Preferences(language, readers=(parse_reader_id(READER),))
    async with desk(browser, settings, HISTORY) as place:
        tab = await place.tab(await place.window(size, dark=dark, reduced=True))
        place.screen.tell(Notice(NoticeKind.ISSUER_CONNECTED, "+81 90 1234 5678"))
        await tab.sees("+81 90 1234 5678")
        await tab.check()
        await tab.button(page_texts["settings"]).click()
        await expect(tab.heading(page_texts["settings"])).to_be_visible()
        await tab.check()
        ask(place)
        await tab.sees(steps[Step.READER_READY])
        await expect(tab.button(page_texts["approve"])).to_be_enabled()
        await tab.check()
        for step in (
            Step.APPROVED_LOOKING_FOR_READER,
            Step.WAITING_FOR_ISSUER,
            Step.SWIPE_NOW,
            Step.CARD_SENT,
            Step.ENTER_PIN,
            Step.PIN_SENT,
            Step.ASKING_FOR_OUTCOME,
        ):
            place.screen.tell(Progress(P1, step))
            await tab.sees(steps[step])
            await tab.check()
        place.screen.tell(Notice(NoticeKind.HISTORY_FAILED, "No space left on device"))
        for ending in (
            Ending(REQUEST, End.COMPLETED, None, "1111"),
            Ending(REQUEST, End.NOT_SETTLED, NotSettled.INSUFFICIENT_FUNDS, "1111"),
            Ending(REQUEST, End.UNKNOWN),
            Ending(REQUEST, End.SEE_READER),
        ):
            place.screen.ask(REQUEST, 30)
            place.screen.finish(ending)
            await tab.sees(ending_text(ending, language)[1] if ending.end is not End.COMPLETED else "1111")
            await tab.check()
            await tab.button(page_texts["done"]).click()
            await expect(tab.heading(page_texts["home"])).to_be_visible()


@SIZES
async def test_the_longest_words_and_largest_sums_fit(browser: Browser, size: tuple[int, int]) -> None:
    long = request_of(2, "W" * 40, 999_999_999_999, "USD", "m" * 80)
    past = PastPayment(Ending(long, End.NOT_SETTLED, "reader_not_cardholders", "1111"), 1_800_000_000.0)
    async with desk(browser, history=(past,)) as place:
        tab = await place.tab(await place.window(size))
        await tab.sees("W" * 40)
        await tab.check()
        place.screen.ask(long, 30)
        await tab.sees("9,999,999,999.99")
        place.screen.tell(Notice(NoticeKind.OTHER_READER, "x" * 120))
        await tab.sees("x" * 120)
        await expect(tab.button("Approve")).to_be_enabled()
        await tab.check()
        place.screen.tell(Progress(long.payment_id, Step.SWIPE_NOW))
        place.screen.tell(Notice(NoticeKind.OTHER_READER, "y" * 120))
        await expect(tab.page.get_by_text("y" * 120).locator("visible=true").first).to_be_visible()
        await tab.check()
        place.screen.finish(past.ending)
        await tab.sees(ending_text(past.ending)[1])
        await tab.check()


async def test_every_failure_says_what_to_do(browser: Browser) -> None:
    async with desk(browser) as place:
        tab = await place.tab(await place.window(NARROW, reduced=True))
        for number, reason in enumerate([*NotSettled, *HowDeclined, "something_new"]):
            for language in Language:
                place.view.preferences = Preferences(language)
                request = request_of(100 + number)
                place.screen.ask(request, 30)
                place.screen.finish(Ending(request, End.NOT_SETTLED, reason, None))
                why, next_step = reason_text(reason, language)
                await expect(tab.page.locator(".advice")).to_contain_text(next_step)
                await expect(tab.page.locator(".why")).to_contain_text(why[1:])


# Answering


async def test_approve_by_hand(browser: Browser) -> None:
    async with desk(browser) as place:
        tab = await place.tab()
        ask(place)
        await tab.button("Approve").click()
        assert await place.answer() == (P1, True)
        await tab.sees(TEXTS["answering"])
        await expect(tab.button("Approve")).to_be_disabled()
        await expect(tab.button("Decline")).to_be_disabled()


async def test_decline_by_hand(browser: Browser) -> None:
    async with desk(browser) as place:
        tab = await place.tab()
        ask(place)
        await tab.button("Decline").click()
        assert await place.answer() == (P1, False)


@pytest.mark.parametrize(("key", "approved"), [("a", True), ("A", True), ("d", False), ("Escape", False)])
async def test_answer_by_key(browser: Browser, key: str, approved: bool) -> None:
    async with desk(browser) as place:
        tab = await place.tab()
        ask(place)
        await expect(tab.button("Approve")).to_be_enabled()
        await tab.page.keyboard.press(key)
        assert await place.answer() == (P1, approved)


async def test_tab_and_enter_reach_the_buttons(browser: Browser) -> None:
    async with desk(browser) as place:
        tab = await place.tab()
        await expect(tab.heading("Payments")).to_be_visible()
        ask(place)
        await expect(tab.button("Approve")).to_be_enabled()
        # The keyboard starts at the shop's name; Enter there answers nothing.
        await expect(tab.heading(REQUEST.merchant_name)).to_be_focused()
        await tab.page.keyboard.press("Enter")
        await tab.page.keyboard.press("Tab")
        await expect(tab.button("Decline")).to_be_focused()
        await tab.page.keyboard.press("Tab")
        await expect(tab.button("Approve")).to_be_focused()
        await tab.page.keyboard.press("Enter")
        assert await place.answer() == (P1, True)


async def test_a_key_held_before_the_request_is_no_answer(browser: Browser) -> None:
    """Somebody who types elsewhere on the page when a shop asks must not pay by it."""
    async with desk(browser) as place:
        tab = await place.tab()
        await expect(tab.heading("Payments")).to_be_visible()
        # Keys in the same moment that the request is drawn, from inside the page: no race with the driver.
        await tab.page.evaluate(
            """() => new MutationObserver((_, watch) => {
                if (!document.querySelector('.request')) return;
                watch.disconnect();
                for (const key of ['a', 'd', 'Escape'])
                    document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
                for (const button of document.querySelectorAll('.request button')) button.click();
                document.body.dataset.typed = 'yes';
            }).observe(document.getElementById('screen'), { childList: true, subtree: true })"""
        )
        ask(place)
        await expect(tab.page.locator("body[data-typed=yes]")).to_be_attached()
        await expect(tab.button("Approve")).to_be_enabled()
        assert place.screen._answers.empty()
        for key in ("Control+a", "Alt+a", "Shift+Tab"):
            await tab.page.keyboard.press(key)
        await tab.button("Decline").click()
        assert await place.answer() == (P1, False)


async def test_the_countdown_runs_and_warns(browser: Browser) -> None:
    async with desk(browser) as place:
        tab = await place.tab()
        await tab.page.clock.install()
        await expect(tab.heading("Payments")).to_be_visible()
        ask(place, seconds=33)
        await tab.sees("33 seconds to answer")
        await tab.page.clock.run_for(3_000)
        await tab.sees("30 seconds to answer")
        await expect(tab.page.locator("#announce")).to_have_text("30 seconds to answer")
        await expect(tab.page.locator(".ring[data-late]")).to_have_count(0)
        await tab.page.clock.run_for(21_500)
        await expect(tab.page.locator(".ring[data-late]")).to_be_attached()
        await expect(tab.page.locator("#announce")).to_have_text(re.compile("^(10|9) seconds"))
        await tab.page.clock.run_for(60_000)
        await tab.sees("0 seconds to answer")


# On the way


async def test_the_progress_line_goes_from_reader_to_receipt(browser: Browser) -> None:
    async with desk(browser) as place:
        tab = await place.tab()
        ask(place, reader=Step.LOOKING_FOR_READER)
        await tab.sees("Connecting to your card reader")
        current = tab.page.locator("[aria-current=step]")
        for step, heading, stage in (
            (Step.APPROVED_LOOKING_FOR_READER, "Connecting to reader", "Card reader"),
            (Step.WAITING_FOR_ISSUER, "Asking your bank", "Your bank"),
            (Step.SWIPE_NOW, "Swipe your card", "Swipe your card on the reader"),
            (Step.CARD_SENT, "Card sent", "Enter your PIN on the reader"),
            (Step.ENTER_PIN, "Enter your PIN", "Enter your PIN on the reader"),
            (Step.PIN_SENT, "Almost done", "Receipt"),
        ):
            place.screen.tell(Progress(P1, step))
            await expect(tab.heading(heading)).to_be_visible()
            await expect(current).to_contain_text(stage)
            await expect(tab.page.locator("#announce")).to_contain_text(step_text(step))
        await expect(tab.page.locator(".steps .is-done")).to_have_count(4)
        await tab.sees(TEXTS["too_late"])
        await expect(tab.button("Call off")).to_be_hidden()
        place.screen.finish(Ending(REQUEST, End.COMPLETED, None, "1111"))
        await expect(tab.heading("Paid")).to_be_focused()
        await tab.sees("ending 1111")
        assert tab.complaints == []


@pytest.mark.parametrize("by", ["click", "d"])
async def test_an_approved_payment_is_called_off(browser: Browser, by: str) -> None:
    async with desk(browser) as place:
        tab = await place.tab()
        ask(place)
        place.screen.tell(Progress(P1, Step.SWIPE_NOW))
        await expect(tab.heading("Swipe your card")).to_be_visible()
        await (tab.button("Call off").click() if by == "click" else tab.page.keyboard.press(by))
        assert await place.answer() == (P1, False)
        place.screen.tell(Progress(P1, Step.CALLED_OFF))
        await tab.sees(step_text(Step.CALLED_OFF))
        await expect(tab.page.locator(".steps .is-stopped")).to_have_count(1)
        place.screen.finish(Ending(REQUEST, End.NOT_SETTLED, "declined"))
        await expect(tab.heading("Not paid")).to_be_visible()


@pytest.mark.parametrize("key", ["Enter", "Escape"])
async def test_a_receipt_is_closed_by_key(browser: Browser, key: str) -> None:
    async with desk(browser) as place:
        tab = await place.tab()
        place.screen.ask(REQUEST, 30)
        place.screen.finish(Ending(REQUEST, End.COMPLETED, None, "1111"))
        await expect(tab.heading("Paid")).to_be_visible()
        await tab.page.keyboard.press(key)
        await expect(tab.heading("Payments")).to_be_focused()
        await expect(tab.page.get_by_role("listitem").filter(has_text="JPY 1,200")).to_be_visible()


@pytest.mark.parametrize(
    "notice",
    [
        Notice(NoticeKind.READER_NOT_FOUND),
        Notice(NoticeKind.READER_ABSENT, READER),
        Notice(NoticeKind.READER_CONNECTION_LOST),
        Notice(NoticeKind.READER_BUSY),
        Notice(NoticeKind.READER_FAILED, "timeout"),
        Notice(NoticeKind.OTHER_READER, READER),
        Notice(NoticeKind.READER_TOO_NEW, READER),
        Notice(NoticeKind.BLUETOOTH_OFF, "no adapter"),
        Notice(NoticeKind.BLUETOOTH_DENIED),
        Notice(NoticeKind.BLUETOOTH_FAILED, "no bus"),
    ],
    ids=lambda notice: notice.kind.name.lower(),
)
async def test_trouble_with_the_reader_is_said_where_it_matters(browser: Browser, notice: Notice) -> None:
    async with desk(browser) as place:
        tab = await place.tab()
        ask(place, reader=Step.LOOKING_FOR_READER)
        place.screen.tell(notice)
        await tab.sees(notice_text(notice))
        place.screen.tell(Progress(P1, Step.SWIPE_NOW))
        await expect(tab.page.get_by_text(notice_text(notice))).to_be_hidden()
        place.screen.tell(notice)
        await expect(tab.page.locator(".banner").get_by_text(notice_text(notice))).to_be_visible()
        await expect(tab.page.locator("#announce")).to_have_text(notice_text(notice))
        place.screen.tell(Notice(NoticeKind.READER_RESUMED))
        await expect(tab.page.locator(".banner:visible")).to_have_count(0)


async def test_the_bank_goes_and_comes(browser: Browser) -> None:
    async with desk(browser) as place:
        tab = await place.tab()
        await tab.sees(TEXTS["bank_connecting"])
        away = Notice(NoticeKind.ISSUER_AWAY, WhyAway.REFUSED)
        place.screen.tell(away)
        await tab.sees(notice_text(away))
        place.screen.tell(Notice(NoticeKind.ISSUER_CONNECTED, "+81 90 1234 5678"))
        await tab.sees(TEXTS["bank_connected"])
        await tab.check()


async def test_a_waiting_payment_is_said_and_comes_up(browser: Browser) -> None:
    async with desk(browser) as place:
        tab = await place.tab()
        ask(place)
        place.screen.tell(Notice(NoticeKind.PAYMENT_WAITING, "Green Grocer"))
        await expect(tab.page.locator(".snack")).to_contain_text("Green Grocer")
        await tab.button("Dismiss").click()
        await expect(tab.page.locator(".snack")).to_be_hidden()
        withdrawn = Ending(request_of(2, "Green Grocer"), End.NOT_SETTLED, "cancelled_by_merchant")
        place.screen.finish(withdrawn)
        await expect(tab.page.locator(".snack")).to_contain_text("the shop cancelled it")
        await expect(tab.heading(REQUEST.merchant_name)).to_be_visible()
        assert tab.complaints == []


@SIZES
async def test_a_passing_word_lies_on_no_button(browser: Browser, size: tuple[int, int]) -> None:
    async with desk(browser) as place:
        tab = await place.tab(await place.window(size, reduced=True))
        ask(place)
        await expect(tab.button("Approve")).to_be_enabled()
        place.screen.tell(Notice(NoticeKind.PAYMENT_WAITING, "Green Grocer " * 3))
        snack = tab.page.locator(".snack")
        await expect(snack).to_contain_text("Green Grocer")
        for name in ("Decline", "Approve"):
            await expect(tab.button(name)).to_be_in_viewport(ratio=1)
            assert not await _touch(snack, tab.button(name))
        await tab.check()
        await tab.button("Approve").click()
        assert await place.answer() == (P1, True)
        place.screen.finish(Ending(REQUEST, End.COMPLETED, None, "1111"))
        place.screen.tell(Notice(NoticeKind.OUTCOME_DELIVERED))
        await expect(snack).to_contain_text("has the outcome")
        assert not await _touch(snack, tab.button("Done"))
        await tab.button("Done").click()
        await expect(tab.heading("Payments")).to_be_focused()


async def _touch(one: Locator, other: Locator) -> bool:
    boxes = [await each.bounding_box() for each in (one, other)]
    assert boxes[0]
    assert boxes[1]
    top, bottom = sorted(boxes, key=lambda box: box["y"] if box else 0)
    return bool(top and bottom and top["y"] + top["height"] > bottom["y"])
