"""`handset-client run` with the page: the link it prints, its keys, and a good end."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from handset_client.adapters.preferences_file import PreferencesFile
from handset_client.commands.page import page
from handset_client.effects import End, Ending, Notice, NoticeKind, Progress, Step
from handset_client.issuer_frames import PaymentRequest
from handset_client.preferences import Preferences, Theme
from protocol.errors import InputError
from protocol.identifiers import PaymentId, ReaderId, mint
from protocol.money import Money, currency

P1 = PaymentId(mint("pay", b"\x01" * 16))
REQUEST = PaymentRequest(P1, "Green Grocer", Money(1875, currency("USD")), "Vegetables", 60.0)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Where to type what standard input gets."""
    monkeypatch.setenv("LC_ALL", "C")
    source, hand = os.pipe()
    with os.fdopen(source) as stream:
        monkeypatch.setattr("sys.stdin", stream)
        yield hand


async def test_the_link_the_keys_and_the_lines(
    typed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stop = asyncio.Event()
    async with page(tmp_path, port=0, browser=False, stop=stop) as screen:
        screen.tell(Notice(NoticeKind.ISSUER_CONNECTED, "+819012345678"))
        screen.ask(REQUEST, 60)
        screen.tell(Progress(P1, Step.SWIPE_NOW))
        screen.finish(Ending(REQUEST, End.COMPLETED, None, "1111"))
        os.write(typed, b"x\nl\nq\n")
        os.close(typed)
        async with asyncio.timeout(10):
            await stop.wait()
    said = capsys.readouterr().out
    assert said.count(f"http://127.0.0.1:{screen.port}/#") == 2
    for wanted in (
        "works once",
        "+819012345678",
        "Green Grocer asks for USD 18.75",
        "swipe your card",
        "Paid",
    ):
        assert wanted in said


async def test_settings_of_the_page_leave_the_readers_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    store = PreferencesFile(tmp_path)
    async with page(tmp_path, port=0, browser=False, stop=asyncio.Event()) as screen:
        used = Preferences(readers=(ReaderId(b"\x01" * 8),))
        store.save(used)
        screen._save(Preferences(theme=Theme.DARK))
    assert store.load() == Preferences(theme=Theme.DARK, readers=used.readers)


async def test_a_reader_chosen_by_command_meanwhile_stays_chosen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    store, reader = PreferencesFile(tmp_path), ReaderId(b"\x01" * 8)
    async with page(tmp_path, port=0, browser=False, stop=asyncio.Event()) as screen:
        store.save(Preferences(reader=reader))
        screen._save(Preferences(theme=Theme.DARK))
        assert store.load() == Preferences(theme=Theme.DARK, reader=reader)
        screen._save(Preferences(theme=Theme.DARK, reader=ReaderId(b"\x02" * 8)))
        screen._save(Preferences(theme=Theme.DARK))
    assert store.load() == Preferences(theme=Theme.DARK)


async def test_a_taken_port_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    async with page(tmp_path, port=0, browser=False, stop=asyncio.Event()) as screen:
        with pytest.raises(InputError, match="--terminal"):
            async with page(tmp_path, port=screen.port, browser=False, stop=asyncio.Event()):
                raise AssertionError("two listen on one port")
