"""bleak's client on Linux, with one race taken out of it. Pinned to bleak 3.1.0.

bleak calls `Device1.Connect` on one D-Bus connection and hears of `Connected` on another. When the answer is
read before the property's change, as on a busy or slow machine, it takes the device for disconnected, drops
the fresh connection and fails with "failed to discover services, device disconnected". Here it waits for the
property.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from bleak.backends.bluezdbus.client import BleakClientBlueZDBus
from bleak.backends.bluezdbus.manager import get_global_bluez_manager
from bleak.backends.service import BleakGATTServiceCollection

_CONNECTED_WITHIN: Final = 2.0
"""Seconds for a signal that is on its way already; not longer, since the link may be lost again."""


class BlueZClient(BleakClientBlueZDBus):
    """For `BleakClient(backend=…)`."""

    async def _get_services(
        self, dangerous_use_bleak_cache: bool = False, **kwargs: Any
    ) -> BleakGATTServiceCollection:
        if self._device_path is not None:
            manager = await get_global_bluez_manager()
            try:
                async with asyncio.timeout(_CONNECTED_WITHIN):
                    await manager._wait_condition(self._device_path, "Connected", True)
            except TimeoutError:
                pass  # bleak says in its own words that the device is not connected
        return await super()._get_services(dangerous_use_bleak_cache, **kwargs)
