"""Giving up while connecting, at every moment of it: no link is left that nobody owns."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from bleak import BleakClient
from bleak.exc import BleakError
from bumble.device import Device

from virtual_radio.bleak_backend import backends
from virtual_radio.conditions import RadioConditions
from virtual_radio.ether import Ether

if TYPE_CHECKING:
    from conftest import FindReader, StartReader


@pytest.mark.parametrize("turns", [*range(0, 72, 12), *range(72, 92, 2)])
async def test_a_connect_given_up_leaves_no_link_behind(
    phone: Device, find_reader: FindReader, turns: int
) -> None:
    _, client_class = backends(phone)
    client = BleakClient(await find_reader(phone), timeout=5, backend=client_class)
    connecting = asyncio.create_task(client.connect())
    for _ in range(turns):
        await asyncio.sleep(0)
    connecting.cancel()
    await asyncio.gather(connecting, return_exceptions=True)
    if client.is_connected:
        await client.disconnect()
    # The reader advertises again only when it is connected to nobody.
    assert await find_reader(phone)
    assert not phone.connections


@pytest.mark.parametrize("cancels", [1, 2])
async def test_a_connect_out_of_range_given_up_does_not_happen_later(
    ether: Ether, phone: Device, find_reader: FindReader, cancels: int
) -> None:
    _, client_class = backends(phone)
    client = BleakClient(await find_reader(phone), timeout=5, backend=client_class)
    ether.part()
    connecting = asyncio.create_task(client.connect())
    await asyncio.sleep(0.05)
    for _ in range(cancels):
        connecting.cancel()
        await asyncio.sleep(0)
    await asyncio.gather(connecting, return_exceptions=True)
    ether.meet()
    assert await find_reader(phone)
    assert not phone.connections


async def test_a_connect_that_times_out_does_not_happen_later(
    ether: Ether, phone: Device, find_reader: FindReader
) -> None:
    _, client_class = backends(phone)
    client = BleakClient(await find_reader(phone), timeout=0.1, backend=client_class)
    ether.part()
    with pytest.raises((BleakError, TimeoutError)):
        await client.connect()
    ether.meet()
    assert await find_reader(phone)
    assert not phone.connections


@pytest.mark.parametrize("wait", [0.001, 0.01, 0.03, 0.06, 0.1, 0.2, 0.3, 0.45])
async def test_a_link_cut_while_it_comes_up_leaves_the_reader_free(
    wait: float, start_reader: StartReader, find_reader: FindReader
) -> None:
    async with Ether(RadioConditions(connection_interval=0.03)) as ether:
        await start_reader(await ether.add_device("reader"))
        phone = await ether.add_device("phone")
        _, client_class = backends(phone)
        client = BleakClient(await find_reader(phone), timeout=2, backend=client_class)
        connecting = asyncio.create_task(client.connect())
        await asyncio.sleep(wait)
        ether.part()
        await asyncio.sleep(0)
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        ether.meet()
        assert await find_reader(phone)
        assert not phone.connections
