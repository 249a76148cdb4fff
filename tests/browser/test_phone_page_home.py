"""The phone's page in Chromium: history, settings, sound, and what it never shows."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, CDPSession, expect

from handset_client.effects import End, Ending, Notice, NoticeKind, Progress, Step
from handset_client.preferences import Preferences, Theme
from handset_client.wording import Language
from protocol.identifiers import parse_reader_id
from tests.browser.desk import HISTORY, NARROW, PATIENCE, TEXTS, WIDE, Desk, Tab, desk, payment_id, request_of

REQUEST = request_of()
P1 = REQUEST.payment_id
READER = "0a1b-2c3d-4e5f-6071"
SIZES = pytest.mark.parametrize("size", [NARROW, WIDE], ids=["360", "1440"])


def ask(place: Desk, seconds: float = 60, reader: Step = Step.READER_READY) -> None:
    """A shop asks, and the reader is there."""
    place.screen.ask(REQUEST, seconds)
    place.screen.tell(Progress(P1, Step.LOOKING_FOR_READER))
    place.screen.tell(Progress(P1, reader))


# Home, history, settings


async def test_the_history_opens_as_receipts(browser: Browser) -> None:
    async with desk(browser, history=HISTORY) as place:
        tab = await place.tab()
        await tab.page.get_by_role("button").filter(has_text="Green Grocer").click()
        await expect(tab.heading("Paid")).to_be_focused()
        await tab.sees("18.75")
        await tab.check()
        await tab.button("Back").click()
        await expect(tab.heading("Payments")).to_be_focused()
        await tab.page.get_by_role("button").filter(has_text="Corner Kiosk").click()
        await tab.sees("Do not pay again")
        await tab.page.keyboard.press("Escape")
        await expect(tab.heading("Payments")).to_be_focused()


async def test_settings_change_the_page_at_once_and_every_tab(browser: Browser) -> None:
    kept: list[Preferences] = []
    settings = Preferences(readers=(parse_reader_id(READER),))
    async with desk(browser, settings, save=kept.append) as place:
        window = await place.window()
        one, two = await place.tab(window), await place.tab(window)
        await one.button("Settings").click()
        await one.page.get_by_text("日本語").click()
        await expect(one.heading("設定")).to_be_visible()
        await expect(two.heading("お支払い")).to_be_visible()
        assert await two.page.evaluate("document.documentElement.lang") == "ja"
        await one.page.get_by_text("ダーク").click()
        await expect(two.page.locator("html[data-theme=dark]")).to_be_attached()
        background: Any = await two.page.evaluate(
            "getComputedStyle(document.querySelector('.phone')).backgroundColor"
        )
        assert background == "rgb(14, 21, 20)"
        await one.page.get_by_text(READER).click()
        await expect(one.page.get_by_role("radio", name=re.compile(READER))).to_be_checked()
        await one.page.keyboard.press("Escape")
        await expect(one.heading("お支払い")).to_be_visible()
        assert kept[-1] == Preferences(
            Language.JAPANESE, Theme.DARK, parse_reader_id(READER), settings.readers
        )
        for tab in (one, two):
            assert tab.complaints == []


async def test_arrow_keys_choose_and_keep_the_focus(browser: Browser) -> None:
    async with desk(browser) as place:
        tab = await place.tab()
        await tab.button("Settings").press("Enter")
        await tab.page.get_by_role("radio", name="English").focus()
        await tab.page.keyboard.press("ArrowRight")
        await expect(tab.heading("設定")).to_be_visible()
        await expect(tab.page.get_by_role("radio", name="日本語")).to_be_focused()
        await expect(tab.page.get_by_role("radio", name="日本語")).to_be_checked()


async def test_sound_and_notification(browser: Browser) -> None:
    async with desk(browser) as place:
        window = await place.window(permissions=["notifications"])
        await window.add_init_script(
            """window.heard = []; window.shown = [];
            const start = OscillatorNode.prototype.start;
            OscillatorNode.prototype.start = function (...at) {
                heard.push(this.frequency.value);
                start.apply(this, at);
            };
            window.Notification = class extends EventTarget {
                static permission = 'granted';
                static requestPermission = async () => 'granted';
                constructor(title, options) { super(); shown.push([title, options.body]); }
            };
            document.hasFocus = () => false;"""
        )
        tab = await place.tab(window)
        await tab.button("Settings").click()
        notify = tab.page.get_by_role("switch", name="Notify on the desktop")
        await notify.click()
        await expect(notify).to_be_checked()
        ask(place)
        await expect(tab.heading(REQUEST.merchant_name)).to_be_visible()
        await tab.page.wait_for_function("heard.length >= 4")
        shown: Any = await tab.page.evaluate("shown")
        assert shown == [["Payment request", "田中珈琲店 asks for JPY 1,200"]]
        assert await tab.page.title() == "● 田中珈琲店 · JPY 1,200"
        await expect(tab.page.locator("#alarm")).to_have_text("田中珈琲店 asks for JPY 1,200 2 coffees")
        place.screen.finish(Ending(REQUEST, End.NOT_SETTLED, "no_response"))
        await expect(tab.heading("Not paid")).to_be_visible()
        await tab.button("Done").click()
        await tab.button("Settings").click()
        sound = tab.page.get_by_role("switch", name="Play a sound")
        await sound.click()
        await expect(sound).not_to_be_checked()
        before: Any = await tab.page.evaluate("heard.length")
        ask(place)
        await expect(tab.heading(REQUEST.merchant_name)).to_be_visible()
        assert await tab.page.evaluate("heard.length") == before
        assert tab.complaints == []


async def test_a_refused_notification_is_said(browser: Browser) -> None:
    async with desk(browser) as place:
        tab = await place.tab()
        await expect(tab.button("Settings")).to_be_visible()  # the link is used: another load needs none
        await tab.page.add_init_script("Notification.requestPermission = async () => 'denied';")
        await tab.page.reload()
        await tab.button("Settings").click()
        notify = tab.page.get_by_role("switch", name="Notify on the desktop")
        await notify.click()
        await tab.sees(TEXTS["notify_denied"])
        await expect(notify).not_to_be_checked()


@SIZES
async def test_home_says_why_a_request_would_not_call_out(
    browser: Browser, size: tuple[int, int], tmp_path: Path
) -> None:
    async with desk(browser, history=HISTORY) as place:
        window = await place.window(size, permissions=["notifications"])
        await window.add_init_script(
            "window.allows = 'denied'; window.Notification = class { static permission = 'default';"
            " static async requestPermission() { this.permission = window.allows; } };"
        )
        tab = await place.tab(window)
        hint = tab.page.locator(".hint")
        await expect(hint).to_have_text(TEXTS["hint_touch"])
        await tab.picture(tmp_path / "touch.png")
        await tab.check()
        await tab.button("Settings").click()
        await tab.page.get_by_role("switch", name="Play a sound").click()
        await tab.button("Back").click()
        await expect(hint).to_contain_text(TEXTS["hint_sound"])
        await tab.button("Turn on").click()
        await expect(hint).to_contain_text(TEXTS["hint_notify"])
        await expect(tab.heading("Payments")).to_be_focused()
        await tab.picture(tmp_path / "notify.png")
        await tab.check()
        await tab.button("Turn on").click()
        await expect(hint).to_contain_text(TEXTS["hint_denied"])
        await tab.check()
        await tab.page.evaluate("Notification.permission = 'default'; window.allows = 'granted';")
        place.screen.tell(Notice(NoticeKind.ISSUER_CONNECTED, "+81 90 1234 5678"))
        await expect(hint).to_contain_text(TEXTS["hint_notify"])
        await tab.button("Turn on").click()
        await expect(hint).to_have_count(0)
        await tab.check()


class Onlooker:
    """Looks at a page without touching it: what Playwright itself evaluates is a gesture, for the browser."""

    def __init__(self, session: CDPSession) -> None:
        self._session = session

    async def value(self, expression: str) -> Any:
        """What it is now, or comes to be."""
        how = {"expression": expression, "userGesture": False, "awaitPromise": True, "returnByValue": True}
        async with asyncio.timeout(PATIENCE / 1000):
            return (await self._session.send("Runtime.evaluate", how))["result"].get("value")

    async def until(self, condition: str) -> None:
        """Wait for it, frame by frame."""
        look = f"const look = () => {condition} ? done() : requestAnimationFrame(look); look();"
        await self.value(f"new Promise(done => {{ {look} }})")


@pytest.mark.parametrize("first", ["tap", "mouse", "a", "Escape", "Shift"])
async def test_home_asks_for_a_touch_until_the_page_can_be_heard(browser: Browser, first: str) -> None:
    hint = "document.querySelector('.hint p')?.innerText"
    async with desk(browser) as place:
        window = await place.window(NARROW, has_touch=True)
        await window.add_init_script(
            """window.voices = []; window.heard = 0;
            window.AudioContext = class extends AudioContext { constructor() { voices.push(super()); } };
            const start = OscillatorNode.prototype.start;
            OscillatorNode.prototype.start = function (...at) { heard += 1; start.apply(this, at); };"""
        )
        tab = await place.tab(window)
        page = Onlooker(await window.new_cdp_session(tab.page))
        await page.until(f"{hint} !== undefined")
        assert await page.value(hint) == TEXTS["hint_touch"]
        box = await page.value("document.querySelector('.hint p').getBoundingClientRect().toJSON()")
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        match first:
            case "tap":
                await tab.page.touchscreen.tap(*middle)
            case "mouse":
                await tab.page.mouse.click(*middle)
            case _:
                await tab.page.keyboard.press(first)
        if first in ("Escape", "Shift"):  # no touch, for a browser
            assert await page.value(hint) == TEXTS["hint_touch"]
            await tab.page.touchscreen.tap(*middle)
        await page.until(f"{hint} !== {json.dumps(TEXTS['hint_touch'])}")
        assert await page.value("voices.map(each => each.state)") == ["running"]
        ask(place)
        await page.until("heard >= 4")
        place.screen.finish(Ending(REQUEST, End.COMPLETED, None, "1111"))
        await page.until("heard >= 6")
        assert tab.complaints == []


async def test_a_hint_that_was_put_away_stays_away(browser: Browser) -> None:
    async with desk(browser) as place:
        tab = await place.tab(await place.window(NARROW))
        await tab.heading("Payments").click()
        await expect(tab.page.locator(".hint")).to_be_visible()
        await tab.button(TEXTS["hint_away"]).click()
        await expect(tab.page.locator(".hint")).to_have_count(0)
        await tab.page.reload()
        await expect(tab.page.locator(".hint")).to_have_text(TEXTS["hint_touch"])
        await tab.heading("Payments").click()
        await expect(tab.page.locator(".hint")).to_have_count(0)


async def test_no_movement_where_the_person_wants_none(browser: Browser) -> None:
    async with desk(browser) as place:
        tab = await place.tab(await place.window(reduced=True))
        ask(place)
        place.screen.tell(Progress(P1, Step.SWIPE_NOW))
        await expect(tab.heading("Swipe your card")).to_be_visible()
        assert await tab.page.evaluate("document.getAnimations().length") == 0


async def test_the_theme_follows_the_desktop(browser: Browser) -> None:
    async with desk(browser) as place:
        tab = await place.tab(await place.window(dark=True))
        script = "getComputedStyle(document.querySelector('.phone')).backgroundColor"
        await expect(tab.heading("Payments")).to_be_visible()
        assert await tab.page.evaluate(script) == "rgb(14, 21, 20)"
        await tab.page.emulate_media(color_scheme="light")
        assert await tab.page.evaluate(script) == "rgb(244, 251, 250)"


async def test_what_a_shop_is_called_is_no_markup(browser: Browser) -> None:
    evil = request_of(5, "<img src=x onerror=alert(1)>", order="</p><script>alert(2)</script>")
    async with desk(browser) as place:
        tab = await place.tab()
        tab.page.on("dialog", lambda dialog: tab.complaints.append(dialog.message))
        place.screen.ask(evil, 30)
        await expect(tab.heading(evil.merchant_name)).to_be_visible()
        await tab.sees(evil.order)
        place.screen.finish(Ending(evil, End.COMPLETED, None, "1111"))
        await expect(tab.heading("Paid")).to_be_visible()
        assert await tab.page.locator("#screen img, #screen script").count() == 0
        assert tab.complaints == []


async def test_the_page_is_told_nothing_more_than_it_shows(browser: Browser) -> None:
    """Merchant, amount, order, outcome, last four: the names of all that crosses, one by one."""
    async with desk(browser) as place:
        heard: list[str] = []
        page = await (await place.window()).new_page()
        page.on("websocket", lambda socket: socket.on("framereceived", lambda data: heard.append(str(data))))
        await page.goto(place.screen.new_link())
        place.screen.ask(REQUEST, 30)
        await expect(page.get_by_role("heading", name=REQUEST.merchant_name)).to_be_visible()
        place.screen.finish(Ending(REQUEST, End.COMPLETED, None, "1111"))
        await expect(page.get_by_role("heading", name="Paid")).to_be_visible()
        states = [json.loads(data) for data in heard if '"type": "state"' in data]
        what = {"id", "merchant", "amount", "order"}
        assert {name for state in states for name in state} == {
            *("type", "language", "theme", "issuer", "reader", "payment", "receipt", "notice"),
            *("history", "readers", "doubts", "stopped"),
        }
        assert {name for state in states for name in state["payment"] or ()} == {
            *what,
            *("deciding", "answered", "seconds_left", "seconds", "stage", "head", "ending", "text"),
            "can_call_off",
        }
        assert {name for state in states for past in state["history"] for name in past} == {
            *what,
            *("outcome", "happened", "why", "next", "last_four", "at"),
        }


async def test_ids_of_payments_are_not_shown(browser: Browser) -> None:
    async with desk(browser, history=HISTORY) as place:
        tab: Tab = await place.tab()
        ask(place)
        await expect(tab.heading(REQUEST.merchant_name)).to_be_visible()
        assert payment_id(1) not in await tab.page.locator("body").inner_text()
