"""Who gets at the phone's page from a browser: links, tabs, restarts, and other sites that try to pay."""

# ruff: noqa: E501 - the attacks are scripts, one to a line

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Browser, expect

from handset_client.adapters.web_screen import WebScreen
from handset_client.effects import Progress, Step
from handset_client.phone_view import PhoneView
from handset_client.preferences import Preferences
from handset_client.wording import Language
from tests.browser.desk import TEXTS, Tab, desk, request_of

REQUEST = request_of()


async def test_a_link_opens_once_and_leaves_no_token_behind(browser: Browser) -> None:
    async with desk(browser) as place:
        link = place.screen.new_link()
        tab = await place.tab(link=link)
        await expect(tab.heading("Payments")).to_be_visible()
        assert tab.page.url == place.screen.url
        other = await place.tab(link=link)
        await expect(other.heading(TEXTS["closed"])).to_be_visible()
        assert "Press L" in await other.page.locator("#screen").inner_text()
        # A fresh link opens it, in the same tab too.
        await other.page.evaluate("link => { location.href = link; }", place.screen.new_link())
        await expect(other.heading("Payments")).to_be_visible()


async def test_the_locked_page_is_sound_and_tells_nothing(browser: Browser) -> None:
    async with desk(browser) as place:
        place.screen.ask(REQUEST, 60)
        tab = await place.tab(link=place.screen.url)
        await expect(tab.heading(TEXTS["closed"])).to_be_visible()
        assert REQUEST.merchant_name not in await tab.page.content()
        await tab.check()


async def test_a_second_tab_needs_no_link(browser: Browser) -> None:
    async with desk(browser) as place:
        window = await place.window()
        one = await place.tab(window)
        await expect(one.heading("Payments")).to_be_visible()
        two = await place.tab(window, place.screen.url)
        place.screen.ask(REQUEST, 60)
        await two.button("Approve").click()
        assert await place.answer() == (REQUEST.payment_id, True)
        await expect(one.button("Approve")).to_be_disabled()
        place.screen.tell(Progress(REQUEST.payment_id, Step.SWIPE_NOW))
        for tab in (one, two):
            await expect(tab.heading("Swipe your card")).to_be_visible()
            assert tab.complaints == []


async def test_the_policy_stands_and_no_script_slips_in(browser: Browser) -> None:
    async with desk(browser) as place:
        page = await (await place.window()).new_page()
        answer = await page.goto(place.screen.url)
        assert answer is not None
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        ran: Any = await page.evaluate(
            """async () => {
                const script = document.createElement('script');
                try { script.textContent = 'window.ran = 1'; } catch { /* trusted types */ }
                document.head.append(script);
                try { document.body.innerHTML += '<b>x</b>'; window.wrote = 1; } catch { /* trusted types */ }
                // Later, on the page's own account: what the driver itself runs may always use eval.
                await new Promise((over) => setTimeout(() => {
                    try { (0, eval)('window.ran = 2'); } catch { /* no unsafe-eval */ }
                    over();
                }));
                return [window.ran ?? null, window.wrote ?? null];
            }"""
        )
        assert ran == [None, None]
        assert await page.evaluate("document.cookie") == ""


async def test_everything_comes_from_the_phone_itself(browser: Browser) -> None:
    async with desk(browser) as place:
        page = await (await place.window()).new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await page.goto(place.screen.new_link())
        await expect(page.get_by_role("heading", name="Payments")).to_be_visible()
        assert asked
        assert all(address.startswith(place.screen.url) for address in asked)


@asynccontextmanager
async def evil_site(html: str) -> AsyncIterator[str]:
    """Another server on this computer, as a site that the person visits."""

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=html, content_type="text/html")

    application = web.Application()
    application.router.add_get("/", page)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


ATTACKS = {
    "hijack the channel": """
        const socket = new WebSocket(`ws://${target}/channel`);
        socket.onopen = () => { socket.send(JSON.stringify({ type: 'press', payment_id: id, approved: true })); done('opened'); };
        socket.onerror = () => done('refused');""",
    "read the session": """
        fetch(`http://${target}/session`, { credentials: 'include' }).then((a) => a.json()).then(() => done('read'), () => done('refused'));""",
    "post to the session": """
        fetch(`http://${target}/session`, { method: 'POST', credentials: 'include', mode: 'no-cors', body: '{"token":"x"}' })
            .then((a) => done(a.type === 'opaque' ? 'refused' : 'read'), () => done('refused'));""",
    "frame the page": """
        const frame = document.createElement('iframe'); frame.src = `http://${target}/`;
        frame.onload = () => { let text = ''; try { text = frame.contentDocument.body.innerText; } catch { /* another origin */ } done(text ? 'read' : 'refused'); };
        document.body.append(frame);""",
    "load its script": """
        const script = document.createElement('script'); script.src = `http://${target}/app.js`; script.type = 'module';
        script.onload = () => done('loaded'); script.onerror = () => done('refused'); document.head.append(script);""",
    "read the open window": """
        const other = window.open(`http://${target}/`);
        setTimeout(() => { let text = ''; try { text = other.document.body.innerText; } catch { /* another origin */ } done(text ? 'read' : 'refused'); }, 300);""",
}


@pytest.mark.parametrize("name", list(ATTACKS))
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_another_site_cannot_pay(browser: Browser, name: str, host: str) -> None:
    """In the same browser that holds the session's cookie; from another port, and from another host."""
    async with desk(browser) as place:
        window = await place.window()
        tab = await place.tab(window)
        place.screen.ask(REQUEST, 60)
        await expect(tab.button("Approve")).to_be_enabled()
        html = f"""<!doctype html><title>prizes</title><body><script>
            const target = '127.0.0.1:{place.screen.port}', id = '{REQUEST.payment_id}';
            const done = (what) => {{ document.title = what; }};
            {ATTACKS[name]}</script>"""
        async with evil_site(html) as url:
            visited = await window.new_page()
            await visited.goto(url.replace("127.0.0.1", host))
            await expect(visited).to_have_title("refused")
        assert place.screen._answers.empty()
        await expect(tab.button("Approve")).to_be_enabled()
        await tab.button("Decline").click()
        assert await place.answer() == (REQUEST.payment_id, False)


async def test_a_name_made_to_point_here_gets_nothing(browser: Browser) -> None:
    """DNS rebinding: the attacker's name resolves to loopback, so that the origin is the attacker's own."""
    async with desk(browser) as place:
        await place.tab()
        page = await (await place.window()).new_page()
        # Chromium resolves every name below localhost to loopback, as rebinding would.
        answer = await page.goto(f"http://evil.localhost:{place.screen.port}/")
        assert answer is not None
        assert answer.status == 421


async def test_the_program_stops_and_the_page_asks_for_nothing_more(browser: Browser) -> None:
    async with desk(browser) as place:
        tab = await place.tab()
        await tab.page.clock.install()
        await expect(tab.heading("Payments")).to_be_visible()
        asked: list[str] = []
        tab.page.on("request", lambda request: asked.append(request.url))
        await place.screen.close()
        await expect(tab.heading(TEXTS["stopped"])).to_be_visible()
        await tab.page.clock.run_for(120_000)
        await tab.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await tab.page.clock.run_for(1_000)
        assert asked == []
        await tab.check()


async def test_the_program_is_started_again(browser: Browser) -> None:
    async with desk(browser) as place:
        window = await place.window()
        old, gone = await place.tab(window), await place.tab(window)
        await expect(gone.heading("Payments")).to_be_visible()
        port = place.screen.port
        await place.screen.close()
        for tab in (old, gone):
            await expect(tab.heading(TEXTS["stopped"])).to_be_visible()
        async with WebScreen(PhoneView(Preferences(), Language.ENGLISH), port=port) as again:
            # A new program knows nothing of old sessions.
            await old.button(TEXTS["reconnect"]).click()
            await expect(old.heading(TEXTS["closed"])).to_be_visible()
            # Its link, opened anywhere in this browser, brings all tabs back.
            await old.page.evaluate("link => { location.href = link; }", again.new_link())
            for tab in (old, gone):
                await expect(tab.heading("Payments")).to_be_visible()
            assert gone.complaints == []


async def test_a_program_that_is_killed_is_not_asked_for_ever(browser: Browser) -> None:
    async with desk(browser) as place:
        tab = await place.tab()
        await expect(tab.heading("Payments")).to_be_visible()
        await tab.page.context.set_offline(True)
        for known in list(place.screen._tabs):
            await asyncio.wait_for(known.socket.close(), 5)
        await tab.sees(TEXTS["offline"])
        await expect(tab.heading(TEXTS["stopped"])).to_be_visible(timeout=20_000)
        await tab.page.context.set_offline(False)
        await tab.button(TEXTS["reconnect"]).click()
        await expect(tab.heading("Payments")).to_be_visible()


async def test_a_broken_connection_is_said_and_mended(browser: Browser) -> None:
    async with desk(browser) as place:
        tab = await place.tab()
        place.screen.ask(REQUEST, 60)
        await expect(tab.button("Approve")).to_be_enabled()
        await tab.page.context.set_offline(True)
        for known in list(place.screen._tabs):
            await asyncio.wait_for(known.socket.close(), 5)
        await tab.sees(TEXTS["offline"])
        # Without the program, a press is not kept for later.
        await tab.button("Approve").click()
        await expect(tab.button("Approve")).to_be_enabled()
        await tab.page.context.set_offline(False)
        await expect(tab.page.get_by_text(TEXTS["offline"])).to_be_hidden()
        assert place.screen._answers.empty()
        await tab.button("Approve").click()
        assert await place.answer() == (REQUEST.payment_id, True)


async def test_a_reload_in_the_middle_shows_where_it_stands(browser: Browser) -> None:
    async with desk(browser) as place:
        tab: Tab = await place.tab()
        place.screen.ask(REQUEST, 60)
        place.screen.tell(Progress(REQUEST.payment_id, Step.ENTER_PIN))
        await expect(tab.heading("Enter your PIN")).to_be_visible()
        await tab.page.reload()
        await expect(tab.heading("Enter your PIN")).to_be_visible()
        assert tab.complaints == []
