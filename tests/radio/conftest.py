"""A reader's GATT service on a virtual radio, spoken to through bleak's and bless's own APIs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from bleak import BleakClient, BleakScanner
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.device import BLEDevice
from bless.backends.attribute import GATTAttributePermissions
from bless.backends.characteristic import BlessGATTCharacteristic, GATTCharacteristicProperties
from bumble.device import Device

from protocol import gatt
from protocol.identifiers import ReaderId
from virtual_radio.bleak_backend import backends
from virtual_radio.bless_backend import VirtualBlessServer
from virtual_radio.ether import Ether
from virtual_radio.joining import JoinedRadio

INFO = gatt.ReaderInfo((1,), ReaderId(bytes(range(8))), 1, (0, 1))


@dataclass
class Reader:
    """A bless server with the product's service that records what happens to it."""

    server: VirtualBlessServer
    written: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    writers: list[tuple[str, int]] = field(default_factory=list)
    links: asyncio.Queue[bool] = field(default_factory=asyncio.Queue)
    refuse_with: Exception | None = None

    def on_write(self, characteristic: BlessGATTCharacteristic, value: bytearray) -> None:
        if self.refuse_with:
            raise self.refuse_with
        origin = self.server.current_write
        assert origin
        assert characteristic.uuid == gatt.KEY_UUID
        self.writers.append((origin.central, origin.mtu))
        self.written.put_nowait(bytes(value))

    def on_link(self, _central: str, connected: bool) -> None:
        self.links.put_nowait(connected)

    def notify(self, value: bytes) -> None:
        characteristic = self.server.get_characteristic(gatt.CIPHERTEXT_UUID)
        assert characteristic
        characteristic.value = bytearray(value)
        assert self.server.update_value(gatt.SERVICE_UUID, gatt.CIPHERTEXT_UUID)


async def start_reader(device: Device) -> Reader:
    server = VirtualBlessServer(gatt.device_name(INFO.reader_id), device)
    reader = Reader(server)
    server.on_connection(reader.on_link)
    server.read_request_func = lambda characteristic: characteristic.value
    server.write_request_func = reader.on_write
    await server.add_new_service(gatt.SERVICE_UUID)
    values = {gatt.READER_INFO_UUID: INFO.encode(), gatt.STATUS_UUID: gatt.Status.IDLE.encode()}
    for uuid, properties in gatt.PROPERTIES.items():
        permissions = GATTAttributePermissions.readable | GATTAttributePermissions.writeable
        value = bytearray(values.get(uuid, b""))
        await server.add_new_characteristic(
            gatt.SERVICE_UUID, uuid, GATTCharacteristicProperties(properties.value), value, permissions
        )
    assert await server.start()
    return reader


@dataclass
class Handset:
    """A bleak client and the notifications and disconnects that it saw."""

    client: BleakClient
    notified: asyncio.Queue[bytes]
    gone: asyncio.Event

    async def subscribe(self) -> None:
        def take(_: BleakGATTCharacteristic, value: bytearray) -> None:
            self.notified.put_nowait(bytes(value))

        await self.client.start_notify(gatt.CIPHERTEXT_UUID, take)


async def find_reader(radio: Device | JoinedRadio) -> BLEDevice:
    scanner, _ = backends(radio)
    found = await BleakScanner.find_device_by_filter(
        lambda _, advert: gatt.SERVICE_UUID in advert.service_uuids,
        timeout=5,
        backend=scanner,
        service_uuids=[gatt.SERVICE_UUID],
    )
    assert found
    return found


async def connect(radio: Device | JoinedRadio, *, mtu: int = 517, timeout: float = 5) -> Handset:
    gone = asyncio.Event()
    _, client_class = backends(radio, mtu=mtu)
    client = BleakClient(
        await find_reader(radio), lambda _: gone.set(), timeout=timeout, backend=client_class
    )
    await client.connect()
    return Handset(client, asyncio.Queue(), gone)


Connect = Callable[..., Awaitable[Handset]]
FindReader = Callable[[Device | JoinedRadio], Awaitable[BLEDevice]]
StartReader = Callable[[Device], Awaitable[Reader]]


@pytest.fixture
async def ether() -> AsyncIterator[Ether]:
    async with Ether() as room:
        yield room


@pytest.fixture
async def reader(ether: Ether) -> AsyncIterator[Reader]:
    started = await start_reader(await ether.add_device("reader"))
    yield started
    await started.server.stop()


@pytest.fixture
async def phone(ether: Ether, reader: Reader) -> Device:
    return await ether.add_device("phone")


# pytest's importlib mode lets no test import this file: the functions come as fixtures.
@pytest.fixture(name="connect")
def connect_fixture() -> Connect:
    return connect


@pytest.fixture(name="find_reader")
def find_reader_fixture() -> FindReader:
    return find_reader


@pytest.fixture(name="start_reader")
def start_reader_fixture() -> StartReader:
    return start_reader


@pytest.fixture
def info() -> gatt.ReaderInfo:
    return INFO
