"""The Bluetooth link to the card reader, on bleak. It connects; reader_search.py finds what to connect to."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Final

from bleak import BleakClient
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.device import BLEDevice

from handset_client.adapters.link_session import LinkSession, LinkSettings
from handset_client.adapters.reader_search import (
    PLATFORM,
    RADIO_ERRORS,
    Backends,
    Heard,
    ReaderSearch,
    trouble,
)
from handset_client.effects import Notice, NoticeKind
from handset_client.ports import ReaderChoice, ReaderEvent, ReaderReady
from protocol import framing, gatt
from protocol.errors import MessageError
from protocol.frames import CancelReason
from protocol.identifiers import PaymentId, ReaderId, reader_id_text
from protocol.messages import PROTOCOL_VERSION, MessageType

__all__ = ["PLATFORM", "Backends", "BleakReaderLink"]

_log = logging.getLogger(__name__)

# BlueZ before 5.62 has no MTU to tell and bleak then says 20; others say 20 until the exchange is through.
_UNKNOWN_SIZE: Final = 20


class _UnfitReaderError(Exception):
    """What answered is not the reader we look for, or none that we can talk to."""

    def __init__(self, kind: NoticeKind, detail: str = "") -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


def _draw_session() -> int:
    return 1 + secrets.randbelow((1 << 32) - 1)


class BleakReaderLink:
    """ReaderLink over Bluetooth LE.

    `choose` is asked at each new session for the reader to take; by default the settings decide, and among
    several the one that this link used last. `draw` gives a random session number from 1 to 2**32 - 1.
    """

    def __init__(
        self,
        settings: LinkSettings,
        backends: Backends = PLATFORM,
        draw: Callable[[], int] = _draw_session,
        choose: Callable[[], ReaderChoice] | None = None,
    ) -> None:
        # bleak logs every value it reads and writes at DEBUG; raw traffic belongs in no log.
        logging.getLogger("bleak").setLevel(logging.INFO)
        self._settings = settings
        self._backends = backends
        self._draw = draw
        self._choose = choose or self._by_settings
        self._last_used: ReaderId | None = None
        self._events: asyncio.Queue[tuple[LinkSession, ReaderEvent | BaseException]] = asyncio.Queue()
        self._session: LinkSession | None = None
        self._task: asyncio.Task[None] | None = None

    def connect(self) -> None:
        """See ReaderLink."""
        if self._session is not None:
            return
        session = LinkSession(lambda event: self._events.put_nowait((session, event)), self._draw)
        radio = _Radio(session, self._settings, self._backends, self._choose())
        work = radio.run(after=self._task)
        self._session = session
        self._task = asyncio.create_task(work, name="reader link")
        self._task.add_done_callback(lambda task: self._report_crash(session, task))

    def expect_message(self) -> None:
        """See ReaderLink."""
        if self._session is not None:
            self._session.expect_message()

    def send(self, payment_id: PaymentId, kind: MessageType, data: bytes) -> None:
        """See ReaderLink."""
        if self._session is None or not self._session.send(payment_id, kind, data, _now()):
            _log.info("a %s found no session to go out in", kind.name)

    def release(self) -> None:
        """See ReaderLink."""
        if self._session is not None:
            self._session.released.set()
            self._session.wake.set()
            self._session = None

    async def next_event(self) -> ReaderEvent:
        """See ReaderLink."""
        while True:
            session, event = await self._events.get()
            if isinstance(event, BaseException):
                raise event
            if session is self._session:
                if isinstance(event, ReaderReady):
                    self._last_used = event.reader_id
                return event
            # Word of a session that was released meanwhile: its hello must not open a payment.

    async def close(self) -> None:
        """See ReaderLink."""
        if self._session is not None:
            self._session.channel.cancel(CancelReason.SHUTTING_DOWN, _now())
        self.release()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=2 * self._settings.hang_up)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _by_settings(self) -> ReaderChoice:
        return ReaderChoice(self._settings.reader_id, self._last_used)

    def _report_crash(self, session: LinkSession, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._events.put_nowait((session, error))


class _Radio:
    """The connections of one session: looks for the reader, connects, and again after each drop."""

    def __init__(
        self, session: LinkSession, settings: LinkSettings, backends: Backends, choice: ReaderChoice
    ) -> None:
        self._session = session
        self._settings = settings
        self._backends = backends
        self._choice = choice
        self._search = ReaderSearch(backends, settings.adapter)
        self._device: BLEDevice | None = None
        self._avoid: set[str] = set()
        """Addresses of readers that turned out to be others."""

    async def run(self, after: asyncio.Task[None] | None) -> None:
        """Until the session is released. `after` is the session before, whose link must be down first."""
        if after is not None:
            await asyncio.wait([after])
        search = asyncio.create_task(self._keep_connected())
        released = asyncio.create_task(self._session.released.wait())
        try:
            await asyncio.wait([search, released], return_when=asyncio.FIRST_COMPLETED)
            if self._session.greeted:
                # An open link ends by itself once it has sent what is left; all else is cut short.
                await asyncio.wait([search], timeout=self._settings.hang_up)
        finally:
            search.cancel()
            released.cancel()
            await asyncio.wait([search, released])
        if not search.cancelled():
            search.result()

    async def _keep_connected(self) -> None:
        session = self._session
        while not session.released.is_set():
            window = asyncio.timeout_at(session.resume_until)
            try:
                async with window:
                    device = self._device or await self._find()
                    if device is not None:
                        await self._one_link(device, window)
            except RADIO_ERRORS as error:
                if window.expired():
                    self._device = None
                    session.give_up()
                    continue
                self._tell_failure(error)
            except _UnfitReaderError as error:
                session.tell_once(error.kind, error.detail)
                if self._device is not None:
                    self._avoid.add(self._device.address)
                    self._device = None
                continue
            await self._pause()

    # Finding it

    async def _find(self) -> BLEDevice | None:
        """One scan, and which of those that it heard to try."""
        choice = self._choice
        wanted = self._session.reader_id or choice.chosen
        name = None if wanted is None else gatt.device_name(wanted)
        used = None if choice.last_used is None else gatt.device_name(choice.last_used)

        def may_be_ours(one: Heard) -> bool:
            # A name saves a connection; Reader Info decides.
            another = name is not None and one.is_named and one.name != name
            return not another and one.device.address not in self._avoid

        def enough(heard: Mapping[str, Heard]) -> bool:
            candidates = [one for one in heard.values() if may_be_ours(one)]
            return bool(candidates) and (wanted is not None or any(one.name == used for one in candidates))

        heard = await self._search.listen(
            self._settings.scan, enough, gather=self._settings.gather if wanted is None else 0.0
        )
        candidates = [one for one in heard if may_be_ours(one)]
        if candidates:
            best = max(candidates, key=lambda one: (used is not None and one.name == used, one.rssi))
            if len(candidates) > 1 and wanted is None:
                others = ", ".join(sorted(one.label for one in candidates if one is not best))
                self._session.tell_once(NoticeKind.SEVERAL_READERS, f"{best.label} (not {others})")
            self._device = best.device
        else:
            left = await self._search.left_connected()
            self._device = next((each for each in left if each.address not in self._avoid), None)
        if self._device is None:
            if wanted is None:
                self._session.tell_once(NoticeKind.READER_NOT_FOUND)
            else:
                self._session.tell_once(NoticeKind.READER_ABSENT, reader_id_text(wanted))
            self._avoid.clear()
        return self._device

    # One connection

    async def _one_link(self, device: BLEDevice, window: asyncio.Timeout) -> None:
        """From connecting to hanging up. Returns when the link is down or the session released."""
        session, down = self._session, asyncio.Event()

        def on_disconnected(_client: BleakClient) -> None:
            down.set()
            session.wake.set()

        client = BleakClient(
            device,
            disconnected_callback=on_disconnected,
            services=[gatt.SERVICE_UUID],
            timeout=self._settings.connect,
            pair=self._settings.pair,
            bluez={} if self._settings.adapter is None else {"adapter": self._settings.adapter},
            backend=self._backends.client,
        )
        try:
            # bleak keeps `timeout` itself, except in back ends that forget to.
            async with asyncio.timeout(self._settings.connect + self._settings.step):
                await client.connect()
            try:
                key = await self._prepare(client, down, window)
            except MessageError as error:
                raise _UnfitReaderError(NoticeKind.READER_FAILED, str(error)) from None
            session.channel.connected(_now(), await self._value_size(key))
            await self._pump(client, key, down)
        finally:
            was_open = session.channel.link is framing.Link.OPEN
            session.channel.disconnected(_now())
            if was_open and not session.released.is_set():
                session.link_dropped(_now() + self._settings.resume_window)
            await self._hang_up(client)

    async def _prepare(
        self, client: BleakClient, down: asyncio.Event, window: asyncio.Timeout
    ) -> BleakGATTCharacteristic:
        """Who is it? Then subscribe, before the first write can be answered."""
        session = self._session
        async with asyncio.timeout(self._settings.step):
            info = gatt.ReaderInfo.decode(bytes(await client.read_gatt_char(gatt.READER_INFO_UUID)))
        if info.reader_id != (session.reader_id or self._choice.chosen or info.reader_id):
            raise _UnfitReaderError(NoticeKind.OTHER_READER, reader_id_text(info.reader_id))
        if PROTOCOL_VERSION not in info.versions:
            raise _UnfitReaderError(NoticeKind.READER_TOO_NEW, reader_id_text(info.reader_id))
        key = client.services.get_characteristic(gatt.KEY_UUID)
        if key is None or "write" not in key.properties:
            raise MessageError("key", "is no characteristic that takes writes with response")

        def on_value(_sender: BleakGATTCharacteristic, value: bytearray) -> None:
            # Some platforms still deliver what was queued before the link went down.
            if not down.is_set():
                session.heed(session.channel.receive(bytes(value), _now()))
                session.heard(_now() + self._settings.silent)
                if session.channel.link is framing.Link.OPEN and not window.expired():
                    window.reschedule(None)
                session.wake.set()

        def on_status(_sender: BleakGATTCharacteristic, value: bytearray) -> None:
            try:
                status = gatt.Status.decode(bytes(value))
            except MessageError:
                return  # a newer reader's status; the screen does without
            session.reader_does(status)
            session.heard(_now() + self._settings.silent)

        async with asyncio.timeout(self._settings.step):
            await client.start_notify(gatt.CIPHERTEXT_UUID, on_value)
        async with asyncio.timeout(self._settings.step):
            await client.start_notify(gatt.STATUS_UUID, on_status)
        if session.reader_id is None:
            session.reader_id = info.reader_id
            session.report(Notice(NoticeKind.READER_FOUND, reader_id_text(info.reader_id)))
        return key

    async def _value_size(self, key: BleakGATTCharacteristic) -> int:
        """The size of one value. On BlueZ `mtu_size` is always 23; this property is true from 5.62 on."""
        waited = 0.0
        while key.max_write_without_response_size <= _UNKNOWN_SIZE and waited < self._settings.size_wait:
            await asyncio.sleep(0.05)
            waited += 0.05
        return max(gatt.SMALLEST_VALUE, min(key.max_write_without_response_size, gatt.LARGEST_VALUE))

    async def _pump(self, client: BleakClient, key: BleakGATTCharacteristic, down: asyncio.Event) -> None:
        """Write what the channel has to say and keep its clock, until the link or the session ends."""
        session = self._session
        while not down.is_set():
            session.wake.clear()
            while values := session.channel.values_to_send():
                for value in values:
                    async with asyncio.timeout(self._settings.step):
                        await client.write_gatt_char(key, value, response=True)
            session.all_written()
            if session.channel.link is framing.Link.FAILED:
                return
            if session.released.is_set() and session.channel.idle:
                return
            deadlines = (session.channel.deadline(), session.silent_at)
            try:
                async with asyncio.timeout_at(min((at for at in deadlines if at is not None), default=None)):
                    await session.wake.wait()
            except TimeoutError:
                if session.silent_at is not None and session.silent_at <= _now():
                    _log.info("the reader has gone silent")
                    return
                session.heed(session.channel.handle_timer(_now()))

    async def _hang_up(self, client: BleakClient) -> None:
        try:
            async with asyncio.timeout(self._settings.hang_up):
                await client.disconnect()
        except RADIO_ERRORS as error:
            # The link is gone or the platform is; either way there is nothing left to hang up.
            _log.info("hanging up: %s", type(error).__name__)

    # When it does not work

    def _tell_failure(self, error: Exception) -> None:
        session = self._session
        session.failures += 1
        # What was cached about the device may be what is wrong: look for it afresh.
        self._device = None
        notice = trouble(error)
        _log.info("radio: %s: %s", type(error).__name__, notice.detail)
        # One failed attempt is everyday radio, and the next usually succeeds.
        if notice.kind is not NoticeKind.READER_FAILED or session.failures > 1:
            session.tell_once(notice.kind, notice.detail)

    async def _pause(self) -> None:
        pauses = self._settings.pauses
        try:
            async with asyncio.timeout(pauses[min(self._session.failures, len(pauses) - 1)]):
                await self._session.released.wait()
        except TimeoutError:
            pass  # the pause is over


def _now() -> float:
    return asyncio.get_running_loop().time()
