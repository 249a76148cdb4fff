"""The server of the phone's page: who gets in, who is refused, and what the tabs are told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, CookieJar, WSMsgType, WSServerHandshakeError

from handset_client.adapters.web_screen import LARGEST_COMMAND, LOCKED_OUT, MOST_TABS, WebScreen
from handset_client.effects import End, Ending, Notice, NoticeKind, Progress, Step
from handset_client.issuer_frames import PaymentRequest
from handset_client.phone_view import PhoneView
from handset_client.ports import Answer
from handset_client.preferences import Preferences, Theme
from handset_client.wording import Language
from protocol.identifiers import PaymentId, mint
from protocol.money import Money, currency

P1, P2 = (PaymentId(mint("pay", bytes([number]) * 16)) for number in (1, 2))
REQUEST = PaymentRequest(P1, "田中珈琲店", Money(1200, currency("JPY")), "2 coffees", 60.0)
SAVED: list[Preferences] = []


@pytest.fixture
async def screen() -> AsyncIterator[WebScreen]:
    SAVED.clear()
    view = PhoneView(Preferences(), Language.ENGLISH)
    async with WebScreen(view, port=0, save=SAVED.append, unix_time=lambda: 1_800_000_000.0) as running:
        yield running


@pytest.fixture
async def browser() -> AsyncIterator[ClientSession]:
    """A cookie jar that keeps what a loopback address sets."""
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
        yield session


def origin(screen: WebScreen) -> dict[str, str]:
    return {"Origin": screen.url.rstrip("/")}


async def sign_in(screen: WebScreen, browser: ClientSession, link: str | None = None) -> str:
    """Exchange a link for the cookie; gives the key."""
    token = (link or screen.new_link()).partition("#")[2]
    async with browser.post(screen.url + "session", json={"token": token}, headers=origin(screen)) as answer:
        assert answer.status == 200, await answer.text()
        return str((await answer.json())["key"])


class Tab:
    """What a page does with its socket."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.socket = socket
        self.texts: Any = None
        self.state: Any = None

    async def until(self, fits: Any) -> Any:
        """Read until the state fits."""
        async with asyncio.timeout(5):
            while self.state is None or not fits(self.state):
                message = json.loads(await self.socket.receive_str())
                if message["type"] == "texts":
                    self.texts = message["texts"]
                else:
                    self.state = message
        return self.state


async def open_tab(screen: WebScreen, browser: ClientSession, key: str) -> Tab:
    socket = await browser.ws_connect(screen.url + "channel", headers=origin(screen))
    await socket.send_json({"type": "hello", "key": key})
    tab = Tab(socket)
    await tab.until(lambda state: True)
    return tab


async def answer(screen: WebScreen) -> Answer:
    async with asyncio.timeout(5):
        return await screen.next_answer()


def no_answer(screen: WebScreen) -> bool:
    return screen._answers.empty()


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
    screen.tell(Notice(NoticeKind.EARLIER_PAID))
    tab = await open_tab(screen, browser, key)  # its time begins here: nobody has seen it before
    assert tab.state["notice"]
    await tab.until(lambda state: state["notice"] is None)
    assert (await open_tab(screen, browser, key)).state["notice"] is None


async def test_closing_tells_every_tab(browser: ClientSession) -> None:
    async with WebScreen(PhoneView(Preferences(), Language.ENGLISH), port=0) as screen:
        tab = await open_tab(screen, browser, await sign_in(screen, browser))
    message = await tab.socket.receive()
    assert (message.type, message.data) == (WSMsgType.CLOSE, aiohttp.WSCloseCode.GOING_AWAY)


# Who gets in


async def test_it_listens_on_loopback_alone(screen: WebScreen) -> None:
    assert screen._runner is not None
    assert {address[0] for address in screen._runner.addresses} == {"127.0.0.1"}


async def test_a_link_works_once(screen: WebScreen, browser: ClientSession) -> None:
    link = screen.new_link()
    await sign_in(screen, browser, link)
    token = link.partition("#")[2]
    for tried in (token, "", "x" * 43, 7, None):
        async with browser.post(
            screen.url + "session", json={"token": tried}, headers=origin(screen)
        ) as refused:
            assert refused.status == 403
            assert "Set-Cookie" not in refused.headers


async def test_the_cookie_is_for_no_script_and_no_other_site(
    screen: WebScreen, browser: ClientSession
) -> None:
    token = screen.new_link().partition("#")[2]
    async with browser.post(screen.url + "session", json={"token": token}, headers=origin(screen)) as got:
        cookie = got.headers["Set-Cookie"]
    assert cookie.startswith(f"blind-relay-{screen.port}=")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


@pytest.mark.parametrize("path", ["", "app.js", "phone.css", "icon.svg", "session", "nothing.html"])
async def test_every_answer_has_the_policy(screen: WebScreen, browser: ClientSession, path: str) -> None:
    async with browser.get(screen.url + path) as got:
        policy = got.headers["Content-Security-Policy"]
        assert got.headers["X-Content-Type-Options"] == "nosniff"
        assert got.headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in got.headers
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http:" not in policy.replace(f"ws://127.0.0.1:{screen.port}", "")


async def test_the_page_asks_for_nothing_from_elsewhere(screen: WebScreen) -> None:
    for name, body in screen._files.items():
        text = body.decode().replace("http://www.w3.org/2000/svg", "")
        assert "https:" not in text, name
        assert "http:" not in text, name
    page = screen._files["index.html"].decode()
    assert "<style" not in page
    assert "style=" not in page
    assert page.count("<script") == page.count('<script type="module" src="/')


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost", "127.0.0.1", "127.0.0.1:1", "evil.example:{port}", "[::1]:{port}"]
)
@pytest.mark.parametrize("path", ["", "session", "channel", "app.js"])
async def test_a_name_that_points_here_is_refused(
    screen: WebScreen, browser: ClientSession, host: str, path: str
) -> None:
    headers = {"Host": host.format(port=screen.port), **origin(screen)}
    async with browser.get(screen.url + path, headers=headers) as refused:
        assert refused.status == 421
        assert "Content-Security-Policy" in refused.headers


FOREIGN = [
    None,
    "null",
    "https://evil.example",
    "http://localhost:{port}",
    "http://127.0.0.1:1",
    "http://127.0.0.1",
]


@pytest.mark.parametrize("foreign", FOREIGN)
async def test_another_site_cannot_take_a_link(
    screen: WebScreen, browser: ClientSession, foreign: str | None
) -> None:
    link = screen.new_link()
    headers = {} if foreign is None else {"Origin": foreign.format(port=screen.port)}
    async with browser.post(
        screen.url + "session", json={"token": link.partition("#")[2]}, headers=headers
    ) as refused:
        assert refused.status == 403
    # The refused try did not use the link up.
    await sign_in(screen, browser, link)


async def test_a_form_cannot_take_a_link(screen: WebScreen, browser: ClientSession) -> None:
    token = screen.new_link().partition("#")[2]
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        async with browser.post(
            screen.url + "session",
            data=json.dumps({"token": token}),
            headers={"Content-Type": kind, **origin(screen)},
        ) as refused:
            assert refused.status == 415


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("[" * 2000, "application/json"),
        ('{"token":"x"}', "application/json; charset=no-such"),
        (b"\xff", "application/json"),
        ("[]", "application/json"),
        ("{}", "application/json"),
    ],
)
async def test_what_is_no_token_is_refused_in_words(
    screen: WebScreen, browser: ClientSession, body: str | bytes, kind: str
) -> None:
    headers = {"Content-Type": kind, **origin(screen)}
    async with browser.post(screen.url + "session", data=body, headers=headers) as refused:
        assert refused.status == 400


@pytest.mark.parametrize("foreign", FOREIGN)
async def test_another_site_cannot_open_the_channel(
    screen: WebScreen, browser: ClientSession, foreign: str | None
) -> None:
    """Cross-site WebSocket hijacking: the browser would send the cookie along, were it not for SameSite."""
    await sign_in(screen, browser)
    headers = {} if foreign is None else {"Origin": foreign.format(port=screen.port)}
    with pytest.raises(WSServerHandshakeError) as refused:
        await browser.ws_connect(screen.url + "channel", headers=headers)
    assert refused.value.status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
async def test_what_the_browser_calls_foreign_is_refused(
    screen: WebScreen, browser: ClientSession, site: str
) -> None:
    await sign_in(screen, browser)
    headers = {"Sec-Fetch-Site": site, **origin(screen)}
    with pytest.raises(WSServerHandshakeError):
        await browser.ws_connect(screen.url + "channel", headers=headers)
    async with browser.get(screen.url + "app.js", headers=headers) as part:
        assert part.status == 403
    async with browser.get(screen.url, headers={**headers, "Sec-Fetch-Mode": "navigate"}) as page:
        assert page.status == 200
    async with browser.get(screen.url, headers={**headers, "Sec-Fetch-Mode": "no-cors"}) as loaded:
        assert loaded.status == 403


async def test_no_cookie_no_channel(screen: WebScreen, browser: ClientSession) -> None:
    for cookie in (None, "x" * 43):
        cookies = {} if cookie is None else {f"blind-relay-{screen.port}": cookie}
        async with ClientSession(cookies=cookies) as stranger:
            with pytest.raises(WSServerHandshakeError) as refused:
                await stranger.ws_connect(screen.url + "channel", headers=origin(screen))
            assert refused.value.status == 403
            async with stranger.get(screen.url + "session") as told:
                assert (await told.json())["open"] is False


@pytest.mark.parametrize(
    "first",
    [
        '{"type":"hello","key":"wrong"}',
        '{"type":"hello"}',
        '{"type":"press","payment_id":"pay_aeaqcaibaeaqcaibaeaqcaibae","approved":true}',
        "[]",
        "",
        "\ud83d",
    ],
)
async def test_a_stolen_cookie_alone_opens_nothing(
    screen: WebScreen, browser: ClientSession, first: str
) -> None:
    """Cookies are shared between the ports of a host; the key is not."""
    await sign_in(screen, browser)
    screen.ask(REQUEST, 60)
    socket = await browser.ws_connect(screen.url + "channel", headers=origin(screen))
    await socket.send_bytes(b"x") if first == "\ud83d" else await socket.send_str(first)
    message = await socket.receive()
    assert (message.type, message.data) == (WSMsgType.CLOSE, LOCKED_OUT)
    assert no_answer(screen)


async def test_the_key_of_another_session_does_not_fit(screen: WebScreen, browser: ClientSession) -> None:
    await sign_in(screen, browser)
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as other:
        key = await sign_in(screen, other)
        socket = await browser.ws_connect(screen.url + "channel", headers=origin(screen))
        await socket.send_json({"type": "hello", "key": key})
        assert (await socket.receive()).data == LOCKED_OUT


async def test_another_user_of_this_computer_is_refused(
    screen: WebScreen, browser: ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = screen.new_link()
    asked: list[Any] = []

    def stranger(peer: Any, ours: Any) -> bool:
        asked.append((peer, ours))
        return True

    monkeypatch.setattr("handset_client.adapters.web_screen.is_stranger", stranger)
    async with browser.post(
        screen.url + "session", json={"token": link.partition("#")[2]}, headers=origin(screen)
    ) as refused:
        assert refused.status == 403
    assert asked[0][0][0] == "127.0.0.1"
    assert asked[0][1] == ("127.0.0.1", screen.port)


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
