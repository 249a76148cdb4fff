"""Two channels over bleak and bless: large messages through bad air, lost notifications and cut links."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from bleak.exc import BleakError

from protocol import gatt
from protocol.framing import Channel, Connected, Delivered, Event, Link, MessageReceived, Role
from protocol.messages import MessageType
from virtual_radio.conditions import RadioConditions
from virtual_radio.ether import Ether

if TYPE_CHECKING:
    from conftest import Connect, Reader, StartReader

OFFER, HELLO = MessageType.KEY_OFFER, MessageType.READER_HELLO


class Party:
    """A channel, who carries its values, and what it tells."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.told: asyncio.Queue[Event] = asyncio.Queue()
        self.taken: asyncio.Queue[None] = asyncio.Queue()
        self.changed = asyncio.Event()

    def heard(self, events: list[Event]) -> None:
        for event in events:
            self.told.put_nowait(event)
        self.taken.put_nowait(None)
        self.changed.set()

    def send(self, kind: MessageType, payload: bytes) -> None:
        self.channel.send(kind, payload, now())
        self.changed.set()

    async def expect(self, *events: Event) -> None:
        for event in events:
            assert await self.told.get() == event

    async def run(self, carry: Callable[[bytes], object]) -> None:
        """Carry values and fire timers for as long as the link stands."""
        while True:
            self.changed.clear()
            for value in self.channel.values_to_send():
                result = carry(value)
                if asyncio.iscoroutine(result):
                    await result
            deadline = self.channel.deadline()
            try:
                async with asyncio.timeout_at(deadline):
                    await self.changed.wait()
            except TimeoutError:
                self.heard(self.channel.handle_timer(now()))


def now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def linked(reader: Reader, card_reader: Party, phone: Party, dialled: object) -> AsyncIterator[None]:
    """One link: both channels run until the block ends, then both learn that it is down."""
    handset = await dialled  # type: ignore[misc]
    mtu = handset.client.mtu_size

    async def write(value: bytes) -> None:
        await handset.client.write_gatt_char(gatt.KEY_UUID, value, response=True)

    async def listen() -> None:
        while True:
            phone.heard(phone.channel.receive(await handset.notified.get(), now()))

    async def take() -> None:
        while True:
            card_reader.heard(card_reader.channel.receive(await reader.written.get(), now()))

    await handset.subscribe()
    card_reader.channel.connected(now(), gatt.largest_value(mtu))
    phone.channel.connected(now(), gatt.largest_value(mtu))
    work = [
        asyncio.create_task(part)
        for part in (listen(), take(), phone.run(write), card_reader.run(reader.notify))
    ]
    try:
        yield
    finally:
        for task in work:
            task.cancel()
        for outcome in await asyncio.gather(*work, return_exceptions=True):
            assert isinstance(outcome, asyncio.CancelledError | BleakError), outcome
        card_reader.channel.disconnected(now())
        phone.channel.disconnected(now())
        await handset.client.disconnect()
        while not reader.written.empty():
            reader.written.get_nowait()


def parties() -> tuple[Party, Party]:
    return Party(Channel(Role.PERIPHERAL)), Party(Channel(Role.CENTRAL, session=7))


def message(size: int) -> bytes:
    return bytes(position * 31 % 251 for position in range(size))


@pytest.mark.parametrize(
    ("conditions", "mtu"),
    [
        (RadioConditions(), 23),
        (RadioConditions(), 517),
        (RadioConditions(connection_interval=0.0075, loss=0.2, supervision_timeout=5, seed=1), 247),
        (RadioConditions(lost_notifications=0.1, seed=2), 60),
    ],
)
async def test_four_kilobytes_each_way(
    conditions: RadioConditions, mtu: int, start_reader: StartReader, connect: Connect
) -> None:
    async with Ether(conditions) as ether:
        reader = await start_reader(await ether.add_device("reader"))
        dialled = connect(await ether.add_device("phone"), mtu=mtu)
        card_reader, phone = parties()
        async with linked(reader, card_reader, phone, dialled):
            await phone.expect(Connected(resumed=False))
            await card_reader.expect(Connected(resumed=False))
            card_reader.send(HELLO, message(4096))
            await phone.expect(MessageReceived(HELLO, message(4096)))
            phone.send(OFFER, message(4000))
            await card_reader.expect(Delivered(1), MessageReceived(OFFER, message(4000)))
            await phone.expect(Delivered(1))
            assert phone.channel.largest_value == gatt.largest_value(mtu)


async def test_a_message_survives_the_loss_of_its_link(start_reader: StartReader, connect: Connect) -> None:
    conditions = RadioConditions(connection_interval=0.0075, packets_per_event=1)
    async with Ether(conditions) as ether:
        reader = await start_reader(await ether.add_device("reader"))
        radio = await ether.add_device("phone")
        card_reader, phone = parties()
        async with linked(reader, card_reader, phone, connect(radio, mtu=60)):
            await phone.expect(Connected(resumed=False))
            card_reader.send(HELLO, message(4096))
            while phone.channel._inbox.held()[1] < 1000:
                await phone.taken.get()
            ether.cut()
        assert phone.channel.link is Link.DOWN
        assert phone.told.empty()
        held = phone.channel._inbox.held()[1]
        assert 1000 <= held < 4096
        async with linked(reader, card_reader, phone, connect(radio, mtu=60)):
            await phone.expect(Connected(resumed=True), MessageReceived(HELLO, message(4096)))
            await card_reader.expect(Connected(resumed=False), Connected(resumed=True), Delivered(1))
