"""A mocked system bus and adapter under the reader's BlueZ radio, and devices that write to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from dbus_next.constants import MessageType
from dbus_next.errors import DBusError
from dbus_next.message import Message
from dbus_next.service import ServiceInterface
from dbus_next.signature import Variant

from protocol import gatt
from reader_peripheral.adapters import bless_on_bluez, bluez_radio
from reader_peripheral.adapters.bluez_radio import BluezRadio
from reader_peripheral.adapters.peripheral_radio import Writer

ADAPTER = "/org/bluez/hci0"
PHONE = f"{ADAPTER}/dev_AA_BB_CC_DD_EE_01"
OTHER = f"{ADAPTER}/dev_AA_BB_CC_DD_EE_02"
NOT_CONNECTED = "org.bluez.Error.NotConnected"
NO_REPLY = "org.freedesktop.DBus.Error.NoReply"


class MockBus:
    """A system bus with a bluetoothd that agrees to everything."""

    def __init__(self, alias: str = "raspberrypi", powered: bool = True) -> None:
        self.properties: dict[str, Any] = {"Alias": alias, "Powered": powered}
        self.others: dict[str, Any] = {"Paired": False, "Pairable": False}
        self.blocked = False
        """As with rfkill: `Powered` is not taken."""
        self.hangs = False
        self._stream, self._sock = BytesIO(), BytesIO()
        self.end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.calls: list[Message] = []
        self.handlers: list[Callable[[Message], None]] = []
        self.exported: list[str] = []
        self.disconnected = False
        self.silent = False
        self.links: dict[str, bool] = {}
        """What `Connected` of a device says; True where nothing was said."""

    def add_message_handler(self, handler: Callable[[Message], None]) -> None:
        self.handlers.append(handler)

    def export(self, path: str, _interface: object) -> None:
        self.exported.append(path)

    def unexport(self, path: str, _interface: object = None) -> None:
        self.exported.remove(path)

    async def call(self, message: Message) -> Message:
        self.calls.append(message)
        if self.silent:
            return Message(message_type=MessageType.ERROR, reply_serial=1, error_name=NO_REPLY)
        if self.hangs:
            await asyncio.Event().wait()
        if message.member == "Disconnect" and not self.links.get(str(message.path), True):
            return Message(message_type=MessageType.ERROR, reply_serial=1, error_name=NOT_CONNECTED)
        if message.member == "Set" and not (self.blocked and message.body[1] == "Powered"):
            self.properties[message.body[1]] = message.body[2].value
        body: list[Any] = []
        if message.member == "Get":
            name = message.body[1]
            link = self.links.get(str(message.path), True)
            value = link if name == "Connected" else {**self.properties, **self.others}[name]
            body = [Variant("b" if isinstance(value, bool) else "s", value)]
        signature = "v" if body else ""
        return Message(message_type=MessageType.METHOD_RETURN, reply_serial=1, signature=signature, body=body)

    def disconnect(self) -> None:
        self.disconnected = True

    async def wait_for_disconnect(self) -> None:
        await self.end

    def say_connected(self, path: str, connected: bool, interface: str = "org.bluez.Device1") -> None:
        self.links[path] = connected
        self.say_changed(path, interface, "Connected", connected)

    def say_powered(self, powered: bool) -> None:
        self.properties["Powered"] = powered
        self.say_changed(ADAPTER, "org.bluez.Adapter1", "Powered", powered)

    def say_new(self, path: str) -> None:
        """A device that was never seen: it is connected when it is told of."""
        device = {"org.bluez.Device1": {"Connected": Variant("b", True), "Paired": Variant("b", False)}}
        self.say("InterfacesAdded", "oa{sa{sv}}", [path, device])

    def say_changed(self, path: str, interface: str, name: str, value: bool) -> None:
        signal = Message(
            message_type=MessageType.SIGNAL,
            path=path,
            interface="org.freedesktop.DBus.Properties",
            member="PropertiesChanged",
            signature="sa{sv}as",
            body=[interface, {name: Variant("b", value)}, []],
        )
        for handler in self.handlers:
            handler(signal)

    def say_owner(self, owner: str, name: str = "org.bluez") -> None:
        self.say("NameOwnerChanged", "sss", [name, "" if owner else ":1.5", owner])

    def say(self, member: str, signature: str, body: list[Any]) -> None:
        signal = Message(
            message_type=MessageType.SIGNAL,
            path="/",
            interface="org.freedesktop.DBus",
            member=member,
            signature=signature,
            body=body,
        )
        for handler in self.handlers:
            handler(signal)

    def hung_up(self) -> list[str]:
        return [str(call.path) for call in self.calls if call.member == "Disconnect"]


class MockAdapter:
    """What bless calls a proxy object: remembers registered advertisements."""

    path = ADAPTER

    def __init__(self) -> None:
        self.log: list[str] = []
        self.refuses = 0
        self.refusal = DBusError("org.bluez.Error.Failed", "not yet")
        self.asked_for: list[str | None] = []

    def get_interface(self, _name: str) -> MockAdapter:
        return self

    async def call_register_application(self, _path: str, _options: object) -> None:
        self.log.append("application")

    async def call_unregister_application(self, _path: str) -> None:
        self.log.append("no application")

    async def call_register_advertisement(self, _path: str, _options: object) -> None:
        if self.refuses:
            self.refuses -= 1
            raise self.refusal
        self.log.append("advertise")

    async def call_unregister_advertisement(self, _path: str) -> None:
        self.log.append("silent")


def mock_bluez(monkeypatch: pytest.MonkeyPatch, bus: MockBus, adapter: MockAdapter) -> None:
    """Let every BluezRadio find this bus and this adapter, and wait for nothing."""

    class Connecting:
        def __init__(self, **_: object) -> None:
            pass

        async def connect(self) -> MockBus:
            return bus

    async def get_adapter(_bus: object, name: str | None) -> MockAdapter:
        adapter.asked_for.append(name)
        return adapter

    monkeypatch.setattr(bless_on_bluez, "_QuietBus", Connecting)
    monkeypatch.setattr(bless_on_bluez, "get_adapter", get_adapter)
    monkeypatch.setattr(bluez_radio, "_SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(bluez_radio, "_RETRY_SECONDS", 0.0)


def write_value(exported: Any, value: bytes, device: str, **options: int) -> None:
    """As bluetoothd writes to an exported characteristic."""
    (method,) = [m for m in ServiceInterface._get_methods(exported) if m.name == "WriteValue"]
    plain = {name: Variant("q", number) for name, number in options.items()}
    method.fn(exported, value, {"device": Variant("o", device), **plain})


class Air:
    """A started radio with one characteristic."""

    def __init__(self) -> None:
        self.radio = BluezRadio()
        self.news: list[tuple[str, bool]] = []
        self.server: Any = None
        self.written: list[tuple[str, bytes, Writer | None]] = []

    async def up(self) -> Air:
        self.server = await self.radio.open("BR-0a1b", lambda central, up: self.news.append((central, up)))
        self.server.read_request_func = lambda _characteristic: bytearray(range(100))
        self.server.write_request_func = self.take
        await self.server.add_new_service(gatt.SERVICE_UUID)
        from bless.backends.attribute import GATTAttributePermissions
        from bless.backends.characteristic import GATTCharacteristicProperties

        await self.server.add_new_characteristic(
            gatt.SERVICE_UUID,
            gatt.KEY_UUID,
            GATTCharacteristicProperties.write,
            None,
            GATTAttributePermissions.writeable,
        )
        await self.server.start()
        return self

    def take(self, characteristic: Any, value: bytearray) -> None:
        self.written.append((characteristic.uuid, bytes(value), self.radio.writer()))

    @property
    def dbus(self) -> Any:
        return self.server.app.services[0].characteristics[0]

    def call(self, name: str, *arguments: Any) -> Any:
        """As dbus-next calls a method of an exported interface."""
        (method,) = [m for m in ServiceInterface._get_methods(self.dbus) if m.name == name]
        return method.fn(self.dbus, *arguments)

    def write(self, value: bytes, device: str = PHONE, **options: int) -> None:
        write_value(self.dbus, value, device, **options)


async def turns() -> None:
    for _ in range(50):
        await asyncio.sleep(0)
