"""The pictures of docs/phone.md, taken anew at each run."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import Browser, expect

from handset_client.effects import End, Ending, Notice, NoticeKind, Progress, Step
from handset_client.preferences import Preferences, Theme
from handset_client.wording import Language
from protocol.identifiers import parse_reader_id
from tests.browser.desk import HISTORY, NARROW, WIDE, Tab, desk, request_of

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "img" / "phone"
LARGEST, ALL = 150_000, 1_500_000
REQUEST = request_of()
P1 = REQUEST.payment_id
READERS = (parse_reader_id("0a1b-2c3d-4e5f-6071"),)


async def take(tab: Tab, name: str) -> None:
    """One picture; the clock stands still."""
    path = FOLDER / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    await tab.page.evaluate("document.getElementById('clock').textContent = '12:45'")
    await tab.picture(path)
    with Image.open(path) as picture:
        whole = picture.convert("RGB")
    if path.stat().st_size > LARGEST / 2:
        # The desk's shades are most of a wide picture: 200 colours for what is large, 56 for what is rare.
        large = whole.quantize(200, Image.Quantize.MEDIANCUT).getpalette() or []
        rare = whole.quantize(56, Image.Quantize.MAXCOVERAGE).getpalette() or []
        colours = Image.new("P", (1, 1))
        colours.putpalette(large[:600] + rare[:168])
        whole = whole.quantize(palette=colours, dither=Image.Dither.NONE)
    whole.save(path, optimize=True)
    assert path.stat().st_size < LARGEST


@pytest.mark.parametrize(
    ("tag", "size", "dark", "language"),
    [
        ("360-en-light", NARROW, False, Language.ENGLISH),
        ("360-ja-dark", NARROW, True, Language.JAPANESE),
        ("1440-en-light", WIDE, False, Language.ENGLISH),
        ("1440-ja-dark", WIDE, True, Language.JAPANESE),
    ],
    ids=lambda value: value if isinstance(value, str) and "-" in value else "",
)
async def test_the_pictures(
    browser: Browser, tag: str, size: tuple[int, int], dark: bool, language: Language
) -> None:
    settings = Preferences(language, Theme.SYSTEM, readers=READERS)
    async with desk(browser, settings, HISTORY, unix_time=lambda: 1_800_003_000.0) as place:
        tab = await place.tab(await place.window(size, dark=dark, reduced=True))
        await tab.page.clock.install(time=1_800_003_000)
        place.screen.tell(Notice(NoticeKind.ISSUER_CONNECTED, "+81 90 1234 5678"))
        await tab.sees("+81 90 1234 5678")
        await take(tab, f"home-{tag}")
        await tab.page.locator("header .icon-button").click()
        await expect(tab.page.locator(".settings")).to_be_visible()
        if size == NARROW:
            await take(tab, f"settings-{tag}")
        place.screen.ask(REQUEST, 47.9)
        await expect(tab.page.locator(".request")).to_be_visible()
        await tab.page.clock.run_for(900)
        place.screen.tell(Progress(P1, Step.READER_READY))
        await expect(tab.page.locator(".reader-line[data-light=on]")).to_be_visible()
        await expect(tab.page.locator(".choice button:enabled")).to_have_count(2)
        await take(tab, f"request-{tag}")
        if size == NARROW:
            await tab.page.keyboard.press("b")
            await tab.page.clock.run_for(900)
            await expect(tab.page.locator(".ask .danger:enabled")).to_be_visible()
            await take(tab, f"block-{tag}")
            await tab.page.keyboard.press("Escape")
            await expect(tab.page.locator(".ask[open]")).to_have_count(0)
        place.screen.tell(Progress(P1, Step.WAITING_FOR_ISSUER))
        place.screen.tell(Progress(P1, Step.SWIPE_NOW))
        await expect(tab.page.locator(".hero .swiping")).to_be_visible()
        await take(tab, f"swipe-{tag}")
        place.screen.tell(Progress(P1, Step.ENTER_PIN))
        await expect(tab.page.locator(".hero .pads")).to_be_visible()
        if size == NARROW:
            await take(tab, f"pin-{tag}")
        place.screen.finish(Ending(REQUEST, End.COMPLETED, None, "1111"))
        await expect(tab.page.locator(".badge.completed")).to_be_visible()
        await take(tab, f"paid-{tag}")
        await tab.page.keyboard.press("Escape")
        await expect(tab.page.locator(".home")).to_be_visible()
        place.screen.ask(REQUEST, 30)
        place.screen.finish(Ending(REQUEST, End.NOT_SETTLED, "reader_unavailable"))
        await expect(tab.page.locator(".badge.not_settled")).to_be_visible()
        await take(tab, f"not-paid-{tag}")
    assert sum(path.stat().st_size for path in FOLDER.glob("*.png")) < ALL
