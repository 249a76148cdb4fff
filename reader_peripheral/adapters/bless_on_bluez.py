"""bless 0.3.0 on BlueZ with what has to be added to it: server, application, characteristics. Pinned to it.

What bless 0.3.0 leaves out, each found on bluetoothd 5.66 (its master branch passes the options; no release
does):

- BlueZ names the device, MTU and offset with every read and write; bless drops them. Here a subclass of its
  D-Bus characteristic keeps them while the call is handled.
- A read longer than MTU - 1 comes in pieces with an offset; bless answers each with the whole value.
- An exception in a callback reaches D-Bus with its text and the log with its traceback. Here each becomes a
  bare D-Bus error.
- StopNotify of somebody who never subscribed raises ValueError.
- It blanks the adapter's alias whenever advertising stops, and takes for advertised what was refused.
- What bluetoothd refuses at the start is a D-Bus error, and an answer that never comes is waited for.
- dbus-next 0.2.3 answers with the error that a method raised, and then logs its traceback all the same.

No `from __future__ import annotations` here: dbus-next reads D-Bus types from the annotations themselves.
"""

import asyncio
import logging
from typing import Any, Final

from bless.backends.bluezdbus.dbus.application import BlueZGattApplication
from bless.backends.bluezdbus.dbus.characteristic import BlueZGattCharacteristic
from bless.backends.bluezdbus.dbus.service import BlueZGattService
from bless.backends.bluezdbus.dbus.utils import get_adapter
from bless.backends.bluezdbus.server import BlessServerBlueZDBus
from dbus_next.aio.message_bus import MessageBus
from dbus_next.constants import BusType
from dbus_next.errors import DBusError
from dbus_next.service import method
from dbus_next.signature import Variant

from reader_peripheral.adapters.peripheral_radio import RadioError
from reader_peripheral.remedies import ours

log = logging.getLogger(__name__)

BLUEZ = "org.bluez"
ANSWER_SECONDS: Final = 10.0
"""So long bluetoothd has for an answer; the longest it takes is for power, below a second."""
BUS_TROUBLE: Final = (DBusError, OSError, EOFError)
"""What a call may end with: an error as the answer, none in time, or a bus that is gone."""


def trouble_name(problem: BaseException) -> str:
    """What may be logged of it."""
    return str(problem.type) if isinstance(problem, DBusError) else type(problem).__name__


_EXISTS = "org.bluez.Error.AlreadyExists"


def bare_error(name: str, text: str) -> DBusError:
    """A D-Bus error; bluetoothd makes an ATT error of it (src/gatt-database.c)."""
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
            raise bare_error("org.bluez.Error.Failed", "0x80") from None
        return value[int(_plain(options).get("offset", 0)) :]

    @method()  # type: ignore[untyped-decorator]
    def WriteValue(self, value: "ay", options: "a{sv}"):  # type: ignore # noqa: F722, F821, N802 - D-Bus types
        app: Any = self._service.app
        app.write_options = _plain(options)
        refused = None
        try:
            # A prepared (long) write: no frame is that long, and its pieces are not frames.
            if app.write_options.get("offset", 0):
                refused = bare_error("org.bluez.Error.InvalidOffset", "0x07")
            else:
                app.Write(self, bytes(value))
        except DBusError as refusal:
            refused = refusal
        except Exception as problem:  # noqa: BLE001 - its text must not reach the bus
            log.error("a write failed: %s", type(problem).__name__)
            refused = bare_error("org.bluez.Error.Failed", "0x80")
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


class Application(BlueZGattApplication):
    """bless's application, made of our services.

    `write_options` are those of the write being handled.
    """

    write_options: dict[str, Any] | None = None

    async def add_service(self, uuid: str) -> _Service:
        index = len(self.services) + 1
        service = _Service(uuid, index == 1, index, self)
        self.services.append(service)
        self.bus.export(service.path, service)
        return service

    async def set_name(self, adapter: Any, name: str) -> None:
        """The alias is the radio's to keep: bless would blank it whenever advertising stops."""

    async def start_advertising(self, adapter: Any) -> None:
        """As bless does; what bluetoothd refuses, or never answers, is not counted as advertised."""
        try:
            await super().start_advertising(adapter)
        except BaseException as problem:
            path = self.advertisements[-1].path if self.advertisements else None
            self.forget_advertisements()
            if path and isinstance(problem, DBusError) and problem.type == _EXISTS:
                # Its answer to an earlier try never came: the next try finds the place free.
                manager = adapter.get_interface("org.bluez.LEAdvertisingManager1")
                await manager.call_unregister_advertisement(path)
            raise

    async def stop_advertising(self, adapter: Any) -> None:
        """As bless does; what bluetoothd no longer knows must not bar the next one from its place."""
        advertisement = self.advertisements[-1]
        try:
            await super().stop_advertising(adapter)
        except BaseException:
            self.bus.unexport(advertisement.path, advertisement)
            raise

    def forget_advertisements(self) -> None:
        """bluetoothd has forgotten them too."""
        for advertisement in self.advertisements:
            self.bus.unexport(advertisement.path, advertisement)
        self.advertisements.clear()


class _QuietBus(MessageBus):
    """dbus-next's bus, whose answer of an error is the end of it."""

    def _send_reply(self, msg: Any) -> Any:
        reply = super()._send_reply(msg)  # type: ignore[no-untyped-call]
        # A class made for this one reply; its __exit__ forgets to say that the exception is dealt with.
        type(reply).__exit__ = type(reply)._exit
        return reply


class BlueZServer(BlessServerBlueZDBus):
    """bless's server around our application."""

    app: Application

    async def setup(self) -> None:
        self.bus = await _QuietBus(bus_type=BusType.SYSTEM).connect()
        self.app = Application(self.name, BLUEZ, self.bus)
        self.app.Read = self.read
        self.app.Write = self.write
        self.app.StartNotify = lambda _: None
        self.app.StopNotify = lambda _: None
        self.adapter = await get_adapter(self.bus, self._adapter)

    async def start(self, **options: Any) -> bool:
        """As bless does; raises RadioError."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return bool(await super().start(**options))
        except BUS_TROUBLE as problem:
            raise RadioError(_remedy(problem)) from None


def _remedy(problem: BaseException) -> str:
    if isinstance(problem, DBusError) and "Maximum advertisements" in problem.text:
        return (
            "Another program advertises on this Bluetooth adapter, which does no more at a time. End it, or"
            f" give the reader an adapter of its own, such as: {ours('run --adapter hci1')}"
        )
    return (
        f"Bluetooth lets the reader not advertise ({trouble_name(problem)}). If it is blocked, run:"
        f" sudo rfkill unblock bluetooth; to find out why, run: {ours('doctor')}"
    )
