"""bless's server over a virtual radio: what `BlessServer` is on BlueZ, and what bless leaves out there.

Beside bless's own API it tells who is connected (`on_connection`), which central wrote and with what MTU
(`current_write`), and lets the reader drop a link (`disconnect`). Access is checked as BlueZ does it: by
property.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Final, cast
from uuid import UUID

from bless.backends.attribute import GATTAttributePermissions
from bless.backends.characteristic import GATTCharacteristicProperties
from bless.backends.descriptor import GATTDescriptorProperties
from bless.backends.server import BaseBlessServer
from bless.backends.service import BlessGATTService
from bumble import att, core, hci
from bumble.core import AdvertisingData
from bumble.device import Connection, Device
from bumble.gatt import Characteristic, Service

from virtual_radio.attributes import VirtualCharacteristic, VirtualDescriptor, VirtualService
from virtual_radio.checked_server import CheckedServer

logger = logging.getLogger(__name__)

ConnectionCallback = Callable[[str, bool], None]
"""Called with a central's address and whether it is connected now."""

_ADVERT_SIZE: Final = 31


@dataclass(frozen=True, slots=True)
class Write:
    """Who writes, and the ATT MTU of its link: BlueZ's `device` and `mtu` options."""

    central: str
    mtu: int


class VirtualBlessServer(BaseBlessServer):
    """A peripheral on `device`, advertising `name` and its services while nobody is connected.

    Use it as bless's server: set `read_request_func` (characteristic → bytearray) and `write_request_func`
    (characteristic, value), add services and characteristics, `start`, `update_value` to notify. A callback
    that raises becomes an ATT error: its `att_error` attribute if it has one, else 'unlikely error'; its
    text goes nowhere.
    """

    def __init__(self, name: str, device: Device, loop: asyncio.AbstractEventLoop | None = None) -> None:
        super().__init__(loop=loop or asyncio.get_running_loop())
        self.services: dict[str, BlessGATTService] = {}
        self.name = name
        self.current_write: Write | None = None
        self._device = device
        self._central: Connection | None = None
        self._running = False
        self._on_connection: ConnectionCallback | None = None
        self._gatt: CheckedServer | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._advertising = asyncio.Lock()  # Bumble loses its way when started and stopped at once

    def on_connection(self, callback: ConnectionCallback) -> None:
        """Have `callback` told of every central that connects and disconnects."""
        self._on_connection = callback

    @property
    def central(self) -> str | None:
        """The address of the connected central."""
        return _address(self._central) if self._central else None

    @property
    def mtu(self) -> int:
        """The ATT MTU of the present link, 23 without one."""
        return self._central.att_mtu if self._central else att.ATT_DEFAULT_MTU

    async def start(self, **_: Any) -> bool:
        """Register the services and advertise."""
        if self._running:
            return True
        self._gatt = self._device.gatt_server = CheckedServer(self._device)
        self._device.add_default_services(add_gap_service=True, add_gatt_service=True)
        for service in cast("Iterable[VirtualService]", self.services.values()):
            served = [self._serve(characteristic) for characteristic in service.virtual_characteristics()]
            self._device.add_service(Service(service.uuid, served))
        self._device.on(Device.EVENT_CONNECTION, self._connected)
        self._running = True
        await self._advertise()
        return True

    async def stop(self) -> bool:
        """Drop the central, stop advertising."""
        if self._running:
            self._running = False
            self._device.remove_listener(Device.EVENT_CONNECTION, self._connected)
            async with self._advertising:
                await self._device.stop_advertising()
            await self.disconnect()
        return True

    async def disconnect(self) -> None:
        """Drop the link to the central, if there is one."""
        if self._central:
            try:
                await self._central.disconnect()
            except (core.BaseBumbleError, asyncio.InvalidStateError):
                pass  # it went by itself meanwhile

    async def is_connected(self) -> bool:
        return self._central is not None

    async def is_advertising(self) -> bool:
        return bool(self._device.is_advertising)

    async def add_new_service(self, uuid: str) -> None:
        service = VirtualService(str(UUID(uuid)))
        await service.init(self)
        self.services[service.uuid] = service

    async def add_new_characteristic(
        self,
        service_uuid: str,
        char_uuid: str,
        properties: GATTCharacteristicProperties,
        value: bytearray | None,
        permissions: GATTAttributePermissions,
    ) -> None:
        service = self.services[str(UUID(service_uuid))]
        characteristic = VirtualCharacteristic(str(UUID(char_uuid)), properties, permissions, value)
        await characteristic.init(service)
        service.add_characteristic(characteristic)

    async def add_new_descriptor(
        self,
        service_uuid: str,
        char_uuid: str,
        desc_uuid: str,
        properties: GATTDescriptorProperties,
        value: bytearray | None,
        permissions: GATTAttributePermissions,
    ) -> None:
        characteristic = self.services[str(UUID(service_uuid))].get_characteristic(char_uuid)
        characteristic.add_descriptor(VirtualDescriptor(str(UUID(desc_uuid)), properties, permissions, value))

    def update_value(self, service_uuid: str, char_uuid: str) -> bool:
        """Notify the characteristic's value to whoever subscribed, cut to MTU - 3 as BlueZ does."""
        service = self.services.get(str(UUID(service_uuid)))
        characteristic = service.get_characteristic(char_uuid) if service else None
        if not isinstance(characteristic, VirtualCharacteristic) or self._gatt is None:
            return False
        if characteristic.attribute:
            self._gatt.notify_now(characteristic.attribute, bytes(characteristic.value))
        return True

    def _serve(self, characteristic: VirtualCharacteristic) -> Characteristic[bytes]:
        def read(_: Connection) -> bytes:
            try:
                return bytes(self.read_request(characteristic.uuid))
            except Exception as error:  # noqa: BLE001 - whatever it is, the central learns a code and no text
                raise _as_att_error(error) from None

        def write(central: Connection, value: bytes) -> None:
            self.current_write = Write(_address(central), central.att_mtu)
            try:
                self.write_request(characteristic.uuid, bytearray(value))
            except Exception as error:  # noqa: BLE001 - whatever it is, the central learns a code and no text
                raise _as_att_error(error) from None
            finally:
                self.current_write = None

        return characteristic.build(att.AttributeValue(read, write))

    async def _advertise(self) -> None:
        async with self._advertising:
            if self._running and self._central is None and self._device.powered_on:
                await self._device.start_advertising(advertising_data=self._advert())

    def _advert(self) -> bytes:
        kinds = AdvertisingData.Type
        flags = AdvertisingData.LE_GENERAL_DISCOVERABLE_MODE_FLAG | AdvertisingData.BR_EDR_NOT_SUPPORTED_FLAG
        uuids = b"".join(core.UUID(uuid).to_bytes() for uuid in list(self.services)[:1])
        advert = bytes(
            AdvertisingData(
                [
                    (kinds.FLAGS, bytes([flags])),
                    (kinds.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS, uuids),
                ]
            )
        )
        room = _ADVERT_SIZE - len(advert) - 2
        name = self.name.encode()
        kind = kinds.COMPLETE_LOCAL_NAME if len(name) <= room else kinds.SHORTENED_LOCAL_NAME
        return advert + bytes(AdvertisingData([(kind, name[:room])]))

    def _connected(self, connection: Connection) -> None:
        if connection.role is not hci.Role.PERIPHERAL:
            return
        if self._central is not None or not self._running:
            self._spawn(self._refuse(connection))
            return
        self._central = connection
        connection.on(Connection.EVENT_DISCONNECTION, self._disconnected)
        self._tell(connection, True)

    def _disconnected(self, _reason: int) -> None:
        gone, self._central = self._central, None
        if gone:
            self._tell(gone, False)
        if self._running:
            self._spawn(self._advertise())

    async def _refuse(self, connection: Connection) -> None:
        """Two centrals answered one advert, or one came while we stop: there is no room for it."""
        try:
            await connection.disconnect(
                hci.HCI_ErrorCode.REMOTE_DEVICE_TERMINATED_CONNECTION_DUE_TO_LOW_RESOURCES_ERROR
            )
        except (core.BaseBumbleError, asyncio.InvalidStateError):
            pass  # it went by itself meanwhile

    def _tell(self, central: Connection, connected: bool) -> None:
        if self._on_connection:
            self._on_connection(_address(central), connected)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _address(connection: Connection) -> str:
    return str(connection.peer_address.to_string(False))


def _as_att_error(error: Exception) -> att.ATT_Error:
    """What the central sees of a refusal: a code, no words, for words may hold what it must not learn."""
    if isinstance(error, att.ATT_Error):
        return error
    code = getattr(error, "att_error", None)
    if not isinstance(code, int):
        logger.warning("a request of the central failed: %s", type(error).__name__)
        code = att.ATT_UNLIKELY_ERROR_ERROR
    return att.ATT_Error(code)
