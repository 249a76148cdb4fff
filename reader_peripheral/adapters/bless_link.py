"""The reader's BLE link: protocol.framing's channel over a bless server, one phone at a time.

Nothing here understands a message. bless calls back from the radio's side: the callbacks take the value,
answer at once and leave the work to the loop, and no exception of ours passes through them, since bless and
dbus-next would put its text on the bus and its traceback into the log.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from bless.backends.attribute import GATTAttributePermissions
from bless.backends.characteristic import GATTCharacteristicProperties

from protocol import gatt
from protocol.channel_events import Cancelled, Connected, Event, GreetingFailed, MessageReceived, PeerFailed
from protocol.channel_events import Link as LinkState
from protocol.errors import FramingError, LocalProtocolError
from protocol.frames import Hello, parse
from protocol.framing import Channel, Role
from protocol.messages import MessageType
from reader_peripheral.adapters.note_budget import NoteBudget
from reader_peripheral.adapters.peripheral_radio import PeripheralRadio, WriteRefused
from reader_peripheral.ports import LinkHandlers

log = logging.getLogger(__name__)

UNUSED_SECONDS = 180.0
"""So long a phone may hold the reader without a payment: three times what a person has for approving one.

HELLO proves nothing, and whoever is served keeps all others out.
"""
_NO_PAYMENT = frozenset(
    {gatt.Status.IDLE, gatt.Status.APPROVED, gatt.Status.NOT_SETTLED, gatt.Status.UNKNOWN_OUTCOME}
)


class BlessLink:
    """Implements ports.Link over a PeripheralRadio. With `encrypt` a phone must be paired to write."""

    def __init__(self, radio: PeripheralRadio, info: gatt.ReaderInfo, *, encrypt: bool = False) -> None:
        self._radio = radio
        self._info = info
        self._encrypt = encrypt
        self._channel = Channel(Role.PERIPHERAL)
        self._last_words: list[bytes] = []  # of the channel before: the ERROR that its phone is still owed
        self._status = gatt.Status.IDLE
        self._server: Any = None  # bless ships no types
        self._handlers: LinkHandlers | None = None
        self._central: str | None = None
        self._last_central: str | None = None
        self._leaving: set[str] = set()
        self._unused: asyncio.TimerHandle | None = None
        self._mtu: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._notes = NoteBudget(log)
        self._wake = asyncio.Event()
        self._sent = asyncio.Event()

    async def start(self, handlers: LinkHandlers) -> None:
        """Put up the service and advertise it; raises RadioError."""
        self._handlers = handlers
        self._server = await self._radio.open(gatt.device_name(self._info.reader_id), self._on_connection)
        self._server.read_request_func = self._on_read
        self._server.write_request_func = self._on_write
        await self._server.add_new_service(gatt.SERVICE_UUID)
        for uuid, properties in gatt.PROPERTIES.items():
            permissions = _permissions(properties, encrypt=self._encrypt)
            await self._server.add_new_characteristic(
                gatt.SERVICE_UUID, uuid, _bless_properties(properties), None, permissions
            )
        self._server.get_characteristic(gatt.STATUS_UUID).value = bytearray(self._status.encode())
        await self._server.start()
        self._spawn(self._send_values())
        self._spawn(self._keep_alive())

    async def stop(self) -> None:
        """Hang up and take the service down; safe to call when start failed half-way."""
        self._handlers = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for timer in (self._timer, self._unused):
            if timer:
                timer.cancel()
        if self._central is not None:
            await self._radio.disconnect(self._central)
        await self._radio.close()

    def send(self, message_type: MessageType, payload: bytes) -> None:
        """Queue one message. Where no session takes it, the machine's clock ends the wait for an answer."""
        try:
            self._channel.send(message_type, payload, self._now())
        except LocalProtocolError as problem:
            log.warning("%s is not sent: %s", message_type.name, problem)
        self._after()

    def set_status(self, status: gatt.Status) -> None:
        """Write the Status characteristic and notify it."""
        began_or_ended = (self._status in _NO_PAYMENT) is not (status in _NO_PAYMENT)
        self._status = status
        if began_or_ended:
            self._watch_use()
        if self._server is not None:
            self._notify(gatt.STATUS_UUID, status.encode())

    def forget_session(self) -> None:
        """Whoever comes, or is just saying hello, starts again."""
        if self._channel.link is LinkState.FAILED:
            self._last_words = self._channel.values_to_send()
        self._channel = Channel(Role.PERIPHERAL)
        if self._central is not None:
            self._channel.connected(self._now(), self._largest_value())
        self._after()

    # bless calls these: synchronously, with no exception let through.

    def _on_read(self, characteristic: Any, **_: Any) -> bytearray:
        if characteristic.uuid == gatt.READER_INFO_UUID:
            return bytearray(self._info.encode())
        if characteristic.uuid == gatt.STATUS_UUID:
            return bytearray(self._status.encode())
        return bytearray()

    def _on_write(self, characteristic: Any, value: Any, **_: Any) -> None:
        """Take one value for the channel, or refuse the write."""
        try:
            refused = self._take(characteristic.uuid, value)
        except Exception as problem:  # noqa: BLE001 - whatever it is, its text must not reach D-Bus
            log.error("a write could not be taken: %s", type(problem).__name__)
            refused = WriteRefused.READER_FAILED
        if refused is not None:
            raise self._radio.refusal(refused) from None

    def _take(self, uuid: str, value: Any) -> WriteRefused | None:
        """None when taken, else why not."""
        # BlueZ passes writes on to characteristics that are notify-only.
        if uuid != gatt.KEY_UUID:
            return WriteRefused.NOT_PERMITTED
        writer = self._radio.writer()
        if writer is not None:
            if self._central is None:
                # Only who begins with HELLO is served: until then nobody is kept out for him.
                if not _is_hello(bytes(value)):
                    return self._turn_away(writer.central, bytes(value))
                if self._place_is_kept(writer.central, bytes(value)):
                    self._show_out(writer.central)
                    return WriteRefused.BUSY
                self._radio.serve(writer.central)
                self._on_connection(writer.central, True)
            if writer.central != self._central:
                self._show_out(writer.central)
                return WriteRefused.BUSY
            self._learn_mtu(writer.mtu)
        elif self._central is None:
            return WriteRefused.READER_FAILED
        events = self._channel.receive(bytes(value), self._now())
        asyncio.get_running_loop().call_soon(self._tell, events)
        return None

    def _on_connection(self, central: str, connected: bool) -> None:
        if connected and self._central is None:
            log.info("a phone connected")
            self._central, self._mtu = central, None
            self._channel.connected(self._now(), self._largest_value())
            self._watch_use()
        elif connected and central != self._central:
            self._show_out(central)
        elif not connected and central == self._central:
            log.info("the phone disconnected")
            self._central = None
            self._last_words.clear()
            # Not so a stranger's who never said HELLO: the resume window is not his to begin anew.
            was_open = self._channel.link is LinkState.OPEN
            self._channel.disconnected(self._now())
            self._watch_use()
            if was_open:
                self._last_central = central
                if self._handlers is not None:
                    asyncio.get_running_loop().call_soon(self._handlers.link_lost)
        self._after()

    def _place_is_kept(self, central: str, value: bytes) -> bool:
        """Whether this HELLO would end a payment whose phone may still come back.

        Not so from the phone's own address: there the phone itself was started anew. One that has a new
        address since then waits until the session is forgotten.
        """
        away = self._channel.session
        if self._status in _NO_PAYMENT or not away or self._last_central in (None, central):
            return False
        hello = parse(value)
        return isinstance(hello, Hello) and hello.session != away

    def _turn_away(self, central: str, value: bytes) -> WriteRefused | None:
        """What a central that is not served wrote in place of HELLO; None when it is answered with ERROR."""
        if central == self._last_central:
            # Under way when its link went down: taken for a new link's, it would end the session that the
            # phone is about to resume.
            return WriteRefused.READER_FAILED
        asked = Channel(Role.PERIPHERAL)
        asked.connected(self._now(), gatt.LARGEST_VALUE)
        for event in asked.receive(value, self._now()):
            if isinstance(event, GreetingFailed) and central not in self._leaving:
                self._note("someone connected and did not say hello: %s", event.code.name)
        self._leave(central)
        if self._status not in _NO_PAYMENT:
            # Whoever subscribed hears a notification: the phone that is coming back would end its session.
            return WriteRefused.READER_FAILED
        for word in asked.values_to_send():
            self._notify(gatt.CIPHERTEXT_UUID, word)
        return None

    def _show_out(self, central: str) -> None:
        if central not in self._leaving:
            self._note("a second phone is refused while the first is served")
            self._leave(central)

    def _leave(self, central: str) -> None:
        """Hang up on a central that is not served; once, however much it writes meanwhile."""

        async def hang_up() -> None:
            try:
                await self._radio.disconnect(central)
            finally:
                self._leaving.discard(central)

        if central not in self._leaving:
            self._leaving.add(central)
            self._spawn(hang_up())

    def _watch_use(self) -> None:
        """Begin to wait for a payment, or stop to."""
        if self._unused:
            self._unused.cancel()
            self._unused = None
        if self._central is not None and self._status in _NO_PAYMENT:
            self._unused = asyncio.get_running_loop().call_later(UNUSED_SECONDS, self._on_unused)

    def _on_unused(self) -> None:
        self._unused = None
        if self._central is not None:
            self._note("a phone brought no payment for %g seconds: it makes room", UNUSED_SECONDS)
            self._spawn(self._radio.disconnect(self._central))

    # The channel.

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _note(self, text: str, *values: object) -> None:
        self._notes.warning(self._now(), text, *values)

    def _largest_value(self) -> int:
        return gatt.LARGEST_VALUE if self._mtu is None else gatt.largest_value(self._mtu)

    def _learn_mtu(self, mtu: int | None) -> None:
        """The MTU is known with the first write, which is HELLO: the answer to it says the true size."""
        if mtu is None or mtu == self._mtu:
            return
        self._mtu = mtu
        if self._channel.link is LinkState.GREETING:
            self._channel.disconnected(self._now())
            self._channel.connected(self._now(), self._largest_value())

    def _tell(self, events: list[Event]) -> None:
        """Hand the channel's events on, in order, in a turn of the loop of their own."""
        handlers = self._handlers
        if handlers is None:
            return
        for event in events:
            match event:
                case Connected(resumed=True):
                    handlers.session_resumed()
                case Connected():
                    handlers.session_started()
                case MessageReceived(message_type, payload):
                    handlers.message(message_type, payload)
                case Cancelled():
                    handlers.cancelled()
                case PeerFailed(code, told):
                    self._note("the session broke: %s, %s", code.name, "by the phone" if told else "by us")
                    handlers.session_over()
                    self._spawn(self._hang_up())
                case GreetingFailed(code):
                    self._note("someone connected and did not say hello: %s", code.name)
                    self._spawn(self._hang_up())
                case _:
                    pass  # deliveries and the phone's signs of life change nothing here
        self._after()

    def _after(self) -> None:
        """After every call into the channel: send what it has to send, wake when it wants to be woken."""
        self._sent.clear()
        self._wake.set()
        if self._timer:
            self._timer.cancel()
            self._timer = None
        deadline = self._channel.deadline()
        if deadline is not None:
            self._timer = asyncio.get_running_loop().call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        events = self._channel.handle_timer(self._now())
        asyncio.get_running_loop().call_soon(self._tell, events)

    async def _send_values(self) -> None:
        """Notify the channel's values one by one, no faster than the radio takes them."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            central = self._central
            values, self._last_words = self._last_words, []
            for value in (*values, *self._channel.values_to_send()):
                # What was cut for a link that is gone is said again, from where it stopped, on the next.
                if self._central != central or central is None:
                    break
                self._notify(gatt.CIPHERTEXT_UUID, value)
                await asyncio.sleep(self._radio.notification_gap)
            if not self._wake.is_set():
                self._sent.set()

    async def _hang_up(self) -> None:
        """Let the ERROR frame out, then drop the link."""
        central = self._central
        await self._sent.wait()
        if central is not None:
            await self._radio.disconnect(central)

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(gatt.KEEPALIVE_EVERY)
            if self._status.waits_for_a_person:
                self._channel.keepalive(self._status, self._now())
                self._after()

    def _notify(self, uuid: str, value: bytes) -> None:
        try:
            self._server.get_characteristic(uuid).value = bytearray(value)
            told = self._server.update_value(gatt.SERVICE_UUID, uuid)
        except Exception as problem:  # noqa: BLE001 - a lost notification is asked for again; see framing
            self._note("a notification failed: %s", type(problem).__name__)
            return
        if told is False:
            self._note("a notification was not taken")

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _is_hello(value: bytes) -> bool:
    try:
        return isinstance(parse(value), Hello)
    except FramingError:
        return False


def _bless_properties(properties: gatt.Property) -> GATTCharacteristicProperties:
    """The same bits: both number them as the Core specification does."""
    return GATTCharacteristicProperties(int(properties))


def _permissions(properties: gatt.Property, *, encrypt: bool) -> GATTAttributePermissions:
    """Reads stay open to everybody: a phone must be able to see which reader it is before it pairs."""
    if gatt.Property.WRITE not in properties:
        return GATTAttributePermissions.readable
    if encrypt:
        return GATTAttributePermissions.writeable | GATTAttributePermissions.write_encryption_required
    return GATTAttributePermissions.writeable
