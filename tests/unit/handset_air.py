"""A mocked bleak scanner and client (bleak's own backend classes), with a reader's channel at the far end.

Faults are planned by name: `air.plan("write", 3, BleakError("…"))` fails the third write from now on.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from bleak.args import SizedBuffer
from bleak.backends.adapter import BaseBleakAdapter
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient, NotifyCallback
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakError

from handset_client.adapters.bleak_link import Backends
from protocol import framing, gatt
from protocol.identifiers import ReaderId
from protocol.messages import MessageType

READER = ReaderId(bytes.fromhex("0a1b2c3d4e5f6071"))
HELLO = b"a reader's hello, opaque to the phone"

Action = BaseException | Callable[[], Any]


class MockReader:
    """The far end: the same framing as a real reader, and nothing of its mind."""

    def __init__(self, air: MockAir, reader_id: ReaderId, address: str) -> None:
        self.air = air
        self.address = address
        self.reader_id = reader_id
        self.info = gatt.ReaderInfo((1,), reader_id, 1, (0, 1)).encode()
        self.name: str | None = gatt.device_name(reader_id)
        self.advertised_services = [gatt.SERVICE_UUID]
        self.rssi = -50
        self.channel = framing.Channel(framing.Role.PERIPHERAL)
        self.received: list[tuple[MessageType, bytes]] = []
        self.delivered: list[int] = []
        self.hellos = 0
        self.on_values: Callable[[list[bytes]], list[bytes]] = lambda values: values
        """Lets a test drop, repeat or reorder notifications."""
        self.client: MockClient | None = None
        self._timer: asyncio.TimerHandle | None = None

    def forget_session(self) -> None:
        """As after a power cut."""
        self.channel = framing.Channel(framing.Role.PERIPHERAL)

    def say(self, kind: MessageType, data: bytes) -> None:
        self.channel.send(kind, data, _now())
        self.flush()

    def link_up(self, client: MockClient) -> None:
        self.client = client
        self.channel.connected(_now(), self.air.value_size)

    def link_down(self) -> None:
        self.client = None
        self.channel.disconnected(_now())

    def take(self, value: bytes) -> None:
        self._heed(self.channel.receive(value, _now()))
        self.flush()

    def flush(self) -> None:
        """Notify what the channel has to say, one turn of the loop later, as a radio would."""
        client = self.client
        values = self.on_values(self.channel.values_to_send())
        loop = asyncio.get_running_loop()
        for value in values:
            loop.call_soon(self._notify, client, value)
        if self._timer is not None:
            self._timer.cancel()
        if (deadline := self.channel.deadline()) is not None and client is not None:
            self._timer = loop.call_at(deadline, self._time)

    def _notify(self, client: MockClient | None, value: bytes) -> None:
        if client is not None and client is self.client:
            client.notify(gatt.CIPHERTEXT_UUID, value)

    def _time(self) -> None:
        self._heed(self.channel.handle_timer(_now()))
        self.flush()

    def _heed(self, events: list[framing.Event]) -> None:
        for event in events:
            match event:
                case framing.Connected(resumed=False):
                    self.hellos += 1
                    self.channel.send(MessageType.READER_HELLO, HELLO + b"%d" % self.hellos, _now())
                case framing.MessageReceived(kind, payload):
                    self.received.append((kind, payload))
                case framing.Delivered(message_id):
                    self.delivered.append(message_id)


class MockAir:
    """What is in the room, what goes wrong, and a record of every call to bleak's back end."""

    def __init__(self, *, value_size: int = 509) -> None:
        self.readers: list[MockReader] = []
        self.value_size = value_size
        self.platform_size = value_size
        self.calls: list[tuple[str, Any]] = []
        self.scan_filters: list[list[str] | None] = []
        self.left_connected: list[MockReader] = []
        self.key_properties: list[Any] = ["write"]
        self._planned: dict[str, dict[int, Action]] = defaultdict(dict)
        self._counted: dict[str, int] = defaultdict(int)
        self.open_links: list[MockClient] = []

    def add(self, reader_id: ReaderId = READER, address: str = "C0:00:00:00:00:01") -> MockReader:
        reader = MockReader(self, reader_id, address)
        self.readers.append(reader)
        return reader

    def plan(self, name: str, nth: int, action: Action) -> None:
        """At the `nth` call of `name` from now on (1 is the next): raise it, or run it first."""
        self._planned[name][self._counted[name] + nth] = action

    def count(self, name: str) -> int:
        return self._counted[name]

    async def at(self, name: str, detail: Any = None) -> None:
        self.calls.append((name, detail))
        self._counted[name] += 1
        action = self._planned[name].pop(self._counted[name], None)
        if isinstance(action, BaseException):
            raise action
        if action is not None:
            result = action()
            if asyncio.iscoroutine(result):
                await result
        await asyncio.sleep(0)

    def drop_links(self) -> None:
        """Every link goes down without a word, as when somebody walks away."""
        for client in list(self.open_links):
            client.drop()

    def backends(self) -> Backends:
        bound = {"air": self}
        return Backends(
            type("ScannerOfThisAir", (MockScanner,), bound),
            type("ClientOfThisAir", (MockClient,), bound),
            type("AdapterOfThisAir", (MockAdapter,), bound),
        )


class MockScanner(BaseBleakScanner):
    """Advertises every reader of the air that nobody is connected to."""

    air: MockAir

    def __init__(self, detection_callback: Any, service_uuids: Any, scanning_mode: Any, **_: Any) -> None:
        super().__init__(detection_callback, service_uuids)
        self.air.scan_filters.append(service_uuids)
        self._advertising: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self.air.at("scan")
        self.seen_devices = {}
        self._advertising = asyncio.create_task(self._advertise())

    async def _advertise(self) -> None:
        while True:
            for reader in self.air.readers:
                busy = reader.client is not None or reader in self.air.left_connected
                if busy or not self.is_allowed_uuid(reader.advertised_services):
                    continue
                advert = AdvertisementData(
                    reader.name, {}, {}, reader.advertised_services, None, reader.rssi, ()
                )
                device = self.create_or_update_device(
                    reader.address, reader.address, reader.name, reader, advert
                )
                self.call_detection_callbacks(device, advert)
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        await self.air.at("scan stop")
        if self._advertising is not None:
            self._advertising.cancel()
            await asyncio.gather(self._advertising, return_exceptions=True)


class MockAdapter(BaseBleakAdapter):
    """Knows the links that an earlier process left behind."""

    air: MockAir

    @classmethod
    async def get(cls, **_: Any) -> MockAdapter:
        return cls()

    async def get_connected_devices(self, service_uuids: frozenset[str]) -> list[BLEDevice]:
        return [BLEDevice(reader.address, reader.name, reader) for reader in self.air.left_connected]


class MockClient(BaseBleakClient):
    """One connection to one mocked reader."""

    air: MockAir

    def __init__(self, address_or_ble_device: Any, *, services: Any = None, **options: Any) -> None:
        assert isinstance(address_or_ble_device, BLEDevice), "an address alone makes bleak scan again"
        super().__init__(
            address_or_ble_device,
            disconnected_callback=options["disconnected_callback"],
            timeout=options["timeout"],
        )
        assert services == {gatt.SERVICE_UUID}
        self.reader: MockReader = address_or_ble_device.details
        self.callbacks: dict[str, NotifyCallback] = {}
        self.up = False

    @property
    def mtu_size(self) -> int:
        return 23  # what BlueZ always says

    @property
    def is_connected(self) -> bool:
        return self.up

    async def connect(self, pair: bool, **_: Any) -> None:
        await self.air.at("connect", self.address)
        service = BleakGATTService(None, 1, gatt.SERVICE_UUID)
        services = BleakGATTServiceCollection()
        services.add_service(service)
        properties = {
            gatt.READER_INFO_UUID: ["read"],
            gatt.KEY_UUID: self.air.key_properties,
            gatt.CIPHERTEXT_UUID: ["notify"],
            gatt.STATUS_UUID: ["read", "notify"],
        }
        for handle, (uuid, allowed) in enumerate(properties.items(), 2):
            services.add_characteristic(
                BleakGATTCharacteristic(None, handle, uuid, allowed, lambda: self.air.platform_size, service)
            )
        self.services = services
        self.up = True
        self.air.open_links.append(self)
        self.reader.link_up(self)

    async def disconnect(self) -> None:
        await self.air.at("disconnect")
        self.drop()

    def drop(self) -> None:
        if self.up:
            self.up = False
            self.air.open_links.remove(self)
            self.reader.link_down()
            if self._disconnected_callback is not None:
                self._disconnected_callback()

    def notify(self, uuid: str, value: bytes) -> None:
        if self.up and uuid in self.callbacks:
            self.callbacks[uuid](bytearray(value))

    async def read_gatt_char(self, characteristic: BleakGATTCharacteristic, **_: Any) -> bytearray:
        await self.air.at("read", characteristic.uuid)
        self._must_be_up()
        return bytearray(self.reader.info)

    async def write_gatt_char(
        self, characteristic: BleakGATTCharacteristic, data: SizedBuffer, response: bool
    ) -> None:
        assert response is True, "Key is written with response"
        assert characteristic.uuid == gatt.KEY_UUID
        assert gatt.CIPHERTEXT_UUID in self.callbacks, "subscribe before the first write"
        value = bytes(data)
        assert len(value) <= self.air.value_size
        await self.air.at("write", value)
        self._must_be_up()
        self.reader.take(value)

    async def start_notify(
        self, characteristic: BleakGATTCharacteristic, callback: NotifyCallback, **_: Any
    ) -> None:
        await self.air.at("subscribe", characteristic.uuid)
        self._must_be_up()
        self.callbacks[characteristic.uuid] = callback

    def _must_be_up(self) -> None:
        if not self.up:
            raise BleakError("Not connected")

    async def pair(self, *_: Any, **__: Any) -> None:
        raise NotImplementedError

    async def unpair(self) -> None:
        raise NotImplementedError

    async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
        raise NotImplementedError

    async def read_gatt_descriptor(self, descriptor: BleakGATTDescriptor, **_: Any) -> bytearray:
        raise NotImplementedError

    async def write_gatt_descriptor(self, descriptor: BleakGATTDescriptor, data: SizedBuffer) -> None:
        raise NotImplementedError


def _now() -> float:
    return asyncio.get_running_loop().time()
