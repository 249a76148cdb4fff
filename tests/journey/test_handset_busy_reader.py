"""A reader that serves another phone: the person is told, and the payment goes on once it is free."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from handset_client.adapters.bleak_link import Backends, BleakReaderLink
from handset_client.adapters.link_session import LinkSettings
from handset_client.effects import Notice, NoticeKind
from handset_client.ports import ReaderReady
from handset_client.wording import Language, notice_text
from tests.journey.parties import Parties, Times, parties
from virtual_radio.bleak_backend import backends

TIMES = Times(link=replace(Times().link, scan=0.3))


async def another_phone(world: Parties, settings: LinkSettings) -> BleakReaderLink:
    """Somebody else's phone, which has a session with the reader when this returns."""
    scanner, client = backends(await world.ether.add_device("another phone"))
    link = BleakReaderLink(settings, Backends(scanner, client))
    link.connect()
    async with asyncio.timeout(10):
        while not isinstance(await link.next_event(), ReaderReady):
            pass
    return link


async def test_a_reader_in_use_is_waited_for(tmp_path: Path) -> None:
    async with parties(tmp_path, TIMES) as world:
        other = await another_phone(world, TIMES.link)
        payment_id = await world.ask()
        missing = Notice(NoticeKind.READER_NOT_FOUND)
        await world.person.phone.told.until(lambda what: what == missing)
        assert "another phone" in notice_text(missing)
        assert "別の電話" in notice_text(missing, Language.JAPANESE)
        await other.close()
        assert (await world.outcome(payment_id)).completed
