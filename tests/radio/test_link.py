"""bleak and bless meet over virtual controllers: scan, connect, read, write, notify, errors, disconnects."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from bleak import BleakClient, BleakScanner
from bleak.exc import BleakError, BleakGATTProtocolError
from bumble import att
from bumble.device import Device

from protocol import gatt
from virtual_radio.bleak_backend import backends
from virtual_radio.ether import Ether

if TYPE_CHECKING:
    from conftest import Connect, FindReader, Reader


async def test_an_advert_names_the_service_and_the_reader(reader: Reader, phone: Device) -> None:
    scanner, _ = backends(phone)
    found = await BleakScanner.discover(timeout=0.1, return_adv=True, backend=scanner)
    ((device, advert),) = found.values()
    assert device.name == advert.local_name == "BR-0001"
    assert advert.service_uuids == [gatt.SERVICE_UUID]


async def test_a_scan_for_another_service_finds_nothing(reader: Reader, phone: Device) -> None:
    scanner, _ = backends(phone)
    other = ["0000180f-0000-1000-8000-00805f9b34fb"]
    assert await BleakScanner.discover(timeout=0.1, service_uuids=other, backend=scanner) == []


async def test_reader_info_is_read_and_has_the_declared_properties(
    reader: Reader, phone: Device, connect: Connect, info: gatt.ReaderInfo
) -> None:
    handset = await connect(phone)
    assert gatt.ReaderInfo.decode(bytes(await handset.client.read_gatt_char(gatt.READER_INFO_UUID))) == info
    names = {c.uuid: set(c.properties) for s in handset.client.services for c in s.characteristics}
    assert names[gatt.KEY_UUID] == {"write"}
    assert names[gatt.CIPHERTEXT_UUID] == {"notify"}
    assert names[gatt.STATUS_UUID] == {"read", "notify"}


@pytest.mark.parametrize("mtu", [23, 185, 247, 517])
async def test_four_kilobytes_go_each_way(reader: Reader, phone: Device, mtu: int, connect: Connect) -> None:
    handset = await connect(phone, mtu=mtu)
    assert handset.client.mtu_size == mtu
    await handset.subscribe()
    message, size = bytes(range(256)) * 16, gatt.largest_value(mtu)
    pieces = [message[i : i + size] for i in range(0, len(message), size)]
    for piece in pieces:
        await handset.client.write_gatt_char(gatt.KEY_UUID, piece, response=True)
        assert reader.written.get_nowait() == piece  # a write with response has arrived when it returns
    assert {written_mtu for _, written_mtu in reader.writers} == {mtu}
    for piece in pieces:
        reader.notify(piece)
    assert [await handset.notified.get() for _ in pieces] == pieces


async def test_a_notification_longer_than_the_mtu_is_cut_as_on_bluez(
    reader: Reader, phone: Device, connect: Connect
) -> None:
    handset = await connect(phone, mtu=23)
    await handset.subscribe()
    reader.notify(bytes(100))
    assert await handset.notified.get() == bytes(20)


async def test_no_notification_before_subscribing_nor_after_unsubscribing(
    reader: Reader, phone: Device, connect: Connect
) -> None:
    handset = await connect(phone)
    reader.notify(b"early")
    await handset.subscribe()
    reader.notify(b"in time")
    assert await handset.notified.get() == b"in time"
    await handset.client.stop_notify(gatt.CIPHERTEXT_UUID)
    reader.notify(b"late")
    await handset.client.read_gatt_char(gatt.STATUS_UUID)  # whatever was sent before this answer is here
    assert handset.notified.empty()


@pytest.mark.parametrize("uuid", [gatt.CIPHERTEXT_UUID, gatt.STATUS_UUID, gatt.READER_INFO_UUID])
async def test_a_write_to_what_cannot_be_written_is_refused(
    reader: Reader, phone: Device, uuid: str, connect: Connect
) -> None:
    handset = await connect(phone)
    with pytest.raises(BleakGATTProtocolError) as refused:
        await handset.client.write_gatt_char(uuid, b"x", response=True)
    assert refused.value.code == att.ATT_WRITE_NOT_PERMITTED_ERROR
    assert reader.written.empty()


@pytest.mark.parametrize("uuid", [gatt.KEY_UUID, gatt.CIPHERTEXT_UUID])
async def test_a_read_of_what_cannot_be_read_is_refused(
    reader: Reader, phone: Device, uuid: str, connect: Connect
) -> None:
    handset = await connect(phone)
    with pytest.raises(BleakGATTProtocolError) as refused:
        await handset.client.read_gatt_char(uuid)
    assert refused.value.code == att.ATT_READ_NOT_PERMITTED_ERROR


async def test_a_write_without_response_to_key_is_dropped(
    reader: Reader, phone: Device, connect: Connect
) -> None:
    handset = await connect(phone)
    await handset.client.write_gatt_char(gatt.KEY_UUID, b"quick", response=False)
    await handset.client.write_gatt_char(gatt.KEY_UUID, b"proper", response=True)
    assert reader.written.get_nowait() == b"proper"


async def test_a_callback_that_raises_becomes_an_att_error_without_its_text(
    reader: Reader, phone: Device, caplog: pytest.LogCaptureFixture, connect: Connect
) -> None:
    handset = await connect(phone)
    reader.refuse_with = ValueError("something secret")
    with pytest.raises(BleakGATTProtocolError) as refused:
        await handset.client.write_gatt_char(gatt.KEY_UUID, b"x", response=True)
    assert refused.value.code == att.ATT_UNLIKELY_ERROR_ERROR
    assert "secret" not in str(refused.value) + caplog.text


async def test_a_callback_chooses_its_att_error(reader: Reader, phone: Device, connect: Connect) -> None:
    class BusyError(Exception):
        att_error = 0x80

    handset = await connect(phone)
    reader.refuse_with = BusyError()
    with pytest.raises(BleakGATTProtocolError) as refused:
        await handset.client.write_gatt_char(gatt.KEY_UUID, b"x", response=True)
    assert refused.value.code == 0x80


async def test_advertising_stops_while_connected_and_starts_again(
    reader: Reader, phone: Device, connect: Connect, find_reader: FindReader
) -> None:
    handset = await connect(phone)
    assert await reader.links.get()
    assert await reader.server.is_connected()
    scanner, _ = backends(phone)
    assert await BleakScanner.discover(timeout=0.1, backend=scanner) == []
    await handset.client.disconnect()
    assert not await reader.links.get()
    assert not await reader.server.is_connected()
    assert await find_reader(phone)
    assert await reader.server.is_advertising()


async def test_a_second_central_is_refused(
    ether: Ether, reader: Reader, phone: Device, connect: Connect, find_reader: FindReader
) -> None:
    other = await ether.add_device("other phone")
    target = await find_reader(other)
    handset = await connect(phone)
    _, client_class = backends(other)
    with pytest.raises(BleakError):
        await BleakClient(target, timeout=0.2, backend=client_class).connect()
    assert handset.client.is_connected
    assert await reader.links.get()
    assert reader.links.empty()


async def test_a_connect_that_was_given_up_leaves_the_radio_free(
    ether: Ether, reader: Reader, phone: Device, connect: Connect, find_reader: FindReader
) -> None:
    target = await find_reader(phone)
    _, client_class = backends(phone)
    ether.part()
    connecting = asyncio.create_task(BleakClient(target, backend=client_class).connect())
    await asyncio.sleep(0.05)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    ether.meet()
    assert (await connect(phone)).client.is_connected


async def test_of_two_centrals_at_the_same_advert_one_gets_in(
    ether: Ether, reader: Reader, phone: Device, connect: Connect
) -> None:
    other = await ether.add_device("other phone")
    outcomes = await asyncio.gather(
        connect(phone, timeout=0.5), connect(other, timeout=0.5), return_exceptions=True
    )
    (handset,) = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    (refused,) = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert isinstance(refused, BleakError)
    assert await handset.client.read_gatt_char(gatt.STATUS_UUID) == gatt.Status.IDLE.encode()


async def test_the_handset_disconnects(reader: Reader, phone: Device, connect: Connect) -> None:
    handset = await connect(phone)
    await handset.client.disconnect()
    await handset.gone.wait()
    assert [await reader.links.get(), await reader.links.get()] == [True, False]
    assert not handset.client.is_connected


async def test_the_reader_disconnects(reader: Reader, phone: Device, connect: Connect) -> None:
    handset = await connect(phone)
    await reader.server.disconnect()
    await handset.gone.wait()
    assert [await reader.links.get(), await reader.links.get()] == [True, False]
    with pytest.raises(BleakError):
        await handset.client.read_gatt_char(gatt.STATUS_UUID)


async def test_a_cut_link_is_noticed_at_both_ends_and_can_be_made_again(
    ether: Ether, reader: Reader, phone: Device, connect: Connect
) -> None:
    handset = await connect(phone)
    ether.cut()
    await handset.gone.wait()
    assert [await reader.links.get(), await reader.links.get()] == [True, False]
    again = await connect(phone)
    await again.client.write_gatt_char(gatt.KEY_UUID, b"back", response=True)
    assert reader.written.get_nowait() == b"back"


async def test_a_write_under_way_when_the_link_is_cut_fails(
    ether: Ether, reader: Reader, phone: Device, connect: Connect
) -> None:
    handset = await connect(phone)
    writing = asyncio.create_task(handset.client.write_gatt_char(gatt.KEY_UUID, b"x", response=True))
    await asyncio.sleep(0)
    ether.cut()
    with pytest.raises(BleakError):
        await writing


async def test_a_link_may_be_cut_at_any_turn_of_the_loop_and_the_log_stays_quiet(
    ether: Ether, reader: Reader, phone: Device, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    for turns in range(12):
        handset = await connect(phone)
        writing = asyncio.create_task(handset.client.write_gatt_char(gatt.KEY_UUID, b"x", response=True))
        for _ in range(turns):
            await asyncio.sleep(0)
        ether.cut()
        with suppress(BleakError):
            await writing
        await handset.gone.wait()
    assert caplog.messages == []


async def test_a_request_may_be_given_up_at_any_turn_of_the_loop_and_the_log_stays_quiet(
    reader: Reader, phone: Device, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    for turns in range(12):
        handset = await connect(phone)
        writing = asyncio.create_task(handset.client.write_gatt_char(gatt.KEY_UUID, b"x", response=True))
        for _ in range(turns):
            await asyncio.sleep(0)
        writing.cancel()
        await asyncio.wait([writing])
        await handset.client.disconnect()
        await handset.gone.wait()
    assert caplog.messages == []


async def test_a_subscription_under_way_when_the_link_is_cut_leaves_nobody_subscribed(
    ether: Ether, reader: Reader, phone: Device, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    handset = await connect(phone)
    server: Any = reader.server._device.gatt_server
    hear = server.on_gatt_pdu

    def then_cut(bearer: Any, pdu: Any) -> None:
        if isinstance(pdu, att.ATT_Write_Request):
            ether.cut()
        hear(bearer, pdu)  # Bumble writes in a task of its own: by then it knows that the link is down

    server.on_gatt_pdu = then_cut
    with pytest.raises(BleakError):
        await handset.subscribe()
    server.on_gatt_pdu = hear
    await handset.gone.wait()
    again = await connect(phone)
    await again.subscribe()
    reader.notify(b"once")
    reader.notify(b"then")
    assert [await again.notified.get(), await again.notified.get()] == [b"once", b"then"]
    assert caplog.messages == []  # nor is the answer said to be for nobody


async def test_out_of_range_nothing_is_heard(
    ether: Ether, reader: Reader, phone: Device, find_reader: FindReader
) -> None:
    ether.part()
    scanner, _ = backends(phone)
    assert await BleakScanner.discover(timeout=0.1, backend=scanner) == []
    ether.meet()
    assert await find_reader(phone)


async def test_a_stopped_server_is_silent_and_starts_again(
    reader: Reader, phone: Device, connect: Connect
) -> None:
    handset = await connect(phone)
    await reader.server.stop()
    await handset.gone.wait()
    scanner, _ = backends(phone)
    assert await BleakScanner.discover(timeout=0.1, backend=scanner) == []
    await reader.server.start()
    again = await connect(phone)
    assert await again.client.read_gatt_char(gatt.STATUS_UUID) == gatt.Status.IDLE.encode()


async def test_a_disconnected_client_says_so(reader: Reader, phone: Device, connect: Connect) -> None:
    handset = await connect(phone)
    await handset.client.disconnect()
    for attempt in (
        handset.client.write_gatt_char(gatt.KEY_UUID, b"x", response=True),
        handset.client.read_gatt_char(gatt.STATUS_UUID),
    ):
        with pytest.raises(BleakError):
            await attempt
