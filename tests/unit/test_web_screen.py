"""The server of the phone's page: what the tabs are told, and what strange commands do."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from aiohttp import ClientSession, WSMsgType

from handset_client.adapters.web_screen import LARGEST_COMMAND, MOST_TABS, WebScreen
from handset_client.effects import End, Ending, HowDeclined, Notice, NoticeKind, Progress, Step
from handset_client.phone_view import PhoneView
from handset_client.ports import Answer
from handset_client.preferences import Preferences, Theme
from handset_client.wording import Language
from protocol.identifiers import PaymentId
from tests.unit.web_screen_bench import (
    P1,
    P2,
    REQUEST,
    SAVED,
    answer,
    browser,
    no_answer,
    open_tab,
    origin,
    screen,
    sign_in,
)

__all__ = ["browser", "screen"]


# What a person does


async def test_a_request_is_answered_on_the_page(screen: WebScreen, browser: ClientSession) -> None:
    tab = await open_tab(screen, browser, await sign_in(screen, browser))
    screen.ask(REQUEST, 57)
    state = await tab.until(lambda state: state["payment"])
    payment = state["payment"]
    assert (payment["merchant"], payment["order"]) == ("田中珈琲店", "2 coffees")
    assert payment["amount"] == {"code": "JPY", "figures": "1,200", "text": "JPY 1,200"}
    assert 56 < payment["seconds_left"] <= 57
    await tab.socket.send_json({"type": "press", "payment_id": P1, "approved": True})
    assert await answer(screen) == Answer(P1, approved=True)
    await tab.until(lambda state: state["payment"]["answered"])


async def test_a_shop_is_blocked_on_the_page(screen: WebScreen, browser: ClientSession) -> None:
    tab = await open_tab(screen, browser, await sign_in(screen, browser))
    screen.ask(REQUEST, 57)
    await tab.until(lambda state: state["payment"])
    await tab.socket.send_json({"type": "press", "payment_id": P1, "approved": False, "block": True})
    assert await answer(screen) == Answer(P1, approved=False, declined=HowDeclined.AND_BLOCKED)
    screen.finish(Ending(REQUEST, End.NOT_SETTLED, HowDeclined.AND_BLOCKED))
    receipt = (await tab.until(lambda state: state["receipt"]))["receipt"]
    assert "unblock" in receipt["next"]


async def test_every_tab_shows_the_same(screen: WebScreen, browser: ClientSession) -> None:
    key = await sign_in(screen, browser)
    tabs = [await open_tab(screen, browser, key) for _ in range(3)]
    screen.ask(REQUEST, 60)
    for tab in tabs:
        await tab.until(lambda state: state["payment"])
    await tabs[0].socket.send_json({"type": "press", "payment_id": P1, "approved": False})
    await tabs[1].socket.send_json({"type": "press", "payment_id": P1, "approved": True})
    first = await answer(screen)
    for tab in tabs:
        await tab.until(lambda state: state["payment"]["answered"])
    # Whoever was first: the other press came to a payment that was answered.
    assert first.payment_id == P1
    assert no_answer(screen)
    screen.finish(Ending(REQUEST, End.COMPLETED, None, "1111"))
    for tab in tabs:
        assert (await tab.until(lambda state: state["receipt"]))["receipt"]["last_four"] == "1111"
    await tabs[2].socket.send_json({"type": "done", "payment_id": P1})
    for tab in tabs:
        state = await tab.until(lambda state: not state["receipt"])
        assert [past["outcome"] for past in state["history"]] == ["completed"]


async def test_a_tab_that_comes_back_is_told_all(screen: WebScreen, browser: ClientSession) -> None:
    key = await sign_in(screen, browser)
    tab = await open_tab(screen, browser, key)
    await tab.socket.close()
    screen.ask(REQUEST, 60)
    screen.tell(Progress(P1, Step.SWIPE_NOW))
    tab = await open_tab(screen, browser, key)
    assert tab.state["payment"]["stage"] == "card"


async def test_settings_reach_every_tab_and_are_kept(screen: WebScreen, browser: ClientSession) -> None:
    key = await sign_in(screen, browser)
    one, two = [await open_tab(screen, browser, key) for _ in range(2)]
    assert one.texts["approve"] == "Approve"
    await one.socket.send_json({"type": "set_language", "value": "ja"})
    await two.until(lambda state: state["language"] == "ja")
    assert two.texts["approve"] == "承認する"
    await two.socket.send_json({"type": "set_theme", "value": "dark"})
    await one.until(lambda state: state["theme"] == "dark")
    await one.socket.send_json({"type": "set_reader", "value": "0a1b-2c3d-4e5f-6071"})
    for tab in (one, two):
        await tab.until(lambda state: state["readers"]["chosen"] == "0a1b-2c3d-4e5f-6071")
    await two.socket.send_json({"type": "set_reader", "value": None})
    await one.until(lambda state: state["readers"]["chosen"] is None)
    assert SAVED[-1] == Preferences(Language.JAPANESE, Theme.DARK)
    async with browser.get(screen.url) as page:
        assert '<html lang="ja" data-theme="dark">' in await page.text()


async def test_a_passing_word_is_seen_for_a_while_and_not_again(
    screen: WebScreen, browser: ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handset_client.adapters.web_screen.NOTICE_STAYS", 0.01)
    key = await sign_in(screen, browser)
    screen.tell(Notice(NoticeKind.OUTCOME_DELIVERED))
    tab = await open_tab(screen, browser, key)  # its time begins here: nobody has seen it before
    assert tab.state["notice"]
    await tab.until(lambda state: state["notice"] is None)
    assert (await open_tab(screen, browser, key)).state["notice"] is None


async def test_closing_tells_every_tab(browser: ClientSession) -> None:
    async with WebScreen(PhoneView(Preferences(), Language.ENGLISH), port=0) as screen:
        tab = await open_tab(screen, browser, await sign_in(screen, browser))
    message = await tab.socket.receive()
    assert (message.type, message.data) == (WSMsgType.CLOSE, aiohttp.WSCloseCode.GOING_AWAY)


# What a stranger to the protocol says


@pytest.mark.parametrize(
    "command",
    [
        "{",
        "[]",
        "7",
        "{}",
        '{"type":"pay"}',
        '{"type":"press","payment_id":"pay_x","approved":true}',
        f'{{"type":"press","payment_id":"{P1}","approved":1}}',
        f'{{"type":"press","payment_id":"{P1}"}}',
        f'{{"type":"press","payment_id":"{P1}","approved":true,"block":true}}',
        f'{{"type":"press","payment_id":"{P1}","approved":false,"block":"yes"}}',
        '{"type":"set_language","value":"de"}',
        '{"type":"set_theme","value":null}',
        '{"type":"set_reader","value":"../x"}',
        '{"type":"done","payment_id":7}',
        "[" * 1000,
    ],
)
async def test_what_is_no_command_ends_the_tab(
    screen: WebScreen, browser: ClientSession, command: str
) -> None:
    tab = await open_tab(screen, browser, await sign_in(screen, browser))
    screen.ask(REQUEST, 60)
    await tab.until(lambda state: state["payment"])
    await tab.socket.send_str(command)
    async with asyncio.timeout(5):
        message = await tab.socket.receive()
    assert (message.type, message.data) == (WSMsgType.CLOSE, aiohttp.WSCloseCode.POLICY_VIOLATION)
    assert no_answer(screen)
    assert SAVED == []


async def test_a_press_counts_only_where_its_button_is(screen: WebScreen, browser: ClientSession) -> None:
    tab = await open_tab(screen, browser, await sign_in(screen, browser))

    async def press(payment_id: PaymentId, approved: bool) -> None:
        await tab.socket.send_json({"type": "press", "payment_id": payment_id, "approved": approved})

    await press(P1, True)
    await tab.socket.send_json({"type": "set_theme", "value": "light"})
    await tab.until(lambda state: state["theme"] == "light")
    screen.ask(REQUEST, 60)
    await tab.until(lambda state: state["payment"])
    await press(P2, True)
    screen.tell(Progress(P1, Step.SWIPE_NOW))
    await tab.until(lambda state: state["payment"]["stage"] == "card")
    await press(P1, True)
    screen.tell(Progress(P1, Step.PIN_SENT))
    await tab.until(lambda state: state["payment"]["stage"] == "result")
    await press(P1, False)
    screen.tell(Notice(NoticeKind.OUTCOME_KEPT))
    await press(P2, False)
    await tab.socket.send_json({"type": "set_theme", "value": "dark"})
    await tab.until(lambda state: state["theme"] == "dark")
    assert no_answer(screen)


async def test_too_much_at_once_ends_the_tab(screen: WebScreen, browser: ClientSession) -> None:
    tab = await open_tab(screen, browser, await sign_in(screen, browser))
    await tab.socket.send_str("x" * (LARGEST_COMMAND + 1))
    message = await tab.socket.receive()
    assert (message.type, message.data) == (WSMsgType.CLOSE, aiohttp.WSCloseCode.MESSAGE_TOO_BIG)


async def test_tabs_are_counted(screen: WebScreen, browser: ClientSession) -> None:
    key = await sign_in(screen, browser)
    tabs = [await open_tab(screen, browser, key) for _ in range(MOST_TABS)]
    socket = await browser.ws_connect(screen.url + "channel", headers=origin(screen))
    assert (await socket.receive()).data == aiohttp.WSCloseCode.TRY_AGAIN_LATER
    assert not any(tab.socket.closed for tab in tabs)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "session", 405),
        ("OPTIONS", "session", 405),
        ("GET", "../pyproject.toml", 404),
        ("GET", "%2e%2e/cli.py", 404),
        ("GET", "__init__.py", 404),
    ],
)
async def test_nothing_else_is_served(
    screen: WebScreen, browser: ClientSession, method: str, path: str, status: int
) -> None:
    async with browser.request(method, screen.url + path, headers=origin(screen)) as refused:
        assert refused.status == status


async def test_a_port_that_is_taken_is_said(screen: WebScreen) -> None:
    with pytest.raises(OSError, match="in use"):
        async with WebScreen(PhoneView(Preferences(), Language.ENGLISH), port=screen.port):
            raise AssertionError("two listen on one port")


async def test_settings_that_cannot_be_written_hold_all_the_same(browser: ClientSession) -> None:
    def full(_preferences: Preferences) -> None:
        raise OSError(28, "No space left on device")

    async with WebScreen(PhoneView(Preferences(), Language.ENGLISH), port=0, save=full) as screen:
        tab = await open_tab(screen, browser, await sign_in(screen, browser))
        await tab.socket.send_json({"type": "set_theme", "value": "dark"})
        await tab.until(lambda state: state["theme"] == "dark")
