"""The server of the phone's page: who gets in, and who is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import ClientSession, CookieJar, WSMsgType, WSServerHandshakeError

from handset_client.adapters.web_screen import LOCKED_OUT, WebScreen
from tests.unit.web_screen_bench import (
    REQUEST,
    browser,
    knock,
    no_answer,
    open_tab,
    origin,
    screen,
    sign_in,
)

__all__ = ["browser", "screen"]


# Who gets in


async def test_it_listens_on_loopback_alone(screen: WebScreen) -> None:
    assert screen._runner is not None
    assert {address[0] for address in screen._runner.addresses} == {"127.0.0.1"}


async def test_a_link_works_once(screen: WebScreen, browser: ClientSession) -> None:
    link = screen.new_link()
    await sign_in(screen, browser, link)
    for tried in (link, "", "#" + "x" * 43):
        async with browser.post(screen.url + "session", json=knock(tried), headers=origin(screen)) as refused:
            assert refused.status == 403
            assert "Set-Cookie" not in refused.headers


async def test_a_page_that_did_not_get_its_answer_may_ask_again(
    screen: WebScreen, browser: ClientSession
) -> None:
    sent = knock(screen.new_link())
    keys = []
    for _ in range(2):
        async with browser.post(screen.url + "session", json=sent, headers=origin(screen)) as answer:
            assert answer.status == 200
            keys.append((await answer.json())["key"])
    await open_tab(screen, browser, keys[1])
    socket = await browser.ws_connect(screen.url + "channel", headers=origin(screen))
    await socket.send_json({"type": "hello", "key": keys[0]})
    assert (await socket.receive()).data == LOCKED_OUT


async def test_the_cookie_is_for_no_script_and_no_other_site(
    screen: WebScreen, browser: ClientSession
) -> None:
    sent = knock(screen.new_link())
    async with browser.post(screen.url + "session", json=sent, headers=origin(screen)) as got:
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
    async with browser.post(screen.url + "session", json=knock(link), headers=headers) as refused:
        assert refused.status == 403
    # The refused try did not use the link up.
    await sign_in(screen, browser, link)


async def test_a_form_cannot_take_a_link(screen: WebScreen, browser: ClientSession) -> None:
    sent = json.dumps(knock(screen.new_link()))
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        async with browser.post(
            screen.url + "session",
            data=sent,
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
        (json.dumps({"token": "x"}), "application/json"),
        (json.dumps({"token": 7, "attempt": "x" * 32}), "application/json"),
        (json.dumps({"token": "x", "attempt": "x" * 31}), "application/json"),
        (json.dumps({"token": "x", "attempt": None}), "application/json"),
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
    async with browser.post(screen.url + "session", json=knock(link), headers=origin(screen)) as refused:
        assert refused.status == 403
    assert asked[0][0][0] == "127.0.0.1"
    assert asked[0][1] == ("127.0.0.1", screen.port)
