"""The reader's radio on BlueZ: bless 0.3.0 and what has to be added to it. Pinned to exactly that release.

What bless 0.3.0 leaves out, each found on bluetoothd 5.66 (its master branch passes the options; no release
does):

- BlueZ names the device, MTU and offset with every read and write; bless drops them. Here a subclass of its
  D-Bus characteristic keeps them while the call is handled.
- A read longer than MTU - 1 comes in pieces with an offset; bless answers each with the whole value.
- An exception in a callback reaches D-Bus with its text and the log with its traceback. Here each becomes a
  bare D-Bus error.
- StopNotify of somebody who never subscribed raises ValueError.
- Nothing tells of disconnects: `Device1.Connected` is watched on the bus. Bonded phones get no StopNotify.
  That a device connects says little: it may be a Bluetooth keyboard. A phone is a device that writes.
- It advertises on while a phone is served, so that a second one comes.
- It puts its name into the adapter's alias and blanks that at the end; a killed process leaves it. Here the
  alias is saved at start and put back at the end.

No `from __future__ import annotations` here: dbus-next reads D-Bus types from the annotations themselves.
"""

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Any

from bless.backends.bluezdbus.dbus.application import BlueZGattApplication
from bless.backends.bluezdbus.dbus.characteristic import BlueZGattCharacteristic
from bless.backends.bluezdbus.dbus.service import BlueZGattService
from bless.backends.bluezdbus.dbus.utils import get_adapter
from bless.backends.bluezdbus.server import BlessServerBlueZDBus
from dbus_next.aio.message_bus import MessageBus
from dbus_next.constants import BusType, MessageType
from dbus_next.errors import DBusError
from dbus_next.message import Message
from dbus_next.service import method
from dbus_next.signature import Variant

from protocol.gatt import DEVICE_NAME_PREFIX
from reader_peripheral.adapters.peripheral_radio import (
    ConnectionCallback,
    RadioError,
    Writer,
    WriteRefused,
)

log = logging.getLogger(__name__)

_BLUEZ = "org.bluez"
_DEVICE = "org.bluez.Device1"
_ADAPTER = "org.bluez.Adapter1"
_PROPERTIES = "org.freedesktop.DBus.Properties"
_DEVICE_ADDRESS = re.compile(r"/dev_((?:[0-9A-F]{2}_){5}[0-9A-F]{2})$")
_SETTLE_SECONDS = 0.05
"""After a disconnect, before advertising again: the controller still ends the connection."""

# What bluetoothd turns into which ATT error (src/gatt-database.c): NotPermitted into 0x03 for a write, Failed
# with a text '0x80' to '0x9f' into that application error.
_DBUS_ERRORS = {
    WriteRefused.NOT_PERMITTED: ("org.bluez.Error.NotPermitted", "0x03"),
    WriteRefused.READER_FAILED: ("org.bluez.Error.Failed", "0x80"),
    WriteRefused.BUSY: ("org.bluez.Error.Failed", "0x81"),
}


def _error(name: str, text: str) -> DBusError:
    return DBusError(name, text)  # type: ignore[no-untyped-call]


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value.value if isinstance(value, Variant) else value for name, value in options.items()}


class _Characteristic(BlueZGattCharacteristic):
    """bless's characteristic, with BlueZ's options kept and errors bare."""

    @method()  # type: ignore[untyped-decorator]
    def ReadValue(self, options: "a{sv}") -> "ay":  # type: ignore # noqa: F722, F821, N802 - D-Bus types
        app: Any = self._service.app
        try:
            value = bytes(app.Read(self))
        except Exception as problem:  # noqa: BLE001 - its text must not reach the bus
            log.error("a read failed: %s", type(problem).__name__)
            value = None
        if value is None:
            raise _error("org.bluez.Error.Failed", "0x80") from None
        return value[int(_plain(options).get("offset", 0)) :]

    @method()  # type: ignore[untyped-decorator]
    def WriteValue(self, value: "ay", options: "a{sv}"):  # type: ignore # noqa: F722, F821, N802 - D-Bus types
        app: Any = self._service.app
        app.write_options = _plain(options)
        refused = None
        try:
            # A prepared (long) write: no frame is that long, and its pieces are not frames.
            if app.write_options.get("offset", 0):
                refused = _error("org.bluez.Error.InvalidOffset", "0x07")
            else:
                app.on_writer(str(app.write_options.get("device", "")))
                app.Write(self, bytes(value))
        except DBusError as refusal:
            refused = refusal
        except Exception as problem:  # noqa: BLE001 - its text must not reach the bus
            log.error("a write failed: %s", type(problem).__name__)
            refused = _error("org.bluez.Error.Failed", "0x80")
        finally:
            app.write_options = None
        if refused is not None:
            raise refused from None

    @method()
    def StopNotify(self):  # type: ignore # noqa: N802 - the D-Bus name
        subscribed = self._service.app.subscribed_characteristics
        if self._uuid in subscribed:
            subscribed.remove(self._uuid)


class _Service(BlueZGattService):
    """bless's service, made of our characteristics (its own method names the class)."""

    async def add_characteristic(self, uuid: str, flags: Any, value: Any) -> _Characteristic:
        characteristic = _Characteristic(uuid, flags, len(self.characteristics) + 1, self)
        characteristic._value = value
        self.characteristics.append(characteristic)
        await self.app._register_object(characteristic)
        return characteristic


class _Application(BlueZGattApplication):
    """bless's application, made of our services.

    `write_options` are those of the write being handled; `on_writer` is told of every device that writes.
    """

    write_options: dict[str, Any] | None = None
    on_writer: Callable[[str], None]

    async def add_service(self, uuid: str) -> _Service:
        index = len(self.services) + 1
        service = _Service(uuid, index == 1, index, self)
        self.services.append(service)
        self.bus.export(service.path, service)
        return service

    async def set_name(self, adapter: Any, name: str) -> None:
        """The alias is the radio's to keep: bless would blank it whenever advertising stops."""


class _Server(BlessServerBlueZDBus):
    """bless's server around our application."""

    async def setup(self) -> None:
        self.bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
        self.app = _Application(self.name, _BLUEZ, self.bus)
        self.app.on_writer = lambda _: None
        self.app.Read = self.read
        self.app.Write = self.write
        self.app.StartNotify = lambda _: None
        self.app.StopNotify = lambda _: None
        self.adapter = await get_adapter(self.bus, self._adapter)


class BluezRadio:
    """Implements PeripheralRadio on a Bluetooth adapter of this machine: hci0, or the one named."""

    # dbus-next stops silently when its socket is full: this leaves bluetoothd time to read it.
    notification_gap = 0.002

    def __init__(self, adapter: str | None = None) -> None:
        self._adapter = adapter
        self._server: _Server | None = None
        self._bus: MessageBus | None = None
        self._alias: str | None = None
        self._on_connection: ConnectionCallback | None = None
        self._phones: set[str] = set()
        self._advertising = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    async def open(self, name: str, on_connection: ConnectionCallback) -> _Server:
        """A bless server on the adapter; raises RadioError."""
        self._on_connection = on_connection
        server = _Server(name, loop=asyncio.get_running_loop(), adapter=self._adapter)
        try:
            await server.setup_task
        except Exception as problem:  # noqa: BLE001 - bless raises plain Exception, dbus-next a dozen kinds
            raise RadioError(
                f"Bluetooth cannot be used ({type(problem).__name__}). Is bluetoothd running (systemctl"
                " status bluetooth), is an adapter there (bluetoothctl list), may this user use D-Bus?"
                " Without Bluetooth: --radio virtual-serve:127.0.0.1:7901"
            ) from None
        self._server, self._bus = server, server.bus
        if not await self._get(server.adapter.path, _ADAPTER, "Powered"):
            await self._set(server.adapter.path, _ADAPTER, "Powered", Variant("b", True))
        alias = str(await self._get(server.adapter.path, _ADAPTER, "Alias") or "")
        # Left by a reader that was killed; an empty alias gives the adapter its own name back.
        self._alias = "" if alias.startswith(DEVICE_NAME_PREFIX) else alias
        await self._set(server.adapter.path, _ADAPTER, "Alias", Variant("s", name))
        app: Any = server.app
        app.on_writer = self._phone_writes
        await self._watch(server)
        return server

    def writer(self) -> Writer | None:
        """The device of the write being handled."""
        app: Any = self._server.app if self._server else None
        options = app.write_options if app else None
        if not options or "device" not in options:
            return None
        mtu = options.get("mtu")
        return Writer(str(options["device"]), int(mtu) if mtu else None)

    def refusal(self, why: WriteRefused) -> Exception:
        """A D-Bus error that bluetoothd turns into an ATT error."""
        return _error(*_DBUS_ERRORS[why])

    async def disconnect(self, central: str) -> None:
        """Device1.Disconnect; a device that is gone is no error."""
        if self._server is None or not _DEVICE_ADDRESS.search(central):
            return
        await self._call(central, _DEVICE, "Disconnect")

    async def close(self) -> None:
        """Take the service down and give the adapter its name back."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        server, self._server = self._server, None
        if server is None or self._bus is None:
            return
        if self._alias is not None:
            await self._set(server.adapter.path, _ADAPTER, "Alias", Variant("s", self._alias))
        # bluetoothd takes down what a client registered when that leaves the bus, also when half made.
        bus, self._bus = self._bus, None
        bus.disconnect()  # type: ignore[no-untyped-call]

    async def _watch(self, server: _Server) -> None:
        """Hear of every device of this adapter that disconnects."""
        path = server.adapter.path

        def on_message(message: Any) -> None:
            if (
                message.message_type is MessageType.SIGNAL
                and message.member == "PropertiesChanged"
                and str(message.path or "").startswith(path + "/dev_")
                and message.body[0] == _DEVICE
                and "Connected" in message.body[1]
                and not message.body[1]["Connected"].value
            ):
                self._phone_gone(str(message.path))

        server.bus.add_message_handler(on_message)
        rule = (
            f"type='signal',sender='{_BLUEZ}',interface='{_PROPERTIES}',member='PropertiesChanged',"
            f"path_namespace='{path}',arg0='{_DEVICE}'"
        )
        await server.bus.call(
            Message(
                destination="org.freedesktop.DBus",
                path="/org/freedesktop/DBus",
                interface="org.freedesktop.DBus",
                member="AddMatch",
                signature="s",
                body=[rule],
            )
        )

    def _phone_writes(self, device: str) -> None:
        if device and device not in self._phones and not self._closing:
            self._phones.add(device)
            self._changed(device, connected=True)

    def _phone_gone(self, device: str) -> None:
        if device in self._phones and not self._closing:
            self._phones.discard(device)
            self._changed(device, connected=False)

    def _changed(self, device: str, *, connected: bool) -> None:
        if self._on_connection is not None:
            self._on_connection(device, connected)
        task = asyncio.get_running_loop().create_task(self._advertise_when_free())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _advertise_when_free(self) -> None:
        """Advertise exactly while no phone is served; BlueZ takes one advertisement once."""
        async with self._advertising:
            server = self._server
            if server is None:
                return
            advertises, wanted = bool(server.app.advertisements), not self._phones
            if advertises == wanted:
                return
            try:
                if wanted:
                    await asyncio.sleep(_SETTLE_SECONDS)
                    await server.app.start_advertising(server.adapter)
                else:
                    await server.app.stop_advertising(server.adapter)
            except DBusError as problem:
                log.warning("advertising could not be switched: %s", problem.type)

    async def _get(self, path: str, interface: str, name: str) -> Any:
        reply = await self._call(path, _PROPERTIES, "Get", "ss", [interface, name])
        return reply.body[0].value if reply is not None and reply.body else None

    async def _set(self, path: str, interface: str, name: str, value: Variant) -> None:
        await self._call(path, _PROPERTIES, "Set", "ssv", [interface, name, value])

    async def _call(
        self, path: str, interface: str, member: str, signature: str = "", body: list[Any] | None = None
    ) -> Any:
        """A D-Bus call to bluetoothd; None when it answers with an error, which is logged by name."""
        if self._bus is None:
            return None
        message = Message(
            destination=_BLUEZ,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=body or [],
        )
        reply = await self._bus.call(message)
        if reply is None or reply.message_type is MessageType.ERROR:
            log.info("%s.%s: %s", interface, member, reply.error_name if reply else "no answer")
            return None
        return reply
