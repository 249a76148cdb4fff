"""A radio in an ether that another process serves; it comes back by itself when that process does."""

from __future__ import annotations

import asyncio
from typing import Final

from bumble import hci
from bumble.device import Device
from bumble.transport import open_transport
from bumble.transport.common import Transport, TransportLostError

from virtual_radio.endpoint import Endpoint
from virtual_radio.ether import make_device
from virtual_radio.patient_host import PatientHost

_ANSWER_WITHIN: Final = 5.0
"""Seconds for a controller to power on, in which a program that is none would not say a word."""


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
        await self.close()
        host = f"[{self._endpoint.host}]" if ":" in self._endpoint.host else self._endpoint.host
        transport = await open_transport(f"tcp-client:{host}:{self._endpoint.port}")
        device = make_device(self._name, PatientHost(transport.source, transport.sink), self._address)
        try:
            async with asyncio.timeout(_ANSWER_WITHIN):
                await device.power_on()
        except (TimeoutError, TransportLostError):
            await transport.close()
            raise ConnectionError("what answers there is no virtual radio") from None
        self._transport, self._device = transport, device


async def join(host: str, port: int, name: str = "handset") -> JoinedRadio:
    """Join the ether served at `host`:`port`; raises InputError off loopback, ConnectionError without one."""
    radio = JoinedRadio(Endpoint(host, port), name)
    await radio.powered()
    return radio
