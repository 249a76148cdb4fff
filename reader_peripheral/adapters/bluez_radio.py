"""The reader's radio on BlueZ: who comes and goes, when to advertise, bluetoothd or adapter lost and back.

Beside what bless itself lacks (bless_on_bluez.py), found on bluetoothd 5.66:

- Nothing tells of disconnects: `Device1.Connected` is watched on the bus. Bonded phones get no StopNotify.
  That a device connects says little: it may be a Bluetooth keyboard. That it writes says as little: it may
  be anybody. A phone is a device that said HELLO, which is the link's to judge (`serve`).
- bless advertises on while a phone is served, so that a second one comes.
- bless puts its name into the adapter's alias; a killed process leaves it. Here the alias is saved at start
  and put back at the end.
- A bluetoothd that was restarted, and an adapter that was plugged in again, know nothing of the service: it
  is registered anew.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Coroutine
from typing import Any

from dbus_next.aio.message_bus import MessageBus
from dbus_next.constants import MessageType
from dbus_next.errors import DBusError
from dbus_next.message import Message
from dbus_next.signature import Variant

from protocol.gatt import DEVICE_NAME_PREFIX
from reader_peripheral.adapters.bless_on_bluez import BLUEZ, BlueZServer, bare_error
from reader_peripheral.adapters.peripheral_radio import (
    ConnectionCallback,
    RadioError,
    Writer,
    WriteRefused,
)
from reader_peripheral.remedies import ours, without_bluetooth

log = logging.getLogger(__name__)

_DEVICE = "org.bluez.Device1"
_ADAPTER = "org.bluez.Adapter1"
_PROPERTIES = "org.freedesktop.DBus.Properties"
_BUS = "org.freedesktop.DBus"
_DEVICE_ADDRESS = re.compile(r"/dev_((?:[0-9A-F]{2}_){5}[0-9A-F]{2})$")
_SETTLE_SECONDS = 0.05
"""After a disconnect, before advertising again: the controller still ends the connection."""
_RETRY_SECONDS = 1.0
"""Between two looks for a bluetoothd or an adapter that went away."""

# What bluetoothd turns into which ATT error (src/gatt-database.c): NotPermitted into 0x03 for a write, Failed
# with a text '0x80' to '0x9f' into that application error.
_DBUS_ERRORS = {
    WriteRefused.NOT_PERMITTED: ("org.bluez.Error.NotPermitted", "0x03"),
    WriteRefused.READER_FAILED: ("org.bluez.Error.Failed", "0x80"),
    WriteRefused.BUSY: ("org.bluez.Error.Failed", "0x81"),
}


class BluezRadio:
    """Implements PeripheralRadio on a Bluetooth adapter of this machine: hci0, or the one named."""

    # dbus-next stops silently when its socket is full: this leaves bluetoothd time to read it.
    notification_gap = 0.002

    def __init__(self, adapter: str | None = None) -> None:
        self._adapter = adapter
        self._server: BlueZServer | None = None
        self._bus: MessageBus | None = None
        self._name = ""
        self._alias: str | None = None
        self._losses = 0
        self._coming_back = False
        self._on_connection: ConnectionCallback | None = None
        self._phones: set[str] = set()
        self._advertising = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    async def open(self, name: str, on_connection: ConnectionCallback) -> BlueZServer:
        """A bless server on the adapter; raises RadioError."""
        self._on_connection = on_connection
        server = BlueZServer(name, loop=asyncio.get_running_loop(), adapter=self._adapter)
        try:
            await server.setup_task
        except Exception as problem:  # noqa: BLE001 - bless raises plain Exception, dbus-next a dozen kinds
            raise RadioError(
                f"Bluetooth cannot be used ({type(problem).__name__}). {without_bluetooth()}"
                f"To find out why, run: {ours('doctor')}"
            ) from None
        self._server, self._bus = server, server.bus
        self._name = name
        await self._prepare_adapter(server)
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

    def serve(self, central: str) -> None:
        """Advertise no more until it is gone."""
        if central not in self._phones and not self._closing:
            self._phones.add(central)
            self._spawn(self._advertise_when_free())
            self._spawn(self._still_there(central))

    def refusal(self, why: WriteRefused) -> Exception:
        """A D-Bus error that bluetoothd turns into an ATT error."""
        return bare_error(*_DBUS_ERRORS[why])

    async def disconnect(self, central: str) -> None:
        """Device1.Disconnect; a device that is gone is no error."""
        if self._server is None or not _DEVICE_ADDRESS.search(central):
            return
        if await self._call(central, _DEVICE, "Disconnect") is None:
            self._phone_gone(central)  # nobody will tell

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

    async def _prepare_adapter(self, server: BlueZServer) -> bool:
        """Switch it on and name it; False while it does not answer."""
        path = server.adapter.path
        powered = await self._get(path, _ADAPTER, "Powered")
        if powered is None:
            return False
        if not powered:
            await self._set(path, _ADAPTER, "Powered", Variant("b", True))
        alias = str(await self._get(path, _ADAPTER, "Alias") or "")
        if self._alias is None:
            # Left by a reader that was killed; an empty alias gives the adapter its own name back.
            self._alias = "" if alias.startswith(DEVICE_NAME_PREFIX) else alias
        await self._set(path, _ADAPTER, "Alias", Variant("s", self._name))
        return True

    async def _watch(self, server: BlueZServer) -> None:
        """Hear of devices that disconnect, and of bluetoothd and the adapter when they go."""
        path = server.adapter.path
        server.bus.add_message_handler(lambda message: self._on_message(path, message))
        for rule in (
            f"sender='{BLUEZ}',interface='{_PROPERTIES}',member='PropertiesChanged',"
            f"path_namespace='{path}',arg0='{_DEVICE}'",
            f"sender='{BLUEZ}',interface='{_BUS}.ObjectManager',member='InterfacesRemoved',arg0path='{path}'",
            f"sender='{_BUS}',interface='{_BUS}',member='NameOwnerChanged',arg0='{BLUEZ}'",
        ):
            await server.bus.call(
                Message(
                    destination=_BUS,
                    path="/org/freedesktop/DBus",
                    interface=_BUS,
                    member="AddMatch",
                    signature="s",
                    body=[f"type='signal',{rule}"],
                )
            )

    def _on_message(self, adapter: str, message: Message) -> None:
        """dbus-next shows every message; only the signals asked for above matter."""
        if message.message_type is not MessageType.SIGNAL or self._closing:
            return
        match message.member, message.body:
            case "PropertiesChanged", [str(interface), {"Connected": connected}, _]:
                path = str(message.path)
                if interface == _DEVICE and path.startswith(adapter + "/dev_") and not connected.value:
                    self._phone_gone(path)
            case "NameOwnerChanged", [str(name), _, ""] if name == BLUEZ:
                self._lost("bluetoothd has ended")
            case "InterfacesRemoved", [str(path), list(gone)] if path == adapter and _ADAPTER in gone:
                self._lost("the Bluetooth adapter is gone")

    def _lost(self, what: str) -> None:
        """Every phone is gone with it. Look out for it until it is back."""
        log.warning("%s: waiting for it to come back", what)
        self._losses += 1
        if not self._coming_back:
            self._coming_back = True
            self._spawn(self._come_back())
        for device in list(self._phones):
            self._phone_gone(device)

    async def _come_back(self) -> None:
        """Register everything anew, once there is somebody to register with."""
        async with self._advertising:
            while (server := self._server) is not None:
                losses = self._losses
                server.app.forget_advertisements()
                await asyncio.sleep(_RETRY_SECONDS)
                try:
                    if await self._prepare_adapter(server):
                        await server.app.register(server.adapter)
                        await server.app.start_advertising(server.adapter)
                        if losses == self._losses:
                            break
                except DBusError as problem:
                    # It is half there: take back what it may have taken.
                    log.info("registering again: %s", problem.type)
                    await self._unregister(server)
            self._coming_back = False
        log.warning("Bluetooth is back")

    async def _unregister(self, server: BlueZServer) -> None:
        try:
            await server.app.unregister(server.adapter)
        except DBusError:
            pass  # it had not taken it

    async def _still_there(self, device: str) -> None:
        """A HELLO may be read after its link is gone, which was told before anybody cared."""
        if not await self._get(device, _DEVICE, "Connected"):
            self._phone_gone(device)

    def _phone_gone(self, device: str) -> None:
        if device in self._phones and not self._closing:
            self._phones.discard(device)
            if self._on_connection is not None:
                self._on_connection(device, False)
            self._spawn(self._advertise_when_free())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
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
            destination=BLUEZ,
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
