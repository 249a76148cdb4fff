"""The reader's radio on Bumble's virtual controllers, for machines without Bluetooth."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bumble.device import Device

from protocol.errors import InputError
from reader_peripheral.adapters.peripheral_radio import (
    ConnectionCallback,
    RadioError,
    Writer,
    WriteRefused,
)
from virtual_radio.bless_backend import VirtualBlessServer
from virtual_radio.conditions import RadioConditions
from virtual_radio.ether import Ether


class _RefusalError(Exception):
    """Becomes an ATT error in virtual_radio.bless_backend."""

    def __init__(self, why: WriteRefused) -> None:
        super().__init__(why.name)
        self.att_error = int(why)


class VirtualRadio:
    """Implements PeripheralRadio on a device of an ether that somebody else keeps."""

    notification_gap = 0.0

    def __init__(self, device: Device) -> None:
        self._device: Device | None = device
        self._server: VirtualBlessServer | None = None

    async def open(self, name: str, on_connection: ConnectionCallback) -> VirtualBlessServer:
        """A bless server on the device."""
        if self._device is None:
            raise RadioError("The virtual radio is not on the air.")
        self._server = VirtualBlessServer(name, self._device)
        self._server.on_connection(on_connection)
        return self._server

    def writer(self) -> Writer | None:
        """The central whose write is being handled."""
        write = self._server.current_write if self._server else None
        return Writer(write.central, write.mtu) if write else None

    def serve(self, central: str) -> None:
        """Its server tells of every link by itself."""

    def refusal(self, why: WriteRefused) -> Exception:
        """An exception that the virtual server turns into an ATT error."""
        return _RefusalError(why)

    async def disconnect(self, central: str) -> None:
        """Hang up, if it is this one that is there."""
        if self._server and self._server.central == central:
            await self._server.disconnect()

    async def lost(self) -> None:
        """Never: it lives in this process."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Off the air."""
        if self._server:
            await self._server.stop()
            self._server = None


class ServedVirtualRadio(VirtualRadio):
    """A radio in an ether of its own, which phones in other processes join over TCP on loopback."""

    def __init__(
        self, host: str, port: int, capture: Path | None = None, interval_ms: float = 0.0, loss: float = 0.0
    ) -> None:
        """Raises InputError (invalid_radio) where there is no such weather."""
        self._conditions = RadioConditions.asked_for(interval_ms, loss)
        self._device = None
        self._server = None
        self._host, self._port = host, port
        self._capture = capture
        self._ether: Ether | None = None

    async def open(self, name: str, on_connection: ConnectionCallback) -> VirtualBlessServer:
        """Serve the ether, then the server on it; raises RadioError when the port is taken."""
        try:
            self._ether = Ether(self._conditions, self._capture)
            self._device = await self._ether.add_device("reader")
            await self._ether.serve(self._host, self._port)
        except InputError as problem:
            await self.close()
            raise RadioError(str(problem)) from None
        except OSError as problem:
            await self.close()
            raise RadioError(
                f"Port {self._port} on {self._host} cannot be used ({problem.strerror}): is another reader"
                " running? Stop it, or give both programs another port after --radio."
            ) from None
        return await super().open(name, on_connection)

    async def close(self) -> None:
        """Off the air, and the ether with it."""
        await super().close()
        if self._ether:
            ether, self._ether = self._ether, None
            await ether.close()
