"""The phone's page and its browsers in hand: what the tests of its server share."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, CookieJar

from handset_client.adapters.web_screen import WebScreen
from handset_client.issuer_frames import PaymentRequest
from handset_client.phone_view import PhoneView
from handset_client.ports import Answer
from handset_client.preferences import Preferences
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


def knock(link: str) -> dict[str, str]:
    """What the page sends for a link."""
    return {"token": link.partition("#")[2], "attempt": secrets.token_hex(16)}


async def sign_in(screen: WebScreen, browser: ClientSession, link: str | None = None) -> str:
    """Exchange a link for the cookie; gives the key."""
    sent = knock(link or screen.new_link())
    async with browser.post(screen.url + "session", json=sent, headers=origin(screen)) as answer:
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
