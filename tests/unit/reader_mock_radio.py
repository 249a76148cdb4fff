"""A mocked bless server and radio for the reader's link, and a phone that speaks real framing to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from protocol import gatt
from protocol.channel_events import Event
from protocol.framing import Channel, Role
from protocol.identifiers import ReaderId
from protocol.messages import MessageType
from reader_peripheral.adapters.bless_link import BlessLink
from reader_peripheral.adapters.peripheral_radio import (
    ConnectionCallback,
    RadioError,
    Writer,
    WriteRefused,
)

INFO = gatt.ReaderInfo((1,), ReaderId(b"readerid"), 1, (0, 1))


@dataclass
class MockCharacteristic:
    """What bless hands to callbacks."""

    uuid: str
    properties: Any = None
    permissions: Any = None
    value: bytearray = field(default_factory=bytearray)


class MockServer:
    """bless's server without a radio: keeps what is notified; `broken` is what the next ones meet."""

    def __init__(self) -> None:
        self.characteristics: dict[str, MockCharacteristic] = {}
        self.services: list[str] = []
        self.started = False
        self.notified: list[tuple[str, bytes]] = []
        self.broken: list[Exception | bool] = []
        self.on_notify: Callable[[str, bytes], None] = lambda _uuid, _value: None
        self.read_request_func: Any = None
        self.write_request_func: Any = None

    async def add_new_service(self, uuid: str) -> None:
        self.services.append(uuid)

    async def add_new_characteristic(
        self, service: str, uuid: str, properties: Any, value: Any, permissions: Any
    ) -> None:
        assert service in self.services
        self.characteristics[uuid] = MockCharacteristic(
            uuid, properties, permissions, bytearray(value or b"")
        )

    def get_characteristic(self, uuid: str) -> MockCharacteristic:
        return self.characteristics[uuid]

    async def start(self) -> bool:
        self.started = True
        return True

    def update_value(self, service: str, uuid: str) -> bool:
        assert service in self.services
        if self.broken:
            fault = self.broken.pop(0)
            if isinstance(fault, Exception):
                raise fault
            return fault
        value = bytes(self.characteristics[uuid].value)
        self.notified.append((uuid, value))
        self.on_notify(uuid, value)
        return True


class Refused(Exception):  # noqa: N818 - it is what a central sees, not our error
    """A refused write."""

    def __init__(self, why: WriteRefused) -> None:
        super().__init__(why.name)
        self.why = why


class MockRadio:
    """A PeripheralRadio whose centrals a test plays."""

    notification_gap = 0.0

    def __init__(self) -> None:
        self.server = MockServer()
        self.name = ""
        self.hung_up: list[str] = []
        self.served: list[str] = []
        self.closed = False
        self.gone = asyncio.Event()
        self.current: Writer | None = None
        self.writer_fails: Exception | None = None
        self._on_connection: ConnectionCallback | None = None

    async def open(self, name: str, on_connection: ConnectionCallback) -> MockServer:
        self.name, self._on_connection = name, on_connection
        return self.server

    def writer(self) -> Writer | None:
        if self.writer_fails:
            raise self.writer_fails
        return self.current

    def serve(self, central: str) -> None:
        self.served.append(central)

    def refusal(self, why: WriteRefused) -> Exception:
        return Refused(why)

    async def disconnect(self, central: str) -> None:
        self.hung_up.append(central)
        self.tell(central, False)

    async def lost(self) -> None:
        await self.gone.wait()
        raise RadioError("The radio is gone.")

    async def close(self) -> None:
        self.closed = True

    def tell(self, central: str, connected: bool) -> None:
        assert self._on_connection
        self._on_connection(central, connected)

    def write(self, central: str, value: bytes, *, uuid: str = gatt.KEY_UUID, mtu: int | None = 517) -> None:
        """One write as bless delivers it; raises what the central would see."""
        self.current = Writer(central, mtu)
        try:
            self.server.write_request_func(self.server.get_characteristic(uuid), bytearray(value))
        finally:
            self.current = None


class Handlers:
    """Keeps what the link tells, in order."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def session_started(self) -> None:
        self.told.append("started")

    def session_resumed(self) -> None:
        self.told.append("resumed")

    def link_lost(self) -> None:
        self.told.append("lost")

    def session_over(self) -> None:
        self.told.append("over")

    def message(self, message_type: MessageType, payload: bytes) -> None:
        self.told.append((message_type, payload))

    def cancelled(self) -> None:
        self.told.append("cancelled")


class Phone:
    """A central with the real framing; `cut_after` drops its link after so many values, either way."""

    def __init__(
        self, radio: MockRadio, *, address: str = "phone-1", mtu: int = 517, session: int = 7
    ) -> None:
        self.radio, self.address, self.mtu = radio, address, mtu
        self.channel = Channel(Role.CENTRAL, session=session)
        self.events: list[Event] = []
        self.largest_notified = 0
        self.cut_after: int | None = None
        self._up = False
        radio.server.on_notify = self._notified

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def connect(self) -> None:
        self._up = True
        self.radio.tell(self.address, True)
        self.channel.connected(self.now(), gatt.largest_value(self.mtu))

    def hang_up(self) -> None:
        self._up = False
        self.channel.disconnected(self.now())
        self.radio.tell(self.address, False)

    def say(self, message_type: MessageType, payload: bytes) -> None:
        self.channel.send(message_type, payload, self.now())

    def _counted(self) -> bool:
        """Whether this value still passes."""
        if self.cut_after is not None:
            if self.cut_after == 0:
                self.cut_after = None
                self.hang_up()
                return False
            self.cut_after -= 1
        return True

    def _notified(self, uuid: str, value: bytes) -> None:
        if uuid != gatt.CIPHERTEXT_UUID or not self._up or not self._counted():
            return
        self.largest_notified = max(self.largest_notified, len(value))
        self.events += self.channel.receive(value, self.now())

    async def talk(self, until: Callable[[], bool], *, most: int = 5000) -> None:
        """Carry values both ways until something is so."""
        for _ in range(most):
            if until():
                return
            if self._up:
                for value in self.channel.values_to_send():
                    if not self._counted():
                        break
                    self.radio.write(self.address, value, mtu=self.mtu)
            await asyncio.sleep(0)
        raise AssertionError(f"never so; phone has {self.events}, hung up: {self.radio.hung_up}")

    async def join(self, handlers: Handlers, told: str) -> None:
        """Connect and exchange HELLO."""
        count = handlers.told.count(told)
        self.connect()
        await self.talk(lambda: handlers.told.count(told) > count)


async def started_link(radio: MockRadio, handlers: Handlers) -> BlessLink:
    """A link on the air."""
    link = BlessLink(radio, INFO)
    await link.start(handlers)
    return link
