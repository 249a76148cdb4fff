"""A radio in an ether that another process serves; it comes back by itself when that process does."""

from __future__ import annotations

import asyncio

from bumble import hci
from bumble.device import Device
from bumble.host import Host
from bumble.transport import open_transport
from bumble.transport.common import Transport

from virtual_radio.endpoint import Endpoint
from virtual_radio.ether import make_device


class JoinedRadio:
    """One radio of this process in somebody else's ether, with one address for its whole life."""

    def __init__(self, endpoint: Endpoint, name: str) -> None:
        self._endpoint = endpoint
        self._name = name
        self._address = hci.Address.generate_static_address()
        self._transport: Transport | None = None
        self._device: Device | None = None
        self._joining = asyncio.Lock()

    @property
    def lost(self) -> bool:
        """Whether the ether is gone, with all its links, until `powered` joins again."""
        return self._transport is None or self._transport.source.terminated.done()

    async def powered(self) -> Device:
        """The device, after joining (again) where needed; ConnectionError when nobody serves the ether."""
        async with self._joining:
            if self.lost:
                await self._join()
            assert self._device
            return self._device

    async def close(self) -> None:
        """Leave the room."""
        if self._transport:
            await self._transport.close()
        self._transport = self._device = None

    async def _join(self) -> None:
        host = f"[{self._endpoint.host}]" if ":" in self._endpoint.host else self._endpoint.host
        self._transport = await open_transport(f"tcp-client:{host}:{self._endpoint.port}")
        self._device = make_device(
            self._name, Host(self._transport.source, self._transport.sink), self._address
        )
        await self._device.power_on()


async def join(host: str, port: int, name: str = "handset") -> JoinedRadio:
    """Join the ether served at `host`:`port`; raises InputError off loopback, ConnectionError without one."""
    radio = JoinedRadio(Endpoint(host, port), name)
    await radio.powered()
    return radio
