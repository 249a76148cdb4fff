"""The reader's radio on BlueZ: who comes and goes, when to advertise, bluetoothd or adapter lost and back.

Beside what bless itself lacks (bless_on_bluez.py), found on bluetoothd 5.66:

- Nothing tells of disconnects: `Device1.Connected` is watched on the bus. Bonded phones get no StopNotify.
  That a device connects says little: it may be a Bluetooth keyboard. That it writes says as little: it may
  be anybody. A phone is a device that said HELLO, which is the link's to judge (`serve`). Who is not paired
  and never does is hung up on: a chip holds few links, and some cannot be found while they hold one.
- bless advertises on while a phone is served, so that a second one comes.
- bless puts its name into the adapter's alias; a killed process leaves it. Here the alias is saved at start
  and put back at the end.
- A bluetoothd that was restarted, and an adapter that was plugged in again, know nothing of the service: it
  is registered anew. An adapter that was switched off forgets the advertisement alone.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Coroutine
from typing import Any, Final

from dbus_next.errors import DBusError
from dbus_next.message import Message
from dbus_next.signature import Variant

from protocol import framing
from protocol.gatt import DEVICE_NAME_PREFIX
from reader_peripheral.adapters.bless_on_bluez import (
    ANSWER_SECONDS,
    BLUEZ,
    BUS_TROUBLE,
    BlueZServer,
    bare_error,
    trouble_name,
)
from reader_peripheral.adapters.bluez_bus import ADAPTER, DEVICE, BluezBus
from reader_peripheral.adapters.peripheral_radio import (
    ConnectionCallback,
    RadioError,
    Writer,
    WriteRefused,
)
from reader_peripheral.remedies import ours, without_bluetooth

log = logging.getLogger(__name__)

_DEVICE_ADDRESS = re.compile(r"/dev_((?:[0-9A-F]{2}_){5}[0-9A-F]{2})$")
_SETTLE_SECONDS = 0.05
"""After a disconnect, before advertising again: the controller still ends the connection."""
_RETRY_SECONDS = 1.0
"""Between two tries to advertise, and between two looks for a bluetoothd or an adapter that went away."""
_ON: Final = Variant("b", True)
_PAIRING_SECONDS: Final = 60.0
"""So long a device may be silent while the adapter can be paired with: two persons compare and say yes."""

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
        self._bus: BluezBus | None = None
        self._bus_lost = asyncio.Event()
        self._name = ""
        self._alias: str | None = None
        self._losses = 0
        self._coming_back = False
        self._on_connection: ConnectionCallback | None = None
        self._phones: set[str] = set()
        self._silent: dict[str, asyncio.Task[None]] = {}
        self._advertising = asyncio.Lock()
        self._doubted = False  # whether the adapter is on, and does what it was told
        self._dark = False
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
        self._server, self._bus = server, BluezBus(server.bus)
        self._name = name
        self._spawn(self._watch_bus(self._bus))
        if not await self._prepare_adapter(server):
            raise RadioError(
                "Bluetooth is switched off and cannot be switched on. If it is blocked, run:"
                f" sudo rfkill unblock bluetooth; to find out why, run: {ours('doctor')}"
            )
        path = server.adapter.path
        await self._bus.watch(path, lambda signal: self._on_signal(path, signal))
        return server

    async def lost(self) -> None:
        """Waits for the end of the bus: neither dbus-next's nor what was exported there comes back."""
        await self._bus_lost.wait()
        raise RadioError(
            "The connection to D-Bus is lost, and Bluetooth with it. Start the reader anew; the service does"
            " so by itself."
        )

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
        if self._bus is None or await self._bus.call(central, DEVICE, "Disconnect") is None:
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
            await self._bus.set(server.adapter.path, ADAPTER, "Alias", Variant("s", self._alias))
        bus, self._bus = self._bus, None
        bus.close()

    async def _prepare_adapter(self, server: BlueZServer) -> bool:
        """Switch it on and name it; False while it does not answer, or stays off."""
        path, bus = server.adapter.path, self._bus
        if bus is None:
            return False
        if not await bus.get(path, ADAPTER, "Powered"):
            await bus.set(path, ADAPTER, "Powered", _ON)
            if not await bus.get(path, ADAPTER, "Powered"):
                return False
        alias = str(await bus.get(path, ADAPTER, "Alias") or "")
        if self._alias is None:
            # Left by a reader that was killed; an empty alias gives the adapter its own name back.
            self._alias = "" if alias.startswith(DEVICE_NAME_PREFIX) else alias
        if alias != self._name:
            await bus.set(path, ADAPTER, "Alias", Variant("s", self._name))
        return True

    async def _watch_bus(self, bus: BluezBus) -> None:
        await bus.ended()
        self._bus_lost.set()

    def _on_signal(self, adapter: str, signal: Message) -> None:
        """dbus-next shows every signal; only those asked for matter."""
        if self._closing:
            return
        match signal.member, signal.body:
            case "PropertiesChanged", [str(interface), dict(changed), _]:
                self._on_change(adapter, str(signal.path), interface, changed)
            case "InterfacesAdded", [str(path), dict(added)]:
                self._on_change(adapter, path, DEVICE, added.get(DEVICE, {}))
            case "NameOwnerChanged", [str(name), _, ""] if name == BLUEZ:
                self._lost("bluetoothd has ended")
            case "InterfacesRemoved", [str(path), list(gone)] if path == adapter and ADAPTER in gone:
                self._lost("the Bluetooth adapter is gone")

    def _on_change(self, adapter: str, path: str, interface: str, changed: dict[str, Variant]) -> None:
        if interface == DEVICE and path.startswith(adapter + "/dev_") and "Connected" in changed:
            if changed["Connected"].value:
                self._came(path)
            else:
                self._phone_gone(path)
        elif interface == ADAPTER and path == adapter and not changed.get("Powered", _ON).value:
            self._switched_off()

    def _lost(self, what: str) -> None:
        """Every phone is gone with it. Look out for it until it is back."""
        log.warning("%s: waiting for it to come back", what)
        self._losses += 1
        if not self._coming_back:
            self._coming_back = True
            self._spawn(self._come_back())
        self._all_gone()

    def _switched_off(self) -> None:
        """It kept the service, and forgot the advertisement."""
        self._doubted = True
        self._all_gone()
        self._spawn(self._advertise_when_free())

    def _all_gone(self) -> None:
        for device in [*self._phones, *self._silent]:
            self._phone_gone(device)

    async def _come_back(self) -> None:
        """Register everything anew, once there is somebody to register with."""
        told = False
        try:
            async with self._advertising:
                while (server := self._server) is not None:
                    losses = self._losses
                    server.app.forget_advertisements()
                    await asyncio.sleep(_RETRY_SECONDS)
                    try:
                        async with asyncio.timeout(ANSWER_SECONDS):
                            if await self._register(server) and losses == self._losses:
                                log.warning("Bluetooth is back")
                                self._doubted = self._dark = False
                                break
                    except BUS_TROUBLE as problem:
                        # It is half there: take back what it may have taken.
                        log.log(
                            logging.INFO if told else logging.WARNING,
                            "Bluetooth is there again and refuses the reader (%s): trying until it does not",
                            trouble_name(problem),
                        )
                        told = True
                        await self._unregister(server)
        finally:
            self._coming_back = False
        self._spawn(self._advertise_when_free())  # who was served meanwhile

    async def _register(self, server: BlueZServer) -> bool:
        if not await self._prepare_adapter(server):
            return False
        await server.app.register(server.adapter)
        await server.app.start_advertising(server.adapter)
        return True

    async def _unregister(self, server: BlueZServer) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await server.app.unregister(server.adapter)
        except BUS_TROUBLE:
            pass  # it had not taken it

    async def _still_there(self, device: str) -> None:
        """A HELLO may be read after its link is gone, which was told before anybody cared."""
        if self._bus is None or not await self._bus.get(device, DEVICE, "Connected"):
            self._phone_gone(device)

    def _came(self, device: str) -> None:
        """Whoever it is."""
        if (waiting := self._silent.pop(device, None)) is not None:
            waiting.cancel()
        if device not in self._phones:
            self._silent[device] = self._spawn(self._hang_up_on_silent(device))

    async def _hang_up_on_silent(self, device: str) -> None:
        """Who is not paired says HELLO in time or goes; a phone or a keyboard may be about to be paired."""
        await asyncio.sleep(framing.GREETING_WITHIN)
        for more in (_PAIRING_SECONDS, 0.0):
            server, bus = self._server, self._bus
            if server is None or bus is None or device in self._phones:
                return
            if await bus.get(device, DEVICE, "Paired") is not False:
                return
            if not more or not await bus.get(server.adapter.path, ADAPTER, "Pairable"):
                break
            await asyncio.sleep(more)
        if device not in self._phones:
            log.info("someone connected and said nothing")
            await self.disconnect(device)

    def _phone_gone(self, device: str) -> None:
        """A phone, or anybody else."""
        if (waiting := self._silent.pop(device, None)) is not None and waiting is not asyncio.current_task():
            waiting.cancel()
        if device in self._phones and not self._closing:
            self._phones.discard(device)
            if self._on_connection is not None:
                self._on_connection(device, False)
            self._spawn(self._advertise_when_free())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _advertise_when_free(self) -> None:
        """Advertise exactly while no phone is served, however often that is refused; told once.

        BlueZ takes one advertisement once.
        """
        async with self._advertising:
            while (server := self._server) is not None and not self._coming_back:
                try:
                    async with asyncio.timeout(ANSWER_SECONDS):
                        if await self._adjust(server):
                            break
                    trouble = "the Bluetooth adapter is switched off"
                except BUS_TROUBLE as problem:
                    trouble = f"advertising could not be switched ({trouble_name(problem)})"
                if not self._dark:
                    log.warning("%s: trying until it works; no phone finds the reader meanwhile", trouble)
                self._dark = self._doubted = True
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return
        if self._dark:
            self._dark = False
            log.warning("phones find the reader again")

    async def _adjust(self, server: BlueZServer) -> bool:
        """One try to advertise or to fall silent; False while the adapter is off. Raises BUS_TROUBLE."""
        app, adapter = server.app, server.adapter
        if self._doubted:
            if not await self._prepare_adapter(server):
                return False
            if app.advertisements:
                try:
                    await app.stop_advertising(adapter)
                except DBusError:
                    pass  # it had forgotten it
            self._doubted = False
        if bool(app.advertisements) is not bool(self._phones):
            return True
        if self._phones:
            await app.stop_advertising(adapter)
        else:
            await asyncio.sleep(_SETTLE_SECONDS)
            await app.start_advertising(adapter)
        return True
