"""The Bluetooth link to the card reader, on bleak. The only file of the handset that imports it.

One `_Session` lives from :meth:`BleakReaderLink.connect` to :meth:`BleakReaderLink.release` and
survives dropped links: its `protocol.framing.Channel` says after each reconnection where to go on.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from bleak import BleakClient, BleakScanner
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakDBusError,
    BleakError,
)

from handset_client.effects import Notice, NoticeKind
from handset_client.ports import ReaderEvent, ReaderLost, ReaderReady, ReaderSaid, ReaderTook
from protocol import framing, gatt
from protocol.errors import LocalProtocolError, MessageError
from protocol.frames import CancelReason, ErrorCode
from protocol.identifiers import PaymentId, ReaderId, reader_id_text
from protocol.messages import PROTOCOL_VERSION, MessageType
from protocol.text import shown

_log = logging.getLogger(__name__)

# bleak: "backend-specific exceptions in rare cases". Those are OSError (WinRT, a missing D-Bus socket, timeouts)
# and EOFError (the D-Bus connection closed under dbus-fast). Anything else is a bug and must not look like radio.
RADIO_ERRORS: Final = (BleakError, OSError, EOFError)

# BlueZ before 5.62 has no MTU to tell and bleak then says 20; others say 20 until the exchange is through.
_UNKNOWN_SIZE: Final = 20


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """How to look for the reader, in seconds. `reader_id` None takes whichever reader answers first."""

    reader_id: ReaderId | None = None
    scan: float = 6.0
    """One scan; then the person is told that nothing was found, and scanning goes on."""
    connect: float = 12.0
    step: float = 5.0
    """For one read, write or subscription. ATT itself gives up after 30 s (Core 5.4, 3.F.3.3.3)."""
    resume_window: float = 30.0
    """How long the reader keeps a session after a dropped link; no use in trying to resume later."""
    size_wait: float = 0.5
    """How long to wait for a platform that learns its MTU late."""
    hang_up: float = 3.0
    pauses: tuple[float, ...] = (0.1, 0.3, 0.7, 1.5, 3.0)
    """Between attempts that failed; the last one repeats."""
    pair: bool = False
    """Ask the platform to pair first. Nothing rests on it: messages bring their own protection."""

    def __post_init__(self) -> None:
        for name in ("scan", "connect", "step", "resume_window", "hang_up"):
            if not 0 < getattr(self, name) <= 600:
                raise ValueError(f"link setting {name!r} must be above 0 and at most 600 seconds")
        if not self.pauses or min(self.pauses) < 0:
            raise ValueError("link setting 'pauses' must hold at least one pause")


class _OtherReader(Exception):
    """This is not the reader we look for."""


@dataclass(slots=True)
class _Session:
    """What outlives a dropped link."""

    channel: framing.Channel
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    on_the_way: dict[int, tuple[PaymentId, MessageType]] = field(default_factory=dict)
    avoid: set[str] = field(default_factory=set)
    """Addresses of readers that turned out to be others."""
    device: BLEDevice | None = None
    reader_id: ReaderId | None = None
    greeted: bool = False
    """Whether the relay holds this session's hello, so that losing it must be said."""
    resume_until: float | None = None
    failures: int = 0
    told: set[NoticeKind] = field(default_factory=set)
    """What the person was told already about the search under way."""


class BleakReaderLink:
    """ReaderLink over Bluetooth LE. `scanner_backend` and `client_backend` replace the platform's (bleak's `backend=`).

    `draw` gives a random session number from 1 to 2**32 - 1.
    """

    def __init__(
        self,
        settings: LinkSettings,
        *,
        scanner_backend: type[BaseBleakScanner] | None = None,
        client_backend: type[BaseBleakClient] | None = None,
        draw: Callable[[], int] = lambda: 1 + secrets.randbelow((1 << 32) - 1),
    ) -> None:
        # bleak logs every value it reads and writes at DEBUG; raw traffic belongs in no log.
        logging.getLogger("bleak").setLevel(logging.INFO)
        self._settings = settings
        self._scanner_backend = scanner_backend
        self._client_backend = client_backend
        self._draw = draw
        self._events: asyncio.Queue[ReaderEvent | BaseException] = asyncio.Queue()
        self._session: _Session | None = None
        self._task: asyncio.Task[None] | None = None

    # The port

    def connect(self) -> None:
        """See ReaderLink."""
        if self._session is not None:
            return
        self._session = _Session(self._new_channel())
        self._task = asyncio.create_task(self._run(self._session, self._task), name="reader link")
        self._task.add_done_callback(self._report_crash)

    def send(self, payment_id: PaymentId, kind: MessageType, data: bytes) -> None:
        """See ReaderLink."""
        session = self._session
        if session is None:
            return
        try:
            message_id = session.channel.send(kind, data, _now())
        except LocalProtocolError:
            # The session broke this very moment: its loss is in the queue of events already.
            _log.info("a %s found no session to go out in", kind.name)
            return
        session.on_the_way[message_id] = (payment_id, kind)
        session.wake.set()

    def release(self) -> None:
        """See ReaderLink."""
        if self._session is not None:
            self._session.released.set()
            self._session.wake.set()
            self._session = None

    async def next_event(self) -> ReaderEvent:
        """See ReaderLink."""
        event = await self._events.get()
        if isinstance(event, BaseException):
            raise event
        return event

    async def close(self) -> None:
        """See ReaderLink."""
        if self._session is not None:
            self._session.channel.cancel(CancelReason.SHUTTING_DOWN, _now())
        self.release()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=2 * self._settings.hang_up)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # One session, over as many links as it takes

    async def _run(self, session: _Session, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        search = asyncio.create_task(self._keep_connected(session))
        released = asyncio.create_task(session.released.wait())
        try:
            await asyncio.wait([search, released], return_when=asyncio.FIRST_COMPLETED)
            if not search.done():
                # The link ends by itself once it has sent what is left; a scan or connect is cut short.
                await asyncio.wait([search], timeout=self._settings.hang_up if session.greeted else 0)
        finally:
            released.cancel()
            search.cancel()
            await asyncio.wait([search, released])
        if not search.cancelled():
            search.result()

    async def _keep_connected(self, session: _Session) -> None:
        while not session.released.is_set():
            try:
                async with asyncio.timeout_at(session.resume_until) as window:
                    device = session.device or await self._find(session)
                    if device is not None:
                        await self._one_link(session, device, window)
            except RADIO_ERRORS as error:
                if window.expired():
                    self._give_session_up(session)
                    continue
                self._tell_failure(session, error)
            except MessageError as error:
                self._tell_once(session, NoticeKind.READER_FAILED, str(error))
                self._avoid(session)
            except _OtherReader:
                self._tell_once(
                    session, NoticeKind.OTHER_READER, session.device.name or "" if session.device else ""
                )
                self._avoid(session)
                continue
            if not session.released.is_set():
                await self._pause(session)

    async def _find(self, session: _Session) -> BLEDevice | None:
        """One scan. The BLEDevice itself is passed on: an address alone would make bleak scan again."""
        device = await BleakScanner.find_device_by_filter(
            lambda device, adv: self._may_be_ours(session, device, adv),
            timeout=self._settings.scan,
            service_uuids=[gatt.SERVICE_UUID],
            backend=self._scanner_backend,
        )
        if device is None:
            self._tell_once(session, NoticeKind.READER_NOT_FOUND)
            session.avoid.clear()
        session.device = device
        return device

    def _may_be_ours(self, session: _Session, device: BLEDevice, adv: AdvertisementData) -> bool:
        wanted = session.reader_id or self._settings.reader_id
        name = adv.local_name
        if wanted is not None and name is not None and name.startswith(gatt.DEVICE_NAME_PREFIX):
            # Saves a connection; Reader Info decides.
            return name == gatt.device_name(wanted)
        return device.address not in session.avoid

    async def _one_link(self, session: _Session, device: BLEDevice, window: asyncio.Timeout) -> None:
        """One connection from beginning to end. Returns when the link is down or the session released."""
        down = asyncio.Event()

        def on_disconnected(_client: BleakClient) -> None:
            down.set()
            session.wake.set()

        client = BleakClient(
            device,
            disconnected_callback=on_disconnected,
            services=[gatt.SERVICE_UUID],
            timeout=self._settings.connect,
            pair=self._settings.pair,
            backend=self._client_backend,
        )
        try:
            async with asyncio.timeout(self._settings.connect):
                await client.connect()
            key = await self._prepare(session, client, down, window)
            session.channel.connected(_now(), await self._value_size(key))
            await self._pump(session, client, key, down)
        finally:
            up = session.channel.link is framing.Link.OPEN
            session.channel.disconnected(_now())
            if up and not session.released.is_set():
                self._events.put_nowait(Notice(NoticeKind.READER_CONNECTION_LOST))
                session.resume_until = _now() + self._settings.resume_window
                session.told.clear()
            await self._hang_up(client)

    async def _prepare(
        self, session: _Session, client: BleakClient, down: asyncio.Event, window: asyncio.Timeout
    ) -> BleakGATTCharacteristic:
        """Who is it? Then subscribe, before the first write can be answered."""
        async with asyncio.timeout(self._settings.step):
            info = gatt.ReaderInfo.decode(bytes(await client.read_gatt_char(gatt.READER_INFO_UUID)))
        wanted = session.reader_id or self._settings.reader_id
        if wanted is not None and info.reader_id != wanted:
            raise _OtherReader
        if PROTOCOL_VERSION not in info.versions:
            self._tell_once(session, NoticeKind.READER_TOO_NEW)
            raise _OtherReader
        key = client.services.get_characteristic(gatt.KEY_UUID)
        if key is None or "write" not in key.properties:
            raise MessageError("key", "is no characteristic that can be written with response")

        def on_value(_sender: BleakGATTCharacteristic, value: bytearray) -> None:
            # Some platforms deliver what was queued before the link went down.
            if not down.is_set():
                self._heed(session, session.channel.receive(bytes(value), _now()), window)
                session.wake.set()

        def on_status(_sender: BleakGATTCharacteristic, value: bytearray) -> None:
            try:
                status = gatt.Status.decode(bytes(value))
            except MessageError:
                return  # a newer reader's status; the screen does without
            self._events.put_nowait(Notice(NoticeKind.READER_STATUS, status.name.lower()))

        async with asyncio.timeout(self._settings.step):
            await client.start_notify(gatt.CIPHERTEXT_UUID, on_value)
        async with asyncio.timeout(self._settings.step):
            await client.start_notify(gatt.STATUS_UUID, on_status)
        if session.reader_id is None:
            session.reader_id = info.reader_id
            self._events.put_nowait(Notice(NoticeKind.READER_FOUND, reader_id_text(info.reader_id)))
        return key

    async def _value_size(self, key: BleakGATTCharacteristic) -> int:
        """The size of one value: on BlueZ `mtu_size` is always 23, this one is true from 5.62 on."""
        waited = 0.0
        while key.max_write_without_response_size <= _UNKNOWN_SIZE and waited < self._settings.size_wait:
            await asyncio.sleep(0.05)
            waited += 0.05
        return max(gatt.SMALLEST_VALUE, min(key.max_write_without_response_size, gatt.LARGEST_VALUE))

    async def _pump(
        self, session: _Session, client: BleakClient, key: BleakGATTCharacteristic, down: asyncio.Event
    ) -> None:
        """Write what the channel has to say, keep its clock, until the link or the session ends."""
        channel = session.channel
        while not down.is_set():
            session.wake.clear()
            for value in channel.values_to_send():
                async with asyncio.timeout(self._settings.step):
                    await client.write_gatt_char(key, value, response=True)
            if channel.link is framing.Link.FAILED:
                return
            if session.released.is_set() and channel.idle:
                return
            try:
                async with asyncio.timeout_at(channel.deadline()):
                    await session.wake.wait()
            except TimeoutError:
                self._heed(session, channel.handle_timer(_now()), None)

    def _heed(self, session: _Session, events: list[framing.Event], window: asyncio.Timeout | None) -> None:
        for event in events:
            match event:
                case framing.Connected(resumed):
                    if resumed and session.resume_until is not None:
                        self._events.put_nowait(Notice(NoticeKind.READER_RESUMED))
                    session.resume_until, session.failures = None, 0
                    if window is not None and not window.expired():
                        window.reschedule(None)
                case framing.MessageReceived(MessageType.READER_HELLO, payload) if session.reader_id:
                    session.greeted = True
                    self._events.put_nowait(ReaderReady(session.reader_id, payload))
                case framing.MessageReceived(kind, payload):
                    self._events.put_nowait(ReaderSaid(kind, payload))
                case framing.Delivered(message_id):
                    if (message := session.on_the_way.pop(message_id, None)) is not None:
                        self._events.put_nowait(ReaderTook(*message))
                case framing.KeepAlive(status):
                    self._events.put_nowait(Notice(NoticeKind.READER_STATUS, status.name.lower()))
                case framing.SessionLost() | framing.Cancelled():
                    self._lost(session)
                case framing.PeerFailed(code, _):
                    busy = code is ErrorCode.BUSY
                    self._tell_once(
                        session,
                        NoticeKind.READER_BUSY if busy else NoticeKind.READER_FAILED,
                        code.name.lower(),
                    )
                    self._lost(session)

    # Losing, failing, waiting

    def _lost(self, session: _Session) -> None:
        session.on_the_way.clear()
        if session.greeted:
            session.greeted = False
            self._events.put_nowait(ReaderLost())

    def _give_session_up(self, session: _Session) -> None:
        """The reader has forgotten the session by now: begin another one."""
        session.channel = self._new_channel()
        session.resume_until, session.device = None, None
        self._lost(session)

    def _avoid(self, session: _Session) -> None:
        if session.device is not None:
            session.avoid.add(session.device.address)
            session.device = None

    def _tell_failure(self, session: _Session, error: Exception) -> None:
        session.failures += 1
        # What was cached about the device may be what is wrong; look for it afresh.
        session.device = None
        _log.info("radio: %s: %s", type(error).__name__, shown(str(error), 200))
        match error:
            case BleakBluetoothNotAvailableError():
                denied = error.reason in _DENIED
                kind = NoticeKind.BLUETOOTH_DENIED if denied else NoticeKind.BLUETOOTH_OFF
            case BleakDBusError() | FileNotFoundError() | EOFError():
                kind = NoticeKind.BLUETOOTH_FAILED
            case _:
                kind = NoticeKind.READER_FAILED
        # A single failed attempt is everyday radio; the next one usually succeeds.
        if kind is not NoticeKind.READER_FAILED or session.failures >= len(self._settings.pauses) // 2:
            self._tell_once(session, kind, shown(str(error), 120))

    def _tell_once(self, session: _Session, kind: NoticeKind, detail: str = "") -> None:
        if kind not in session.told:
            session.told.add(kind)
            self._events.put_nowait(Notice(kind, shown(detail, 120)))

    async def _pause(self, session: _Session) -> None:
        pauses = self._settings.pauses
        pause = pauses[min(session.failures, len(pauses) - 1)]
        try:
            async with asyncio.timeout(pause):
                await session.released.wait()
        except TimeoutError:
            pass  # the pause is over

    async def _hang_up(self, client: BleakClient) -> None:
        try:
            async with asyncio.timeout(self._settings.hang_up):
                await client.disconnect()
        except RADIO_ERRORS as error:
            # The link is gone or the platform is; either way there is nothing left to hang up.
            _log.info("hanging up: %s", type(error).__name__)

    def _new_channel(self) -> framing.Channel:
        return framing.Channel(framing.Role.CENTRAL, session=self._draw())

    def _report_crash(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._events.put_nowait(error)


_DENIED: Final = frozenset(
    {
        BleakBluetoothNotAvailableReason.DENIED_BY_USER,
        BleakBluetoothNotAvailableReason.DENIED_BY_SYSTEM,
        BleakBluetoothNotAvailableReason.DENIED_BY_UNKNOWN,
    }
)


def _now() -> float:
    return asyncio.get_running_loop().time()
