"""The guest's Bluetooth: D-Bus, bluetoothd as Debian ships it, and virtual adapters in one room."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from tests.bluez.guest import Guest, GuestProgram, eventually
from tests.bluez.image import VENV
from tests.bluez.monitor_capture import as_h4

READER_ADAPTER: Final = "hci0"
PHONE_ADAPTER: Final = "hci1"
ADAPTERS: Final = (READER_ADAPTER, PHONE_ADAPTER)
ADDRESSES: Final = {READER_ADAPTER: "F0:F0:F0:F0:F0:00", PHONE_ADAPTER: "F0:F0:F0:F0:F0:01"}
_STRANGER_PORT: Final = "7911"
GUEST_PYTHON: Final = f"{VENV}/bin/python"
_CAPTURE: Final = "/run/air.btsnoop"
_KEPT_RUNNING: Final = """while :; do
    /usr/libexec/bluetooth/bluetoothd -n
    echo "bluetoothd ended with $?"
    sleep 1
done"""
"""As systemd does, on the next call of a client. 5.66 has ended by itself when a link broke."""
_BLUEZ: Final = ("dbus-send", "--system", "--print-reply", "--dest=org.bluez")


@dataclass(slots=True)
class Recording:
    """What one adapter sent and received, once its `with` block is over."""

    h4: bytes = b""


def device_path(adapter: str, device: str) -> str:
    """What bluetoothd calls the device of another adapter here."""
    return f"/org/bluez/{adapter}/dev_{ADDRESSES[device].replace(':', '_')}"


class Bluetooth:
    """Started on construction."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        guest.run("dbus-uuidgen", "--ensure")
        guest.start("dbus-daemon", "dbus-daemon", "--system", "--nofork", "--nopidfile", "--print-address")
        eventually(lambda: "bus_socket" in guest.run("ls", "/run/dbus"), "the system bus")
        self.room = guest.start("radio", GUEST_PYTHON, "/luggage/virtual_adapters.py", _STRANGER_PORT)
        """Takes the lines `part`, `meet` and `cut`."""
        self.room.expect("radios are on")
        guest.start("bluetoothd", "sh", "-c", _KEPT_RUNNING)
        self._wait_until_powered()
        self._stranger: GuestProgram | None = None
        self.plain_alias = self.adapter(READER_ADAPTER, "Alias")
        """What the reader's adapter is called while no reader runs."""

    def kill_bluetoothd(self) -> None:
        """It is gone when this returns, and comes back by itself."""
        self._guest.run("pkill", "-KILL", "-x", "bluetoothd")

    def _wait_until_powered(self) -> None:
        """Debian's own settings power every adapter."""
        for adapter in ADAPTERS:
            eventually(
                lambda adapter=adapter: self.adapter(adapter, "Powered") == "true", f"{adapter} powered"
            )

    def adapter(self, name: str, wanted: str) -> str | None:
        """A property of an adapter; None while there is none."""
        return self.property(f"/org/bluez/{name}", "org.bluez.Adapter1", wanted)

    def property(self, path: str, interface: str, wanted: str) -> str | None:
        """A property of one of bluetoothd's objects, as dbus-send prints it."""
        asked = self._guest.start(
            "dbus-send",
            *(*_BLUEZ, path, "org.freedesktop.DBus.Properties.Get"),
            *(f"string:{interface}", f"string:{wanted}"),
        )
        if asked.finish():
            return None
        found = re.search(r"^\s+variant\s+\S+ (.*)$", asked.output, re.MULTILINE)
        return found[1].strip('"') if found else None

    def make_pairable(self, adapter: str, *, pairable: bool) -> None:
        """As `bluetoothctl pairable on` and `off` do."""
        name = ("string:org.bluez.Adapter1", "string:Pairable", f"variant:boolean:{str(pairable).lower()}")
        self._guest.run(*_BLUEZ, f"/org/bluez/{adapter}", "org.freedesktop.DBus.Properties.Set", *name)

    def forget(self, adapter: str, device: str) -> None:
        """Have an adapter forget a device that it may know, and that it was paired."""
        path = f"/org/bluez/{adapter}"
        removal = (path, "org.bluez.Adapter1.RemoveDevice", f"objpath:{device_path(adapter, device)}")
        self._guest.start("forget", *_BLUEZ, *removal).finish()

    def version(self) -> str:
        """bluetoothd's version."""
        return self._guest.run("/usr/libexec/bluetooth/bluetoothd", "--version").strip()

    def stranger(self, task: str) -> GuestProgram:
        """A central that is none of ours: see stranger.py. There is one at a time."""
        if self._stranger is not None and self._stranger.running:
            self._stranger.kill()
        place = f"tcp-client:127.0.0.1:{_STRANGER_PORT}"
        self._stranger = self._guest.start(
            *(
                f"stranger, {task}",
                GUEST_PYTHON,
                "/luggage/stranger.py",
                place,
                ADDRESSES[READER_ADAPTER],
                task,
            )
        )
        return self._stranger

    @contextmanager
    def recording(self, adapter: str) -> Iterator[Recording]:
        """Record what an adapter sends and receives meanwhile."""
        result = Recording()
        self._guest.run("rm", "-f", _CAPTURE)
        btmon = self._guest.start("btmon", "sh", "-c", f"exec btmon --write {_CAPTURE} > /dev/null")
        eventually(lambda: self._guest.start("test", "test", "-s", _CAPTURE).finish() == 0, "btmon")
        try:
            yield result
        finally:
            btmon.signal(signal.SIGINT)
            btmon.finish()
        result.h4 = as_h4(self._guest.read_file(_CAPTURE), ADAPTERS.index(adapter))
