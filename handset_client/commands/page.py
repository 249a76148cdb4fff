"""`handset-client run` with the phone's screen in the browser: the page, and the terminal beside it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from handset_client.adapters.desktop_browser import has_desktop, open_in_browser
from handset_client.adapters.history_file import HistoryFile
from handset_client.adapters.keyboard import Keyboard
from handset_client.adapters.preferences_file import PreferencesFile
from handset_client.adapters.web_screen import WebScreen
from handset_client.phone_view import HISTORY_SHOWN, PhoneView
from handset_client.plain_lines import PlainLines
from handset_client.preferences import Preferences
from handset_client.wording import system_language, terminal_texts
from protocol.errors import InputError


@asynccontextmanager
async def page(
    directory: Path, *, port: int | None, browser: bool, stop: asyncio.Event
) -> AsyncIterator[WebScreen]:
    """The page, served and opened. Key L gives another link, Q sets `stop`.

    Raises InputError (page_port_taken) where nothing can listen.
    """
    store = PreferencesFile(directory)
    history = await HistoryFile(directory).past_payments(HISTORY_SHOWN)
    view = PhoneView(store.load(), system_language(), history)
    lines = PlainLines(lambda: view.language, _print)
    screen = WebScreen(view, port=port, save=_saving(store, view.preferences), show=lines)
    try:
        await screen.__aenter__()
    except OSError as error:
        raise InputError(
            "page_port_taken",
            f"The phone's page cannot be served: {error.strerror or error}. "
            "Choose another --port, or use --terminal.",
        ) from None
    try:
        with Keyboard(sys.stdin) as keyboard:
            keys = asyncio.create_task(_heed(keyboard, screen, view, stop))
            link, texts = screen.new_link(), terminal_texts(view.language)
            _print(texts["page_link"].format(link=link))
            _print(texts["page_keys"])
            if browser and has_desktop():
                open_in_browser(link)
            try:
                yield screen
            finally:
                keys.cancel()
                await asyncio.gather(keys, return_exceptions=True)
    finally:
        await screen.close()


async def _heed(keyboard: Keyboard, screen: WebScreen, view: PhoneView, stop: asyncio.Event) -> None:
    while True:
        try:
            key = await keyboard.next_key()
        except EOFError:
            return  # started without a terminal: the page is all there is
        if key == "l":
            _print(terminal_texts(view.language)["page_another"].format(link=screen.new_link()))
        elif key == "q":
            stop.set()


def _print(line: str) -> None:
    print(line, flush=True)


def _saving(store: PreferencesFile, begun: Preferences) -> Callable[[Preferences], None]:
    """Only what is changed here is written; `readers choose` and the relay write the rest meanwhile."""
    before = begun

    def save(chosen: Preferences) -> None:
        nonlocal before
        kept = store.load()
        if chosen.language != before.language:
            kept = replace(kept, language=chosen.language)
        if chosen.theme != before.theme:
            kept = replace(kept, theme=chosen.theme)
        if chosen.reader != before.reader:
            kept = replace(kept, reader=chosen.reader)
        store.save(kept)
        before = chosen

    return save
