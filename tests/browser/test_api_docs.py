"""The issuer's page at /docs in a real browser: it reads, it tries, it breaks none of its own rules."""

from __future__ import annotations

from pathlib import Path

from axe_playwright_python.async_playwright import Axe

from issuer_server.api_description.openapi import OPENAPI
from tests.unit.issuer_bench import API_KEY, PHONE
from tests.unit.issuer_house import house

LINES = """cells => cells.map(cell => {
  const text = document.createRange();
  text.selectNodeContents(cell);
  return text.getClientRects().length;
})"""


async def test_a_developer_reads_and_tries_the_api(browser, tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        page = await browser.new_page()
        said: list[str] = []
        asked: list[str] = []
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        await page.goto(home.url + "/docs")
        names = {
            operation["operationId"] for item in OPENAPI["paths"].values() for operation in item.values()
        }
        await page.wait_for_selector("#createPayment")
        for name in names:
            assert await page.locator(f"section#{name}").count() == 1
        found = await Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert said == []
        events = await page.locator("section#webhooks h3").all_inner_texts()
        assert events == list(OPENAPI["webhooks"])
        assert await page.locator("section#showPayment").get_by_text("Payment", exact=True).count() == 1
        lines = await page.locator("section#createPayment th").evaluate_all(LINES)
        assert set(lines) == {1}, "no status is broken in two"

        section = page.locator("section#createPayment")
        await section.get_by_role("button", name="Send").click()
        await section.get_by_text("401 Unauthorized").wait_for()
        await page.get_by_label("API key").fill(API_KEY)
        await section.get_by_label("JSON").fill(
            f'{{"phone": "{PHONE}", "amount": 5, "currency": "JPY", "order": "<b>tea</b>"}}'
        )
        await section.get_by_role("button", name="Send").click()
        await section.get_by_text("201 Created").wait_for()
        assert "<b>tea</b>" in await section.locator("pre").inner_text()
        assert await section.locator("pre b").count() == 0

        waiting = page.locator("section#showPayment")
        await waiting.get_by_role("button", name="Send").click()
        await waiting.get_by_text("Fill in what the address needs.").wait_for()
        assert all(url.startswith(home.url) for url in asked)
        stored = await page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length")
        assert stored == 0
        await page.close()
