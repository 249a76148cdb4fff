"""The phone's Bluetooth link when it drops, hears garbage, or is let go; bleak is mocked."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from bleak.exc import (
    BleakDeviceNotFoundError,
    BleakError,
)

from handset_client.adapters.bleak_link import BleakReaderLink
from handset_client.adapters.link_session import LinkSettings
from handset_client.effects import Notice, NoticeKind
from handset_client.ports import ReaderLost, ReaderReady, ReaderSaid, ReaderTook
from protocol import gatt
from protocol.messages import MessageType
from tests.unit.handset_air import HELLO, READER, MockAir
from tests.unit.handset_link_bench import OFFER, OTHER, PAYMENT, QUICK, kinds, until


@pytest.fixture
def air() -> MockAir:
    return MockAir()


@pytest.fixture
async def link(air: MockAir) -> AsyncIterator[BleakReaderLink]:
    link = BleakReaderLink(QUICK, air.backends())
    yield link
    await link.close()
    assert air.open_links == []


# Drops and resumption


async def test_a_write_failing_in_the_middle_of_a_message_is_resumed(
    air: MockAir, link: BleakReaderLink
) -> None:
    reader = air.add()
    link.connect()
    await until(link, ReaderReady)
    air.plan("write", 2, BleakError("write failed"))
    link.send(PAYMENT, MessageType.KEY_OFFER, OFFER)
    events = await until(link, ReaderTook)
    assert kinds(events) == [NoticeKind.READER_CONNECTION_LOST, NoticeKind.READER_RESUMED]
    assert reader.received == [(MessageType.KEY_OFFER, OFFER)]
    assert reader.hellos == 1


@pytest.mark.parametrize("nth", range(1, 9))
async def test_a_drop_at_any_write_of_a_message_is_resumed(nth: int) -> None:
    air = MockAir(value_size=200)
    reader = air.add()
    link = BleakReaderLink(QUICK, air.backends())
    link.connect()
    await until(link, ReaderReady)
    air.plan("write", nth, air.drop_links)
    link.send(PAYMENT, MessageType.KEY_OFFER, OFFER)
    await until(link, ReaderTook)
    assert reader.received == [(MessageType.KEY_OFFER, OFFER)]
    await link.close()


async def test_a_drop_in_the_middle_of_the_readers_message_is_resumed(
    air: MockAir, link: BleakReaderLink
) -> None:
    reader = air.add()
    link.connect()
    await until(link, ReaderReady)

    def first_half_then_gone(values: list[bytes]) -> list[bytes]:
        if len(values) < 2:
            return values
        reader.on_values = lambda values: values
        asyncio.get_running_loop().call_later(0.02, air.drop_links)
        return values[:1]

    reader.on_values = first_half_then_gone
    reader.say(MessageType.CARD_ENVELOPE, OFFER)
    events = await until(link, ReaderSaid)
    assert events[-1] == ReaderSaid(MessageType.CARD_ENVELOPE, OFFER)
    assert NoticeKind.READER_RESUMED in kinds(events)


async def test_what_is_sent_while_the_link_is_down_goes_out_after_it(
    air: MockAir, link: BleakReaderLink
) -> None:
    reader = air.add()
    link.connect()
    await until(link, ReaderReady)
    air.drop_links()
    link.send(PAYMENT, MessageType.KEY_OFFER, OFFER)
    await until(link, ReaderTook)
    assert reader.received == [(MessageType.KEY_OFFER, OFFER)]


async def test_reconnecting_goes_straight_to_the_known_device(air: MockAir, link: BleakReaderLink) -> None:
    air.add()
    link.connect()
    await until(link, ReaderReady)
    air.drop_links()
    await until(link, NoticeKind.READER_RESUMED)
    assert air.count("scan") == 1


async def test_a_known_device_that_fails_is_looked_for_again(air: MockAir, link: BleakReaderLink) -> None:
    air.add()
    link.connect()
    await until(link, ReaderReady)
    air.plan("connect", 1, BleakDeviceNotFoundError("C0:00:00:00:00:01"))
    air.drop_links()
    await until(link, NoticeKind.READER_RESUMED)
    assert air.count("scan") == 2


async def test_a_reader_that_forgot_the_session_is_lost_and_greets_anew(
    air: MockAir, link: BleakReaderLink
) -> None:
    reader = air.add()
    link.connect()
    await until(link, ReaderReady)
    air.drop_links()
    reader.forget_session()
    events = await until(link, ReaderReady)
    assert ReaderLost() in events
    assert events[-1] == ReaderReady(READER, HELLO + b"2")


async def test_a_reader_away_for_too_long_is_lost_and_still_looked_for(air: MockAir) -> None:
    reader = air.add()
    settings = LinkSettings(
        scan=0.05, gather=0.02, resume_window=0.2, size_wait=0.1, hang_up=0.2, pauses=(0.01,)
    )
    link = BleakReaderLink(settings, air.backends())
    link.connect()
    await until(link, ReaderReady)
    air.readers.clear()
    for nth in range(1, 40):
        air.plan("connect", nth, BleakError("out of range"))
    air.drop_links()
    await until(link, ReaderLost)
    air.readers.append(reader)
    events = await until(link, ReaderReady)
    assert NoticeKind.READER_RESUMED not in kinds(events)
    await link.close()


async def test_resuming_goes_to_the_same_reader_only(air: MockAir, link: BleakReaderLink) -> None:
    reader = air.add()
    link.connect()
    await until(link, ReaderReady)
    air.plan("connect", 1, BleakError("gone"))
    air.readers.remove(reader)
    air.add(OTHER, "C0:00:00:00:00:0F").name = None
    air.drop_links()
    await until(link, NoticeKind.OTHER_READER)
    air.readers.append(reader)
    await until(link, NoticeKind.READER_RESUMED)


# Garbage and disorder from the reader


async def test_notifications_out_of_order_are_asked_for_again(air: MockAir, link: BleakReaderLink) -> None:
    reader = air.add()
    link.connect()
    await until(link, ReaderReady)

    def swap_once(values: list[bytes]) -> list[bytes]:
        if len(values) < 3:
            return values
        reader.on_values = lambda values: values
        return [values[0], values[2], values[1], *values[3:]]

    reader.on_values = swap_once
    reader.say(MessageType.CARD_ENVELOPE, OFFER)
    assert (await until(link, ReaderSaid))[-1] == ReaderSaid(MessageType.CARD_ENVELOPE, OFFER)


async def test_a_lost_notification_is_asked_for_again(air: MockAir, link: BleakReaderLink) -> None:
    reader = air.add()
    link.connect()
    await until(link, ReaderReady)

    def lose_second(values: list[bytes]) -> list[bytes]:
        if len(values) < 3:
            return values
        reader.on_values = lambda values: values
        return [values[0], *values[2:]]

    reader.on_values = lose_second
    reader.say(MessageType.CARD_ENVELOPE, OFFER)
    assert (await until(link, ReaderSaid))[-1] == ReaderSaid(MessageType.CARD_ENVELOPE, OFFER)


@pytest.mark.parametrize("garbage", [b"", b"\xff", b"\x80\x01", b"\x00", b"\xbf" * 20, b"\x90\x01\xff\xff"])
async def test_garbage_ends_the_session_and_begins_another(
    air: MockAir, link: BleakReaderLink, garbage: bytes
) -> None:
    reader = air.add()
    link.connect()
    await until(link, ReaderReady)
    assert reader.client is not None
    reader.client.notify(gatt.CIPHERTEXT_UUID, garbage)
    events = await until(link, ReaderReady)
    assert ReaderLost() in events
    assert NoticeKind.READER_FAILED in kinds(events)


async def test_a_status_is_for_the_screen_and_an_unknown_one_for_nobody(
    air: MockAir, link: BleakReaderLink
) -> None:
    reader = air.add()
    link.connect()
    await until(link, ReaderReady)
    assert reader.client is not None
    for value in (b"", b"\xee", b"ab", gatt.Status.WAITING_FOR_CARD.encode()):
        reader.client.notify(gatt.STATUS_UUID, value)
    assert await until(link, NoticeKind.READER_STATUS) == [
        Notice(NoticeKind.READER_STATUS, "waiting_for_card")
    ]


async def test_a_status_that_goes_on_is_told_once(air: MockAir, link: BleakReaderLink) -> None:
    reader = air.add()
    link.connect()
    await until(link, ReaderReady)
    assert reader.client is not None
    waiting, read = gatt.Status.WAITING_FOR_CARD, gatt.Status.CARD_READ
    for value in (waiting, waiting, read):
        reader.client.notify(gatt.STATUS_UUID, value.encode())
    told = [*await until(link, NoticeKind.READER_STATUS), *await until(link, NoticeKind.READER_STATUS)]
    assert told == [Notice(NoticeKind.READER_STATUS, status.name.lower()) for status in (waiting, read)]


# The end of a session


async def test_releasing_hangs_up_and_the_next_connect_is_another_session(
    air: MockAir, link: BleakReaderLink
) -> None:
    air.add()
    link.connect()
    await until(link, ReaderReady)
    link.release()
    link.connect()
    assert (await until(link, ReaderReady))[-1] == ReaderReady(READER, HELLO + b"2")
    assert len(air.open_links) == 1


async def test_what_was_sent_before_a_release_still_arrives(air: MockAir, link: BleakReaderLink) -> None:
    reader = air.add()
    link.connect()
    await until(link, ReaderReady)
    link.send(PAYMENT, MessageType.OUTCOME, OFFER)
    link.release()
    link.connect()
    await until(link, ReaderReady)
    assert reader.received == [(MessageType.OUTCOME, OFFER)]


async def test_word_of_a_released_session_is_not_heard(air: MockAir, link: BleakReaderLink) -> None:
    air.add()
    link.connect()
    acknowledged = asyncio.Event()
    air.plan("write", 2, acknowledged.set)  # the hello is in the queue by then, and nobody has looked
    await acknowledged.wait()
    link.release()
    link.connect()
    events = await until(link, ReaderReady)
    assert [event for event in events if isinstance(event, ReaderReady)] == [
        ReaderReady(READER, HELLO + b"2")
    ]


async def test_a_scan_is_cut_short_by_a_release(air: MockAir) -> None:
    link = BleakReaderLink(LinkSettings(scan=600, hang_up=0.5), air.backends())
    scanning = asyncio.Event()
    air.plan("scan", 1, scanning.set)
    link.connect()
    await scanning.wait()
    link.release()
    async with asyncio.timeout(1):
        await link.close()
    assert air.count("scan stop") == 1


async def test_sending_without_a_session_is_harmless(link: BleakReaderLink) -> None:
    link.send(PAYMENT, MessageType.KEY_OFFER, OFFER)


async def test_a_disconnect_that_fails_does_not_hold_anything_up(air: MockAir) -> None:
    air.add()
    link = BleakReaderLink(QUICK, air.backends())
    link.connect()
    await until(link, ReaderReady)
    air.plan("disconnect", 1, lambda: asyncio.sleep(3600))
    async with asyncio.timeout(5):
        await link.close()


async def test_no_value_reaches_the_log(
    air: MockAir, link: BleakReaderLink, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    air.add()
    link.connect()
    await until(link, ReaderReady)
    assert logging.getLogger("bleak").getEffectiveLevel() >= logging.INFO
    assert HELLO.decode() not in caplog.text
    assert HELLO.hex() not in caplog.text


# A link that is up with nobody there


async def test_a_reader_that_waits_for_a_card_and_goes_silent_is_connected_to_anew(air: MockAir) -> None:
    reader = air.add()
    link = BleakReaderLink(replace(QUICK, silent=0.1), air.backends())
    link.connect()
    await until(link, ReaderReady)
    reader.channel.keepalive(gatt.Status.WAITING_FOR_CARD, asyncio.get_running_loop().time())
    reader.flush()
    events = await until(link, NoticeKind.READER_CONNECTION_LOST)
    assert Notice(NoticeKind.READER_STATUS, "waiting_for_card") in events
    # Killed and started again, it has lost the session, and says so at once.
    reader.forget_session()
    await until(link, ReaderLost)
    await until(link, ReaderReady)
    await link.close()


async def test_a_reader_that_waits_for_nobody_may_be_silent(air: MockAir) -> None:
    reader = air.add()
    link = BleakReaderLink(replace(QUICK, silent=0.05), air.backends())
    link.connect()
    await until(link, ReaderReady)
    for status in (gatt.Status.WAITING_FOR_PIN, gatt.Status.PIN_READ):
        reader.channel.keepalive(status, asyncio.get_running_loop().time())
        reader.flush()
    with pytest.raises(TimeoutError):
        await until(link, NoticeKind.READER_CONNECTION_LOST, within=0.3)
    await link.close()
