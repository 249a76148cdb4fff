"""Several readers in range: which one the phone takes, what it says about it, and the list of them."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import Callable
from typing import Any

import pytest
from bleak import BleakScanner
from bleak.exc import BleakBluetoothNotAvailableError, BleakBluetoothNotAvailableReason, BleakError

from handset_client.adapters.bleak_link import BleakReaderLink
from handset_client.adapters.link_session import LinkSettings
from handset_client.adapters.reader_search import PLATFORM, ReaderSearch, Room, scan_options, trouble
from handset_client.effects import Notice, NoticeKind
from handset_client.ports import ReaderChoice, ReaderInRange, ReaderReady
from handset_client.wording import Language, notice_text
from protocol import gatt
from protocol.identifiers import ReaderId
from tests.unit.handset_air import READER, MockAir

NEAR = ReaderId(bytes.fromhex("aaaa2c3d4e5f6071"))
FAR = ReaderId(bytes.fromhex("bbbb2c3d4e5f6071"))
SETTINGS = LinkSettings(
    scan=0.3, gather=0.05, connect=1.0, step=0.3, size_wait=0.1, hang_up=0.5, pauses=(0.01,)
)


def three_readers() -> MockAir:
    air = MockAir()
    for number, (reader_id, rssi) in enumerate(((FAR, -80), (READER, -60), (NEAR, -40))):
        air.add(reader_id, f"C0:00:00:00:00:0{number}").rssi = rssi
    return air


async def taken(
    air: MockAir, choose: Callable[[], ReaderChoice] | None = None
) -> tuple[ReaderId, list[Notice]]:
    """Which reader the link takes, and what it said until then."""
    link = BleakReaderLink(SETTINGS, air.backends(), choose=choose)
    notices: list[Notice] = []
    try:
        link.connect()
        async with asyncio.timeout(5):
            while not isinstance(event := await link.next_event(), ReaderReady):
                if isinstance(event, Notice):
                    notices.append(event)
    finally:
        await link.close()
    return event.reader_id, notices


async def test_of_several_the_strongest_is_taken_and_the_others_are_named() -> None:
    reader_id, notices = await taken(three_readers())
    assert reader_id == NEAR
    [several] = [notice for notice in notices if notice.kind is NoticeKind.SEVERAL_READERS]
    assert several.detail == "BR-aaaa (not BR-0a1b, BR-bbbb)"
    assert "handset-client readers" in notice_text(several)


async def test_the_reader_used_last_comes_before_a_stronger_one() -> None:
    reader_id, _ = await taken(three_readers(), lambda: ReaderChoice(last_used=FAR))
    assert reader_id == FAR


async def test_where_the_reader_used_last_is_away_another_is_taken() -> None:
    air = three_readers()
    air.readers = air.readers[1:]
    reader_id, _ = await taken(air, lambda: ReaderChoice(last_used=FAR))
    assert reader_id == NEAR


async def test_a_chosen_reader_is_taken_however_weak_and_nothing_is_said() -> None:
    reader_id, notices = await taken(three_readers(), lambda: ReaderChoice(chosen=FAR, last_used=NEAR))
    assert reader_id == FAR
    assert [notice.kind for notice in notices] == [NoticeKind.READER_FOUND]


async def test_a_chosen_reader_that_is_away_is_named_and_no_other_is_taken() -> None:
    air = three_readers()
    away = air.readers.pop(0)
    link = BleakReaderLink(SETTINGS, air.backends(), choose=lambda: ReaderChoice(chosen=FAR))
    link.connect()
    async with asyncio.timeout(5):
        event = await link.next_event()
        assert event == Notice(NoticeKind.READER_ABSENT, "bbbb-2c3d-4e5f-6071")
        assert air.count("connect") == 0
        air.readers.append(away)
        while not isinstance(event := await link.next_event(), ReaderReady):
            pass
    assert event.reader_id == FAR
    await link.close()


async def test_the_choice_counts_from_the_next_session_on() -> None:
    air, choice = three_readers(), [ReaderChoice(chosen=FAR)]
    link = BleakReaderLink(SETTINGS, air.backends(), choose=lambda: choice[0])
    for wanted in (FAR, READER):
        choice[0] = ReaderChoice(chosen=wanted)
        link.connect()
        async with asyncio.timeout(5):
            while not isinstance(event := await link.next_event(), ReaderReady):
                pass
        assert event.reader_id == wanted
        link.release()
    await link.close()


async def test_without_a_choice_the_link_stays_with_the_reader_it_used() -> None:
    air = three_readers()
    strongest = air.readers.pop()
    link = BleakReaderLink(SETTINGS, air.backends())
    for _ in range(2):
        link.connect()
        async with asyncio.timeout(5):
            while not isinstance(event := await link.next_event(), ReaderReady):
                pass
        assert event.reader_id == READER
        link.release()
        air.readers.append(strongest)
    await link.close()


async def test_the_list_has_the_strongest_first_with_what_each_says_of_itself() -> None:
    air = three_readers()
    air.plan("connect", 2, BleakError("somebody else was quicker"))
    assert await ReaderSearch(air.backends()).everyone(0.1, step=0.5) == [
        ReaderInRange("BR-aaaa", -40, NEAR),
        ReaderInRange("BR-0a1b", -60, None),
        ReaderInRange("BR-bbbb", -80, FAR),
    ]
    assert air.open_links == []


async def test_a_name_with_control_characters_is_cleaned() -> None:
    air = MockAir()
    air.add().name = "BR-\x1b[2J" + "x" * 200
    [found] = await ReaderSearch(air.backends()).everyone(0.05, step=0.5)
    assert "\x1b" not in found.name
    assert len(found.name) <= 20


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize(
    ("system", "wanted"),
    [("linux", "bluetoothctl"), ("freebsd", "bluetoothctl"), ("darwin", ">"), ("win32", ">")],
)
def test_how_to_switch_bluetooth_on_is_said_for_each_system(
    language: Language, system: str, wanted: str
) -> None:
    off = BleakBluetoothNotAvailableError("off", BleakBluetoothNotAvailableReason.POWERED_OFF)
    assert wanted in notice_text(trouble(off), language, system)


def test_what_may_not_use_bluetooth_is_told_how_to_be_allowed() -> None:
    denied = BleakBluetoothNotAvailableError("no", BleakBluetoothNotAvailableReason.DENIED_BY_SYSTEM)
    assert "usermod -aG bluetooth" in notice_text(trouble(denied), system="linux")
    assert "Privacy & Security" in notice_text(trouble(denied), system="darwin")
    assert "systemctl enable --now bluetooth" in notice_text(trouble(EOFError()), system="linux")


@pytest.mark.parametrize("turns", range(4))
async def test_a_scan_given_up_at_any_moment_is_not_left_running(turns: int) -> None:
    air = three_readers()
    running = 0

    class SlowScanner(air.backends().scanner):  # type: ignore[misc, name-defined]
        """Like bluetoothd: on from the first word of a start, though its answer takes a while."""

        async def start(self) -> None:
            nonlocal running
            running += 1
            await asyncio.sleep(0)
            await super().start()

        async def stop(self) -> None:
            nonlocal running
            await super().stop()
            await asyncio.sleep(0)
            running -= 1

    backends = dataclasses.replace(air.backends(), scanner=SlowScanner)
    search = asyncio.create_task(ReaderSearch(backends).listen(5.0, lambda _: False))
    for _ in range(turns):
        await asyncio.sleep(0)
    search.cancel()
    with pytest.raises(asyncio.CancelledError):
        await search
    assert running == 0


@pytest.mark.skipif(sys.platform != "linux", reason="bleak's BlueZ scanner is there on Linux alone")
@pytest.mark.parametrize(
    ("name", "uuids", "ours"),
    [
        ("BR-0a1b", [gatt.SERVICE_UUID], True),
        # What bluetoothd has told of a reader that was killed while a phone was connected, and is back.
        ("BR-0a1b", ["00001800-0000-1000-8000-00805f9b34fb"], True),
        ("TV", ["00001800-0000-1000-8000-00805f9b34fb"], False),
        (None, [], False),
    ],
)
def test_on_bluez_a_reader_is_known_by_its_name_where_its_services_are_old_news(
    name: str | None, uuids: list[str], ours: bool
) -> None:
    room = Room()
    scanner = BleakScanner(room.take, **scan_options(PLATFORM, "hci1", "linux"))
    named = {} if name is None else {"Name": name, "Alias": name}
    device = {"Address": "C0:00:00:00:00:01", "UUIDs": uuids, "RSSI": -50, "Alias": "C0", **named}
    # What bleak calls when bluetoothd has news of a device.
    news: Any = scanner._backend
    news._handle_advertising_data("/org/bluez/hci1/dev_C0_00_00_00_00_01", device)
    assert bool(room.heard) is ours


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_elsewhere_the_platform_filters_by_the_service(platform: str) -> None:
    assert scan_options(PLATFORM, None, platform) == {"service_uuids": [gatt.SERVICE_UUID]}
