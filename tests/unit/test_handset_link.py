"""The handset's link to the reader against a mocked bleak: finding, connecting, failing, resuming."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakDBusError,
    BleakDeviceNotFoundError,
    BleakError,
    BleakGATTProtocolError,
)

from handset_client.adapters.bleak_link import BleakReaderLink
from handset_client.adapters.link_session import LinkSettings
from handset_client.effects import Notice, NoticeKind
from handset_client.ports import ReaderReady, ReaderSaid, ReaderTook
from handset_client.wording import notice_text
from protocol import gatt
from protocol.identifiers import reader_id_text
from protocol.messages import MessageType
from tests.unit.handset_air import HELLO, READER, MockAir
from tests.unit.handset_link_bench import OFFER, OTHER, PAYMENT, QUICK, choosing, kinds, until


@pytest.fixture
def air() -> MockAir:
    return MockAir()


@pytest.fixture
async def link(air: MockAir) -> AsyncIterator[BleakReaderLink]:
    link = BleakReaderLink(QUICK, air.backends())
    yield link
    await link.close()
    assert air.open_links == []


async def test_it_finds_the_reader_and_hands_on_its_hello(air: MockAir, link: BleakReaderLink) -> None:
    air.add()
    link.connect()
    events = await until(link, ReaderReady)
    assert events == [
        Notice(NoticeKind.READER_FOUND, reader_id_text(READER)),
        ReaderReady(READER, HELLO + b"1"),
    ]
    assert air.scan_filters == [[gatt.SERVICE_UUID]]


async def test_it_reads_subscribes_then_writes(air: MockAir, link: BleakReaderLink) -> None:
    air.add()
    link.connect()
    await until(link, ReaderReady)
    order = [(name, detail) for name, detail in air.calls if name in ("read", "subscribe", "write")]
    assert order[:3] == [
        ("read", gatt.READER_INFO_UUID),
        ("subscribe", gatt.CIPHERTEXT_UUID),
        ("subscribe", gatt.STATUS_UUID),
    ]
    assert {name for name, _ in order[3:]} == {"write"}


async def test_connecting_twice_is_connecting_once(air: MockAir, link: BleakReaderLink) -> None:
    air.add()
    link.connect()
    link.connect()
    await until(link, ReaderReady)
    link.connect()
    assert air.count("connect") == 1


async def test_messages_go_both_ways_and_delivery_is_told(air: MockAir, link: BleakReaderLink) -> None:
    reader = air.add()
    link.connect()
    await until(link, ReaderReady)
    link.send(PAYMENT, MessageType.KEY_OFFER, OFFER)
    await until(link, ReaderTook)
    assert reader.received == [(MessageType.KEY_OFFER, OFFER)]
    reader.say(MessageType.CARD_ENVELOPE, b"sealed" * 200)
    assert (await until(link, ReaderSaid))[-1] == ReaderSaid(MessageType.CARD_ENVELOPE, b"sealed" * 200)


async def test_delivery_names_the_message(air: MockAir, link: BleakReaderLink) -> None:
    air.add()
    link.connect()
    await until(link, ReaderReady)
    link.send(PAYMENT, MessageType.OUTCOME, b"outcome")
    assert (await until(link, ReaderTook))[-1] == ReaderTook(PAYMENT, MessageType.OUTCOME)


@pytest.mark.parametrize("size", [20, 23, 100, 244, 509])
async def test_any_value_size(size: int) -> None:
    air = MockAir(value_size=size)
    reader = air.add()
    link = BleakReaderLink(QUICK, air.backends())
    link.connect()
    await until(link, ReaderReady)
    link.send(PAYMENT, MessageType.KEY_OFFER, OFFER)
    await until(link, ReaderTook)
    assert reader.received == [(MessageType.KEY_OFFER, OFFER)]
    await link.close()


async def test_a_platform_that_learns_its_mtu_late_is_waited_for(air: MockAir, link: BleakReaderLink) -> None:
    air.platform_size = 20
    air.plan("subscribe", 2, lambda: asyncio.get_running_loop().call_later(0.02, _grow, air))
    air.add()
    link.connect()
    await until(link, ReaderReady)
    link.send(PAYMENT, MessageType.KEY_OFFER, OFFER)
    await until(link, ReaderTook)
    assert max(len(detail) for name, detail in air.calls if name == "write") > 400


def _grow(air: MockAir) -> None:
    air.platform_size = 509


# The scan


async def test_a_scan_that_finds_nothing_says_so_once_and_goes_on(
    air: MockAir, link: BleakReaderLink
) -> None:
    link.connect()
    await until(link, NoticeKind.READER_NOT_FOUND)
    air.add()
    events = await until(link, ReaderReady)
    assert NoticeKind.READER_NOT_FOUND not in kinds(events)


async def test_what_is_no_reader_is_not_connected_to(air: MockAir, link: BleakReaderLink) -> None:
    air.add().advertised_services = ["0000180d-0000-1000-8000-00805f9b34fb"]
    link.connect()
    await until(link, NoticeKind.READER_NOT_FOUND)
    assert air.count("connect") == 0


async def test_a_chosen_reader_is_told_from_others_by_name_without_connecting(air: MockAir) -> None:
    air.add(OTHER, "C0:00:00:00:00:0F")
    air.add(READER)
    link = BleakReaderLink(choosing(READER), air.backends())
    link.connect()
    assert isinstance((await until(link, ReaderReady))[-1], ReaderReady)
    assert [detail for name, detail in air.calls if name == "connect"] == ["C0:00:00:00:00:01"]
    await link.close()


async def test_a_chosen_reader_is_told_from_others_by_its_info_where_no_name_is_heard(air: MockAir) -> None:
    air.add(OTHER, "C0:00:00:00:00:0F").name = None
    air.add(READER).name = None
    link = BleakReaderLink(choosing(READER), air.backends())
    link.connect()
    events = await until(link, ReaderReady)
    assert events[-1] == ReaderReady(READER, HELLO + b"1")
    assert kinds(events)[0] is NoticeKind.OTHER_READER
    await link.close()


async def test_a_reader_of_a_newer_version_is_named(air: MockAir, link: BleakReaderLink) -> None:
    air.add().info = gatt.ReaderInfo((2, 3), READER, 1, (9, 9)).encode()
    link.connect()
    await until(link, NoticeKind.READER_TOO_NEW)


@pytest.mark.parametrize("info", [b"", b"\x00", b"\xff" * 19, b"x" * 200, b"\x84"])
async def test_garbage_in_reader_info_is_no_reader(air: MockAir, link: BleakReaderLink, info: bytes) -> None:
    air.add().info = info
    link.connect()
    await until(link, NoticeKind.READER_FAILED)
    assert air.count("write") == 0


async def test_a_key_that_cannot_be_written_with_response_is_refused(
    air: MockAir, link: BleakReaderLink
) -> None:
    air.key_properties = ["write-without-response"]
    air.add()
    link.connect()
    await until(link, NoticeKind.READER_FAILED)
    assert air.count("write") == 0


async def test_a_link_that_a_killed_process_left_behind_is_taken_up(
    air: MockAir, link: BleakReaderLink
) -> None:
    air.left_connected.append(air.add())
    link.connect()
    await until(link, ReaderReady)


@pytest.mark.parametrize(
    ("error", "notice"),
    [
        (
            BleakBluetoothNotAvailableError("off", BleakBluetoothNotAvailableReason.POWERED_OFF),
            NoticeKind.BLUETOOTH_OFF,
        ),
        (
            BleakBluetoothNotAvailableError("none", BleakBluetoothNotAvailableReason.NO_BLUETOOTH),
            NoticeKind.BLUETOOTH_OFF,
        ),
        (
            BleakBluetoothNotAvailableError("no", BleakBluetoothNotAvailableReason.DENIED_BY_USER),
            NoticeKind.BLUETOOTH_DENIED,
        ),
        (BleakDBusError("org.bluez.Error.InProgress", ["busy"]), NoticeKind.BLUETOOTH_FAILED),
        (FileNotFoundError("no system bus"), NoticeKind.BLUETOOTH_FAILED),
        (EOFError(), NoticeKind.BLUETOOTH_FAILED),
    ],
    ids=["off", "none", "denied", "dbus", "no bus", "bus closed"],
)
async def test_bluetooth_that_does_not_work_is_said_and_tried_again(
    air: MockAir, link: BleakReaderLink, error: Exception, notice: NoticeKind
) -> None:
    air.add()
    air.plan("scan", 1, error)
    link.connect()
    events = await until(link, ReaderReady)
    assert kinds(events)[0] is notice


@pytest.mark.parametrize("code", [0x11, 0x81], ids=["virtual radio", "BlueZ"])
async def test_a_reader_that_serves_another_phone_is_busy(
    air: MockAir, link: BleakReaderLink, code: int
) -> None:
    air.add()
    for nth in (1, 2):
        air.plan("write", nth, BleakGATTProtocolError(code))
    link.connect()
    events = await until(link, ReaderReady)
    assert [kind for kind in kinds(events) if kind is not NoticeKind.READER_FOUND] == [NoticeKind.READER_BUSY]
    assert "another phone" in notice_text(Notice(NoticeKind.READER_BUSY))


async def test_a_connection_that_bluetoothd_could_not_make_is_no_fault_of_bluetooth(
    air: MockAir, link: BleakReaderLink
) -> None:
    air.add()
    error = BleakDBusError("org.bluez.Error.Failed", ["le-connection-abort-by-local"])
    for nth in (1, 2):
        air.plan("connect", nth, error)
    link.connect()
    assert kinds(await until(link, ReaderReady))[0] is NoticeKind.READER_FAILED


# Failures on the way up


@pytest.mark.parametrize("step", ["scan", "connect", "read", "subscribe", "write"])
@pytest.mark.parametrize(
    "error",
    [
        BleakError("failed to connect"),
        BleakDeviceNotFoundError("C0:00:00:00:00:01"),
        BleakGATTProtocolError(0x0E),
        TimeoutError(),
        OSError("driver"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_one_failure_at_any_step_is_overcome(
    air: MockAir, link: BleakReaderLink, step: str, error: Exception
) -> None:
    air.add()
    air.plan(step, 1, error)
    link.connect()
    await until(link, ReaderReady)


async def test_failure_after_failure_is_said_once(air: MockAir, link: BleakReaderLink) -> None:
    air.add()
    for nth in range(1, 6):
        air.plan("connect", nth, BleakError("le-connection-abort-by-local"))
    link.connect()
    events = await until(link, ReaderReady)
    assert kinds(events).count(NoticeKind.READER_FAILED) == 1


@pytest.mark.parametrize("step", ["connect", "read", "subscribe", "write"])
async def test_a_link_that_drops_at_any_step_is_tried_again(
    air: MockAir, link: BleakReaderLink, step: str
) -> None:
    air.add()
    air.plan(step, 1, air.drop_links)
    link.connect()
    await until(link, ReaderReady)


@pytest.mark.parametrize("step", ["connect", "read", "subscribe", "write"])
async def test_a_step_that_hangs_is_given_up(air: MockAir, step: str) -> None:
    air.add()
    air.plan(step, 1, lambda: asyncio.sleep(3600))
    settings = LinkSettings(
        scan=0.1, gather=0.02, connect=0.1, step=0.1, size_wait=0.1, hang_up=0.2, pauses=(0.01,)
    )
    link = BleakReaderLink(settings, air.backends())
    link.connect()
    await until(link, ReaderReady)
    await link.close()


async def test_a_bug_is_no_bad_radio(air: MockAir) -> None:
    air.add()
    air.plan("read", 1, KeyError("a bug"))
    link = BleakReaderLink(QUICK, air.backends())
    link.connect()
    with pytest.raises(KeyError):
        await until(link, ReaderReady)
    await link.close()
