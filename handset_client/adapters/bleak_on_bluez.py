"""bleak's client on Linux, with two flaws taken out of it. Pinned to bleak 3.1.0.

- bleak calls `Device1.Connect` on one D-Bus connection and hears of `Connected` on another. When the answer
  is read before the property's change, as on a busy or slow machine, it takes the device for disconnected,
  drops the fresh connection and fails with "failed to discover services, device disconnected". Here it waits
  for the property.
- A bluetoothd that is killed takes its connections along without a word. bleak goes on believing in them: no
  callback is called, and what it knows of devices and services is that daemon's for ever. It does have an
  answer to a D-Bus connection that was lost, which is the same thing to it: so that is what it is told.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, ClassVar, Final

from bleak.backends.bluezdbus.client import BleakClientBlueZDBus
from bleak.backends.bluezdbus.manager import get_global_bluez_manager
from bleak.backends.bluezdbus.signals import MatchRules, add_match
from bleak.backends.service import BleakGATTServiceCollection
from dbus_fast.aio.message_bus import MessageBus
from dbus_fast.message import Message

_log = logging.getLogger(__name__)

_CONNECTED_WITHIN: Final = 2.0
"""Seconds for a signal that is on its way already; not longer, since the link may be lost again."""
_BUS: Final = "org.freedesktop.DBus"
_BLUEZ: Final = "org.bluez"


class BlueZClient(BleakClientBlueZDBus):
    """For `BleakClient(backend=…)`."""

    _watched: ClassVar[MessageBus | None] = None
    """The D-Bus connection of bleak's manager, which all clients share, on which the daemon is watched."""

    async def connect(self, pair: bool, dangerous_use_bleak_cache: bool = False, **kwargs: Any) -> None:
        """As bleak's, hearing of the daemon's end from now on."""
        bus = (await get_global_bluez_manager())._bus
        if bus is not None and bus is not BlueZClient._watched:
            BlueZClient._watched = bus
            await _watch_daemon(bus)
        await super().connect(pair, dangerous_use_bleak_cache, **kwargs)

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


async def _watch_daemon(bus: MessageBus) -> None:
    def on_message(message: Message) -> None:
        if message.sender == _BUS and message.member == "NameOwnerChanged":
            name, _, owner = message.body
            if name == _BLUEZ and not owner:
                _log.info("bluetoothd has ended")
                bus.disconnect()

    bus.add_message_handler(on_message)
    await add_match(bus, MatchRules(interface=_BUS, member="NameOwnerChanged", arg0=_BLUEZ))
