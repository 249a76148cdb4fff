"""Giving up while connecting, at every moment of it: no link is left that nobody owns."""

from __future__ import annotations

import asyncio

import pytest
from bleak import BleakClient
from bumble.device import Device

from virtual_radio.bleak_backend import backends


@pytest.mark.parametrize("turns", range(0, 90, 3))
async def test_a_connect_given_up_leaves_no_link_behind(phone: Device, find_reader, turns: int) -> None:  # type: ignore[no-untyped-def]
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
