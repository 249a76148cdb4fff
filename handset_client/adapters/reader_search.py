"""Which card readers are in range, on bleak: for the link that looks for one, and for the list of them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from bleak import BleakAdapter, BleakClient, BleakScanner
from bleak.backends.adapter import BaseBleakAdapter
from bleak.backends.client import BaseBleakClient
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakDBusError,
    BleakError,
    BleakGATTProtocolError,
)

from handset_client.adapters.system_errors import words_of
from handset_client.effects import Notice, NoticeKind
from handset_client.ports import ReaderInRange
from protocol import gatt
from protocol.errors import MessageError
from protocol.text import shown

# bleak documents "backend-specific exceptions in rare cases". Those are OSError (WinRT, a missing D-Bus
# socket, timeouts) and EOFError (the D-Bus connection closed under dbus-fast). Anything else is a bug
# and must not look like bad radio.
RADIO_ERRORS: Final = (BleakError, OSError, EOFError)

NAME_LIMIT: Final = 20
"""Characters of an advertised name; a reader's has seven (protocol.gatt)."""
_DETAIL_LIMIT: Final = 120
_SWITCHING_SECONDS: Final = 5.0
"""For a scan to start or stop; milliseconds, unless the platform hangs."""

_DENIED: Final = frozenset(
    {
        BleakBluetoothNotAvailableReason.DENIED_BY_USER,
        BleakBluetoothNotAvailableReason.DENIED_BY_SYSTEM,
        BleakBluetoothNotAvailableReason.DENIED_BY_UNKNOWN,
    }
)
_SERVES_ANOTHER: Final = frozenset({0x11, 0x81})
"""ATT errors at a write: a reader serves one phone at a time. BlueZ lets it say 0x80 to 0x9f only."""
_AIR_FAILED: Final = "org.bluez.Error.Failed"
"""bluetoothd answers, and says that a connection did not come about or ended: everyday radio."""


@dataclass(frozen=True, slots=True)
class Backends:
    """What stands in for the platform's Bluetooth (bleak's `backend=`); None is the platform itself."""

    scanner: type[BaseBleakScanner] | None = None
    client: type[BaseBleakClient] | None = None
    adapter: type[BaseBleakAdapter] | None = None


PLATFORM: Final = Backends()


@dataclass(frozen=True, slots=True)
class Heard:
    """An advertiser of our service. To connect takes the BLEDevice: with an address bleak scans again."""

    device: BLEDevice
    name: str | None
    rssi: int

    @property
    def is_named(self) -> bool:
        """Whether it goes by a name of ours, so that the name says which reader it is."""
        return self.name is not None and self.name.startswith(gatt.DEVICE_NAME_PREFIX)

    @property
    def label(self) -> str:
        """What tells it from others on a screen."""
        return shown(self.name or self.device.address, NAME_LIMIT)


@dataclass(slots=True)
class Room:
    """What one scan has heard, by address; the latest advert of each counts."""

    heard: dict[str, Heard] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, device: BLEDevice, advert: AdvertisementData) -> None:
        named = advert.local_name is not None and advert.local_name.startswith(gatt.DEVICE_NAME_PREFIX)
        if gatt.SERVICE_UUID not in advert.service_uuids and not named:
            return
        # A name may come in the scan response alone, an advert after the first.
        before = self.heard.get(device.address)
        name = advert.local_name or (before.name if before else None)
        self.heard[device.address] = Heard(device, name, advert.rssi)
        self.news.set()


Enough = Callable[[Mapping[str, Heard]], bool]


class ReaderSearch:
    """Scans of one adapter (its name on Linux, None for the first)."""

    def __init__(self, backends: Backends = PLATFORM, adapter: str | None = None) -> None:
        self._backends = backends
        self._adapter = adapter

    async def listen(self, seconds: float, enough: Enough, gather: float = 0.0) -> list[Heard]:
        """Scan until `enough`, at most `seconds`, and `gather` seconds at most after the first is heard."""
        room = Room()
        over = asyncio.timeout(seconds)
        async with _scanning(BleakScanner(room.take, **scan_options(self._backends, self._adapter))):
            try:
                async with over:
                    await _hear(room, enough, over, gather)
            except TimeoutError:
                pass  # what was heard is what there is
        return list(room.heard.values())

    async def left_connected(self) -> list[BLEDevice]:
        """Readers that the platform holds a connection to, so that they do not advertise.

        bluetoothd keeps a connection when the program that opened it is killed.
        """
        if self._backends.adapter is None and self._backends.scanner is not None:
            return []
        try:
            adapter = await BleakAdapter.get(
                bluez={} if self._adapter is None else {"adapter": self._adapter},
                backend=self._backends.adapter,
            )
            return await adapter.get_connected_devices([gatt.SERVICE_UUID])
        except NotImplementedError:
            return []

    async def everyone(self, seconds: float, step: float = 5.0) -> list[ReaderInRange]:
        """All readers heard within `seconds`, strongest first, each asked who it is."""
        heard = await self.listen(seconds, lambda _: False)
        heard.sort(key=lambda one: one.rssi, reverse=True)
        return [await self._introduce(one, step) for one in heard]

    async def _introduce(self, one: Heard, step: float) -> ReaderInRange:
        client = BleakClient(
            one.device,
            services=[gatt.SERVICE_UUID],
            timeout=step,
            bluez={} if self._adapter is None else {"adapter": self._adapter},
            backend=self._backends.client,
        )
        try:
            async with asyncio.timeout(2 * step):
                await client.connect()
            try:
                async with asyncio.timeout(step):
                    info = gatt.ReaderInfo.decode(bytes(await client.read_gatt_char(gatt.READER_INFO_UUID)))
            finally:
                async with asyncio.timeout(step):
                    await client.disconnect()
        except (*RADIO_ERRORS, MessageError):
            # It is in range and says nothing of use: somebody else may have been quicker to connect.
            return ReaderInRange(one.label, one.rssi, None)
        return ReaderInRange(one.label, one.rssi, info.reader_id)


def scan_options(backends: Backends, adapter: str | None, platform: str = sys.platform) -> Any:
    """bleak's keyword arguments to scan for our service alone.

    BlueZ does not say so when a known device advertises our service again after it was gone for a while, as
    when a reader is restarted. bleak's own filter on UUIDs keeps such a device out for good. There bluetoothd
    alone filters, and what comes through may be known by its name.
    """
    if backends.scanner is not None:
        return {"service_uuids": [gatt.SERVICE_UUID], "backend": backends.scanner}
    if platform != "linux":
        return {"service_uuids": [gatt.SERVICE_UUID]}
    chosen = {} if adapter is None else {"adapter": adapter}
    return {"bluez": {"filters": {"UUIDs": [gatt.SERVICE_UUID]}, **chosen}}


@asynccontextmanager
async def _scanning(scanner: BleakScanner) -> AsyncIterator[None]:
    """Scan meanwhile. To start and to stop are done to the end, also when whoever wanted it no longer does.

    A start that is abandoned half-way leaves bluetoothd scanning for us, and every later one is refused:
    org.bluez.Error.InProgress, until this program ends.
    """
    starting = asyncio.create_task(scanner.start())
    try:
        await asyncio.shield(starting)
        yield
    finally:
        stopping = asyncio.create_task(_stop_once_started(scanner, starting))
        try:
            await asyncio.shield(stopping)
        except asyncio.CancelledError:
            await asyncio.wait([stopping], timeout=_SWITCHING_SECONDS)
            raise


async def _stop_once_started(scanner: BleakScanner, starting: asyncio.Task[None]) -> None:
    await asyncio.wait([starting], timeout=_SWITCHING_SECONDS)
    if starting.done() and starting.exception() is None:
        await scanner.stop()


async def _hear(room: Room, enough: Enough, over: asyncio.Timeout, gather: float) -> None:
    gathering = False
    while not enough(room.heard):
        room.news.clear()
        await room.news.wait()
        if gather and not gathering:
            gathering = True
            end = asyncio.get_running_loop().time() + gather
            over.reschedule(min(end, over.when() or end))


def trouble(error: Exception) -> Notice:
    """What a person is told about a failing radio."""
    detail = shown(words_of(error), _DETAIL_LIMIT)
    match error:
        case BleakBluetoothNotAvailableError() if error.reason in _DENIED:
            return Notice(NoticeKind.BLUETOOTH_DENIED, detail)
        case BleakBluetoothNotAvailableError():
            return Notice(NoticeKind.BLUETOOTH_OFF, detail)
        case BleakGATTProtocolError() if error.args[0] in _SERVES_ANOTHER:
            return Notice(NoticeKind.READER_BUSY)
        case BleakDBusError() if error.dbus_error == _AIR_FAILED:
            return Notice(NoticeKind.READER_FAILED, detail)
        case BleakDBusError() | FileNotFoundError() | EOFError():
            return Notice(NoticeKind.BLUETOOTH_FAILED, detail)
        case _:
            return Notice(NoticeKind.READER_FAILED, detail)
