"""bleak's scanner and client over a virtual radio: `BleakScanner(backend=…)`, `BleakClient(backend=…)`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, ClassVar, Final, TypeVar

from bleak.args import SizedBuffer
from bleak.assigned_numbers import gatt_char_props_to_strs
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient, NotifyCallback
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, AdvertisementDataCallback, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakDeviceNotFoundError, BleakError, BleakGATTProtocolError
from bleak.uuids import normalize_uuid_str
from bumble import att, core, hci
from bumble.core import AdvertisingData
from bumble.device import Advertisement, Connection, Device, Peer
from bumble.transport.common import TransportLostError

from virtual_radio.joining import JoinedRadio
from virtual_radio.patient_client import PatientClient

ATT_MTU: Final = 517
"""What BlueZ asks for when it connects."""
_ATT_HEADER: Final = 3
_T = TypeVar("_T")


def backends(
    radio: Device | JoinedRadio, *, mtu: int = ATT_MTU
) -> tuple[type[BaseBleakScanner], type[BaseBleakClient]]:
    """The scanner and client classes that use this radio; `mtu` is what the client asks for, 23 to 517."""

    async def powered() -> Device:
        if isinstance(radio, JoinedRadio):
            try:
                return await radio.powered()
            except (OSError, core.BaseBumbleError) as error:
                raise BleakError("the virtual radio's ether is not served") from error
        return radio

    def ether_lost() -> bool:
        return isinstance(radio, JoinedRadio) and radio.lost

    power = {"powered": staticmethod(powered), "ether_lost": staticmethod(ether_lost)}
    client = type("VirtualClient", (_Client,), {**power, "wanted_mtu": mtu})
    return type("VirtualScanner", (_Scanner,), power), client


class _Scanner(BaseBleakScanner):
    powered: ClassVar[Callable[[], Awaitable[Device]]]
    ether_lost: ClassVar[Callable[[], bool]]

    def __init__(
        self,
        detection_callback: AdvertisementDataCallback | None,
        service_uuids: list[str] | None,
        scanning_mode: str = "active",
        **_: Any,
    ) -> None:
        super().__init__(detection_callback, service_uuids)
        self._active = scanning_mode == "active"
        self._device: Device | None = None

    async def start(self) -> None:
        self.seen_devices = {}
        device = await type(self).powered()
        try:
            await device.start_scanning(active=self._active)
        except core.BaseBumbleError as error:
            raise BleakError("the virtual radio's ether is gone") from error
        # Nothing is awaited since: no advert is missed.
        device.on(Device.EVENT_ADVERTISEMENT, self._heard)
        self._device = device

    async def stop(self) -> None:
        device, self._device = self._device, None
        if device:
            device.remove_listener(Device.EVENT_ADVERTISEMENT, self._heard)
            # A controller that is gone answers no command: Bumble would wait ten seconds for it.
            if not type(self).ether_lost():
                with suppress(core.BaseBumbleError):
                    await device.stop_scanning()

    def _heard(self, advert: Advertisement) -> None:
        kinds = AdvertisingData.Type
        uuids = [
            _text(uuid)
            for kind in (
                kinds.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS,
                kinds.INCOMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS,
                kinds.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS,
                kinds.INCOMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS,
            )
            for uuid in advert.data.get(kind) or []
        ]
        if not self.is_allowed_uuid(uuids):
            return
        name = advert.data.get(kinds.COMPLETE_LOCAL_NAME) or advert.data.get(kinds.SHORTENED_LOCAL_NAME)
        data = AdvertisementData(name, {}, {}, uuids, None, advert.rssi, (advert,))
        address = advert.address.to_string(False)
        found = self.create_or_update_device(address, address, name, advert.address, data)
        self.call_detection_callbacks(found, data)


class _Client(BaseBleakClient):
    powered: ClassVar[Callable[[], Awaitable[Device]]]
    ether_lost: ClassVar[Callable[[], bool]]
    wanted_mtu: ClassVar[int]

    def __init__(
        self,
        address_or_ble_device: BLEDevice | str,
        *,
        disconnected_callback: Callable[[], None] | None,
        timeout: float,
        services: set[str] | None = None,
        **_: Any,
    ) -> None:
        super().__init__(address_or_ble_device, disconnected_callback=disconnected_callback, timeout=timeout)
        if isinstance(address_or_ble_device, BLEDevice):
            self._target: hci.Address = address_or_ble_device.details
        else:
            self._target = hci.Address(address_or_ble_device)
        self._wanted_services = services
        self._device: Device | None = None
        self._connection: Connection | None = None
        self._peer: Peer | None = None
        self._subscriptions: dict[int, Callable[[bytes], None]] = {}

    @property
    def name(self) -> str:
        return self.address.replace(":", "-")

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    @property
    def mtu_size(self) -> int:
        return self._connection.att_mtu if self._connection else att.ATT_DEFAULT_MTU

    async def connect(self, pair: bool, **_: Any) -> None:
        if self._connection:
            raise BleakError("Client is already connected")
        self._device = await type(self).powered()
        connecting = asyncio.ensure_future(self._device.connect(self._target, timeout=self._timeout))
        try:
            connection = await asyncio.shield(connecting)
        except core.TimeoutError as error:
            raise BleakDeviceNotFoundError(self.address, "no advert was heard") from error
        except core.BaseBumbleError as error:
            raise BleakError("failed to connect") from error
        except asyncio.CancelledError:
            if type(self).ether_lost():
                raise BleakError("the virtual radio's ether is gone") from None
            # It is we who are cancelled, perhaps more than once: what was begun is ended all the same.
            ending = asyncio.ensure_future(_give_up(self._device, connecting))
            _ENDINGS.add(ending)
            ending.add_done_callback(_ENDINGS.discard)
            await asyncio.shield(ending)
            raise
        if self._device.connections.get(connection.handle) is not connection:
            raise BleakError("failed to connect: the link was lost at once")
        self._connection = connection
        connection.on(Connection.EVENT_DISCONNECTION, self._on_disconnected)
        connection.gatt_client = PatientClient(connection)
        self._peer = Peer(connection)
        try:
            if pair:
                await self.pair()
            await self._asking(self._peer.request_mtu(self.wanted_mtu))
            self.services = await self._asking(self._discover(self._peer))
        except BaseException:
            await self.disconnect()
            raise

    async def disconnect(self) -> None:
        if self._connection:
            # Lost on its own while we were saying goodbye: that is what was wanted.
            with suppress(core.BaseBumbleError, hci.HCI_Error, TransportLostError, asyncio.InvalidStateError):
                await self._connection.disconnect()

    async def pair(self, *_: Any, **__: Any) -> None:
        await self._asking(self._here().pair())

    async def unpair(self) -> None:
        raise NotImplementedError("the virtual radio keeps no bonds")

    async def read_gatt_char(self, characteristic: BleakGATTCharacteristic, **_: Any) -> bytearray:
        return await self._read(characteristic.handle)

    async def read_gatt_descriptor(self, descriptor: BleakGATTDescriptor, **_: Any) -> bytearray:
        return await self._read(descriptor.handle)

    async def write_gatt_char(
        self, characteristic: BleakGATTCharacteristic, data: SizedBuffer, response: bool
    ) -> None:
        client = self._peer_here().gatt_client
        if len(data) > self.mtu_size - _ATT_HEADER:
            raise BleakError(f"{len(data)} bytes do not fit one write at MTU {self.mtu_size}")
        await self._asking(client.write_value(characteristic.handle, bytes(data), response))

    async def write_gatt_descriptor(self, descriptor: BleakGATTDescriptor, data: SizedBuffer) -> None:
        client = self._peer_here().gatt_client
        await self._asking(client.write_value(descriptor.handle, bytes(data), True))

    async def start_notify(
        self, characteristic: BleakGATTCharacteristic, callback: NotifyCallback, **_: Any
    ) -> None:
        def on_value(value: bytes) -> None:
            callback(bytearray(value))

        self._peer_here()
        self._subscriptions[characteristic.handle] = on_value
        await self._asking(characteristic.obj.subscribe(on_value))

    async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
        self._peer_here()
        subscriber = self._subscriptions.pop(characteristic.handle, None)
        await self._asking(characteristic.obj.unsubscribe(subscriber))

    async def _read(self, handle: int) -> bytearray:
        return bytearray(await self._asking(self._peer_here().gatt_client.read_value(handle)))

    async def _discover(self, peer: Peer) -> BleakGATTServiceCollection:
        found = BleakGATTServiceCollection()
        for service in await peer.discover_services():
            if self._wanted_services and _text(service.uuid) not in self._wanted_services:
                continue
            ours = BleakGATTService(service, service.handle, _text(service.uuid))
            found.add_service(ours)
            for item in await service.discover_characteristics():
                properties = list(gatt_char_props_to_strs(item.properties))
                characteristic = BleakGATTCharacteristic(
                    item, item.handle, _text(item.uuid), properties, lambda: self.mtu_size - _ATT_HEADER, ours
                )
                found.add_characteristic(characteristic)
                for part in await item.discover_descriptors():
                    found.add_descriptor(
                        BleakGATTDescriptor(part, part.handle, _text(part.type), characteristic)
                    )
        return found

    def _on_disconnected(self, _reason: int) -> None:
        self._connection = self._peer = self.services = None
        self._subscriptions.clear()
        if self._disconnected_callback:
            self._disconnected_callback()

    def _here(self) -> Connection:
        if self._connection is None:
            raise BleakError("Not connected")
        return self._connection

    def _peer_here(self) -> Peer:
        self._here()
        assert self._peer
        return self._peer

    async def _asking(self, request: Awaitable[_T]) -> _T:
        """Await an ATT request. Bumble cancels it on a disconnect: a BleakError, not the end of our task."""
        connection = self._connection
        try:
            return await request
        except att.ATT_Error as error:
            raise BleakGATTProtocolError(error.error_code) from error
        except core.InvalidStateError as error:
            raise BleakError("disconnected") from error
        except (TransportLostError, TimeoutError) as error:
            raise BleakError("the link is lost") from error
        except asyncio.CancelledError:
            if self._connection is connection:
                raise
            raise BleakError("disconnected") from None


_ENDINGS: Final[set[asyncio.Future[None]]] = set()
"""Connects being given up; the loop itself holds its tasks weakly."""
_GIVING_UP: Final = 2.0
"""Seconds for the controller to answer; an ether that died never does."""


async def _give_up(device: Device, connecting: asyncio.Future[Connection]) -> None:
    """End a connect whose caller has gone. Bumble loses sight of a link made behind a cancelled call.

    Such a link would keep the peripheral from advertising for good, so the call is left to finish: the
    controller ends it with a failure, or with the link that was just made, which is then taken down.
    """
    with suppress(hci.HCI_Error, TransportLostError, TimeoutError):
        await device.send_sync_command(hci.HCI_LE_Create_Connection_Cancel_Command())
    await asyncio.wait([connecting], timeout=_GIVING_UP)
    if not connecting.done():
        connecting.cancel()
    elif not connecting.cancelled() and connecting.exception() is None:
        with suppress(core.BaseBumbleError, hci.HCI_Error, TransportLostError, asyncio.InvalidStateError):
            await connecting.result().disconnect()


def _text(uuid: core.UUID) -> str:
    return normalize_uuid_str(uuid.to_hex_str("-"))
