"""A scan or a connection that is given up at any moment leaves the virtual radio usable and the log quiet."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from virtual_radio.ether import Ether


@pytest.mark.parametrize("turns", range(12))
async def test_a_command_may_be_abandoned_at_any_turn_of_the_loop(turns: int) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    async with Ether() as ether:
        device = await ether.add_device("phone")
        scanning = asyncio.create_task(device.start_scanning())
        for _ in range(turns):
            await asyncio.sleep(0)
        scanning.cancel()
        await asyncio.wait([scanning])
        for _ in range(10):
            await asyncio.sleep(0)
        await device.stop_scanning()
        await device.start_scanning()
        assert device.is_scanning
    assert complaints == []
