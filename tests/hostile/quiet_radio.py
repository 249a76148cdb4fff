"""A virtual radio that behaves as BlueZ does: many centrals at once, nobody is told of until he writes."""

from __future__ import annotations

from functools import partial

from bumble import hci
from bumble.device import Connection, Device

from reader_peripheral.adapters.peripheral_radio import ConnectionCallback
from reader_peripheral.adapters.simulated_radio import VirtualRadio
from virtual_radio.bless_backend import VirtualBlessServer, _address


class QuietServer(VirtualBlessServer):
    """Advertises until a central is served, however many are connected; notifies whoever subscribed."""

    def __init__(self, name: str, device: Device) -> None:
        super().__init__(name, device)
        self.links: dict[str, Connection] = {}
        self.served: str | None = None

    def serve(self, central: str) -> None:
        """From now on it alone is there, as far as others can see."""
        self.served, self._central = central, self.links[central]
        self._spawn(self._fall_silent())

    async def hang_up(self, central: str) -> None:
        """Disconnect one of them."""
        if central in self.links:
            await self.links[central].disconnect()

    async def stop(self) -> bool:
        """Everybody off the air."""
        for central in list(self.links):
            await self.hang_up(central)
        return await super().stop()

    def _connected(self, connection: Connection) -> None:
        if connection.role is hci.Role.PERIPHERAL:
            central = _address(connection)
            self.links[central] = connection
            connection.on(Connection.EVENT_DISCONNECTION, partial(self._gone, central))
            self._spawn(self._advertise())

    def _gone(self, central: str, _reason: int) -> None:
        connection = self.links.pop(central)
        if self.served == central:
            self.served = self._central = None
            self._tell(connection, False)
            self._spawn(self._advertise())

    async def _fall_silent(self) -> None:
        async with self._advertising:
            await self._device.stop_advertising()


class QuietRadio(VirtualRadio):
    """The reader's radio on it."""

    _server: QuietServer | None

    async def open(self, name: str, on_connection: ConnectionCallback) -> QuietServer:
        """A server on the device."""
        assert self._device is not None
        self._server = QuietServer(name, self._device)
        self._server.on_connection(on_connection)
        return self._server

    def serve(self, central: str) -> None:
        """Who said HELLO."""
        assert self._server is not None
        self._server.serve(central)

    async def disconnect(self, central: str) -> None:
        """Hang up on one."""
        if self._server is not None:
            await self._server.hang_up(central)
