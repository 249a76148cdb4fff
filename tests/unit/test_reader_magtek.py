"""MagTek's HID report: fields at their offsets, tracks that could not be decoded, reports that are none."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.track_data import Swipe, TrackError, TrackFault
from reader_peripheral.adapters.magtek_hid import MagtekSwiper, find_hidraw, listed_hidraws, typed_by
from reader_peripheral.input_settings import DeviceMatch, SwiperKind, SwiperSettings
from reader_peripheral.ports import SwipeResult
from tests.unit.reader_input_fakes import FakePort
from tests.unit.reader_magtek_reports import report_of

TRACK1 = "%B4000002760003184^SUZUKI/HANAKO^30121010000000000000?"
TRACK2 = ";4000002760003184=30121010000000000000?"
TRACK3 = "+0140000027600031840=7?"


def text_of(report: bytes) -> str:
    return bytes(typed_by(memoryview(report))).decode()


def test_the_report_is_337_bytes_with_its_fields_at_7_117_and_227() -> None:
    report = report_of(TRACK1 + TRACK2 + TRACK3)
    assert len(report) == 337
    assert report[7:8] + report[117:118] + report[227:228] == b"%;+"
    assert report[:7] == bytes([0, 0, 0, len(TRACK1), len(TRACK2), len(TRACK3), 0])
    assert text_of(report) == TRACK1 + TRACK2 + TRACK3


@pytest.mark.parametrize(
    ("report", "fault"),
    [
        (report_of(""), TrackFault.NOTHING_READ),
        (report_of("%E?;E?"), TrackFault.TRACK_ERROR),
        (report_of("", encoding=3), TrackFault.NOTHING_READ),
        (report_of(TRACK2, encoding=1), TrackFault.NOT_A_BANK_CARD),
        (report_of(TRACK2)[:-1], TrackFault.MALFORMED),
        (report_of(TRACK2) + bytes(175), TrackFault.MALFORMED),
        (b"", TrackFault.MALFORMED),
        (bytes([0, 0, 0, 111]) + report_of(TRACK2)[4:], TrackFault.MALFORMED),
        (bytes([0, 0, 0, 0, 255]) + report_of(TRACK2)[5:], TrackFault.MALFORMED),
    ],
    ids=["empty", "undecodable", "blank", "licence", "short", "long", "nothing", "length1", "length2"],
)
def test_what_is_no_card_has_a_name(report: bytes, fault: TrackFault) -> None:
    with pytest.raises(TrackError) as caught:
        text_of(report)
    assert caught.value.fault is fault


@given(st.binary(max_size=400) | st.binary(min_size=337, max_size=337))
def test_any_report_is_characters_or_a_fault(report: bytes) -> None:
    try:
        assert len(list(typed_by(memoryview(report)))) <= 330
    except TrackError:
        pass


async def test_one_good_track_is_enough_and_every_other_fault_is_told() -> None:
    port = FakePort()
    swiper = MagtekSwiper(SwiperSettings(SwiperKind.MAGTEK_HID), port.find, 0.01)
    results: asyncio.Queue[SwipeResult] = asyncio.Queue()

    def take(result: SwipeResult) -> None:
        if isinstance(result, Swipe):
            assert TRACK2[1:-1].encode() in bytes(result.card_plaintext())
        results.put_nowait(result)
        swiper.arm()

    await swiper.open(take)
    swiper.arm()
    for sent, wanted in (
        (report_of("%E?" + TRACK2), Swipe),
        (report_of(TRACK2)[:100], TrackFault.MALFORMED),
        (report_of(TRACK2.replace("3184", "3185")), TrackFault.LUHN),
        (report_of(TRACK2, encoding=5), Swipe),
    ):
        port.send(sent, 512)
        result = await asyncio.wait_for(results.get(), 5)
        assert result is wanted or (wanted is Swipe and isinstance(result, Swipe))
        assert not any(swiper._device._buffer)
    port.unplug()
    port.plug()
    await asyncio.wait_for(port.taken.wait(), 5)
    port.send(report_of(TRACK2), 512)
    assert isinstance(await asyncio.wait_for(results.get(), 5), Swipe)
    await swiper.close()


def test_hidraw_nodes_are_known_by_what_sysfs_says(tmp_path: Path) -> None:
    uevent = "DRIVER=hid-generic\nHID_ID=0003:00000801:00000002\nHID_NAME=Mag-Tek USB Swipe Reader\n"
    for number, text in (
        (0, "HID_ID=bad\n"),
        (1, uevent + "HID_PHYS=usb-1/input0\nHID_UNIQ=B12\n"),
        (10, uevent),
    ):
        about = tmp_path / "class" / "hidraw" / f"hidraw{number}" / "device"
        about.mkdir(parents=True)
        (about / "uevent").write_text(text)
    (tmp_path / "hidraw1").write_bytes(b"")
    listed = listed_hidraws(tmp_path, tmp_path)
    assert [node.name for node, _ in listed] == ["hidraw1", "hidraw10"]
    identity = listed[0][1]
    assert (identity.vendor, identity.product, identity.uniq, identity.port) == (
        0x801,
        2,
        "B12",
        "usb-1/input0",
    )
    node = find_hidraw(DeviceMatch(uniq="B12"), tmp_path, tmp_path)
    assert node is not None
    node.close()
    assert find_hidraw(DeviceMatch(vendor=0x802), tmp_path, tmp_path) is None
