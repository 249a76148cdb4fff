"""Strangers at a reader whose radio lets many connect, as BlueZ does: none of them keeps the phone out."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from bleak import BleakClient, BleakScanner
from bleak.exc import BleakError

from protocol import gatt
from protocol.frames import VERSION, Alive, Cancel, CancelReason, Hello
from reader_peripheral.settings import Limits
from tests.hostile.quiet_radio import QuietRadio, QuietServer
from tests.hostile.tricks import assert_it_cost_nothing
from tests.journey import parties as parties_file
from tests.journey.parties import Parties, Times, parties
from tests.journey.person import OWN_CARD, Person
from virtual_radio.bleak_backend import backends

SAID = (Alive(gatt.Status.IDLE).encode(), Cancel(CancelReason.USER).encode(), os.urandom(200), bytes(510))
HELLOS = tuple(Hello(VERSION, known, 510, 99, 0, 0).encode() for known in (False, True))


@pytest.fixture(autouse=True)
def as_bluez(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader of these tests is on a radio like BlueZ's."""
    monkeypatch.setattr(parties_file, "VirtualRadio", QuietRadio)


class Stranger:
    """Somebody with a Bluetooth client and no reason to be here."""

    def __init__(self, client: BleakClient) -> None:
        self._client = client
        self.heard: list[bytes] = []

    @property
    def connected(self) -> bool:
        return self._client.is_connected

    async def come(self) -> None:
        """Connect and listen to everything that can be heard."""
        await self._client.connect()
        await self._client.start_notify(
            gatt.CIPHERTEXT_UUID, lambda _, value: self.heard.append(bytes(value))
        )

    def _hear(self, _: object, value: bytearray) -> None:
        self.heard.append(bytes(value))

    async def write(self, value: bytes) -> None:
        """To the Key characteristic; refused or not is the reader's business."""
        with suppress(BleakError):
            await self._client.write_gatt_char(gatt.KEY_UUID, value, response=True)

    async def pester(self, times: int, said: Sequence[bytes] = SAID) -> None:
        """Come, write, be hung up on, come again."""
        for number in range(times):
            with suppress(BleakError, TimeoutError):
                if not self.connected:
                    await self.come()
                await self.write(said[number % len(said)])
            await asyncio.sleep(0.01)


@asynccontextmanager
async def stranger(world: Parties) -> AsyncIterator[Stranger]:
    """Found as anybody finds a reader: by its service."""
    scanner, client = backends(await world.ether.add_device("stranger"))
    found = await BleakScanner.find_device_by_filter(
        lambda _, advert: gatt.SERVICE_UUID in advert.service_uuids, timeout=5, backend=scanner
    )
    assert found is not None
    there = BleakClient(found, timeout=2, backend=client)
    yield Stranger(there)
    with suppress(BleakError):
        await there.disconnect()


def radio(world: Parties) -> QuietServer:
    server = world.reader.service._link._radio._server  # type: ignore[attr-defined]
    assert isinstance(server, QuietServer)
    return server


async def test_a_stranger_who_writes_anything_but_hello_is_shown_out_and_the_phone_pays(
    tmp_path: Path,
) -> None:
    async with parties(tmp_path) as world, stranger(world) as crook:
        before = await world.balances()
        await crook.come()
        assert len(radio(world).links) == 1
        await crook.write(SAID[0])
        assert radio(world).served is None, "a write alone made it the one that is served"
        await world.until(lambda: not crook.connected)
        pestering = asyncio.create_task(crook.pester(40))
        await assert_it_cost_nothing(world, before, await world.ask())
        await pestering


async def test_a_stranger_who_only_listens_does_not_stand_in_the_way(tmp_path: Path) -> None:
    async with parties(tmp_path) as world, stranger(world) as listener:
        before = await world.balances()
        await listener.come()
        await assert_it_cost_nothing(world, before, await world.ask())
        assert listener.connected


async def test_a_phone_that_lost_its_link_comes_back_past_a_stranger_who_waited_for_that(
    tmp_path: Path,
) -> None:
    times = Times(reader=Limits(resume_seconds=20.0))
    async with parties(tmp_path, times, person=Person(card=None)) as world, stranger(world) as crook:
        before = await world.balances()
        payment_id = await world.ask()
        await world.person.swiper.arming.until(lambda _: True)
        server = radio(world)
        phone = server.served
        assert phone is not None
        world.ether.cut()
        pestering = asyncio.create_task(crook.pester(40, (*HELLOS, *SAID)))
        await world.until(lambda: server.served is not None)
        assert server.served == phone
        world.person.swiper.swipe(OWN_CARD)
        await assert_it_cost_nothing(world, before, payment_id)
        await pestering
