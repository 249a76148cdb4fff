"""What bluetoothd says of its adapters over D-Bus, for `reader-peripheral doctor`."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import Iterable
from typing import Any

from dbus_next.aio.message_bus import MessageBus
from dbus_next.constants import BusType, MessageType
from dbus_next.message import Message

from reader_peripheral.remedies import join_group, without_bluetooth
from service_host.findings import Finding, Level

_ANSWER_SECONDS = 5.0
_ADAPTER = "org.bluez.Adapter1"
_ADVERTISING = "org.bluez.LEAdvertisingManager1"
_GATT = "org.bluez.GattManager1"
_CHECK = "adapter"
_SYSTEM_BUS = "unix:path=/var/run/dbus/system_bus_socket"


async def adapters(wanted: str | None) -> list[Finding]:
    """The adapter to be used: there, powered, able to advertise and to serve. `wanted` None is the first."""
    try:
        objects = await asyncio.wait_for(_managed_objects(), _ANSWER_SECONDS)
    except PermissionError as problem:
        seen = f"this user may not speak to bluetoothd ({problem})"
        return [Finding("D-Bus", Level.FAULT, seen, join_group("bluetooth"))]
    except TimeoutError:
        # A bus that knows bluetoothd and cannot start it: no kernel support, or no adapter ever seen.
        remedy = "Run: sudo systemctl restart bluetooth; does /sys/class/bluetooth have an adapter?"
        return [Finding("bluetoothd", Level.FAULT, "does not answer", remedy)]
    except LookupError:
        remedy = "Run: sudo systemctl enable --now bluetooth"
        return [Finding("bluetoothd", Level.FAULT, "does not run", remedy)]
    except Exception as problem:  # noqa: BLE001 - dbus-next raises a dozen kinds; all mean that there is no bus
        seen = f"there is no system bus here ({type(problem).__name__}): Bluetooth cannot be looked at"
        install = "sudo apt install dbus bluez && sudo systemctl start bluetooth"
        remedy = f"{without_bluetooth()}To have it, run: {install}"
        return [Finding("D-Bus", Level.FAULT, seen, remedy)]
    return list(_judged(objects, wanted))


def _judged(objects: dict[str, dict[str, dict[str, Any]]], wanted: str | None) -> Iterable[Finding]:
    found = {path.rsplit("/", 1)[-1]: of for path, of in sorted(objects.items()) if _ADAPTER in of}
    name = wanted or next(iter(found), None)
    if name is None:
        remedy = "Plug in a Bluetooth adapter; on a Pi: is dtoverlay=disable-bt in /boot/firmware/config.txt?"
        yield Finding(_CHECK, Level.FAULT, "there is no Bluetooth adapter", remedy)
        return
    if name not in found:
        remedy = f"Choose one that is there: {', '.join(found) or 'there is none'}"
        yield Finding(_CHECK, Level.FAULT, f"there is no {name}", remedy)
        return
    adapter = found[name][_ADAPTER]
    where = f"{name} ({adapter['Address'].value})"
    if not adapter["Powered"].value:
        remedy = "The reader switches it on when it starts; if it cannot: sudo rfkill unblock bluetooth"
        yield Finding(_CHECK, Level.NOTE, f"{where} is switched off", remedy)
    else:
        yield Finding(_CHECK, Level.OK, f"{where} is switched on")
    missing = [what for what in (_ADVERTISING, _GATT) if what not in found[name]]
    if missing:
        remedy = "Use an adapter for Bluetooth 4.0 or later: it must be a low-energy peripheral."
        yield Finding(_CHECK, Level.FAULT, f"{where} lacks {', '.join(missing)}", remedy)
        return
    free = found[name][_ADVERTISING]["SupportedInstances"].value
    if not free and not found[name][_ADVERTISING]["ActiveInstances"].value:
        yield Finding(_CHECK, Level.FAULT, f"{where} cannot advertise", "Use another Bluetooth adapter.")


def _reach(address: str) -> None:
    """Raises OSError when nobody listens: dbus-next would leave its socket open then."""
    path = re.match(r"unix:path=([^,;]+)", address)
    if path is not None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
            trial.connect(path[1])


async def _managed_objects() -> dict[str, dict[str, dict[str, Any]]]:
    """LookupError when nobody is org.bluez, PermissionError when the bus forbids to ask."""
    _reach(os.environ.get("DBUS_SYSTEM_BUS_ADDRESS", _SYSTEM_BUS))
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    try:
        answer = await bus.call(
            Message(
                destination="org.bluez",
                path="/",
                interface="org.freedesktop.DBus.ObjectManager",
                member="GetManagedObjects",
            )
        )
    finally:
        bus.disconnect()  # type: ignore[no-untyped-call]
    if answer is not None and answer.message_type is MessageType.METHOD_RETURN:
        objects: dict[str, dict[str, dict[str, Any]]] = answer.body[0]
        return objects
    error = (answer.error_name if answer is not None else "") or ""
    if error.endswith(".AccessDenied"):
        raise PermissionError(error)
    raise LookupError(error)
